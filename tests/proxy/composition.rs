//! Several faults on one call: in the order of their places, with one end and one budget.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::sidecar::{ending, fates, waited};
use crate::support::{End, Serving, Sidecar, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const WAIT: Duration = Duration::from_millis(60);

#[test]
fn a_delay_and_an_abort_are_a_late_abort() {
    for faults in [
        ["delay = { fixed = \"60ms\" }", "abort = { status = 503 }"],
        ["abort = { status = 503 }", "delay = { fixed = \"60ms\" }"],
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).rule("", &faults).start();
        let mut client = sidecar.connect();
        let start = Instant::now();
        client.send(GET);
        assert_eq!(client.answer().status(), 503);
        assert!(start.elapsed() >= WAIT, "{faults:?}");
        upstream.is_untouched();
        assert_eq!(fates(&sidecar.record()), ["applied", "applied"]);
    }
}

#[test]
fn the_first_end_supersedes_the_others() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("disconnect = { at = { byte = 5 } }")
        .fault("abort = { status = 503 }")
        .fault("abort = { status = 500 }")
        .fault("delay = { at = \"response-head\", fixed = \"60ms\" }")
        .start();
    let mut client = sidecar.connect();
    client.send(GET);
    assert_eq!(client.answer().status(), 503);
    let record = sidecar.record();
    // In the order in which they would act.
    let rules = |at: usize| record["effects"][at]["rule"].clone();
    assert_eq!([0, 1, 2, 3].map(rules), ["r2", "r3", "r4", "r1"]);
    assert_eq!(
        fates(&record),
        ["applied", "superseded", "superseded", "superseded"]
    );
}

#[test]
fn all_waits_of_a_call_have_one_budget() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[safety]\nmax_delay_per_call = \"100ms\"")
        .fault("delay = { fixed = \"70ms\" }")
        .fault("delay = { at = \"response-head\", fixed = \"60s\" }")
        .fault("stall = { at = { byte = 1 } }")
        .start();
    let mut client = sidecar.connect();
    let start = Instant::now();
    client.send(GET);
    assert_eq!(client.answer().text(), "/");
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(10));
    let record = sidecar.record();
    assert_eq!(fates(&record), ["applied", "clamped", "clamped"]);
    let sum = waited(&record, 0) + waited(&record, 1);
    assert!(sum >= Duration::from_millis(100), "{record:#}");
    assert_eq!(ending(&record), "ok/upstream/200");
}

#[test]
fn a_stall_without_end_has_that_budget_too() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[safety]\nmax_delay_per_call = \"60ms\"")
        .fault("stall = { at = \"response-head\" }")
        .start();
    let mut client = sidecar.connect();
    let start = Instant::now();
    client.send(GET);
    assert_eq!(client.answer().text(), "/");
    assert!(start.elapsed() >= WAIT);
    assert_eq!(fates(&sidecar.record()), ["clamped"]);
}

#[test]
fn no_more_faults_than_allowed_act() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[safety]\nmax_faults_per_call = 1")
        .fault("delay = { fixed = \"1ms\" }")
        .fault("abort = {}")
        .start();
    let mut client = sidecar.connect();
    client.send(GET);
    assert_eq!(client.answer().status(), 200);
    let record = sidecar.record();
    assert_eq!(fates(&record), ["applied", "not_applicable:fault_cap"]);
}

#[test]
fn faults_of_both_directions_act_on_one_call() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("corrupt = { zero = \"100%\", side = \"request\" }")
        .fault("corrupt = { zero = \"100%\", skip = \"1B\" }")
        .fault("truncate = { at = { byte = 3 } }")
        .start();
    let mut client = sidecar.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    let mut server = upstream.accept();
    assert_eq!(server.request().unwrap().body, b"\0\0\0");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
    client.head();
    assert_eq!(client.rest(), (b"a\0\0".to_vec(), End::Fin));
    assert_eq!(fates(&sidecar.record()), ["applied"; 3]);
}

#[test]
fn a_dry_run_decides_and_touches_nothing() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .rule("dry_run = true", &["abort = {}"])
        .start();
    let mut client = sidecar.connect();
    client.send(GET);
    let answer = client.answer();
    assert_eq!(answer.head, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    let record = sidecar.record();
    assert_eq!(record["rules"][0]["denied"], "dry_run");
    assert!(fates(&record).is_empty());
}

#[test]
fn paths_that_are_never_touched_are_never_touched() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).fault("abort = {}").start();
    let mut client = sidecar.connect();
    for (path, status) in [
        ("/healthz", 200),
        ("/v2/health/ready", 200),
        ("/v2/healthy", 503),
    ] {
        client.send(format!("GET {path}?q HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(client.answer().status(), status, "{path}");
    }
}
