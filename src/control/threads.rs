//! The ends of threads.

use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use tokio::time::Instant;

/// How long the end of the process waits for a thread that was told to end: a disk may be stuck.
pub(crate) const END_TIME: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until a thread has ended, for so long at most: `false` where it had not. Says so, and
/// where it had panicked.
pub(crate) fn join_within<T>(thread: JoinHandle<T>, time: Duration, name: &str) -> bool {
    let until = Instant::now() + time;
    while !thread.is_finished() {
        if Instant::now() >= until {
            tracing::warn!("the thread {name:?} did not end within {time:?}: it is not waited for");
            return false;
        }
        sleep(LOOK);
    }
    if thread.join().is_err() {
        tracing::error!("the thread {name:?} had panicked");
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread::spawn;

    use super::*;

    #[test]
    fn a_thread_that_is_stuck_is_not_waited_for_and_one_that_ends_is() {
        let (go, stuck) = channel::<()>();
        let thread = spawn(move || stuck.recv().is_ok());
        assert!(!join_within(thread, Duration::from_millis(20), "stuck"));
        go.send(()).unwrap();
        let ends = spawn(|| sleep(Duration::from_millis(20)));
        assert!(join_within(ends, Duration::from_secs(3600), "ends"));
        let panics = spawn(|| assert_eq!(1, 2, "on purpose"));
        assert!(join_within(panics, Duration::from_secs(3600), "panics"));
    }
}
