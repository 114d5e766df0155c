//! A timerfd (`timerfd_create(2)`) that tokio waits on. One of the few files with `unsafe`.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::error::ignore;

#[derive(Debug)]
pub(super) struct TimerFd(AsyncFd<OwnedFd>);

impl TimerFd {
    /// A disarmed timer on the current runtime.
    pub(super) fn new() -> io::Result<Self> {
        let fd = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        // SAFETY: `register` wants the descriptor to stay open and the same until the AsyncFd is
        // dropped. It owns this OwnedFd, which nothing else closes, and never gives it out.
        #[expect(unsafe_code, reason = "tokio's safe constructor is deprecated")]
        let registered = unsafe { AsyncFd::register(fd) };
        Ok(Self(registered?))
    }

    /// Arms it once, `left` from now, in place of an earlier arming.
    pub(super) fn arm(&self, left: Duration) {
        // Zero would disarm it.
        let left = left.max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            },
        };
        // It fails only on arguments that are not built here.
        ignore(timerfd_settime(
            self.0.get_ref(),
            TimerfdTimerFlags::empty(),
            &once,
        ));
    }

    /// Waits until it has fired.
    pub(super) async fn fired(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        // Nothing is read: how often it fired is of no use, arming it again resets it, and the
        // runtime hears of each firing (EPOLLET), read or not.
        ready.clear_ready();
        Ok(())
    }
}
