//! Who may ask. A web page that the operator happens to visit can send requests to loopback too,
//! directly or by a name that it makes resolve to 127.0.0.1 (DNS rebinding). Browsers tell of
//! themselves by `Host`, `Origin` and `Sec-Fetch-Site`; all three are looked at on every route,
//! reads included.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, header};

use crate::admin::answer::Refusal;

/// The largest body of a request.
pub(super) const BODY_CAP: usize = 1 << 20;

/// Which names a listener answers to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'h> {
    /// Any: probes ask by whatever address they know, and no browser can open a unix socket. Still
    /// no web page.
    Any,
    /// Loopback with this port, and the configured ones.
    Loopback(u16, &'h [String]),
    /// Any address, since only a name can be made to lead here; and the configured names.
    Addresses(&'h [String]),
}

/// Refuses what no route of the health listener may see.
pub(super) async fn guard_health(request: Request, next: Next) -> Response {
    match check(Names::Any, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// # Errors
/// Where no route may see the request.
pub(super) fn check(names: Names<'_>, request: &Request) -> Result<(), Refusal> {
    check_host(names, request)?;
    check_site(request.headers())?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        check_type(request.headers())?;
        check_length(request.headers())?;
    }
    Ok(())
}

fn check_host(names: Names<'_>, request: &Request) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
        _ => None,
    };
    let ours = |authority: &Authority| names.hold(authority);
    // A request in absolute form names a host of its own.
    if matches!(names, Names::Any)
        || named.as_ref().is_some_and(ours) && request.uri().authority().is_none_or(ours)
    {
        return Ok(());
    }
    let help = match names {
        Names::Loopback(port, _) => format!(
            "ask http://127.0.0.1:{port}, http://[::1]:{port} or http://localhost:{port}, or name the host in `[admin] hosts`"
        ),
        _ => "ask by its address, or name the host in `[admin] hosts`".to_owned(),
    };
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "this Host is not ours",
        help,
    ))
}

impl Names<'_> {
    fn hold(self, authority: &Authority) -> bool {
        // `user@127.0.0.1` parses as an authority, and no honest client sends it.
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = literal.parse().ok();
        let local = host.eq_ignore_ascii_case("localhost");
        let configured = |names: &[String]| {
            names.iter().any(|name| {
                name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case(authority.as_str())
            })
        };
        match self {
            Self::Any => true,
            Self::Loopback(port, names) => {
                let here = local || address.is_some_and(|it| it.is_loopback());
                here && authority.port_u16().unwrap_or(80) == port || configured(names)
            }
            Self::Addresses(names) => local || address.is_some() || configured(names),
        }
    }
}

/// Refuses what says that a web page sent it.
pub(crate) fn check_site(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let own = sites.all(|site| matches!(site.as_bytes(), b"none" | b"same-origin"));
    if own && !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "requests of web pages are refused",
        "send neither Origin nor Sec-Fetch-Site: ask with curl",
    ))
}

/// A form or plain text can be sent by any web page without asking; JSON cannot.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let empty = match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.as_bytes() == b"0",
        None => !headers.contains_key(header::TRANSFER_ENCODING),
    };
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let fits = match (types.next(), types.next()) {
        (None, _) => empty,
        (Some(one), None) => one.to_str().is_ok_and(is_json),
        (Some(_), Some(_)) => false,
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the body must be JSON",
        "send it with `content-type: application/json`, or send no body",
    ))
}

fn is_json(content_type: &str) -> bool {
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    essence.trim().eq_ignore_ascii_case("application/json")
        && (parameters.trim().is_empty() || parameters.trim().eq_ignore_ascii_case("charset=utf-8"))
}

/// A body that announces its size is refused before it is read.
fn check_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > BODY_CAP as u64 => Err(too_large()),
        _ => Ok(()),
    }
}

pub(super) fn too_large() -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is larger than 1 MiB",
        "no route takes more",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_literals_and_localhost_with_our_port_are_ours() {
        let names = ["named.example".to_owned(), "with.example:1234".to_owned()];
        let holds = |names: Names<'_>, host: &str| {
            host.parse::<Authority>()
                .is_ok_and(|authority| names.hold(&authority))
        };
        let ours = |host: &str| holds(Names::Loopback(9901, &names), host);
        for host in [
            "127.0.0.1:9901",
            "127.8.9.1:9901",
            "[::1]:9901",
            "LocalHost:9901",
            "named.example",
            "Named.Example:1",
            "with.example:1234",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.0.0.1:9902",
            "localhost",
            "localhost.:9901",
            "localhost.evil.example:9901",
            "127.0.0.1.evil.example:9901",
            "evil.example:9901",
            "0.0.0.0:9901",
            "[::]:9901",
            "2130706433:9901",
            "user@127.0.0.1:9901",
            "10.0.0.1:9901",
            "with.example",
            "with.example:9901",
            "a.named.example",
            "",
        ] {
            assert!(!ours(host), "{host}");
        }
        // Beyond loopback any address is ours, since no name server has a say in it.
        let beyond = |host: &str| holds(Names::Addresses(&names), host);
        for host in [
            "10.0.0.1:9901",
            "[2001:db8::1]:1",
            "localhost",
            "named.example:2",
        ] {
            assert!(beyond(host), "{host}");
        }
        for host in [
            "evil.example:9901",
            "10.0.0.1.evil.example",
            "u@10.0.0.1",
            "2130706433",
            "",
        ] {
            assert!(!beyond(host), "{host}");
        }
    }

    #[test]
    fn json_is_json_and_nothing_near_it() {
        for fits in ["application/json", "Application/JSON; charset=UTF-8"] {
            assert!(is_json(fits), "{fits}");
        }
        for not in [
            "text/plain",
            "application/json-seq",
            "application/jsonp",
            "text/plain; application/json",
            "application/json; charset=utf-7",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(!is_json(not), "{not}");
        }
    }
}
