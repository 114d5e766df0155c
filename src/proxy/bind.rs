//! Binding listeners: once each, before anything serves them, so that a taken port ends the start
//! and leaves a reload without effect.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::error::ignore;
use crate::io::ask_when_silent;
use crate::proxy::inherit::Inherited;
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
    /// To be removed when nobody listens there any longer.
    pub(super) file: Option<SocketFile>,
}

impl Bound {
    /// It is not served after all.
    pub(super) fn discard(&self) {
        self.file.as_ref().inspect(|it| it.remove());
    }
}

/// A socket that listens.
#[derive(Debug)]
pub(super) struct BoundSocket {
    fd: OwnedFd,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Tcp,
    Unix,
}

impl From<std::net::TcpListener> for BoundSocket {
    fn from(listener: std::net::TcpListener) -> Self {
        Self {
            fd: listener.into(),
            family: Family::Tcp,
        }
    }
}

impl From<UnixListener> for BoundSocket {
    fn from(listener: UnixListener) -> Self {
        Self {
            fd: listener.into(),
            family: Family::Unix,
        }
    }
}

impl BoundSocket {
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Another descriptor of the same socket, for one more worker.
    pub(super) fn share(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            family: self.family,
        })
    }

    /// Whether another socket of this user that allows it too may have an address of this port.
    fn allow_beside(&self, allowed: bool) -> io::Result<()> {
        SockRef::from(&self.fd).set_reuse_port(allowed)
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

/// The file of a unix socket that we made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what another process put there since is not ours to remove.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    pub(super) fn remove(&self) {
        if identity(&self.path).is_ok_and(|it| it == self.identity) {
            ignore(std::fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Binds all listeners, or none.
pub fn bind(listeners: &[ListenerSpec]) -> Result<Vec<Bound>, BindError> {
    let mut inherited = Inherited::default();
    bind_with(listeners, &mut inherited)
}

/// The same; sockets that were handed to this process are used for the listeners that they fit.
pub fn bind_with(
    listeners: &[ListenerSpec],
    inherited: &mut Inherited,
) -> Result<Vec<Bound>, BindError> {
    let all = listeners.iter().enumerate();
    all.map(|(index, spec)| bind_listener(index, spec, inherited))
        .collect()
}

/// Binds the listener of this index.
pub(super) fn bind_listener(
    listener: usize,
    spec: &ListenerSpec,
    inherited: &mut Inherited,
) -> Result<Bound, BindError> {
    let bound = match inherited.take(&spec.name, &spec.bind) {
        Some((socket, address)) => Ok((socket, address, None)),
        None => bind_one(&spec.bind, Others::None),
    };
    bound_or_why(listener, spec, bound)
}

/// The same where sockets of ours are in the way that are about to close: until they have, both
/// listen, and no client is refused.
pub(super) fn bind_beside(
    listener: usize,
    spec: &ListenerSpec,
    closing: &[&BoundSocket],
) -> Result<Bound, BindError> {
    let allow = |allowed| closing.iter().try_for_each(|it| it.allow_beside(allowed));
    let bound = allow(true).and_then(|()| bind_one(&spec.bind, Others::Closing));
    // Where it stays allowed, another process of this user could listen there as well.
    ignore(allow(false));
    bound_or_why(listener, spec, bound)
}

type BoundOne = (BoundSocket, String, Option<SocketFile>);

fn bound_or_why(
    listener: usize,
    spec: &ListenerSpec,
    bound: io::Result<BoundOne>,
) -> Result<Bound, BindError> {
    let (socket, address, file) = bound.map_err(|source| BindError {
        listener: spec.name.to_string(),
        address: match &spec.bind {
            Bind::Tcp(address) => address.to_string(),
            Bind::Unix(path) => path.display().to_string(),
        },
        place: spec.place.clone(),
        source,
    })?;
    Ok(Bound {
        listener,
        address,
        socket,
        file,
    })
}

/// What may have an address of the same port while a socket is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    /// Sockets of ours that are about to close, and that allow it.
    Closing,
}

fn bind_one(bind: &Bind, others: Others) -> io::Result<BoundOne> {
    match bind {
        Bind::Tcp(address) => {
            let listener = bind_tcp(*address, others)?;
            let address = listener.local_addr()?.to_string();
            Ok((listener.into(), address, None))
        }
        Bind::Unix(path) => {
            let listener = bind_unix(path)?;
            listener.set_nonblocking(true)?;
            let file = SocketFile::of(path)?;
            Ok((listener.into(), path.display().to_string(), Some(file)))
        }
    }
}

fn bind_tcp(address: SocketAddr, others: Others) -> io::Result<std::net::TcpListener> {
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
    // This too; without it, peers that vanish are only noticed later.
    ignore(ask_when_silent(&SockRef::from(&socket)));
    if others == Others::Closing {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    if others == Others::Closing {
        socket.set_reuse_port(false)?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::is_asked_after;

    #[test]
    fn a_client_that_vanishes_is_asked_after() {
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = bind_tcp(any, Others::None).unwrap();
        let address = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        // It does not block: the connection is in the queue by now.
        let (accepted, _) = listener.accept().unwrap();
        assert!(is_asked_after(&SockRef::from(&accepted)));
        assert!(accepted.nodelay().unwrap());
    }
}
