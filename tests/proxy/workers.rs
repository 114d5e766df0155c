//! Several workers share the connections, and one that has too many refuses the rest.

use std::collections::BTreeMap;

use crate::support::{End, Serving, Sidecar, Wire, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// How many connections each worker serves: the high bits of a call's id are its worker's.
fn spread(workers: usize, connections: usize) -> Vec<usize> {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).workers(workers).start();
    let mut clients: Vec<Wire> = (0..connections).map(|_| sidecar.connect()).collect();
    for client in &mut clients {
        client.send(GET);
        client.answer();
    }
    drop(clients);
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for record in sidecar.records() {
        let id = record["call"].as_u64().unwrap();
        *counts.entry(id >> 48).or_default() += 1;
    }
    assert_eq!(counts.values().sum::<usize>(), connections);
    counts.into_values().collect()
}

#[test]
fn each_worker_gets_its_share_of_the_connections() {
    for workers in [2, 4] {
        let counts = spread(workers, 64);
        assert_eq!(counts.len(), workers, "{counts:?}");
        let fair = 64 / workers;
        // Two that accept at the same moment may both choose the same third.
        assert!(counts.iter().all(|it| it.abs_diff(fair) <= 2), "{counts:?}");
    }
}

#[test]
fn a_lone_worker_serves_all() {
    assert_eq!(spread(1, 16), [16]);
}

#[test]
fn a_listener_without_room_closes_what_comes_and_counts_it() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .first("limits.connections = 2\n")
        .workers(2)
        .start();
    let mut clients = [sidecar.connect(), sidecar.connect()];
    for client in &mut clients {
        client.send(GET);
        client.answer();
    }
    for _ in 0..3 {
        assert!(matches!(sidecar.connect().end(), End::Fin | End::Reset));
    }
    let totals = || sidecar.handle.counters().totals();
    let refused = || {
        totals()
            .slots
            .iter()
            .map(|it| it.connections_refused)
            .sum::<u64>()
    };
    assert_eq!(refused(), 3);
    let [first, mut second] = clients;
    drop(first);
    eventually("there is room again", || {
        Wire::is_answered(sidecar.address, GET)
    });
    second.send(GET);
    assert_eq!(second.answer().text(), "/");
}
