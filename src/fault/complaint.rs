//! What is wrong with a table whose fields are each fine by themselves.

use std::fmt;

/// One thing that makes no sense, and what would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The field as a dotted path from the table that was checked: `nth`, `faults[0].delay.at`.
    /// Empty: the table itself.
    pub field: String,
    pub message: String,
    pub help: String,
}

impl Complaint {
    pub fn new(
        field: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// The same complaint, seen from the table that holds this one under `outer`.
    #[must_use]
    pub fn under(mut self, outer: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => outer.to_owned(),
            inner => format!("{outer}.{inner}"),
        };
        self
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{} ({})", self.message, self.help)
    }
}

/// `Ok(value)` where nothing was complained of.
pub(crate) fn unless<T>(complaints: Vec<Complaint>, value: T) -> Result<T, Vec<Complaint>> {
    if complaints.is_empty() {
        Ok(value)
    } else {
        Err(complaints)
    }
}
