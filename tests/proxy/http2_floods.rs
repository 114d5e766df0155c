//! Clients of HTTP/2 that cost more than they pay: each is told to calm down, or is cut off.

use h2::Reason;

use crate::support::http2_client::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, H2Client, HEADERS, PING, PRIORITY,
    RST_STREAM, RawClient, SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::support::sidecar::ending;
use crate::support::{Running, Serving, Sidecar};

fn start() -> Running {
    let upstream = Serving::echo();
    Sidecar::to(upstream.address).start()
}

#[test]
fn frames_that_ask_for_nothing_end_the_connection() {
    let sidecar = start();
    let other = H2Client::connect(sidecar.address);
    for bytes in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7]),
        frame(0xbe, 0, 0, &[]),
    ] {
        let kind = bytes[3];
        let client = RawClient::connect(sidecar.address);
        let code = client.flood(&bytes.repeat(10_000));
        assert_eq!(code, Reason::ENHANCE_YOUR_CALM, "frames of kind {kind}");
        assert_eq!(other.get("/a").text(), "/a");
    }
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection() {
    let sidecar = start();
    let client = RawClient::connect(sidecar.address);
    let (fields, mut bytes) = (block(&GET), Vec::new());
    for stream in (1..10_000).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    assert_eq!(client.flood(&bytes), Reason::ENHANCE_YOUR_CALM);
}

#[test]
fn streams_that_make_us_reset_them_end_the_connection() {
    let sidecar = start();
    let client = RawClient::connect(sidecar.address);
    let fields = block(&[&GET[..], &[("content-length", "1")]].concat());
    let mut bytes = Vec::new();
    for stream in (1..10_000).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &fields));
        // More than was announced is an error of the stream (RFC 9113 §8.1.1).
        bytes.extend(frame(DATA, 0, stream, b"two"));
    }
    assert_eq!(client.flood(&bytes), Reason::ENHANCE_YOUR_CALM);
}

#[test]
fn a_head_without_end_ends_the_connection() {
    let sidecar = start();
    let client = RawClient::connect(sidecar.address);
    let mut bytes = frame(HEADERS, END_STREAM, 1, &block(&GET));
    let more = frame(CONTINUATION, 0, 1, &block(&[("x-a", &"y".repeat(1000))]));
    bytes.extend(more.repeat(10_000));
    assert_eq!(client.flood(&bytes), Reason::ENHANCE_YOUR_CALM);
}

#[test]
fn empty_data_ends_the_connection() {
    let sidecar = start();
    let client = RawClient::connect(sidecar.address);
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&GET));
    bytes.extend(frame(DATA, 0, 1, &[]).repeat(10_000));
    assert_eq!(client.flood(&bytes), Reason::ENHANCE_YOUR_CALM);
}

#[test]
fn a_head_that_unfolds_is_refused() {
    let sidecar = start();
    let mut client = RawClient::connect(sidecar.address);
    // One large field is kept in the table (RFC 7541 §6.2.1) and then named by one byte each time.
    let mut fields = block(&GET);
    let kept = block(&[("x-bomb", &"b".repeat(3000))]);
    fields.push(0x40);
    fields.extend(&kept[1..]);
    fields.extend([0xbe; 10_000]);
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &fields);
    loop {
        let answer = client.next();
        match answer.kind {
            // Answered 431, or reset, or all of it ended: none of it is a call.
            HEADERS => {
                assert_ne!(answer.payload[0], 0x88, "answered 200");
                return;
            }
            RST_STREAM => return,
            7 => return,
            _ => {}
        }
    }
}

#[test]
fn more_streams_than_allowed_are_refused_one_by_one() {
    let upstream = crate::support::Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .with("[limits]\nh2_streams = 2")
        .start();
    let mut client = RawClient::connect(sidecar.address);
    for stream in [1, 3, 5] {
        client.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET));
    }
    let refused = client.until(RST_STREAM);
    assert_eq!(
        (refused.stream, refused.code()),
        (5, Reason::REFUSED_STREAM)
    );
}

#[test]
fn a_hundred_streams_without_a_window_are_given_up_one_by_one() {
    let upstream = Serving::answering(|_| {
        let body = "x".repeat(300_000);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{body}").into_bytes()
    });
    let sidecar = Sidecar::to(upstream.address)
        .with("[limits]\nbody_idle = \"200ms\"")
        .start();
    let mut client = RawClient::connect(sidecar.address);
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let streams: Vec<u32> = (0..100).map(|it| 2 * it + 1).collect();
    for stream in &streams {
        client.send(HEADERS, END_HEADERS | END_STREAM, *stream, &block(&GET));
    }
    let mut ended: Vec<u32> = streams
        .iter()
        .map(|_| client.until(RST_STREAM).stream)
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, streams);
    // The connection itself is as good as before.
    client.send(6, 0, 0, b"12345678");
    client.until(6);
    drop(client);
    for record in sidecar.records() {
        assert_eq!(ending(&record), "timeout/downstream/200", "{record:#}");
    }
}

#[test]
fn a_client_that_does_not_go_on_is_closed() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address)
        .with("[limits]\nheader_timeout = \"50ms\"")
        .start();
    let mut preface = crate::support::Wire::connect(sidecar.address);
    preface.send(b"PRI * HTTP/2.0\r\n\r\nSM");
    preface.rest();
    let mut client = RawClient::connect(sidecar.address);
    client.until(SETTINGS);
    client.send(HEADERS, END_STREAM, 1, &block(&GET));
    client.0.rest();
}
