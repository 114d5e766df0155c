//! `abort`: the call is answered with an error of ours.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Answer, Effect, Effects, ErrorKind, ErrorSpec};
use crate::fault::complaint::unless;
use crate::fault::place::{WITH_AFTER_UPSTREAM, place};
use crate::fault::{Complaint, Doc, Fault, Kind};

/// `error` or `status`; the error "unavailable" where neither is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AbortConfig {
    /// where the error takes the answer's place; "before-upstream" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Phase>,
    /// the error, in words that each protocol translates into its own
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorKind>,
    /// the error as an HTTP status, 200 to 599
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// headers set on the answer, over those of the protocol
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// the body, in place of the protocol's own
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// An HTTP status that can end a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Status(u16);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = i64::deserialize(deserializer)?;
        u16::try_from(status)
            .ok()
            .filter(|status| (200..=599).contains(status))
            .map(Self)
            .ok_or_else(|| {
                D::Error::custom(format!(
                    "{status} is no status that ends a call: give one from 200 to 599"
                ))
            })
    }
}

impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 200, "maximum": 599, "examples": [503, 429] })
    }
}

#[derive(Debug)]
struct Abort {
    at: Phase,
    answer: Answer,
}

impl Fault for Abort {
    fn arm(&self, _call: &Call<'_>, _draws: &mut Draws) -> Effects {
        smallvec![Effect::Answer {
            at: self.at,
            answer: self.answer.clone(),
        }]
    }

    fn place(&self) -> (Phase, Side) {
        (self.at, Side::Response)
    }
}

/// Headers by which the receiver finds the end of a message.
const FRAMING: [&str; 5] = [
    "connection",
    "content-length",
    "te",
    "trailer",
    "transfer-encoding",
];

impl Kind for AbortConfig {
    const DOC: Doc = Doc {
        summary: "answers with an error",
        does: "The call is answered by hormesis, in the form in which the protocol's own servers send errors. Before \
               the upstream it never sees the call; \"after-upstream\" it does all its work, and its answer is \
               dropped as it comes; at a later position the error stands in the middle of a streamed answer, where the \
               protocol has such a thing, else the answer breaks off there. The answer says `x-hormesis-origin: injected` \
               unless that is hidden.",
        stands_for: "An overloaded or restarting server, an expired key, a model that is not loaded, a generation \
                     that runs out of memory half-way, a gateway's time-out after the work was done.",
        examples: &[
            r#"[[rules]]
name = "unavailable"
probability = "5%"
[[rules.faults]]
abort = { status = 503, headers = { retry-after = "2" } }
"#,
            r#"[[rules]]
name = "out-of-memory-half-way"
select = { stream = true }
[[rules.faults]]
abort = { at = { token = 20 }, error = "out_of_memory" }
"#,
        ],
        phases: WITH_AFTER_UPSTREAM,
        views: &[],
        usual: "",
        cost: "None. Chosen, at a position of units: the answer is framed as it passes.",
    };

    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let at = self.at.unwrap_or(Phase::BeforeUpstream);
        let (at, _) = place(at, None, WITH_AFTER_UPSTREAM, &mut complaints);
        if self.error.is_some() && self.status.is_some() {
            complaints.push(Complaint::new(
                "status",
                "an answer has one error",
                "give `error` (each protocol's own form of it) or `status`, not both",
            ));
        }
        if self.body.is_some() && matches!(self.status, Some(Status(204 | 304))) {
            complaints.push(Complaint::new(
                "body",
                "an answer with status 204 or 304 has no body",
                "leave `body` out, or use another status",
            ));
        }
        self.check_headers(at, &mut complaints);
        let error = match self.status {
            Some(Status(status)) => ErrorSpec::Status(status),
            None => ErrorSpec::Kind(self.error.unwrap_or(ErrorKind::Unavailable)),
        };
        let answer = Answer {
            error,
            headers: self.headers.clone().into_iter().collect(),
            body: self.body.clone(),
        };
        unless(complaints, Arc::new(Abort { at, answer }) as Arc<dyn Fault>)
    }
}

impl AbortConfig {
    fn check_headers(&self, at: Phase, complaints: &mut Vec<Complaint>) {
        if at > Phase::ResponseHead && !self.headers.is_empty() {
            complaints.push(Complaint::new(
                "headers",
                "the head of the answer has gone by then",
                "leave `headers` out, or abort at \"response-head\" or before",
            ));
        }
        for (name, value) in &self.headers {
            let field = format!("headers.{name}");
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                complaints.push(Complaint::new(
                    field,
                    format!("{name:?} is no header name"),
                    "a name has letters, digits and -",
                ));
            } else if FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
                complaints.push(Complaint::new(
                    field,
                    format!("hormesis frames the answer itself, so {name:?} cannot be set"),
                    "leave it out; `truncate` with length = \"keep\" breaks the framing",
                ));
            } else if HeaderValue::from_str(value).is_err() {
                complaints.push(Complaint::new(
                    field,
                    "a header's value is one line of visible characters",
                    "take line breaks and control characters out",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> AbortConfig {
        toml::from_str(text).unwrap()
    }

    fn effect(text: &str) -> Effect {
        let fault = read(text).build().unwrap();
        let mut draws = Draws::from_sub_seed(1);
        fault.arm(&Call::default(), &mut draws).remove(0)
    }

    #[test]
    fn an_empty_table_is_unavailable_before_upstream() {
        let Effect::Answer { at, answer } = effect("") else {
            panic!()
        };
        assert_eq!(at, Phase::BeforeUpstream);
        assert_eq!(answer.error, ErrorSpec::Kind(ErrorKind::Unavailable));
    }

    #[test]
    fn status_headers_and_body_are_kept() {
        let text = "status = 429\nheaders = { retry-after = \"7\" }\nbody = \"slow down\"\nat = \"after-upstream\"";
        let Effect::Answer { at, answer } = effect(text) else {
            panic!()
        };
        assert_eq!(at, Phase::AfterUpstream);
        assert_eq!(answer.error, ErrorSpec::Status(429));
        assert_eq!(answer.headers, [("retry-after".to_owned(), "7".to_owned())]);
        assert_eq!(answer.body.as_deref(), Some("slow down"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (text, field) in [
            ("status = 500\nerror = \"timeout\"", "status"),
            ("status = 204\nbody = \"x\"", "body"),
            ("at = \"between-tokens\"", "at"),
            ("at = { token = 3 }\nheaders = { a = \"b\" }", "headers"),
            (
                "headers = { Content-Length = \"3\" }",
                "headers.Content-Length",
            ),
            ("headers = { \"a b\" = \"3\" }", "headers.a b"),
            ("headers = { a = \"b\\r\\nc: d\" }", "headers.a"),
        ] {
            let complaints = read(text).build().unwrap_err();
            let fields: Vec<_> = complaints.iter().map(|it| it.field.as_str()).collect();
            assert_eq!(fields, [field], "{text}");
        }
    }
}
