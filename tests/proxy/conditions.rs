//! Conditions that stop all faults: for what goes wrong by itself, and never for what the faults do.

use std::time::Duration;

use hormesis::control::ConditionThread;
use hormesis::measure::Expression;
use tokio::time::Instant;

use crate::support::{Running, Serving, Sidecar, Upstream, Wire, eventually};

const CONDITION: &str = "[safety]\nstop_when = [\"error_rate(front) > 25%\"]";
const STALL: [&str; 1] = ["stall = { at = \"before-upstream\" }"];

/// 500 where the path says so, else 200.
fn upstream() -> Serving {
    Serving::answering(|request| {
        let bad = request.head.starts_with("GET /bad");
        let status = if bad { "500 Broken" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nhi").into_bytes()
    })
}

fn ask(client: &mut Wire, path: &str) -> u16 {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    client.answer().status()
}

fn ask_often(sidecar: &Running, path: &str, count: usize) {
    let mut client = sidecar.connect();
    for _ in 0..count {
        ask(&mut client, path);
    }
}

/// A value in one number, as `GET /probes` tells it.
fn probe(sidecar: &Running, text: &str) -> Option<f64> {
    let expression: Expression = text.parse().unwrap();
    sidecar.handle.probe(&expression).unwrap().value
}

/// A call is counted when it has ended, which is after its answer was read. Waits until so many that
/// ended by themselves are.
#[track_caller]
fn counted(sidecar: &Running, calls: u64) {
    let expression: Expression = "error_rate over 5m".parse().unwrap();
    eventually("all calls are counted", || {
        sidecar.handle.probe(&expression).unwrap().of == calls
    });
}

#[test]
fn real_errors_stop_all_faults_and_what_waits_goes_on() {
    let upstream = upstream();
    let sidecar = Sidecar::to(upstream.address)
        .with(CONDITION)
        .rule("select.path = \"/slow\"", &STALL)
        .start();
    let conditions = ConditionThread::start(sidecar.handle.clone()).unwrap();
    ask_often(&sidecar, "/", 40);
    let mut waiting = sidecar.connect();
    waiting.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("the rule acts", || sidecar.active("r1") == 1);

    let start = Instant::now();
    ask_often(&sidecar, "/bad", 60);
    eventually("halted", || sidecar.handle.halted().is_some());
    assert_eq!(waiting.answer().status(), 200);
    let took = start.elapsed();
    println!("real errors, then off and released after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    eventually("nothing acts", || sidecar.active("r1") == 0);
    let reason = sidecar.handle.halted().unwrap().reason;
    assert!(
        reason.starts_with("error_rate(front) > 25% for 10s: "),
        "{reason}"
    );
    assert!(
        reason.contains("% of ") && reason.ends_with(" calls"),
        "{reason}"
    );

    // Latched, also when all is well again.
    ask_often(&sidecar, "/", 500);
    assert!(probe(&sidecar, "error_rate over 10s").unwrap() < 0.25);
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(sidecar.handle.halted().unwrap().reason, reason);

    // What led to the halt does not halt again; what comes after does.
    assert!(sidecar.handle.resume().unwrap());
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(sidecar.handle.halted(), None);
    ask_often(&sidecar, "/bad", 30);
    eventually("halted again", || sidecar.handle.halted().is_some());
    conditions.stop();
}

#[test]
fn injected_errors_stop_nothing_and_hide_no_real_ones() {
    let upstream = upstream();
    let sidecar = Sidecar::to(upstream.address)
        .with(CONDITION)
        .rule("select.path = \"/hurt\"", &["abort = { status = 503 }"])
        .start();
    ask_often(&sidecar, "/", 30);
    let mut client = sidecar.connect();
    for _ in 0..200 {
        assert_eq!(ask(&mut client, "/hurt"), 503);
    }
    counted(&sidecar, 30);
    sidecar.handle.watch_conditions();
    assert_eq!(sidecar.handle.halted(), None);
    let condition = &sidecar.handle.conditions()[0];
    assert_eq!((condition.value, condition.of), (Some(0.0), 30));
    assert_eq!(condition.breached, Some(false));

    ask_often(&sidecar, "/bad", 15);
    counted(&sidecar, 45);
    sidecar.handle.watch_conditions();
    // A third of those that ended by themselves, a sixteenth of all.
    let reason = sidecar.handle.halted().unwrap().reason;
    assert!(reason.ends_with("33.333333% of 45 calls"), "{reason}");
}

/// An upstream that loses patience with a body that a rule slows down says nothing of itself.
#[test]
fn connections_that_break_under_a_fault_stop_nothing_and_hide_no_outage() {
    let upstream = Upstream::scripted();
    let throttle = "throttle = { bytes_per_second = \"1B\", burst = \"1B\", side = \"request\" }";
    let sidecar = Sidecar::before(&upstream)
        .with(CONDITION)
        .rule("select.path = \"/slow\"", &[throttle])
        .start();
    let answered = |request: &str, answer: &str| {
        let (mut client, mut server) = sidecar.call(&upstream, request);
        server.send(answer);
        client.answer().status()
    };
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let broken = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for _ in 0..20 {
        assert_eq!(answered("GET / HTTP/1.1\r\nHost: h\r\n\r\n", ok), 200);
    }
    let slow = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 64\r\n\r\n";
    let body = "x".repeat(64);
    for _ in 0..20 {
        let mut client = sidecar.connect();
        client.send(format!("{slow}{body}"));
        let mut server = upstream.accept();
        server.head();
        server.take(1);
        server.reset();
        assert_eq!(client.answer().status(), 502);
    }
    let effect = || {
        sidecar
            .handle
            .effect("r1", Duration::from_secs(60))
            .unwrap()
    };
    eventually("all calls are counted", || effect().treated.calls == 20);
    counted(&sidecar, 20);
    sidecar.handle.watch_conditions();
    assert_eq!(sidecar.handle.halted(), None);
    assert_eq!(probe(&sidecar, "error_rate over 1m"), Some(0.0));

    // What it answers it says of itself, under whatever fault.
    for _ in 0..20 {
        let request = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(answered(request, broken), 500);
    }
    counted(&sidecar, 40);
    sidecar.handle.watch_conditions();
    assert!(sidecar.handle.halted().is_some());
}

#[test]
fn counting_all_counts_what_faults_do() {
    let upstream = upstream();
    let sidecar = Sidecar::to(upstream.address)
        .with(&format!("{CONDITION}\ncounting = \"all\""))
        .fault("abort = { status = 503 }")
        .start();
    ask_often(&sidecar, "/", 30);
    eventually("halted", || {
        sidecar.handle.watch_conditions();
        sidecar.handle.halted().is_some()
    });
    assert!(sidecar.handle.halted().is_some());
}

#[test]
fn times_are_those_of_calls_that_no_fault_touched() {
    let upstream = upstream();
    let sidecar = Sidecar::to(upstream.address)
        .rule("select.path = \"/slow\"", &["delay = { fixed = \"30ms\" }"])
        .start();
    ask_often(&sidecar, "/", 40);
    ask_often(&sidecar, "/slow", 20);
    ask_often(&sidecar, "/bad", 10);
    counted(&sidecar, 70);
    let effect = sidecar
        .handle
        .effect("r1", Duration::from_secs(60))
        .unwrap();
    assert_eq!((effect.treated.calls, effect.treated.errors), (20, 0));
    assert_eq!((effect.untouched.calls, effect.untouched.errors), (50, 10));
    assert!(effect.treated.p50.unwrap() >= 0.025);
    assert!(effect.untouched.p50.unwrap() < effect.treated.p50.unwrap());
    assert!(sidecar.handle.effect("r2", Duration::from_secs(9)).is_err());
    let untouched = probe(&sidecar, "latency.mean(front) over 1m").unwrap();
    let treated = effect.treated.p50.unwrap();
    assert!(untouched < treated, "{untouched} {treated}");
    assert_eq!(probe(&sidecar, "error_rate over 1m"), Some(10.0 / 70.0));
}

#[test]
fn a_condition_that_a_reload_brings_looks_back_too() {
    let upstream = upstream();
    let sidecar = Sidecar::to(upstream.address).start();
    ask_often(&sidecar, "/bad", 30);
    counted(&sidecar, 30);
    sidecar.handle.watch_conditions();
    assert_eq!(sidecar.handle.halted(), None);
    let again = Sidecar::to(upstream.address).with(CONDITION);
    sidecar.reload(&again).unwrap();
    sidecar.handle.watch_conditions();
    assert!(sidecar.handle.halted().is_some());
    // And it stays halted by the next.
    sidecar.reload(&Sidecar::to(upstream.address)).unwrap();
    assert!(sidecar.handle.halted().is_some());
}
