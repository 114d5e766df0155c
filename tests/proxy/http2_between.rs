//! HTTP/2 on both sides: what it has and HTTP/1.1 has not passes too, reset codes and trailers behind
//! a body of announced length. And how calls of gRPC end.

use h2::Reason;
use serde_json::Value;

use crate::support::http2::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, OK, RST_STREAM};
use crate::support::http2_client::{Answer, Exchange, H2Client, block, frame, request, rest_of};
use crate::support::sidecar::ending;
use crate::support::{End, Running, Sidecar, Upstream};

/// A call of a client, and its stream on the upstream's side.
struct Between {
    sidecar: Running,
    client: H2Client,
    server: Frames,
}

impl Between {
    #[track_caller]
    fn start(upstream: &Upstream, sidecar: Sidecar) -> (Self, Exchange, u32) {
        let sidecar = sidecar.start();
        let client = H2Client::connect(sidecar.address);
        let call = client.open(request("GET", "/"), true);
        let mut server = Frames::accept(upstream, &[]);
        let stream = server.expect(HEADERS).stream;
        let it = Self {
            sidecar,
            client,
            server,
        };
        (it, call, stream)
    }

    /// The next call and its stream.
    #[track_caller]
    fn call(&mut self) -> (Exchange, u32) {
        let call = self.client.open(request("GET", "/"), true);
        let stream = self.server.expect(HEADERS).stream;
        (call, stream)
    }

    #[track_caller]
    fn head(&mut self, stream: u32, fields: &[(&str, &str)], last: bool) {
        let end = if last { END_STREAM } else { 0 };
        let block = [OK, &block(fields)].concat();
        self.server.send(HEADERS, END_HEADERS | end, stream, &block);
    }

    #[track_caller]
    fn trailers(&mut self, stream: u32, fields: &[(&str, &str)]) {
        let flags = END_HEADERS | END_STREAM;
        self.server.send(HEADERS, flags, stream, &block(fields));
    }

    #[track_caller]
    fn records(self) -> Vec<Value> {
        drop(self.client);
        self.sidecar.records()
    }
}

const CODES: [Reason; 4] = [
    Reason::ENHANCE_YOUR_CALM,
    Reason::CANCEL,
    Reason::INADEQUATE_SECURITY,
    Reason::INTERNAL_ERROR,
];

#[test]
fn an_upstreams_reset_before_the_head_has_the_same_code_for_the_client() {
    let upstream = Upstream::scripted();
    let (mut it, mut call, mut stream) =
        Between::start(&upstream, Sidecar::http2(upstream.address));
    for code in CODES {
        it.server.reset(stream, code);
        assert_eq!(call.reset(), code);
        (call, stream) = it.call();
    }
    it.server.answer(stream);
    assert_eq!(call.answer().status, 200);
    let records = it.records();
    for record in &records[..CODES.len()] {
        assert_eq!(ending(record), "upstream_error/upstream/null", "{record:#}");
    }
}

#[test]
fn an_upstreams_reset_behind_the_head_has_the_same_code_and_what_came_before_arrives() {
    let paced = "throttle = { bytes_per_second = \"10MiB\" }";
    for fault in [None, Some(paced)] {
        let upstream = Upstream::scripted();
        let mut sidecar = Sidecar::http2(upstream.address);
        if let Some(fault) = fault {
            sidecar = sidecar.fault(fault);
        }
        let (mut it, mut call, mut stream) = Between::start(&upstream, sidecar);
        for code in CODES {
            for fields in [&[][..], &[("content-length", "9")]] {
                it.head(stream, fields, false);
                it.server.send(DATA, 0, stream, b"abc");
                let head = call.head().unwrap();
                it.server.reset(stream, code);
                let answer = rest_of(head);
                assert_eq!(
                    (answer.text(), answer.reset),
                    ("abc", Some(code)),
                    "{fault:?}"
                );
                (call, stream) = it.call();
            }
        }
        it.server.answer(stream);
        assert_eq!(call.answer().status, 200);
    }
}

#[test]
fn a_request_that_is_still_sent_is_reset_with_the_upstreams_code_too() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::http2(upstream.address).start();
    let client = H2Client::connect(sidecar.address);
    let mut call = client.open(request("POST", "/"), false);
    let mut server = Frames::accept(&upstream, &[]);
    let stream = server.expect(HEADERS).stream;
    call.send(b"abc", false);
    server.expect(DATA);
    server.reset(stream, Reason::ENHANCE_YOUR_CALM);
    assert_eq!(call.reset(), Reason::ENHANCE_YOUR_CALM);
}

#[test]
fn an_answer_that_ends_with_its_connection_and_breaks_off_is_no_whole_one() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let client = H2Client::connect(sidecar.address);
    let mut call = client.open(request("POST", "/"), false);
    call.send(b"abc", false);
    let mut server = upstream.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\n\r\nabc");
    let head = call.head().unwrap();
    server.reset();
    assert_eq!(rest_of(head).reset, Some(Reason::INTERNAL_ERROR));
}

#[test]
fn trailers_behind_a_body_of_announced_length_pass() {
    let paced = "throttle = { bytes_per_second = \"10MiB\" }";
    for fault in [None, Some(paced)] {
        let upstream = Upstream::scripted();
        let mut sidecar = Sidecar::http2(upstream.address);
        if let Some(fault) = fault {
            sidecar = sidecar.fault(fault);
        }
        let (mut it, mut call, mut stream) = Between::start(&upstream, sidecar);
        for length in ["3", "0"] {
            it.head(stream, &[("content-length", length)], false);
            let head = call.head().unwrap();
            if length == "3" {
                it.server.send(DATA, 0, stream, b"abc");
            }
            it.trailers(stream, &[("x-sum", "1"), ("host", "x")]);
            let answer = rest_of(head);
            assert_eq!(answer.field("content-length"), Some(length), "{fault:?}");
            let trailers = answer.trailers.expect("no trailers");
            assert_eq!(trailers.len(), 1, "{fault:?}");
            assert_eq!(trailers["x-sum"], "1");
            (call, stream) = it.call();
        }
        // All at once, and with an end that stands by itself.
        it.head(stream, &[("content-length", "3")], false);
        it.server.send(DATA, 0, stream, b"abc");
        it.server.send(DATA, END_STREAM, stream, b"");
        let answer = call.answer();
        assert_eq!((answer.text(), answer.reset), ("abc", None));
        assert_eq!(answer.trailers, None);
        // A reset in the place of the end.
        let (mut call, stream) = it.call();
        it.head(stream, &[("content-length", "3")], false);
        it.server.send(DATA, 0, stream, b"abc");
        let head = call.head().unwrap();
        it.server.reset(stream, Reason::CANCEL);
        assert_eq!(rest_of(head).reset, Some(Reason::CANCEL));
    }
}

#[test]
fn announced_trailers_reach_a_client_of_http1_in_chunks_and_others_have_no_place() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::http2(upstream.address).start();
    let mut client = sidecar.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut server = Frames::accept(&upstream, &[]);
    for (announced, expected) in [(true, "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), (false, "abc")] {
        let stream = server.expect(HEADERS).stream;
        let mut fields = vec![("content-length", "3")];
        if announced {
            fields.push(("trailer", "x-sum"));
        }
        let head = [OK, &block(&fields)].concat();
        let trailers = block(&[("x-sum", "1")]);
        // Together: a stream that has not ended when its announced length is here is cancelled.
        server.send_together(&[
            frame(HEADERS, END_HEADERS, stream, &head),
            frame(DATA, 0, stream, b"abc"),
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailers),
        ]);
        let answer = client.answer();
        assert_eq!(answer.field("content-length").is_none(), announced);
        assert_eq!(answer.wire_body, expected.as_bytes());
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    // Its stream is not cancelled: it had ended.
    let next = server.next();
    assert_ne!(next.kind, RST_STREAM, "{next:?}");
}

#[test]
fn a_client_that_leaves_before_the_trailers_cancels_the_stream() {
    let upstream = Upstream::scripted();
    let (mut it, mut call, stream) = Between::start(&upstream, Sidecar::http2(upstream.address));
    it.head(stream, &[("content-length", "3")], false);
    it.server.send(DATA, 0, stream, b"abc");
    let head = call.head().unwrap();
    call.body.send_reset(Reason::CANCEL);
    assert_eq!(it.server.expect(RST_STREAM).payload, [0, 0, 0, 8]);
    drop(head);
    assert_eq!(it.records()[0]["outcome"], "client_abort");
}

/// A call of gRPC that ends as `tell` says, through a sidecar that acts on the body or does not.
#[track_caller]
fn told(fault: Option<&str>, tell: impl Fn(&mut Between, u32)) -> (Answer, Value) {
    let upstream = Upstream::scripted();
    let mut sidecar = Sidecar::http2(upstream.address).protocol("grpc");
    if let Some(fault) = fault {
        sidecar = sidecar.fault(fault);
    }
    let (mut it, call, stream) = Between::start(&upstream, sidecar);
    tell(&mut it, stream);
    let answer = call.answer();
    (answer, it.records().remove(0))
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[test]
fn a_status_of_grpc_says_how_a_call_ended() {
    let late = "delay = { fixed = \"1ms\", at = \"end\" }";
    for (status, outcome) in [
        ("0", "ok"),
        ("2", "upstream_error"),
        ("3", "rejected"),
        ("4", "upstream_error"),
        ("5", "rejected"),
        ("8", "upstream_error"),
        ("13", "upstream_error"),
        ("14", "upstream_error"),
        ("16", "rejected"),
        ("99", "upstream_error"),
    ] {
        let expected = format!("{outcome}/upstream/200");
        let (answer, record) = told(None, |it, stream| {
            it.head(stream, &[GRPC, ("grpc-status", status)], true);
        });
        assert_eq!(answer.field("grpc-status"), Some(status));
        assert_eq!(ending(&record), expected, "only a head: {status}");
        for (fault, pieces) in [(None, 1), (Some(late), 1), (None, 3), (Some(late), 3)] {
            let (answer, record) = told(fault, |it, stream| {
                it.head(stream, &[GRPC], false);
                for _ in 0..pieces {
                    it.server.send(DATA, 0, stream, b"\0\0\0\0\x01x");
                }
                it.trailers(stream, &[("x-a", "1"), ("grpc-status", status)]);
            });
            assert_eq!(answer.trailers.unwrap()["grpc-status"], status);
            assert_eq!(ending(&record), expected, "{fault:?} {pieces}: {status}");
        }
    }
}

#[test]
fn a_status_of_grpc_behind_an_announced_length_counts_too() {
    let (answer, record) = told(None, |it, stream| {
        it.head(stream, &[GRPC, ("content-length", "6")], false);
        it.server.send(DATA, 0, stream, b"\0\0\0\0\x01x");
        it.trailers(stream, &[("grpc-status", "14"), ("grpc-message", "busy")]);
    });
    assert_eq!(answer.trailers.unwrap()["grpc-message"], "busy");
    assert_eq!(ending(&record), "upstream_error/upstream/200");
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("grpc-status: 14"), "{reason}");
}

#[test]
fn the_way_that_heads_tell_names_the_version_that_was_received() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .listener("forwarded = [\"via\"]")
        .start();
    let client = H2Client::connect(sidecar.address);
    let call = client.open(request("GET", "/"), true);
    let mut server = upstream.accept();
    let head = server.head();
    assert!(head.contains("\r\nVia: 2.0 hormesis\r\n"), "{head}");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(call.answer().field("via"), Some("1.1 hormesis"));
    drop((client, server));

    let upstream = Upstream::scripted();
    let sidecar = Sidecar::http2(upstream.address)
        .listener("forwarded = [\"via\"]")
        .start();
    let mut client = sidecar.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut server = Frames::accept(&upstream, &[]);
    let asked = server.expect(HEADERS);
    server.answer(asked.stream);
    let answer = client.answer();
    assert_eq!(answer.field("via"), Some("2.0 hormesis"));
    client.finish();
    assert_eq!(client.end(), End::Fin);
}
