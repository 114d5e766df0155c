//! What heads are taken, and which are refused.

use super::*;

fn request(text: &str) -> Result<Option<Request>, HeadError> {
    parse_request(text.as_bytes(), 65_536, 100)
}

fn refused(text: &str) -> HeadError {
    request(text).expect_err(text)
}

#[test]
fn a_plain_request_passes_whole() {
    let text = "GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nX-A: b\r\n\r\nrest";
    let head = request(text).unwrap().unwrap();
    assert_eq!(head.len, text.len() - 4);
    assert_eq!(
        head.parts(text.as_bytes()),
        (Some("h:1"), "/a", Some("b=c"))
    );
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive && !head.rebuild && head.fields.iter().all(|field| !field.hop));
}

#[test]
fn every_prefix_is_incomplete() {
    let text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
    for end in 0..text.len() {
        assert!(request(&text[..end]).unwrap().is_none(), "{end}");
    }
}

#[test]
fn smuggling_shapes_are_refused() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 99999999999999999999999",
        "Content-Length:",
        "Content-Length: 3 4",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "X: a\r\n folded",
        "X: a\0b",
        "X: a\rb",
        "Host: other",
    ] {
        let status = refused(&with(fields)).status();
        assert!(status == 400 || status == 501, "{fields}: {status}");
    }
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n").status(), 400);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n").status(), 400);
    assert_eq!(
        refused("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n").status(),
        400
    );
    assert_eq!(
        refused("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").status(),
        405
    );
    assert_eq!(refused("GET a HTTP/1.1\r\nHost: a\r\n\r\n").status(), 400);
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status(), 505);
    assert_eq!(
        refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").status(),
        400
    );
}

#[test]
fn equal_lengths_collapse_and_absolute_form_wins() {
    let head =
        request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n");
    let head = head.unwrap().unwrap();
    assert!(head.rebuild && head.framing == Framing::Length(3));
    let text = "GET http://real:8/p?q HTTP/1.1\r\nHost: other\r\n\r\n";
    let head = request(text).unwrap().unwrap();
    assert!(head.rebuild);
    assert_eq!(
        head.parts(text.as_bytes()),
        (Some("real:8"), "/p", Some("q"))
    );
    assert!(
        request("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap()
            .is_some()
    );
}

#[test]
fn the_strict_profile_refuses_what_lenient_readers_disagree_on() {
    for (fields, fine) in [
        ("X-A: 1\r\n", true),
        ("Content-Length: 3\r\n", true),
        ("X: a_b\r\n", true),
        ("X_A: 1\r\n", false),
        ("X: 1\n", false),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", false),
        ("Content-Length: 3, 3\r\n", false),
    ] {
        let text = format!("POST /a_b HTTP/1.1\r\nHost: h_h\r\n{fields}\r\n");
        let head = request(&text).unwrap().unwrap();
        assert_eq!(
            head.check_strict(text.as_bytes()).is_ok(),
            fine,
            "{fields:?}"
        );
    }
}

#[test]
fn http2_is_nothing_to_change_to() {
    for (upgrade, asked) in [
        ("websocket", Upgrade::Asked),
        ("h2c", Upgrade::No),
        ("websocket, H2C", Upgrade::No),
    ] {
        let text = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        );
        let head = request(&text).unwrap().unwrap();
        assert_eq!(head.upgrade, asked, "{upgrade}");
        let hops = head.fields.iter().filter(|field| field.hop).count();
        assert_eq!(hops, if asked == Upgrade::No { 3 } else { 1 }, "{upgrade}");
    }
}

#[test]
fn hop_by_hop_fields_are_marked_and_framing_is_out_of_reach() {
    let text = "POST / HTTP/1.1\r\nHost: h\r\nConnection: x-a, Content-Length, te\r\nX-A: 1\r\nX-B: 2\r\n\
                TE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nContent-Length: 1\r\n\r\n";
    let head = request(text).unwrap().unwrap();
    let hop: Vec<&str> = head
        .fields
        .iter()
        .filter(|f| f.hop)
        .map(|f| std::str::from_utf8(f.name(text.as_bytes())).unwrap())
        .collect();
    assert_eq!(hop, ["Connection", "X-A", "Keep-Alive", "Proxy-Connection"]);
    assert_eq!(head.framing, Framing::Length(1));
}

#[test]
fn fields_are_read_whatever_bytes_their_values_have() {
    for value in [&b"plain"[..], "gr\u{fc}n".as_bytes(), b"gr\xfcn", b"\xff"] {
        let text = [
            b"GET / HTTP/1.1\r\nHost: h\r\nX-A: ",
            value,
            b"\r\n\r\n\xc3",
        ]
        .concat();
        let head = parse_request(&text, 65_536, 100).unwrap().unwrap();
        let fields: Vec<_> = head.fields(&text).map(|it| (it.name, it.value)).collect();
        assert_eq!(fields, [("Host", &b"h"[..]), ("X-A", value)]);
    }
}

#[test]
fn keep_alive_follows_version_and_connection() {
    let keeps = |text: &str| request(text).unwrap().unwrap().keep_alive;
    assert!(!keeps(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    ));
    assert!(!keeps("GET / HTTP/1.0\r\nHost: h\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

#[test]
fn limits_hold() {
    let long = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "a".repeat(2000)
    );
    assert_eq!(
        parse_request(long.as_bytes(), 1000, 100).unwrap_err(),
        HeadError::TooLarge
    );
    assert_eq!(
        parse_request(&long.as_bytes()[..1500], 1000, 100).unwrap_err(),
        HeadError::TooLarge
    );
    assert_eq!(
        parse_request(long.as_bytes(), 65_536, 1).unwrap_err(),
        HeadError::TooManyFields
    );
}

#[test]
fn responses_are_framed_by_what_was_asked() {
    let parse = |text: &str, to_head| parse_response(text.as_bytes(), 65_536, to_head, Upgrade::No);
    let framing = |text: &str, to_head| parse(text, to_head).unwrap().unwrap().framing;
    assert_eq!(
        framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false),
        Framing::Length(5)
    );
    assert_eq!(
        framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
        Framing::None
    );
    assert_eq!(
        framing(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            false
        ),
        Framing::None
    );
    assert_eq!(
        framing("HTTP/1.1 200 OK\r\n\r\n", false),
        Framing::UntilClose
    );
    assert_eq!(
        framing(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            false
        ),
        Framing::Chunked
    );
    for lie in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 999 X\r\n\r\n",
        "garbage\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert!(parse(lie, false).is_err(), "{lie}");
    }
}

#[test]
fn an_upstream_says_how_long_it_keeps_an_idle_connection() {
    let keep_for = |value: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\nContent-Length: 0\r\n\r\n");
        let parsed = parse_response(head.as_bytes(), 1000, false, Upgrade::No);
        parsed.unwrap().unwrap().keep_for
    };
    assert_eq!(keep_for("timeout=5"), Some(5));
    assert_eq!(keep_for("max=100, Timeout=15"), Some(15));
    for none in ["5", "timeout=", "timeout=x", "timeout=99999999999", ""] {
        assert_eq!(keep_for(none), None, "{none}");
    }
}
