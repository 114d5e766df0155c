//! What is wrong with an expression, and where.

use std::fmt;
use std::ops::Range;

/// One thing wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the expression; empty at its end where something is missing.
    pub span: Range<usize>,
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl Mistake {
    pub(super) fn new(
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            span,
            message: message.into(),
            help: help.into(),
        }
    }

    /// The column of the place in its expression, from 1, in characters.
    pub fn column(&self, expression: &str) -> usize {
        let before = expression.get(..self.span.start).unwrap_or(expression);
        before.chars().count() + 1
    }

    /// The expression on a line, and below it the place pointed at.
    pub fn pointed(&self, expression: &str) -> String {
        let line: String = expression
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let place = expression.get(self.span.clone()).unwrap_or_default();
        let carets = place.chars().count().max(1);
        let indent = self.column(expression) - 1;
        format!("{line}\n{:indent$}{}", "", "^".repeat(carets))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}
