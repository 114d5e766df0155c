//! The first sentence, and the three numbers below it.

use super::number;
use super::run::{Energy, Phase, Run, failed_share, joules};

/// A number that a reader takes home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    pub title: &'static str,
    pub value: String,
    /// What it compares with, and how far to trust it.
    pub detail: String,
}

/// What broke, by how much, and what it cost, in one sentence.
pub fn verdict(run: &Run) -> String {
    let Some(fault) = run.fault() else {
        return "No rule was live in this run.".to_owned();
    };
    let seconds = number::digits(fault.end_s - fault.start_s);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    let rules = match run.rules.iter().filter(|rule| rule.hit > 0).count() {
        1 => "1 rule was".to_owned(),
        count => format!("{count} rules were"),
    };
    // What broke while rules were live is told, not that rules broke it: the phases around it say
    // how much breaks without them.
    let broken = format!(
        "While {rules} live for {seconds}\u{a0}s, {} of calls broke ({} before, {} after)",
        share(Some(fault)),
        share(run.baseline()),
        share(run.recovery()),
    );
    let slow = first_token_p99(run).map_or_else(String::new, |(before, during)| {
        let (before, during) = (number::time(before), number::time(during));
        format!(", the p99 first token went from {before} to {during}")
    });
    let cost = run.energy.as_ref().map_or_else(
        || "the joules are unknown: no meter here can read them".to_owned(),
        cost,
    );
    format!("{broken}{slow}, and {cost}.")
}

fn cost(energy: &Energy) -> String {
    let (Some(wasted), Some(total)) = (energy.wasted().dyn_uj, energy.total().dyn_uj) else {
        return "no meter here could resolve the joules".to_owned();
    };
    format!(
        "{} of {} were burned for answers that nobody got ({})",
        number::joules(joules(wasted)),
        number::joules(joules(total)),
        trust(energy),
    )
}

/// The tier, and how far the wasted joules can be off.
fn trust(energy: &Energy) -> String {
    match energy.wasted().range() {
        Some((low, high)) => format!(
            "{}, {} to {}",
            energy.tier,
            number::joules(low),
            number::joules(high)
        ),
        None => format!("{}, no range", energy.tier),
    }
}

/// Broken calls, slow first tokens, lost energy.
pub fn headlines(run: &Run) -> [Headline; 3] {
    [broken(run), slow(run), lost(run)]
}

fn broken(run: &Run) -> Headline {
    Headline {
        title: "calls broken during the fault",
        value: share(run.fault()),
        detail: format!(
            "{} before, {} after",
            share(run.baseline()),
            share(run.recovery())
        ),
    }
}

fn slow(run: &Run) -> Headline {
    let title = "p99 time to first token during the fault";
    match first_token_p99(run) {
        Some((before, during)) => {
            let factor = super::run::float(during) / super::run::float(before.max(1));
            Headline {
                title,
                value: number::time(during),
                detail: format!(
                    "{} before: ×\u{a0}{}",
                    number::time(before),
                    number::digits(factor)
                ),
            }
        }
        None => Headline {
            title,
            value: "no tokens".to_owned(),
            detail: "nothing was streamed".to_owned(),
        },
    }
}

fn lost(run: &Run) -> Headline {
    let title = "burned for answers that nobody got";
    let Some(energy) = &run.energy else {
        return Headline {
            title,
            value: "no reading".to_owned(),
            detail: "no meter on this machine: null, not 0".to_owned(),
        };
    };
    let total = energy.total().dyn_uj.filter(|total| *total > 0);
    let (Some(wasted), Some(total)) = (energy.wasted().dyn_uj, total) else {
        return Headline {
            title,
            value: "unresolved".to_owned(),
            detail: format!("{}: no call's joules could be told", energy.tier),
        };
    };
    let against = per_success(run).unwrap_or_else(|| {
        let share = number::percent(joules(wasted) / joules(total));
        format!("{share} of all calls' joules")
    });
    Headline {
        title,
        value: number::joules(joules(wasted)),
        detail: format!("{}; {against}", trust(energy)),
    }
}

/// All joules over successes, before and during the fault.
fn per_success(run: &Run) -> Option<String> {
    let of = |phase: Option<&Phase>| phase?.energy?.joules_per_success();
    let (before, during) = (of(run.baseline())?, of(run.fault())?);
    let (before, during) = (number::joules(before), number::joules(during));
    Some(format!("{before} → {during} a success"))
}

fn share(phase: Option<&Phase>) -> String {
    phase
        .and_then(|phase| failed_share(&phase.figures.all))
        .map_or_else(|| "none".to_owned(), number::percent)
}

fn first_token_p99(run: &Run) -> Option<(u64, u64)> {
    let of = |phase: Option<&Phase>| Some(phase?.figures.all.first_token?.p99_us);
    Some((of(run.baseline())?, of(run.fault())?))
}
