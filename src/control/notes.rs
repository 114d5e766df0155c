//! Notes: marks that people and programs set on the time line.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Handle, lock};
use crate::record::{NoteLine, RecordSender, rfc3339};

/// So many are kept.
const MOST: usize = 100;
/// Longer ones are refused: a note is a mark, not a report.
const LONGEST: usize = 1000;

/// A mark on the time line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// RFC 3339, UTC.
    pub at: String,
    pub text: String,
}

/// Why a note was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("a note says something")]
    Empty,
    #[error("a note has {LONGEST} characters at most")]
    TooLong,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    kept: VecDeque<Note>,
    /// Absent where no decision log is written.
    log: Option<Mutex<RecordSender>>,
}

impl Handle {
    /// Where notes are written, beside being kept.
    pub fn set_log(&self, log: RecordSender) {
        self.state().notes.log = Some(Mutex::new(log));
    }

    /// Sets a mark.
    ///
    /// # Errors
    /// Where it says nothing, or too much.
    pub fn note(&self, text: &str) -> Result<Note, NoteError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NoteError::Empty);
        }
        if text.chars().nth(LONGEST).is_some() {
            return Err(NoteError::TooLong);
        }
        let time = SystemTime::now();
        let note = Note {
            at: rfc3339(time),
            text: text.to_owned(),
        };
        let mut state = self.state();
        let notes = &mut state.notes;
        if notes.kept.len() == MOST {
            notes.kept.pop_front();
        }
        notes.kept.push_back(note.clone());
        if let Some(log) = &notes.log {
            lock(log).send_note(NoteLine {
                time,
                text: text.to_owned(),
            });
        }
        Ok(note)
    }

    /// The last hundred, oldest first.
    pub fn notes(&self) -> Vec<Note> {
        self.state().notes.kept.iter().cloned().collect()
    }
}
