use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::call::Outcome;
use crate::error::Origin;
use crate::record::{CounterRegistry, SlotCounters, WorkerCounters};

/// Counters of one worker, and their history: a second passes with each step.
struct Bed {
    registry: CounterRegistry,
    worker: WorkerCounters,
    history: History,
    at: Duration,
}

impl Bed {
    fn new() -> Self {
        let registry = CounterRegistry::default();
        Self {
            worker: registry.worker(),
            history: History::new(Duration::ZERO, registry.totals()),
            registry,
            at: Duration::ZERO,
        }
    }

    fn slot(&self, listener: &str) -> SlotCounters {
        self.worker.slot(&Arc::from(listener), "http")
    }

    fn calls(&self, listener: &str, count: usize, outcome: Outcome, origin: Origin, millis: u64) {
        let slot = self.slot(listener);
        let took = Duration::from_millis(millis);
        for _ in 0..count {
            slot.call_started();
            slot.call_ended(outcome, origin, took, None);
            slot.first_token(took / 2);
        }
    }

    /// The same, with a fault that acted on each.
    fn touched(&self, listener: &str, count: usize, outcome: Outcome, origin: Origin, millis: u64) {
        self.calls(listener, count, outcome, origin, millis);
        let (slot, took) = (self.slot(listener), Duration::from_millis(millis));
        for _ in 0..count {
            slot.touched().call_ended(outcome, origin, took);
            slot.touched().first_token(took / 2);
        }
    }

    fn ok(&self, count: usize) {
        self.calls("chat", count, Outcome::Ok, Origin::Upstream, 20);
    }

    fn failed(&self, count: usize) {
        self.calls("chat", count, Outcome::UpstreamError, Origin::Upstream, 20);
    }

    fn pass(&mut self, time: Duration) {
        self.at += time;
        let totals = self.registry.totals();
        self.history.take(self.at, totals, &[]);
    }

    fn second(&mut self) {
        self.pass(Duration::from_secs(1));
    }

    fn say(&self, text: &str) -> Evaluation {
        self.say_since(text, Duration::ZERO)
    }

    fn say_since(&self, text: &str, since: Duration) -> Evaluation {
        let expression: Expression = text.parse().unwrap_or_else(|it| panic!("{text}: {it}"));
        expression.evaluate(&self.history, Counting::NotInjected, since)
    }

    fn value(&self, text: &str) -> Option<f64> {
        self.say(text).value
    }
}

fn near(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value - expected).abs() < expected * 0.1)
}

#[test]
fn errors_are_shared_among_calls_of_the_window() {
    let mut bed = Bed::new();
    bed.failed(30);
    bed.second();
    bed.ok(90);
    bed.second();
    assert_eq!(bed.value("error_rate(chat)"), Some(0.25));
    assert_eq!(bed.value("error_rate"), Some(0.25));
    assert_eq!(bed.value("error_rate(chat) over 1s"), Some(0.0));
    assert_eq!(bed.value("error_rate(api)"), None);
    assert_eq!(bed.say("error_rate > 20%").holds, Some(true));
    assert_eq!(bed.say("error_rate > 25%").holds, Some(false));
    assert_eq!(bed.say("error_rate >= 25%").holds, Some(true));
    assert_eq!(bed.say("error_rate(api) > 1%").holds, None);
    assert_eq!(bed.say("error_rate over 5s").of, 120);
}

#[test]
fn of_few_calls_nothing_is_said() {
    let mut bed = Bed::new();
    bed.failed(19);
    bed.second();
    let said = bed.say("error_rate > 1%");
    assert_eq!((said.value, said.holds, said.of), (None, None, 19));
    assert_eq!(bed.say("latency.p50 > 1ms").holds, None);
    bed.failed(1);
    bed.second();
    assert_eq!(bed.say("error_rate > 1%").holds, Some(true));
}

#[test]
fn what_a_rule_did_itself_is_no_error() {
    let mut bed = Bed::new();
    bed.ok(30);
    bed.touched("chat", 300, Outcome::InjectedFault, Origin::Injected, 1);
    bed.second();
    assert_eq!(bed.value("error_rate"), Some(0.0));
    let expression: Expression = "error_rate".parse().unwrap();
    let all = expression.evaluate(&bed.history, Counting::All, Duration::ZERO);
    assert!(near(all.value, 300.0 / 330.0));
    // And it hides none: of the calls that ended by themselves, half failed.
    bed.failed(30);
    bed.second();
    assert_eq!(bed.value("error_rate"), Some(0.5));
    // Not even where a fault acts on every call.
    let mut bed = Bed::new();
    bed.touched("chat", 30, Outcome::UpstreamError, Origin::Upstream, 1);
    bed.second();
    assert_eq!(bed.value("error_rate"), Some(1.0));
}

#[test]
fn what_broke_under_a_fault_is_no_error_and_what_answered_that_it_failed_is_one() {
    let mut bed = Bed::new();
    bed.ok(40);
    bed.touched("chat", 60, Outcome::UpstreamError, Origin::Upstream, 1);
    let slot = bed.slot("chat");
    for _ in 0..50 {
        slot.touched().broke();
    }
    bed.second();
    let said = bed.say("error_rate");
    assert_eq!((said.value, said.of), (Some(0.2), 50));
    let expression: Expression = "error_rate".parse().unwrap();
    let all = expression.evaluate(&bed.history, Counting::All, Duration::ZERO);
    assert_eq!((all.value, all.of), (Some(0.6), 100));
}

#[test]
fn times_and_aborts_are_those_of_calls_that_no_fault_touched() {
    let mut bed = Bed::new();
    bed.ok(50);
    bed.touched("chat", 50, Outcome::Ok, Origin::Upstream, 2000);
    bed.touched("chat", 50, Outcome::ClientAbort, Origin::Downstream, 2000);
    bed.second();
    assert!(near(bed.value("latency.p99(chat)"), 0.020));
    assert!(near(bed.value("latency.mean(chat)"), 0.020));
    assert!(near(bed.value("first_token.p50(chat)"), 0.010));
    assert_eq!(bed.value("abort_rate"), Some(0.0));
    let expression: Expression = "latency.p99".parse().unwrap();
    let all = expression.evaluate(&bed.history, Counting::All, Duration::ZERO);
    assert!(near(all.value, 2.0));
    let untouched = bed.history.untouched(|_| true, LONGEST);
    assert_eq!((untouched.calls, untouched.errors), (50, 0));
}

#[test]
fn a_rate_is_told_of_a_whole_window_and_may_be_zero() {
    let mut bed = Bed::new();
    for _ in 0..4 {
        bed.ok(50);
        bed.second();
    }
    assert_eq!(bed.value("rate"), None);
    assert_eq!(bed.value("rate over 4s"), Some(50.0));
    assert_eq!(bed.value("rate(api) over 4s"), Some(0.0));
    bed.second();
    assert_eq!(bed.value("rate over 1s"), Some(0.0));
}

#[test]
fn for_beside_over_wants_the_condition_to_hold() {
    let text = "error_rate over 2s > 50% for 3s";
    let mut bed = Bed::new();
    for _ in 0..3 {
        bed.failed(30);
        bed.second();
    }
    // Three seconds ago nothing was seen yet.
    assert_eq!(bed.say(text).holds, Some(false));
    for _ in 0..2 {
        bed.failed(30);
        bed.second();
    }
    assert_eq!(bed.say(text).holds, Some(true));
    bed.ok(300);
    bed.second();
    assert_eq!(bed.say(text).holds, Some(false));
    for _ in 0..3 {
        bed.failed(300);
        bed.second();
    }
    assert_eq!(bed.say(text).holds, Some(false));
    bed.failed(300);
    bed.second();
    bed.failed(300);
    bed.second();
    assert_eq!(bed.say(text).holds, Some(true));
}

#[test]
fn nothing_before_a_resume_counts() {
    let mut bed = Bed::new();
    bed.failed(100);
    bed.second();
    assert_eq!(bed.say("error_rate > 1%").holds, Some(true));
    assert_eq!(bed.say_since("error_rate > 1%", bed.at).holds, None);
}

#[test]
fn old_samples_take_little_room_and_lose_no_call() {
    let mut bed = Bed::new();
    for _ in 0..5000 {
        bed.ok(1);
        bed.pass(SAMPLE);
    }
    // 15 s and what lies up to 5 min back, by the second.
    assert!(near(bed.value("rate over 5m"), 10.0));
    assert_eq!(bed.say("latency.p50 over 15s").of, 150);
    let of = bed.say("latency.p50 over 5m").of;
    assert!((3000..=3010).contains(&of), "{of}");
}

/// The text, and below it carets where the mistake is; then message and help.
fn mistake(text: &str) -> String {
    let mistake = text.parse::<Expression>().unwrap_err();
    let (message, help) = (&mistake.message, &mistake.help);
    format!("{}\n{message}; {help}", mistake.pointed(text))
}

#[test]
fn mistakes_are_pointed_at() {
    let said = [
        "eror_rate(chat) > 25%",
        "latency(chat) > 1s",
        "latency.p999(chat) > 1s",
        "error_rate.p99 > 1%",
        "latency.p99(chat) > 25%",
        "latency.p99(chat > 1s",
        "error_rate(\"chat\") > 1%",
        "error_rate > 25",
        "error_rate >",
        "error_rate == 1%",
        "error_rate > 1% fr 10s",
        "error_rate > 1% for",
        "error_rate > 1% for 2h",
        "error_rate > 1% and rate > 2/s",
        "rate > 50",
        "",
        "größe > 1",
    ]
    .map(mistake);
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn a_listener_that_is_not_there_is_pointed_at() {
    let text = "error_rate(api, chatt) > 1%";
    let expression: Expression = text.parse().unwrap();
    let mistakes = expression.check_listeners(&["chat", "api"]);
    assert_eq!(mistakes.len(), 1);
    assert_eq!(&text[mistakes[0].span.clone()], "chatt");
    assert_eq!(mistakes[0].help, "did you mean `chat`?");
}

#[test]
fn an_expression_has_one_form() {
    for (text, form) in [
        (
            "error_rate(chat)>25% for 10s",
            "error_rate(chat) > 25% for 10s",
        ),
        (
            "error_rate ( chat , api ) ≥ 0.25",
            "error_rate(chat, api) >= 25% for 10s",
        ),
        ("latency.p99() <= 0.3s", "latency.p99 <= 300ms for 10s"),
        ("latency.p99(c) over 90s", "latency.p99(c) over 1m30s"),
        ("rate over 30s < 5/s for 10s", "rate over 30s < 5/s for 10s"),
        ("rate < 300/min over 30s", "rate < 5/s for 30s"),
        ("abort_rate for 5s", "abort_rate over 5s"),
    ] {
        assert_eq!(text.parse::<Expression>().unwrap().to_string(), form);
    }
}

#[test]
fn every_measure_can_be_asked_for() {
    assert!(MEASURES.is_sorted_by(|a, b| a.name < b.name));
    for measure in MEASURES {
        assert!(measure.doc.ends_with('.'), "{}", measure.name);
        for name in measure.full_names() {
            let expression: Expression = name.parse().unwrap();
            assert_eq!(expression.measurement.to_string(), name);
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}") {
        fuzz::expression(text.as_bytes());
    }

    #[test]
    fn nearly_right_texts_do_not_either(
        text in "(error_rate|latency\\.p99|rate|x)( |\\(|\\)|,|chat|over|for|>|<=|=|10s|25%|5/s|300ms|é|1m30s){0,10}"
    ) {
        fuzz::expression(text.as_bytes());
    }
}
