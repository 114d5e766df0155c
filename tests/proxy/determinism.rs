//! Which calls are hit is a function of seed, rule, and the call: not of threads, connections or
//! time.

use std::collections::BTreeSet;

use crate::support::{Serving, Sidecar, Wire};

const CALLS: usize = 400;

/// Sends calls over so many connections at once; gives those that were hit, by their `x-user`.
fn hits(rule: &str, connections: usize, workers: usize, others: &[&str]) -> BTreeSet<usize> {
    let upstream = Serving::echo();
    let mut sidecar = Sidecar::to(upstream.address)
        .workers(workers)
        .rule(rule, &["abort = {}"]);
    for other in others {
        sidecar = sidecar.rule(other, &["delay = { fixed = \"1us\" }"]);
    }
    let sidecar = sidecar.start();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|first| {
                let address = sidecar.address;
                scope.spawn(move || {
                    let mut client = Wire::connect(address);
                    let mut hit = |user: &usize| {
                        client.send(format!(
                            "GET / HTTP/1.1\r\nHost: h\r\nX-User: u{user}\r\n\r\n"
                        ));
                        client.answer().status() == 503
                    };
                    (first..CALLS)
                        .step_by(connections)
                        .filter(|it| hit(it))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect()
    })
}

#[test]
fn keyed_calls_are_hit_alike_however_they_come() {
    let rule = "probability = \"20%\"\nkey = { header = \"x-user\" }";
    let first = hits(rule, 1, 1, &[]);
    // Within 4 σ of 80.
    assert!((48..=112).contains(&first.len()), "{}", first.len());
    for connections in [1, 4, 16] {
        for workers in [1, 2] {
            assert_eq!(
                hits(rule, connections, workers, &[]),
                first,
                "{connections} {workers}"
            );
        }
    }
    // Another rule moves none.
    assert_eq!(
        hits(
            rule,
            4,
            2,
            &["probability = \"50%\"", "nth = { every = 3 }"]
        ),
        first
    );
}

#[test]
fn the_numbers_of_hit_calls_are_a_function_of_the_seed() {
    let numbers = |connections, workers| {
        let upstream = Serving::echo();
        let sidecar = Sidecar::to(upstream.address)
            .workers(workers)
            .rule("probability = \"20%\"", &["abort = {}"])
            .start();
        let address = sidecar.address;
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(move || {
                    let mut client = Wire::connect(address);
                    for _ in 0..CALLS / connections {
                        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                        client.answer();
                    }
                });
            }
        });
        let records = sidecar.records();
        assert_eq!(records.len(), CALLS);
        let hit = records
            .iter()
            .filter(|it| it["rules"][0]["verdict"] == "hit");
        hit.map(|it| it["number"].as_u64().unwrap())
            .collect::<BTreeSet<_>>()
    };
    let first = numbers(1, 1);
    assert!((48..=112).contains(&first.len()));
    assert_eq!(numbers(4, 1), first);
    assert_eq!(numbers(16, 2), first);
}

#[test]
fn nth_counts_selected_calls_over_all_workers() {
    assert_eq!(hits("nth = { first = 5 }", 1, 1, &[]), (0..5).collect());
    let every: BTreeSet<_> = (0..CALLS).filter(|it| (it + 1) % 50 == 0).collect();
    assert_eq!(hits("nth = { every = 50 }", 1, 2, &[]), every);
    assert_eq!(hits("nth = { every = 50 }", 16, 2, &[]).len(), 8);
    assert_eq!(
        hits("nth = { after = 100, count = 20 }", 1, 1, &[]),
        (100..120).collect()
    );
}
