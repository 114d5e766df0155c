//! `POST /halt` and `POST /resume`: every fault ends, and none begins until it is resumed.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::answer::{Refusal, json};
use crate::admin::ask::{Object, on_disk};
use crate::control::{Halt, Handle, ResumeError};

/// Why to halt.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HaltOrder {
    /// Shown wherever the halt is.
    pub reason: Option<String>,
}

/// The halt that holds, or `null`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HaltAnswer {
    pub halted: Option<Halt>,
    /// Present where the change will not outlive this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Takes nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Ends every fault, waiting ones included, and lets no other begin until it is resumed.
#[utoipa::path(post, path = "/halt", request_body = Option<HaltOrder>, responses((status = OK, body = HaltAnswer)))]
pub(in crate::admin) async fn halt(
    State(handle): State<Handle>,
    Object(order): Object<HaltOrder>,
) -> Result<Response, Refusal> {
    let reason = order
        .reason
        .unwrap_or_else(|| "ordered by the admin API".to_owned());
    let answer = on_disk(move || {
        let result = handle.halt(&reason);
        HaltAnswer {
            halted: handle.halted(),
            warning: result
                .err()
                .map(|error| format!("{error}: it holds, but not over a restart")),
        }
    })
    .await?;
    Ok(json(StatusCode::OK, &answer))
}

/// Lets faults act again on calls to come.
#[utoipa::path(
    post,
    path = "/resume",
    request_body = Option<Nothing>,
    responses(
        (status = OK, body = HaltAnswer),
        (status = CONFLICT, description = "`[safety] halt_file` is there.", body = Refusal),
    )
)]
pub(in crate::admin) async fn resume(
    State(handle): State<Handle>,
    Object(Nothing {}): Object<Nothing>,
) -> Result<Response, Refusal> {
    let answer = on_disk(move || {
        handle.resume().map(|_| HaltAnswer {
            halted: handle.halted(),
            warning: None,
        })
    })
    .await?;
    let answer = answer.map_err(|error| match &error {
        ResumeError::HaltFile(file) => Refusal::new(
            StatusCode::CONFLICT,
            format!("still halted: {error}"),
            format!("rm {}, and resume again", file.display()),
        ),
        ResumeError::State(_) => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("still halted: {error}"),
            "make the state directory writable, and resume again",
        ),
    })?;
    Ok(json(StatusCode::OK, &answer))
}
