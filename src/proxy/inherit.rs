//! Sockets that whoever started this process bound for it (`sd_listen_fds(3)`): systemd holds them
//! while the sidecar restarts, so that no connection is refused meanwhile.

use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::SockRef;

use crate::error::ignore;
use crate::io::ask_when_silent;
use crate::proxy::bind::BoundSocket;
use crate::snapshot::Bind;

/// Sockets that were handed to this process and that no listener has taken yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Passed>);

#[derive(Debug)]
struct Passed {
    /// As `LISTEN_FDNAMES` calls it.
    name: Option<String>,
    bind: Bind,
    socket: BoundSocket,
}

impl Inherited {
    /// Takes over the sockets that the environment tells of. `names`: the value of
    /// `LISTEN_FDNAMES`. To be called once, while no other thread
    /// looks at the environment: the variables are removed.
    pub fn of_process(names: Option<&str>) -> Self {
        let mut sockets = ListenFd::from_env();
        let mut names = names.unwrap_or_default().split(':');
        let mut passed = Vec::new();
        for index in 0..sockets.len() {
            let name = names.next().filter(|it| !it.is_empty());
            if let Some((socket, bind)) = take(&mut sockets, index) {
                passed.push(Passed {
                    name: name.map(str::to_owned),
                    bind,
                    socket,
                });
            } else {
                tracing::warn!(index, "a socket was passed that cannot be accepted from");
            }
        }
        Self(passed)
    }

    /// The socket for a listener: the one of its name, else one that listens where it would.
    pub(super) fn take(&mut self, listener: &str, bind: &Bind) -> Option<(BoundSocket, String)> {
        let named = |it: &Passed| it.name.as_deref() == Some(listener);
        let at = self.0.iter().position(named);
        let at = at.or_else(|| self.0.iter().position(|it| it.bind == *bind))?;
        let passed = self.0.swap_remove(at);
        let address = match passed.bind {
            Bind::Tcp(address) => address.to_string(),
            Bind::Unix(path) => path.display().to_string(),
        };
        Some((passed.socket, address))
    }

    /// Closes what no listener wanted.
    pub fn close_unused(self) {
        for it in self.0 {
            let name = it.name.unwrap_or_default();
            tracing::warn!(
                name,
                address = ?it.bind,
                "a socket was passed that no listener wants: it is closed"
            );
        }
    }
}

/// The socket of this index, ready to be served. A descriptor that is none, or listens to something
/// else, is left alone.
fn take(sockets: &mut ListenFd, index: usize) -> Option<(BoundSocket, Bind)> {
    if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
        listener.set_nonblocking(true).ok()?;
        // Accepted sockets inherit it.
        SockRef::from(&listener).set_tcp_nodelay(true).ok()?;
        // As to this one: peers that vanish are only noticed later without it.
        ignore(ask_when_silent(&SockRef::from(&listener)));
        let bind = Bind::Tcp(listener.local_addr().ok()?);
        return Some((listener.into(), bind));
    }
    let listener: UnixListener = sockets.take_unix_listener(index).ok().flatten()?;
    listener.set_nonblocking(true).ok()?;
    let path = listener.local_addr().ok()?.as_pathname()?.to_owned();
    Some((listener.into(), Bind::Unix(path)))
}
