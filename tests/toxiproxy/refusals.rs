//! Where hormesis differs: what would crash or open Toxiproxy is refused, and beside the sidecar
//! its configuration says what proxies may be.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::server::Server;

#[test]
fn what_would_crash_toxiproxy_is_refused() {
    let server = Server::toxiproxy(&[]);
    let made = server.post("/proxies", r#"{"name":"a","upstream":"localhost:1"}"#);
    assert_eq!(made.status, 201);
    for (body, said) in [
        (r#"{"type":"slicer"}"#, "average_size is 0"),
        (
            r#"{"type":"slicer","attributes":{"average_size":64,"size_variation":65}}"#,
            "size_variation is 65",
        ),
        (
            r#"{"type":"bandwidth","attributes":{"rate":-1}}"#,
            "rate is -1",
        ),
        (
            r#"{"type":"latency","attributes":{"jitter":9223372036854775807}}"#,
            "jitter is",
        ),
    ] {
        let answer = server.post("/proxies/a/toxics", body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(said), "{answer:?}");
    }
    let slicer = r#"{"type":"slicer","attributes":{"average_size":64,"size_variation":32}}"#;
    assert_eq!(server.post("/proxies/a/toxics", slicer).status, 200);
    let path = "/proxies/a/toxics/slicer_downstream";
    let worse = server.post(path, r#"{"attributes":{"average_size":1}}"#);
    assert_eq!(worse.status, 400, "{worse:?}");
    // A change that is refused changes nothing.
    let kept = server.get(path).json();
    assert_eq!(kept["attributes"]["average_size"], 64);
}

#[test]
fn an_empty_listen_means_loopback() {
    let server = Server::toxiproxy(&[]);
    let made = server.post("/proxies", r#"{"name":"a","upstream":"localhost:1"}"#);
    let listen = made.json()["listen"].as_str().unwrap().to_owned();
    assert!(listen.starts_with("127.0.0.1:"), "{listen}");
    TcpStream::connect(listen).unwrap();
}

#[test]
fn web_pages_and_huge_bodies_are_refused() {
    let server = Server::toxiproxy(&[]);
    for field in [
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        for (method, path) in [("GET", "/proxies"), ("POST", "/reset")] {
            let answer = server.ask(method, path, &[field], "");
            assert_eq!(answer.status, 403, "{answer:?}");
        }
    }
    let huge = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(server.post("/proxies", &huge).status, 413);
    let deep = "[".repeat(100_000);
    assert_eq!(server.post("/proxies", &deep).status, 400);
    assert_eq!(server.get("/version").status, 200);
}

#[test]
fn beside_the_sidecar_its_configuration_says_what_proxies_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = folder.path().join("hormesis.toml");
    let allowed = upstream.local_addr().unwrap();
    std::fs::write(
        &file,
        format!(
            r#"
[admin]
bind = "off"
[toxiproxy]
bind = "127.0.0.1:0"
allow_upstreams = ["{allowed}"]
"#
        ),
    )
    .unwrap();
    let server = Server::start(&["run", "--log-json", file.to_str().unwrap()]);
    let create = |name: &str, listen: &str, upstream: &str| {
        let body = serde_json::json!({"name": name, "listen": listen, "upstream": upstream});
        server.post("/proxies", &body.to_string())
    };
    assert_eq!(create("a", "127.0.0.1:0", &allowed.to_string()).status, 201);
    assert_eq!(create("b", "", &allowed.to_string()).status, 201);
    for (listen, upstream, said) in [
        ("127.0.0.1:0", "localhost:1", "allow_upstreams"),
        ("0.0.0.0:0", &*allowed.to_string(), "expose = true"),
        (":0", &*allowed.to_string(), "expose = true"),
        ("example.com:0", &*allowed.to_string(), "expose = true"),
    ] {
        let answer = create("c", listen, upstream);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.contains(said), "{answer:?}");
    }
    let moved = server.post("/proxies/a", r#"{"upstream":"10.0.0.1:80"}"#);
    assert_eq!(moved.status, 403, "{moved:?}");
    let populated = server.post(
        "/populate",
        r#"[{"name":"d","listen":"127.0.0.1:0","upstream":"10.0.0.1:80"}]"#,
    );
    assert_eq!(populated.status, 403, "{populated:?}");
    assert_eq!(server.get("/proxies/d").status, 404);
    // What is refused takes nothing away.
    let before = server.get("/proxies/a").json();
    let populated = server.post(
        "/populate",
        r#"[{"name":"a","listen":"127.0.0.1:0","upstream":"10.0.0.1:80"}]"#,
    );
    assert_eq!(populated.status, 403, "{populated:?}");
    assert_eq!(server.get("/proxies/a").json(), before);
}

#[test]
fn no_proxy_leads_to_where_the_sidecar_takes_orders() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hormesis.toml");
    let config = r#"
state_dir = "STATE"
[admin]
bind = "127.0.0.1:0"
[health]
bind = "0.0.0.0:0"
[toxiproxy]
bind = "127.0.0.1:0"
allow_upstreams = ["*"]
"#;
    let state = folder.path().join("state");
    let config = config.replace("STATE", state.to_str().unwrap());
    std::fs::write(&file, config).unwrap();
    let server = Server::start(&["run", "--log-json", file.to_str().unwrap()]);
    let port_of = |said: &str| {
        let address = server.logged_address(said);
        address.rsplit_once(':').unwrap().1.to_owned()
    };
    let own = [
        port_of("admin listening"),
        port_of("health listening"),
        port_of("Toxiproxy API listening"),
    ];
    let create = |name: &str, upstream: &str| {
        let body = serde_json::json!({"name": name, "upstream": upstream});
        server.post("/proxies", &body.to_string())
    };
    for port in &own {
        for host in [
            "127.0.0.1",
            "localhost",
            "",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
        ] {
            let answer = create("c", &format!("{host}:{port}"));
            assert_eq!(answer.status, 403, "{answer:?}");
            assert!(answer.body.contains("takes orders"), "{answer:?}");
        }
    }
    let admin = &own[0];
    assert_eq!(create("a", "127.0.0.1:1").status, 201);
    let moved = format!(r#"{{"upstream":"127.0.0.1:{admin}"}}"#);
    assert_eq!(server.post("/proxies/a", &moved).status, 403);
    // A name says where it leads only when it is resolved: this is 127.0.0.1 to every resolver.
    let made = create("named", &format!("127.1:{admin}"));
    assert_eq!(made.status, 201, "{made:?}");
    let listen = made.json()["listen"].as_str().unwrap().to_owned();
    let mut client = TcpStream::connect(listen).unwrap();
    let asked = client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut got = Vec::new();
    // Closed or reset, as it comes; nothing is answered.
    let read = asked.and_then(|()| client.read_to_end(&mut got));
    assert!(
        got.is_empty(),
        "{read:?}: {}",
        String::from_utf8_lossy(&got)
    );
}

#[test]
fn of_many_changes_at_once_none_is_lost() {
    let server = Server::toxiproxy(&[]);
    server.post("/proxies", r#"{"name":"a","upstream":"localhost:1"}"#);
    let slicer = r#"{"type":"slicer","attributes":{"average_size":1000}}"#;
    server.post("/proxies/a/toxics", slicer);
    let path = "/proxies/a/toxics/slicer_downstream";
    thread::scope(|scope| {
        for key in ["size_variation", "delay"] {
            let server = &server;
            scope.spawn(move || {
                for value in 1..=200 {
                    let body = format!(r#"{{"attributes":{{"{key}":{value}}}}}"#);
                    let answer = server.ask("PATCH", path, &[], &body);
                    assert_eq!(answer.json()["attributes"][key], value);
                }
            });
        }
    });
    let kept = server.get(path).json();
    assert_eq!(kept["attributes"]["size_variation"], 200);
    assert_eq!(kept["attributes"]["delay"], 200);
}
