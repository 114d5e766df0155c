//! The trace that a call belongs to: what its caller says, and what its upstream is told.

use crate::effect::HeadEdit;
use crate::http1::Request;
use crate::proxy::call::{InFlight, Tracing};
use crate::record::{Parent, TRACEPARENT};

const TRACESTATE: &str = "tracestate";

/// Reads what the caller says, where calls are traced at all. Two headers are as good as none
/// (W3C Trace Context §3.2).
pub(super) fn of_caller(call: &mut InFlight<'_>, head: &Request, buffer: &[u8]) {
    let Some(tracer) = call.session.worker.records.tracer() else {
        return;
    };
    let mut fields = head
        .fields(buffer)
        .filter(|it| it.name.eq_ignore_ascii_case(TRACEPARENT));
    let parent = match (fields.next(), fields.next()) {
        (Some(field), None) => Parent::parse(field.value),
        _ => None,
    };
    if parent.is_none() {
        call.trace();
        return;
    }
    call.tracing = match tracer.begin(call.facts(), parent) {
        Some(context) => Tracing::Span(Box::new(context)),
        None => Tracing::Declined,
    };
}

/// Names our span as the parent of what the upstream records.
pub(super) fn of_request(call: &mut InFlight<'_>, edits: &mut Vec<HeadEdit>) {
    if call.session.worker.records.tracer().is_none() {
        return;
    }
    call.trace();
    if let Tracing::Span(context) = &call.tracing {
        // What the caller said of another trace says nothing of this one (W3C Trace Context §3.3).
        if context.parent.is_none() {
            edits.push(HeadEdit::Remove {
                name: TRACESTATE.into(),
            });
        }
        edits.push(HeadEdit::Set {
            name: TRACEPARENT.into(),
            value: context.header(),
        });
    }
}
