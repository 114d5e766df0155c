//! One connection to one endpoint, within its time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::error::ignore;
use crate::io::{Socket, Stream};
use crate::upstream::Endpoint;

/// Why an upstream could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("connection to {endpoint} failed: {source}")]
    Failed { endpoint: String, source: io::Error },
    #[error("{endpoint} did not accept a connection within {}", humantime::format_duration(*within))]
    Timeout { endpoint: String, within: Duration },
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

impl Connected {
    fn plain(socket: Socket, endpoint: &Endpoint) -> Self {
        Self {
            stream: Stream::new(socket),
            endpoint: endpoint.authority(),
            http2: false,
            secure: false,
        }
    }
}

/// Connects, or says why not.
pub async fn connect(endpoint: &Endpoint, within: Duration) -> Result<Connected, ConnectError> {
    match tokio::time::timeout(within, attempt(endpoint)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Timeout {
            endpoint: endpoint.authority(),
            within,
        }),
    }
}

async fn attempt(endpoint: &Endpoint) -> Result<Connected, ConnectError> {
    let failed = |source| ConnectError::Failed {
        endpoint: endpoint.authority(),
        source,
    };
    match endpoint {
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(failed)?;
            Ok(Connected::plain(Socket::Unix(stream), endpoint))
        }
        Endpoint::Tcp { host, port } => {
            let mut last = None;
            for address in resolve(host, *port).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        // Without it small writes wait for acknowledgements; a failure only costs time.
                        ignore(stream.set_nodelay(true));
                        return Ok(Connected::plain(Socket::Tcp(stream), endpoint));
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
