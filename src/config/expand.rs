//! `${NAME}` in a value reads the environment, and nothing else does: a configuration says itself
//! what it depends on. `$${` stands for a plain `${`.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::{Problems, Source};

/// Looks a variable up.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Replaces every `${NAME}` in the texts below `node`. A missing name is a problem, and its text
/// stays as written.
pub(super) fn expand(
    node: &mut Spanned<DeValue<'_>>,
    source: &Arc<Source>,
    environment: Environment<'_>,
    problems: &mut Problems,
) {
    let span = node.span();
    match node.get_mut() {
        DeValue::String(text) if text.contains("${") => match expand_text(text, environment) {
            Ok(expanded) => *text = Cow::Owned(expanded),
            Err(wrong) => problems.error(source, span, wrong.message(), Some(wrong.help())),
        },
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                expand(item, source, environment, problems);
            }
        }
        DeValue::Table(table) => {
            for (_, value) in table.iter_mut() {
                expand(value, source, environment, problems);
            }
        }
        _ => {}
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Malformed,
    Unset(String),
}

impl Wrong {
    fn message(&self) -> String {
        match self {
            Self::Malformed => "`${` without a variable's name and `}`".into(),
            Self::Unset(name) => format!("the environment variable `{name}` is not set"),
        }
    }

    fn help(&self) -> String {
        match self {
            Self::Malformed => "write `${NAME}`, or `$${` for the plain characters".into(),
            Self::Unset(name) => format!("set it before the start: `{name}=… hormesis run …`"),
        }
    }
}

fn expand_text(text: &str, environment: Environment<'_>) -> Result<String, Wrong> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            expanded.push_str(&rest[..at - 1]);
            expanded.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let name = name(&rest[at + 2..]).ok_or(Wrong::Malformed)?;
        let value = environment(&rest[at + 2..][name.clone()])
            .ok_or_else(|| Wrong::Unset(rest[at + 2..][name.clone()].to_owned()))?;
        expanded.push_str(&value);
        rest = &rest[at + 2 + name.end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The name at the start of `text`, up to its closing brace.
fn name(text: &str) -> Option<Range<usize>> {
    let end = text.find('}')?;
    let mut chars = text[..end].chars();
    let first = chars.next()?;
    let valid = (first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then_some(0..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Wrong> {
        expand_text(text, &|name| (name == "PORT").then(|| "9000".into()))
    }

    #[test]
    fn names_are_replaced_and_doubled_dollars_are_not() {
        assert_eq!(expanded("a:${PORT}/${PORT}").as_deref(), Ok("a:9000/9000"));
        assert_eq!(
            expanded("$${PORT} $PORT $").as_deref(),
            Ok("${PORT} $PORT $")
        );
        assert_eq!(expanded("${HOME}"), Err(Wrong::Unset("HOME".into())));
        for bad in ["${", "${}", "${a b}", "${1a}", "x${é}"] {
            assert_eq!(expanded(bad), Err(Wrong::Malformed), "{bad}");
        }
    }
}
