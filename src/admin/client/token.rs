//! The token that a client shows. One that the sidecar left behind at its start is looked for again
//! when it is refused, since the next start leaves another; and what may need none is asked without.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::InvalidHeaderValue;
use http::{HeaderValue, Method, Request};

/// Looks for the token that a sidecar left behind.
pub type FindToken = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Clones show the same token.
#[derive(Clone, Default)]
pub(super) struct Token(Arc<Inner>);

#[derive(Default)]
struct Inner {
    source: Source,
    shown: Mutex<Option<HeaderValue>>,
    left_out: AtomicBool,
}

#[derive(Default)]
enum Source {
    #[default]
    None,
    /// Somebody says that it is the right one: where it is from.
    Named(String),
    Found(FindToken),
}

impl Token {
    pub(super) fn named(token: &str, from: String) -> Result<Self, InvalidHeaderValue> {
        let shown = bearer(token)?;
        Ok(Self::of(Source::Named(from), Some(shown)))
    }

    pub(super) fn found(find: FindToken) -> Self {
        let shown = found(&find);
        Self::of(Source::Found(find), shown)
    }

    fn of(source: Source, shown: Option<HeaderValue>) -> Self {
        Self(Arc::new(Inner {
            source,
            shown: Mutex::new(shown),
            left_out: AtomicBool::new(false),
        }))
    }

    pub(super) fn shown(&self) -> Option<HeaderValue> {
        let shown = self.0.shown.lock();
        shown.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This one was not refused.
    pub(super) fn show(&self, token: Option<HeaderValue>) {
        let shown = self.0.shown.lock();
        *shown.unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Another one than that which was refused.
    pub(super) fn other_than(&self, refused: Option<&HeaderValue>) -> Option<HeaderValue> {
        match &self.0.source {
            Source::Found(find) => found(find).filter(|it| Some(it) != refused),
            Source::None | Source::Named(_) => None,
        }
    }

    /// Whether a request may be made without the token that was refused. A halt always: it must
    /// work. What is read only where nobody named a token, who would take it for the right one.
    pub(super) fn may_be_left_out<B>(&self, request: &Request<B>) -> bool {
        let halts = request.method() == Method::POST && request.uri().path() == "/halt";
        match &self.0.source {
            Source::None => false,
            Source::Named(_) => halts,
            Source::Found(_) => halts || request.method() == Method::GET,
        }
    }

    /// A request came through without it.
    pub(super) fn leave_out(&self) {
        match self.0.source {
            Source::Named(_) => self.0.left_out.store(true, Ordering::Relaxed),
            Source::None | Source::Found(_) => self.show(None),
        }
    }

    /// Where the token is from that was named and refused, where it could be done without.
    pub(super) fn left_out(&self) -> Option<&str> {
        self.name()
            .filter(|_| self.0.left_out.load(Ordering::Relaxed))
    }

    /// Where the token is from, where somebody named it.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.0.source {
            Source::Named(from) => Some(from),
            Source::None | Source::Found(_) => None,
        }
    }
}

/// Of the token itself nothing is shown.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What no header can carry is no token.
fn found(find: &FindToken) -> Option<HeaderValue> {
    bearer(&find()?).ok()
}
