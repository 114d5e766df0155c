//! Addresses to listen on, as Go reads them.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use http::StatusCode;

use super::answer::ApiError;

/// The parts of `HOST:PORT`, where it is that.
///
/// # Errors
/// What Go says of it.
pub(super) fn split(listen: &str) -> Result<(&str, u16), ApiError> {
    if listen.is_empty() {
        // Toxiproxy takes any port on all addresses here. Nobody asked for that.
        return Ok(("127.0.0.1", 0));
    }
    let fail = |why: &str| Err(failed(format!("address {listen}: {why}")));
    let (host, port) = match listen.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            None => return fail("missing ']' in address"),
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, port),
                None => return fail("missing port in address"),
            },
        },
        None => match listen.rsplit_once(':') {
            None => return fail("missing port in address"),
            Some((host, _)) if host.contains(':') => return fail("too many colons in address"),
            Some(parts) => parts,
        },
    };
    match port.parse::<i64>() {
        _ if port.is_empty() => Ok((host, 0)),
        Ok(number) => match u16::try_from(number) {
            Ok(number) => Ok((host, number)),
            Err(_) => Err(failed(format!("address {port}: invalid port"))),
        },
        Err(_) => Err(failed(format!("lookup tcp/{port}: unknown port"))),
    }
}

/// What Go's `ResolveTCPAddr` makes of it, as text: a proxy that listens there need not be
/// restarted. May wait for a name to be resolved.
pub(super) fn resolved(listen: &str) -> Result<String, ApiError> {
    let (host, port) = split(listen)?;
    if host.is_empty() {
        return Ok(format!(":{port}"));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port).to_string());
    }
    let addresses = (host, port).to_socket_addrs();
    let unknown = || failed(format!("lookup {host}: no such host"));
    let addresses: Vec<SocketAddr> = addresses.map_err(|_| unknown())?.collect();
    let first = addresses.iter().find(|it| it.is_ipv4());
    let first = first.or(addresses.first()).ok_or_else(unknown)?;
    Ok(first.to_string())
}

/// Whether it can be reached from this machine alone. A name other than `localhost` may mean
/// anything by the time it is bound.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn failed(text: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let text = |listen| resolved(listen).map_err(|error| error.text);
        let ok = |text: &str| Ok(text.to_owned());
        let err = |text: &str| Err(text.to_owned());
        assert_eq!(text(""), ok("127.0.0.1:0"));
        assert_eq!(text(":7"), ok(":7"));
        assert_eq!(text("127.0.0.1:7"), ok("127.0.0.1:7"));
        assert_eq!(text("[::1]:7"), ok("[::1]:7"));
        assert_eq!(text("localhost:7"), ok("127.0.0.1:7"));
        assert_eq!(text("a"), err("address a: missing port in address"));
        assert_eq!(
            text("::1:7"),
            err("address ::1:7: too many colons in address")
        );
        assert_eq!(text("[::1]"), err("address [::1]: missing port in address"));
        assert_eq!(text("a:70000"), err("address 70000: invalid port"));
        assert_eq!(text("a:nope"), err("lookup tcp/nope: unknown port"));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
