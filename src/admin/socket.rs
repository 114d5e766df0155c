//! The sockets of the admin and health listeners.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Type};

use crate::snapshot::{AdminBind, Exposed};

const BACKLOG: i32 = 128;

/// Where an admin or health listener answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why an admin or health listener was not bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot bind the admin API to {address}: {source}")]
    Admin {
        address: AdminAddress,
        source: io::Error,
    },
    #[error("cannot bind [health] to {address}: {source}")]
    Health {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("{0}")]
    Exposed(#[from] Exposed),
}

impl BindError {
    /// What would make it succeed, where that can be told.
    pub fn help(&self) -> Option<String> {
        if let Self::Exposed(exposed) = self {
            return Some(exposed.help());
        }
        self.taken().map(str::to_owned)
    }

    fn taken(&self) -> Option<&'static str> {
        let taken = |source: &io::Error| source.kind() == io::ErrorKind::AddrInUse;
        match self {
            Self::Admin {
                address: AdminAddress::Tcp(_),
                source,
            } if taken(source) => {
                Some("another process listens there; `--admin 127.0.0.1:0` takes any free port")
            }
            Self::Admin { source, .. } if taken(source) => {
                Some("another process listens on that socket; choose another path, or stop it")
            }
            Self::Health { source, .. } if taken(source) => {
                Some("another process listens there; choose another port, or stop it")
            }
            _ => None,
        }
    }
}

/// The file of a bound socket; removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the admin socket could not be removed");
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Socket {
    address: AdminAddress,
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The same on a runtime.
#[derive(Debug)]
pub(super) enum AsyncListener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Socket {
    pub(super) fn admin(bind: &AdminBind) -> Result<Option<Self>, BindError> {
        let (address, bound) = match bind {
            AdminBind::Off => return Ok(None),
            AdminBind::Tcp(address) => (AdminAddress::Tcp(*address), bind_tcp(*address)),
            AdminBind::Unix(path) => (AdminAddress::Unix(path.clone()), bind_unix(path)),
        };
        bound
            .map(Some)
            .map_err(|source| BindError::Admin { address, source })
    }

    pub(super) fn health(address: SocketAddr) -> Result<Self, BindError> {
        bind_tcp(address).map_err(|source| BindError::Health { address, source })
    }

    /// A socket for a server beside the admin API, and its address with the port that the system
    /// chose.
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let socket = bind_tcp(address)?;
        let address = match &socket.listener {
            Listener::Tcp(it) => it.local_addr()?,
            Listener::Unix(_) => address,
        };
        Ok((socket, address))
    }

    pub(super) fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// The file to remove once nobody is to connect any more.
    pub(super) fn file(&self) -> Option<SocketFile> {
        match &self.address {
            AdminAddress::Unix(path) => Some(SocketFile(path.clone())),
            AdminAddress::Tcp(_) => None,
        }
    }

    /// Hands the socket to the runtime of this thread.
    pub(super) fn into_async(self) -> io::Result<AsyncListener> {
        Ok(match self.listener {
            Listener::Tcp(it) => AsyncListener::Tcp(tokio::net::TcpListener::from_std(it)?),
            Listener::Unix(it) => AsyncListener::Unix(tokio::net::UnixListener::from_std(it)?),
        })
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = std::net::TcpListener::from(socket);
    Ok(Socket {
        address: AdminAddress::Tcp(listener.local_addr()?),
        listener: Listener::Tcp(listener),
    })
}

/// Binds for the owner alone. The mode is set between bind and listen: nobody can connect before.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    remove_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok(Socket {
        address: AdminAddress::Unix(path.to_owned()),
        listener: Listener::Unix(socket.into()),
    })
}

/// Removes the socket of a process that has ended. What is no socket is never removed.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if !meta.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name which is no socket",
        )),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}
