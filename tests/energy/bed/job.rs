//! What a synthetic upstream does for one call, and what the driver sees of it, by millisecond.

use hormesis::call::Outcome;

/// How hard the upstream works: a generator form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// The same all the time.
    Even,
    /// Two CPUs for the prompt (the first quarter), one for the tokens after it.
    Prefill,
}

/// What is done to a call on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Harm {
    None,
    /// A wait of so many ms before anything goes upstream.
    BeforeUpstream(u64),
    /// The head is held for so long; the upstream works on, its bytes wait in buffers.
    ResponseHead(u64),
    /// Each of ten pieces is held for so long; the upstream works on.
    BetweenTokens(u64),
    /// Ten times the answer is not read for so long, and the upstream blocks.
    Throttle(u64),
    /// A client that leaves the call open for so long after its last byte.
    SlowReader(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) call: u64,
    pub(crate) upstream: u16,
    /// When the client asks.
    pub(crate) at: u64,
    /// How long the upstream works.
    pub(crate) work: u64,
    pub(crate) form: Form,
    pub(crate) harm: Harm,
    pub(crate) outcome: Outcome,
    /// The client leaves after so many ms of the upstream's work; whether that then goes on.
    pub(crate) cut: Option<(u64, bool)>,
}

/// What the ledger is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Begin,
    End,
    Hold,
    Release,
}

/// A job as it goes.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) job: Job,
    /// In order of time.
    pub(crate) signs: Vec<(u64, Sign)>,
    /// When the client has it all.
    pub(crate) closed: u64,
    /// CPU use by ms from the begin, in thousandths of a CPU.
    work: Vec<u64>,
}

impl Job {
    pub(crate) fn new(call: u64, at: u64, work: u64) -> Self {
        Self {
            call,
            upstream: 0,
            at,
            work,
            form: Form::Even,
            harm: Harm::None,
            outcome: Outcome::Ok,
            cut: None,
        }
    }

    pub(crate) fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    pub(crate) fn harm(mut self, harm: Harm) -> Self {
        self.harm = harm;
        self
    }

    pub(crate) fn upstream(mut self, upstream: u16) -> Self {
        self.upstream = upstream;
        self
    }

    fn power(&self, ms: u64) -> u64 {
        match self.form {
            Form::Prefill if ms < self.work / 4 => 2000,
            Form::Even | Form::Prefill => 1000,
        }
    }

    pub(crate) fn course(self) -> Course {
        let begin = match self.harm {
            Harm::BeforeUpstream(wait) => self.at + wait,
            _ => self.at,
        };
        let mut work: Vec<u64> = (0..self.work).map(|ms| self.power(ms)).collect();
        let (holds, last) = self.holds(begin, &mut work);
        let mut end = last.max(begin + work.len() as u64);
        let mut closed = match self.harm {
            Harm::SlowReader(wait) => end + wait,
            _ => end,
        };
        if let Some((after, goes_on)) = self.cut {
            end = begin + after;
            closed = end;
            if !goes_on {
                work.truncate(usize::try_from(after).unwrap());
            }
        }
        let mut signs = vec![(begin, Sign::Begin)];
        for (from, to) in holds {
            signs.extend([(from, Sign::Hold), (to, Sign::Release)]);
        }
        signs.retain(|(at, _)| *at < end);
        signs.push((end, Sign::End));
        Course {
            job: self,
            signs,
            closed,
            work,
        }
    }

    /// When the answer is held, and when its last byte is received at the earliest.
    fn holds(&self, begin: u64, work: &mut Vec<u64>) -> (Vec<(u64, u64)>, u64) {
        let mut holds = Vec::new();
        let head = begin + self.work / 4;
        match self.harm {
            Harm::None | Harm::BeforeUpstream(_) | Harm::SlowReader(_) => (holds, begin),
            Harm::ResponseHead(wait) => (vec![(head, head + wait)], head + wait + 1),
            Harm::BetweenTokens(wait) => {
                let mut from = head;
                for _ in 0..10 {
                    holds.push((from, from + wait));
                    from += wait + 1;
                }
                (holds, from + 1)
            }
            Harm::Throttle(wait) => {
                let size = usize::try_from(self.work / 11).unwrap();
                let mut slow = Vec::new();
                for (index, piece) in work.chunks(size).enumerate() {
                    slow.extend_from_slice(piece);
                    if index < 10 {
                        let from = begin + slow.len() as u64;
                        holds.push((from, from + wait));
                        slow.extend(std::iter::repeat_n(0, usize::try_from(wait).unwrap()));
                    }
                }
                *work = slow;
                (holds, begin)
            }
        }
    }
}

impl Course {
    /// CPU use in the ms that starts at `now`, in thousandths of a CPU.
    pub(crate) fn cpu(&self, now: u64) -> u64 {
        let begin = self.signs[0].0;
        now.checked_sub(begin)
            .and_then(|ms| self.work.get(usize::try_from(ms).unwrap()))
            .copied()
            .unwrap_or(0)
    }

    /// All CPU time that the upstream spends on it, in thousandths of a ms.
    pub(crate) fn cpu_sum(&self) -> u64 {
        self.work.iter().sum()
    }

    pub(crate) fn over(&self) -> u64 {
        self.closed.max(self.signs[0].0 + self.work.len() as u64)
    }
}
