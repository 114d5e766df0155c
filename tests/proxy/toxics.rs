//! The seven toxics on open connections, with real sockets on both sides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hormesis::toxic::{Toxic, ToxicKind};
use tokio::time::Instant;

use crate::support::sidecar::ending;
use crate::support::toxiproxy::{Proxied, toxic};
use crate::support::{End, PATIENCE, Sidecar, Upstream, eventually, noise};

const SHORT: Duration = Duration::from_millis(30);

const fn latency(latency_ms: i64) -> ToxicKind {
    ToxicKind::Latency {
        latency_ms,
        jitter_ms: 0,
    }
}

/// Milliseconds since then.
fn since(start: Instant) -> u128 {
    start.elapsed().as_millis()
}

#[test]
fn without_toxics_bytes_pass_both_ways_and_large_streams_too() {
    let proxied = Proxied::start();
    let (mut client, mut server) = proxied.connect();
    server.send("+HELLO\r\n");
    assert_eq!(client.take(8), b"+HELLO\r\n");
    client.send("PING");
    assert_eq!(server.take(4), b"PING");
    let body = noise(1, 3_000_000);
    std::thread::scope(|scope| {
        scope.spawn(|| server.send(&body));
        assert!(client.take(body.len()) == body);
    });
    drop(client);
    assert_eq!(server.end(), End::Fin);
    let record = proxied.sidecar.record();
    assert_eq!(ending(&record), "ok/upstream/null");
    assert_eq!(record["response_bytes"], 3_000_008);
    assert_eq!(record["listener"], "toxiproxy:redis");
}

#[test]
fn an_end_of_one_side_closes_the_other_whole() {
    let proxied = Proxied::start();
    for toxics in [false, true] {
        if toxics {
            proxied.down(ToxicKind::Noop);
            proxied.up(ToxicKind::Noop);
        }
        let (mut client, mut server) = proxied.connect();
        client.send("last words");
        client.finish();
        // The server's answer to a client that has ended is lost: there is nobody to send it to.
        assert_eq!(server.rest(), (b"last words".to_vec(), End::Fin));
        assert_eq!(client.end(), End::Fin);
        let (mut client, mut server) = proxied.connect();
        server.send("answer");
        server.finish();
        assert_eq!(client.rest(), (b"answer".to_vec(), End::Fin));
        assert_eq!(server.end(), End::Fin);
    }
}

#[test]
fn a_toxic_that_comes_takes_over_behind_what_was_read_before() {
    let proxied = Proxied::start();
    let (mut client, mut server) = proxied.connect();
    let body = noise(2, 20_000_000);
    // The client reads nothing yet: the relay holds bytes, in its pipe too, when the toxic comes.
    let mut feeding = server.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::io::Write::write_all(&mut feeding, &body).unwrap());
        std::thread::sleep(SHORT);
        proxied.down(latency(1));
        for round in 0..20 {
            assert!(client.take(500_000) == body[round * 500_000..][..500_000]);
            proxied.update("latency", latency(i64::try_from(round % 3).unwrap()));
        }
        proxied.remove("latency");
        assert!(client.take(10_000_000) == body[10_000_000..]);
    });
    server.finish();
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn latency_acts_on_an_open_connection_and_its_removal_lets_go_at_once() {
    let proxied = Proxied::start();
    let (mut client, mut server) = proxied.connect();
    proxied.down(latency(100));
    let start = Instant::now();
    server.send("late");
    assert_eq!(client.take(4), b"late");
    assert!(since(start) >= 100, "{}", since(start));
    // The other direction is free.
    client.send("soon");
    assert_eq!(server.take(4), b"soon");
    proxied.update("latency", latency(3_600_000));
    server.send("1");
    std::thread::sleep(SHORT);
    server.send("2");
    client.quiet(SHORT);
    proxied.remove("latency");
    assert_eq!(client.take(2), b"12");
    assert_eq!(proxied.applied("latency"), 1);
}

#[test]
fn latency_costs_no_throughput_and_the_end_comes_behind_all() {
    let proxied = Proxied::start();
    proxied.down(latency(200));
    let (mut client, mut server) = proxied.connect();
    let body = noise(3, 2_000_000);
    let start = Instant::now();
    server.send(&body);
    server.finish();
    assert_eq!(client.rest(), (body, End::Fin));
    // 61 pieces one after the other would take 12 s.
    assert!((200..6000).contains(&since(start)), "{}", since(start));
}

#[test]
fn bandwidth_limits_and_zero_stalls_until_it_is_removed() {
    let proxied = Proxied::start();
    proxied.up(ToxicKind::Bandwidth { rate_kb: 100 });
    let (mut client, mut server) = proxied.connect();
    let start = Instant::now();
    client.send(noise(4, 30_000));
    assert!(server.take(30_000) == noise(4, 30_000));
    assert!(since(start) >= 300, "{}", since(start));
    proxied.update("bandwidth_up", ToxicKind::Bandwidth { rate_kb: 0 });
    client.send("held");
    server.quiet(SHORT);
    proxied.remove("bandwidth_up");
    assert_eq!(server.take(4), b"held");
}

#[test]
fn slow_close_delays_the_end_alone() {
    let proxied = Proxied::start();
    proxied.down(ToxicKind::SlowClose { delay_ms: 100 });
    let (mut client, mut server) = proxied.connect();
    server.send("now");
    let start = Instant::now();
    server.finish();
    assert_eq!(client.take(3), b"now");
    assert_eq!(client.end(), End::Fin);
    assert!(since(start) >= 100, "{}", since(start));
}

#[test]
fn a_timeout_drops_all_and_fires_under_steady_traffic() {
    let proxied = Proxied::start();
    proxied.down(ToxicKind::Timeout { timeout_ms: 200 });
    let (mut client, mut server) = proxied.connect();
    let start = Instant::now();
    while server.try_send("tick").is_ok() {
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(10), "it never fires");
    }
    assert!(since(start) >= 195, "{}", since(start));
    assert_eq!(client.end(), End::Fin);
    let record = proxied.sidecar.record();
    assert_eq!(ending(&record), "injected_fault/injected/null");
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("redis/timeout"), "{reason}");
}

#[test]
fn a_timeout_of_zero_stays_open_until_its_removal_closes_it() {
    let proxied = Proxied::start();
    let (mut client, mut server) = proxied.connect();
    proxied.down(ToxicKind::Timeout { timeout_ms: 0 });
    server.send("dropped");
    client.quiet(SHORT);
    client.send("passes");
    assert_eq!(server.take(6), b"passes");
    proxied.remove("timeout");
    assert_eq!(client.end(), End::Fin);
    assert_eq!(server.end(), End::Fin);
}

#[test]
fn reset_peer_resets_both_sides_from_the_start_and_closes_those_already_open() {
    let proxied = Proxied::start();
    let (mut open, mut open_server) = proxied.connect();
    // Accepted by the upstream is not yet begun here.
    open_server.send("begun");
    assert_eq!(open.take(5), b"begun");
    proxied.down(ToxicKind::ResetPeer { timeout_ms: 50 });
    let (mut client, mut server) = proxied.connect();
    let start = Instant::now();
    client.send("ask");
    assert_eq!(server.take(3), b"ask");
    server.send("answer");
    assert_eq!(client.end(), End::Reset);
    assert_eq!(server.end(), End::Reset);
    assert!(since(start) >= 50, "{}", since(start));
    open_server.send("answer");
    assert_eq!(open.end(), End::Fin);
    assert_eq!(open_server.end(), End::Fin);
    let records = proxied.sidecar.records();
    assert_eq!(ending(&records[0]), "injected_fault/injected/null");
}

#[test]
fn a_toxicity_of_zero_does_nothing_not_even_a_reset() {
    let proxied = Proxied::start();
    for kind in [
        ToxicKind::ResetPeer { timeout_ms: 0 },
        ToxicKind::Timeout { timeout_ms: 1 },
        ToxicKind::LimitData { bytes: 0 },
    ] {
        proxied.add(Toxic {
            toxicity: 0.0,
            ..toxic(kind.name(), kind)
        });
    }
    let (mut client, mut server) = proxied.connect();
    server.send("answer");
    assert_eq!(client.take(6), b"answer");
    proxied.remove("timeout");
    server.send("more");
    server.finish();
    assert_eq!(client.rest(), (b"more".to_vec(), End::Fin));
    let (client, mut server) = proxied.connect();
    drop(client);
    assert_eq!(server.end(), End::Fin);
    for record in proxied.sidecar.records() {
        assert_eq!(ending(&record), "ok/upstream/null");
    }
}

#[test]
fn the_slicer_slices_and_survives_what_ends_the_original() {
    let proxied = Proxied::start();
    proxied.down(ToxicKind::Slicer {
        average_size: 100,
        size_variation: 50,
        delay_us: 100,
    });
    let (mut client, mut server) = proxied.connect();
    let body = noise(5, 20_000);
    server.send(&body);
    assert!(client.take(body.len()) == body);
    for (average_size, size_variation) in [(0, 0), (10, 20), (-1, i64::MAX)] {
        proxied.update(
            "slicer",
            ToxicKind::Slicer {
                average_size,
                size_variation,
                delay_us: 0,
            },
        );
        server.send(&body[..2000]);
        assert!(client.take(2000) == body[..2000]);
    }
}

#[test]
fn limit_data_closes_after_so_many_bytes_and_zero_at_the_first() {
    let proxied = Proxied::start();
    proxied.down(ToxicKind::LimitData { bytes: 10 });
    let (mut client, mut server) = proxied.connect();
    server.send("01234");
    assert_eq!(client.take(5), b"01234");
    proxied.update("limit_data", ToxicKind::LimitData { bytes: 8 });
    server.send("56789");
    assert_eq!(client.rest(), (b"567".to_vec(), End::Fin));
    proxied.update("limit_data", ToxicKind::LimitData { bytes: 0 });
    let (mut client, mut server) = proxied.connect();
    client.quiet(SHORT);
    server.send("x");
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn a_client_that_takes_nothing_does_not_keep_a_timeout_from_firing() {
    let proxied = Proxied::start();
    let (mut client, mut server) = proxied.connect();
    // Until nobody takes more.
    let nothing = Some(Duration::from_millis(100));
    server.stream.set_write_timeout(nothing).unwrap();
    while server.try_send(noise(6, 1 << 20)).is_ok() {}
    proxied.down(ToxicKind::Timeout { timeout_ms: 50 });
    eventually("the upstream's connection is closed", || {
        let mut byte = [0];
        let peeked = server.stream.peek(&mut byte);
        peeked.map_or_else(
            |error| error.kind() != std::io::ErrorKind::WouldBlock,
            |count| count == 0,
        )
    });
    client.rest();
}

#[test]
fn a_halt_ends_toxics_as_a_removal_would_and_a_resume_brings_them_back() {
    let proxied = Proxied::start();
    let handle = &proxied.sidecar.handle;
    let (mut client, mut server) = proxied.connect();
    proxied.down(latency(3_600_000));
    server.send("held");
    client.quiet(SHORT);
    handle.halt("enough").unwrap();
    assert_eq!(client.take(4), b"held");
    server.send("free");
    assert_eq!(client.take(4), b"free");
    // Neither a change nor a new connection ends the halt.
    proxied.update("latency", latency(3_600_001));
    let (mut fresh, mut fresh_server) = proxied.connect();
    fresh_server.send("free");
    assert_eq!(fresh.take(4), b"free");
    assert_eq!(proxied.view().toxics.len(), 1);
    handle.resume().unwrap();
    server.send("held");
    fresh_server.send("held");
    client.quiet(SHORT);
    fresh.quiet(SHORT);
}

#[test]
fn in_a_dry_run_no_toxic_acts() {
    let proxied = Proxied::of(Sidecar::tcp(Upstream::refusing()).with("[safety]\ndry_run = true"));
    proxied.down(ToxicKind::Timeout { timeout_ms: 1 });
    let (mut client, mut server) = proxied.connect();
    server.send("answer");
    assert_eq!(client.take(6), b"answer");
}

#[test]
fn draws_are_the_same_for_the_same_seed() {
    let hits = || {
        let proxied = Proxied::start();
        let kind = ToxicKind::LimitData { bytes: 1 };
        proxied.add(Toxic {
            toxicity: 0.5,
            ..toxic("limit", kind)
        });
        let mut hits = Vec::new();
        for _ in 0..40 {
            let (mut client, mut server) = proxied.connect();
            server.send("ab");
            server.finish();
            hits.push(client.rest().0.len() == 1);
        }
        hits
    };
    let first = hits();
    assert!(first.contains(&true) && first.contains(&false));
    assert_eq!(first, hits());
}

/// The hang of the original: a toxic is added and removed while bytes pass.
#[test]
fn a_thousand_toxics_come_and_go_under_steady_load_and_nothing_hangs() {
    const PAIRS: usize = 8;
    let proxied = Proxied::of_workers(2);
    let mut pairs: Vec<_> = (0..PAIRS).map(|_| proxied.connect()).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let kinds = [
        latency(2),
        ToxicKind::Bandwidth { rate_kb: 20_000 },
        ToxicKind::SlowClose { delay_ms: 1 },
        ToxicKind::Slicer {
            average_size: 500,
            size_variation: 100,
            delay_us: 10,
        },
        ToxicKind::LimitData { bytes: i64::MAX },
        ToxicKind::Noop,
    ];
    let passed: Vec<_> = (0..PAIRS).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        let (stop, passed) = (&stop, &passed);
        let load = pairs
            .iter_mut()
            .enumerate()
            .map(|(number, (client, server))| {
                scope.spawn(move || {
                    let body = noise(number as u64, 3000);
                    while !stop.load(Ordering::Relaxed) {
                        client.send(&body);
                        assert!(server.take(body.len()) == body);
                        server.send(&body);
                        assert!(client.take(body.len()) == body);
                        passed[number].fetch_add(1, Ordering::Relaxed);
                    }
                })
            });
        let load: Vec<_> = load.collect();
        let begun = Instant::now();
        // A thousand, and on until bytes have passed on each connection: changes are fast.
        let all_passed = || passed.iter().all(|it| it.load(Ordering::Relaxed) > 0);
        let goes_on = |round: &usize| *round < 1000 || !all_passed();
        for round in (0..).take_while(|it| goes_on(it) && begun.elapsed() < PATIENCE) {
            let kind = kinds[round % kinds.len()];
            proxied.down(kind);
            if round % 3 == 0 {
                proxied.up(ToxicKind::Noop);
                proxied.remove("noop_up");
            } else {
                proxied.update(kind.name(), kind);
            }
            let slow = Instant::now();
            proxied.remove(kind.name());
            assert!(slow.elapsed() < Duration::from_secs(2), "round {round}");
        }
        stop.store(true, Ordering::Relaxed);
        for it in load {
            it.join().unwrap();
        }
        assert!(all_passed(), "{passed:?}");
    });
    assert!(proxied.view().toxics.is_empty());
}
