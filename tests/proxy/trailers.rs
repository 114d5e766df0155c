//! Trailers pass in both directions, but for those that frame or route a message or concern one
//! connection (RFC 9110 §6.5.1).

use crate::support::{End, Sidecar, Upstream};

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const FORBIDDEN: &str = "Content-Length: 5\r\nhost: evil\r\nTransfer-Encoding: chunked\r\nTE: x\r\n\
                         Connection: close\r\nTrailer: X\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\n";

fn body(trailers: &str) -> String {
    format!("3\r\nabc\r\n0\r\n{trailers}\r\n")
}

#[test]
fn forbidden_ones_are_dropped_and_the_others_pass_untouched() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let sent = body(&format!("grpc-status:  0\r\n{FORBIDDEN}X-Sum: \r\n"));
    let kept = body("grpc-status:  0\r\nX-Sum: \r\n");
    let mut client = sidecar.connect();
    let mut server = None;
    // At once with the head, then in pieces that end within the trailers; twice, so that a
    // connection that was left in disorder would show.
    for cut in [0, sent.len(), 3, 12, 30, 31, 60, sent.len() - 2] {
        let (one, two) = sent.split_at(cut);
        client.send(format!("{POST}{one}"));
        let server = server.get_or_insert_with(|| upstream.accept());
        assert_eq!(server.head(), POST, "cut at {cut}");
        client.send(two);
        assert_eq!(server.take(kept.len()), kept.as_bytes(), "cut at {cut}");
        server.send(format!("{OK}{one}"));
        assert_eq!(client.head(), OK);
        server.send(two);
        assert_eq!(client.take(kept.len()), kept.as_bytes(), "cut at {cut}");
    }
}

#[test]
fn what_follows_dropped_trailers_is_the_next_message() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::before(&upstream).start();
    let mut client = sidecar.connect();
    let sent = body(FORBIDDEN);
    client.send(format!("{POST}{sent}{POST}{sent}"));
    let mut server = upstream.accept();
    for _ in 0..2 {
        assert_eq!(server.head(), POST);
        assert_eq!(server.take(13), body("").as_bytes());
        server.send(format!("{OK}{sent}"));
        assert_eq!(client.head(), OK);
        assert_eq!(client.take(13), body("").as_bytes());
    }
}

#[test]
fn where_a_rule_acts_on_a_body_its_trailers_are_kept() {
    let upstream = Upstream::scripted();
    let pace =
        |side: &str| format!("throttle = {{ bytes_per_second = \"1MiB\", side = \"{side}\" }}");
    let faults = [pace("request"), pace("response")];
    let sidecar = Sidecar::before(&upstream)
        .rule("", &[&faults[0], &faults[1]])
        .start();
    let mut client = sidecar.connect();
    let sent = body(&format!("X-Sum: 1\r\n{FORBIDDEN}"));
    client.send(format!("{POST}{sent}"));
    let mut server = upstream.accept();
    let kept = body("X-Sum: 1\r\n");
    server.head();
    assert_eq!(server.take(kept.len()), kept.as_bytes());
    server.send(format!("{OK}{sent}"));
    client.head();
    assert_eq!(client.take(kept.len()), kept.as_bytes());
}

#[test]
fn a_body_that_a_rule_cuts_has_no_trailers() {
    let upstream = Upstream::scripted();
    let cut = "truncate = { at = { byte = 2 }, length = \"fix\" }";
    let sidecar = Sidecar::before(&upstream).fault(cut).start();
    let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server.send(format!("{OK}{}", body("X-Sum: 1\r\n")));
    let answer = client.answer();
    assert_eq!(answer.wire_body, b"2\r\nab\r\n0\r\n\r\n");
    drop(client);
    assert_eq!(server.end(), End::Fin);
}
