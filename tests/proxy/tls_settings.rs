//! How TLS is set up: certificate files, and what a reload does with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hormesis::config::{Inputs, Problem, Severity, Source, resolve};

use crate::support::tls::{Authority, Tls, authority, before_plain, echo, listening, trusting};
use crate::support::{PATIENCE, Serving, Sidecar};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn certificates_are_replaced_under_load_and_a_bad_one_keeps_the_old() {
    let authority = authority();
    let upstream = Serving::echo();
    let setting = before_plain(&authority, &upstream);
    let sidecar = setting.clone().start();
    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let config = authority.client(None, &[]);
    let shown = || {
        // Without a session to resume, so that a certificate is shown.
        let client = Tls::connect(sidecar.address, "front.test", &authority.client(None, &[]));
        client.unwrap().certificate()
    };
    let first = shown();
    let mut kept = Tls::connect(sidecar.address, "front.test", &config).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let mut client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
                client.send(GET).unwrap();
                assert_eq!(client.message().unwrap().text(), "/a");
                calls.fetch_add(1, Ordering::SeqCst);
            }
        });
        for _ in 0..10 {
            authority.issue("front", &["front.test"]);
            let before = calls.load(Ordering::SeqCst);
            sidecar.reload(&setting).unwrap();
            // No panic in here: the other thread ends only when it is told to.
            let by = tokio::time::Instant::now() + PATIENCE;
            while calls.load(Ordering::SeqCst) == before && tokio::time::Instant::now() < by {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(
        calls.load(Ordering::SeqCst) >= 10,
        "calls between the reloads"
    );
    let last = shown();
    assert_ne!(first, last);
    // The client of before knows the sidecar still, on a new connection and on the old one.
    let client = Tls::connect(sidecar.address, "front.test", &config).unwrap();
    assert!(client.is_resumed());
    kept.send(GET).unwrap();
    assert_eq!(kept.message().unwrap().text(), "/a");
    authority.write("front.pem", "no certificate");
    assert!(sidecar.reload(&setting).is_err());
    assert_eq!(shown(), last);
}

#[test]
fn no_session_outlives_a_change_of_who_is_let_in() {
    let authority = authority();
    let upstream = Serving::echo();
    let setting = before_plain(&authority, &upstream);
    let sidecar = setting.start();
    let config = authority.client(None, &[]);
    let ask = || {
        let mut client = Tls::connect(sidecar.address, "front.test", &config)?;
        client.send(GET)?;
        client.message()
    };
    assert!(ask().is_ok());
    let ca = authority.quoted("ca.pem");
    let tls = format!("tls = {{ {}, client_ca = {ca} }}", authority.pair("front"));
    let closed = Sidecar::to(upstream.address).listener(&tls);
    sidecar.reload(&closed).unwrap();
    assert!(ask().is_err());
}

#[test]
fn a_reload_keeps_connections_where_tls_says_the_same_and_not_where_it_changed() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let authority = authority();
    let upstream = authority.upstream("up", |wire| {
        CONNECTIONS.fetch_add(1, Ordering::SeqCst);
        echo(wire);
    });
    let endpoint = format!("https://localhost:{}", upstream.port());
    let setting = Sidecar::at(endpoint, false).upstream(&trusting(&authority));
    let sidecar = setting.clone().start();
    let mut client = sidecar.connect();
    let mut ask = || {
        client.send(GET);
        client.answer().status()
    };
    assert_eq!(ask(), 200);
    sidecar.reload(&setting).unwrap();
    assert_eq!(ask(), 200);
    assert_eq!(CONNECTIONS.load(Ordering::SeqCst), 1);
    let other = Authority::new();
    authority.write(
        "ca.pem",
        &std::fs::read_to_string(other.path("ca.pem")).unwrap(),
    );
    sidecar.reload(&setting).unwrap();
    assert_eq!(ask(), 502);
}

#[test]
fn every_mistake_with_certificates_is_told_at_its_place() {
    let authority = authority();
    authority.write("empty.pem", "");
    let (front, up) = (authority.pair("front"), authority.quoted("up.key"));
    let (cert, empty) = (authority.quoted("front.pem"), authority.quoted("empty.pem"));
    let gone = authority.quoted("gone.pem");
    for (lines, place, says) in [
        (
            format!("tls = {{ cert = {cert}, key = {gone} }}"),
            "key",
            "cannot read",
        ),
        (
            format!("tls = {{ cert = {cert}, key = {up} }}"),
            "key",
            "is not the key of the certificate",
        ),
        (
            format!("tls = {{ cert = {empty}, key = {up} }}"),
            "cert",
            "no certificate in PEM form",
        ),
        (
            format!("tls = {{ cert = {cert}, key = {cert} }}"),
            "key",
            "no private key",
        ),
        (
            format!("tls = {{ {front}, client_ca = {empty} }}"),
            "client_ca",
            "no certificate",
        ),
        (
            format!("tls = {{ {front}, client_auth = \"required\" }}"),
            "client_auth",
            "which client",
        ),
        (
            "routes = [{ sni = \"a\", upstream = \"up\" }]".to_owned(),
            "sni",
            "without TLS",
        ),
    ] {
        let text = Sidecar::at("http://127.0.0.1:1".to_owned(), false)
            .listener(&lines)
            .text();
        let told = mistakes(&text);
        assert_eq!(told.len(), 1, "{told:?}");
        let (at, message) = &told[0];
        assert!(message.contains(says), "{message}");
        assert!(
            text[..*at].trim_end().ends_with(&format!("{place} =")),
            "{lines}: {at}"
        );
    }
}

#[test]
fn every_mistake_with_the_tls_of_an_upstream_is_told() {
    for (scheme, lines, says) in [
        ("http", "tls = {}", "plain text"),
        ("https", "tls = { cert = 'x' }", "needs its key"),
        (
            "https",
            "tls = { verify = false, server_name = \"a b\" }",
            "neither a DNS name",
        ),
    ] {
        let endpoint = format!("{scheme}://127.0.0.1:1");
        let told = mistakes(&Sidecar::at(endpoint, false).upstream(lines).text());
        assert!(told.len() == 1 && told[0].1.contains(says), "{told:?}");
    }
}

/// The place and the words of each problem.
fn mistakes(text: &str) -> Vec<(usize, String)> {
    let environment = |_: &str| None;
    let source = Arc::new(Source::new("test.toml", text));
    let problems = resolve(&[source], &Inputs::new(&environment)).unwrap_err();
    let place = |it: &Problem| it.place.as_ref().map_or(0, |place| place.span.start);
    problems
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| (place(it), it.message.clone()))
        .collect()
}

#[test]
fn what_is_dangerous_or_near_its_end_is_warned_of() {
    let authority = authority();
    authority.issue_until("old", &["front.test"], 2020);
    let sidecar = Sidecar::at("https://127.0.0.1:1".to_owned(), false)
        .upstream("tls = { verify = false }")
        .listener(&listening(&authority, "old"));
    let environment = |_: &str| None;
    let source = Arc::new(Source::new("test.toml", sidecar.text()));
    let resolved = resolve(&[source], &Inputs::new(&environment)).unwrap();
    let warnings: Vec<_> = resolved
        .warnings
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    assert!(
        warnings.iter().any(|it| it.contains("has expired")),
        "{warnings:?}"
    );
    assert!(
        warnings
            .iter()
            .any(|it| it.contains("any certificate is taken")),
        "{warnings:?}"
    );
    let watched = &resolved.snapshot.watched;
    assert_eq!(
        *watched,
        [authority.path("old.key"), authority.path("old.pem")]
    );
    assert!(!format!("{:?}", resolved.snapshot).contains("PRIVATE"));
}
