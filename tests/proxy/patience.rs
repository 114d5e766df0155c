//! Peers that take or send nothing in the middle of a body: given up in time, and told whose fault it
//! was. Streams may pause for as long as they like.

use std::time::Duration;

use crate::support::sidecar::ending;
use crate::support::{End, Sidecar, Upstream, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const LIMITS: &str = "[limits]\nbody_idle = \"200ms\"";
/// More than the sockets between two ends keep.
const MUCH: usize = 32 << 20;

/// Sends until the peer takes no more or closes; whether it closed.
fn flood(mut wire: crate::support::Wire) -> std::thread::JoinHandle<bool> {
    std::thread::spawn(move || wire.try_send(vec![b'x'; MUCH]).is_err())
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    // As it comes, through stages, and with chunks that nothing is known of.
    for (fault, framing) in [
        (None, format!("Content-Length: {MUCH}")),
        (
            Some("truncate = { at = { byte = 33554432 } }"),
            format!("Content-Length: {MUCH}"),
        ),
        (None, format!("Transfer-Encoding: chunked\r\n\r\n{MUCH:x}")),
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).with(LIMITS);
        let sidecar = match fault {
            Some(fault) => sidecar.fault(fault).start(),
            None => sidecar.start(),
        };
        let (client, mut server) = sidecar.call(&upstream, GET);
        let end = if framing.contains("chunked") {
            "\r\n"
        } else {
            "\r\n\r\n"
        };
        server.send(format!("HTTP/1.1 200 OK\r\n{framing}{end}"));
        assert!(flood(server).join().unwrap(), "the upstream is let go");
        // What the client left unread does not come any more.
        let record = sidecar.record();
        assert_eq!(ending(&record), "timeout/downstream/200", "{record:#}");
        drop(client);
    }
}

#[test]
fn a_client_may_pause_a_stream() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).with(LIMITS).start();
    for kind in ["text/event-stream", "application/grpc+proto"] {
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n{MUCH:x}\r\n"
        ));
        let sending = std::thread::spawn(move || {
            server.send(vec![b'x'; MUCH]);
            server.send("\r\n0\r\n\r\n");
        });
        // Longer than the limit, and not one byte is read meanwhile.
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(client.answer().body.len(), MUCH, "{kind}");
        sending.join().unwrap();
    }
}

#[test]
fn an_upstream_that_takes_nothing_of_a_request_is_given_up() {
    for (fault, framing) in [
        (None, format!("Content-Length: {MUCH}\r\n\r\n")),
        (
            None,
            format!("Transfer-Encoding: chunked\r\n\r\n{MUCH:x}\r\n"),
        ),
        (
            Some("corrupt = { side = \"request\", zero = \"1%\" }"),
            format!("Content-Length: {MUCH}\r\n\r\n"),
        ),
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).with(LIMITS);
        let sidecar = match fault {
            Some(fault) => sidecar.fault(fault).start(),
            None => sidecar.start(),
        };
        let mut client = sidecar.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}"));
        let mut reader = crate::support::Wire::new(client.stream.try_clone().unwrap());
        let sending = flood(client);
        let server = upstream.accept();
        let answer = reader.answer();
        assert_eq!(answer.status(), 504);
        assert_eq!(answer.field("x-hormesis-origin"), Some("upstream"));
        assert!(sending.join().unwrap());
        drop(server);
        assert_eq!(ending(&sidecar.record()), "timeout/upstream/504");
    }
}

#[test]
fn a_client_that_stops_in_its_body_is_told_so() {
    for fault in [
        None,
        Some("corrupt = { side = \"request\", zero = \"1%\" }"),
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).with(LIMITS);
        let sidecar = match fault {
            Some(fault) => sidecar.fault(fault).start(),
            None => sidecar.start(),
        };
        let mut client = sidecar.connect();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
        assert_eq!(client.answer().status(), 408);
        assert_eq!(client.end(), End::Fin);
        assert_eq!(ending(&sidecar.record()), "rejected/downstream/408");
    }
}

#[test]
fn a_clients_stream_may_be_silent() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).with(LIMITS).start();
    let mut client = sidecar.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    );
    let mut server = upstream.accept();
    server.head();
    client.quiet(Duration::from_millis(500));
    client.send("1\r\nb\r\n0\r\n\r\n");
    assert_eq!(server.take(17), b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn an_upstream_that_stops_in_its_body_is_given_up() {
    for (framing, begun) in [
        ("Content-Length: 10\r\n", "abc"),
        ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"),
        ("", "abc"),
    ] {
        for fault in [None, Some("throttle = { bytes_per_second = \"1MiB\" }")] {
            let upstream = Upstream::scripted();
            let sidecar = Sidecar::before(&upstream).with(LIMITS);
            let sidecar = match fault {
                Some(fault) => sidecar.fault(fault).start(),
                None => sidecar.start(),
            };
            let (mut client, mut server) = sidecar.call(&upstream, GET);
            server.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n{begun}"
            ));
            client.head();
            assert_eq!(client.rest().0, begun.as_bytes());
            server.end();
            assert_eq!(ending(&sidecar.record()), "timeout/upstream/200");
        }
    }
}

#[test]
fn an_upstream_whose_answer_nobody_gets_is_given_up_too() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .with(LIMITS)
        .fault("abort = { at = \"after-upstream\", status = 503 }")
        .start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(client.answer().status(), 504);
    server.end();
    assert_eq!(ending(&sidecar.record()), "timeout/upstream/504");
}

#[test]
fn an_upstreams_stream_may_be_silent() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).with(LIMITS).start();
    for kind in [
        "text/event-stream",
        "application/grpc",
        "application/x-ndjson",
    ] {
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        ));
        client.head();
        assert_eq!(client.take(6), b"1\r\na\r\n");
        client.quiet(Duration::from_millis(500));
        server.send("1\r\nb\r\n0\r\n\r\n");
        assert_eq!(client.take(11), b"1\r\nb\r\n0\r\n\r\n", "{kind}");
    }
}

#[test]
fn an_answer_flows_beside_a_request_that_does_not() {
    // The client sends no more of its body; or sends, and the upstream reads nothing of it.
    for floods in [false, true] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).with(LIMITS).start();
        let mut client = sidecar.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {MUCH}\r\n\r\nabc"
        ));
        let mut server = upstream.accept();
        server.head();
        server.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        let mut reader = crate::support::Wire::new(client.stream.try_clone().unwrap());
        assert!(reader.head().contains("\r\nConnection: close\r\n"));
        let sending = floods.then(|| {
            let stream = client.stream.try_clone().unwrap();
            flood(crate::support::Wire::new(stream))
        });
        reader.quiet(Duration::from_millis(500));
        server.send("1\r\na\r\n0\r\n\r\n");
        assert_eq!(reader.take(11), b"1\r\na\r\n0\r\n\r\n");
        // Not for another call: this one's request is not whole.
        drop(client);
        drop(reader);
        if let Some(sending) = sending {
            sending.join().unwrap();
        }
        assert_eq!(ending(&sidecar.record()), "ok/upstream/200");
    }
}

#[test]
fn a_rules_wait_is_no_silence_of_a_peer() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .with(LIMITS)
        .fault("stall = { at = { byte = 2 }, for = \"600ms\" }")
        .start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.answer().text(), "abc");
    eventually("it is over", || sidecar.active("r1") == 0);
}

#[test]
fn a_large_head_passes_where_it_may() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .with("[limits]\nheader_size = \"512KiB\"")
        .start();
    let value = "v".repeat(200_000);
    let mut client = sidecar.connect();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: h\r\nX: {value}\r\nY: {value}\r\n\r\n"
    ));
    let mut server = upstream.accept();
    assert!(server.head().ends_with(&format!("Y: {value}\r\n\r\n")));
    server.send(format!(
        "HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 2\r\n\r\nok"
    ));
    let answer = client.answer();
    assert_eq!((answer.field("x"), answer.text()), (Some(&*value), "ok"));
}
