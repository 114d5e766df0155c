//! Addresses as a configuration writes them: where to listen, where upstreams are.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::snapshot::Bind;
use crate::upstream::Endpoint;

/// Why a text is no address, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({help})")]
pub struct AddressError {
    pub message: String,
    pub help: String,
}

/// Reads `127.0.0.1:9000`, `[::1]:9000`, `localhost:9000`, `:9000` (all addresses) or
/// `unix:/path/to.sock`.
pub fn parse_bind(text: &str) -> Result<Bind, AddressError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(text, path).map(Bind::Unix);
    }
    let full = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None if text.starts_with(':') => format!("0.0.0.0{text}"),
        None => text.to_owned(),
    };
    full.parse::<SocketAddr>()
        .map(Bind::Tcp)
        .map_err(|_| AddressError {
            message: format!("{text:?} is no address to listen on"),
            help: "write an IP address and a port, like \"127.0.0.1:9000\" or \"0.0.0.0:9000\", or \"unix:/path/to.sock\"".into(),
        })
}

/// What the scheme of an endpoint says of the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    Http,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// gRPC, on HTTP/2 by prior knowledge.
    Grpc,
    Tcp,
    /// A protocol that is carried as bytes until it is parsed.
    TcpFor(&'static str),
}

/// All that a scheme says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) carried: Carried,
    pub(super) tls: bool,
}

/// Reads `http://host:port`, `h2c://…`, `grpc://…`, `tcp://…`, `redis://…`, `postgres://…`, over TLS
/// `https://…`, `grpcs://…`, `tls://…` and `rediss://…`, or `unix:/path/to.sock` (HTTP over it).
pub(super) fn parse_endpoint(text: &str) -> Result<(Endpoint, Kind), AddressError> {
    let kind = |carried, tls| Kind { carried, tls };
    if let Some(path) = text.strip_prefix("unix:") {
        let http = kind(Carried::Http, false);
        return unix_path(text, path).map(|path| (Endpoint::Unix(path), http));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(AddressError {
            message: format!("{text:?} has no scheme"),
            help: format!("write \"http://{text}\" or \"tcp://{text}\""),
        });
    };
    let (carried, tls, default_port) = match scheme {
        "http" => (Carried::Http, false, Some(80)),
        "https" => (Carried::Http, true, Some(443)),
        "h2c" => (Carried::Http2, false, Some(80)),
        "grpc" => (Carried::Grpc, false, None),
        "grpcs" => (Carried::Grpc, true, Some(443)),
        "tcp" => (Carried::Tcp, false, None),
        "tls" => (Carried::Tcp, true, None),
        "redis" => (Carried::TcpFor("redis"), false, Some(6379)),
        "rediss" => (Carried::TcpFor("redis"), true, Some(6379)),
        "postgres" | "postgresql" => (Carried::TcpFor("postgres"), false, Some(5432)),
        _ => return Err(unsupported(scheme)),
    };
    let authority = host_port_of(text, rest)?;
    let (host, port) = split_authority(authority).ok_or_else(|| no_address(text))?;
    match port.or(default_port) {
        Some(port) if port > 0 => Ok((Endpoint::Tcp { host, port }, kind(carried, tls))),
        Some(_) => Err(no_address(text)),
        None => Err(AddressError {
            message: format!("{text:?} has no port"),
            help: format!("write \"{scheme}://{host}:PORT\""),
        }),
    }
}

/// The authority, where nothing follows it: paths are the client's to choose.
fn host_port_of<'t>(text: &str, rest: &'t str) -> Result<&'t str, AddressError> {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(AddressError {
            message: format!("{:?} holds a user or a password", redacted(text)),
            help: "leave them out: the client sends its own, and they pass unchanged".into(),
        });
    }
    if path.is_empty() || path == "/" {
        Ok(authority)
    } else {
        Err(AddressError {
            message: format!("an endpoint has no path, and {text:?} has one"),
            help: "end it after the port: the client's own path is passed on".into(),
        })
    }
}

/// The text without what stands before the `@`.
fn redacted(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &text[..scheme + 3], &text[at..])
        }
        _ => "…".into(),
    }
}

fn split_authority(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (
            host,
            after.strip_prefix(':').or((after.is_empty()).then_some("")),
        )
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        }
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let bracketed = authority.starts_with('[');
    if host.is_empty() || !(bracketed || host.chars().all(valid)) {
        return None;
    }
    match port? {
        "" if !authority.ends_with(':') => Some((host.to_owned(), None)),
        port => Some((host.to_owned(), Some(port.parse().ok()?))),
    }
}

fn unix_path(text: &str, path: &str) -> Result<PathBuf, AddressError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    // sockaddr_un holds 108 bytes, the last of them a zero.
    if path.starts_with('/') && path.len() < 108 && !path.contains('\0') {
        Ok(PathBuf::from(path))
    } else {
        Err(AddressError {
            message: format!("{text:?} is no path of a socket"),
            help: "write \"unix:/path/to.sock\": absolute, at most 107 bytes".into(),
        })
    }
}

fn no_address(text: &str) -> AddressError {
    AddressError {
        message: format!("{text:?} is no address of an upstream"),
        help: "write \"http://HOST:PORT\" or \"tcp://HOST:PORT\"".into(),
    }
}

fn unsupported(scheme: &str) -> AddressError {
    let speaks = "use http://, https://, h2c://, grpc://, grpcs://, tcp://, tls://, redis://, rediss://, postgres:// or unix:";
    AddressError {
        message: format!("unknown scheme `{scheme}`"),
        help: speaks.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> (String, Carried) {
        let (endpoint, kind) = parse_endpoint(text).unwrap();
        let tls = if kind.tls { "tls " } else { "" };
        match endpoint {
            Endpoint::Tcp { host, port } => (format!("{tls}{host}|{port}"), kind.carried),
            Endpoint::Unix(path) => (path.display().to_string(), kind.carried),
        }
    }

    #[test]
    fn endpoints_are_read_with_their_default_ports() {
        assert_eq!(endpoint("http://a:81"), ("a|81".into(), Carried::Http));
        assert_eq!(endpoint("http://a/"), ("a|80".into(), Carried::Http));
        assert_eq!(endpoint("http://[::1]:8"), ("::1|8".into(), Carried::Http));
        assert_eq!(endpoint("h2c://a"), ("a|80".into(), Carried::Http2));
        assert_eq!(endpoint("grpc://a:5"), ("a|5".into(), Carried::Grpc));
        assert_eq!(
            endpoint("tcp://1.2.3.4:5"),
            ("1.2.3.4|5".into(), Carried::Tcp)
        );
        assert_eq!(
            endpoint("redis://r"),
            ("r|6379".into(), Carried::TcpFor("redis"))
        );
        assert_eq!(endpoint("https://a"), ("tls a|443".into(), Carried::Http));
        assert_eq!(endpoint("tls://a:5"), ("tls a|5".into(), Carried::Tcp));
        assert_eq!(
            endpoint("rediss://r"),
            ("tls r|6379".into(), Carried::TcpFor("redis"))
        );
        assert_eq!(
            endpoint("unix:/a/b.sock"),
            ("/a/b.sock".into(), Carried::Http)
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_advice() {
        for (text, says) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("tls://a", "no port"),
            ("grpc://a", "no port"),
            ("gopher://a:1", "unknown scheme"),
            ("tcp://a", "no port"),
            ("http://a:1/v1", "no path"),
            ("http://u:secret@a:1", "password"),
            ("http://a:99999", "no address"),
            ("http://a:0", "no address"),
            ("http://:80", "no address"),
            ("http://a:", "no address"),
            ("http://a b:1", "no address"),
            ("http://[::1", "no address"),
            ("http://[zz]:1", "no address"),
            ("unix:a", "absolute"),
            ("", "no scheme"),
        ] {
            let error = parse_endpoint(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn binds_are_read() {
        for (text, want) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("localhost:9000", "127.0.0.1:9000"),
            (":9000", "0.0.0.0:9000"),
            ("[::]:9", "[::]:9"),
        ] {
            assert_eq!(parse_bind(text), Ok(Bind::Tcp(want.parse().unwrap())));
        }
        for bad in [
            "9000",
            "example.com:80",
            "1.2.3.4",
            "1.2.3.4:99999",
            "",
            "unix:",
        ] {
            assert!(parse_bind(bad).is_err(), "{bad}");
        }
    }
}
