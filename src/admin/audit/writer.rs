//! The thread that writes the audit log.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use std::{io, thread};

use crate::admin::audit::Entry;
use crate::admin::audit::chain::Chain;
use crate::record::AuditStats;

/// Lines that may wait for the disk.
const QUEUE: usize = 1024;
/// How long [`AuditThread::stop`] waits for a disk that is stuck.
const CLOSE: Duration = Duration::from_secs(2);

/// The end that entries are put in at. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct Audit {
    /// Absent where there is no file.
    queue: Option<SyncSender<Entry>>,
    stats: AuditStats,
}

/// The thread that writes them.
#[derive(Debug)]
pub(in crate::admin) struct AuditThread {
    done: Receiver<()>,
}

impl Audit {
    /// # Errors
    /// Where no thread can be started.
    pub(in crate::admin) fn start(path: PathBuf) -> io::Result<(Self, AuditThread)> {
        let (queue, entries) = sync_channel(QUEUE);
        let (finished, done) = sync_channel(0);
        let stats = AuditStats::default();
        let told = stats.clone();
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                write(&mut Chain::new(path), &entries, &told);
                drop(finished);
            })?;
        let audit = Self {
            queue: Some(queue),
            stats,
        };
        Ok((audit, AuditThread { done }))
    }

    /// Puts an entry in. Never waits: where too many do, it is lost and counted.
    pub(in crate::admin) fn tell(&self, entry: Entry) {
        if let Some(queue) = &self.queue
            && queue.try_send(entry).is_err()
        {
            self.stats.lose();
        }
    }

    /// Counts what is not even to be tried.
    pub(in crate::admin) fn leave_out(&self) {
        self.stats.lose();
    }

    pub(in crate::admin) fn stats(&self) -> &AuditStats {
        &self.stats
    }
}

impl AuditThread {
    /// Waits until all is written. Every [`Audit`] is to be dropped before.
    pub(in crate::admin) fn stop(self) {
        if self.done.recv_timeout(CLOSE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the audit log could not be flushed within {CLOSE:?}");
        }
    }
}

fn write(chain: &mut Chain, entries: &Receiver<Entry>, stats: &AuditStats) {
    let mut failed = false;
    while let Ok(first) = entries.recv() {
        // All that waits goes to the disk at once.
        let waiting = std::iter::once(first).chain(entries.try_iter());
        let mut result = Ok(());
        for entry in waiting {
            let untold = stats.take_untold();
            match chain.append(&entry, untold) {
                Ok(_) => {
                    stats.wrote();
                }
                Err(error) => {
                    stats.untell(untold);
                    stats.lose();
                    result = Err(error);
                }
            }
        }
        let result = result.and_then(|()| chain.sync());
        if let (Err(error), false) = (&result, failed) {
            tracing::error!(path = %chain.path().display(), %error, "the audit log cannot be written: lines are lost and counted until it can");
        }
        failed = result.is_err();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn until(what: impl Fn() -> bool) {
        for _ in 0..2000 {
            if what() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("waited in vain");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_by_the_next_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("later");
        let (audit, thread) = Audit::start(folder.join("audit.jsonl")).unwrap();
        audit.tell(Entry::new("halted"));
        until(|| audit.stats().unwritten() == 1);
        audit.leave_out();
        fs::create_dir(&folder).unwrap();
        audit.tell(Entry::new("resumed"));
        until(|| audit.stats().written() == 1);
        let text = fs::read_to_string(folder.join("audit.jsonl")).unwrap();
        assert!(text.contains("\"unwritten\":2"), "{text}");
        assert_eq!(audit.stats().unwritten(), 2);
        drop(audit);
        thread.stop();
    }

    #[test]
    fn nothing_waits_for_a_full_disk() {
        // Every write to it says that there is no space left.
        let (audit, thread) = Audit::start("/dev/full".into()).unwrap();
        for _ in 0..10_000 {
            audit.tell(Entry::new("halted"));
        }
        until(|| audit.stats().unwritten() == 10_000);
        assert_eq!(audit.stats().written(), 0);
        drop(audit);
        thread.stop();
    }
}
