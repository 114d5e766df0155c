//! `GET /healthz` and `GET /readyz`: whether the process lives, and whether it takes calls.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::answer::json;
use crate::control::Handle;

/// What a health check reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    pub status: Condition,
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Ok,
    Ready,
    Starting,
    Draining,
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", responses((status = OK, body = Health)))]
pub(in crate::admin) async fn healthz() -> Response {
    told(StatusCode::OK, Condition::Ok)
}

/// It takes calls: every listener is bound and nothing drains.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = OK, body = Health),
        (status = SERVICE_UNAVAILABLE, description = "It does not take calls, yet or any more.", body = Health),
    )
)]
pub(in crate::admin) async fn readyz(State(handle): State<Handle>) -> Response {
    if handle.ready() {
        told(StatusCode::OK, Condition::Ready)
    } else if handle.draining() {
        told(StatusCode::SERVICE_UNAVAILABLE, Condition::Draining)
    } else {
        told(StatusCode::SERVICE_UNAVAILABLE, Condition::Starting)
    }
}

fn told(code: StatusCode, status: Condition) -> Response {
    json(code, &Health { status })
}
