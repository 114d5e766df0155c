//! `throttle`, `truncate` and `corrupt` on bodies of known and unknown length.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::sidecar::{ending, fates};
use crate::support::{End, Sidecar, Upstream, noise};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn answer(framing: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = match framing {
        "length" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()),
        _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
    }
    .into_bytes();
    if framing == "length" {
        answer.extend(body);
    } else {
        answer.extend(crate::support::chunked(body, &[3, 700], ""));
    }
    answer
}

#[test]
fn a_truncated_body_breaks_off_or_says_less() {
    let body = noise(1, 1000);
    for framing in ["length", "chunked"] {
        for (at, cut) in [
            ("{ byte = 400 }", 400),
            ("{ byte = 0 }", 0),
            ("{ share = \"25%\" }", 250),
        ] {
            for fix in [false, true] {
                let upstream = Upstream::scripted();
                let length = if fix { "fix" } else { "keep" };
                let sidecar = Sidecar::before(&upstream)
                    .fault(&format!(
                        "truncate = {{ at = {at}, length = \"{length}\" }}"
                    ))
                    .start();
                let (mut client, mut server) = sidecar.call(&upstream, GET);
                server.send(answer(framing, &body));
                if at.contains("share") && framing == "chunked" {
                    assert!(client.answer().body == body);
                    let record = sidecar.record();
                    assert_eq!(fates(&record), ["not_applicable:length"]);
                    assert_eq!(ending(&record), "ok/upstream/200");
                    continue;
                }
                if fix {
                    assert!(client.answer().body == body[..cut], "{framing} {at}");
                    // The message is whole: another may follow.
                    client.quiet(Duration::from_millis(5));
                } else {
                    let head = client.head();
                    assert_eq!(head.contains("Content-Length: 1000"), framing == "length");
                    let (rest, end) = client.rest();
                    assert_eq!(end, End::Fin);
                    assert!(!rest.ends_with(b"0\r\n\r\n"));
                    if framing == "length" {
                        assert!(rest == body[..cut]);
                    }
                }
                drop(client);
                let record = sidecar.record();
                assert_eq!(fates(&record), ["applied"], "{framing} {at}");
                assert_eq!(ending(&record), "injected_fault/injected/200");
                assert_eq!(record["response_bytes"], cut);
            }
        }
    }
}

#[test]
fn a_cut_beyond_the_end_does_nothing() {
    for framing in ["length", "chunked"] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault("truncate = { at = { byte = 2000 } }")
            .start();
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        let body = noise(1, 1000);
        server.send(answer(framing, &body));
        assert!(client.answer().body == body);
        let record = sidecar.record();
        assert_eq!(
            (ending(&record).as_str(), fates(&record)),
            ("ok/upstream/200", vec!["not_reached".into()])
        );
    }
}

#[test]
fn of_two_cuts_the_first_counts() {
    for cuts in [["200", "400"], ["400", "200"]] {
        let upstream = Upstream::scripted();
        let faults =
            cuts.map(|at| format!("truncate = {{ at = {{ byte = {at} }}, length = \"fix\" }}"));
        let sidecar = Sidecar::before(&upstream)
            .fault(&faults[0])
            .fault(&faults[1])
            .start();
        let (mut client, mut server) = sidecar.call(&upstream, GET);
        let body = noise(1, 1000);
        server.send(answer("length", &body));
        assert!(client.answer().body == body[..200]);
    }
}

#[test]
fn a_length_that_was_told_holds_when_the_rule_is_gone() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("truncate = { at = { byte = 400 }, length = \"fix\" }")
        .start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    let whole = answer("length", &noise(1, 1000));
    let head = whole.len() - 1000;
    server.send(&whole[..head + 100]);
    assert!(client.head().contains("Content-Length: 400\r\n"));
    client.take(100);
    sidecar.handle.disarm("r1").unwrap();
    server.send(&whole[head + 100..]);
    client.take(300);
    client.quiet(Duration::from_millis(30));
}

#[test]
fn damage_keeps_lengths_and_the_protected_bytes() {
    let body = noise(3, 20_000);
    for (fault, least, most) in [
        ("bit_flip = { count = 3 }", 3, 3),
        ("bit_flip = { rate = \"1%\" }", 900, 2300),
        ("random = \"10%\"", 1600, 2400),
        ("zero = \"10%\"", 1600, 2400),
        ("swap = \"5%\"", 1300, 2400),
    ] {
        let mut seen = Vec::new();
        // The same call is damaged alike, however its bytes are cut.
        for pieces in [1, 7] {
            let upstream = Upstream::scripted();
            let sidecar = Sidecar::before(&upstream)
                .fault(&format!("corrupt = {{ {fault}, skip = \"100B\" }}"))
                .start();
            let (mut client, mut server) = sidecar.call(&upstream, GET);
            let bytes = answer("length", &body);
            let sending = std::thread::spawn(move || {
                for part in bytes.chunks(bytes.len().div_ceil(pieces)) {
                    server.send(part);
                }
                server
            });
            let got = client.answer().body;
            sending.join().unwrap();
            assert_eq!(got.len(), body.len());
            assert!(got[..100] == body[..100], "{fault}");
            let changed = got.iter().zip(&body).filter(|(a, b)| a != b).count();
            assert!((least..=most).contains(&changed), "{fault}: {changed}");
            let record = sidecar.record();
            assert_eq!(
                (ending(&record).as_str(), fates(&record)),
                ("injected_fault/injected/200", vec!["applied".into()])
            );
            seen.push(got);
        }
        assert!(fault.contains("swap") || seen[0] == seen[1], "{fault}");
    }
}

#[test]
fn a_count_of_bits_needs_a_length_and_a_body() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .fault("corrupt = { bit_flip = { count = 3 } }")
        .start();
    let (mut client, mut server) = sidecar.call(&upstream, GET);
    server.send(answer("chunked", b"abc"));
    assert_eq!(client.answer().text(), "abc");
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    server.head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    client.head();
    let records = sidecar.records();
    assert_eq!(fates(&records[0]), ["not_applicable:length"]);
    assert_eq!(fates(&records[1]), ["not_applicable:no_body"]);
}

#[test]
fn damage_to_a_request_reaches_the_upstream() {
    for framing in [
        "Content-Length: 5\r\n\r\nabcde",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault("corrupt = { zero = \"100%\", side = \"request\", skip = \"2B\" }")
            .start();
        let mut client = sidecar.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}"));
        let mut server = upstream.accept();
        assert_eq!(server.request().unwrap().body, b"ab\0\0\0");
        server.send(answer("length", b"abc"));
        assert_eq!(client.answer().text(), "abc");
    }
}

#[test]
fn a_throttle_holds_its_rate() {
    for side in ["response", "request"] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream)
            .fault(&format!(
                "throttle = {{ bytes_per_second = \"100KiB\", burst = \"1KiB\", side = \"{side}\" }}"
            ))
            .start();
        let body = noise(4, 21 * 1024);
        let start = Instant::now();
        let mut client = sidecar.connect();
        if side == "request" {
            let mut request =
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 21504\r\n\r\n".to_vec();
            request.extend(&body);
            client.send(request);
        } else {
            client.send(GET);
        }
        let mut server = upstream.accept();
        let request = server.request().unwrap();
        let sent = if side == "request" {
            b"ok".to_vec()
        } else {
            body.clone()
        };
        server.send(answer("length", &sent));
        assert!(client.answer().body == sent);
        assert!(side == "response" || request.body == body);
        // 20 KiB beyond the burst.
        assert!(
            start.elapsed() >= Duration::from_millis(200),
            "{:?}",
            start.elapsed()
        );
        assert!(start.elapsed() < Duration::from_secs(10));
        let record = sidecar.record();
        assert_eq!(
            (ending(&record).as_str(), fates(&record)),
            ("ok/upstream/200", vec!["applied".into()])
        );
    }
}
