//! What holds of rules as a whole, whatever the rules and calls are.

mod decide;
mod run;
mod select;

use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Effect, Effects, WaitTime};
use crate::fault::Fault;
use crate::model::Limits;
use crate::rule::{
    FaultSpec, PathGlob, RuleSet, RuleSource, RuleSpec, Schedule, Select, Setting, Trigger,
};
use crate::units::Probability;

/// A fault whose effect shows what it drew.
#[derive(Debug)]
struct Drawn;

impl Fault for Drawn {
    fn arm(&self, _call: &Call<'_>, draws: &mut Draws) -> Effects {
        smallvec![Effect::Wait {
            at: Phase::BeforeUpstream,
            side: Side::Request,
            time: WaitTime::Once(Duration::from_nanos(draws.sub_seed())),
        }]
    }

    fn place(&self) -> (Phase, Side) {
        (Phase::BeforeUpstream, Side::Request)
    }
}

/// A rule that hits with a probability, by default all calls.
fn rule(name: &str, probability: f64) -> RuleSpec {
    RuleSpec {
        name: name.into(),
        text: format!("{name} {probability}"),
        listeners: None,
        select: Arc::new(Select::default()),
        trigger: Trigger::Chance {
            probability: Probability::new(probability).unwrap(),
            key: None,
        },
        schedule: Schedule::default(),
        limits: Limits::default(),
        armed: true,
        dry_run: false,
        ttl: None,
        faults: vec![FaultSpec {
            name: "drawn",
            fault: Arc::new(Drawn),
        }],
        source: RuleSource::File,
    }
}

/// The rules as the only listener, "chat", has them.
fn compile(specs: Vec<RuleSpec>) -> Arc<RuleSet> {
    compile_after(specs, None, Duration::ZERO)
}

fn compile_after(specs: Vec<RuleSpec>, previous: Option<&RuleSet>, at: Duration) -> Arc<RuleSet> {
    Arc::new(RuleSet::compile(
        specs,
        &Setting {
            listeners: &["chat".into()],
            never: &[PathGlob::new("/healthz").unwrap()],
            dry_run: false,
            at,
            previous,
        },
    ))
}

fn call() -> Call<'static> {
    Call {
        listener: "chat",
        ..Call::default()
    }
}
