//! HTTP/2 from clients, before an upstream of HTTP/1.1.

use crate::support::http2_client::{H2Client, request};
use crate::support::{Sidecar, Upstream};

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
