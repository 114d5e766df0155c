//! TLS on both sides, and what it must not hide.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::sidecar::{ending, waited};
use crate::support::tls::{Authority, Tls, authority, before_plain, echo, listening, trusting};
use crate::support::{End, Serving, Sidecar, Upstream, noise};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_megabyte_passes_unchanged_with_tls_on_both_sides() {
    let authority = authority();
    let port = authority.upstream("up", echo).port();
    let sidecar = Sidecar::at(format!("https://localhost:{port}"), false)
        .upstream(&trusting(&authority))
        .listener(&listening(&authority, "front"))
        .start();
    let config = authority.client(None, &[]);
    let mut client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
    for seed in 0..3 {
        let body = noise(seed, 1 << 20);
        let head = format!(
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send([head.as_bytes(), &body].concat()).unwrap();
        assert!(client.message().unwrap().body == body);
    }
    drop(client);
    for record in sidecar.records() {
        assert_eq!(ending(&record), "ok/upstream/200");
    }
}

#[test]
fn an_upstream_that_is_not_who_it_should_be_is_told_as_502_with_the_reason() {
    let (known, other) = (authority(), authority());
    known.issue_until("old", &["localhost"], 2020);
    known.issue_as("root", &["localhost"], 2100, true);
    for (authority, name, host, reason) in [
        (&known, "root", "localhost", "an authority's (CA:TRUE)"),
        (
            &known,
            "old",
            "localhost",
            "its certificate expired at 2020-01-01",
        ),
        (&known, "up", "127.0.0.1", "not for 127.0.0.1"),
        (
            &other,
            "up",
            "localhost",
            "self-signed, or signed by no authority",
        ),
    ] {
        let port = authority.upstream(name, echo).port();
        let sidecar = Sidecar::at(format!("https://{host}:{port}"), false);
        let sidecar = sidecar.upstream(&trusting(&known)).start();
        let mut client = sidecar.connect();
        client.send(GET);
        let answer = client.answer();
        assert_eq!(answer.status(), 502);
        assert!(answer.text().contains(reason), "{}", answer.text());
        assert_eq!(answer.field("x-hormesis-origin"), Some("upstream"));
        drop(client);
        let record = sidecar.record();
        assert_eq!(ending(&record), "upstream_error/upstream/502");
        assert!(record["reason"].as_str().unwrap().contains(reason));
    }
}

#[test]
fn an_upstream_without_tls_is_told_as_such() {
    let scripted = Upstream::scripted();
    let sidecar = Sidecar::at(format!("https://{}", scripted.address), false);
    let sidecar = sidecar.upstream("tls = { verify = false }").start();
    let mut client = sidecar.connect();
    client.send(GET);
    let mut server = scripted.accept();
    server.take(5);
    server.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status(), 502);
    assert!(
        answer.text().contains("does not speak TLS"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_stalled_upstream_handshake_is_a_timeout() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::at(format!("https://{}", upstream.address), false);
    let lines = "connect_timeout = \"100ms\"\ntls = { verify = false }";
    let sidecar = sidecar.upstream(lines).start();
    let mut client = sidecar.connect();
    client.send(GET);
    assert_eq!(client.answer().status(), 504);
}

#[test]
fn any_certificate_is_taken_where_the_configuration_says_so_and_another_name_can_be_asked_for() {
    let authority = authority();
    let port = authority.upstream("up", echo).port();
    let named = format!(
        "tls = {{ ca = {}, server_name = \"up.test\" }}",
        authority.quoted("ca.pem")
    );
    for lines in ["tls = { verify = false }", &named] {
        let sidecar = Sidecar::at(format!("https://127.0.0.1:{port}"), false);
        let sidecar = sidecar.upstream(lines).start();
        let mut client = sidecar.connect();
        client.send(GET);
        assert_eq!(client.answer().text(), "/a");
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_cut_where_tls_does_not_end_first() {
    let authority = authority();
    let port = authority.upstream("up", |mut wire| {
        wire.message().unwrap();
        wire.send("HTTP/1.1 200 OK\r\n\r\nhalf").unwrap();
        wire.cut();
    });
    let sidecar = Sidecar::at(format!("https://localhost:{}", port.port()), false);
    let sidecar = sidecar.upstream(&trusting(&authority)).start();
    let mut client = sidecar.connect();
    client.send(GET);
    client.head();
    assert_eq!(client.rest().1, End::Reset);
    drop(client);
    assert_eq!(ending(&sidecar.record()), "upstream_error/upstream/200");
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole_where_tls_ends_first() {
    let authority = authority();
    let port = authority.upstream("up", |mut wire| {
        wire.message().unwrap();
        wire.send("HTTP/1.1 200 OK\r\n\r\nwhole").unwrap();
        wire.finish();
        wire.rest().ok();
    });
    let sidecar = Sidecar::at(format!("https://localhost:{}", port.port()), false);
    let sidecar = sidecar.upstream(&trusting(&authority)).start();
    let mut client = sidecar.connect();
    client.send(GET);
    client.head();
    assert_eq!(client.rest(), (b"whole".to_vec(), End::Fin));
}

#[test]
fn only_clients_with_a_known_certificate_are_let_in_where_one_is_required() {
    let (known, other) = (authority(), authority());
    known.issue("client", &["client"]);
    other.issue("client", &["client"]);
    let upstream = Serving::echo();
    for (auth, without) in [("required", false), ("optional", true)] {
        let ca = known.quoted("ca.pem");
        let tls = known.pair("front");
        let lines = format!("tls = {{ {tls}, client_ca = {ca}, client_auth = \"{auth}\" }}");
        let sidecar = Sidecar::to(upstream.address).listener(&lines).start();
        let ask = |identity: Option<&Authority>| {
            // The server's certificate is the known one's, whoever the client is.
            let config = match identity {
                Some(authority) => known.client_as(authority, "client"),
                None => known.client(None, &[]),
            };
            let mut client = Tls::connect(sidecar.address, "front.test", &config)?;
            client.send(GET)?;
            client.message()
        };
        assert_eq!(ask(Some(&known)).unwrap().text(), "/a");
        assert!(ask(Some(&other)).is_err());
        assert_eq!(ask(None).is_ok(), without);
    }
}

#[test]
fn the_sidecar_shows_its_own_certificate_where_the_upstream_asks() {
    let authority = authority();
    authority.issue("client", &["client"]);
    let upstream = Serving::echo();
    let ca = authority.quoted("ca.pem");
    let lines = format!("tls = {{ {}, client_ca = {ca} }}", authority.pair("up"));
    let behind = Sidecar::to(upstream.address).listener(&lines).start();
    let port = behind.address.port();
    let shown = format!("tls = {{ ca = {ca}, {} }}", authority.pair("client"));
    for (lines, status) in [(shown, 200), (trusting(&authority), 502)] {
        let sidecar = Sidecar::at(format!("https://localhost:{port}"), false);
        let sidecar = sidecar.upstream(&lines).start();
        let mut client = sidecar.connect();
        client.send(GET);
        assert_eq!(client.answer().status(), status);
    }
}

#[test]
fn a_client_that_knows_the_sidecar_resumes() {
    let authority = authority();
    let upstream = Serving::echo();
    let sidecar = before_plain(&authority, &upstream).start();
    let config = authority.client(None, &[]);
    for resumed in [false, true, true] {
        let mut client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
        assert_eq!(client.is_resumed(), resumed);
        client.send(GET).unwrap();
        assert_eq!(client.message().unwrap().text(), "/a");
    }
}

#[test]
fn a_listener_of_bytes_negotiates_nothing_and_one_of_http_its_version() {
    let authority = authority();
    let upstream = Serving::echo();
    let sidecar = before_plain(&authority, &upstream).start();
    let config = authority.client(None, &["http/1.1"]);
    let client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
    assert_eq!(client.alpn().as_deref(), Some("http/1.1"));
    // The better one of those that both have: HTTP/2, and its first frame is a SETTINGS.
    let config = authority.client(None, &["http/1.1", "h2"]);
    let mut client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
    assert_eq!(client.alpn().as_deref(), Some("h2"));
    client
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    assert_eq!(client.take(9).unwrap()[3], 4);
    let nothing = authority.client(None, &["other"]);
    assert!(Tls::connect(sidecar.address, "front.test", &nothing).is_err());
    let bytes = Sidecar::tcp(upstream.address).listener(&listening(&authority, "front"));
    let bytes = bytes.start();
    let client = Tls::connect(bytes.address, "front.test", &config).unwrap();
    assert_eq!(client.alpn(), None);
}

#[test]
fn each_host_is_shown_its_own_certificate() {
    let authority = authority();
    authority.issue("second", &["*.second.test"]);
    let upstream = Serving::echo();
    let (first, second) = (authority.pair("front"), authority.pair("second"));
    let lines = format!("tls = {{ {first}, certs = [{{ {second} }}] }}");
    let sidecar = Sidecar::to(upstream.address).listener(&lines).start();
    let config = authority.client(None, &[]);
    for (host, known) in [
        ("front.test", true),
        ("a.second.test", true),
        ("x.test", false),
    ] {
        let client = Tls::connect(sidecar.address, host, &config);
        assert_eq!(client.is_ok(), known, "{host}");
    }
}

#[test]
fn a_plain_request_to_a_listener_with_tls_is_told_so_in_plain_text() {
    let authority = authority();
    let upstream = Serving::echo();
    let sidecar = before_plain(&authority, &upstream).start();
    let mut client = sidecar.connect();
    client.send(GET);
    let answer = client.answer();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("plain request"), "{}", answer.text());
    client.finish();
    assert_eq!(client.end(), End::Fin);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(ending(&sidecar.record()), "rejected/downstream/400");
}

#[test]
fn tls_to_a_plain_listener_is_closed_without_an_answer() {
    let authority = authority();
    let upstream = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let config = authority.client(None, &[]);
    assert!(Tls::connect(sidecar.address, "front.test", &config).is_err());
    assert_eq!(upstream.connections(), 0);
    assert_eq!(ending(&sidecar.record()), "rejected/downstream/null");
}

#[test]
fn a_stalled_handshake_is_closed() {
    let authority = authority();
    let upstream = Serving::echo();
    let sidecar = before_plain(&authority, &upstream);
    let sidecar = sidecar.with("[limits]\ntls_handshake = \"100ms\"").start();
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = sidecar.connect();
        client.send(bytes);
        client.rest();
    }
}

#[test]
fn a_drain_does_not_wait_for_a_handshake() {
    let authority = authority();
    let upstream = Serving::echo();
    let mut sidecar = before_plain(&authority, &upstream).start();
    let mut client = sidecar.connect();
    client.send(b"\x16\x03\x01\x02\x00\x01");
    // Accepted for certain: a later connection was served.
    let config = authority.client(None, &[]);
    let mut other = Tls::connect(sidecar.address, "front.test", &config).unwrap();
    other.send(GET).unwrap();
    other.message().unwrap();
    let drained = sidecar.drain(crate::support::PATIENCE * 10);
    client.rest();
    drained.join().unwrap();
}

/// Between a client and the sidecar: everything in pieces of one byte, the first record's message
/// split over records.
fn fragmented(sidecar: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(sidecar).unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let (mut from, mut to) = (server, client);
            std::io::copy(&mut from, &mut to).ok();
            to.shutdown(std::net::Shutdown::Both).ok();
        });
        let mut header = [0; 5];
        from.read_exact(&mut header).unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        from.read_exact(&mut hello).unwrap();
        for part in hello.chunks(20) {
            let length = u16::try_from(part.len()).unwrap().to_be_bytes();
            for byte in [&header[..3], &length, part].concat() {
                to.write_all(&[byte]).unwrap();
            }
        }
        std::io::copy(&mut from, &mut to).ok();
    });
    address
}

#[test]
fn a_fragmented_client_hello_is_understood() {
    let authority = authority();
    let upstream = Serving::echo();
    let sidecar = before_plain(&authority, &upstream).start();
    let config = authority.client(None, &[]);
    let mut client = Tls::connect(fragmented(sidecar.address), "front.test", &config).unwrap();
    client.send(GET).unwrap();
    assert_eq!(client.message().unwrap().text(), "/a");
}

/// Answers with the host that the client's handshake named.
fn named(mut wire: Tls) {
    let request = wire.message();
    let host = wire.asked_for().unwrap_or_default();
    if request.is_ok() {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", host.len());
        wire.send(head + &host).unwrap();
    }
}

#[test]
fn what_passes_through_is_routed_by_the_host_of_its_handshake() {
    let authority = authority();
    authority.issue("one", &["one.test"]);
    authority.issue("two", &["a.two.test"]);
    let one = authority.upstream("one", named);
    let two = authority.upstream("two", named);
    let plain = Serving::echo();
    let sidecar = Sidecar::tcp(plain.address)
        .listener(
            "routes = [{ sni = \"one.test\", upstream = \"one\" }, { sni = \"*.two.test\", upstream = \"two\" }]",
        )
        .with(&format!(
            "[upstreams.one]\nendpoints = [\"tcp://{one}\"]\n[upstreams.two]\nendpoints = [\"tcp://{two}\"]"
        ))
        .rule("select = { sni = \"a.two.test\" }", &["delay = { fixed = \"50ms\" }"])
        .start();
    let config = authority.client(None, &[]);
    for (host, by) in [
        ("one.test", sidecar.address),
        ("a.two.test", sidecar.address),
        ("one.test", fragmented(sidecar.address)),
    ] {
        let mut client = Tls::connect(by, host, &config).unwrap();
        client.send(GET).unwrap();
        assert_eq!(client.message().unwrap().text(), host);
    }
    // What is no handshake goes to the listener's own upstream.
    let mut client = sidecar.connect();
    client.send(GET);
    assert_eq!(client.answer().text(), "/a");
    drop(client);
    let records = sidecar.records();
    let hit: Vec<_> = records
        .iter()
        .map(|it| waited(it, 0) >= Duration::from_millis(50))
        .collect();
    assert_eq!(hit.iter().filter(|it| **it).count(), 1, "{records:#?}");
}

#[test]
fn a_rule_selects_by_the_host_of_a_handshake_that_ends_here() {
    let authority = authority();
    authority.issue("front", &["front.test", "other.test"]);
    let upstream = Serving::echo();
    let sidecar = before_plain(&authority, &upstream)
        .rule(
            "select = { sni = \"other.test\" }",
            &["abort = { status = 503 }"],
        )
        .start();
    let config = authority.client(None, &[]);
    for (host, status) in [("front.test", 200), ("other.test", 503)] {
        let mut client = Tls::connect(sidecar.address, host, &config).unwrap();
        client.send(GET).unwrap();
        assert_eq!(client.message().unwrap().status(), status);
    }
}

#[test]
fn faults_act_over_tls() {
    let authority = authority();
    let upstream = Serving::echo();
    let ask = |fault: &str| {
        let sidecar = before_plain(&authority, &upstream).fault(fault).start();
        let config = authority.client(None, &[]);
        let mut client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
        client.send(GET).unwrap();
        let message = client.message().map_err(|error| error.kind());
        drop(client);
        (message, sidecar.record())
    };
    let (message, record) = ask("delay = { fixed = \"50ms\" }");
    assert_eq!(message.unwrap().text(), "/a");
    assert!(waited(&record, 0) >= Duration::from_millis(50));
    let (message, _) = ask("truncate = { at = { byte = 1 } }");
    assert_eq!(message.unwrap_err(), std::io::ErrorKind::UnexpectedEof);
    let (message, record) = ask("disconnect = { at = \"response-head\" }");
    assert!(message.is_err());
    assert_eq!(record["outcome"], "injected_fault");
}

#[test]
fn half_closed_stays_half_closed_over_tls() {
    let authority = authority();
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address).listener(&listening(&authority, "front"));
    let sidecar = sidecar.start();
    let config = authority.client(None, &[]);
    let mut client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
    client.send("last words").unwrap();
    client.finish();
    let mut server = upstream.accept();
    assert_eq!(server.rest(), (b"last words".to_vec(), End::Fin));
    server.send("answer");
    server.finish();
    assert_eq!(client.rest().unwrap(), b"answer");
    drop(client);
    assert_eq!(ending(&sidecar.record()), "ok/upstream/null");
}

#[test]
fn bytes_reach_an_upstream_over_tls_and_large_streams_pass_both_ways() {
    let authority = authority();
    let port = authority.upstream("up", |mut wire| {
        let body = wire.take(3_000_000).unwrap();
        wire.send(body).unwrap();
        wire.finish();
    });
    let sidecar = Sidecar::at(format!("tls://localhost:{}", port.port()), true);
    let sidecar = sidecar.upstream(&trusting(&authority)).start();
    let mut client = sidecar.connect();
    let body = noise(1, 3_000_000);
    client.send(&body);
    assert!(client.take(body.len()) == body);
}
