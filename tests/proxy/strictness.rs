//! What could be read in two ways is refused, and nothing of it becomes a second request.

use std::time::Duration;

use crate::support::sidecar::ending;
use crate::support::{End, Serving, Sidecar};

/// Requests with a second one hidden behind or within them, and the status that each gets.
const SMUGGLED: &[(&str, u16)] = &[
    (
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        400,
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nx",
        400,
    ),
    ("Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc", 400),
    ("Content-Length: 3, 0\r\n\r\nabc", 400),
    ("Content-Length: +3\r\n\r\nabc", 400),
    ("Content-Length: 3 \x0b\r\n\r\nabc", 400),
    ("Content-Length : 3\r\n\r\nabc", 400),
    ("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501),
    ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("Host: other\r\n\r\n", 400),
    ("X: a\r\n folded: b\r\n\r\n", 400),
    ("\0: a\r\n\r\n", 400),
];

/// Bodies whose chunks are broken.
const BAD_CHUNKS: &[&str] = &[
    "x\r\n",
    "-1\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "3\nabc\n0\n\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\r\nabc0\r\n\r\n",
    "ffffffffffffffff1\r\n",
    "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nno trailer\x01\r\n\r\n",
];

const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn no_request_is_smuggled_in_a_head() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    for (rest, status) in SMUGGLED {
        let mut client = sidecar.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{rest}{SECOND}"));
        let answer = client.answer();
        assert_eq!(answer.status(), *status, "{rest:?}");
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(answer.field("x-hormesis-origin"), Some("downstream"));
        assert_eq!(client.end(), End::Fin);
    }
    assert_eq!(upstream.connections(), 0);
    for record in sidecar.records() {
        assert!(
            ending(&record).starts_with("rejected/downstream/"),
            "{record:#}"
        );
    }
}

#[test]
fn no_request_is_smuggled_in_chunks() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    for body in BAD_CHUNKS {
        let mut client = sidecar.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SECOND}"
        ));
        let answer = client.answer();
        assert_eq!(answer.status(), 400, "{body:?}");
        assert_eq!(client.end(), End::Fin, "{body:?}");
    }
    // Where the damage comes late, part of the request is upstream already, and breaks off there.
    let mut client = sidecar.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    crate::support::eventually("upstream reached", || upstream.connections() > 0);
    client.send(format!("zz\r\n{SECOND}"));
    assert_eq!(client.answer().status(), 400);
    assert_eq!(client.end(), End::Fin);
    assert!(
        sidecar
            .records()
            .iter()
            .all(|it| ending(it) == "rejected/downstream/400")
    );
}

#[test]
fn other_impossible_heads_have_their_status() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[limits]\nheader_size = \"2KiB\"\nheader_fields = 20")
        .start();
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(3000));
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(30));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET example.com HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 405),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03", 400),
        (&long, 431),
        (&many, 431),
    ] {
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
