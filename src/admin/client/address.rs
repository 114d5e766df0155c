//! Where a sidecar's admin API is asked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A host and port, or the path of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`, and whether TLS is spoken there.
    Tcp {
        authority: String,
        tls: bool,
    },
    Unix(PathBuf),
}

/// A text names no address; says what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

impl Address {
    /// What goes into the Host field.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Tcp { authority, .. } => authority,
            Self::Unix(_) => "localhost",
        }
    }

    /// The name that a certificate there must prove: the host without its port and brackets.
    pub(super) fn name(&self) -> &str {
        let host = match self {
            Self::Tcp { authority, .. } => authority.rsplit_once(':').map_or("", |(host, _)| host),
            Self::Unix(_) => "localhost",
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }

    /// An address, and the path that stands behind it where one does.
    ///
    /// # Errors
    /// Where the text is no `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
    pub fn with_path(text: &str) -> Result<(Self, Option<&str>), AddressError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|it| it.starts_with('/')) {
            return Ok((Self::Unix(path.into()), None));
        }
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => (false, text),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority.rsplit_once(':');
        let port = port.filter(|(host, _)| !host.is_empty());
        let sound = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !authority.contains('@');
        if !sound {
            return Err(AddressError(format!(
                "{text:?} is no address: write \"127.0.0.1:9901\", \"https://HOST:PORT\" or \"unix:/path/to.sock\""
            )));
        }
        let authority = authority.to_owned();
        Ok((
            Self::Tcp { authority, tls },
            (path.len() > 1).then_some(path),
        ))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp {
            authority: address.to_string(),
            tls: false,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match Self::with_path(text)? {
            (address, None) => Ok(address),
            (address, Some(path)) => Err(AddressError(format!(
                "the admin API of {address} is asked without a path: leave {path:?} out"
            ))),
        }
    }
}

/// As `--admin` takes it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp {
                authority,
                tls: true,
            } => write!(f, "https://{authority}"),
            Self::Tcp { authority, .. } => f.write_str(authority),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in [
            "127.0.0.1:9901",
            "[::1]:1",
            "localhost:9901",
            "https://chaos.example:9901",
            "unix:/run/a.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let (address, path) = Address::with_path("http://[::1]:1/healthz").unwrap();
        assert_eq!((address.name(), path), ("::1", Some("/healthz")));
        assert_eq!(Address::with_path("http://a:1/").unwrap().1, None);
    }

    #[test]
    fn what_is_none_is_told_what_would_be() {
        for bad in [
            "a",
            "http://a",
            "unix:a",
            "ftp://a",
            "a:b",
            ":1",
            "http://a:1/x\r\ny",
            "user@a:1",
        ] {
            let error = Address::with_path(bad).unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:9901"), "{error}");
        }
        assert!("http://a:1/status".parse::<Address>().is_err());
    }
}
