//! When calls arrive: a function of the options and the seed alone.

use std::time::Duration;

use crate::draw::Draws;
use crate::law::Law;

use super::options::{Arrivals, LoadOptions};

/// A call that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Since the start of the load.
    pub at: Duration,
    /// Index of the flow.
    pub flow: usize,
    /// The call's number in its flow, from 0.
    pub number: u64,
}

/// The arrivals of all flows in order of time.
#[derive(Debug)]
pub struct Schedule {
    flows: Vec<FlowSchedule>,
    end: Duration,
}

#[derive(Debug)]
struct FlowSchedule {
    gaps: Law,
    draws: Draws,
    next: Duration,
    number: u64,
}

impl Schedule {
    pub fn new(options: &LoadOptions) -> Self {
        let mut seeds = Draws::from_sub_seed(options.seed);
        let flows = options
            .flows
            .iter()
            .map(|flow| {
                let mean = Duration::from_secs_f64(1.0 / flow.per_second);
                let mut draws = Draws::from_sub_seed(seeds.sub_seed());
                let (gaps, next) = match options.arrivals {
                    Arrivals::Fixed => (Law::Fixed(mean), Duration::ZERO),
                    Arrivals::Poisson => {
                        let gaps = Law::Exponential { mean };
                        let first = gaps.sample(&mut draws);
                        (gaps, first)
                    }
                };
                FlowSchedule {
                    gaps,
                    draws,
                    next,
                    number: 0,
                }
            })
            .collect();
        Self {
            flows,
            end: options.duration(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let (flow, schedule) = self
            .flows
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, schedule)| schedule.next)?;
        if schedule.next >= self.end {
            return None;
        }
        let arrival = Arrival {
            at: schedule.next,
            flow,
            number: schedule.number,
        };
        schedule.next += schedule.gaps.sample(&mut schedule.draws);
        schedule.number += 1;
        Some(arrival)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::load::Flow;

    fn options(arrivals: Arrivals, rates: &[f64]) -> LoadOptions {
        let flow = |rate: &f64| Flow {
            name: rate.to_string(),
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            path: "/".into(),
            bodies: vec![String::new()],
            per_second: *rate,
            stream: false,
        };
        LoadOptions {
            seed: 7,
            arrivals,
            flows: rates.iter().map(flow).collect(),
            duration_ms: 100_000,
            phases: Vec::new(),
            in_flight: 1,
            timeout_ms: 1000,
        }
    }

    #[test]
    fn fixed_arrivals_are_evenly_spaced_and_numbered() {
        let arrivals: Vec<_> = Schedule::new(&options(Arrivals::Fixed, &[4.0])).collect();
        assert_eq!(arrivals.len(), 400);
        assert_eq!(arrivals[3].at, Duration::from_millis(750));
        assert_eq!(arrivals[3].number, 3);
    }

    #[test]
    fn poisson_arrivals_have_their_rate_and_their_spread() {
        let arrivals: Vec<_> = Schedule::new(&options(Arrivals::Poisson, &[50.0])).collect();
        // 4σ of a Poisson count of mean 5000 is 283.
        assert!(arrivals.len().abs_diff(5000) < 283, "{}", arrivals.len());
        // The share of gaps above the mean is 1/e in a Poisson process; evenly spaced: 0 or 1.
        let long = arrivals
            .windows(2)
            .filter(|pair| pair[1].at.saturating_sub(pair[0].at) > Duration::from_millis(20))
            .count();
        assert!(long.abs_diff(1839) < 150, "{long}");
    }

    #[test]
    fn flows_are_merged_in_order_and_do_not_move_each_other() {
        let both: Vec<_> = Schedule::new(&options(Arrivals::Poisson, &[5.0, 30.0])).collect();
        assert!(both.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let alone: Vec<_> = Schedule::new(&options(Arrivals::Poisson, &[5.0])).collect();
        let first: Vec<_> = both.into_iter().filter(|it| it.flow == 0).collect();
        assert_eq!(first, alone);
    }
}
