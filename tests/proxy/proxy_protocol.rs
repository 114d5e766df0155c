//! The PROXY protocol in front of connections.

use crate::support::{End, Serving, Sidecar, Upstream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn both_versions_tell_the_peer_of_the_record() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).listener("proxy_protocol = true");
    let sidecar = sidecar.start();
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    second.extend([198, 51, 100, 7, 10, 0, 0, 1, 0, 99, 1, 187]);
    for header in [
        b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n".to_vec(),
        second,
    ] {
        // In one piece with the request, and byte by byte.
        let mut client = sidecar.connect();
        client.send([&header, GET.as_bytes()].concat());
        assert_eq!(client.answer().text(), "/a");
        let mut client = sidecar.connect();
        for byte in &header {
            client.send([*byte]);
        }
        client.send(GET);
        assert_eq!(client.answer().text(), "/a");
    }
    let records = sidecar.records();
    let peers: Vec<_> = records.iter().map(|it| it["peer"].as_str()).collect();
    let (first, second) = (Some("192.0.2.1:56324"), Some("198.51.100.7:99"));
    assert_eq!(peers, [first, first, second, second]);
}

#[test]
fn a_check_of_the_load_balancer_keeps_its_own_address() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).listener("proxy_protocol = true");
    let sidecar = sidecar.start();
    for header in ["PROXY UNKNOWN\r\n", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = sidecar.connect();
        client.send(format!("{header}{GET}"));
        assert_eq!(client.answer().text(), "/a");
    }
    for record in sidecar.records() {
        assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
}

#[test]
fn without_its_line_a_connection_is_closed_and_reaches_nobody() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).listener("proxy_protocol = true");
    let sidecar = sidecar.start();
    for bytes in [GET, "PROXY TCP4 x y 1 2\r\n"] {
        let mut client = sidecar.connect();
        client.send(bytes);
        let (answer, _) = client.rest();
        assert_eq!(String::from_utf8_lossy(&answer), "");
    }
    upstream.is_untouched();
}

#[test]
fn bytes_behind_the_line_reach_a_stream_whole() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address).listener("proxy_protocol = true");
    let sidecar = sidecar.start();
    let mut client = sidecar.connect();
    client.send("PROXY TCP6 2001:db8::1 ::1 7 8\r\n*1\r\n$4\r\nPING\r\n");
    let mut server = upstream.accept();
    assert_eq!(server.take(14), b"*1\r\n$4\r\nPING\r\n");
    client.finish();
    server.finish();
    assert_eq!(client.end(), End::Fin);
    assert_eq!(sidecar.record()["peer"], "[2001:db8::1]:7");
}

#[test]
fn a_line_that_never_ends_is_given_up() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .listener("proxy_protocol = true")
        .with("[limits]\ntls_handshake = \"100ms\"");
    let sidecar = sidecar.start();
    let mut client = sidecar.connect();
    client.send("PROXY TCP4 1.2.3.4");
    assert_eq!(client.end(), End::Fin);
}
