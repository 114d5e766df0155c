//! `/config`: what the configuration says, and reading it again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::answer::{Refusal, json};
use crate::admin::ask::{Object, Turns, on_disk};
use crate::admin::routes::Nothing;
use crate::admin::routes::rules::refused;
use crate::control::{Handle, ReloadError, Reloaded};

/// The configuration in force as it was written.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShownConfig {
    /// All files as one; secrets are `***`, and what comes from the environment stays `${NAME}`.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    pub generation: u64,
}

/// A configuration that was read again and is in force.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReloadAnswer {
    pub generation: u64,
    /// Listeners whose sockets are new.
    pub opened: Vec<String>,
    /// Listeners whose sockets are closed.
    pub closed: Vec<String>,
    /// What is worth saying although it kept nothing from taking effect.
    pub warnings: Vec<String>,
}

impl From<Reloaded> for ReloadAnswer {
    fn from(reloaded: Reloaded) -> Self {
        let names = |all: &[Arc<str>]| all.iter().map(Arc::to_string).collect();
        Self {
            generation: reloaded.generation,
            opened: names(&reloaded.opened),
            closed: names(&reloaded.closed),
            warnings: reloaded.warnings,
        }
    }
}

/// The configuration in force as it was written, its secrets masked.
#[utoipa::path(get, path = "/config", responses((status = OK, body = ShownConfig)))]
pub(in crate::admin) async fn config(State(handle): State<Handle>) -> Result<Response, Refusal> {
    let (config, generation) = on_disk(move || handle.shown_config()).await?;
    Ok(json(StatusCode::OK, &ShownConfig { config, generation }))
}

/// Reads the configuration again and puts it in force, or changes nothing.
#[utoipa::path(
    post,
    path = "/config/reload",
    request_body = Option<Nothing>,
    responses(
        (status = OK, body = ReloadAnswer),
        (status = CONFLICT, description = "The configuration is one that is read once, or all drains.", body = Refusal),
        (status = UNPROCESSABLE_ENTITY, description = "All that is wrong with it; the one before stays in force.", body = Refusal),
    )
)]
pub(in crate::admin) async fn reload(
    State(handle): State<Handle>,
    State(turns): State<Turns>,
    Object(Nothing {}): Object<Nothing>,
) -> Result<Response, Refusal> {
    let reloaded = turns.reloads.on_disk(move || handle.reload()).await??;
    Ok(json(StatusCode::OK, &ReloadAnswer::from(reloaded)))
}

impl From<ReloadError> for Refusal {
    fn from(error: ReloadError) -> Self {
        let said = error.to_string();
        match error {
            ReloadError::Config(problems) => refused("the configuration is wrong", &problems),
            ReloadError::Bind(error) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                said,
                error.help().unwrap_or("give the listener another address"),
            ),
            ReloadError::Sockets(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                said,
                "raise the limit of open files (ulimit -n)",
            ),
            ReloadError::Draining => Self::new(
                StatusCode::CONFLICT,
                said,
                "ask the sidecar that takes its place",
            ),
            ReloadError::Once(_) => Self::new(
                StatusCode::CONFLICT,
                said,
                "start it with files: hormesis run FILE",
            ),
        }
    }
}
