//! Disarming, halting and limits: what waits is released at once, and no place is ever lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::sidecar::{ending, fates};
use crate::support::{Running, Serving, Sidecar, Wire, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn waiting(fault: &str) -> (Running, Vec<Wire>) {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .workers(2)
        .fault(fault)
        .start();
    let mut clients: Vec<_> = (0..8).map(|_| sidecar.connect()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    eventually("all wait", || sidecar.active("r1") == 8);
    (sidecar, clients)
}

fn released(sidecar: Running, clients: Vec<Wire>, since: Instant) {
    for mut client in clients {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text()), (200, "/"));
    }
    // The waits would have taken an hour.
    assert!(since.elapsed() < Duration::from_secs(15));
    eventually("none acts", || sidecar.active("r1") == 0);
    for record in sidecar.records() {
        assert_eq!(fates(&record), ["revoked"], "{record:#}");
        assert_eq!(ending(&record), "ok/upstream/200");
    }
}

const WAITS: [&str; 6] = [
    "delay = { fixed = \"1h\" }",
    "delay = { at = \"response-head\", fixed = \"1h\" }",
    "delay = { at = { byte = 0 }, fixed = \"1h\" }",
    "delay = { at = \"end\", fixed = \"1h\" }",
    "stall = {}",
    "stall = { at = { byte = 0 } }",
];

#[test]
fn disarming_releases_what_waits() {
    for fault in WAITS {
        let (sidecar, clients) = waiting(fault);
        let since = Instant::now();
        sidecar.handle.disarm("r1").unwrap();
        released(sidecar, clients, since);
    }
}

#[test]
fn a_halt_releases_what_waits_and_resuming_arms_again() {
    for fault in WAITS {
        let (sidecar, clients) = waiting(fault);
        let since = Instant::now();
        sidecar.handle.halt("enough").unwrap();
        released(sidecar, clients, since);
    }
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).fault("abort = {}").start();
    let mut client = sidecar.connect();
    let mut status = || {
        client.send(GET);
        client.answer().status()
    };
    assert_eq!(status(), 503);
    sidecar.handle.halt("enough").unwrap();
    assert_eq!(status(), 200);
    assert!(sidecar.handle.resume().unwrap());
    assert_eq!(status(), 503);
    sidecar.handle.disarm("r1").unwrap();
    assert_eq!(status(), 200);
    sidecar.handle.arm("r1", None).unwrap();
    assert_eq!(status(), 503);
}

#[test]
fn a_slow_throttle_is_released_too() {
    let body = "x".repeat(10_000);
    let upstream = Serving::answering(move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n{body}").into_bytes()
    });
    let sidecar = Sidecar::to(upstream.address)
        .fault("throttle = { bytes_per_second = \"10B\", burst = \"100B\" }")
        .start();
    let mut client = sidecar.connect();
    client.send(GET);
    client.head();
    client.take(100);
    sidecar.handle.disarm("r1").unwrap();
    client.take(9_900);
}

#[test]
fn places_come_back_when_clients_leave() {
    for fault in [
        "stall = { at = \"before-upstream\" }",
        "stall = {}",
        "stall = { at = { byte = 1 } }",
    ] {
        let upstream = Serving::echo();
        let sidecar = Sidecar::to(upstream.address)
            .workers(2)
            .rule("limits = { concurrent = 4 }", &[fault])
            .start();
        for round in 0..25 {
            let mut clients: Vec<_> = (0..8).map(|_| sidecar.connect()).collect();
            for client in &mut clients {
                client.send(GET);
            }
            eventually("all are decided, and all places taken", || {
                let denied = &sidecar.rule("r1").counters.denied_limit;
                sidecar.active("r1") == 4 && denied.load(Ordering::SeqCst) == 4 * (round + 1)
            });
            for (index, client) in (0_u64..).zip(clients) {
                if (index + round) % 2 == 0 {
                    client.reset();
                }
            }
            eventually("all places are free", || sidecar.active("r1") == 0);
        }
        let records = sidecar.records();
        assert_eq!(records.len(), 200, "{fault}");
        let hit = |record: &&serde_json::Value| record["rules"][0]["verdict"] == "hit";
        let limited = |record: &&serde_json::Value| record["rules"][0]["denied"] == "limit";
        assert_eq!(records.iter().filter(hit).count(), 100);
        assert_eq!(records.iter().filter(limited).count(), 100);
    }
}

#[test]
fn a_total_is_a_total() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .workers(2)
        .rule("limits = { total = 7 }", &["abort = {}"])
        .start();
    let address = sidecar.address;
    let aborted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut client = Wire::connect(address);
                    let mut status = || {
                        client.send(GET);
                        client.answer().status()
                    };
                    (0..25).filter(|_| status() == 503).count()
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(aborted, 7);
}
