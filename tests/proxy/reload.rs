//! Another configuration while calls run: what was begun goes on as it began, and nothing is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hormesis::control::ReloadError;

use crate::support::{End, PATIENCE, Running, Serving, Sidecar, Upstream, Wire, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// A rule that every call would show.
const ABORT: &str = "abort = { status = 503 }";

fn serving(text: &'static str) -> Serving {
    Serving::answering(move |_| {
        let length = text.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}").into_bytes()
    })
}

/// A second listener before the same upstream.
const SIDE: &str =
    "[listeners.side]\nbind = \"127.0.0.1:0\"\nupstream = \"up\"\nprotocol = \"http\"";

fn ask(sidecar: &Running) -> (u16, String) {
    ask_at(sidecar.address)
}

fn ask_at(address: SocketAddr) -> (u16, String) {
    let mut client = Wire::connect(address);
    client.send(GET);
    let answer = client.answer();
    (answer.status(), answer.text().to_owned())
}

#[test]
fn a_call_under_way_keeps_its_upstream_and_gains_no_fault() {
    let (old, new) = (Upstream::scripted(), serving("new"));
    let sidecar = Sidecar::before(&old).start();
    let mut client = sidecar.connect();
    client.send(POST);
    let mut server = old.accept();
    server.head();
    let truncating = "truncate = { at = { byte = 1 } }";
    let rules = Sidecar::to(new.address).fault(truncating).fault(ABORT);
    sidecar.reload(&rules).unwrap();
    client.send("def");
    assert_eq!(server.take(6), b"abcdef");
    server.send(OK);
    assert_eq!(client.answer().text(), "ok");
    // The next call on the same connection is one of the new generation.
    client.send(GET);
    assert_eq!(client.answer().status(), 503);
    sidecar.reload(&Sidecar::to(new.address)).unwrap();
    assert_eq!(ask(&sidecar), (200, "new".to_owned()));
}

#[test]
fn what_a_removed_or_changed_rule_does_to_a_call_ends() {
    for stays in [false, true] {
        let upstream = serving("ok");
        let waiting = Sidecar::to(upstream.address).fault("delay = { fixed = \"1h\" }");
        let sidecar = waiting.start();
        let mut client = sidecar.connect();
        client.send(GET);
        eventually("it waits", || sidecar.active("r1") == 1);
        let mut next = Sidecar::to(upstream.address);
        if stays {
            // Of the same name, and another rule: it is not what the call waits under.
            next = next.fault("delay = { fixed = \"2h\" }");
        }
        sidecar.reload(&next).unwrap();
        assert_eq!(client.answer().text(), "ok", "{stays}");
    }
}

#[test]
fn a_rule_that_did_not_change_goes_on_counting() {
    let upstream = serving("ok");
    let rule = "nth = { every = 2 }";
    let before = Sidecar::to(upstream.address).rule(rule, &[ABORT]);
    let sidecar = before.clone().start();
    let status = || ask(&sidecar).0;
    assert_eq!([status(), status(), status()], [200, 503, 200]);
    let cell = sidecar.rule("r1");
    let after = before
        .first("limits.keep_alive = \"7s\"\n")
        .rule("armed = false", &[ABORT]);
    assert_eq!(sidecar.reload(&after).unwrap().generation, 2);
    assert!(Arc::ptr_eq(&cell, &sidecar.rule("r1")));
    assert_eq!(status(), 503);
    assert_eq!(cell.counters.selected.load(Ordering::SeqCst), 4);
    // The seed that the calls are drawn with is the same, and so are their numbers.
    assert_eq!(sidecar.handle.status().seed, 7);
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let upstream = serving("ok");
    let sidecar = Sidecar::to(upstream.address).fault(ABORT).start();
    let before = sidecar.handle.live().current();
    let taken = format!(
        "[listeners.side]\nbind = \"{}\"\nupstream = \"up\"\nprotocol = \"http\"",
        upstream.address
    );
    let text = "sed = 1\n[upstreams.up]\nendpoints = [7]\n";
    let error = sidecar.reload_text(text).unwrap_err();
    let ReloadError::Config(problems) = &error else {
        panic!("{error:?}");
    };
    assert!(problems.len() >= 2, "{problems:?}");
    // All is fine with this one, but that a listener's address is taken.
    let error = sidecar.reload(
        &Sidecar::to(upstream.address)
            .with(SIDE)
            .with(&taken.replace("side", "taken")),
    );
    assert!(matches!(error, Err(ReloadError::Bind(_))), "{error:?}");
    assert!(Arc::ptr_eq(&before, &sidecar.handle.live().current()));
    let status = sidecar.handle.status();
    assert_eq!(
        (status.generation, status.reloads.ok, status.reloads.failed),
        (1, 0, 2)
    );
    let told = status.reloads.last_error.unwrap();
    assert!(told.contains("\"taken\" cannot listen"), "{told}");
    assert_eq!(ask(&sidecar).0, 503);
    sidecar.reload(&Sidecar::to(upstream.address)).unwrap();
    let status = sidecar.handle.status();
    assert_eq!((status.generation, status.reloads.ok), (2, 1));
    assert_eq!(status.reloads.last_error, None);
    assert_eq!(ask(&sidecar).0, 200);
}

#[test]
fn a_removed_listener_ends_its_connections_when_they_are_idle() {
    let upstream = Upstream::scripted();
    let front = Sidecar::before(&upstream);
    let sidecar = front.clone().with(SIDE).start();
    let side = sidecar.address_of("side");
    let mut idle = Wire::connect(side);
    idle.send(GET);
    let mut server = upstream.accept();
    server.request();
    server.send(OK);
    idle.answer();
    let mut fresh = Wire::connect(side);
    let mut busy = Wire::connect(side);
    busy.send(POST);
    server.head();
    let reloaded = sidecar.reload(&front).unwrap();
    assert_eq!(reloaded.closed, ["side".into()]);
    assert_eq!(idle.end(), End::Fin);
    assert_eq!(fresh.end(), End::Fin);
    busy.send("def");
    server.take(6);
    server.send(OK);
    let answer = busy.answer();
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!((answer.text(), busy.end()), ("ok", End::Fin));
    eventually("nobody listens there", || {
        std::net::TcpStream::connect(side).is_err()
    });
    // The other one has noticed nothing.
    let mut client = sidecar.connect();
    client.send(GET);
    server.request();
    server.send(OK);
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn a_kept_connection_of_a_removed_listener_is_served_what_it_has_sent() {
    let upstream = serving("ok");
    let front = Sidecar::to(upstream.address);
    let sidecar = front.clone().with(SIDE).start();
    let mut clients: Vec<Wire> = (0..32)
        .map(|_| Wire::connect(sidecar.address_of("side")))
        .collect();
    for client in &mut clients {
        client.send(GET);
    }
    // Some are accepted, some wait in the queue; all are answered.
    sidecar.reload(&front).unwrap();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "ok");
        assert_eq!(client.end(), End::Fin);
    }
}

#[test]
fn a_listener_that_moves_keeps_its_numbers_on_a_new_socket() {
    let upstream = serving("ok");
    let front = Sidecar::to(upstream.address).rule("nth = { every = 2 }", &[ABORT]);
    let sidecar = front.clone().start();
    assert_eq!(ask(&sidecar).0, 200);
    let state = Arc::clone(&sidecar.handle.live().current().listeners[0].state);
    // A port that is free, on an address of its own.
    let moved = front.bind("127.0.0.2:0");
    let reloaded = sidecar.reload(&moved).unwrap();
    assert_eq!(
        (&reloaded.opened, &reloaded.closed),
        (&vec!["front".into()], &vec!["front".into()])
    );
    assert!(Arc::ptr_eq(
        &state,
        &sidecar.handle.live().current().listeners[0].state
    ));
    let mut client = Wire::connect(sidecar.address_of("front"));
    client.send(GET);
    assert_eq!(client.answer().status(), 503);
}

#[test]
fn a_socket_stays_whatever_else_changes_of_its_listener() {
    let upstream = serving("ok");
    let bytes = Serving::echo();
    let sidecar = Sidecar::to(upstream.address).start();
    let address = sidecar.address_of("front");
    let mut kept = sidecar.connect();
    kept.send(GET);
    kept.answer();
    let tcp = Sidecar::tcp(bytes.address);
    let reloaded = sidecar.reload(&tcp).unwrap();
    assert!(reloaded.opened.is_empty() && reloaded.closed.is_empty());
    assert_eq!(sidecar.address_of("front"), address);
    let mut client = sidecar.connect();
    client.send(GET);
    assert_eq!(client.answer().text(), "/");
}

#[test]
fn a_removed_socket_can_be_bound_again_at_once() {
    let upstream = serving("ok");
    let front = Sidecar::to(upstream.address);
    let sidecar = front.clone().workers(4).start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let side = SIDE.replace("127.0.0.1:0", &free.local_addr().unwrap().to_string());
    drop(free);
    for _ in 0..50 {
        sidecar.reload(&front.clone().with(&side)).unwrap();
        let mut client = Wire::connect(sidecar.address_of("side"));
        client.send(GET);
        assert_eq!(client.answer().text(), "ok");
        sidecar.reload(&front).unwrap();
    }
}

#[test]
fn reloads_at_once_come_one_after_the_other() {
    let upstream = serving("ok");
    let front = Sidecar::to(upstream.address);
    let sidecar = front.clone().workers(2).start();
    let (stop, address) = (AtomicBool::new(false), sidecar.address);
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(ask_at(address), (200, "ok".to_owned()));
                calls += 1;
            }
            calls
        });
        let reloads: Vec<_> = (0..4)
            .map(|number| {
                let next = front.clone().with(if number % 2 == 0 { SIDE } else { "" });
                let reload = sidecar.reloads();
                scope.spawn(move || (0..25).for_each(|_| drop(reload(&next).unwrap())))
            })
            .collect();
        for it in reloads {
            it.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(calls.join().unwrap() > 0);
    });
    let status = sidecar.handle.status();
    assert_eq!((status.generation, status.reloads.ok), (101, 100));
}

#[test]
fn what_drains_is_not_reloaded() {
    let upstream = Upstream::scripted();
    let mut sidecar = Sidecar::before(&upstream).start();
    let (client, _server) = sidecar.call(&upstream, GET);
    let draining = sidecar.drain(PATIENCE);
    eventually("it drains", || {
        std::net::TcpStream::connect(sidecar.address).is_err()
    });
    let error = sidecar.reload(&Sidecar::before(&upstream)).unwrap_err();
    assert!(matches!(error, ReloadError::Draining), "{error:?}");
    drop(client);
    draining.join().unwrap();
}

#[test]
fn what_is_read_once_is_told_of() {
    let upstream = serving("ok");
    let front = Sidecar::to(upstream.address);
    let sidecar = front.clone().start();
    let later = front.clone().first("workers = 3\nadmin.bind = \"off\"\n");
    let warnings = sidecar.reload(&later).unwrap().warnings;
    let told = |key: &str| {
        warnings
            .iter()
            .any(|it| it.contains(&format!("`{key}` has changed")))
    };
    assert!(
        told("workers") && told("admin.bind") && !told("log"),
        "{warnings:?}"
    );
    let warnings = sidecar.reload(&front).unwrap().warnings;
    assert!(
        !warnings.iter().any(|it| it.contains("has changed")),
        "{warnings:?}"
    );
}

#[test]
fn idle_connections_to_a_changed_upstream_are_not_used_again() {
    let upstream = serving("ok");
    let front = Sidecar::to(upstream.address);
    let sidecar = front.clone().start();
    let mut client = sidecar.connect();
    let mut call = || {
        client.send(GET);
        client.answer().text().to_owned()
    };
    assert_eq!([call(), call()], ["ok", "ok"]);
    assert_eq!(upstream.connections(), 1);
    // Nothing of the upstream changed: its connections stay.
    sidecar
        .reload(&front.clone().first("limits.keep_alive = \"7s\"\n"))
        .unwrap();
    assert_eq!((call(), upstream.connections()), ("ok".to_owned(), 1));
    let listeners = "[listeners.front]";
    let changed = format!("connect_timeout = \"7s\"\n{listeners}");
    sidecar
        .reload_text(&front.text().replace(listeners, &changed))
        .unwrap();
    assert_eq!((call(), upstream.connections()), ("ok".to_owned(), 2));
}

#[test]
fn a_listener_may_widen_and_narrow_its_address() {
    let upstream = serving("ok");
    let before = Sidecar::to(upstream.address);
    let sidecar = before.clone().start();
    let port = sidecar.address.port();
    let at = |address: &str| {
        let text = before
            .text()
            .replace("127.0.0.1:0", &format!("{address}:{port}"));
        sidecar.reload_text(&text).unwrap();
    };
    let other = SocketAddr::from(([127, 0, 0, 2], port));
    let mut open = sidecar.connect();
    open.send(GET);
    assert_eq!(open.answer().status(), 200);
    let serves = |address| {
        // What comes in the moment in which the old socket closes may be reset.
        eventually("it is served", || Wire::is_answered(address, GET));
    };
    for _ in 0..3 {
        at("0.0.0.0");
        serves(sidecar.address);
        serves(other);
        at("127.0.0.1");
        serves(sidecar.address);
    }
    eventually("the wide one is closed", || {
        std::net::TcpStream::connect(other).is_err()
    });
    // It is ours alone again.
    let taken = std::net::TcpListener::bind(sidecar.address).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
}
