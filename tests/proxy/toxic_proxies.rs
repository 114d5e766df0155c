//! Proxies of the Toxiproxy API: made, started, stopped, changed and deleted while connections are
//! open.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use hormesis::control::{ProxyConfig, ProxyError};
use hormesis::toxic::{Direction, ToxicKind};

use crate::support::sidecar::ending;
use crate::support::toxiproxy::{Proxied, config, toxic};
use crate::support::{End, Running, Sidecar, Upstream, Wire, eventually};

const HOUR: ToxicKind = ToxicKind::Latency {
    latency_ms: 3_600_000,
    jitter_ms: 0,
};

fn sidecar() -> Running {
    Sidecar::tcp(Upstream::refusing()).start()
}

fn refused(address: &str) -> bool {
    let address: SocketAddr = address.parse().unwrap();
    let connected = TcpStream::connect(address);
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_proxy_listens_on_loopback_where_nothing_is_said() {
    let proxied = Proxied::start();
    let view = proxied.view();
    let address: SocketAddr = view.listen.parse().unwrap();
    assert!(address.ip().is_loopback() && address.port() != 0);
    assert!(view.enabled && view.toxics.is_empty());
    assert_eq!(view.upstream, proxied.upstream.address.to_string());
    let status = proxied.sidecar.handle.status();
    let listener = status
        .listeners
        .iter()
        .find(|it| &*it.name == "toxiproxy:redis");
    assert_eq!(listener.unwrap().bind, view.listen);
    assert!(proxied.sidecar.handle.ready());
}

#[test]
fn disabling_closes_listener_and_connections_and_enabling_binds_the_same_port() {
    let proxied = Proxied::of_workers(2);
    let address = proxied.view().listen;
    for round in 0..20 {
        let mut open: Vec<_> = (0..3).map(|_| proxied.connect()).collect();
        if round == 0 {
            proxied.down(HOUR);
        }
        let (stuck, server) = &mut open[0];
        server.send("held");
        let view = proxied.enable(false).unwrap();
        assert!(!view.enabled && view.listen == address);
        assert!(refused(&address), "round {round}");
        stuck.end();
        for (client, server) in &mut open {
            client.rest();
            server.rest();
        }
        let view = proxied.enable(true).unwrap();
        assert_eq!((view.listen, view.toxics.len()), (address.clone(), 1));
        assert!(proxied.enable(true).is_ok());
    }
    // The toxics have stayed, and act.
    let (mut client, mut server) = proxied.connect();
    server.send("held");
    client.quiet(Duration::from_millis(30));
}

#[test]
fn an_upstream_that_refuses_closes_the_client() {
    let sidecar = sidecar();
    let proxy = config("gone", "localhost:0", Upstream::refusing());
    let view = sidecar.handle.create_proxy(proxy).unwrap();
    assert!(view.listen.starts_with("127.0.0.1:"), "{}", view.listen);
    let mut client = Wire::connect(view.listen.parse().unwrap());
    assert_eq!(client.end(), End::Fin);
    assert_eq!(ending(&sidecar.record()), "upstream_error/upstream/null");
}

#[test]
fn a_name_is_resolved_and_what_is_no_address_closes_each_client() {
    let upstream = Upstream::scripted();
    let sidecar = sidecar();
    let to = format!("localhost:{}", upstream.address.port());
    let view = sidecar
        .handle
        .create_proxy(config("named", "", to))
        .unwrap();
    let mut client = Wire::connect(view.listen.parse().unwrap());
    upstream.accept().send("hello");
    assert_eq!(client.take(5), b"hello");
    let view = sidecar.handle.create_proxy(config("no", "", "nonsense"));
    let mut client = Wire::connect(view.unwrap().listen.parse().unwrap());
    client.end();
}

#[test]
fn a_taken_port_refuses_the_proxy_and_keeps_none() {
    let sidecar = sidecar();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let create = |enabled| {
        let proxy = config("a", &address, "127.0.0.1:1");
        sidecar
            .handle
            .create_proxy(ProxyConfig { enabled, ..proxy })
    };
    let error = create(true).unwrap_err();
    let ProxyError::Bind {
        address: at,
        source,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((at, source.kind()), (&address, ErrorKind::AddrInUse));
    assert!(sidecar.handle.proxy("a").is_none());
    // One that is not to run needs no port, and says what it was told.
    assert_eq!(create(false).unwrap().listen, address);
    assert!(matches!(create(false), Err(ProxyError::Exists)));
    let start = || sidecar.handle.update_proxy("a", None, None, Some(true));
    assert!(matches!(start(), Err(ProxyError::Bind { .. })));
    assert!(!sidecar.handle.proxy("a").unwrap().enabled);
    drop(taken);
    assert!(start().unwrap().enabled);
}

#[test]
fn what_is_no_address_changes_nothing() {
    let proxied = Proxied::start();
    let (mut client, mut server) = proxied.connect();
    let handle = &proxied.sidecar.handle;
    for listen in ["nonsense", "127.0.0.1:99999", "no.such.host.invalid:1"] {
        let changed = handle.update_proxy("redis", Some(listen), None, None);
        assert!(
            matches!(changed, Err(ProxyError::Resolve { .. })),
            "{listen}"
        );
    }
    server.send("still here");
    assert_eq!(client.take(10), b"still here");
    let missing = handle.update_proxy("none", None, None, None);
    assert!(matches!(missing, Err(ProxyError::NotFound)));
}

#[test]
fn another_address_or_upstream_is_a_restart_and_the_same_by_another_name_is_none() {
    let proxied = Proxied::start();
    let handle = &proxied.sidecar.handle;
    proxied.down(ToxicKind::Noop);
    let before = proxied.view();
    let (mut client, mut server) = proxied.connect();
    let port: SocketAddr = before.listen.parse().unwrap();
    let same = format!("localhost:{}", port.port());
    let view = handle.update_proxy("redis", Some(&same), Some(&before.upstream), None);
    assert_eq!(view.unwrap(), before);
    server.send("open");
    assert_eq!(client.take(4), b"open");

    let other = Upstream::scripted();
    let to = other.address.to_string();
    let view = handle.update_proxy("redis", None, Some(&to), None).unwrap();
    assert_eq!((&view.listen, &view.upstream), (&before.listen, &to));
    client.end();
    let mut client = Wire::connect(view.listen.parse().unwrap());
    other.accept().send("other");
    assert_eq!(client.take(5), b"other");

    let view = handle.update_proxy("redis", Some("127.0.0.1:0"), None, None);
    let view = view.unwrap();
    assert_ne!(view.listen, before.listen);
    assert!(view.enabled && view.toxics.len() == 1);
    assert!(refused(&before.listen) && !refused(&view.listen));
    client.rest();
}

#[test]
fn deleting_drops_connections_and_gives_name_and_port_back() {
    let proxied = Proxied::start();
    let handle = &proxied.sidecar.handle;
    let address = proxied.view().listen;
    proxied.down(HOUR);
    let (mut client, mut server) = proxied.connect();
    handle.delete_proxy("redis").unwrap();
    client.end();
    server.end();
    assert!(handle.proxy("redis").is_none() && refused(&address));
    assert!(matches!(
        handle.delete_proxy("redis"),
        Err(ProxyError::NotFound)
    ));
    let again = config("redis", &address, proxied.upstream.address);
    let view = handle.create_proxy(again).unwrap();
    assert_eq!((view.listen, view.toxics.len()), (address, 0));
    let (mut client, mut server) = proxied.connect();
    server.send("fresh");
    assert_eq!(client.take(5), b"fresh");
}

#[test]
fn a_reset_starts_all_and_removes_every_toxic() {
    let proxied = Proxied::start();
    let handle = &proxied.sidecar.handle;
    handle
        .create_proxy(config("other", "", proxied.upstream.address))
        .unwrap();
    handle.add_toxic("other", toxic("hour", HOUR)).unwrap();
    let (mut client, mut server) = proxied.connect();
    proxied.down(HOUR);
    server.send("held");
    client.quiet(Duration::from_millis(20));
    handle
        .update_proxy("other", None, None, Some(false))
        .unwrap();
    handle.reset_proxies().unwrap();
    assert_eq!(client.take(4), b"held");
    let proxies = handle.proxies();
    assert_eq!(proxies.len(), 2);
    assert!(proxies.iter().all(|it| it.enabled && it.toxics.is_empty()));
}

#[test]
fn toxics_are_named_once_a_proxy_over_both_directions() {
    let proxied = Proxied::start();
    let handle = &proxied.sidecar.handle;
    proxied.down(HOUR);
    let twice = hormesis::toxic::Toxic {
        direction: Direction::Upstream,
        ..toxic("latency", HOUR)
    };
    let twice = handle.add_toxic("redis", twice);
    assert!(matches!(twice, Err(ProxyError::ToxicExists)));
    let none = handle.remove_toxic("redis", "none");
    assert!(matches!(none, Err(ProxyError::ToxicNotFound)));
    let none = handle.update_toxic("none", "latency", HOUR, 1.0);
    assert!(matches!(none, Err(ProxyError::NotFound)));
}

#[test]
fn a_reload_of_the_files_keeps_proxies_connections_and_toxics() {
    let base = Sidecar::tcp(Upstream::refusing());
    let proxied = Proxied::of(base.clone());
    let before = proxied.view();
    let (mut client, mut server) = proxied.connect();
    let more = "[listeners.more]\nbind = \"127.0.0.1:0\"\nupstream = \"up\"\nprotocol = \"tcp\"\n";
    let reloaded = proxied.sidecar.reload(&base.clone().with(more)).unwrap();
    assert_eq!(reloaded.opened, ["more".into()]);
    assert!(reloaded.closed.is_empty(), "{:?}", reloaded.closed);
    server.send("open");
    assert_eq!(client.take(4), b"open");
    proxied.down(HOUR);
    server.send("held");
    client.quiet(Duration::from_millis(20));
    let reloaded = proxied.sidecar.reload(&base).unwrap();
    assert_eq!(reloaded.closed, ["more".into()]);
    assert_eq!(proxied.view().listen, before.listen);
    proxied.remove("latency");
    assert_eq!(client.take(4), b"held");
    let (mut client, mut server) = proxied.connect();
    server.send("fresh");
    assert_eq!(client.take(5), b"fresh");
}

#[test]
fn no_rule_acts_on_a_proxy() {
    let base = Sidecar::tcp(Upstream::refusing());
    let proxied = Proxied::of(base.fault("disconnect = { at = \"request-head\", how = \"rst\" }"));
    let (mut client, mut server) = proxied.connect();
    server.send("whole");
    assert_eq!(client.take(5), b"whole");
}

#[test]
fn a_drain_ends_toxics_and_lets_connections_finish() {
    let mut proxied = Proxied::start();
    let (mut client, mut server) = proxied.connect();
    proxied.down(HOUR);
    server.send("held");
    client.quiet(Duration::from_millis(20));
    let draining = proxied.sidecar.drain(Duration::from_secs(20));
    assert_eq!(client.take(4), b"held");
    drop(client);
    assert_eq!(server.end(), End::Fin);
    assert_eq!(draining.join().unwrap(), hormesis::proxy::Drained::Whole);
    let late = proxied
        .sidecar
        .handle
        .create_proxy(config("late", "", "127.0.0.1:1"));
    assert!(matches!(late, Err(ProxyError::Refused(_))), "{late:?}");
}

#[test]
fn traffic_is_told_while_connections_are_open() {
    let proxied = Proxied::start();
    let figures = |direction| {
        let traffic = proxied.sidecar.handle.proxy_traffic();
        let found = traffic.into_iter().find(|it| it.direction == direction);
        let found = found.unwrap();
        assert_eq!(found.proxy, "redis");
        (found.received, found.sent)
    };
    let (mut client, mut server) = proxied.connect();
    client.send("12345");
    assert_eq!(server.take(5), b"12345");
    eventually("both are told", || figures(Direction::Upstream) == (5, 5));
    proxied.down(HOUR);
    server.send("123");
    eventually("read and not written", || {
        figures(Direction::Downstream) == (3, 0)
    });
    proxied.remove("latency");
    assert_eq!(client.take(3), b"123");
    eventually("written", || figures(Direction::Downstream) == (3, 3));
}

/// The proxy stops while a connection to its upstream is being made.
#[test]
fn a_stop_ends_connections_that_wait_for_their_upstream() {
    let sidecar = sidecar();
    // TEST-NET-1: nothing answers there, or the network says at once that it is unreachable.
    let proxy = config("slow", "", "192.0.2.1:9");
    let view = sidecar.handle.create_proxy(proxy).unwrap();
    let mut client = Wire::connect(view.listen.parse().unwrap());
    sidecar.handle.delete_proxy("slow").unwrap();
    client.rest();
}
