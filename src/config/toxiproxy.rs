//! `[toxiproxy]`: the API of Toxiproxy beside the sidecar.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{AddressError, parse_bind};
use crate::snapshot::{Bind, UpstreamPattern};

/// Serves the API of Toxiproxy, for its clients. It has no token: whoever reaches it can make
/// proxies, within what stands here. Without this section there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToxiproxyConfig {
    /// Address and port; loopback only, unless `expose = true`.
    pub bind: String,
    /// The upstreams that proxies may have: `HOST:PORT`, each of which may be `*`, or
    /// `*.example.com:PORT`. Matched against the text of a request. Absent: loopback.
    pub allow_upstreams: Vec<String>,
    /// The API and its proxies may listen beyond loopback.
    pub expose: bool,
}

impl Default for ToxiproxyConfig {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:8474".into(),
            allow_upstreams: ["127.0.0.1:*", "[::1]:*", "localhost:*"]
                .map(String::from)
                .to_vec(),
            expose: false,
        }
    }
}

/// Reads where the API is bound.
pub(super) fn parse_toxiproxy(text: &str, expose: bool) -> Result<SocketAddr, AddressError> {
    let address = match parse_bind(text)? {
        Bind::Tcp(address) => address,
        Bind::Unix(_) => {
            return Err(AddressError {
                message: "clients of Toxiproxy come over TCP".into(),
                help: "write an address and a port, like \"127.0.0.1:8474\"".into(),
            });
        }
    };
    if address.ip().is_loopback() || expose {
        return Ok(address);
    }
    Err(AddressError {
        message: format!(
            "the Toxiproxy API has no token, and would be reachable from other machines at {address}"
        ),
        help: format!(
            "bind it to \"127.0.0.1:{}\", or set `expose = true`",
            address.port()
        ),
    })
}

/// Reads an entry of `allow_upstreams`.
pub(super) fn parse_pattern(text: &str) -> Result<UpstreamPattern, AddressError> {
    if text == "*" {
        return Ok(UpstreamPattern::Any);
    }
    let wrong = || AddressError {
        message: format!("{text:?} names no upstreams"),
        help: "write \"HOST:PORT\", \"HOST:*\", \"*.example.com:*\", \"*:PORT\" or \"*\"".into(),
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err(wrong());
    }
    let host = bare.unwrap_or(host).to_ascii_lowercase();
    // A `*` stands for everything, or for the names below a domain.
    let plain = host.strip_prefix("*.").unwrap_or(&host);
    if host != "*" && (plain.is_empty() || plain.contains(['*', '/', ' '])) {
        return Err(wrong());
    }
    let port = match port {
        "*" => None,
        port => Some(port.parse().map_err(|_| wrong())?),
    };
    Ok(UpstreamPattern::Of {
        host: (host != "*").then_some(host),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_hosts_and_ports() {
        let of = |host: Option<&str>, port| {
            Ok(UpstreamPattern::Of {
                host: host.map(str::to_owned),
                port,
            })
        };
        assert_eq!(parse_pattern("*"), Ok(UpstreamPattern::Any));
        assert_eq!(parse_pattern("Redis:6379"), of(Some("redis"), Some(6379)));
        assert_eq!(parse_pattern("[::1]:*"), of(Some("::1"), None));
        assert_eq!(parse_pattern("*.a.b:1"), of(Some("*.a.b"), Some(1)));
        assert_eq!(parse_pattern("*:*"), of(None, None));
        for bad in [
            "",
            "redis",
            ":1",
            "a*:1",
            "*.:1",
            "a:b",
            "::1:1",
            "a:70000",
            "tcp://a:1",
        ] {
            assert!(parse_pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_api_stays_on_this_machine_unless_told_otherwise() {
        assert!(parse_toxiproxy("localhost:8474", false).is_ok());
        let error = parse_toxiproxy("0.0.0.0:8474", false).unwrap_err();
        assert!(error.help.contains("expose = true"), "{error:?}");
        assert!(parse_toxiproxy("0.0.0.0:8474", true).is_ok());
        assert!(parse_toxiproxy("unix:/a", true).is_err());
    }
}
