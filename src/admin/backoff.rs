//! Slows down who asks wrongly again and again, in bounded memory.
//!
//! Each peer has a bucket of tries that fills again with time. It limits what the wrong ones cost:
//! answers to make, lines to write. It is no defence against guessing, which tokens of 128 bits do
//! not need; so a right token is let in whatever the bucket holds, and nobody is locked out by what
//! others do from the same address.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::admin::peer::PeerKey;

/// Tries that a peer has at once.
const BURST: f64 = 10.0;
/// Tries that it gains a second.
const PER_SECOND: f64 = 0.5;
/// Peers that are remembered. Of more, the one that was longest quiet is forgotten.
const PEERS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<HashMap<PeerKey, Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Backoff {
    /// Takes a try of a peer's.
    ///
    /// # Errors
    /// Where it has none left: how long until it has.
    pub(super) fn take(&self, peer: PeerKey) -> Result<(), Duration> {
        let now = Instant::now();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= PEERS && !buckets.contains_key(&peer) {
            let quiet = buckets.iter().min_by_key(|(_, bucket)| bucket.at);
            if let Some(quiet) = quiet.map(|(key, _)| *key) {
                buckets.remove(&quiet);
            }
        }
        let bucket = buckets.entry(peer).or_insert(Bucket {
            left: BURST,
            at: now,
        });
        let gained = (now - bucket.at).as_secs_f64() * PER_SECOND;
        bucket.left = (bucket.left + gained).min(BURST);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / PER_SECOND));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> PeerKey {
        PeerKey::V4(number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_has_some_tries_and_gains_more_with_time() {
        let backoff = Backoff::default();
        for _ in 0..10 {
            assert_eq!(backoff.take(peer(1)), Ok(()));
        }
        assert_eq!(backoff.take(peer(1)), Err(Duration::from_secs(2)));
        assert_eq!(backoff.take(peer(2)), Ok(()), "others have their own");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(backoff.take(peer(1)), Ok(()));
        assert!(backoff.take(peer(1)).is_err());
        tokio::time::advance(Duration::from_secs(3600)).await;
        let tries = (0..100).filter(|_| backoff.take(peer(1)).is_ok());
        assert_eq!(tries.count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_forgets_who_was_longest_quiet() {
        let backoff = Backoff::default();
        for _ in 0..10 {
            assert_eq!(backoff.take(peer(0)), Ok(()));
        }
        for number in 1..5000 {
            tokio::time::advance(Duration::from_micros(1)).await;
            assert_eq!(backoff.take(peer(number)), Ok(()));
            assert!(backoff.take(peer(0)).is_err(), "still asking, still known");
        }
        assert_eq!(backoff.0.lock().unwrap().len(), PEERS);
    }
}
