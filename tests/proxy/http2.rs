//! HTTP/2 from clients, before an upstream of HTTP/1.1.

use std::time::Duration;

use h2::Reason;
use hormesis::proxy::Drained;

use crate::support::http2_client::{
    DATA, END_HEADERS, END_STREAM, Exchange, GET, GOAWAY, H2Client, HEADERS, RST_STREAM, RawClient,
    SETTINGS, WINDOW_UPDATE, block, request, rest_of, wait,
};
use crate::support::{End, PATIENCE, Serving, Sidecar, Upstream, Wire, noise};

#[test]
fn calls_and_answers_are_those_of_http1() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let mut get = request("GET", "/a?b=c");
    get.headers_mut().append("cookie", "a=1".parse().unwrap());
    get.headers_mut().append("cookie", "b=2".parse().unwrap());
    let call = client.open(get, true);
    let mut server = upstream.accept();
    assert_eq!(
        server.head(),
        "GET /a?b=c HTTP/1.1\r\nhost: h\r\ncookie: a=1; b=2\r\n\r\n"
    );
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Y\r\nX-Y: z\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\nhi");
    let answer = call.answer();
    assert_eq!((answer.status, answer.text()), (200, "hi"));
    assert_eq!(answer.field("content-length"), Some("2"));
    assert_eq!(answer.field("x-y"), None);
    let twice: Vec<_> = answer.headers.get_all("x-twice").iter().collect();
    assert_eq!(twice, ["1", "2"]);
    let mut call = client.open(request("POST", "/"), false);
    call.send(b"abc", true);
    let message = server.request().unwrap();
    assert_eq!(
        message.head,
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(message.text(), "abc");
    server.send(
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: v\r\n\r\n",
    );
    let answer = call.answer();
    assert_eq!((answer.status, answer.text()), (201, "ok"));
    assert_eq!(answer.trailers.unwrap()["x-t"], "v");
    assert_eq!(answer.headers.get("transfer-encoding"), None);
}

/// Sends a GET, and gives the stream and the upstream's end of it.
#[track_caller]
fn get(client: &H2Client, upstream: &Upstream) -> (Exchange, Wire) {
    let call = client.open(request("GET", "/"), true);
    let mut server = upstream.accept();
    server.request().unwrap();
    (call, server)
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let mut server: Option<Wire> = None;
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let mut call = client.open(request(method, "/"), true);
        let wire = server.get_or_insert_with(|| upstream.accept());
        wire.request().unwrap();
        wire.send(answer);
        let head = call.head().unwrap();
        assert!(head.body().is_end_stream(), "{answer}");
        assert_eq!(rest_of(head).reset, None);
    }
}

#[test]
fn trailers_pass_and_those_that_frame_do_not() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let mut call = client.open(request("POST", "/"), false);
    call.send(b"abc", false);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    trailers.insert("host", "other".parse().unwrap());
    call.body.send_trailers(trailers).unwrap();
    let mut server = upstream.accept();
    let message = server.request().unwrap();
    assert!(message.wire_body.ends_with(b"0\r\nx-sum: 1\r\n\r\n"));
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 2\r\nContent-Length: 9\r\n\r\n");
    let trailers = call.answer().trailers.unwrap();
    assert_eq!(
        (trailers.len(), &trailers["x-sum"]),
        (1, &"2".parse().unwrap())
    );
}

#[test]
fn interim_answers_pass() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let mut post = request("POST", "/");
    post.headers_mut()
        .insert("expect", "100-continue".parse().unwrap());
    post.headers_mut()
        .insert("content-length", "2".parse().unwrap());
    let mut call = client.open(post, false);
    let mut server = upstream.accept();
    assert!(server.head().contains("expect: 100-continue\r\n"));
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(call.interim().status(), 100);
    call.send(b"ok", true);
    assert_eq!(server.take(2), b"ok");
    server.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let hints = call.interim();
    assert_eq!(
        (hints.status().as_u16(), &hints.headers()["link"]),
        (103, &"</a>".parse().unwrap())
    );
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(call.answer().status, 200);
}

#[test]
fn an_early_answer_ends_a_body_that_is_unread() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let mut call = client.open(request("POST", "/"), false);
    let mut server = upstream.accept();
    server.head();
    server.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let answer = rest_of(call.head().unwrap());
    assert_eq!(
        (answer.status, answer.text(), answer.reset),
        (413, "no", None)
    );
    // RFC 9113 §8.1: the rest is not wanted, and nothing is wrong.
    let reset = std::future::poll_fn(|context| call.body.poll_reset(context));
    assert_eq!(wait(reset).unwrap(), Reason::NO_ERROR);
    drop(server);
    let (next, mut server) = get(&client, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(next.answer().status, 200);
}

/// The status of an answer to these fields; `None` where they are malformed for the protocol.
fn status_of(client: &mut RawClient, stream: u32, fields: &[(&str, &str)]) -> Option<String> {
    client.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields));
    loop {
        let frame = client.next();
        match frame.kind {
            // What is looked for stands in the static table: 400 is its twelfth field.
            HEADERS if frame.payload[0] == 0x8c => return Some("400".to_owned()),
            HEADERS => return Some(format!("{:x?}", &frame.payload[..4])),
            // What cannot be decoded ends the connection.
            RST_STREAM | GOAWAY => {
                assert_eq!(frame.code(), Reason::PROTOCOL_ERROR);
                return None;
            }
            kind => assert!([SETTINGS, WINDOW_UPDATE, DATA].contains(&kind), "{frame:?}"),
        }
    }
}

#[test]
fn malformed_requests_reach_nobody() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let with = |more: &[(&'static str, &'static str)]| [&GET[..], more].concat();
    let but = |index: usize, value: &'static str| {
        let mut fields = GET.to_vec();
        fields[index].1 = value;
        fields
    };
    let bad = Some("400".to_owned());
    for (fields, expected) in [
        (with(&[("host", "other")]), &bad),
        (GET[..3].to_vec(), &bad),
        (but(3, "a@b"), &bad),
        (with(&[("x-a", " blank")]), &bad),
        (with(&[("x-a", "a\r\nb: c")]), &None),
        (with(&[("x-a", "a\0b")]), &None),
        (with(&[("connection", "x")]), &None),
        (with(&[("transfer-encoding", "chunked")]), &None),
        (with(&[("te", "gzip")]), &None),
        (with(&[("X-Upper", "a")]), &None),
        (with(&[("content-length", "3")]), &None),
        (with(&[(":path", "/late")]), &None),
    ] {
        let mut client = RawClient::connect(sidecar.address);
        assert_eq!(&status_of(&mut client, 1, &fields), expected, "{fields:?}");
        drop(client);
    }
    upstream.is_untouched();
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_is_reset_and_no_whole_one_upstream() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    for body in [&b"ab"[..], b"abcdef"] {
        let mut client = RawClient::connect(sidecar.address);
        let fields = [&GET[..], &[("content-length", "4")]].concat();
        client.send(HEADERS, END_HEADERS, 1, &block(&fields));
        let mut server = upstream.accept();
        server.head();
        client.send(DATA, END_STREAM, 1, body);
        let reset = client.until(RST_STREAM);
        assert_eq!((reset.stream, reset.code()), (1, Reason::PROTOCOL_ERROR));
        let (got, _) = server.rest();
        assert!(got.len() < 4, "{got:?}");
    }
}

#[test]
fn connect_is_refused() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let connect = http::Request::builder().method("CONNECT").uri("h:80");
    let answer = client.open(connect.body(()).unwrap(), true).answer();
    assert_eq!(answer.status, 405);
    upstream.is_untouched();
}

#[test]
fn a_cancel_reaches_the_upstream() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let (mut waiting, mut server) = get(&client, &upstream);
    waiting.body.send_reset(Reason::CANCEL);
    assert_eq!(server.end(), End::Fin);
    let (mut begun, mut server) = get(&client, &upstream);
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    let head = begun.head().unwrap();
    begun.body.send_reset(Reason::CANCEL);
    assert_eq!(server.end(), End::Fin);
    drop((head, waiting, begun, client));
    for record in sidecar.records() {
        assert_eq!(record["outcome"], "client_abort", "{record}");
    }
}

#[test]
fn an_upstream_that_dies_is_told_before_the_head_and_reset_behind_it() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let (call, server) = get(&client, &upstream);
    drop(server);
    let answer = call.answer();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.field("x-hormesis-origin"), Some("upstream"));
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let (call, mut server) = get(&client, &upstream);
        server.send(answer);
        drop(server);
        let answer = call.answer();
        assert_eq!((answer.status, answer.text()), (200, "abc"));
        assert_eq!(answer.reset, Some(Reason::INTERNAL_ERROR));
    }
    // One that announces no length ends so.
    let (call, mut server) = get(&client, &upstream);
    server.send("HTTP/1.1 200 OK\r\n\r\nabc");
    drop(server);
    let answer = call.answer();
    assert_eq!((answer.text(), answer.reset), ("abc", None));
}

#[test]
fn faults_are_those_of_http1() {
    for (fault, status, body, reset) in [
        ("abort = { status = 503 }", 503, None, None),
        (
            "truncate = { at = { byte = 2 }, length = \"keep\" }",
            200,
            Some("ab"),
            Some(Reason::INTERNAL_ERROR),
        ),
        ("delay = { fixed = \"20ms\" }", 200, Some("abcd"), None),
    ] {
        let upstream = Upstream::scripted();
        let sidecar = Sidecar::before(&upstream).fault(fault).start();
        let client = H2Client::connect(sidecar.address);
        let call = client.open(request("GET", "/"), true);
        if body.is_some() {
            let mut server = upstream.accept();
            server.request().unwrap();
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
        }
        let answer = call.answer();
        assert_eq!((answer.status, answer.reset), (status, reset), "{fault}");
        assert!(body.is_none_or(|body| body == answer.text()), "{fault}");
    }
}

#[test]
fn a_disconnect_resets_one_stream_and_no_other() {
    for how in ["rst", "fin"] {
        let upstream = Upstream::scripted();
        let fault = format!("disconnect = {{ at = \"request-head\", how = \"{how}\" }}");
        let rule = "select = { path = \"/bad\" }";
        let sidecar = Sidecar::before(&upstream).rule(rule, &[&fault]).start();
        let client = H2Client::connect(sidecar.address);
        let (good, mut server) = get(&client, &upstream);
        let bad = client.open(request("GET", "/bad"), true);
        assert_eq!(bad.reset(), Reason::INTERNAL_ERROR, "{how}");
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(good.answer().status, 200);
    }
}

#[test]
fn a_client_without_a_window_holds_its_upstream() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let client = H2Client::with(sidecar.address, &builder);
    let (mut call, mut server) = get(&client, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    let mut head = call.head().unwrap();
    // The sockets between take some of it; then nobody reads.
    server.stream.set_nonblocking(true).unwrap();
    let (block, mut sent) = (vec![7; 1 << 16], 0);
    let start = tokio::time::Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        sent += std::io::Write::write(&mut server.stream, &block).unwrap_or(0);
    }
    assert!(sent < 16 << 20, "{sent} bytes were read");
    let window = head.body_mut().flow_control().available_capacity();
    assert_eq!(window, 0);
}

#[test]
fn a_window_just_filled_needs_no_other_for_the_end() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = RawClient::connect(sidecar.address);
    let fields = block(&GET);
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &fields);
    let mut server = upstream.accept();
    server.request().unwrap();
    server.send(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFF\r\n{}\r\n",
        "x".repeat(65_535)
    ));
    let mut seen = 0;
    while seen < 65_535 {
        seen += client.until(DATA).payload.len();
    }
    server.send("0\r\n\r\n");
    let last = client.until(DATA);
    assert_eq!(
        (last.flags & END_STREAM, last.payload.len()),
        (END_STREAM, 0)
    );
}

#[test]
fn large_bodies_are_the_same_both_ways() {
    let upstream = Serving::answering(|request| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            request.body.len()
        );
        [head.as_bytes(), &request.body].concat()
    });
    let sidecar = Sidecar::to(upstream.address).start();
    let client = H2Client::connect(sidecar.address);
    for (seed, size) in [(1, 1 << 20), (2, 65_536), (3, 16_385), (4, 1)] {
        let body = noise(seed, size);
        for length in [true, false] {
            let mut post = request("POST", "/");
            if length {
                post.headers_mut().insert("content-length", size.into());
            }
            let mut call = client.open(post, false);
            for piece in body.chunks(10_007) {
                call.send(piece, false);
            }
            call.send(b"", true);
            let answer = call.answer();
            assert_eq!(answer.reset, None);
            assert!(answer.body == body, "{size} bytes differ");
        }
    }
}

#[test]
fn a_drain_says_goaway_and_streams_finish() {
    let upstream = Upstream::scripted();
    let mut sidecar = Sidecar::before(&upstream).start();
    let idle = H2Client::connect(sidecar.address);
    let client = H2Client::connect(sidecar.address);
    let (mut call, mut server) = get(&client, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwh");
    let head = call.head().unwrap();
    let draining = sidecar.drain(PATIENCE);
    assert_eq!(idle.end(), Ok(()));
    server.send("ol");
    assert_eq!(rest_of(head).text(), "whol");
    drop(call);
    assert_eq!(client.end(), Ok(()));
    assert_eq!(draining.join().unwrap(), Drained::Whole);
}
