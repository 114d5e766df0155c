//! `POST /halt` and `POST /resume`: every fault ends, and none begins until it is resumed.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::admin::answer::{Refusal, json};
use crate::admin::ask::{Object, Turns};
use crate::control::{Cause, Halt, Handle, ResumeError};

/// How long an answer waits for the disk: whoever halts wants to know that it is done.
const KEEP_TIME: Duration = Duration::from_secs(2);

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
    State(turns): State<Turns>,
    Object(order): Object<HaltOrder>,
) -> Result<Response, Refusal> {
    let reason = order
        .reason
        .unwrap_or_else(|| "ordered by the admin API".to_owned());
    // The deed on this thread: it waits for nothing, not even for one that waits for the disk.
    handle.halt_now(&reason, Cause::Order);
    let of_disk = handle.clone();
    let kept = turns.halts.on_disk(move || of_disk.keep_halt());
    let warning = match timeout(KEEP_TIME, kept).await {
        Ok(kept) => match kept? {
            Err(error) => Some(format!("{error}: it holds, but not over a restart")),
            Ok(()) if handle.keeps_halts() => None,
            Ok(()) => Some("there is no `state_dir`: it holds, but not over a restart".to_owned()),
        },
        Err(_) => Some(
            "the state directory does not answer: it holds, but perhaps not over a restart"
                .to_owned(),
        ),
    };
    let answer = HaltAnswer {
        halted: handle.halted(),
        warning,
    };
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
    State(turns): State<Turns>,
    Object(Nothing {}): Object<Nothing>,
) -> Result<Response, Refusal> {
    let resume = move || {
        handle.resume().map(|_| HaltAnswer {
            halted: handle.halted(),
            warning: None,
        })
    };
    let answer = turns.halts.on_disk(resume).await?;
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
