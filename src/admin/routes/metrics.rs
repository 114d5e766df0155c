//! `GET /metrics`: the figures for Prometheus.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokio::time::Instant;

use crate::admin::answer::{Refusal, with_type};
use crate::control::Handle;
use crate::record::{TextFormat, expose};

/// All figures, as Prometheus text, or as `OpenMetrics` where `Accept` asks for it.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((
        status = OK,
        content(
            (String = "text/plain"),
            (String = "application/openmetrics-text"),
        )
    ))
)]
pub(in crate::admin) async fn metrics(
    State(handle): State<Handle>,
    headers: HeaderMap,
) -> Response {
    let format = format_of(&headers);
    match expose(handle.scrape(), format, true) {
        Ok(text) => with_type(StatusCode::OK, format.content_type(), text),
        Err(error) => failed(&error),
    }
}

/// The same without anything of rules and faults. Anybody may ask, as often as they like: it is made
/// once a second at most, since the thread that makes it answers halts too.
pub(in crate::admin) async fn without_faults(
    State(handle): State<Handle>,
    Extension(kept): Extension<Arc<Kept>>,
    headers: HeaderMap,
) -> Response {
    let format = format_of(&headers);
    if let Some(text) = kept.text(format) {
        return with_type(StatusCode::OK, format.content_type(), text);
    }
    match expose(handle.scrape(), format, false) {
        Ok(text) => {
            let text = Bytes::from(text);
            kept.keep(format, text.clone());
            with_type(StatusCode::OK, format.content_type(), text)
        }
        Err(error) => failed(&error),
    }
}

/// How long figures are told again as they were.
const FRESH: Duration = Duration::from_secs(1);

/// What was told last, in each format.
#[derive(Debug, Default)]
pub(in crate::admin) struct Kept {
    prometheus: Mutex<Option<(Instant, Bytes)>>,
    open_metrics: Mutex<Option<(Instant, Bytes)>>,
}

impl Kept {
    fn of(&self, format: TextFormat) -> MutexGuard<'_, Option<(Instant, Bytes)>> {
        let kept = match format {
            TextFormat::OpenMetrics => &self.open_metrics,
            TextFormat::Prometheus => &self.prometheus,
        };
        kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, format: TextFormat) -> Option<Bytes> {
        let kept = self.of(format);
        let (_, text) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH)?;
        Some(text.clone())
    }

    fn keep(&self, format: TextFormat, text: Bytes) {
        *self.of(format) = Some((Instant::now(), text));
    }
}

fn format_of(headers: &HeaderMap) -> TextFormat {
    let wants_open = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("application/openmetrics-text"));
    if wants_open {
        TextFormat::OpenMetrics
    } else {
        TextFormat::Prometheus
    }
}

fn failed(error: &impl Display) -> Response {
    Refusal::bug(format!("the metrics could not be written: {error}")).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_told_again_for_a_second_in_its_format() {
        let kept = Kept::default();
        assert_eq!(kept.text(TextFormat::Prometheus), None);
        kept.keep(TextFormat::Prometheus, Bytes::from_static(b"a"));
        advance(FRESH * 9 / 10).await;
        let text = kept.text(TextFormat::Prometheus);
        assert_eq!(text.as_deref(), Some(&b"a"[..]));
        assert_eq!(kept.text(TextFormat::OpenMetrics), None);
        advance(FRESH / 10).await;
        assert_eq!(kept.text(TextFormat::Prometheus), None);
    }
}
