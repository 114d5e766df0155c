//! What a listener may be told to do with heads, and trailers.

use crate::support::sidecar::ending;
use crate::support::{End, Sidecar, Upstream};

fn listener(upstream: &Upstream, keys: &str) -> crate::support::Running {
    // The keys stand at the end of the listener's table.
    Sidecar::before(upstream).with(keys).start()
}

#[test]
fn the_strict_profile_refuses_what_others_let_pass() {
    for (request, strict) in [
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 0\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\nX_Y: z\r\n\r\n", 400),
        ("GET /a_b HTTP/1.1\r\nHost: h\r\nX: a_b\r\n\r\n", 200),
    ] {
        for (keys, status) in [("profile = \"strict\"", strict), ("", 200)] {
            let upstream = Upstream::scripted();
            let sidecar = listener(&upstream, keys);
            let mut client = sidecar.connect();
            client.send(request);
            if status == 200 {
                let mut server = upstream.accept();
                server.head();
                server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                assert_eq!(client.answer().status(), 200, "{request:?}");
                continue;
            }
            let answer = client.answer();
            assert_eq!(
                (answer.status(), answer.field("connection")),
                (status, Some("close"))
            );
            assert_eq!(client.end(), End::Fin);
            upstream.is_untouched();
            assert_eq!(ending(&sidecar.record()), "rejected/downstream/400");
        }
    }
}

#[test]
fn heads_tell_their_way_where_the_listener_is_told_to() {
    let upstream = Upstream::scripted();
    let sidecar = listener(&upstream, "forwarded = [\"via\", \"x-forwarded\"]");
    let mut client = sidecar.connect();
    client.send("GET / HTTP/1.1\r\nHost: h:1\r\nA: b\r\n\r\n");
    let mut server = upstream.accept();
    assert_eq!(
        server.head(),
        "GET / HTTP/1.1\r\nHost: h:1\r\nA: b\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\nVia: 1.1 hormesis\r\n\r\n"
    );
    server.send("HTTP/1.0 200 OK\r\nVia: 1.1 other\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
    let answer = client.answer();
    assert_eq!(
        answer.head,
        "HTTP/1.1 200 OK\r\nVia: 1.1 other\r\nContent-Length: 2\r\nVia: 1.0 hormesis\r\n\r\n"
    );
    // Proxies before this one stay told.
    client.send(
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.1\r\nVia: 2 front\r\nx-forwarded-for: 10.0.0.2\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: www\r\n\r\n",
    );
    assert_eq!(
        server.head(),
        "GET / HTTP/1.1\r\nHost: h\r\nVia: 2 front\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www\r\n\
         X-Forwarded-For: 10.0.0.1, 10.0.0.2, 127.0.0.1\r\nVia: 1.1 hormesis\r\n\r\n"
    );
}

const TRAILED: &str = "3\r\nabc\r\n0\r\nDigest: d\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nhost: x\r\ngrpc-status: 0\r\n\r\n";
const KEPT: &str = "3\r\nabc\r\n0\r\nDigest: d\r\ngrpc-status: 0\r\n\r\n";

#[test]
fn trailers_pass_and_those_that_frame_do_not() {
    // As it comes, and where a rule acts on both bodies.
    for faults in [
        vec![],
        vec![
            "throttle = { bytes_per_second = \"10MiB\" }",
            "throttle = { bytes_per_second = \"10MiB\", side = \"request\" }",
        ],
    ] {
        for step in [1, 7, TRAILED.len()] {
            let upstream = Upstream::scripted();
            let mut sidecar = Sidecar::before(&upstream);
            for fault in &faults {
                sidecar = sidecar.fault(fault);
            }
            let sidecar = sidecar.start();
            let mut client = sidecar.connect();
            client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in TRAILED.as_bytes().chunks(step) {
                client.send(piece);
            }
            let mut server = upstream.accept();
            let request = server.request().unwrap();
            let trailers = |wire: &[u8]| {
                let text = String::from_utf8(wire.to_vec()).unwrap();
                text.split_once("\r\n0\r\n").unwrap().1.to_owned()
            };
            assert_eq!(request.body, b"abc");
            assert_eq!(trailers(&request.wire_body), trailers(KEPT.as_bytes()));
            server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in TRAILED.as_bytes().chunks(step) {
                server.send(piece);
            }
            let answer = client.answer();
            assert_eq!(answer.body, b"abc");
            assert_eq!(trailers(&answer.wire_body), trailers(KEPT.as_bytes()));
            // Both connections are whole after it.
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            server.head();
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            assert_eq!(client.answer().text(), "ok");
        }
    }
}

#[test]
fn faults_on_pipelined_requests_stay_in_order() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream)
        .rule(
            "select = { path = \"/bad\" }",
            &["abort = { status = 503 }"],
        )
        .start();
    let mut client = sidecar.connect();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    client.send(["/1", "/bad", "/2", "/bad", "/3"].map(get).concat());
    let mut server = upstream.accept();
    for (index, path) in ["/1", "/2", "/3"].iter().enumerate() {
        assert!(server.head().starts_with(&format!("GET {path} ")));
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{path}"
        ));
        assert_eq!(client.answer().text(), *path);
        if index < 2 {
            assert_eq!(client.answer().status(), 503);
        }
    }
}
