//! One connection to one endpoint, within its time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use crate::error::ignore;
use crate::io::{Socket, Stream};
use crate::tls::{self, ClientTls};
use crate::upstream::{Endpoint, UpstreamSpec};

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
            other => Self::Shared(other.to_string()),
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
}

/// Connects, or says why not. The handshake counts into the same time.
pub async fn connect(spec: &UpstreamSpec, endpoint: &Endpoint) -> Result<Connected, ConnectError> {
    let within = spec.connect_timeout;
    let by = Instant::now() + within;
    let Ok(socket) = timeout_at(by, attempt(endpoint)).await else {
        let endpoint = endpoint.authority();
        return Err(ConnectError::Timeout { endpoint, within });
    };
    let socket = socket?;
    match &spec.tls {
        // Boxed: a handshake's state is many times a connection's.
        Some(tls) => Box::pin(timeout_at(by, secure(tls, endpoint, socket)))
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
        }),
    }
}

async fn secure(
    tls: &ClientTls,
    endpoint: &Endpoint,
    socket: Socket,
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
        }),
        Err(error) => Err(ConnectError::Tls {
            endpoint: endpoint.authority(),
            reason: tls::reason(&error),
        }),
    }
}

async fn attempt(endpoint: &Endpoint) -> Result<Socket, ConnectError> {
    let failed = |source| ConnectError::Failed {
        endpoint: endpoint.authority(),
        source,
    };
    match endpoint {
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(failed)?;
            Ok(Socket::Unix(stream))
        }
        Endpoint::Tcp { host, port } => {
            let mut last = None;
            for address in resolve(host, *port).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        // Without it small writes wait for acknowledgements; a failure only costs time.
                        ignore(stream.set_nodelay(true));
                        return Ok(Socket::Tcp(stream));
                    }
                    Err(error) => last = Some(error),
                }
            }
            Err(failed(
                last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()),
            ))
        }
    }
}

/// The addresses of a name. A literal needs no look-up; a look-up runs on tokio's blocking threads.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let unresolved = |source| ConnectError::Unresolved {
        host: host.to_owned(),
        source,
    };
    Ok(tokio::net::lookup_host((host, port))
        .await
        .map_err(unresolved)?
        .collect())
}
