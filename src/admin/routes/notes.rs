//! `/notes`: marks on the time line.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::answer::{Refusal, json};
use crate::admin::ask::Object;
use crate::control::{Handle, Note};

/// The last hundred notes, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Notes {
    pub notes: Vec<Note>,
}

/// What to note.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteOrder {
    /// 1 to 1,000 characters.
    pub text: String,
}

/// The last hundred notes.
#[utoipa::path(get, path = "/notes", responses((status = OK, body = Notes)))]
pub(in crate::admin) async fn notes(State(handle): State<Handle>) -> Response {
    let notes = handle.notes();
    json(StatusCode::OK, &Notes { notes })
}

/// Marks the time line: the note is kept, and stands in the decision log.
#[utoipa::path(
    post,
    path = "/notes",
    request_body = NoteOrder,
    responses(
        (status = CREATED, body = Note),
        (status = UNPROCESSABLE_ENTITY, description = "It says nothing, or too much.", body = Refusal),
    )
)]
pub(in crate::admin) async fn note(
    State(handle): State<Handle>,
    Object(order): Object<NoteOrder>,
) -> Result<Response, Refusal> {
    let note = handle.note(&order.text).map_err(|error| {
        let help = "send {\"text\": \"deployed 1.4.2\"}";
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string(), help)
    })?;
    Ok(json(StatusCode::CREATED, &note))
}
