//! Bytes of one request that must never become another: behind an early answer, and by way of an
//! upgrade to HTTP/2.

use crate::support::{End, Serving, Sidecar, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
/// What would be served, were it a request.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_body_behind_an_early_answer_is_no_request() {
    // Answered by a rule before the body was read: small ones are read past, large ones end it.
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .rule(
            "select = { path = \"/hit\" }",
            &["abort = { status = 503 }"],
        )
        .start();
    let mut client = sidecar.connect();
    let length = SECOND.len();
    client.send(format!(
        "POST /hit HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(client.answer().status(), 503);
    client.send(format!("{SECOND}GET /next HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(client.answer().text(), "/next");
    client.send(
        "POST /hit HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n".to_owned()
            + &SECOND.repeat(10_000),
    );
    assert_eq!(client.answer().status(), 503);
    client.rest();
    let targets: Vec<_> = upstream
        .requests()
        .iter()
        .map(|it| it.head.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(targets, ["/next"]);
}

#[test]
fn http2_is_never_asked_of_the_upstream_by_an_upgrade() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    let mut server = None;
    for upgrade in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
        "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\nHTTP2-Settings: AAMAAABk",
        "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c",
        "Connection: upgrade\r\nUpgrade: HTTP/2.0",
        "HTTP2-Settings: AAMAAABk",
    ] {
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n\r\n"));
        let server = server.get_or_insert_with(|| upstream.accept());
        assert_eq!(server.head(), GET, "{upgrade}");
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(client.answer().text(), "ok");
    }
    // An upstream that switches unasked is not followed.
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    let server = server.as_mut().unwrap();
    server.head();
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(client.answer().status(), 502);
    assert_eq!(client.end(), End::Fin);
}
