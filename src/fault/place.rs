//! Which positions of a call a kind of fault can act at.

use crate::call::{Phase, Side};
use crate::fault::Complaint;

/// The positions of a call, as the configuration writes them.
pub(super) const HEAD_TO_END: &[&str] = &[
    "request-head",
    "connect",
    "before-upstream",
    "response-head",
    "first-unit",
    "first-token",
    "{ unit = N }",
    "{ token = N }",
    "{ byte = N }",
    "end",
];

/// [`HEAD_TO_END`], for kinds that can also let the upstream do its work in vain.
pub(super) const WITH_AFTER_UPSTREAM: &[&str] = &[
    "request-head",
    "connect",
    "before-upstream",
    "after-upstream",
    "response-head",
    "first-unit",
    "first-token",
    "{ unit = N }",
    "{ token = N }",
    "{ byte = N }",
    "end",
];

/// [`HEAD_TO_END`], for kinds that can act again and again.
pub(super) const WITH_BETWEEN: &[&str] = &[
    "request-head",
    "connect",
    "before-upstream",
    "response-head",
    "first-unit",
    "first-token",
    "between-units",
    "between-tokens",
    "{ unit = N }",
    "{ token = N }",
    "{ byte = N }",
    "end",
];

/// The side on which `at` lies; complains where the kind, whose positions are `places`, cannot act
/// there or where `side` contradicts it.
pub(super) fn place(
    at: Phase,
    side: Option<Side>,
    places: &[&str],
    complaints: &mut Vec<Complaint>,
) -> (Phase, Side) {
    if let Some(complaint) = refuse_at(at, places) {
        complaints.push(complaint);
    }
    let natural = match at {
        Phase::Byte(_) | Phase::End => side.unwrap_or_default(),
        at if at.before_upstream() => Side::Request,
        _ => Side::Response,
    };
    if side.is_some_and(|side| side != natural) {
        let (name, help) = match natural {
            Side::Request => ("request", "leave `side` out"),
            Side::Response => (
                "response",
                "leave `side` out; in a request a fault can act at \"request-head\", { byte = N } and \"end\"",
            ),
        };
        complaints.push(Complaint::new(
            "side",
            format!("this position is on the {name}'s side of a call"),
            help,
        ));
    }
    (at, natural)
}

fn refuse_at(at: Phase, places: &[&str]) -> Option<Complaint> {
    let (message, help) = match at {
        Phase::Accept | Phase::Tls => (
            "\"accept\" and \"tls\" are positions of a connection, before there is a call",
            "use \"request-head\"; with protocol \"tcp\" a call is the connection".to_owned(),
        ),
        Phase::Unit(0) | Phase::Token(0) => (
            "units and tokens are counted from 1",
            "write 1 for the first".to_owned(),
        ),
        at if !places.contains(&name(at)) => (
            "this fault cannot act here",
            format!("it can act at {}", places.join(", ")),
        ),
        _ => return None,
    };
    Some(Complaint::new("at", message, help))
}

fn name(at: Phase) -> &'static str {
    match at {
        Phase::Accept => "accept",
        Phase::Tls => "tls",
        Phase::RequestHead => "request-head",
        Phase::Connect => "connect",
        Phase::BeforeUpstream => "before-upstream",
        Phase::AfterUpstream => "after-upstream",
        Phase::ResponseHead => "response-head",
        Phase::FirstUnit => "first-unit",
        Phase::FirstToken => "first-token",
        Phase::BetweenUnits => "between-units",
        Phase::BetweenTokens => "between-tokens",
        Phase::Unit(_) => "{ unit = N }",
        Phase::Token(_) => "{ token = N }",
        Phase::Byte(_) => "{ byte = N }",
        Phase::End => "end",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_follows_from_the_position_where_it_can() {
        for (at, side, want) in [
            (Phase::BeforeUpstream, None, Side::Request),
            (Phase::FirstToken, None, Side::Response),
            (Phase::Byte(5), None, Side::Response),
            (Phase::Byte(5), Some(Side::Request), Side::Request),
        ] {
            let mut complaints = Vec::new();
            assert_eq!(place(at, side, HEAD_TO_END, &mut complaints).1, want);
            assert_eq!(complaints, []);
        }
    }

    #[test]
    fn senseless_positions_are_refused_with_the_field() {
        for (at, side, field) in [
            (Phase::Accept, None, "at"),
            (Phase::Unit(0), None, "at"),
            (Phase::AfterUpstream, None, "at"),
            (Phase::FirstUnit, Some(Side::Request), "side"),
            (Phase::Connect, Some(Side::Response), "side"),
        ] {
            let mut complaints = Vec::new();
            place(at, side, HEAD_TO_END, &mut complaints);
            let fields: Vec<_> = complaints.iter().map(|it| it.field.as_str()).collect();
            assert_eq!(fields, [field], "{at:?}");
        }
    }
}
