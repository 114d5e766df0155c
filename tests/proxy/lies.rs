//! Upstreams that lie, break off, refuse and reset: told apart from the client's faults and ours,
//! and never used again.

use std::time::Duration;

use crate::support::sidecar::ending;
use crate::support::{End, Serving, Sidecar, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn an_upstream_that_closes_without_an_answer() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    for half in ["", "HTTP/1.1 200 OK\r\nConte"] {
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        server.send(half);
        drop(server);
        assert_eq!(client.answer().status(), 502);
        let (mut client, server) = sidecar.call(&upstream, GET);
        server.reset();
        assert_eq!(client.answer().status(), 502);
    }
    // A new connection that fails is no stale one: asked once, not again.
    upstream.is_untouched();
}

#[test]
fn an_upstream_that_refuses() {
    let sidecar = Sidecar::to(Upstream::refusing()).start();
    let mut client = sidecar.connect();
    client.send(GET);
    let answer = client.answer();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.field("x-hormesis-origin"), Some("upstream"));
    assert_eq!(ending(&sidecar.record()), "upstream_error/upstream/502");
}

#[test]
fn a_broken_body_is_no_whole_one_to_an_old_client() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    // Its only end mark is the connection's: an orderly end would say that all is there.
    let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.0\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n");
    client.head();
    assert_eq!(client.take(5), b"short");
    drop(server);
    assert_eq!(client.end(), End::Reset);
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\n\r\nshort");
    client.head();
    assert_eq!(client.take(5), b"short");
    server.reset();
    assert_eq!(client.end(), End::Reset);
}

#[test]
fn bytes_behind_an_answer_belong_to_nobody() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert_eq!(client.answer().text(), "ok");
    client.quiet(Duration::from_millis(20));
    client.send(GET);
    let mut second = upstream.accept();
    second.head();
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert_eq!(client.answer().text(), "good");
    // What comes while a connection is idle is no answer either.
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    second.end();
    client.send(GET);
    let mut third = upstream.accept();
    third.head();
    third.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
    assert_eq!(client.answer().text(), "fine");
    let records = sidecar.records();
    let endings: Vec<_> = records.iter().map(ending).collect();
    let ok = "ok/upstream/200";
    assert_eq!(endings, ["upstream_error/upstream/200", ok, ok]);
    assert_eq!(
        records[0]["reason"],
        "the upstream sent more than its answer"
    );
}

#[test]
fn bytes_behind_an_answer_that_a_rule_acts_on_are_told_of_too() {
    for (fault, end) in [
        (
            "throttle = { bytes_per_second = \"1GiB\" }",
            "upstream_error/upstream/200",
        ),
        (
            "corrupt = { zero = \"100%\" }",
            "injected_fault/injected/200",
        ),
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).fault(fault).start();
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!");
        assert_eq!(client.answer().body.len(), 2);
        server.rest();
        assert_eq!(ending(&sidecar.record()), end);
    }
}

#[test]
fn a_stale_connection_is_replaced_where_asking_twice_is_safe() {
    for (method, safe) in [("GET", true), ("PUT", true), ("POST", false)] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).start();
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        client.answer();
        client.send(format!(
            "{method} /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
        ));
        // It closes as it is asked: the request was never looked at, as far as anyone can tell.
        server.request().unwrap();
        drop(server);
        if safe {
            let mut second = upstream.accept();
            let again = second.request().unwrap();
            assert_eq!((again.text(), &again.head[..method.len()]), ("x", method));
            second.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            assert_eq!(client.answer().text(), "ok");
        } else {
            assert_eq!(client.answer().status(), 502);
            upstream.is_untouched();
        }
    }
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_nobody_an_error() {
    let upstream =
        Serving::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let sidecar = Sidecar::to(upstream.address).start();
    let scripted = Upstream::scripted();
    let other = Sidecar::before(&scripted).start();
    let (mut client, mut server) = other.call(&scripted, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.answer();
    drop(server);
    std::thread::sleep(Duration::from_millis(20));
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    let mut server = scripted.accept();
    server.request().unwrap();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.answer().text(), "ok");
    let mut client = sidecar.connect();
    client.send(GET);
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn interim_answers_without_end_are_no_answer() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    let flood = std::thread::spawn(move || {
        let hint = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100);
        while server.try_send(&hint).is_ok() {}
    });
    let mut hints = 0;
    let last = loop {
        let head = client.head();
        if !head.starts_with("HTTP/1.1 103") {
            break head;
        }
        hints += 1;
    };
    assert!((1..1000).contains(&hints), "{hints}");
    assert!(last.starts_with("HTTP/1.1 502 "), "{last}");
    assert!(last.contains("x-hormesis-origin: upstream\r\n"), "{last}");
    // The flood ends with its connection.
    flood.join().unwrap();
    let (mut other, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(other.answer().status(), 200);
}
