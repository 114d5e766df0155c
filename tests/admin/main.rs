//! The admin API over real sockets: who is let in, what is refused, and that it answers.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod access;
mod audit;
mod follow;
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use hormesis::admin::{Admin, BindError, TokenFolders};
use hormesis::call::Outcome;
use hormesis::error::Origin;
use hormesis::snapshot::AdminBind;
use serde_json::Value;
use tempfile::tempdir;

use support::{PATIENCE, Served, answer, connect, exchange, handle, samples, settings};

const ROUTES: [&str; 8] = [
    "GET /status",
    "GET /metrics",
    "GET /healthz",
    "GET /readyz",
    "POST /halt",
    "POST /resume",
    "DELETE /status",
    "GET /no-such-route",
];

#[test]
fn a_foreign_host_is_refused_on_every_route() {
    let served = Served::start(None);
    let port = served.admin.port();
    for route in ROUTES {
        for host in [
            "evil.example".to_owned(),
            format!("evil.example:{port}"),
            format!("127.0.0.1.evil.example:{port}"),
            "127.0.0.1:1".to_owned(),
            String::new(),
        ] {
            served
                .ask(route, &[&format!("Host: {host}")], b"")
                .refused(403);
        }
        // None at all, and two of which one is ours.
        exchange(connect(served.admin), route, &[], b"").refused(403);
        let two = [
            format!("Host: 127.0.0.1:{port}"),
            "Host: evil.example".to_owned(),
        ];
        served.ask(route, &[&two[0], &two[1]], b"").refused(403);
    }
    assert!(!served.handle.live().halted());
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let answer = served.ask("GET /status", &[&format!("Host: {host}:{port}")], b"");
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[test]
fn a_foreign_host_in_the_request_line_is_refused() {
    let served = Served::start(None);
    let line = format!("GET http://evil.example:{}/status", served.admin.port());
    served.ask(&line, &[], b"").refused(403);
    let line = format!("GET http://{}/status", served.admin);
    assert_eq!(served.ask(&line, &[], b"").status, 200);
}

#[test]
fn what_a_web_page_sends_is_refused_on_every_route() {
    let served = Served::start(None);
    let own = format!("Origin: http://{}", served.admin);
    for route in ROUTES {
        for header in [
            "Origin: http://evil.example",
            "Origin: null",
            &own,
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
        ] {
            served.ask(route, &[header], b"").refused(403);
        }
    }
    assert!(!served.handle.live().halted());
    // An address typed into a browser.
    let answer = served.ask("GET /status", &["Sec-Fetch-Site: none"], b"");
    assert_eq!(answer.status, 200);
}

#[test]
fn changes_are_made_by_post_only() {
    let served = Served::start(None);
    for line in [
        "GET /halt",
        "PUT /halt",
        "GET /resume",
        "POST /status",
        "OPTIONS /halt",
    ] {
        let answer = served.ask(line, &[], b"");
        answer.refused(405);
        assert!(answer.head.contains("allow: "), "{answer:?}");
    }
    served.get("/no-such-route").refused(404);
    assert!(!served.handle.live().halted());
}

#[test]
fn only_json_is_read() {
    let served = Served::start(None);
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json-seq",
    ] {
        let header = format!("Content-Type: {content_type}");
        served.ask("POST /halt", &[&header], b"{}").refused(415);
        served.ask("POST /halt", &[&header], b"").refused(415);
    }
    served.ask("POST /halt", &[], b"{}").refused(415);
    let json = "Content-Type: application/json";
    for body in ["{", "[]", r#"{"because": "x"}"#, r#"{"reason": 7}"#] {
        served
            .ask("POST /halt", &[json], body.as_bytes())
            .refused(400);
    }
    assert!(!served.handle.live().halted());
    let answer = served.ask("POST /halt", &[json], br#"{"reason": "drill"}"#);
    assert_eq!(answer.json()["halted"]["reason"], "drill");
    assert!(served.handle.live().halted());
}

#[test]
fn a_halt_that_will_not_outlive_the_process_says_so() {
    let nowhere = Served::start(None).ask("POST /halt", &[], b"").json();
    let warning = nowhere["warning"].as_str().unwrap();
    assert!(warning.contains("no `state_dir`"), "{warning}");
    let state = tempdir().unwrap();
    let kept = Served::start(Some(state.path())).ask("POST /halt", &[], b"");
    assert_eq!(kept.json()["warning"], Value::Null);
    // Gone: it cannot be written.
    let served = Served::start(Some(&state.path().join("gone")));
    fs::remove_dir_all(state.path().join("gone")).unwrap();
    let failed = served.ask("POST /halt", &[], b"").json();
    let warning = failed["warning"].as_str().unwrap();
    assert!(warning.contains("cannot write"), "{warning}");
    assert!(served.handle.live().halted());
}

#[test]
fn a_large_body_is_refused_whether_it_says_so_or_not() {
    let served = Served::start(None);
    let json = "Content-Type: application/json";
    // Announced: refused before a byte of it is read.
    let announced = ["Content-Length: 1073741824", json];
    served.ask("POST /halt", &announced, b"").refused(413);
    let mut stream = connect(served.admin);
    let head = format!(
        "POST /halt HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{json}\r\nTransfer-Encoding: chunked\r\n\r\n",
        served.admin
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
    // One byte more than 1 MiB, and no end: the answer does not wait for one.
    for _ in 0..16 {
        stream.write_all(&chunk).unwrap();
    }
    stream.write_all(b"1\r\n \r\n").unwrap();
    answer(stream).refused(413);
    assert!(!served.handle.live().halted());
}

#[test]
fn a_halt_is_kept_over_a_restart() {
    let dir = tempdir().unwrap();
    let first = Served::start(Some(dir.path()));
    assert_eq!(first.get("/status").json()["halted"], Value::Null);
    assert_eq!(first.ask("POST /halt", &[], b"").status, 200);
    let since = first.get("/status").json()["halted"]["since"].clone();
    assert!(since.is_string());
    drop(first);

    let second = Served::start(Some(dir.path()));
    assert!(second.handle.live().halted());
    assert_eq!(second.get("/status").json()["halted"]["since"], since);
    assert!(
        second
            .get("/metrics")
            .body
            .contains("\nhormesis_halted 1\n")
    );
    let token = second.bearer();
    let answer = second.ask("POST /resume", &["Content-Length: 0", &token], b"");
    assert_eq!(answer.json()["halted"], Value::Null);
    drop(second);

    assert!(!Served::start(Some(dir.path())).handle.live().halted());
}

#[test]
fn a_halt_that_cannot_be_kept_says_so_and_holds() {
    let dir = tempdir().unwrap();
    let state = dir.path().join("state");
    let served = Served::start(Some(&state));
    // The audit log is begun in it meanwhile.
    while state.exists() {
        drop(fs::remove_dir_all(&state));
    }
    let answer = served.ask("POST /halt", &[], b"").json();
    assert!(answer["warning"].is_string(), "{answer}");
    assert!(served.handle.live().halted());
}

#[test]
fn slow_clients_hold_nobody() {
    let served = Served::start(None);
    let slow: Vec<_> = (0..100)
        .map(|number| {
            let mut stream = connect(served.admin);
            let half: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET /status HT",
                _ => b"POST /halt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n",
            };
            stream.write_all(half).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(served.get("/status").status, 200);
    }
    drop(slow);
}

#[test]
fn status_tells_what_was_counted() {
    let served = Served::start(None);
    let worker = served.handle.counters().worker();
    let slot = worker.slot(&"chat".into(), "tcp");
    slot.connection_opened();
    slot.call_started();
    for _ in 0..3 {
        slot.call_started();
        slot.call_ended(
            Outcome::Ok,
            Origin::Upstream,
            Duration::from_millis(1),
            None,
        );
    }
    let status = served.get("/status").json();
    assert_eq!(status["generation"], 3);
    assert_eq!(status["seed"], 7);
    assert_eq!(status["energy"], Value::Null);
    let listener = &status["listeners"][0];
    assert_eq!(listener["bind"], "127.0.0.1:4242");
    assert_eq!(listener["connections"], 1);
    assert_eq!(listener["active"], 1);
    let call = &status["calls"][0];
    assert_eq!(call["outcome"], "ok");
    assert_eq!(call["origin"], "upstream");
    assert_eq!(call["count"], 3);
}

#[test]
fn metrics_parse_in_both_forms() {
    let served = Served::start(None);
    let slot = served
        .handle
        .counters()
        .worker()
        .slot(&"chat".into(), "tcp");
    slot.call_started();
    slot.call_ended(
        Outcome::Timeout,
        Origin::Proxy,
        Duration::from_millis(4),
        None,
    );
    let plain = served.get("/metrics");
    assert!(
        plain
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{plain:?}"
    );
    let open = served.ask(
        "GET /metrics",
        &["Accept: application/openmetrics-text; version=1.0.0"],
        b"",
    );
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text"),
        "{open:?}"
    );
    for answer in [plain, open] {
        let samples = samples(&answer.body);
        let count = |name: &str| {
            let mut found = samples.iter().filter(|(it, ..)| it == name);
            found
                .next()
                .map(|(_, labels, value)| (labels.clone(), *value))
        };
        let (labels, value) = count("hormesis_calls_total").unwrap();
        assert_eq!(
            labels,
            r#"listener="chat",protocol="tcp",outcome="timeout",origin="proxy""#
        );
        assert!((value - 1.0).abs() < f64::EPSILON);
        assert!(count("hormesis_build_info").is_some());
        assert!(count("hormesis_call_duration_seconds_bucket").is_some());
    }
}

#[test]
fn the_health_listener_tells_health_and_nothing_of_faults() {
    let served = Served::start(None);
    let ask = |line: &str, header: &str| exchange(connect(served.health), line, &[header], b"");
    // Probes come by whatever name they know, web pages do not.
    let probe = "Host: 10.1.2.3:9902";
    assert_eq!(ask("GET /healthz", probe).status, 200);
    assert_eq!(ask("GET /readyz", probe).json()["status"], "ready");
    // After an injected abort, and halted: neither is told.
    let slot = served
        .handle
        .counters()
        .worker()
        .slot(&"chat".into(), "tcp");
    slot.call_started();
    let (outcome, origin) = (Outcome::InjectedFault, Origin::Injected);
    slot.call_ended(outcome, origin, Duration::from_millis(4), None);
    served.handle.halt("too hot").unwrap();
    let metrics = ask("GET /metrics", probe);
    for told in samples(&metrics.body) {
        let (name, labels, _) = &told;
        assert!(
            !name.contains("halted") && !name.contains("rule"),
            "{told:?}"
        );
        assert!(
            !labels.contains("rule") && !labels.contains("injected"),
            "{told:?}"
        );
    }
    let rejected = r#"hormesis_calls_total{listener="chat",protocol="tcp",outcome="rejected",origin="proxy"} 1"#;
    assert!(metrics.body.contains(rejected), "{metrics:?}");
    let all = served.get("/metrics").body;
    assert!(all.contains("hormesis_rule_armed") && all.contains("\nhormesis_halted 1\n"));
    served.handle.resume().unwrap();
    for line in ["GET /status", "POST /halt", "POST /resume"] {
        ask(line, probe).refused(404);
    }
    ask("GET /metrics", "Origin: http://evil.example").refused(403);
    assert!(!served.handle.live().halted());

    served.handle.drain();
    let draining = ask("GET /readyz", probe);
    assert_eq!(
        (draining.status, &*draining.json()["status"].to_string()),
        (503, "\"draining\"")
    );
    assert_eq!(ask("GET /healthz", probe).status, 200);
    assert_eq!(served.get("/readyz").status, 503);
}

#[test]
fn a_unix_socket_is_the_owners_alone() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    // What a killed process left behind does not stand in the way.
    drop(UnixListener::bind(&path).unwrap());
    let admin = Admin::bind(&settings(AdminBind::Unix(path.clone())), None).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let thread = admin.start(handle(None), &TokenFolders::default()).unwrap();
    let ask = |header: &str| {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, "GET /status", &[header], b"")
    };
    assert_eq!(ask("Host: whatever").status, 200);
    ask("Origin: http://whatever").refused(403);
    let second = Admin::bind(&settings(AdminBind::Unix(path.clone())), None);
    assert!(matches!(second, Err(BindError::Admin { .. })), "{second:?}");
    let help = second.unwrap_err().help().unwrap();
    assert!(!help.contains("port"), "{help}");
    thread.stop();
    assert!(!path.exists());
}

#[test]
fn an_admin_api_that_is_never_served_leaves_no_socket() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let bind = settings(AdminBind::Unix(path.clone()));
    let admin = Admin::bind(&bind, None).unwrap();
    assert!(path.exists());
    drop(admin);
    assert!(!path.exists());
    let served = Served::start(None);
    Admin::bind(&bind, Some(served.health)).unwrap_err();
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("precious");
    fs::write(&path, "data").unwrap();
    Admin::bind(&settings(AdminBind::Unix(path.clone())), None).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn it_says_what_to_do_when_a_port_is_taken() {
    let served = Served::start(None);
    let taken = Admin::bind(&settings(AdminBind::Tcp(served.admin)), None).unwrap_err();
    let help = taken.help().unwrap();
    assert!(help.contains("--admin 127.0.0.1:0"), "{help}");
    let taken = Admin::bind(&settings(AdminBind::Off), Some(served.health)).unwrap_err();
    let help = taken.help().unwrap();
    assert!(help.contains("port") && !help.contains("--admin"), "{help}");
    assert!(
        Admin::bind(&settings(AdminBind::Off), None)
            .unwrap()
            .address()
            .is_none()
    );
}

fn ended(served: &Served, count: usize, outcome: Outcome) {
    let worker = served.handle.counters().worker();
    let slot = worker.slot(&"chat".into(), "http");
    for _ in 0..count {
        slot.call_started();
        slot.call_ended(outcome, Origin::Upstream, Duration::from_millis(4), None);
    }
}

#[test]
fn a_probe_tells_one_value_of_the_present() {
    let served = Served::start(None);
    let ask = |expr: &str| served.get(&format!("/probes?expr={expr}"));
    let answer = ask("error_rate(chat)").json();
    assert_eq!(answer["status"], "no_verdict");
    assert_eq!((&answer["value"], &answer["of"]), (&Value::Null, &0.into()));
    ended(&served, 30, Outcome::Ok);
    ended(&served, 10, Outcome::Timeout);
    let answer = ask("error_rate(chat)%20over%2030s").json();
    assert_eq!(answer["status"], "ok");
    assert_eq!(answer["value"], 0.25);
    assert_eq!(answer["expr"], "error_rate(chat) over 30s");
    assert_eq!(answer["unit"], "share");
    assert_eq!(answer["of"], 40);
    let answer = ask("error_rate%20%3C%2030%25").json();
    assert_eq!(
        (&answer["value"], &answer["measured"]),
        (&true.into(), &0.25.into())
    );
    let answer = ask("latency.p99%3E1s").json();
    assert_eq!(answer["value"], false);
}

#[test]
fn a_mistake_in_a_probe_is_pointed_at() {
    let served = Served::start(None);
    for (expr, at, said) in [
        ("eror_rate", "expr:1:1", "did you mean `error_rate`?"),
        ("error_rate(chatt)", "expr:1:12", "did you mean `chat`?"),
        (
            "error_rate%20%3E",
            "expr:1:13",
            "write it like `25%` or `0.25`",
        ),
    ] {
        let answer = served.get(&format!("/probes?expr={expr}"));
        answer.refused(400);
        let body = answer.json();
        assert_eq!(body["help"], said);
        assert_eq!(body["problems"][0]["at"], at);
        assert!(body["error"].as_str().unwrap().contains('\n'), "{body}");
    }
    served.get("/probes").refused(400);
    served.get("/probes?expr=rate&over=1s").refused(400);
}

#[test]
fn an_effect_is_asked_of_a_rule_and_a_window() {
    let served = Served::start(None);
    served.get("/rules/none/effect").refused(404);
    for over in ["10", "0s", "6m", "soon"] {
        served
            .get(&format!("/rules/none/effect?over={over}"))
            .refused(400);
    }
}
