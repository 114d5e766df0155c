//! Large bodies of announced length pass inside the kernel: what is told of them, and how they end,
//! is as for any other.

use std::io::{Read, Write};
use std::thread;

use crate::support::{Sidecar, Upstream, noise};

const LARGE: usize = 3 << 20;

fn head(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

const GET: &[u8] = b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn large_answers_are_identical_on_one_connection() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    let mut server = None;
    // Around the sizes where the way changes; the second of two large ones is expected to be large.
    for (seed, length) in [LARGE, LARGE, 5, 16 << 10, (64 << 10) + 1, 100 << 10, 0, 9]
        .into_iter()
        .enumerate()
    {
        client.send(GET);
        let mut serving = server.take().unwrap_or_else(|| upstream.accept());
        serving.request().unwrap();
        let body = noise(seed as u64, length);
        let answer = [head(length), body].concat();
        let written = answer.clone();
        let sending = thread::spawn(move || {
            serving.send(&written);
            serving
        });
        assert!(client.take(answer.len()) == answer, "{length} bytes differ");
        // The upstream's connection is used again each time: nothing behind a body is missed, and
        // nothing is taken for it that is none.
        server = Some(sending.join().unwrap());
    }
    upstream.is_untouched();
}

#[test]
fn a_large_upload_is_identical() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    let body = noise(7, LARGE);
    let request = [
        format!("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n").into_bytes(),
        body.clone(),
    ]
    .concat();
    let mut sender = client.stream.try_clone().unwrap();
    let sending = thread::spawn(move || sender.write_all(&request));
    let mut server = upstream.accept();
    assert!(server.request().unwrap().body == body, "the upload differs");
    sending.join().unwrap().unwrap();
    server.send(b"HTTP/1.1 204 No Content\r\n\r\n");
    client.take(b"HTTP/1.1 204".len());
}

#[test]
fn bytes_behind_a_large_body_belong_to_nobody() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(GET);
    let mut first = upstream.accept();
    first.request().unwrap();
    let answer = [head(LARGE), noise(1, LARGE)].concat();
    let written = [answer.clone(), b"HTTP/1.1 200 OK\r\n\r\n".to_vec()].concat();
    let sending = thread::spawn(move || {
        first.send(&written);
        first
    });
    assert!(client.take(answer.len()) == answer);
    let _kept = sending.join().unwrap();
    // The next call has a connection on which nothing waits.
    client.send(GET);
    let mut second = upstream.accept();
    second.request().unwrap();
    second.send(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.take(12).ends_with(b"204"));
}

#[test]
fn a_large_body_that_breaks_off_breaks_off() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.request().unwrap();
    let part = [head(LARGE), noise(1, LARGE / 2)].concat();
    let written = part.clone();
    let sending = thread::spawn(move || server.send(&written));
    assert!(client.take(part.len()) == part);
    sending.join().unwrap();
    let mut rest = Vec::new();
    // All that came reaches the client, and no more; the announced rest is missing.
    match client.stream.read_to_end(&mut rest) {
        Ok(_) | Err(_) => assert!(rest.is_empty()),
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_frees_the_upstream() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.request().unwrap();
    let mut stream = server.stream.try_clone().unwrap();
    // More than sockets and a pipe hold: it ends only because nobody takes it any more.
    let sending = thread::spawn(move || {
        let first = [head(1 << 30), vec![b'x'; 1 << 20]].concat();
        stream.write_all(&first)?;
        let block = vec![b'x'; 1 << 20];
        (0..1023).try_for_each(|_| stream.write_all(&block))
    });
    client.take(1 << 20);
    drop(client);
    assert!(sending.join().unwrap().is_err());
}

#[test]
fn bulk_over_tcp_is_identical_both_ways_and_small_pieces_follow_it() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address).start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    for seed in 0..3_u64 {
        let (up, down) = (noise(seed, LARGE), noise(!seed, LARGE));
        let (mut sends, mut answers) = (
            client.stream.try_clone().unwrap(),
            server.stream.try_clone().unwrap(),
        );
        let (sent, answered) = (up.clone(), down.clone());
        let sending = thread::spawn(move || sends.write_all(&sent));
        let answering = thread::spawn(move || answers.write_all(&answered));
        let taking = thread::spawn(move || {
            let got = server.take(LARGE);
            (server, got)
        });
        assert!(client.take(LARGE) == down);
        let (back, got) = taking.join().unwrap();
        assert!(got == up);
        server = back;
        sending.join().unwrap().unwrap();
        answering.join().unwrap().unwrap();
        // A call and an answer of a few bytes, as before the bulk.
        client.send(b"ping");
        assert_eq!(server.take(4), b"ping");
        server.send(b"pong");
        assert_eq!(client.take(4), b"pong");
    }
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    server.stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}
