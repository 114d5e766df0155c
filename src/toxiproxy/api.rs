//! From a request to an answer: routes, the traps around them, and what Toxiproxy's server does
//! before any of its handlers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::admin::check_site;
use crate::control::Handle;
use crate::snapshot::ToxiproxySettings;

use super::answer::{Answer, ApiError, empty, text_error, with_type};
use super::ids::RequestIds;
use super::metrics;
use super::route::{Route, cleaned, plain};

/// What the API says it is: clients choose by it between POST and PATCH.
pub const VERSION: &str = "2.12.0";

/// After this an answer is not waited for any more.
const CUT: Duration = Duration::from_secs(25);
/// What Go sends then.
const TIMED_OUT: &str =
    "<html><head><title>Timeout</title></head><body><h1>Timeout</h1></body></html>";
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(15);
/// The largest body: several thousand proxies.
const BODY_CAP: usize = 1 << 20;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-toxiproxy-request-id");

/// The API on a running sidecar. Clones are the same.
#[derive(Clone)]
pub(super) struct Api(Arc<Inner>);

struct Inner {
    handle: Handle,
    settings: ToxiproxySettings,
    ids: RequestIds,
    /// Held while proxies come, go or change, a name that has to be resolved included: what
    /// `populate` has looked at stays so until it is done.
    proxies: Mutex<()>,
    /// Held while toxics are changed, so that of two changes to one none is lost.
    toxics: Mutex<Streams>,
}

/// The `stream` of toxics as it was sent, by proxy and toxic, where that is not how it is usually
/// written: clients see it again.
pub(super) type Streams = BTreeMap<(String, String), String>;

impl Api {
    pub(super) fn new(handle: Handle, settings: ToxiproxySettings) -> Self {
        Self(Arc::new(Inner {
            handle,
            settings,
            ids: RequestIds::new(),
            proxies: Mutex::new(()),
            toxics: Mutex::default(),
        }))
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.0.handle
    }

    pub(super) fn settings(&self) -> &ToxiproxySettings {
        &self.0.settings
    }

    pub(super) fn proxies_lock(&self) -> MutexGuard<'_, ()> {
        lock(&self.0.proxies)
    }

    pub(super) fn toxics_lock(&self) -> MutexGuard<'_, Streams> {
        lock(&self.0.toxics)
    }

    pub(super) fn router(self) -> Router {
        // One handler for all: Toxiproxy's router works on paths without their escapes.
        Router::new().fallback(answer).with_state(self)
    }

    /// What a route does. It may wait for names to be resolved.
    fn carry_out(&self, route: &Route, method: &Method, body: &[u8]) -> Result<Answer, ApiError> {
        match (route, method.as_str()) {
            (Route::Populate, _) => Ok(self.populate(body)),
            (Route::Proxies, "GET") => Ok(self.list_proxies()),
            (Route::Proxies, _) => self.create_proxy(body),
            (Route::Proxy(proxy), "GET") => self.show_proxy(proxy),
            (Route::Proxy(proxy), "DELETE") => self.delete_proxy(proxy),
            (Route::Proxy(proxy), _) => self.update_proxy(proxy, body),
            (Route::Reset, _) => self.reset(),
            (Route::Toxic(proxy, toxic), "GET") => self.show_toxic(proxy, toxic),
            (Route::Toxic(proxy, toxic), "DELETE") => self.delete_toxic(proxy, toxic),
            (Route::Toxic(proxy, toxic), _) => self.update_toxic(proxy, toxic, body),
            (Route::Toxics(proxy), "GET") => self.list_toxics(proxy),
            (Route::Toxics(proxy), _) => self.create_toxic(proxy, body),
            // Answered without waiting for anything.
            (Route::Metrics | Route::Version, _) => Ok(Answer::nothing()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left nothing half done: each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(api): State<Api>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if check_site(&head.headers).is_err() {
        return text_error(StatusCode::FORBIDDEN, "requests of web pages are refused");
    }
    let path = plain(head.uri.path());
    if let Some(location) = cleaned(&path, head.uri.query()) {
        return moved(&location);
    }
    let route = Route::of(&path).filter(|it| *it != Route::Metrics || metrics::any(api.settings()));
    let Some(route) = route else {
        return text_error(StatusCode::NOT_FOUND, "404 page not found");
    };
    if !route.takes(&head.method) {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let id = api.0.ids.next();
    tracing::debug!(method = %head.method, %path, request_id = %id, "Toxiproxy API");
    let mut response = if is_browser(&head.headers) {
        text_error(StatusCode::FORBIDDEN, "User agent not allowed")
    } else {
        let answered = timeout(CUT, routed(api, route, head.method, body)).await;
        answered.unwrap_or_else(|_| timed_out())
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

async fn routed(api: Api, route: Route, method: Method, body: Body) -> Response {
    match route {
        Route::Metrics => return metrics::answer(&api),
        Route::Version => return version(),
        _ => {}
    }
    let body = if route.reads(&method) {
        match read(body).await {
            Ok(body) => body,
            Err(error) => return error.into_response(),
        }
    } else {
        Bytes::new()
    };
    // Beside this thread: a name that nobody resolves must not keep others from an answer.
    let done = tokio::task::spawn_blocking(move || api.carry_out(&route, &method, &body)).await;
    match done {
        Ok(answer) => answer.into_response(),
        Err(error) => {
            tracing::error!(%error, "a request of the Toxiproxy API was not carried out");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    let whole = Limited::new(body, BODY_CAP).collect();
    match timeout(BODY_TIME, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "bad request body: larger than 1 MiB",
        )),
        Ok(Err(_)) => Err(ApiError::bad_body("unexpected EOF")),
        Err(_) => Err(ApiError::bad_body("i/o timeout")),
    }
}

/// Toxiproxy keeps browsers out by what they call themselves.
fn is_browser(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .is_some_and(|it| it.as_bytes().starts_with(b"Mozilla/"))
}

fn version() -> Response {
    with_type(
        StatusCode::OK,
        "application/json;charset=utf-8",
        format!("{{\"version\": \"{VERSION}\"}}\n"),
    )
}

fn timed_out() -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    with_type(status, "text/html; charset=utf-8", TIMED_OUT)
}

fn moved(location: &str) -> Response {
    let mut response = empty(StatusCode::MOVED_PERMANENTLY);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_told_as_go_tells_it() {
        let response = timed_out();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        // As it was seen in logs of Toxiproxy.
        assert_eq!(TIMED_OUT.len(), 77);
    }
}
