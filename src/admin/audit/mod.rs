//! The audit log: who changed what, and who was refused. JSON Lines, each with the digest of
//! itself and of the one before (`chain.rs`), so that a line cannot be changed, taken out or put in
//! without every line behind it. A thread of its own writes; serving never waits for it.

mod chain;
mod event;
mod verify;
mod writer;

use serde::Serialize;
use serde_json::Value;

use crate::admin::peer::End;

pub(super) use event::{Event, denies};
pub use verify::{Broken, Verified, verify};
pub(super) use writer::{Audit, AuditThread};

/// What one line tells, beside its place in the chain.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Entry {
    pub(super) event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// What else is worth knowing of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<Value>,
}

impl Entry {
    pub(super) fn new(event: &'static str) -> Self {
        Self {
            event,
            ..Self::default()
        }
    }

    pub(super) fn started() -> Self {
        Self {
            pid: Some(std::process::id().cast_signed()),
            detail: Some(serde_json::json!({ "version": env!("CARGO_PKG_VERSION") })),
            ..Self::new("started")
        }
    }

    pub(super) fn of(event: &'static str, end: End) -> Self {
        let mut entry = Self::new(event);
        match end {
            End::Tcp(address) => entry.peer = Some(address.to_string()),
            End::Unix { uid, pid } => {
                entry.peer = Some("unix".to_owned());
                entry.uid = Some(uid);
                entry.pid = pid;
            }
        }
        entry
    }
}
