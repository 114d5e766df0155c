//! What is counted of the proxies of the Toxiproxy API: apart from what goes wrong by itself, and
//! within bounds, however many of them come and go.

use hormesis::measure::Expression;
use hormesis::record::{TextFormat, expose};
use hormesis::toxic::ToxicKind;

use crate::support::toxiproxy::{Proxied, config, toxic};
use crate::support::{Running, Sidecar, Upstream, Wire, eventually};

const SHORT: ToxicKind = ToxicKind::Latency {
    latency_ms: 20,
    jitter_ms: 0,
};

/// Calls that ended, and those of them that no fault touched: times are of these alone.
fn ended(sidecar: &Running) -> (u64, u64) {
    let all = sidecar.handle.status().calls;
    let expression: Expression = "latency.mean over 5m".parse().unwrap();
    let untouched = sidecar.handle.probe(&expression).unwrap().of;
    (all.iter().map(|it| it.count).sum(), untouched)
}

#[test]
fn what_toxics_and_stops_do_counts_for_no_condition() {
    let proxied = Proxied::start();
    let once = || {
        let (mut client, mut server) = proxied.connect();
        server.send("hi");
        assert_eq!(client.take(2), b"hi");
    };
    once();
    eventually("one by itself", || ended(&proxied.sidecar) == (1, 1));
    proxied.down(SHORT);
    (0..3).for_each(|_| once());
    eventually("three delayed", || ended(&proxied.sidecar) == (4, 1));
    let (_client, _server) = proxied.connect();
    proxied.enable(false).unwrap();
    eventually("one stopped", || ended(&proxied.sidecar) == (5, 1));
}

#[test]
fn proxies_that_come_and_go_leave_nothing_in_metrics() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(Upstream::refusing()).start();
    let handle = &sidecar.handle;
    let round = |round: usize, used: bool| {
        let name = format!("test-{round}");
        let proxy = config(&name, "", upstream.address);
        let listen = handle.create_proxy(proxy).unwrap().listen;
        if used {
            let kind = format!("toxic-{round}");
            handle.add_toxic(&name, toxic(&kind, SHORT)).unwrap();
            let mut client = Wire::connect(listen.parse().unwrap());
            upstream.accept().send("hi");
            assert_eq!(client.take(2), b"hi");
        }
        handle.delete_proxy(&name).unwrap();
    };
    let kept = || {
        let totals = handle.counters().totals();
        let text = expose(handle.scrape(), TextFormat::Prometheus, true).unwrap();
        (
            totals.slots.len(),
            totals.faults.len(),
            text.lines().count(),
        )
    };
    round(0, true);
    let before = kept();
    for number in 1..2_000 {
        round(number, number % 100 == 0);
    }
    // An outcome that is new may add its own line.
    let (slots, faults, lines) = kept();
    assert_eq!((slots, faults), (before.0, before.1));
    assert!(lines <= before.2 + 4, "{lines} lines, {} before", before.2);
    let text = expose(handle.scrape(), TextFormat::Prometheus, true).unwrap();
    assert!(text.contains("hormesis_faults_total{rule=\"toxiproxy\",fault=\"latency\""));
    assert!(!text.contains("test-"), "{text}");
}

#[test]
fn a_toxic_that_acted_is_told() {
    let proxied = Proxied::start();
    proxied.down(SHORT);
    let status = proxied.sidecar.handle.status();
    let told = &status.toxics[0];
    assert_eq!(told.proxy, "redis");
    assert_eq!((&*told.name, told.kind), ("latency", "latency"));
    assert_eq!((told.stream, status.toxics.len()), ("downstream", 1));
    let (mut client, mut server) = proxied.connect();
    server.send("hi");
    assert_eq!(client.take(2), b"hi");
    drop((client, server));
    let record = proxied.sidecar.record();
    let wanted = serde_json::json!([{
        "rule": "redis/latency", "fault": "latency", "fault_index": 0,
        "effect": { "toxic": { "stream": "downstream" } }, "fate": "applied",
    }]);
    assert_eq!(record["effects"], wanted, "{record:#}");
}
