//! `GET /metrics`: the figures for Prometheus.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

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
    exposition(&handle, &headers, true)
}

/// The same without anything of rules and faults.
pub(in crate::admin) async fn without_faults(
    State(handle): State<Handle>,
    headers: HeaderMap,
) -> Response {
    exposition(&handle, &headers, false)
}

fn exposition(handle: &Handle, headers: &HeaderMap, faults: bool) -> Response {
    let wants_open = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("application/openmetrics-text"));
    let format = if wants_open {
        TextFormat::OpenMetrics
    } else {
        TextFormat::Prometheus
    };
    match expose(handle.scrape(), format, faults) {
        Ok(text) => with_type(StatusCode::OK, format.content_type(), text),
        Err(error) => {
            Refusal::bug(format!("the metrics could not be written: {error}")).into_response()
        }
    }
}
