//! A call as a span of OpenTelemetry: the semantic conventions' names where there are some, ours
//! under `hormesis.`.

use std::time::SystemTime;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use crate::call::Outcome;
use crate::effect::Fate;
use crate::record::{Record, TraceContext};

/// The span of a call. The path is cut before its query, which may hold what nobody should read.
pub(super) fn span_of(record: &Record, context: &TraceContext) -> Span {
    let start = nanos(record.started);
    let operation = record.description.operation.as_deref();
    let path = record.path.split('?').next().unwrap_or_default();
    let name = match (operation, record.method.as_str()) {
        (Some(operation), _) => operation.to_owned(),
        // A span's name must not be one of many: the path is an attribute.
        (None, "") => record.protocol.to_owned(),
        (None, method) => method.to_owned(),
    };
    let total = u64::try_from(record.timing.total.as_nanos()).unwrap_or(u64::MAX);
    Span {
        trace_id: context.trace.to_vec(),
        span_id: context.span.to_vec(),
        parent_span_id: context.parent.map_or_else(Vec::new, |it| it.to_vec()),
        flags: u32::from(context.flags),
        name,
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(total),
        attributes: attributes(record, path),
        status: Some(status(record)),
        ..Span::default()
    }
}

/// Whether a server's span is an error. An answer of 4xx is none: it tells of its caller (the
/// conventions for HTTP want it so), and so does its like of other protocols.
fn is_error(record: &Record) -> bool {
    !matches!(
        (record.outcome, record.status),
        (Outcome::Ok, _) | (_, Some(400..500)) | (Outcome::Rejected, Some(_))
    )
}

/// What hormesis injected is an error of the call too, and its origin tells whose.
fn status(record: &Record) -> Status {
    match record.outcome {
        _ if !is_error(record) => Status::default(),
        outcome => Status {
            code: StatusCode::Error.into(),
            message: record
                .reason
                .clone()
                .unwrap_or_else(|| format!("{} ({})", outcome.as_str(), record.origin)),
        },
    }
}

fn attributes(record: &Record, path: &str) -> Vec<KeyValue> {
    let mut all = Attributes::default();
    if !record.method.is_empty() {
        all.text("http.request.method", &record.method);
        all.text("url.path", path);
    }
    if let Some(status) = record.status {
        all.number("http.response.status_code", status.into());
    }
    if is_error(record) {
        match record.status {
            Some(status @ 500..) => all.text("error.type", &status.to_string()),
            _ => all.text("error.type", record.outcome.as_str()),
        }
    }
    if let Some(peer) = record.peer {
        all.text("client.address", &peer.ip().to_string());
        all.number("client.port", peer.port().into());
    }
    if let Some(model) = &record.description.model {
        all.text("gen_ai.request.model", model);
    }
    all.text("hormesis.listener", &record.listener);
    all.text("hormesis.protocol", record.protocol);
    if let Some(upstream) = &record.upstream {
        all.text("hormesis.upstream", upstream);
    }
    all.number(
        "hormesis.call",
        i64::try_from(record.id).unwrap_or(i64::MAX),
    );
    all.text("hormesis.outcome", record.outcome.as_str());
    all.text("hormesis.origin", record.origin.as_str());
    if record.tokens > 0 {
        let tokens = i64::try_from(record.tokens).unwrap_or(i64::MAX);
        all.number("hormesis.token_units", tokens);
    }
    if let Some(first) = record.timing.first_token {
        all.seconds("hormesis.time_to_first_token_s", first.as_secs_f64());
    }
    faults(record, &mut all);
    all.0
}

/// Which rules and faults acted, in the order of the plan, each list as long as the others.
fn faults(record: &Record, all: &mut Attributes) {
    if record.effects.is_empty() && record.toxics.is_empty() {
        return;
    }
    let (effects, toxics) = (record.effects.iter(), record.toxics.iter());
    let rules = effects.clone().map(|it| &*it.planned.token.rule);
    let rules = rules.chain(toxics.clone().map(|it| &*it.rule));
    all.list("hormesis.fault.rules", rules);
    let kinds = effects.clone().map(|it| it.planned.fault);
    let kinds = kinds.chain(toxics.clone().map(|it| it.toxic.kind.name()));
    all.list("hormesis.fault.kinds", kinds);
    let fates = effects.map(|it| it.fate.as_str());
    let fates = fates.chain(toxics.map(|_| Fate::Applied.as_str()));
    all.list("hormesis.fault.fates", fates);
    let injected = record.timing.injected.as_secs_f64();
    all.seconds("hormesis.injected_wait_s", injected);
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &str, value: Value) {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    }

    fn text(&mut self, key: &str, value: &str) {
        self.add(key, Value::StringValue(value.to_owned()));
    }

    fn number(&mut self, key: &str, value: i64) {
        self.add(key, Value::IntValue(value));
    }

    fn seconds(&mut self, key: &str, value: f64) {
        self.add(key, Value::DoubleValue(value));
    }

    fn list<'v>(&mut self, key: &str, values: impl Iterator<Item = &'v str>) {
        let values = values.map(|it| AnyValue {
            value: Some(Value::StringValue(it.to_owned())),
        });
        let values = values.collect();
        self.add(key, Value::ArrayValue(ArrayValue { values }));
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Description;
    use crate::error::Origin;
    use crate::record::Timing;

    /// Whether the span is an error, and its `error.type`.
    fn error(outcome: Outcome, status: Option<u16>) -> (bool, Option<String>) {
        let record = Record {
            id: 1,
            started: SystemTime::UNIX_EPOCH,
            listener: "chat".into(),
            protocol: "http",
            upstream: None,
            number: 1,
            peer: None,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            description: Description::default(),
            verdicts: Vec::new(),
            admissions: Vec::new(),
            effects: Vec::new(),
            toxics: Vec::new(),
            origin: Origin::Upstream,
            outcome,
            status,
            reason: None,
            timing: Timing::default(),
            request_bytes: 0,
            response_bytes: 0,
            units: 0,
            tokens: 0,
            attempt: None,
            trace: None,
        };
        let context = TraceContext {
            trace: [1; 16],
            span: [1; 8],
            parent: None,
            flags: 1,
        };
        let span = span_of(&record, &context);
        let mut attributes = span.attributes.into_iter();
        let found = attributes.find(|it| it.key == "error.type");
        let value = found.and_then(|it| it.value?.value);
        let kind = value.map(|it| match it {
            Value::StringValue(text) => text,
            other => format!("{other:?}"),
        });
        (
            span.status.unwrap().code == i32::from(StatusCode::Error),
            kind,
        )
    }

    #[test]
    fn an_answer_of_4xx_is_no_error_of_a_server() {
        let no = (false, None);
        assert_eq!(error(Outcome::Ok, Some(200)), no);
        assert_eq!(error(Outcome::Rejected, Some(404)), no);
        assert_eq!(error(Outcome::UpstreamError, Some(429)), no);
        assert_eq!(error(Outcome::InjectedFault, Some(429)), no);
        // As gRPC says that its caller was wrong.
        assert_eq!(error(Outcome::Rejected, Some(200)), no);
        let yes = |kind: &str| (true, Some(kind.to_owned()));
        assert_eq!(error(Outcome::UpstreamError, Some(503)), yes("503"));
        assert_eq!(error(Outcome::InjectedFault, Some(503)), yes("503"));
        // What broke behind the head, or before it.
        let cut = error(Outcome::InjectedFault, Some(200));
        assert_eq!(cut, yes("injected_fault"));
        assert_eq!(error(Outcome::Timeout, None), yes("timeout"));
        assert_eq!(error(Outcome::Rejected, None), yes("rejected"));
    }
}
