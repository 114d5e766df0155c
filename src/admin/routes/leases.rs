//! `/leases`: what hangs on one ends when its owner falls silent.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::answer::{Refusal, json, no_content};
use crate::admin::ask::{Object, Path, on_disk};
use crate::control::{Handle, LeaseError, LeaseView};
use crate::units::Span;

/// All leases.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Leases {
    pub leases: Vec<Lease>,
}

/// A lease as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    pub id: String,
    /// Seconds until it ends, unless it is put again.
    pub expires_in_s: f64,
    /// What ends with it.
    pub rules: Vec<String>,
}

/// How long a lease lasts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseOrder {
    /// 600 ms where it is absent.
    #[schema(value_type = Option<String>, example = "600ms")]
    pub ttl: Option<Span>,
}

impl From<LeaseView> for Lease {
    fn from(view: LeaseView) -> Self {
        Self {
            id: view.id.to_string(),
            expires_in_s: view.expires_in.as_secs_f64(),
            rules: view.rules.iter().map(Arc::to_string).collect(),
        }
    }
}

/// All leases.
#[utoipa::path(get, path = "/leases", responses((status = OK, body = Leases)))]
pub(in crate::admin) async fn leases(State(handle): State<Handle>) -> Response {
    let leases = handle.leases().into_iter().map(Lease::from).collect();
    json(StatusCode::OK, &Leases { leases })
}

/// Makes a lease, or begins its time anew: a sign of life of its owner.
#[utoipa::path(
    put,
    path = "/leases/{id}",
    params(("id" = String, Path,)),
    request_body = Option<LeaseOrder>,
    responses(
        (status = OK, description = "It was there.", body = Lease),
        (status = CREATED, description = "It is new.", body = Lease),
        (status = UNPROCESSABLE_ENTITY, description = "The id or the time cannot be had.", body = Refusal),
        (status = INSUFFICIENT_STORAGE, description = "There are too many leases.", body = Refusal),
    )
)]
pub(in crate::admin) async fn keep(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    Object(order): Object<LeaseOrder>,
) -> Result<Response, Refusal> {
    let (lease, created) = handle.lease(&id, order.ttl.map(Span::get))?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(json(status, &Lease::from(lease)))
}

/// Ends a lease, and the rules that hang on it.
#[utoipa::path(
    delete,
    path = "/leases/{id}",
    params(("id" = String, Path,)),
    responses(
        (status = NO_CONTENT, description = "It is gone."),
        (status = NOT_FOUND, description = "There is no lease of that id.", body = Refusal),
    )
)]
pub(in crate::admin) async fn end(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let ended = on_disk(move || handle.end_lease(&id)).await?;
    ended.map_err(|error| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            error.to_string(),
            "GET /leases lists them; one that nobody renews is gone by itself",
        )
    })?;
    Ok(no_content())
}

impl From<LeaseError> for Refusal {
    fn from(error: LeaseError) -> Self {
        let said = error.to_string();
        let (status, help) = match error {
            LeaseError::Time { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "give a time like \"600ms\", and put the lease three times in that time",
            ),
            LeaseError::Id => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "write it like \"runner-7\"",
            ),
            LeaseError::TooMany => (
                StatusCode::INSUFFICIENT_STORAGE,
                "end those that are not needed any more",
            ),
        };
        Self::new(status, said, help)
    }
}
