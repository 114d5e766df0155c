//! What can be asked.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::admin::answer::{Refusal, json, with_type};
use crate::admin::guard::{Access, BODY_CAP, guard, too_large};
use crate::control::{Halt, Handle};
use crate::record::{TextFormat, expose};

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The routes of the admin listener.
pub(super) fn admin(handle: Handle, access: Access) -> Router {
    let routes = Router::new()
        .route("/halt", post(halt))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/readyz", get(readyz))
        .route("/resume", post(resume))
        .route("/status", get(status));
    guarded(routes, handle, access)
}

/// The routes of the health listener, which anybody may ask: nothing of rules and faults.
pub(super) fn health(handle: Handle) -> Router {
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(open_metrics))
        .route("/readyz", get(readyz));
    guarded(routes, handle, Access::Any)
}

fn guarded(routes: Router<Handle>, handle: Handle, access: Access) -> Router {
    routes
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .with_state(handle)
        // Last, so that it stands before every route and both fallbacks.
        .layer(middleware::from_fn_with_state(access, guard))
}

async fn status(State(handle): State<Handle>) -> Response {
    json(StatusCode::OK, &handle.status())
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

async fn healthz() -> Response {
    json(StatusCode::OK, &Health { status: "ok" })
}

async fn readyz(State(handle): State<Handle>) -> Response {
    let (code, status) = if handle.ready() {
        (StatusCode::OK, "ready")
    } else if handle.draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    };
    json(code, &Health { status })
}

async fn metrics(State(handle): State<Handle>, headers: HeaderMap) -> Response {
    exposition(&handle, &headers, true)
}

async fn open_metrics(State(handle): State<Handle>, headers: HeaderMap) -> Response {
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
        Err(error) => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the metrics could not be written: {error}"),
            "this is a bug in hormesis: please report it",
        )
        .into_response(),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HaltOrder {
    reason: Option<String>,
}

#[derive(Serialize)]
struct HaltAnswer {
    halted: Option<Halt>,
    /// Present where the change will not outlive this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

async fn halt(State(handle): State<Handle>, request: Request) -> Result<Response, Refusal> {
    let body = read(request.into_body()).await?;
    let order: HaltOrder = object(&body, r#"send {"reason": "why"}, or no body"#)?;
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

async fn resume(State(handle): State<Handle>, request: Request) -> Result<Response, Refusal> {
    let body = read(request.into_body()).await?;
    let Empty {} = object(&body, "send no body, or {}")?;
    let answer = on_disk(move || {
        handle.resume().map(|_| HaltAnswer {
            halted: handle.halted(),
            warning: None,
        })
    })
    .await?;
    let answer = answer.map_err(|error| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("still halted: {error}"),
            "make the state directory writable, and resume again",
        )
    })?;
    Ok(json(StatusCode::OK, &answer))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

async fn no_such_route(uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("there is no {}", uri.path()),
        "there are /healthz, /readyz, /metrics, and on the admin listener /status, /halt and /resume",
    )
}

async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
        "/halt and /resume take POST, all others GET",
    )
}

/// Reads a body as a JSON object; no body is an empty one.
fn object<T: DeserializeOwned>(body: &[u8], help: &str) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    // By way of a map: serde would take a list for a struct too.
    let read = serde_json::from_slice::<Map<String, Value>>(body)
        .and_then(|map| T::deserialize(Value::Object(map)));
    read.map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body cannot be understood: {error}"),
            help,
        )
    })
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, BODY_CAP).collect();
    match tokio::time::timeout(BODY_TIME, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body broke off: {error}"),
            "send it whole",
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body took longer than 10 s",
            "send it whole",
        )),
    }
}

/// Runs what may wait for the disk beside this thread, so that others are answered meanwhile.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string(),
            "this is a bug in hormesis: please report it",
        )
    })
}
