//! Faults on byte streams, where the connection is the call.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::sidecar::{ending, fates, waited};
use crate::support::{End, Sidecar, Upstream, eventually, noise};

const WAIT: Duration = Duration::from_millis(60);

#[test]
fn a_delay_before_the_upstream_holds_the_connection() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address)
        .fault("delay = { fixed = \"60ms\" }")
        .start();
    let start = Instant::now();
    let mut client = sidecar.connect();
    client.send("ping");
    let mut server = upstream.accept();
    assert!(start.elapsed() >= WAIT);
    assert_eq!(server.take(4), b"ping");
    server.send("pong");
    assert_eq!(client.take(4), b"pong");
}

#[test]
fn a_delay_at_a_byte_holds_one_direction() {
    for side in ["request", "response"] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::tcp(upstream.address)
            .fault(&format!(
                "delay = {{ at = {{ byte = 4 }}, side = \"{side}\", fixed = \"60ms\" }}"
            ))
            .start();
        let mut client = sidecar.connect();
        let mut server = upstream.accept();
        let start = Instant::now();
        let (from, to) = if side == "request" {
            (&mut client, &mut server)
        } else {
            (&mut server, &mut client)
        };
        from.send("01234567");
        // The other direction is not held.
        to.send("other");
        assert_eq!(from.take(5), b"other");
        assert_eq!(to.take(4), b"0123");
        assert_eq!(to.take(4), b"4567");
        assert!(start.elapsed() >= WAIT, "{side}");
        drop((client, server));
        let record = sidecar.record();
        assert_eq!(fates(&record), ["applied"]);
        assert!(waited(&record, 0) >= WAIT);
    }
}

#[test]
fn where_an_answer_has_no_head_its_first_byte_is_it() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address)
        .fault("disconnect = { how = \"rst\" }")
        .start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    client.send("ping");
    assert_eq!(server.take(4), b"ping");
    server.send("pong");
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
    assert_eq!(fates(&sidecar.record()), ["applied"]);
}

#[test]
fn a_disconnect_ends_both_sides() {
    for (how, end) in [("rst", End::Reset), ("fin", End::Fin)] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::tcp(upstream.address)
            .fault(&format!(
                "disconnect = {{ at = {{ byte = 4 }}, how = \"{how}\" }}"
            ))
            .start();
        let mut client = sidecar.connect();
        let mut server = upstream.accept();
        server.send("0123");
        assert_eq!(client.take(4), b"0123");
        client.quiet(Duration::from_millis(20));
        server.send("4567");
        assert_eq!(client.end(), end);
        let record = sidecar.record();
        assert_eq!(ending(&record), "injected_fault/injected/null");
        assert_eq!(fates(&record), ["applied"]);
        server.end();
    }
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address)
        .fault("disconnect = { at = \"before-upstream\", how = \"rst\" }")
        .start();
    assert_eq!(sidecar.connect().end(), End::Reset);
    upstream.is_untouched();
}

#[test]
fn a_truncated_stream_ends_early() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address)
        .fault("truncate = { at = { byte = 100 } }")
        .start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    let body = noise(1, 1000);
    server.send(&body);
    assert_eq!(client.rest(), (body[..100].to_vec(), End::Fin));
    drop(client);
    assert_eq!(ending(&sidecar.record()), "injected_fault/injected/null");
}

#[test]
fn damage_and_throttles_act_on_their_side() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address)
        .fault("corrupt = { zero = \"100%\", side = \"request\", skip = \"2B\" }")
        .fault("throttle = { bytes_per_second = \"10KiB\", burst = \"1KiB\" }")
        .start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    client.send("abcd");
    assert_eq!(server.take(4), b"ab\0\0");
    let body = noise(1, 3 * 1024);
    let start = Instant::now();
    server.send(&body);
    assert!(client.take(body.len()) == body);
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
    drop((client, server));
    let record = sidecar.record();
    assert_eq!(fates(&record), ["applied", "applied"]);
    assert_eq!(ending(&record), "injected_fault/injected/null");
}

#[test]
fn half_closed_stays_half_closed_under_a_rule() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address)
        .fault("delay = { at = { byte = 0 }, fixed = \"1ms\" }")
        .start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    client.send("ask");
    client.finish();
    assert_eq!(server.rest(), (b"ask".to_vec(), End::Fin));
    server.send("answer");
    server.finish();
    assert_eq!(client.rest(), (b"answer".to_vec(), End::Fin));
    let record = sidecar.record();
    assert_eq!(
        (ending(&record).as_str(), fates(&record)),
        ("ok/upstream/null", vec!["applied".into()])
    );
}

#[test]
fn a_stall_is_released_and_its_place_comes_back() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address)
        .rule(
            "limits = { concurrent = 1 }",
            &["stall = { at = { byte = 2 } }"],
        )
        .start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    server.send("0123");
    assert_eq!(client.take(2), b"01");
    client.quiet(Duration::from_millis(30));
    // No place left: the next connection is not hurt.
    let mut other = sidecar.connect();
    upstream.accept().send("4567");
    assert_eq!(other.take(4), b"4567");
    sidecar.handle.disarm("r1").unwrap();
    assert_eq!(client.take(2), b"23");
    sidecar.handle.arm("r1", None).unwrap();
    drop((client, server));
    eventually("the place is free", || sidecar.active("r1") == 0);
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    server.send("0123");
    assert_eq!(client.take(2), b"01");
    client.reset();
    eventually("the place is free again", || sidecar.active("r1") == 0);
}
