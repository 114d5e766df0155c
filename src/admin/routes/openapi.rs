//! `GET /openapi.json`: this API, described for programs.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::admin::answer::with_type;
use crate::admin::api::Document;

/// This API as an `OpenAPI` document.
#[utoipa::path(get, path = "/openapi.json", responses((status = OK, body = serde_json::Value)))]
pub(in crate::admin) async fn document(State(document): State<Document>) -> Response {
    with_type(
        StatusCode::OK,
        "application/json",
        document.text(super::all),
    )
}
