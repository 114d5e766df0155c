//! Stands before every route of the admin listener: finds out who asks, refuses what no route may
//! see, and tells the audit log. Which scope a route needs is entered with it (`api.rs`), and
//! whether the caller has it is decided by [`gate`], in this file and nowhere else.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::admin::answer::{Refusal, Said};
use crate::admin::audit::{Audit, Entry, Event, denies};
use crate::admin::backoff::Backoff;
use crate::admin::guard::{Names, check};
use crate::admin::peer::Peer;
use crate::admin::socket::AdminAddress;
use crate::control::Handle;
use crate::snapshot::{AdminAccess, Scope, Scopes, Token};

/// Longer paths are cut in the audit log.
const PATH: usize = 512;
/// Names of what was done in answers that are told in the audit log.
const ON_LOOPBACK: Scopes = Scopes::of(&[Scope::Open, Scope::Read, Scope::Halt]);
const BEYOND: Scopes = Scopes::of(&[Scope::Open]);

#[derive(Debug)]
pub(super) struct Keeper {
    handle: Handle,
    address: AdminAddress,
    /// Counts where no token is configured.
    made: Option<Token>,
    /// What to do without a token, in words.
    help: String,
    wrong: Backoff,
    told: Backoff,
    audit: Audit,
}

/// Who asks, and what they may do.
#[derive(Clone, Debug)]
struct Caller {
    scopes: Scopes,
    token: Shown,
    client: Option<Arc<str>>,
    help: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// One that is nobody's, or something that is no token.
    Wrong,
    Of(Arc<str>),
}

impl Keeper {
    pub(super) fn new(
        handle: Handle,
        address: AdminAddress,
        made: Option<Token>,
        help: String,
        audit: Audit,
    ) -> Self {
        Self {
            handle,
            address,
            made,
            help,
            wrong: Backoff::default(),
            told: Backoff::default(),
            audit,
        }
    }

    pub(super) fn access(&self) -> Arc<AdminAccess> {
        self.handle.admin_access()
    }

    fn names<'a>(&self, access: &'a AdminAccess) -> Names<'a> {
        match &self.address {
            AdminAddress::Unix(_) => Names::Any,
            AdminAddress::Tcp(address) if address.ip().to_canonical().is_loopback() => {
                Names::Loopback(address.port(), &access.hosts)
            }
            AdminAddress::Tcp(_) => Names::Addresses(&access.hosts),
        }
    }

    /// What anybody may do who can connect.
    fn anybody(&self) -> Scopes {
        match &self.address {
            // Its mode is the credential: who may open it is its owner, or root.
            AdminAddress::Unix(_) => Scopes::ALL,
            AdminAddress::Tcp(address) if address.ip().to_canonical().is_loopback() => ON_LOOPBACK,
            AdminAddress::Tcp(_) => BEYOND,
        }
    }

    fn identify(&self, access: &AdminAccess, headers: &HeaderMap, peer: &Peer) -> Caller {
        let mut caller = Caller {
            scopes: self.anybody(),
            token: Shown::Nothing,
            client: None,
            help: self.help.clone(),
        };
        for client in &access.clients {
            if peer.names.iter().any(|it| **it == *client.name) {
                caller.scopes = caller.scopes.and(client.scopes);
                caller
                    .client
                    .get_or_insert_with(|| Arc::clone(&client.name));
            }
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            return caller;
        }
        let made = self.made.iter().filter(|_| access.tokens.is_empty());
        let found =
            bearer(headers).and_then(|it| Token::find(access.tokens.iter().chain(made), it));
        match found {
            Some(token) => {
                caller.scopes = caller.scopes.and(token.scopes);
                caller.token = Shown::Of(Arc::clone(&token.name));
            }
            None => caller.token = Shown::Wrong,
        }
        caller
    }

    /// Makes a refusal for want of a right token cheaper for us the more of them a peer causes.
    fn slow_down(&self, peer: &Peer, response: Response) -> Response {
        if response.status() != StatusCode::UNAUTHORIZED {
            return response;
        }
        let Err(wait) = self.wrong.take(peer.end.key()) else {
            return response;
        };
        let seconds = wait.as_secs().saturating_add(1);
        let mut refusal = Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests without a right token came from there",
            format!("ask again in {seconds} s, or with a right token, which is never refused for this; {}", self.help),
        )
        .into_response();
        refusal
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        refusal
    }

    /// Every change is told, and every one that failed for a cause of ours; of what was refused,
    /// all to those whom we know, and some to others.
    fn tell(&self, asked: &Asked, caller: &Caller, peer: &Peer, response: &Response) {
        let status = response.status();
        let reads = matches!(asked.method, Method::GET | Method::HEAD);
        let Some(event) = Event::of(status).filter(|_| !reads || denies(status)) else {
            return;
        };
        // Who is refused may be anybody, as fast as they can.
        if event == Event::Refused
            && !self.knows(caller, status)
            && self.told.take(peer.end.key()).is_err()
        {
            return self.audit.leave_out();
        }
        let said = response.extensions().get::<Said>();
        let tag = response.headers().get(header::ETAG);
        self.audit.tell(Entry {
            token: match &caller.token {
                Shown::Nothing => None,
                Shown::Wrong => Some("(wrong)".to_owned()),
                Shown::Of(name) => Some(name.to_string()),
            },
            client: caller.client.as_deref().map(str::to_owned),
            method: Some(asked.method.to_string()),
            path: Some(asked.path.clone()),
            status: Some(status.as_u16()),
            error: said.and_then(|it| it.error.clone()),
            etag: tag.and_then(|it| it.to_str().ok()).map(str::to_owned),
            ..Entry::of(event.as_str(), peer.end)
        });
    }

    /// Whether the caller has proved who it is, and was let in.
    fn knows(&self, caller: &Caller, status: StatusCode) -> bool {
        let proved = match &caller.token {
            Shown::Of(_) => true,
            Shown::Wrong => false,
            Shown::Nothing => {
                caller.client.is_some() || matches!(self.address, AdminAddress::Unix(_))
            }
        };
        proved && !denies(status)
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1), where there is one such header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (given.next(), given.next()) else {
        return None;
    };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token.as_bytes())
}

/// What was asked, for when it has been answered.
struct Asked {
    method: Method,
    path: String,
}

/// What showed who asks: to be looked at again for as long as an answer lasts, since a token may be
/// taken back meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    keeper: Arc<Keeper>,
    peer: Arc<Peer>,
    /// Nothing but what proves something.
    shown: HeaderMap,
}

impl Standing {
    fn new(keeper: &Arc<Keeper>, peer: &Arc<Peer>, headers: &HeaderMap) -> Self {
        let mut shown = HeaderMap::new();
        for value in headers.get_all(header::AUTHORIZATION) {
            let mut value = value.clone();
            // Or it would be shown where this is.
            value.set_sensitive(true);
            shown.append(header::AUTHORIZATION, value);
        }
        Self {
            keeper: Arc::clone(keeper),
            peer: Arc::clone(peer),
            shown,
        }
    }

    /// Whether it would be let in now.
    pub(super) fn may(&self, scope: Scope) -> bool {
        let access = self.keeper.access();
        let caller = self.keeper.identify(&access, &self.shown, &self.peer);
        caller.may(scope).is_ok()
    }
}

/// Before every route and both fallbacks.
pub(super) async fn keep(
    State(keeper): State<Arc<Keeper>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<Arc<Peer>>().cloned() else {
        return Refusal::bug("nobody knows who asks").into_response();
    };
    let access = keeper.access();
    let caller = keeper.identify(&access, request.headers(), &peer);
    let asked = Asked {
        method: request.method().clone(),
        path: request.uri().to_string().chars().take(PATH).collect(),
    };
    let response = match check(keeper.names(&access), &request) {
        Ok(()) => {
            let standing = Standing::new(&keeper, &peer, request.headers());
            request.extensions_mut().insert(standing);
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    let response = keeper.slow_down(&peer, response);
    keeper.tell(&asked, &caller, &peer, &response);
    response
}

/// Before one route: only who has its scope comes through.
pub(super) async fn gate(scope: Scope, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else {
        return Refusal::bug("nobody knows who asks").into_response();
    };
    match caller.may(scope) {
        Ok(()) => next.run(request).await,
        Err(refused) => *refused,
    }
}

impl Caller {
    fn may(&self, scope: Scope) -> Result<(), Box<Response>> {
        if scope == Scope::Open {
            return Ok(());
        }
        let name = scope.name();
        let (refusal, challenge) = match &self.token {
            Shown::Wrong => (
                Refusal::new(
                    StatusCode::UNAUTHORIZED,
                    "the token is not a right one",
                    &self.help,
                ),
                r#"Bearer realm="hormesis", error="invalid_token""#.to_owned(),
            ),
            _ if self.scopes.has(scope) => return Ok(()),
            Shown::Nothing if self.client.is_none() => (
                Refusal::new(
                    StatusCode::UNAUTHORIZED,
                    format!("this needs a token with the scope \"{name}\""),
                    &self.help,
                ),
                r#"Bearer realm="hormesis""#.to_owned(),
            ),
            _ => (
                Refusal::new(
                    StatusCode::FORBIDDEN,
                    format!(
                        "this needs the scope \"{name}\", which the token or certificate has not"
                    ),
                    "ask with another, or add the scope in `[admin]`",
                ),
                format!(r#"Bearer realm="hormesis", error="insufficient_scope", scope="{name}""#),
            ),
        };
        let mut response = refusal.into_response();
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        Err(Box::new(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_one_bearer_header_alone() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(read(&["Bearer abc"]).as_deref(), Some(&b"abc"[..]));
        assert_eq!(read(&["bEARER  abc "]).as_deref(), Some(&b"abc"[..]));
        for wrong in [
            &["Bearer"][..],
            &["Bearer "],
            &["Basic abc"],
            &["abc"],
            &["Bearer abc", "Bearer abc"],
            &[],
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
