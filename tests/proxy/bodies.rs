//! Bodies in every framing come out as they went in.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{End, Serving, Sidecar, Upstream, chunked, noise};

/// How a body is framed, on either side.
#[derive(Clone, Debug)]
enum Framed {
    Chunked(Vec<usize>),
    Length,
    UntilClose,
}

fn framed() -> impl Strategy<Value = Framed> {
    prop_oneof![
        proptest::collection::vec(1_usize..40_000, 1..6).prop_map(Framed::Chunked),
        Just(Framed::Length),
    ]
}

fn render(first: &str, framing: &Framed, body: &[u8]) -> Vec<u8> {
    let (field, body) = match framing {
        Framed::Chunked(sizes) => (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            chunked(body, sizes, "X-Sum: 1\r\n"),
        ),
        Framed::Length => (format!("Content-Length: {}\r\n", body.len()), body.to_vec()),
        Framed::UntilClose => (String::new(), body.to_vec()),
    };
    let mut message = format!("{first}\r\n{field}\r\n").into_bytes();
    message.extend(body);
    message
}

fn upload_and_download(
    sidecar: &crate::support::Running,
    upstream: &Upstream,
    case: &(Framed, Framed, usize, usize, u64),
) {
    let (up, down, up_len, down_len, seed) = case;
    let (up_body, down_body) = (noise(*seed, *up_len), noise(!seed, *down_len));
    let request = render("POST /b HTTP/1.1\r\nHost: h", up, &up_body);
    let answer = render("HTTP/1.1 200 OK", down, &down_body);
    let mut client = sidecar.connect();
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &request));
    let mut server = upstream.accept();
    let seen = server.request().unwrap();
    assert!(seen.body == up_body, "the upload differs");
    sending.join().unwrap().unwrap();
    let written = answer.clone();
    let answering = std::thread::spawn(move || {
        server.send(&written);
        server
    });
    let got = client.take(answer.len());
    // Chunk sizes and extensions, trailers and all: where nothing acts, nothing is framed anew.
    assert!(got == answer, "the download differs");
    // Never used again: each case has a connection of its own.
    drop(answering.join().unwrap());
}

#[test]
fn random_bodies_in_every_framing() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cases = (
        framed(),
        framed(),
        0_usize..300_000,
        0_usize..300_000,
        any::<u64>(),
    );
    runner
        .run(&cases, |case| {
            upload_and_download(&sidecar, &upstream, &case);
            // The pool of the worker must not hand out the connection that was just closed.
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_body_that_ends_with_the_connection() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let body = noise(1, 100_000);
    let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server.send(render("HTTP/1.1 200 OK", &Framed::UntilClose, &body));
    drop(server);
    let answer = client.answer();
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(answer.body == body);
}

#[test]
fn an_old_client_is_spoken_to_as_it_understands() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    client.send("GET /old HTTP/1.0\r\nX: y\r\n\r\n");
    let mut server = upstream.accept();
    let request = server.request().unwrap();
    assert!(request.head.starts_with("GET /old HTTP/1.1\r\n"));
    assert_eq!(request.field("host"), Some(&*upstream.address.to_string()));
    let body = noise(2, 50_000);
    server.send(render(
        "HTTP/1.1 200 OK",
        &Framed::Chunked(vec![7, 30_000]),
        &body,
    ));
    // No chunks for HTTP/1.0: the end of the connection is the end of the body.
    let answer = client.answer();
    assert_eq!(answer.field("transfer-encoding"), None);
    assert!(answer.body == body);
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn an_old_client_may_keep_its_connection() {
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let mut client = sidecar.connect();
    for target in ["/1", "/2"] {
        client.send(format!(
            "GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        ));
        let answer = client.answer();
        assert_eq!(answer.text(), target);
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
    client.send("GET /3 HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().text(), "/3");
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn an_old_upstream_is_understood() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(
        client.head(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    );
    assert_eq!(client.take(2), b"hi");
    // It said nothing of keeping: the connection is not used again, the client's is.
    assert_eq!(server.end(), End::Fin);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut server = upstream.accept();
    server.head();
    server.send("HTTP/1.0 200 OK\r\n\r\nto the end");
    drop(server);
    assert_eq!(client.answer().text(), "to the end");
}

#[test]
fn answers_without_a_body_keep_their_lengths() {
    let upstream = Serving::answering(|request| {
        let (status, fields) = match request.head.split(' ').nth(1).unwrap() {
            "/204" => ("204 No Content", ""),
            "/304" => ("304 Not Modified", "Content-Length: 50\r\nETag: \"x\"\r\n"),
            "/chunked" => ("200 OK", "Transfer-Encoding: chunked\r\n"),
            _ => ("200 OK", "Content-Length: 77\r\n"),
        };
        format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes()
    });
    let sidecar = Sidecar::to(upstream.address).start();
    let mut client = sidecar.connect();
    for (request, head) in [
        ("HEAD /", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"),
        (
            "HEAD /chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("GET /204", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET /304",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\nETag: \"x\"\r\n\r\n",
        ),
        (
            "HEAD /304",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\nETag: \"x\"\r\n\r\n",
        ),
    ] {
        client.send(format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(client.head(), head, "{request}");
    }
    assert_eq!(upstream.connections(), 1);
}
