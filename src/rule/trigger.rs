//! Which of the calls that a rule selects it hits.

use std::num::NonZeroU64;

use crate::call::{Call, Moment};
use crate::draw::{self, Identity};
use crate::rule::Denied;
use crate::rule::caller::{Asked, Caller};
use crate::units::{Probability, Seed};

/// What makes a rule hit a call that it selects.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    Chance {
        probability: Probability,
        /// Calls with the same value of this header share one draw: a sticky cohort. Calls
        /// without it are in none, and never hit. Absent: each call draws for itself.
        key: Option<Box<str>>,
    },
    Nth(Nth),
    /// Calls ask for faults themselves.
    Caller(Caller),
}

/// Which of a rule's selected calls are hit, by their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nth {
    /// All after so many, or `count` of them.
    After {
        after: u64,
        count: Option<NonZeroU64>,
    },
    /// The n-th, the 2n-th, …
    Every(NonZeroU64),
    First(NonZeroU64),
}

/// What a trigger said of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pull {
    pub hit: bool,
    /// Where it drew.
    pub draw: Option<f64>,
    /// It would have hit, but for this.
    pub(super) denied: Option<Denied>,
    /// What the caller asks for, where it does.
    pub(super) asked: Option<Asked>,
}

impl Trigger {
    /// Whether it can ever hit.
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Chance { probability, .. } if *probability == Probability::NEVER)
    }

    pub(super) fn pull(&self, rule: &str, call: &Call<'_>, moment: &Moment, seed: Seed) -> Pull {
        let (probability, identity) = match self {
            Self::Nth(nth) => {
                return Pull {
                    hit: nth.hits(moment.ordinal),
                    ..Pull::default()
                };
            }
            Self::Caller(caller) => {
                let identity = Identity::Number(moment.number);
                let draw = || draw::trigger(seed, rule, call.listener, identity);
                return Self::pull_by_caller(caller.asked(call), draw);
            }
            Self::Chance {
                probability,
                key: None,
            } => (probability, Some(Identity::Number(moment.number))),
            Self::Chance {
                probability,
                key: Some(header),
            } => (probability, call.header(header).next().map(Identity::Key)),
        };
        let draw = identity.map(|identity| draw::trigger(seed, rule, call.listener, identity));
        Pull {
            hit: draw.is_some_and(|draw| draw < probability.fraction()),
            draw,
            ..Pull::default()
        }
    }

    fn pull_by_caller(asked: Option<Result<Asked, Denied>>, draw: impl FnOnce() -> f64) -> Pull {
        match asked {
            None => Pull::default(),
            Some(Err(why)) => Pull {
                hit: true,
                denied: Some(why),
                ..Pull::default()
            },
            Some(Ok(asked)) => {
                let draw = draw();
                Pull {
                    hit: asked.hits(draw),
                    draw: Some(draw),
                    asked: Some(asked),
                    denied: None,
                }
            }
        }
    }
}

impl Nth {
    /// Whether it hits the call with this ordinal, counted from 0.
    pub fn hits(self, ordinal: u64) -> bool {
        match self {
            Self::After { after, count } => ordinal
                .checked_sub(after)
                .is_some_and(|past| count.is_none_or(|count| past < count.get())),
            Self::Every(every) => ordinal.wrapping_add(1).is_multiple_of(every.get()),
            Self::First(first) => ordinal < first.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Field;

    fn hits(nth: Nth) -> Vec<u64> {
        (0..12).filter(|&ordinal| nth.hits(ordinal)).collect()
    }

    #[test]
    fn nth_counts_selected_calls() {
        let some = |n| NonZeroU64::new(n).unwrap();
        assert_eq!(hits(Nth::First(some(3))), [0, 1, 2]);
        assert_eq!(hits(Nth::Every(some(5))), [4, 9]);
        let count = Some(some(2));
        assert_eq!(hits(Nth::After { after: 7, count }), [7, 8]);
        let count = None;
        assert_eq!(hits(Nth::After { after: 9, count }), [9, 10, 11]);
    }

    #[test]
    fn a_key_makes_a_cohort_whatever_the_call_number() {
        let trigger = Trigger::Chance {
            probability: Probability::new(0.5).unwrap(),
            key: Some("x-user".into()),
        };
        let pull = |user: &str, number| {
            let fields = [Field {
                name: "X-User",
                value: user.as_bytes(),
            }];
            let call = Call {
                fields: &fields,
                ..Call::default()
            };
            let moment = Moment {
                number,
                ..Moment::default()
            };
            trigger.pull("rule", &call, &moment, Seed(3))
        };
        let hit = (0..100)
            .filter(|n| pull(&format!("user-{n}"), 0).hit)
            .count();
        assert!((30..70).contains(&hit), "{hit}");
        for user in 0..100 {
            let user = format!("user-{user}");
            assert_eq!(pull(&user, 1), pull(&user, 99));
        }
    }

    #[test]
    fn a_call_without_the_key_is_in_no_cohort() {
        let trigger = Trigger::Chance {
            probability: Probability::ALWAYS,
            key: Some("x-user".into()),
        };
        let pull = trigger.pull("rule", &Call::default(), &Moment::default(), Seed(3));
        assert_eq!(pull, Pull::default());
    }
}
