//! HTTP/2 towards the upstream: what a client of HTTP/1.1 gets of it, and when a call is tried
//! again.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};

use crate::support::http2::{
    DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Http2, OK, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, read_body, send_body,
};
use crate::support::sidecar::ending;
use crate::support::{Sidecar, Upstream};

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
const GET: &str = "GET /a?b=%20c HTTP/1.1\r\nHost: h:1\r\nX-Odd: 1\r\nX-Odd: 2\r\nConnection: x-gone\r\nX-Gone: 1\r\nTE: trailers\r\n\r\n";

fn answer(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap()
}

/// Tells the request in the body of its answer, and its body and trailers.
async fn echo(mut request: Request<RecvStream>, mut respond: SendResponse<Bytes>, _: usize) {
    let body = read_body(request.body_mut()).await;
    let trailers = request.body_mut().trailers().await.unwrap();
    let mut text = format!("{} {}", request.method(), request.uri());
    for (name, value) in request.headers() {
        write!(text, "\n{name}: {}", value.to_str().unwrap()).unwrap();
    }
    for (name, value) in &trailers.unwrap_or_default() {
        write!(text, "\ntrailer {name}: {}", value.to_str().unwrap()).unwrap();
    }
    let head = answer(200, &[("x-length", &body.len().to_string())]);
    let mut send = respond.send_response(head, false).unwrap();
    let mut reply = text.into_bytes();
    reply.push(b'\n');
    reply.extend_from_slice(&body);
    send_body(&mut send, reply.into(), false).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "1".parse().unwrap());
    trailers.insert("content-length", "9".parse().unwrap());
    send.send_trailers(trailers).unwrap();
}

#[test]
fn a_request_becomes_a_stream_and_its_answer_chunks_with_trailers() {
    let upstream = Http2::answering(Builder::new(), echo);
    let sidecar = Sidecar::http2(upstream.address).start();
    let mut client = sidecar.connect();
    for _ in 0..3 {
        client.send(GET);
        let message = client.answer();
        assert_eq!(message.status(), 200);
        assert_eq!(
            message.text(),
            "GET http://h:1/a?b=%20c\nx-odd: 1\nx-odd: 2\nte: trailers\n"
        );
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn bodies_pass_both_ways_whole() {
    let upstream = Http2::answering(Builder::new(), echo);
    let sidecar = Sidecar::http2(upstream.address).start();
    let body = crate::support::noise(1, 3_000_000);
    let mut client = sidecar.connect();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head);
    client.send(&body);
    let message = client.answer();
    assert_eq!(message.field("x-length"), Some("3000000"));
    assert!(message.body.ends_with(&body));
    let chunks = crate::support::chunked(b"hello world", &[3, 1], "X-T: v\r\nHost: no\r\n");
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(&chunks[..9]);
    client.send(&chunks[9..]);
    assert_eq!(
        client.answer().text(),
        "POST http://h/\ntrailer x-t: v\nhello world"
    );
}

/// A sidecar before an upstream of raw frames.
fn before(upstream: &Upstream) -> Sidecar {
    Sidecar::http2(upstream.address)
}

#[test]
fn an_answer_without_body_or_with_a_length_stays_one() {
    let script =
        async |request: Request<RecvStream>, mut respond: SendResponse<Bytes>, _: usize| {
            let (head, end) = match request.uri().path() {
                "/none" => (answer(204, &[]), true),
                "/unchanged" => (answer(304, &[("content-length", "9")]), true),
                "/empty" => (answer(200, &[("grpc-status", "0")]), true),
                "/head" => (answer(200, &[("content-length", "5")]), true),
                _ => (answer(200, &[("content-length", "5")]), false),
            };
            let mut send = respond.send_response(head, end).unwrap();
            if !end {
                send.send_data("hello".into(), true).unwrap();
            }
        };
    let upstream = Http2::answering(Builder::new(), script);
    let sidecar = Sidecar::http2(upstream.address).start();
    let mut client = sidecar.connect();
    let mut ask = |method: &str, path: &str| {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        client.head()
    };
    assert_eq!(ask("GET", "/none"), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(
        ask("GET", "/unchanged"),
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"
    );
    assert_eq!(
        ask("HEAD", "/head"),
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    );
    assert_eq!(
        ask("GET", "/empty"),
        "HTTP/1.1 200 OK\r\ngrpc-status: 0\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(client.take(5), b"0\r\n\r\n");
    client.send("GET /whole HTTP/1.1\r\nHost: h\r\n\r\n");
    let message = client.answer();
    assert_eq!(message.field("content-length"), Some("5"));
    assert_eq!(message.text(), "hello");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn interim_answers_pass_and_an_upgrade_does_not() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut server = Frames::accept(&upstream, &[]);
    let head = server.expect(HEADERS);
    assert_eq!(head.flags & END_STREAM, END_STREAM);
    let text = String::from_utf8_lossy(&head.payload).to_lowercase();
    assert!(!text.contains("upgrade"), "{text}");
    // Literals without indexing: `:status` has number 8 of the static table.
    server.send(
        HEADERS,
        END_HEADERS,
        head.stream,
        b"\x08\x03103\x00\x04link\x01x",
    );
    server.answer(head.stream);
    assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn an_upstream_of_http2_cannot_switch() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut server = Frames::accept(&upstream, &[]);
    let stream = server.expect(HEADERS).stream;
    server.send(HEADERS, END_HEADERS, stream, b"\x08\x03101");
    assert_eq!(client.answer().status(), 502);
    assert_eq!(server.expect(RST_STREAM).stream, stream);
    assert_eq!(ending(&sidecar.record()), "upstream_error/upstream/502");
}

#[test]
fn an_upstream_that_takes_no_streams_is_waited_for_as_long_as_for_a_connection() {
    const NONE: (u16, u32) = (3, 0);
    let upstream = Upstream::scripted();
    let impatient = before(&upstream).upstream("connect_timeout = \"300ms\"");
    let sidecar = impatient.start();
    let mut client = sidecar.connect();
    client.send(POST);
    let _server = Frames::accept(&upstream, &[NONE]);
    assert_eq!(client.answer().status(), 504);
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut server = Frames::accept(&upstream, &[NONE]);
    server.send(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]);
    let stream = server.expect(HEADERS).stream;
    server.answer(stream);
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn what_http2_cannot_say_is_the_clients() {
    let upstream = Http2::answering(Builder::new(), echo);
    let sidecar = Sidecar::http2(upstream.address).start();
    let mut trailers = String::from(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
    );
    for number in 0..70 {
        write!(trailers, "X-{number}: 1\r\n").unwrap();
    }
    trailers.push_str("\r\n");
    for request in [
        "GET / HTTP/1.1\r\nHost: a:b:c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /a<b HTTP/1.1\r\nHost: h\r\n\r\n",
        &trailers,
    ] {
        let mut client = sidecar.connect();
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.status(), 400, "{request}");
        assert_eq!(answer.field("x-hormesis-origin"), Some("downstream"));
    }
    for record in sidecar.records() {
        assert_eq!(ending(&record), "rejected/downstream/400");
        let reason = record["reason"].as_str().unwrap();
        assert!(reason.contains("cannot be said in HTTP/2"), "{reason}");
    }
}

#[test]
fn a_reset_before_the_head_is_a_502_and_in_the_middle_no_end() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut server = Frames::accept(&upstream, &[]);
    let stream = server.expect(HEADERS).stream;
    server.reset(stream, Reason::INTERNAL_ERROR);
    let refusal = client.answer();
    assert_eq!(refusal.status(), 502);
    assert_eq!(refusal.field("x-hormesis-origin"), Some("upstream"));

    let mut client = sidecar.connect();
    client.send(POST);
    let stream = server.expect(HEADERS).stream;
    server.send(HEADERS, END_HEADERS, stream, OK);
    server.send(DATA, 0, stream, b"abc");
    server.reset(stream, Reason::CANCEL);
    assert_eq!(
        client.head(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let (rest, _) = client.rest();
    assert_eq!(rest, b"3\r\nabc\r\n");
    // What is not known to be unprocessed is not asked twice.
    upstream.is_untouched();
    for record in sidecar.records() {
        assert!(
            ending(&record).starts_with("upstream_error/upstream/"),
            "{record:#}"
        );
    }
}

#[test]
fn a_refused_stream_is_tried_once_more_on_a_new_connection() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut first = Frames::accept(&upstream, &[]);
    let stream = first.expect(HEADERS).stream;
    assert_eq!(first.expect(DATA).payload, b"body");
    first.reset(stream, Reason::REFUSED_STREAM);
    let mut second = Frames::accept(&upstream, &[]);
    let stream = second.expect(HEADERS).stream;
    assert_eq!(second.expect(DATA).payload, b"body");
    second.reset(stream, Reason::REFUSED_STREAM);
    assert_eq!(client.answer().status(), 502);
    upstream.is_untouched();
}

#[test]
fn streams_above_the_last_of_a_goaway_are_tried_again_and_those_below_go_on() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let (mut kept, mut moved) = (sidecar.connect(), sidecar.connect());
    kept.send(POST);
    let mut first = Frames::accept(&upstream, &[]);
    let below = first.expect(HEADERS).stream;
    moved.send(POST);
    let above = first.expect(HEADERS).stream;
    assert!(above > below);
    first.go_away(below, Reason::NO_ERROR);
    let mut second = Frames::accept(&upstream, &[]);
    let stream = second.expect(HEADERS).stream;
    second.answer(stream);
    assert_eq!(moved.answer().status(), 200);
    first.answer(below);
    assert_eq!(kept.answer().status(), 200);
    // No new stream goes where the upstream is going away.
    kept.send(POST);
    let stream = second.expect(HEADERS).stream;
    second.answer(stream);
    assert_eq!(kept.answer().status(), 200);
}

#[test]
fn a_body_that_was_begun_is_not_tried_again() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
    // Nothing of the body was sent: it can still be.
    let mut client = sidecar.connect();
    client.send(head);
    let mut first = Frames::accept(&upstream, &[]);
    let stream = first.expect(HEADERS).stream;
    first.reset(stream, Reason::REFUSED_STREAM);
    let mut second = Frames::accept(&upstream, &[]);
    let stream = second.expect(HEADERS).stream;
    client.send("123456789");
    assert_eq!(second.expect(DATA).payload, b"123456789");
    second.answer(stream);
    assert_eq!(client.answer().status(), 200);
    // A part of it was.
    client.send(head);
    client.send("12345");
    let (mut server, stream) = {
        // The oldest connection with room takes it.
        let stream = first.expect(HEADERS).stream;
        (first, stream)
    };
    assert_eq!(server.expect(DATA).payload, b"12345");
    server.reset(stream, Reason::REFUSED_STREAM);
    assert_eq!(client.answer().status(), 502);
    upstream.is_untouched();
}

#[test]
fn an_answer_that_had_begun_is_not_tried_again() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut server = Frames::accept(&upstream, &[]);
    let stream = server.expect(HEADERS).stream;
    server.send(HEADERS, END_HEADERS, stream, b"\x08\x03103");
    server.reset(stream, Reason::REFUSED_STREAM);
    assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_eq!(client.answer().status(), 502);
    upstream.is_untouched();
}

#[test]
fn an_injected_failure_reaches_no_upstream_and_is_not_tried_again() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream)
        .protocol("grpc")
        .fault("abort = { error = \"unavailable\" }")
        .start();
    let mut client = sidecar.connect();
    client.send(POST);
    let answer = client.answer();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("grpc-status"), Some("14"));
    assert_eq!(answer.field("x-hormesis-origin"), Some("injected"));
    upstream.is_untouched();
    assert_eq!(ending(&sidecar.record()), "injected_fault/injected/200");
}

#[test]
fn a_grpc_client_is_told_of_real_failures_in_its_own_form() {
    let sidecar = Sidecar::http2(Upstream::refusing())
        .protocol("grpc")
        .start();
    let mut client = sidecar.connect();
    client.send(POST);
    let answer = client.answer();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("content-type"), Some("application/grpc"));
    assert_eq!(answer.field("grpc-status"), Some("14"));
    assert!(answer.field("grpc-message").unwrap().contains("refused"));
    assert_eq!(answer.field("x-hormesis-origin"), Some("upstream"));
    assert_eq!(ending(&sidecar.record()), "upstream_error/upstream/200");
}

#[test]
fn an_upstream_that_speaks_no_http2_is_a_502_that_says_so() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut server = upstream.accept();
    server.take(24);
    server.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status(), 502);
    assert!(
        answer.text().contains("does not speak HTTP/2"),
        "{}",
        answer.text()
    );
}

#[test]
fn no_more_streams_than_the_upstream_takes_and_one_dial_for_all_that_wait() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut clients: Vec<_> = (0..5).map(|_| sidecar.connect()).collect();
    for client in &mut clients {
        client.send(POST);
    }
    // MAX_CONCURRENT_STREAMS has number 3.
    let mut servers: Vec<_> = (0..3)
        .map(|_| Frames::accept(&upstream, &[(3, 2)]))
        .collect();
    let mut streams = Vec::new();
    for (index, count) in [2, 2, 1].into_iter().enumerate() {
        for _ in 0..count {
            streams.push((index, servers[index].expect(HEADERS).stream));
        }
    }
    upstream.is_untouched();
    for (index, stream) in streams {
        servers[index].answer(stream);
    }
    for client in &mut clients {
        assert_eq!(client.answer().status(), 200);
    }
    // Room again: nobody dials.
    clients[0].send(POST);
    let stream = servers[0].expect(HEADERS).stream;
    servers[0].answer(stream);
    assert_eq!(clients[0].answer().status(), 200);
    upstream.is_untouched();
}

#[test]
fn a_window_that_stays_shut_stops_the_reading_of_the_client() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    let length = 64 << 20;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
    ));
    // INITIAL_WINDOW_SIZE has number 4.
    let mut server = Frames::accept(&upstream, &[(4, 0)]);
    let stream = server.expect(HEADERS).stream;
    // As much as the sockets between take, and one buffer more.
    let piece = vec![b'x'; 1 << 20];
    client.stream.set_nonblocking(true).unwrap();
    let (mut sent, mut quiet) = (0, 0);
    while quiet < 200 {
        match std::io::Write::write(&mut client.stream, &piece) {
            Ok(count) => (sent, quiet) = (sent + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                quiet += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
    assert!(sent < length / 2, "{sent} bytes were taken");
    client.stream.set_nonblocking(false).unwrap();
    // The window opens: the rest follows, within it.
    let window = 1_u32 << 30;
    server.send(WINDOW_UPDATE, 0, 0, &window.to_be_bytes());
    server.send(WINDOW_UPDATE, 0, stream, &window.to_be_bytes());
    let mut writer = client.stream.try_clone().unwrap();
    let rest = vec![b'x'; length - sent];
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &rest).unwrap());
    let mut received = 0;
    while received < length {
        received += server.expect(DATA).payload.len();
    }
    sender.join().unwrap();
    server.answer(stream);
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn a_client_that_takes_nothing_shuts_the_window_of_the_upstream() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let script = move |_: Request<RecvStream>, mut respond: SendResponse<Bytes>, _: usize| {
        let count = Arc::clone(&count);
        async move {
            let mut send = respond.send_response(answer(200, &[]), false).unwrap();
            for _ in 0..1024 {
                send_body(&mut send, vec![b'x'; 1 << 16].into(), false).await;
                count.fetch_add(1 << 16, Ordering::SeqCst);
            }
            send.send_data(Bytes::new(), true).unwrap();
        }
    };
    let upstream = Http2::answering(Builder::new(), script);
    let sidecar = Sidecar::http2(upstream.address).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let (mut seen, mut quiet) = (0, 0);
    while quiet < 200 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        let now = sent.load(Ordering::SeqCst);
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
    }
    assert!(seen < 32 << 20, "{seen} bytes were sent");
    // Another call on the same connection is not held up by it.
    let mut other = sidecar.connect();
    other.send(POST);
    assert_eq!(other.answer().body.len(), 64 << 20);
    assert_eq!(client.answer().body.len(), 64 << 20);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_client_that_leaves_cancels_the_stream_and_frees_its_place() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut server = Frames::accept(&upstream, &[(3, 1)]);
    let stream = server.expect(HEADERS).stream;
    let left = tokio::time::Instant::now();
    drop(client);
    let reset = server.expect(RST_STREAM);
    println!("the cancel came after {:?}", left.elapsed());
    assert_eq!(reset.stream, stream);
    assert_eq!(reset.payload, u32::from(Reason::CANCEL).to_be_bytes());
    // The only place is free again.
    let mut client = sidecar.connect();
    client.send(POST);
    let stream = server.expect(HEADERS).stream;
    server.answer(stream);
    assert_eq!(client.answer().status(), 200);
    upstream.is_untouched();
}

#[test]
fn an_answer_that_is_not_as_long_as_it_says_is_an_error() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    for body in [&b"abcd"[..], b"ab"] {
        let mut client = sidecar.connect();
        client.send(POST);
        let mut server = Frames::accept(&upstream, &[]);
        let stream = server.expect(HEADERS).stream;
        // Content-Length has number 28 of the static table.
        let head = [OK, b"\x0f\x0d\x013"].concat();
        server.send(HEADERS, END_HEADERS, stream, &head);
        server.send(DATA, END_STREAM, stream, body);
        let (all, _) = client.rest();
        assert!(!all.ends_with(b"abc"), "{}", String::from_utf8_lossy(&all));
        // Its connection is not needed for the next.
        server.go_away(stream, Reason::NO_ERROR);
        drop(server);
    }
    for record in sidecar.records() {
        assert!(
            ending(&record).starts_with("upstream_error/upstream/"),
            "{record:#}"
        );
    }
}

#[test]
fn a_connection_without_streams_is_closed_when_it_was_idle_for_its_time() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut server = Frames::accept(&upstream, &[]);
    let stream = server.expect(HEADERS).stream;
    server.answer(stream);
    assert_eq!(client.answer().status(), 200);
    let goodbye = server.expect(GOAWAY);
    assert_eq!(goodbye.payload[4..8], [0; 4]);
    client.send(POST);
    let mut server = Frames::accept(&upstream, &[]);
    let stream = server.expect(HEADERS).stream;
    server.answer(stream);
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn bytes_without_requests_pass_as_they_are() {
    let upstream = Upstream::scripted();
    let sidecar = before(&upstream).protocol("tcp").start();
    let mut client = sidecar.connect();
    client.send("PRI * anything");
    let mut server = upstream.accept();
    assert_eq!(server.take(14), b"PRI * anything");
}
