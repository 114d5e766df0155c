//! No bytes of either side end the sidecar, or a call of somebody else.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{Serving, Sidecar, Upstream, Wire};

/// Bytes that look like HTTP in parts.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(&b"GET / HTTP/1.1\r\n"[..]),
        Just(&b"POST /x HTTP/1.0\r\n"[..]),
        Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        Just(&b"HTTP/1.1 101 S\r\n"[..]),
        Just(&b"HTTP/1.1 100 \r\n\r\n"[..]),
        Just(&b"Host: h\r\n"[..]),
        Just(&b"Content-Length: 3\r\n"[..]),
        Just(&b"Content-Length: 18446744073709551615\r\n"[..]),
        Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        Just(&b"Content-Type: text/event-stream\r\n"[..]),
        Just(&b"Connection: upgrade, close\r\n"[..]),
        Just(&b"Expect: 100-continue\r\n"[..]),
        Just(&b"Upgrade: x\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\n"[..]),
        Just(&b"3\r\nabc\r\n"[..]),
        Just(&b"0\r\n\r\n"[..]),
        Just(&b"ffffffffffffffff\r\n"[..]),
        Just(&b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"[..]),
        Just(&b"{\"model\":\"m\"}"[..]),
    ];
    let noise = proptest::collection::vec(any::<u8>(), 0..40);
    let part = prop_oneof![4 => word.prop_map(<[u8]>::to_vec), 1 => noise];
    proptest::collection::vec(part, 0..14).prop_map(|parts| parts.concat())
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..ProptestConfig::default()
    })
}

/// Every kind of fault at some place, so that their code is reached as well.
fn hurt(sidecar: Sidecar) -> Sidecar {
    sidecar
        .rule(
            "select = { body = { \"/model\" = \"m\" } }",
            &["delay = { fixed = \"1us\" }"],
        )
        .rule(
            "probability = 0.5",
            &[
                "corrupt = { random = \"10%\" }",
                "corrupt = { swap = \"50%\", side = \"request\" }",
            ],
        )
        .rule(
            "probability = 0.3",
            &["truncate = { at = { token = 1 }, length = \"fix\" }"],
        )
        .rule(
            "probability = 0.3",
            &[
                "abort = { at = { unit = 2 } }",
                "truncate = { at = { share = \"50%\" } }",
            ],
        )
        .rule(
            "probability = 0.3",
            &[
                "throttle = { units_per_second = 100000 }",
                "delay = { at = \"end\", fixed = \"1us\" }",
            ],
        )
        .with("[limits]\nheader_timeout = \"1s\"\nlook_time = \"1s\"")
        .protocol("openai")
}

fn still_serves(sidecar: &crate::support::Running) {
    let mut client = sidecar.connect();
    client.send("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(client.rest().0.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn no_bytes_of_a_client_end_it() {
    let upstream = Serving::echo();
    let sidecar = hurt(Sidecar::to(upstream.address)).start();
    runner(400)
        .run(&bytes(), |bytes| {
            let mut client = sidecar.connect();
            // It may have closed before all is written.
            let sent = client.try_send(&bytes);
            prop_assert!(sent.is_ok() || !bytes.is_empty());
            if client.stream.shutdown(std::net::Shutdown::Write).is_ok() {
                client.rest();
            }
            Ok(())
        })
        .unwrap();
    still_serves(&sidecar);
    sidecar.records();
}

#[test]
fn no_bytes_of_an_upstream_end_it() {
    let upstream = Upstream::scripted();
    let sidecar = hurt(Sidecar::before(&upstream)).start();
    runner(300)
        .run(&bytes(), |bytes| {
            let mut client = sidecar.connect();
            client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"model\":\"m\"}");
            let mut server: Wire = upstream.accept();
            server.head();
            let sent = server.try_send(&bytes);
            prop_assert!(sent.is_ok() || !bytes.is_empty());
            drop(server);
            client.rest();
            Ok(())
        })
        .unwrap();
    // Each connection is asked once: whatever was kept is closed by now.
    let mut client = sidecar.connect();
    client.send("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let mut server = upstream.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(client.rest().0.starts_with(b"HTTP/1.1 200"));
    drop((client, server));
    sidecar.records();
}
