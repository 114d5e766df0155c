//! HTTP/2 towards the upstream: what a client of HTTP/1.1 gets of it, and when a call is tried
//! again.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{HeaderMap, Request, Response};

use crate::support::Sidecar;
use crate::support::http2::{Http2, read_body, send_body};

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
        text += &format!("\n{name}: {}", value.to_str().unwrap());
    }
    for (name, value) in &trailers.unwrap_or_default() {
        text += &format!("\ntrailer {name}: {}", value.to_str().unwrap());
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
