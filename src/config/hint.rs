//! Serde's words for what is wrong, turned into a user's: a message and what would be right.

use crate::error::nearest;

/// A message and, where one is known, the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Keys that the documentation of later versions knows.
const NOT_YET: &[&str] = &[
    "burst",
    "carbon",
    "cgroup",
    "cron",
    "feast",
    "gpus",
    "grpc",
    "ledger",
    "nvml",
    "overload",
    "per_second",
    "prometheus",
    "ramp",
    "sni",
    "sql",
    "tensor",
    "trace",
    "ttl",
];

/// Rewrites an error message of serde or toml.
pub(super) fn humanise(message: &str) -> Hint {
    if let Some((name, known)) = unknown(message, "unknown field ") {
        return unknown_name("key", name, &known);
    }
    if let Some((name, known)) = unknown_fault(message) {
        return unknown_name("fault", name, &known);
    }
    if let Some((name, known)) = unexpected(message) {
        return unknown_name("key", name, &known);
    }
    if let Some((name, known)) = unknown(message, "unknown variant ") {
        return unknown_name("name", name, &known);
    }
    if let Some(name) = missing_field(message) {
        return Hint {
            message: format!("`{name}` is missing"),
            help: Some(format!("add `{name} = …`")),
        };
    }
    if message.starts_with("wanted exactly 1 element, found 0") {
        return Hint {
            message: "this table is empty; it must name one kind".into(),
            help: Some("for example `{ delay = { fixed = \"250ms\" } }`".into()),
        };
    }
    if message.starts_with("wanted exactly 1 element") {
        return Hint {
            message: "this table names several kinds; each needs its own".into(),
            help: Some("write `[{ delay = { … } }, { abort = { … } }]`".into()),
        };
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        return expected(rest);
    }
    if let Some(rest) = message.strip_prefix("invalid value: ") {
        return expected(rest);
    }
    split_advice(message)
}

/// The field that a message misses.
pub(super) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The fields that a table may have, where a message says that it has another.
pub(super) fn known_fields(message: &str) -> Option<Vec<&str>> {
    unknown(message, "unknown field ")
        .or_else(|| unexpected(message))
        .map(|(_, known)| known)
}

/// What to say of a name that is not among the known ones.
pub(super) fn unknown_name(what: &str, name: &str, known: &[&str]) -> Hint {
    let help = if let Some(near) = nearest(name, known) {
        format!("did you mean `{near}`?")
    } else if NOT_YET.contains(&name) {
        format!("this version of hormesis does not have `{name}` yet")
    } else if known.is_empty() {
        "nothing can be set here".into()
    } else {
        format!("known here: {}", list(known))
    };
    Hint {
        message: format!("unknown {what} `{name}`"),
        help: Some(help),
    }
}

fn list(names: &[&str]) -> String {
    const MOST: usize = 24;
    let quoted: Vec<String> = names
        .iter()
        .take(MOST)
        .map(|it| format!("`{it}`"))
        .collect();
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{}{more}", quoted.join(", "))
}

/// Splits "unknown field `x`, expected one of `a`, `b`" into `x` and `[a, b]`.
fn unknown<'m>(message: &'m str, prefix: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let rest = message.strip_prefix(prefix)?.strip_prefix('`')?;
    let (name, known) = rest
        .split_once("`, expected ")
        .or_else(|| rest.split_once("`, there are no "))?;
    // Between an odd and the next even backtick stands a name.
    Some((name, known.split('`').skip(1).step_by(2).collect()))
}

/// Splits "unknown fault \"x\": the kinds are a, b" into `x` and `[a, b]`.
fn unknown_fault(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown fault \"")?;
    let (name, known) = rest.rsplit_once("\": the kinds are ")?;
    Some((name, known.split(", ").collect()))
}

/// Whether a message only says that a table which must name one kind names none.
pub(super) fn is_empty_kind(message: &str) -> bool {
    message.starts_with("wanted exactly 1 element, found 0")
        || message.starts_with("an empty fault")
}

/// Splits toml's "unexpected keys in table: x, y, available keys: a, b", which points at `x`, into
/// `x` and `[a, b]`.
fn unexpected(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unexpected keys in table: ")?;
    let (names, known) = rest.rsplit_once(", available keys: ")?;
    let name = names.split(", ").next()?;
    Some((
        name,
        known.split(", ").filter(|it| !it.is_empty()).collect(),
    ))
}

/// "string \"x\", expected u16" in plain words.
fn expected(rest: &str) -> Hint {
    let Some((found, wanted)) = rest.rsplit_once(", expected ") else {
        return split_advice(rest);
    };
    let wanted = match wanted {
        "a string" => "text in quotes",
        "a boolean" => "`true` or `false`",
        "a nonzero u32" | "a nonzero u64" => "a whole number from 1 on",
        "u16" => "a whole number from 0 to 65535",
        "u8" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i64" => "a whole number",
        "f64" | "f32" => "a number",
        "a sequence" => "a list: `[…]`",
        "a map" => "a table: `{ … }`",
        other => other
            .strip_prefix("struct ")
            .map_or(other, |_| "a table: `{ … }`"),
    };
    let found = match found {
        "map" => "a table",
        "sequence" => "a list",
        other => other,
    };
    Hint {
        message: format!("{found} does not fit here"),
        help: Some(format!("expected {wanted}")),
    }
}

/// Our own messages carry their advice after a colon.
fn split_advice(message: &str) -> Hint {
    for mark in [": give ", ": name ", ": use ", ": write "] {
        if let Some(at) = message.find(mark) {
            return Hint {
                message: message[..at].to_owned(),
                help: Some(message[at + 2..].to_owned()),
            };
        }
    }
    Hint {
        message: message.to_owned(),
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> (String, String) {
        let hint = humanise(message);
        (hint.message, hint.help.unwrap_or_default())
    }

    #[test]
    fn a_typing_error_is_answered_with_the_name_that_was_meant() {
        let (message, help) =
            said("unknown field `probabilty`, expected one of `name`, `probability`");
        assert_eq!(message, "unknown key `probabilty`");
        assert_eq!(help, "did you mean `probability`?");
        let (_, help) = said("unknown variant `first_token`, expected `first-token` or `end`");
        assert_eq!(help, "did you mean `first-token`?");
        let (_, help) = said("unknown field `colour`, expected `name` or `probability`");
        assert_eq!(help, "known here: `name`, `probability`");
        let (_, help) = said("unknown field `x`, there are no fields");
        assert_eq!(help, "nothing can be set here");
    }

    #[test]
    fn what_later_versions_know_is_said_to_be_missing_yet() {
        let (_, help) = said("unknown field `gpus`, expected `process`");
        assert_eq!(help, "this version of hormesis does not have `gpus` yet");
    }

    #[test]
    fn advice_is_told_apart_from_what_is_wrong() {
        assert_eq!(
            said("\"fast\" is no length of time: give a number with a unit"),
            (
                "\"fast\" is no length of time".into(),
                "give a number with a unit".into()
            )
        );
        assert_eq!(
            said("invalid type: map, expected a string"),
            (
                "a table does not fit here".into(),
                "expected text in quotes".into()
            )
        );
        assert_eq!(said("odd"), ("odd".into(), String::new()));
    }
}
