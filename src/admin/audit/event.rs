//! What became of a request, and which of those that only read are told too.

use http::StatusCode;

/// What became of a request, as the audit log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Event {
    Changed,
    /// For a cause that is ours.
    Failed,
    /// For one that is the caller's.
    Refused,
}

impl Event {
    /// `None`: neither done nor refused.
    pub(in crate::admin) fn of(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            200..300 => Some(Self::Changed),
            400..500 => Some(Self::Refused),
            500.. => Some(Self::Failed),
            _ => None,
        }
    }

    pub(in crate::admin) const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// Whether a status says that the caller is not wanted, rather than that what it asks is wrong.
/// Those of reads are told too.
pub(in crate::admin) const fn denies(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    )
}
