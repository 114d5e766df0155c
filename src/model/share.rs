//! Share credit: each selected call adds the share, each fault costs 1. It starts at 0, so that
//! the share holds from the first call on, and is capped, so that a quiet hour saves up no burst.

use std::time::Duration;

use crate::units::Probability;

/// Credit is counted in parts of a fault, in integers: ten times 0.1 is one, exactly.
const ONE: u64 = 1_000_000_000;

/// The state of one share. The cap is `max(1, share × calls of the last 10 s)`, seconds counted
/// whole: the running one and the nine before it.
#[derive(Debug)]
pub(super) struct Credit {
    share: u64,
    balance: u64,
    calls: [u64; SECONDS],
    second: u64,
}

const SECONDS: usize = 10;

impl Credit {
    pub(super) fn new(share: Probability) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a probability is within 0 and 1"
        )]
        let share = (share.fraction() * ONE as f64).round() as u64;
        Self {
            share,
            balance: 0,
            calls: [0; SECONDS],
            second: 0,
        }
    }

    /// A call was selected.
    pub(super) fn earn(&mut self, at: Duration) {
        self.turn(at.as_secs());
        if let Some(calls) = self.calls.get_mut(slot(self.second)) {
            *calls += 1;
        }
        let recent: u64 = self.calls.iter().sum();
        let cap = self.share.saturating_mul(recent).max(ONE);
        self.balance = (self.balance + self.share).min(cap);
    }

    /// Pays for one fault if there is credit and `take` succeeds; else pays nothing.
    pub(super) fn spend_if(&mut self, take: impl FnOnce() -> bool) -> bool {
        if self.balance < ONE || !take() {
            return false;
        }
        self.balance -= ONE;
        true
    }

    /// Forgets the seconds that have left the window. Workers read their clocks apart, so `second`
    /// may lie a little back: it then counts as the latest.
    fn turn(&mut self, second: u64) {
        let passed = second.saturating_sub(self.second);
        for gone in 1..=passed.min(SECONDS as u64) {
            if let Some(calls) = self.calls.get_mut(slot(self.second + gone)) {
                *calls = 0;
            }
        }
        self.second = self.second.max(second);
    }
}

/// The place of a second in the ring.
#[expect(clippy::cast_possible_truncation, reason = "a remainder by ten")]
const fn slot(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(share: f64) -> Credit {
        Credit::new(Probability::new(share).unwrap())
    }

    #[test]
    fn a_tenth_lets_each_tenth_call_pass_and_none_before() {
        let mut credit = credit(0.1);
        let passed: Vec<bool> = (0..30)
            .map(|_| {
                credit.earn(Duration::ZERO);
                credit.spend_if(|| true)
            })
            .collect();
        let want: Vec<bool> = (1..=30).map(|n| n % 10 == 0).collect();
        assert_eq!(passed, want);
    }

    #[test]
    fn unspent_credit_is_capped_by_the_last_ten_seconds() {
        let mut credit = credit(0.5);
        for _ in 0..1000 {
            credit.earn(Duration::ZERO);
        }
        // Of the thousand calls none is recent now: one fault is left, and the call's own half.
        credit.earn(Duration::from_secs(10));
        assert!(credit.spend_if(|| true));
        assert!(!credit.spend_if(|| true));
    }

    #[test]
    fn within_ten_seconds_credit_is_kept() {
        let mut credit = credit(0.5);
        for second in 0..10 {
            credit.earn(Duration::from_secs(second));
        }
        let spent = (0..10).filter(|_| credit.spend_if(|| true)).count();
        assert_eq!(spent, 5);
    }

    #[test]
    fn a_clock_that_lags_is_no_harm() {
        let mut credit = credit(1.0);
        credit.earn(Duration::from_secs(7));
        credit.earn(Duration::from_secs(6));
        assert_eq!(credit.calls.iter().sum::<u64>(), 2);
        credit.earn(Duration::from_secs(u64::MAX / 2));
        assert_eq!(credit.calls.iter().sum::<u64>(), 1);
    }
}
