//! From what the load and the sidecar told to the run that a report tells of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::load::{LoadReport, PhaseFigures};
use crate::report::{Energy, OutcomeEnergy, Phase, PhaseEnergy, RuleCount, Run};

use super::error::DemoError;
use super::scenario::{PHASES, PhasePlan, RULES};
use super::status::{EnergyStatus, OutcomeStatus, Status};
use super::story::Play;

/// The sidecar's figures at one time of the load.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    at_s: f64,
    status: Status,
}

impl Sample {
    pub(super) async fn take(admin: SocketAddr, started: Instant) -> Result<Self, DemoError> {
        let at_s = started.elapsed().as_secs_f64();
        let status = Status::read(admin).await?;
        Ok(Self { at_s, status })
    }
}

pub(super) fn gather(
    play: &Play,
    started: SystemTime,
    load: LoadReport,
    samples: &[Sample],
) -> Run {
    let last = samples.last().map(|sample| &sample.status);
    let energy = last.and_then(energy);
    let phases: Vec<Phase> = PHASES
        .iter()
        .zip(load.phases)
        .map(|(plan, figures)| phase(plan, figures, samples))
        .collect();
    Run {
        schema: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: humantime::format_rfc3339_seconds(started).to_string(),
        seed: play.seed,
        command: play.command.clone(),
        seconds: load.seconds,
        total: load.total,
        reasons: load.reasons,
        rules: last.map(rules).unwrap_or_default(),
        notes: notes(&phases, last, energy.as_ref()),
        phases,
        energy,
    }
}

fn phase(plan: &PhasePlan, figures: PhaseFigures, samples: &[Sample]) -> Phase {
    let is_last = PHASES.last() == Some(plan);
    Phase {
        start_s: seconds(plan.start_s),
        end_s: seconds(plan.end_s),
        fault: plan.fault,
        figures,
        energy: phase_energy(samples, plan, is_last),
    }
}

/// What the counters rose by between the samples nearest to the phase's ends. The last phase has
/// the calls that ended after the load, too.
fn phase_energy(samples: &[Sample], plan: &PhasePlan, is_last: bool) -> Option<PhaseEnergy> {
    let sums = |sample: &Sample| {
        let energy = energy(&sample.status)?;
        Some((
            energy.total().dyn_uj?,
            energy.wasted().dyn_uj.unwrap_or(0),
            energy.by_outcome.get("ok").map_or(0, |it| it.calls),
        ))
    };
    let end = if is_last {
        samples.last()?
    } else {
        nearest(samples, seconds(plan.end_s))?
    };
    // Before the first call nothing was counted, and so nothing is told.
    let (before, before_wasted, before_ok) =
        sums(nearest(samples, seconds(plan.start_s))?).unwrap_or((0, 0, 0));
    let (after, after_wasted, after_ok) = sums(end)?;
    Some(PhaseEnergy {
        dyn_uj: after.checked_sub(before)?,
        wasted_uj: after_wasted.checked_sub(before_wasted)?,
        successes: after_ok.checked_sub(before_ok)?,
    })
}

fn nearest(samples: &[Sample], at_s: f64) -> Option<&Sample> {
    samples.iter().min_by(|a, b| {
        let distance = |sample: &Sample| (sample.at_s - at_s).abs();
        distance(a).total_cmp(&distance(b))
    })
}

fn seconds(whole: u64) -> f64 {
    std::time::Duration::from_secs(whole).as_secs_f64()
}

fn energy(status: &Status) -> Option<Energy> {
    let told: &EnergyStatus = status.energy.as_ref()?;
    let figure = |it: &OutcomeStatus| OutcomeEnergy {
        calls: it.calls,
        dyn_uj: it.dyn_uj,
        lo_uj: it.lo_uj,
        hi_uj: it.hi_uj,
    };
    let by_outcome: BTreeMap<String, OutcomeEnergy> = told
        .by_outcome
        .iter()
        .map(|(outcome, it)| (outcome.clone(), figure(it)))
        .collect();
    Some(Energy {
        // Without a tier there was no reading.
        tier: told.tier.clone()?,
        meters: told.meters.clone(),
        by_outcome,
        total: Some(figure(&told.total)),
        self_uj: told.self_uj,
        others_uj: told.others_uj,
        unattributed_uj: told.unattributed_uj,
        idle_uj: told.idle_uj,
        gap_s: told.gap_s,
    })
}

fn rules(status: &Status) -> Vec<RuleCount> {
    RULES
        .iter()
        .filter_map(|plan| {
            let told = status.rules.iter().find(|it| it.name == plan.name)?;
            Some(RuleCount {
                name: plan.name.to_owned(),
                does: plan.does.to_owned(),
                selected: told.selected,
                hit: told.hit,
                outside: told.denied.schedule,
                applied: told.applied,
            })
        })
        .collect()
}

fn notes(phases: &[Phase], status: Option<&Status>, energy: Option<&Energy>) -> Vec<String> {
    let mut notes = Vec::new();
    let unprovoked: u64 = phases
        .iter()
        .filter(|phase| !phase.fault)
        .map(|phase| phase.figures.all.errors)
        // A rule's last victims may have arrived a moment beside its time.
        .map(|errors| errors.total() - errors.injected - errors.cut)
        .sum();
    if unprovoked > 0 {
        notes.push(format!(
            "{unprovoked} calls broke while no rule was live: this machine was busy, and the \
             figures of the fault have such calls in them, too. Run it again on a quiet one."
        ));
    }
    if let Some(status) = status {
        notes.push(origins(status));
    }
    notes.push(match energy.map(|energy| energy.tier.as_str()) {
        Some("modelled") => {
            "No power sensor is readable here, so joules are modelled from the CPU \
             time of the model server: trust the ratios before the absolute figures."
                .to_owned()
        }
        Some("measured") => "Joules are measured by the CPU package's own counter and split among \
             calls while the model server worked for them."
            .to_owned(),
        Some(tier) => format!("Joules are {tier}."),
        None => "No meter gave a reading, so nothing is said about joules.".to_owned(),
    });
    notes.push(
        "A call whose answer came late but whole is ok; energy is wasted where the client did not \
         get the true answer."
            .to_owned(),
    );
    notes
}

/// The client cannot tell who cut an answer off; the sidecar can.
fn origins(status: &Status) -> String {
    let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
    for calls in status.calls.iter().filter(|it| it.outcome != "ok") {
        *failed.entry(&calls.origin).or_default() += calls.count;
    }
    if failed.is_empty() {
        return "The sidecar counts no failed call.".to_owned();
    }
    let counts: Vec<String> = failed
        .iter()
        .map(|(origin, count)| format!("{count} {origin}"))
        .collect();
    format!(
        "A client cannot tell who cut an answer off. The sidecar can: of the failed calls it counts {}.",
        counts.join(", ")
    )
}
