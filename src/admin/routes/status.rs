//! `GET /status`: everything about this sidecar at one moment.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::admin::answer::json;
use crate::control::{Handle, Status};

/// Everything about this sidecar at one moment.
#[utoipa::path(get, path = "/status", responses((status = OK, body = Status)))]
pub(in crate::admin) async fn status(State(handle): State<Handle>) -> Response {
    json(StatusCode::OK, &handle.status())
}
