//! Faults that callers ask for in headers: only with the secret, capped, and never seen upstream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::sidecar::{ending, fates, waited};
use crate::support::{Running, Serving, Sidecar};

const SECRET: &str = "c2VjcmV0LW9mLXRoZS10ZXN0";

/// A sidecar whose callers may ask for up to 200 ms, and the folder of the secret.
fn sidecar(upstream: &Serving, lines: &str, faults: &[&str]) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let trigger = format!(
        "trigger.caller = {{ secret_file = {:?}, max_delay = \"200ms\" }}\n{lines}",
        file.display().to_string()
    );
    let sidecar = Sidecar::to(upstream.address).rule(&trigger, faults);
    (sidecar.start(), folder)
}

fn ask(sidecar: &Running, headers: &str) -> u16 {
    let mut client = sidecar.connect();
    client.send(format!("GET /x HTTP/1.1\r\nHost: h\r\n{headers}\r\n"));
    client.answer().status()
}

fn with_secret(headers: &str) -> String {
    format!("{headers}X-Hormesis-Fault-Secret: {SECRET}\r\n")
}

#[test]
fn a_caller_gets_the_delay_that_it_asks_for_up_to_the_cap() {
    let upstream = Serving::echo();
    let (sidecar, _folder) = sidecar(&upstream, "", &[]);
    let start = Instant::now();
    let headers = with_secret("X-Hormesis-Fault: delay=1h\r\nAccept: a\r\n");
    assert_eq!(ask(&sidecar, &headers), 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    let seen = upstream.requests().remove(0).head.to_lowercase();
    assert!(
        !seen.contains("fault") && !seen.contains(&SECRET.to_lowercase()),
        "{seen}"
    );
    assert!(seen.contains("accept: a\r\n"), "{seen}");
    let record = sidecar.record();
    assert_eq!(fates(&record), ["applied"]);
    let waited = waited(&record, 0);
    assert!(waited >= Duration::from_millis(200) && waited < Duration::from_secs(60));
}

#[test]
fn envoys_headers_delay_and_then_abort() {
    let upstream = Serving::echo();
    let (sidecar, _folder) = sidecar(&upstream, "", &[]);
    let headers =
        with_secret("x-envoy-fault-delay-request: 60\r\nx-envoy-fault-abort-request: 418\r\n");
    let start = Instant::now();
    assert_eq!(ask(&sidecar, &headers), 418);
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert!(upstream.requests().is_empty());
    assert_eq!(ending(&sidecar.record()), "injected_fault/injected/418");
}

#[test]
fn without_the_secret_nothing_happens_and_nothing_is_passed_on() {
    let upstream = Serving::echo();
    let (sidecar, _folder) = sidecar(&upstream, "", &[]);
    let wrong = "X-Hormesis-Fault-Secret: c2VjcmV0LW9mLXRoZS10ZXNz\r\n";
    for headers in [
        "X-Hormesis-Fault: abort=503\r\n".to_owned(),
        format!("X-Hormesis-Fault: abort=503\r\n{wrong}"),
        format!("x-envoy-fault-abort-request: 503\r\n{wrong}"),
    ] {
        assert_eq!(ask(&sidecar, &headers), 200);
    }
    // Known, but not understood.
    let headers = with_secret("X-Hormesis-Fault: abort=503, dleay=1s\r\n");
    assert_eq!(ask(&sidecar, &headers), 200);
    for request in upstream.requests() {
        assert!(
            !request.head.to_lowercase().contains("fault"),
            "{request:?}"
        );
    }
    let cell = sidecar.rule("r1");
    assert_eq!(cell.counters.denied_secret.load(Ordering::SeqCst), 3);
    assert_eq!(cell.counters.denied_unreadable.load(Ordering::SeqCst), 1);
    assert_eq!(cell.counters.applied.load(Ordering::SeqCst), 0);
}

#[test]
fn a_disarmed_rule_and_a_halt_strip_all_the_same() {
    let upstream = Serving::echo();
    let (sidecar, _folder) = sidecar(&upstream, "armed = false", &[]);
    let headers = with_secret("X-Hormesis-Fault: abort=503\r\n");
    assert_eq!(ask(&sidecar, &headers), 200);
    let seen = upstream.requests().remove(0).head.to_lowercase();
    assert!(!seen.contains("fault"), "{seen}");
}

#[test]
fn where_nobody_may_ask_the_headers_pass_untouched() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    assert_eq!(ask(&sidecar, "X-Envoy-Fault-Abort-Request: 503\r\n"), 200);
    let seen = upstream.requests().remove(0).head;
    assert!(
        seen.contains("X-Envoy-Fault-Abort-Request: 503\r\n"),
        "{seen}"
    );
}

#[test]
fn a_caller_may_ask_for_the_rules_own_faults() {
    let upstream = Serving::echo();
    let (sidecar, _folder) = sidecar(&upstream, "", &["abort = { status = 529 }"]);
    assert_eq!(ask(&sidecar, ""), 200);
    assert_eq!(ask(&sidecar, &with_secret("X-Hormesis-Fault: on\r\n")), 529);
    assert_eq!(
        ask(&sidecar, &with_secret("X-Hormesis-Fault: delay=1ms\r\n")),
        200
    );
}
