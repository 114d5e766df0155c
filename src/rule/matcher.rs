//! What a value must be: a text, a list of them, a regex, a range, or anything but.

mod text;

use globset::GlobBuilder;
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub use text::{HostMatcher, PathMatcher, TextMatcher};

/// A value that a rule asks about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// From the request body: matched by its JSON type.
    Json(&'a Value),
    /// From the wire: may be read as a number or a boolean.
    Text(&'a [u8]),
}

/// A condition on a value. Valid by construction; keeps its text, so that it can be shown again.
#[derive(Clone, Debug)]
pub enum Matcher {
    Any(Vec<Self>),
    Bool(bool),
    /// A text with `*`, `?`, `[…]` or `{…}`; a backslash takes their meaning.
    Glob(Pattern),
    Not(Box<Self>),
    Number(f64),
    Range(Range),
    /// Found anywhere in the value; `^` and `$` anchor it.
    Regex(Pattern),
    Text(Box<str>),
}

/// A compiled pattern with the text that it came from.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Box<str>,
    regex: Regex,
}

impl Pattern {
    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// Numbers from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
}

impl Range {
    pub fn contains(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// What a text is, for what its wildcards stop at and whether letters have case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Case does not count.
    Host,
    /// `*` stops at `/`, `**` does not.
    Path,
    Text,
}

impl Matcher {
    /// Whether the values that a call has under one name (a header can have several) satisfy the
    /// condition: one of them must, and for `not` none may.
    pub fn holds(&self, subjects: &[Subject<'_>]) -> bool {
        match self {
            Self::Any(matchers) => matchers.iter().any(|it| it.holds(subjects)),
            Self::Not(matcher) => !matcher.holds(subjects),
            leaf => subjects.iter().any(|subject| leaf.fits(*subject)),
        }
    }

    fn fits(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Any(_) | Self::Not(_) => self.holds(&[subject]),
            Self::Bool(want) => subject.as_bool() == Some(*want),
            Self::Number(want) => subject
                .as_number()
                .is_some_and(|value| value.total_cmp(want).is_eq()),
            Self::Range(range) => subject
                .as_number()
                .is_some_and(|value| range.contains(value)),
            Self::Glob(pattern) | Self::Regex(pattern) => subject
                .as_text()
                .is_some_and(|text| pattern.regex.is_match(text)),
            Self::Text(want) => subject.as_text() == Some(want.as_bytes()),
        }
    }

    /// A text as a user writes it: exact, or a glob where it has wildcards.
    pub(super) fn from_text(text: &str, style: Style) -> Result<Self, String> {
        if !text.contains(['*', '?', '[', '{']) {
            return Ok(Self::Text(match style {
                Style::Host => text.to_ascii_lowercase().into(),
                Style::Path | Style::Text => text.into(),
            }));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(style == Style::Path)
            .backslash_escape(true)
            .build()
            .map_err(|error| {
                format!(
                    "{text:?} is no pattern: {}. A backslash takes the meaning of * ? [ and {{",
                    error.kind()
                )
            })?;
        // As globset itself does: a wildcard also stands for a line break.
        Self::pattern(text, &format!("(?s){}", glob.regex()), style)
            .map(Self::Glob)
            .map_err(|_| format!("the pattern {text:?} is too large: write a shorter one"))
    }

    fn from_regex(text: &str, style: Style) -> Result<Self, String> {
        Self::pattern(text, text, style)
            .map(Self::Regex)
            .map_err(|error| format!("{text:?} is no regex: {error}"))
    }

    fn pattern(source: &str, regex: &str, style: Style) -> Result<Pattern, regex::Error> {
        // Flags stand in the text, so that it can join a set with others.
        let flags = if style == Style::Host { "(?i)" } else { "" };
        Ok(Pattern {
            source: source.into(),
            regex: Regex::new(&format!("{flags}{regex}"))?,
        })
    }
}

impl<'a> Subject<'a> {
    fn as_text(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(value) => value.as_str().map(str::as_bytes),
        }
    }

    fn as_number(self) -> Option<f64> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
            Self::Json(value) => value.as_f64(),
        }
    }

    fn as_bool(self) -> Option<bool> {
        match self {
            Self::Text(b"true") => Some(true),
            Self::Text(b"false") => Some(false),
            Self::Text(_) => None,
            Self::Json(value) => value.as_bool(),
        }
    }
}

/// By what the user wrote.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any(one), Self::Any(other)) => one == other,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Glob(one), Self::Glob(other)) => one == other,
            (Self::Not(one), Self::Not(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other).is_eq(),
            (Self::Range(one), Self::Range(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            _ => false,
        }
    }
}
