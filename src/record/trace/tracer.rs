//! Which calls have a span, and the numbers that tell spans apart.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::record::trace::{Parent, TraceContext};
use crate::record::{DecisionLevel, Facts};

/// `traceparent`'s flag of a recorded span.
const SAMPLED: u8 = 1;

/// A worker's choice of calls that have a span.
#[derive(Clone, Debug)]
pub struct Tracer {
    level: DecisionLevel,
    /// Ids must differ between processes, also between two runs with one seed: they do not come
    /// from the draws.
    entropy: u64,
}

impl Tracer {
    pub fn new(level: DecisionLevel) -> Self {
        Self {
            level,
            entropy: RandomState::new().hash_one("spans"),
        }
    }

    /// The span of a call whose caller says `parent`: where the caller records its own, or where
    /// the call is one of those that begin a trace. A caller that decided against it is heeded.
    pub fn begin(&self, facts: Facts, parent: Option<Parent>) -> Option<TraceContext> {
        let call = facts.call.to_le_bytes();
        let id = |what: u64| xxh3_128_with_seed(&call, self.entropy ^ what);
        // Zero is no id; a hash is that once in 2^64.
        let span = |what| u64::try_from(id(what) >> 64).unwrap_or(1).max(1);
        match parent {
            Some(parent) if !parent.is_sampled() => None,
            None if !self.level.wants(facts) => None,
            Some(parent) => Some(TraceContext {
                trace: parent.trace,
                span: span(1).to_be_bytes(),
                parent: Some(parent.span),
                flags: parent.flags,
            }),
            None => Some(TraceContext {
                trace: id(2).max(1).to_be_bytes(),
                span: span(1).to_be_bytes(),
                parent: None,
                flags: SAMPLED,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(call: u64, fired: bool) -> Facts {
        Facts {
            call,
            selected: fired,
            fired,
        }
    }

    #[test]
    fn a_sampled_caller_has_its_span_and_no_other_caller_has() {
        let tracer = Tracer::new(DecisionLevel::All);
        let parent = |flags| Parent {
            trace: [7; 16],
            span: [3; 8],
            flags,
        };
        let context = tracer.begin(facts(1, false), Some(parent(1))).unwrap();
        assert_eq!((context.trace, context.parent), ([7; 16], Some([3; 8])));
        assert!(tracer.begin(facts(1, true), Some(parent(0))).is_none());
        // Flags that this version does not know are passed on.
        let other = tracer.begin(facts(2, false), Some(parent(3))).unwrap();
        assert_eq!(other.flags, 3);
        assert_ne!(other.span, context.span);
    }

    #[test]
    fn without_a_caller_the_level_decides() {
        let tracer = Tracer::new(DecisionLevel::Fired);
        assert!(tracer.begin(facts(1, false), None).is_none());
        let first = tracer.begin(facts(1, true), None).unwrap();
        let second = tracer.begin(facts(2, true), None).unwrap();
        assert_eq!(first, tracer.begin(facts(1, true), None).unwrap());
        assert!(first.trace != second.trace && first.span != second.span);
        let elsewhere = Tracer::new(DecisionLevel::Fired);
        assert_ne!(first, elsewhere.begin(facts(1, true), None).unwrap());
    }
}
