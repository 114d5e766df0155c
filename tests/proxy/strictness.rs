//! What could be read in two ways is refused, and nothing of it becomes a second request.

use std::time::Duration;

use crate::support::sidecar::ending;
use crate::support::{End, Serving, Sidecar};

#[test]
fn heads_beyond_the_limits_are_refused() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[limits]\nheader_size = \"2KiB\"\nheader_fields = 20")
        .start();
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(3000));
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(30));
    for (request, status) in [(&long, 431), (&many, 431)] {
        let mut client = sidecar.connect();
        client.send(request);
        assert_eq!(client.answer().status(), status, "{request:?}");
        assert_eq!(client.end(), End::Fin);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_head_that_does_not_come_in_time_is_given_up() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[limits]\nheader_timeout = \"100ms\"")
        .start();
    let mut client = sidecar.connect();
    client.send("GET / HTTP/1.1\r\nHos");
    assert_eq!(client.answer().status(), 408);
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn an_idle_connection_is_closed_when_its_time_is_over() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[limits]\nkeep_alive = \"100ms\"")
        .start();
    let mut client = sidecar.connect();
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    client.answer();
    assert_eq!(client.end(), End::Fin);
    // No call: nothing to tell of.
    assert_eq!(sidecar.records().len(), 1);
}

#[test]
fn a_half_sent_request_is_the_clients_failure() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    for request in [
        "GET / HTTP/1.1\r\nHo",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ] {
        let mut client = sidecar.connect();
        client.send(request);
        client.finish();
        assert_eq!(client.end(), End::Fin, "{request:?}");
    }
    assert!(upstream.requests().is_empty());
    for record in sidecar.records() {
        assert_eq!(ending(&record), "client_abort/downstream/null");
    }
}

#[test]
fn a_client_beyond_the_limit_is_not_served() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[limits]\nconnections = 2")
        .start();
    let mut held = [sidecar.connect(), sidecar.connect()];
    for client in &mut held {
        client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        client.answer();
    }
    assert_eq!(sidecar.connect().end(), End::Fin);
    drop(held);
    crate::support::eventually("a place is free again", || {
        let mut client = sidecar.connect();
        let sent = client.try_send("GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        std::thread::sleep(Duration::from_millis(1));
        sent.is_ok() && client.rest().0.ends_with(b"/b")
    });
}
