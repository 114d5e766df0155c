//! Faults at each of their places on the way of a plain call: what both sides see, and what the
//! record says.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::sidecar::{ending, fates, waited};
use crate::support::{End, Sidecar, Upstream, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
const WAIT: Duration = Duration::from_millis(60);

#[test]
fn a_delay_before_the_upstream_is_never_short() {
    for at in [
        "",
        "at = \"request-head\", ",
        "at = \"connect\", ",
        "at = \"before-upstream\", ",
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault(&format!("delay = {{ {at}fixed = \"60ms\" }}"))
            .start();
        let start = Instant::now();
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        assert!(start.elapsed() >= WAIT, "{at}");
        server.send(OK);
        assert_eq!(client.answer().text(), "0123456789");
        let record = sidecar.record();
        assert_eq!(ending(&record), "ok/upstream/200");
        assert_eq!(fates(&record), ["applied"]);
        assert!(waited(&record, 0) >= WAIT);
        assert!(record["injected_us"].as_u64().unwrap() >= 60_000);
    }
}

#[test]
fn a_delay_of_the_answer_holds_what_it_says() {
    for (at, before) in [
        ("\"response-head\"", 0),
        ("{ byte = 4 }", 4),
        ("\"end\"", 10),
        ("{ byte = 0 }", 0),
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault(&format!("delay = {{ at = {at}, fixed = \"60ms\" }}"))
            .start();
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        let start = Instant::now();
        // The end is only to be seen where the body has an end mark.
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n";
        server.send(if before == 10 { chunked } else { OK });
        if at.contains("head") {
            client.head();
            assert!(start.elapsed() >= WAIT);
            assert_eq!(client.take(10), b"0123456789");
        } else if before == 10 {
            assert_eq!(client.answer().text(), "0123456789");
            assert!(start.elapsed() >= WAIT);
        } else {
            client.head();
            assert_eq!(client.take(before), b"0123456789"[..before]);
            assert_eq!(client.take(10 - before), b"0123456789"[before..]);
            assert!(start.elapsed() >= WAIT, "{at}");
        }
        let record = sidecar.record();
        assert_eq!(
            (ending(&record).as_str(), fates(&record)),
            ("ok/upstream/200", vec!["applied".into()])
        );
        assert!(waited(&record, 0) >= WAIT);
    }
}

#[test]
fn an_abort_before_the_upstream_never_reaches_it() {
    for at in ["request-head", "connect", "before-upstream"] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault(&format!(
                "abort = {{ at = \"{at}\", status = 503, headers = {{ retry-after = \"2\" }}, body = \"no\" }}"
            ))
            .start();
        let mut client = sidecar.connect();
        for _ in 0..2 {
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
            let answer = client.answer();
            assert_eq!((answer.status(), answer.text()), (503, "no"));
            assert_eq!(answer.field("retry-after"), Some("2"));
            assert_eq!(answer.field("x-hormesis-origin"), Some("injected"));
        }
        upstream.is_untouched();
        let records = sidecar.records();
        assert_eq!(ending(&records[1]), "injected_fault/injected/503");
        assert_eq!(fates(&records[1]), ["applied"]);
    }
}

#[test]
fn an_abort_after_the_upstream_lets_it_work() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("abort = { at = \"after-upstream\", status = 500 }")
        .start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    client.quiet(Duration::from_millis(30));
    server.send("56789");
    assert_eq!(client.answer().status(), 500);
    // Both connections are still good.
    client.send(GET);
    server.request().unwrap();
    server.send(OK);
    assert_eq!(client.answer().status(), 500);
    upstream.is_untouched();
}

#[test]
fn an_abort_in_place_of_the_head_drops_the_answer() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("abort = { at = \"response-head\", status = 502 }")
        .start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0");
    assert_eq!(client.answer().status(), 502);
    server.end();
    assert_eq!(ending(&sidecar.record()), "injected_fault/injected/502");
}

#[test]
fn a_disconnect_is_seen_as_what_it_is() {
    for (how, end) in [("rst", End::Reset), ("fin", End::Fin)] {
        for (at, seen, reached) in [
            ("\"request-head\"", None, false),
            ("\"connect\"", None, false),
            ("\"before-upstream\"", None, false),
            ("\"after-upstream\"", None, true),
            ("\"response-head\"", None, true),
            ("{ byte = 0 }", Some(0), true),
            ("{ byte = 4 }", Some(4), true),
            ("{ byte = 10 }", Some(10), true),
            // With a length, the last byte is the mark that the body is whole.
            ("\"end\"", Some(9), true),
        ] {
            let upstream = Upstream::scripted();
            let sidecar = Sidecar::before(&upstream)
                .fault(&format!("disconnect = {{ at = {at}, how = \"{how}\" }}"))
                .start();
            let mut client = sidecar.connect();
            client.send(GET);
            if reached {
                let mut server = upstream.accept();
                server.request().unwrap();
                server.send(OK);
            }
            let (bytes, ended) = client.rest();
            assert_eq!(ended, end, "{at} {how}");
            // A reset may overtake what was sent before it; FIN may not.
            if end == End::Fin {
                let want = seen.map_or(String::new(), |count| OK[..OK.len() - 10 + count].into());
                assert_eq!(String::from_utf8_lossy(&bytes), want, "{at}");
            }
            if !reached {
                upstream.is_untouched();
            }
            // A closing connection waits for its client's end.
            drop(client);
            let record = sidecar.record();
            assert!(
                ending(&record).starts_with("injected_fault/injected/"),
                "{record:#}"
            );
            assert_eq!(fates(&record), ["applied"], "{at} {how}");
        }
    }
}

#[test]
fn bytes_before_a_reset_arrive_where_the_client_reads_along() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("disconnect = { at = { byte = 4 }, how = \"rst\" }")
        .start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send(&OK[..OK.len() - 6]);
    client.head();
    assert_eq!(client.take(4), b"0123");
    client.quiet(Duration::from_millis(20));
    server.send("456789");
    assert_eq!(client.end(), End::Reset);
    server.end();
}

#[test]
fn a_stall_for_a_time_goes_on_after_it() {
    for at in [
        "\"request-head\"",
        "\"before-upstream\"",
        "\"response-head\"",
        "{ byte = 5 }",
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault(&format!("stall = {{ at = {at}, for = \"60ms\" }}"))
            .start();
        let start = Instant::now();
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        server.send(OK);
        assert_eq!(client.answer().text(), "0123456789");
        assert!(start.elapsed() >= WAIT);
        let record = sidecar.record();
        assert_eq!(fates(&record), ["applied"]);
        assert_eq!(ending(&record), "ok/upstream/200");
    }
}

#[test]
fn a_stall_without_end_holds_until_the_client_leaves() {
    for at in [
        "\"before-upstream\"",
        "\"response-head\"",
        "{ byte = 5 }",
        "\"end\"",
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault(&format!("stall = {{ at = {at} }}"))
            .start();
        let mut client = sidecar.connect();
        client.send(GET);
        if at != "\"before-upstream\"" {
            let mut server = upstream.accept();
            server.request().unwrap();
            server.send(OK);
            if at.contains("byte") {
                client.head();
                assert_eq!(client.take(5), b"01234");
            }
            drop(server);
        }
        eventually("the rule acts", || sidecar.active("r1") == 1);
        if at.contains("head") {
            client.quiet(Duration::from_millis(30));
        }
        drop(client);
        eventually("the call is given up", || sidecar.active("r1") == 0);
        let record = sidecar.record();
        assert_eq!(record["outcome"], "client_abort", "{at}: {record:#}");
    }
}

#[test]
fn faults_on_the_request_are_seen_by_the_upstream() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("truncate = { at = { byte = 4 }, side = \"request\" }")
        .start();
    let mut client = sidecar.connect();
    client.send(post);
    let mut server = upstream.accept();
    server.head();
    assert_eq!(server.rest(), (b"0123".to_vec(), End::Fin));
    server.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    // What the upstream makes of half a request is its answer.
    assert_eq!(client.answer().status(), 400);
    assert_eq!(fates(&sidecar.record()), ["applied"]);
    for (how, end) in [("fin", End::Fin), ("rst", End::Reset)] {
        let upstream = Upstream::scripted();
        let fault =
            format!("disconnect = {{ at = {{ byte = 4 }}, side = \"request\", how = \"{how}\" }}");
        let sidecar = Sidecar::before(&upstream).fault(&fault).start();
        let mut client = sidecar.connect();
        client.send(post);
        let mut server = upstream.accept();
        server.head();
        // Both sides see the connection end, the client as the fault says.
        assert_eq!(server.rest(), (b"0123".to_vec(), end), "{how}");
        let (answer, ended) = client.rest();
        assert_eq!((answer.len(), ended), (0, end), "{how}");
        drop(client);
        let record = sidecar.record();
        assert_eq!(record["outcome"], "injected_fault", "{how}: {record:#}");
        assert_eq!(record["origin"], "injected", "{how}: {record:#}");
    }
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("delay = { at = { byte = 4 }, side = \"request\", fixed = \"60ms\" }")
        .start();
    let mut client = sidecar.connect();
    client.send(post);
    let mut server = upstream.accept();
    server.head();
    assert_eq!(server.take(4), b"0123");
    assert_eq!(server.take(6), b"456789");
    server.send(OK);
    client.answer();
    let record = sidecar.record();
    assert!(waited(&record, 0) >= WAIT, "{record:#}");
}
