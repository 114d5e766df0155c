//! The end: what was begun is finished, and nothing waits for a fault.

use std::time::Duration;

use hormesis::proxy::Drained;
use tokio::time::Instant;

use crate::support::{End, PATIENCE, Serving, Sidecar, Upstream, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn calls_under_way_finish_and_idle_connections_end() {
    let upstream = Upstream::scripted();
    let mut sidecar = Sidecar::before(&upstream).start();
    let (mut idle, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    idle.answer();
    let mut fresh = sidecar.connect();
    let mut client = sidecar.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
    eventually("the call is under way", || {
        server.stream.peek(&mut [0]).is_ok_and(|count| count > 0)
    });
    server.head();
    let draining = sidecar.drain(PATIENCE);
    assert_eq!(idle.end(), End::Fin);
    assert_eq!(fresh.end(), End::Fin);
    assert!(!draining.is_finished());
    client.send("def");
    assert_eq!(server.take(6), b"abcdef");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwh");
    client.head();
    server.send("ol");
    assert_eq!(client.take(4), b"whol");
    assert_eq!(client.end(), End::Fin);
    drop(client);
    assert_eq!(draining.join().unwrap(), Drained::Whole);
}

#[test]
fn a_client_is_told_that_its_connection_ends() {
    let upstream = Upstream::scripted();
    let mut sidecar = Sidecar::before(&upstream).start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    let (mut idle, mut other) = sidecar.call(&upstream, GET);
    other.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    idle.answer();
    let draining = sidecar.drain(PATIENCE);
    idle.end();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let answer = client.answer();
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(client.end(), End::Fin);
    drop(client);
    assert_eq!(draining.join().unwrap(), Drained::Whole);
}

#[test]
fn injected_waits_are_cut_short() {
    for fault in [
        "delay = { fixed = \"1h\" }",
        "delay = { at = \"response-head\", fixed = \"1h\" }",
        "stall = { at = { byte = 1 } }",
        "throttle = { bytes_per_second = \"1B\", burst = \"1B\" }",
    ] {
        let upstream = Serving::answering(|_| {
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789".to_vec()
        });
        let mut sidecar = Sidecar::to(upstream.address).fault(fault).start();
        let mut client = sidecar.connect();
        client.send(GET);
        eventually("it waits", || sidecar.active("r1") == 1);
        let start = Instant::now();
        let draining = sidecar.drain(Duration::from_secs(60));
        assert_eq!(client.answer().text(), "0123456789", "{fault}");
        drop(client);
        assert_eq!(draining.join().unwrap(), Drained::Whole);
        assert!(start.elapsed() < Duration::from_secs(30), "{fault}");
    }
}

#[test]
fn a_call_that_does_not_end_is_cut_off_after_the_grace() {
    let upstream = Upstream::scripted();
    let mut sidecar = Sidecar::before(&upstream).start();
    let (mut client, _server) = sidecar.call(&upstream, GET);
    let start = Instant::now();
    let draining = sidecar.drain(Duration::from_millis(100));
    assert_eq!(draining.join().unwrap(), Drained::CutShort);
    assert!(start.elapsed() >= Duration::from_millis(100));
    client.rest();
}

#[test]
fn what_waits_to_be_accepted_is_served() {
    let upstream = Serving::echo();
    for _ in 0..20 {
        let mut sidecar = Sidecar::to(upstream.address).workers(2).start();
        // Connections that are complete, their requests sent, and perhaps not accepted yet.
        let mut clients: Vec<_> = (0..16).map(|_| sidecar.connect()).collect();
        for client in &mut clients {
            client.send(GET);
        }
        let draining = sidecar.drain(PATIENCE);
        for client in &mut clients {
            assert_eq!(client.answer().text(), "/");
        }
        drop(clients);
        assert_eq!(draining.join().unwrap(), Drained::Whole);
    }
}
