//! A request is sent a second time only where that does no harm: it is idempotent, all of it is
//! still held, no byte of an answer was seen, the connection was an old one, and no rule did it.

use crate::support::{Running, Sidecar, Upstream, Wire};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A client, and the server's end of a connection that has served one of its calls.
fn reused(sidecar: &Running, upstream: &Upstream) -> (Wire, Wire) {
    let (mut client, mut server) = sidecar.call(upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    (client, server)
}

#[test]
fn not_after_the_first_byte_of_an_answer() {
    for (begun, resets) in [
        "H",
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200",
    ]
    .into_iter()
    .flat_map(|it| [(it, false), (it, true)])
    {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).start();
        let (mut client, mut server) = reused(&sidecar, &upstream);
        client.send(GET);
        server.head();
        server.send(begun);
        if begun.contains("103") {
            assert!(client.head().starts_with("HTTP/1.1 103 "));
        }
        if resets {
            server.reset();
        } else {
            drop(server);
        }
        assert_eq!(client.answer().status(), 502, "{begun:?}");
        upstream.is_untouched();
    }
}

#[test]
fn not_after_an_interim_answer_that_its_client_does_not_know() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (_first, mut server) = reused(&sidecar, &upstream);
    let mut client = sidecar.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    server.head();
    server.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    drop(server);
    assert_eq!(client.answer().status(), 502);
    upstream.is_untouched();
}

#[test]
fn not_where_the_body_was_passed_on_as_it_came() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (mut client, mut server) = reused(&sidecar, &upstream);
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
    server.head();
    assert_eq!(server.take(3), b"abc");
    client.send("def");
    assert_eq!(server.take(3), b"def");
    drop(server);
    assert_eq!(client.answer().status(), 502);
    upstream.is_untouched();
}

#[test]
fn not_on_a_connection_that_was_new() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (mut client, server) = sidecar.call(&upstream, GET);
    drop(server);
    assert_eq!(client.answer().status(), 502);
    upstream.is_untouched();
}

#[test]
fn not_a_third_time() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (mut client, mut server) = reused(&sidecar, &upstream);
    client.send(GET);
    server.head();
    drop(server);
    let mut second = upstream.accept();
    assert_eq!(second.head(), GET);
    drop(second);
    assert_eq!(client.answer().status(), 502);
    upstream.is_untouched();
}

#[test]
fn not_after_an_injected_failure() {
    let hit = "select = { path = \"/hit\" }";
    for fault in [
        "disconnect = { at = \"connect\" }",
        "disconnect = { at = \"response-head\" }",
        "abort = { at = \"after-upstream\", status = 503 }",
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).rule(hit, &[fault]).start();
        let (mut client, mut server) = reused(&sidecar, &upstream);
        client.send("GET /hit HTTP/1.1\r\nHost: h\r\n\r\n");
        if !fault.contains("connect\"") {
            server.head();
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        if fault.contains("abort") {
            assert_eq!(client.answer().status(), 503);
        } else {
            client.rest();
        }
        upstream.is_untouched();
    }
}

#[test]
fn a_body_behind_an_injected_answer_is_no_request() {
    const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let upstream = crate::support::Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .rule(
            "select = { path = \"/hit\" }",
            &["abort = { status = 503 }"],
        )
        .start();
    let hit = |length| format!("POST /hit HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    let mut client = sidecar.connect();
    // A small body is read past, a large one ends the connection.
    client.send(hit(SECOND.len()));
    assert_eq!(client.answer().status(), 503);
    client.send(format!("{SECOND}GET /next HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(client.answer().text(), "/next");
    client.send(hit(900_000));
    assert_eq!(client.answer().status(), 503);
    for _ in 0..20_000 {
        if client.try_send(SECOND).is_err() {
            break;
        }
    }
    let requests = upstream.requests();
    let targets = requests.iter().filter_map(|it| it.head.split(' ').nth(1));
    assert_eq!(targets.collect::<Vec<_>>(), ["/next"]);
}
