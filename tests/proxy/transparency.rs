//! What no rule touches passes as it is, but for what belongs to one hop.

use std::time::Duration;

use crate::support::{End, Serving, Sidecar, Upstream};

#[test]
fn heads_pass_byte_for_byte() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    let request = "GET /a//b/../%7e?q=%20&&r HTTP/1.1\r\nhOsT: Example:80\r\nX-Empty:\r\nx-twice: 1\r\n\
                   X-Twice:2\r\nX-Blanks: \t a  b \t\r\nX-Latin: \u{e9}\r\nCookie: a=b; c=\"d\"\r\n\r\n";
    client.send(request);
    let mut server = upstream.accept();
    assert_eq!(server.head(), request);
    let answer = "HTTP/1.1 299 Rather Odd\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\nX-E:\r\n\r\nhi";
    server.send(answer);
    assert_eq!(client.take(answer.len()), answer.as_bytes());
    client.quiet(Duration::from_millis(20));
}

#[test]
fn what_belongs_to_one_hop_stays_there() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nA: b\r\nKeep-Alive: 5\r\n\
         Proxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nLast: l\r\n\r\n",
    );
    let mut server = upstream.accept();
    assert_eq!(
        server.head(),
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nLast: l\r\n\r\n"
    );
    server.send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\nConnection: X-Y, close\r\nX-Y: z\r\n\r\n");
    assert_eq!(
        client.head(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    );
    // The upstream's end is not the client's.
    client.quiet(Duration::from_millis(20));
    client.send("GET /2 HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
    let mut second = upstream.accept();
    assert_eq!(
        second.head(),
        "GET /2 HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n"
    );
}

#[test]
fn a_connection_is_used_again_on_both_sides() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let mut client = sidecar.connect();
    for index in 0..20 {
        client.send(format!("GET /{index} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(client.answer().text(), format!("/{index}"));
    }
    assert_eq!(upstream.connections(), 1);
    client.send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let last = client.answer();
    assert_eq!(last.field("connection"), Some("close"));
    assert_eq!((last.text(), client.end()), ("/last", End::Fin));
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let mut client = sidecar.connect();
    let mut all = String::new();
    for index in 0..50 {
        let body = "x".repeat(index);
        let head = format!("POST /{index} HTTP/1.1\r\nHost: h\r\nContent-Length: {index}\r\n\r\n");
        all += &head;
        all += &body;
        // Blank lines between requests are read past (RFC 9112 §2.2).
        all += if index % 7 == 0 { "\r\n" } else { "" };
    }
    client.send(&all);
    for index in 0..50 {
        assert_eq!(client.answer().text(), format!("/{index}"));
    }
    let seen: Vec<_> = upstream.requests().iter().map(|it| it.body.len()).collect();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

#[test]
fn one_byte_at_a_time_is_the_same() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    let request = "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;e=f\r\nabc\r\n0\r\nT: 1\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
    }
    let mut server = upstream.accept();
    assert_eq!(server.take(request.len()), request.as_bytes());
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nEnd: 1\r\n\r\n";
    for byte in answer.bytes() {
        server.send([byte]);
    }
    assert_eq!(client.take(answer.len()), answer.as_bytes());
}

#[test]
fn absolute_form_and_asterisk_reach_the_upstream_in_its_form() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let mut client = sidecar.connect();
    client.send("GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().text(), "/p?q");
    client.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().text(), "*");
    client.send("OPTIONS http://other HTTP/1.1\r\nHost: h\r\n\r\n");
    client.answer();
    let heads: Vec<_> = upstream.requests().into_iter().map(|it| it.head).collect();
    // RFC 9112 §3.2.2: the target's authority stands over Host; §3.2.4: the last proxy writes "*".
    assert_eq!(heads[0], "GET /p?q HTTP/1.1\r\nHost: other:81\r\n\r\n");
    assert_eq!(heads[1], "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(heads[2], "OPTIONS * HTTP/1.1\r\nHost: other\r\n\r\n");
}

#[test]
fn a_client_that_asks_gets_exactly_one_100() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let mut server = upstream.accept();
    assert!(server.head().contains("Expect: 100-continue\r\n"));
    client.quiet(Duration::from_millis(20));
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert_eq!(server.take(3), b"abc");
    server.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status(), 201);
}

#[test]
fn where_a_rule_looks_into_the_body_the_100_is_ours_alone() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .rule(
            "select = { body = { \"/model\" = \"never\" } }",
            &["abort = {}"],
        )
        .start();
    let mut client = sidecar.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("{\"model\":\"m\"}");
    let mut server = upstream.accept();
    let request = server.request().unwrap();
    assert_eq!(
        (request.field("expect"), request.text()),
        (None, "{\"model\":\"m\"}")
    );
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn early_hints_pass_to_clients_that_know_them() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    for _ in 0..3 {
        server.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        assert_eq!(
            client.head(),
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        );
    }
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.answer().text(), "x");
    // RFC 9110 §15.2: never to HTTP/1.0.
    let mut old = sidecar.connect();
    old.send("GET / HTTP/1.0\r\n\r\n");
    server.head();
    server.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny");
    assert_eq!(old.answer().status(), 200);
}

#[test]
fn an_upgraded_connection_is_a_pipe() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    let asked = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // Bytes behind the request may come before the answer.
    client.send(format!("{asked}early"));
    let mut server = upstream.accept();
    assert_eq!(server.head(), asked);
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
    assert_eq!(
        client.head(),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    assert_eq!(client.take(5), b"first");
    assert_eq!(server.take(5), b"early");
    for round in 0..10_u8 {
        client.send([round; 1000]);
        assert_eq!(server.take(1000), [round; 1000]);
        server.send([round ^ 255; 3]);
        assert_eq!(client.take(3), [round ^ 255; 3]);
    }
    // Half-closed both ways, one after the other.
    client.finish();
    assert_eq!(server.end(), End::Fin);
    server.send("still");
    assert_eq!(client.take(5), b"still");
    server.finish();
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn an_upgrade_may_have_a_body() {
    const SWITCHED: &str =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    for (framing, body) in [
        ("Content-Length: 4", "body"),
        ("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"),
    ] {
        let asked = format!(
            "POST /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n{framing}\r\n\r\n"
        );
        let mut client = sidecar.connect();
        client.send(&asked);
        let mut server = upstream.accept();
        assert_eq!(server.head(), asked);
        // The body comes by itself, with what belongs to the other protocol.
        client.send(format!("{body}early"));
        assert_eq!(server.take(body.len()), body.as_bytes());
        server.send(format!("{SWITCHED}first"));
        assert_eq!(client.head(), SWITCHED);
        assert_eq!(client.take(5), b"first");
        assert_eq!(server.take(5), b"early");
        client.finish();
        assert_eq!(server.end(), End::Fin);
        server.finish();
        assert_eq!(client.end(), End::Fin);
        // Before all of the request was sent it is none.
        let mut client = sidecar.connect();
        client.send(&asked);
        let mut server = upstream.accept();
        server.head();
        server.send(SWITCHED);
        assert_eq!(client.answer().status(), 502);
    }
}

#[test]
fn an_upgrade_that_is_declined_is_an_answer_like_any_other() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let mut client = sidecar.connect();
    for _ in 0..2 {
        client.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
        assert_eq!(client.answer().text(), "/ws");
    }
}

#[test]
fn an_early_answer_passes_while_the_body_is_unread() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\nsome");
    let mut server = upstream.accept();
    server.head();
    server.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text()), (413, "no!"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(client.end(), End::Fin);
    assert_eq!(server.rest().0, b"some");
}

#[test]
fn a_client_that_leaves_takes_the_upstream_along() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    drop(client);
    server.end();
    let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx");
    client.head();
    client.reset();
    server.end();
    let records = sidecar.records();
    assert!(
        records.iter().all(|it| it["outcome"] == "client_abort"),
        "{records:#?}"
    );
    assert_eq!(records.len(), 2);
}
