//! One connection to one endpoint, within its time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use crate::error::ignore;
use crate::io::{Socket, Stream, ask_when_silent};
use crate::tls::{self, ClientTls};
use crate::upstream::{Endpoint, OffLimits, Resolver, UpstreamSpec};

/// Why an upstream could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("connection to {endpoint} failed: {source}")]
    Failed { endpoint: String, source: io::Error },
    #[error("{endpoint} did not accept a connection within {}", humantime::format_duration(*within))]
    Timeout { endpoint: String, within: Duration },
    #[error("the TLS handshake with {endpoint} failed: {reason}")]
    Tls { endpoint: String, reason: String },
    #[error("{endpoint} did not finish its TLS handshake within {}", humantime::format_duration(*within))]
    TlsTimeout { endpoint: String, within: Duration },
    #[error("{endpoint} does not speak HTTP/2: {source}")]
    NoHttp2 { endpoint: String, source: io::Error },
    /// A dial that several calls waited for.
    #[error("{0}")]
    Shared(String),
    #[error("the name {host} could not be resolved: {source}")]
    Unresolved { host: String, source: io::Error },
}

impl ConnectError {
    /// The same for another call that waited for the same dial.
    pub(super) fn repeat(&self) -> Self {
        match self {
            Self::Timeout { endpoint, within } => Self::Timeout {
                endpoint: endpoint.clone(),
                within: *within,
            },
            Self::TlsTimeout { endpoint, within } => Self::TlsTimeout {
                endpoint: endpoint.clone(),
                within: *within,
            },
            Self::Failed { endpoint, source } if source.raw_os_error().is_some() => {
                let code = source.raw_os_error().unwrap_or_default();
                Self::Failed {
                    endpoint: endpoint.clone(),
                    source: io::Error::from_raw_os_error(code),
                }
            }
            other => Self::Shared(other.to_string()),
        }
    }

    /// Whether this machine had no descriptor, port or memory left for it: the upstream was not even
    /// asked.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Failed { source, .. } => is_ours(source),
            _ => false,
        }
    }
}

/// A connection that was made.
#[derive(Debug)]
pub struct Connected {
    pub(super) stream: Stream,
    /// Where to, for messages.
    pub(super) endpoint: String,
    /// The upstream chose HTTP/2 when asked (ALPN).
    pub(super) http2: bool,
    /// It is carried by TLS.
    pub(super) secure: bool,
    /// Where a name led.
    pub(super) address: Option<SocketAddr>,
}

/// Connects, or says why not. The handshake counts into the same time.
pub async fn connect(
    spec: &UpstreamSpec,
    endpoint: &Endpoint,
    resolver: &Resolver,
) -> Result<Connected, ConnectError> {
    let within = spec.connect_timeout;
    let by = Instant::now() + within;
    let dialled = timeout_at(by, attempt(spec, endpoint, resolver)).await;
    let Ok(dialled) = dialled else {
        let endpoint = endpoint.authority();
        return Err(ConnectError::Timeout { endpoint, within });
    };
    let (socket, address) = dialled?;
    match &spec.tls {
        // Boxed: a handshake's state is many times a connection's.
        Some(tls) => Box::pin(timeout_at(by, secure(tls, endpoint, (socket, address))))
            .await
            .unwrap_or_else(|_| {
                let endpoint = endpoint.authority();
                Err(ConnectError::TlsTimeout { endpoint, within })
            }),
        None => Ok(Connected {
            stream: Stream::new(socket),
            endpoint: endpoint.authority(),
            http2: false,
            secure: false,
            address,
        }),
    }
}

async fn secure(
    tls: &ClientTls,
    endpoint: &Endpoint,
    (socket, address): (Socket, Option<SocketAddr>),
) -> Result<Connected, ConnectError> {
    let host = match endpoint {
        Endpoint::Tcp { host, .. } => host,
        Endpoint::Unix(_) => "localhost",
    };
    match tls.connect(host, socket).await {
        Ok(stream) => Ok(Connected {
            http2: stream.is_http2(),
            stream: Stream::new(Socket::Over(Box::new(stream))),
            endpoint: endpoint.authority(),
            secure: true,
            address,
        }),
        Err(error) => Err(ConnectError::Tls {
            endpoint: endpoint.authority(),
            reason: tls::reason(&error),
        }),
    }
}

async fn attempt(
    spec: &UpstreamSpec,
    endpoint: &Endpoint,
    resolver: &Resolver,
) -> Result<(Socket, Option<SocketAddr>), ConnectError> {
    let failed = |source| ConnectError::Failed {
        endpoint: endpoint.authority(),
        source,
    };
    match endpoint {
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(failed)?;
            Ok((Socket::Unix(stream), None))
        }
        Endpoint::Tcp { host, port } => {
            let unresolved = |source| ConnectError::Unresolved {
                host: host.clone(),
                source,
            };
            let addresses = resolver.addresses(host, *port).await.map_err(unresolved)?;
            let dialled = match dial(&addresses, spec.connect_timeout, &spec.off_limits).await {
                Ok(dialled) => Ok(dialled),
                // It may have come back elsewhere.
                Err(error) => match resolver.others(host, *port, &addresses).await {
                    Some(others) => dial(&others, spec.connect_timeout, &spec.off_limits).await,
                    None => Err(error),
                },
            };
            let (stream, address) = dialled.map_err(failed)?;
            Ok((Socket::Tcp(stream), Some(address)))
        }
    }
}

/// Tries addresses in turn. One that swallows what is sent to it leaves time for the others.
async fn dial(
    addresses: &[SocketAddr],
    within: Duration,
    off_limits: &OffLimits,
) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last: Option<io::Error> = None;
    let share = within / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    for &address in addresses {
        if off_limits.covers(address) {
            last = Some(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the sidecar itself takes orders there",
            ));
            continue;
        }
        let connecting = TcpStream::connect(address);
        let connected = if addresses.len() == 1 {
            connecting.await
        } else {
            let timed = tokio::time::timeout(share, connecting).await;
            timed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match connected {
            Ok(stream) => {
                // Without it small writes wait for acknowledgements; a failure only costs time.
                ignore(stream.set_nodelay(true));
                // Likewise one that vanishes is noticed later.
                ignore(ask_when_silent(&SockRef::from(&stream)));
                return Ok((stream, address));
            }
            // What another address said of itself tells more than that this one is none of ours to
            // reach, such as one of IPv6 where there is none.
            Err(error) if last.is_some() && is_ours(&error) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Whether what was missing for a connection is this machine's.
fn is_ours(error: &io::Error) -> bool {
    const OURS: [i32; 4] = [
        libc::EADDRNOTAVAIL,
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
    ];
    error.raw_os_error().is_some_and(|it| OURS.contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::is_asked_after;

    #[tokio::test]
    async fn an_upstream_that_vanishes_is_asked_after() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let nowhere = OffLimits::default();
        let dialled = dial(&[address], Duration::from_secs(5), &nowhere).await;
        let (stream, _) = dialled.unwrap();
        assert!(is_asked_after(&SockRef::from(&stream)));
    }

    #[test]
    fn calls_that_share_a_dial_share_its_cause() {
        let failed = |source| ConnectError::Failed {
            endpoint: "model:80".to_owned(),
            source,
        };
        let ours = failed(io::Error::from_raw_os_error(libc::EMFILE));
        assert!(ours.is_local() && ours.repeat().is_local());
        assert_eq!(ours.repeat().to_string(), ours.to_string());
        let refused = failed(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert!(!refused.is_local() && !refused.repeat().is_local());
    }
}
