//! Binding listeners: once each, before any worker starts, so that a taken port ends the start.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use crate::snapshot::{Bind, ListenerSpec};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener:?} cannot listen on {address}: {source}")]
pub struct BindError {
    pub listener: String,
    pub address: String,
    /// `FILE:LINE` of the bind.
    pub place: String,
    pub source: io::Error,
}

impl BindError {
    /// What would make it succeed, where that can be told.
    pub fn help(&self) -> Option<&'static str> {
        let is_path = self.address.starts_with('/');
        match self.source.kind() {
            io::ErrorKind::AddrInUse if is_path => {
                Some("something else has that path; choose another, or stop what listens there")
            }
            io::ErrorKind::AddrInUse => {
                Some("another process listens there; choose another port, or stop it")
            }
            io::ErrorKind::AddrNotAvailable => {
                Some("no interface of this machine has that address")
            }
            _ => None,
        }
    }
}

/// A bound listener, not served yet.
#[derive(Debug)]
pub struct Bound {
    /// Index in the snapshot.
    pub listener: usize,
    /// With the port that the system chose, or the socket's path.
    pub address: String,
    pub(super) socket: BoundSocket,
}

#[derive(Debug)]
pub(super) enum BoundSocket {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

impl BoundSocket {
    /// Another descriptor of the same socket, for one more worker.
    pub(super) fn share(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

/// Binds all listeners, or none.
pub fn bind(listeners: &[ListenerSpec]) -> Result<Vec<Bound>, BindError> {
    listeners
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let (socket, address) = bind_one(&spec.bind).map_err(|source| BindError {
                listener: spec.name.to_string(),
                address: match &spec.bind {
                    Bind::Tcp(address) => address.to_string(),
                    Bind::Unix(path) => path.display().to_string(),
                },
                place: spec.place.clone(),
                source,
            })?;
            Ok(Bound {
                listener: index,
                address,
                socket,
            })
        })
        .collect()
}

fn bind_one(bind: &Bind) -> io::Result<(BoundSocket, String)> {
    match bind {
        Bind::Tcp(address) => {
            let listener = bind_tcp(*address)?;
            let address = listener.local_addr()?.to_string();
            Ok((BoundSocket::Tcp(listener), address))
        }
        Bind::Unix(path) => {
            let listener = bind_unix(path)?;
            listener.set_nonblocking(true)?;
            Ok((BoundSocket::Unix(listener), path.display().to_string()))
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it: answers are small and must not wait for acknowledgements.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

/// A socket file that nobody listens on is left from a crash, and goes.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let refused = UnixStream::connect(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            // Anything else that stands there is not ours to remove.
            if !refused || !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}
