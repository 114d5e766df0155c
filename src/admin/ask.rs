//! What a request asks: its body, its query and the names in its path, each read strictly, and
//! what is wrong with them said in the form of all errors.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::admin::answer::Refusal;
use crate::admin::guard::{BODY_CAP, too_large};

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The whole body, as it came: at most 1 MiB, within 10 s.
#[derive(Debug)]
pub(super) struct Whole(pub(super) Bytes);

/// The body as a JSON object; no body is an empty one. `T` denies unknown fields.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

/// The query; `T` denies unknown fields.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

/// What stands in the path where the route has `{…}`.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let whole = Limited::new(request.into_body(), BODY_CAP).collect();
        match tokio::time::timeout(BODY_TIME, whole).await {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(error)) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("the body broke off: {error}"),
                "send it whole",
            )),
            Err(_) => Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body took longer than 10 s",
                "send it whole",
            )),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Object<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let Whole(body) = Whole::from_request(request, state).await?;
        object(&body).map(Self)
    }
}

/// Reads a JSON object; nothing at all is an empty one.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    // serde would take a list for a struct too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "the body is no JSON object",
            "send an object, or no body; /openapi.json says what may stand in it",
        ));
    }
    serde_json::from_slice(body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body cannot be understood: {error}"),
            "/openapi.json says what may stand in it",
        )
    })
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        use axum::extract::Query as Inner;
        let read = Inner::<T>::from_request_parts(parts, state).await;
        read.map(|Inner(query)| Self(query)).map_err(|rejection| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                rejection.body_text(),
                "/openapi.json says what may be asked",
            )
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        use axum::extract::Path as Inner;
        let read = Inner::<T>::from_request_parts(parts, state).await;
        read.map(|Inner(path)| Self(path)).map_err(|rejection| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                rejection.body_text(),
                "write names in UTF-8, percent-encoded",
            )
        })
    }
}

/// Runs what may wait for the disk beside this thread, so that others are answered meanwhile.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::bug(error.to_string()))
}

/// How much of what may wait for the disk, or takes long, is done at once. What waits for its turn
/// holds no thread: however many ask, there is one for the others.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    pub(super) halts: Turn,
    pub(super) probes: Turn,
    pub(super) reloads: Turn,
}

/// The turns of one kind of work.
#[derive(Clone, Debug)]
pub(super) struct Turn(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self {
            halts: Turn::of(2),
            probes: Turn::of(2),
            reloads: Turn::of(1),
        }
    }
}

impl Turn {
    fn of(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// As [`on_disk`], when it is its turn.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(|error| Refusal::bug(error.to_string()))?;
        on_disk(move || {
            // Held by the work, which goes on where who asked has left.
            let _turn = turn;
            work()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use tokio::task::JoinSet;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Order {
        reason: Option<String>,
    }

    #[test]
    fn a_body_is_an_object_and_a_mistake_in_it_has_a_place() {
        assert_eq!(object(b""), Ok(Order::default()));
        assert_eq!(
            object(b" {\"reason\": \"why\"}"),
            Ok(Order {
                reason: Some("why".to_owned())
            })
        );
        for (body, said) in [
            (&b"[\"why\"]"[..], "no JSON object"),
            (b"null", "no JSON object"),
            (b" ", "no JSON object"),
            (b"{\"reason\": 1}", "line 1 column 12"),
            (
                b"{\n\"cause\": 1}",
                "unknown field `cause`, expected `reason` at line 2 column 7",
            ),
            (b"{\"reason\": \"a\", \"reason\": \"b\"}", "duplicate field"),
            (b"{} {}", "trailing characters at line 1 column 4"),
            (b"{\"reason\": \"\xff\"}", "line 1 column"),
        ] {
            let refusal = object::<Order>(body).unwrap_err();
            assert!(refusal.error.contains(said), "{refusal:?}");
        }
    }

    #[tokio::test]
    async fn what_waits_for_its_turn_holds_no_thread_and_what_was_left_keeps_its_own() {
        let turn = Turn::of(1);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let mut hung = JoinSet::new();
        let of_hung = turn.clone();
        hung.spawn(async move { of_hung.on_disk(move || wait.recv().is_ok()).await });
        while turn.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        // Who asked leaves; the work goes on, and nobody takes its place.
        hung.shutdown().await;
        let mut next = Box::pin(turn.on_disk(|| 7));
        assert!(futures_util::poll!(&mut next).is_pending());
        assert_eq!(on_disk(|| 8).await, Ok(8));
        assert!(futures_util::poll!(&mut next).is_pending());
        go.send(()).unwrap();
        assert_eq!(next.await, Ok(7));
    }
}
