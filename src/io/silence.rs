//! Peers that vanish without a word, with their machine or their network: the kernel asks after those
//! that are silent, so that a connection to nobody is not held for ever.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How long a connection is silent before its peer is asked whether it is there.
const AFTER: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_secs(5);
/// So many questions without an answer end it.
const QUESTIONS: u32 = 3;

/// Has the peer of a silent TCP connection asked after, in the kernel; a listening socket's accepted
/// ones inherit it. There is no `TCP_USER_TIMEOUT`: it would end a connection whose reader pauses on
/// purpose too, though that answers.
pub fn ask_when_silent(socket: &SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(AFTER)
        .with_interval(EVERY)
        .with_retries(QUESTIONS);
    socket.set_tcp_keepalive(&keepalive)
}

/// Whether it does.
#[cfg(test)]
pub(crate) fn is_asked_after(socket: &SockRef<'_>) -> bool {
    let interval = socket.tcp_keepalive_interval();
    let retries = socket.tcp_keepalive_retries();
    socket.keepalive().is_ok_and(|on| on)
        && socket.tcp_keepalive_time().is_ok_and(|it| it == AFTER)
        && interval.is_ok_and(|it| it == EVERY)
        && retries.is_ok_and(|it| it == QUESTIONS)
}
