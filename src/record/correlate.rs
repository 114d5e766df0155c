//! Brings a call's line and its later figures together: figures are written only of calls that
//! are told of, and after them, in whatever order the two arrive.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::record::{DecisionLevel, EnergyLine, Facts};

/// Calls that are remembered as written: many windows' worth.
const WRITTEN: usize = 65_536;
/// Figures that wait for their call's line, which comes late where the client read slowly.
const PENDING: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Correlator {
    level: DecisionLevel,
    written: HashSet<u64>,
    written_order: VecDeque<u64>,
    pending: HashMap<u64, Box<EnergyLine>>,
    pending_order: VecDeque<u64>,
}

impl Correlator {
    pub(crate) fn new(level: DecisionLevel) -> Self {
        Self {
            level,
            written: HashSet::new(),
            written_order: VecDeque::new(),
            pending: HashMap::new(),
            pending_order: VecDeque::new(),
        }
    }

    /// A call's line is written: the figures that came before it.
    pub(crate) fn call(&mut self, call: u64) -> Option<Box<EnergyLine>> {
        if self.written.insert(call) {
            self.written_order.push_back(call);
        }
        if self.written_order.len() > WRITTEN
            && let Some(oldest) = self.written_order.pop_front()
        {
            self.written.remove(&oldest);
        }
        self.pending.remove(&call)
    }

    /// Figures arrived: gives them back where they are to be written now.
    pub(crate) fn energy(&mut self, line: Box<EnergyLine>) -> Option<Box<EnergyLine>> {
        if self.written.contains(&line.call) {
            return Some(line);
        }
        // A sample is decided by the id alone; the other levels by facts that only the call's line
        // brings.
        let unwanted = matches!(self.level, DecisionLevel::Sample(_))
            && !self.level.wants(Facts {
                call: line.call,
                ..Facts::default()
            });
        if unwanted {
            return None;
        }
        self.pending_order.push_back(line.call);
        self.pending.insert(line.call, line);
        if self.pending_order.len() > PENDING
            && let Some(oldest) = self.pending_order.pop_front()
        {
            self.pending.remove(&oldest);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(call: u64) -> Box<EnergyLine> {
        Box::new(EnergyLine {
            call,
            ..EnergyLine::default()
        })
    }

    #[test]
    fn figures_follow_their_call_whichever_comes_first() {
        let mut correlator = Correlator::new(DecisionLevel::Fired);
        assert!(correlator.call(1).is_none());
        assert_eq!(correlator.energy(figures(1)).unwrap().call, 1);
        assert!(correlator.energy(figures(2)).is_none());
        assert_eq!(correlator.call(2).unwrap().call, 2);
    }

    #[test]
    fn memory_is_bounded_when_no_call_is_ever_written() {
        let mut correlator = Correlator::new(DecisionLevel::Fired);
        for call in 0..100_000 {
            assert!(correlator.energy(figures(call)).is_none());
        }
        assert_eq!(correlator.pending.len(), PENDING);
        assert!(correlator.call(0).is_none());
        assert!(correlator.call(99_999).is_some());
        for call in 0..100_000 {
            correlator.call(call);
        }
        assert_eq!(correlator.written.len(), WRITTEN);
    }
}
