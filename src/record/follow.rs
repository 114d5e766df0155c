//! Who follows the decisions as they are made. The writer hands each line to a bounded ring that
//! all followers read: it waits for none of them, and who reads too slowly misses some and is told
//! how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::record::Record;
use crate::record::sender::Shared;

/// Decisions that a follower may be behind.
const BEHIND: usize = 1024;
/// Each follower is woken by every decision.
const FOLLOWERS: usize = 32;

/// One call of which was decided something.
#[derive(Debug)]
pub struct Decision {
    pub record: Record,
    /// Its line in the decision log, without the line's end.
    pub line: String,
}

/// What the writer hands on, and to whom.
#[derive(Debug)]
pub(crate) struct Following {
    followers: AtomicUsize,
    decisions: broadcast::Sender<Arc<Decision>>,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            followers: AtomicUsize::new(0),
            decisions: broadcast::Sender::new(BEHIND),
        }
    }
}

impl Following {
    pub(crate) fn any(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn tell(&self, record: Record, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        // An error says that the last follower has just gone.
        crate::error::ignore(self.decisions.send(Arc::new(Decision { record, line })));
    }
}

/// What a follower gets next.
#[derive(Clone, Debug)]
pub enum Next {
    Decision(Arc<Decision>),
    /// So many were lost before the one that comes next: they came faster than they were taken.
    Missed(u64),
}

/// One who follows; from now on, until it is dropped.
#[derive(Debug)]
pub struct Follower {
    receiver: broadcast::Receiver<Arc<Decision>>,
    shared: Arc<Shared>,
}

impl Follower {
    /// `None` where too many follow already.
    pub(crate) fn new(shared: &Arc<Shared>) -> Option<Self> {
        let follow = &shared.follow;
        let taken = follow
            .followers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < FOLLOWERS).then_some(count + 1)
            });
        taken.ok()?;
        Some(Self {
            receiver: follow.decisions.subscribe(),
            shared: Arc::clone(shared),
        })
    }

    /// Waits for the next one; `None` once there will be none.
    pub async fn next(&mut self) -> Option<Next> {
        match self.receiver.recv().await {
            Ok(decision) => Some(Next::Decision(decision)),
            Err(RecvError::Lagged(count)) => Some(Next::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next one that is there already.
    pub fn waiting(&mut self) -> Option<Next> {
        match self.receiver.try_recv() {
            Ok(decision) => Some(Next::Decision(decision)),
            Err(TryRecvError::Lagged(count)) => Some(Next::Missed(count)),
            Err(TryRecvError::Closed | TryRecvError::Empty) => None,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.follow.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
