//! `delay`: the call waits.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Effect, Effects, WaitTime};
use crate::fault::complaint::unless;
use crate::fault::place::{WITH_BETWEEN, place};
use crate::fault::{Complaint, Doc, Fault, Kind};
use crate::law::Law;
use crate::units::Span;

/// Exactly one law: `fixed`, `uniform`, `normal`, `lognormal` or `exponential`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DelayConfig {
    /// where the call waits; "before-upstream" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Phase>,
    /// for `{ byte = N }` and "end": in which direction; "response" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// always this long
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Span>,
    /// anything from `min` to `max`, equally likely
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniform: Option<Uniform>,
    /// a normal law, cut at zero
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normal: Option<Normal>,
    /// a lognormal law through its median and 99th percentile: what latencies mostly look like
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lognormal: Option<Lognormal>,
    /// an exponential law
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential: Option<Exponential>,
    /// longest single wait: what a law draws beyond it waits this long
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    pub min: Span,
    pub max: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    pub mean: Span,
    /// standard deviation
    pub sd: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    pub median: Span,
    /// 99 of 100 waits are shorter
    pub p99: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    pub mean: Span,
}

#[derive(Debug)]
struct Delay {
    at: Phase,
    side: Side,
    law: Law,
}

impl Fault for Delay {
    fn arm(&self, _call: &Call<'_>, draws: &mut Draws) -> Effects {
        let time = match self.at {
            Phase::BetweenUnits | Phase::BetweenTokens => WaitTime::Each {
                law: self.law.clone(),
                sub_seed: draws.sub_seed(),
            },
            _ => WaitTime::Once(self.law.sample(draws)),
        };
        smallvec![Effect::Wait {
            at: self.at,
            side: self.side,
            time,
        }]
    }

    fn place(&self) -> (Phase, Side) {
        (self.at, self.side)
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const ONE_LAW: &str =
    "give one of fixed, uniform, normal, lognormal, exponential: delay = { fixed = \"10ms\" }";

impl Kind for DelayConfig {
    const DOC: Doc = Doc {
        summary: "waits",
        does: "The call waits at one place: before anything goes upstream, before the head or the first \
               token of the answer goes to the client, or between its units. The wait is never shorter than drawn. \
               Between units or tokens each one waits anew, on top of its own true arrival time: a server slower \
               by so much per token. Bytes are not slowed beyond that; `throttle` does it.",
        stands_for: "A queue before the model, a cold cache, a long prefill (\"first-token\"), a crowded batch \
                     (\"between-tokens\"), a slow network.",
        examples: &[
            r#"[[rules]]
name = "slow-start"
probability = "20%"
[[rules.faults]]
delay = { at = "first-token", lognormal = { median = "400ms", p99 = "3s" } }
"#,
            r#"[[rules]]
name = "slow-decode"
[[rules.faults]]
delay = { at = "between-tokens", exponential = { mean = "20ms" }, max = "200ms" }
"#,
        ],
        phases: WITH_BETWEEN,
        views: &[],
        usual: "fixed = \"1s\"",
        cost: "None. Chosen, at a position of units: the answer is framed as it passes.",
    };

    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let at = self.at.unwrap_or(Phase::BeforeUpstream);
        let (at, side) = place(at, self.side, WITH_BETWEEN, &mut complaints);
        let law = self.law(&mut complaints);
        if self.max == Some(Span::ZERO) {
            complaints.push(Complaint::new(
                "max",
                "no wait is shorter than 0",
                "leave the fault out, or give a longest wait like \"5s\"",
            ));
        }
        unless(complaints, law)?
            .map(|law| Arc::new(Delay { at, side, law }) as Arc<dyn Fault>)
            .ok_or_else(Vec::new)
    }
}

impl DelayConfig {
    /// The law; `None` only where there was a complaint.
    fn law(&self, complaints: &mut Vec<Complaint>) -> Option<Law> {
        let laws = self.laws();
        let law = match laws.as_slice() {
            [one] => one,
            [] => {
                complaints.push(Complaint::new("", "how long does it wait?", ONE_LAW));
                return None;
            }
            [_, (second, ..), ..] => {
                complaints.push(Complaint::new(*second, "a delay has one law", ONE_LAW));
                return None;
            }
        };
        let (field, wrong, law) = law;
        if let Some((message, help)) = wrong {
            complaints.push(Complaint::new(*field, *message, *help));
        }
        if longest(law) > DAY {
            complaints.push(Complaint::new(
                *field,
                "a wait is at most a day",
                "no client waits so long; `stall` keeps a call open until the client leaves",
            ));
        }
        Some(match self.max {
            Some(max) => Law::Capped {
                max: max.get(),
                law: Box::new(law.clone()),
            },
            None => law.clone(),
        })
    }

    /// All laws that were given: field, what is wrong with it and what would be right, law.
    fn laws(&self) -> Vec<(&'static str, Option<Wrong>, Law)> {
        let mut laws = Vec::new();
        if let Some(time) = self.fixed {
            let wrong = (time == Span::ZERO).then_some((
                "a delay of 0 does nothing",
                "give a time like \"10ms\", or leave the fault out",
            ));
            laws.push(("fixed", wrong, Law::Fixed(time.get())));
        }
        if let Some(Uniform { min, max }) = self.uniform {
            let wrong = (min > max || max == Span::ZERO).then_some((
                "max must be above 0 and not below min",
                "write it like uniform = { min = \"10ms\", max = \"50ms\" }",
            ));
            let (min, max) = (min.get(), max.get());
            laws.push(("uniform", wrong, Law::Uniform { min, max }));
        }
        if let Some(Normal { mean, sd }) = self.normal {
            let wrong = (mean == Span::ZERO && sd == Span::ZERO).then_some((
                "a delay of 0 does nothing",
                "write it like normal = { mean = \"100ms\", sd = \"20ms\" }",
            ));
            let (mean, sd) = (mean.get(), sd.get());
            laws.push(("normal", wrong, Law::Normal { mean, sd }));
        }
        if let Some(Lognormal { median, p99 }) = self.lognormal {
            let sound = median > Span::ZERO && p99 >= median;
            let wrong = (!sound).then_some((
                "median must be above 0, and p99 not below median",
                "write it like lognormal = { median = \"400ms\", p99 = \"3s\" }",
            ));
            // Built from sound numbers only: the logarithm of a ratio to zero is no number.
            let law = if sound {
                Law::lognormal(median.get(), p99.get())
            } else {
                Law::Fixed(p99.get())
            };
            laws.push(("lognormal", wrong, law));
        }
        if let Some(Exponential { mean }) = self.exponential {
            let wrong = (mean == Span::ZERO).then_some((
                "the mean must be above 0",
                "write it like exponential = { mean = \"50ms\" }",
            ));
            let mean = mean.get();
            laws.push(("exponential", wrong, Law::Exponential { mean }));
        }
        laws
    }
}

/// A message and what would be right.
type Wrong = (&'static str, &'static str);

/// The longest time that a law names.
fn longest(law: &Law) -> Duration {
    match law {
        Law::Capped { max, .. } => *max,
        Law::Exponential { mean } => *mean,
        Law::Fixed(time) => *time,
        Law::Lognormal { median, .. } => *median,
        Law::Normal { mean, sd } => (*mean).max(*sd),
        Law::Uniform { max, .. } => *max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> DelayConfig {
        toml::from_str(text).unwrap()
    }

    fn effect(text: &str) -> Effect {
        let fault = read(text).build().unwrap();
        let mut draws = Draws::from_sub_seed(1);
        fault.arm(&Call::default(), &mut draws).remove(0)
    }

    #[test]
    fn one_wait_before_upstream_by_default() {
        assert_eq!(
            effect("fixed = \"10ms\""),
            Effect::Wait {
                at: Phase::BeforeUpstream,
                side: Side::Request,
                time: WaitTime::Once(Duration::from_millis(10)),
            }
        );
    }

    #[test]
    fn between_tokens_draws_for_each() {
        let effect =
            effect("at = \"between-tokens\"\nexponential = { mean = \"9ms\" }\nmax = \"20ms\"");
        let Effect::Wait {
            time: WaitTime::Each { law, .. },
            side: Side::Response,
            ..
        } = effect
        else {
            panic!("{effect:?}");
        };
        let mut draws = Draws::from_sub_seed(3);
        let longest = (0..1000).map(|_| law.sample(&mut draws)).max();
        assert_eq!(longest, Some(Duration::from_millis(20)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (text, field) in [
            ("", ""),
            ("fixed = \"0\"", "fixed"),
            ("fixed = \"2days\"", "fixed"),
            (
                "fixed = \"1s\"\nuniform = { min = \"1s\", max = \"2s\" }",
                "uniform",
            ),
            ("uniform = { min = \"3s\", max = \"2s\" }", "uniform"),
            ("normal = { mean = \"0\", sd = \"0\" }", "normal"),
            ("lognormal = { median = \"0\", p99 = \"2s\" }", "lognormal"),
            ("lognormal = { median = \"3s\", p99 = \"2s\" }", "lognormal"),
            ("exponential = { mean = \"0\" }", "exponential"),
            ("fixed = \"1s\"\nmax = \"0\"", "max"),
            ("fixed = \"1s\"\nat = \"after-upstream\"", "at"),
            ("fixed = \"1s\"\nat = { unit = 0 }", "at"),
            ("fixed = \"1s\"\nat = \"end\"\nside = \"request\"", "-"),
        ] {
            let fields: Vec<_> = match read(text).build() {
                Ok(_) => vec!["-".to_owned()],
                Err(complaints) => complaints.into_iter().map(|it| it.field).collect(),
            };
            assert_eq!(fields, [field], "{text}");
        }
    }
}
