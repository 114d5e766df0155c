//! Bytes that two readers could take for two things, and what becomes of them: requests with their
//! status, answers with what the client sees. Nothing of a refused request reaches the upstream, a
//! refused connection ends, and an upstream that lied is not asked on that connection again.

use crate::support::sidecar::ending;
use crate::support::{End, Serving, Sidecar, Upstream, eventually};

/// What follows each request: it must never be served.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// Refused by their heads. `{}` stands for `Host: h` and the end of its line.
const HEADS: &[(&str, u16)] = &[
    // Content-Length and Transfer-Encoding, in any order.
    (
        "POST / HTTP/1.1\r\n{}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        400,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nx",
        400,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\nX: y\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{}Content-Length: \r\n\r\n",
        400,
    ),
    // Lengths that are none, or two.
    (
        "POST / HTTP/1.1\r\n{}Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc",
        400,
    ),
    ("POST / HTTP/1.1\r\n{}Content-Length: 3, 0\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\n{}Content-Length: 3,\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\n{}Content-Length: +3\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\n{}Content-Length: -3\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\n{}Content-Length: \r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\n{}Content-Length: 0x3\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\n{}Content-Length: 3 3\r\n\r\nabc", 400),
    (
        "POST / HTTP/1.1\r\n{}Content-Length: 3 \x0b\r\n\r\nabc",
        400,
    ),
    (
        "POST / HTTP/1.1\r\n{}Content-Length: 18446744073709551616\r\n\r\nabc",
        400,
    ),
    ("POST / HTTP/1.1\r\n{}Content-Length : 3\r\n\r\nabc", 400),
    // Codings other than one `chunked`.
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: identity\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding:\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "POST / HTTP/1.1\r\n{}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.0\r\n{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    // Line folding, NUL, bare CR, and names that are none.
    ("GET / HTTP/1.1\r\n{}X: a\r\n folded: b\r\n\r\n", 400),
    (
        "GET / HTTP/1.1\r\n{}X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    ("GET / HTTP/1.1\r\n X: first\r\n{}\r\n", 400),
    ("GET / HTTP/1.1\r\n{}X: a\0b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n{}\0: a\r\n\r\n", 400),
    (
        "GET / HTTP/1.1\r\n{}X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("GET / HTTP/1.1\r{}\r\n", 400),
    ("GET / HTTP/1.1\r\n{}: empty\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n{}no colon\r\n\r\n", 400),
    // Hosts: two, none, and what is no host.
    ("GET / HTTP/1.1\r\n{}Host: other\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n{}{}\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("GET http:///p HTTP/1.1\r\n{}\r\n", 400),
    ("GET http://h/p HTTP/1.1\r\n\r\n", 400),
    // Request lines.
    ("GET  / HTTP/1.1\r\n{}\r\n", 400),
    ("GET /a b HTTP/1.1\r\n{}\r\n", 505),
    ("GET example.com HTTP/1.1\r\n{}\r\n", 400),
    ("GET * HTTP/1.1\r\n{}\r\n", 400),
    ("GET /#a HTTP/1.1\r\n{}\r\n", 400),
    ("GET /\0 HTTP/1.1\r\n{}\r\n", 400),
    ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 405),
    ("CONNECT / HTTP/1.1\r\n{}\r\n", 405),
    ("GET / HTTP/3.0\r\n{}\r\n", 505),
];

/// Bodies whose chunks are broken.
const CHUNKS: &[&str] = &[
    "x\r\n",
    "-1\r\n",
    "+1\r\na\r\n0\r\n\r\n",
    "\r\n0\r\n\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "3\nabc\n0\n\n",
    "3\rabc\r\n0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\r\nabc0\r\n\r\n",
    "3\r\nabc\n0\r\n\r\n",
    "ffffffffffffffff1\r\n",
    "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "3;a\nabc\r\n0\r\n\r\n",
    "3;a\0\r\nabc\r\n0\r\n\r\n",
    "3;a\x0b\r\nabc\r\n0\r\n\r\n",
    "3 5\r\nabc\r\n0\r\n\r\n",
    "3 a\r\nabc\r\n0\r\n\r\n",
    "00000000000000003\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nno trailer\x01\r\n\r\n",
    "3\r\nabc\r\n0\r\n folded: x\r\n\r\n",
    "3\r\nabc\r\n0\r\nA: 1\n\r\n",
];

/// Answers that are none.
const ANSWERS: &[&str] = &[
    "SSH-2.0-OpenSSH_9\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 700 Odd\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 204 None\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4 5\r\nabcd\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;\x08\r\nabcd\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "\r\n\r\n\r\n\0\0\0",
];

/// Answers that begin well and are no whole ones: what the client still gets of their bodies.
const BREAKING: &[(&str, &str)] = &[
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "short",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "5\r\nshort\r\n",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho",
        "5\r\nsho",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
        "5\r\nshort\r\n0\r\n",
    ),
];

/// Answers with more behind them than belongs to them: the client gets the answer, and no more.
const LONGER: &[(&str, &str)] = &[
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
    (
        "GET",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ),
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
];

#[test]
fn requests_that_are_none_are_refused_by_their_heads() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    for (head, status) in HEADS {
        let head = head.replace("{}", "Host: h\r\n");
        let mut client = sidecar.connect();
        client.send(format!("{head}{SECOND}"));
        let answer = client.answer();
        assert_eq!(answer.status(), *status, "{head:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{head:?}");
        assert_eq!(answer.field("x-hormesis-origin"), Some("downstream"));
        assert_eq!(client.end(), End::Fin, "{head:?}");
    }
    assert_eq!(upstream.connections(), 0);
    for record in sidecar.records() {
        let ending = ending(&record);
        assert!(ending.starts_with("rejected/downstream/"), "{record:#}");
    }
}

#[test]
fn requests_with_broken_chunks_are_the_clients_fault() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    for body in CHUNKS {
        let mut client = sidecar.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SECOND}"
        ));
        assert_eq!(client.answer().status(), 400, "{body:?}");
        assert_eq!(client.end(), End::Fin, "{body:?}");
    }
    assert!(upstream.requests().is_empty());
    let records = sidecar.records();
    assert_eq!(records.len(), CHUNKS.len());
    let blamed = |it| ending(it) == "rejected/downstream/400";
    assert!(records.iter().all(blamed), "never the upstream's");
}

#[test]
fn chunks_that_break_late_break_off_upstream() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut server = upstream.accept();
    server.head();
    assert_eq!(server.take(8), b"3\r\nabc\r\n");
    client.send(format!("zz\r\n{SECOND}"));
    assert_eq!(client.answer().status(), 400);
    assert_eq!(client.end(), End::Fin);
    // Closed and not kept: the next call comes on another connection.
    assert_eq!(server.rest().0, b"");
    let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.answer().text(), "ok");
    let endings: Vec<_> = sidecar.records().iter().map(ending).collect();
    assert_eq!(endings, ["rejected/downstream/400", "ok/upstream/200"]);
}

#[test]
fn answers_that_are_none_are_a_502_of_the_upstream() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    for bytes in ANSWERS {
        let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        server.send(bytes);
        let answer = client.answer();
        assert_eq!(answer.status(), 502, "{bytes:?}");
        assert_eq!(answer.field("x-hormesis-origin"), Some("upstream"));
        assert_eq!(client.end(), End::Fin);
        server.rest();
    }
    for record in sidecar.records() {
        assert_eq!(ending(&record), "upstream_error/upstream/502");
        assert!(record["reason"].is_string(), "{record:#}");
    }
}

#[test]
fn answers_that_break_off_break_off() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    for (bytes, body) in BREAKING {
        let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        server.send(bytes);
        drop(server);
        client.head();
        assert_eq!(client.rest().0, body.as_bytes(), "{bytes:?}");
    }
    for record in sidecar.records() {
        assert_eq!(ending(&record), "upstream_error/upstream/200");
    }
}

#[test]
fn what_stands_behind_an_answer_is_nobodys() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    for (method, answer) in LONGER {
        let mut client = sidecar.connect();
        for _ in 0..2 {
            // The second call of the same client gets no byte of what stood behind the first.
            client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
            let mut server = upstream.accept();
            server.head();
            server.send(format!("{answer}{EVIL}"));
            let got = client.take(answer.len());
            assert_eq!(String::from_utf8_lossy(&got), *answer);
            server.rest();
        }
        client.finish();
        assert_eq!(client.end(), End::Fin, "{answer:?}");
    }
}

/// Field sections that are let through as they are, and the one thing that is made of each of the
/// others.
const PASSED: &[(&str, &str)] = &[
    (
        "GET /a?b=%00&c=//../;x=%C3%BC HTTP/1.1\r\nHost: h\r\nX: \u{fc}\r\n\r\n",
        "",
    ),
    (
        "GET / HTTP/1.1\r\nhOST: h\r\nb: 1\r\nA: 2\r\nB: 3\r\n\r\n",
        "",
    ),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""),
    ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", ""),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", ""),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: te\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nTE: gzip\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, X-B\r\nX-A: 1\r\nX-C: 2\r\nx-b: 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-C: 2\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Host, keep-alive\r\nKeep-Alive: 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nProxy-Connection: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    // An upgrade is all that `Connection` still says then.
    (
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        "",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Gone, upgrade\r\nX-Gone: 1\r\nUpgrade: x\r\nX-A: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\nX-A: 1\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nHost: h\r\nConnection: keep-alive\r\nUpgrade: x\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: Upgrade\r\nHost: h\r\nUpgrade: x\r\n\r\n",
    ),
    (
        "GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /p?q HTTP/1.1\r\nHost: other:81\r\n\r\n",
    ),
    (
        "OPTIONS http://other HTTP/1.1\r\nHost: h\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: other\r\n\r\n",
    ),
    (
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    ),
];

/// Answers, and what a client gets of their heads.
const EDITED: &[(&str, &str)] = &[
    (
        "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "HTTP/1.1 200 OK\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    ),
    (
        "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 204 None\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 None\r\n\r\n",
    ),
];

#[test]
fn heads_of_answers_lose_what_is_the_connections() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    for (sent, got) in EDITED {
        let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        server.send(sent);
        let came = client.take(got.len());
        assert_eq!(String::from_utf8_lossy(&came), *got);
        // No other call comes on this connection.
        drop(server);
        client.finish();
        assert_eq!(client.end(), End::Fin);
    }
}

#[test]
fn what_is_one_thing_to_all_passes_with_only_the_listed_edits() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let mut client = sidecar.connect();
    for (index, (sent, got)) in PASSED.iter().enumerate() {
        client.send(sent);
        assert_eq!(client.answer().status(), 200, "{sent:?}");
        eventually("it was seen", || upstream.requests().len() > index);
        let want = if got.is_empty() { sent } else { got };
        assert_eq!(upstream.requests()[index].head, *want);
    }
}
