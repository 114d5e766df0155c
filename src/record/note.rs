//! A mark on the time line, for who reads the decision log afterwards.

use std::time::SystemTime;

use serde::Serialize;

use crate::record::line::{ToLine, rfc3339};

/// What somebody noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteLine {
    pub time: SystemTime,
    pub text: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct NoteForm<'a> {
    kind: &'static str,
    time: String,
    text: &'a str,
}

impl ToLine for NoteLine {
    type Line<'a> = NoteForm<'a>;

    fn to_line(&self) -> NoteForm<'_> {
        NoteForm {
            kind: "note",
            time: rfc3339(self.time),
            text: &self.text,
        }
    }
}
