//! Faults between the units of a live stream, as a client of `openai` sees it.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::sidecar::{ending, fates, waited};
use crate::support::{Running, Sidecar, Upstream, Wire};

const ROLE: &str =
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const BODY: &str = "{\"model\":\"m\",\"stream\":true,\"messages\":[]}";
const WAIT: Duration = Duration::from_millis(60);

fn token(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

fn start(upstream: &Upstream, fault: &str) -> Running {
    Sidecar::before(upstream)
        .protocol("openai")
        .fault(fault)
        .start()
}

/// Asks for a stream; its head has come to the client when this returns.
fn open(sidecar: &Running, upstream: &Upstream) -> (Wire, Wire) {
    let length = BODY.len();
    let (mut client, mut server) = sidecar.call(
        upstream,
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{BODY}"),
    );
    server.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    client.head();
    (client, server)
}

fn say(server: &mut Wire, event: &str) {
    server.send(format!("{:x}\r\n{event}\r\n", event.len()));
}

/// Reads payload of chunks, as many bytes as `event` has.
#[track_caller]
fn hear(client: &mut Wire, event: &str) -> Instant {
    let mut got = Vec::new();
    while got.len() < event.len() {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(client.take(1));
        }
        let size = std::str::from_utf8(&line).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        got.extend_from_slice(&client.take(size + 2)[..size]);
    }
    assert_eq!(std::str::from_utf8(&got).unwrap(), event);
    Instant::now()
}

#[test]
fn first_token_moves_the_first_content_and_nothing_before_it() {
    let upstream = Upstream::scripted();
    let sidecar = start(
        &upstream,
        "delay = { at = \"first-token\", fixed = \"60ms\" }",
    );
    let (mut client, mut server) = open(&sidecar, &upstream);
    // The head is here already, and the role event comes before the wait has even begun.
    say(&mut server, ROLE);
    hear(&mut client, ROLE);
    let sent = Instant::now();
    say(&mut server, &token("a"));
    say(&mut server, &token("b"));
    assert!(hear(&mut client, &token("a")) - sent >= WAIT);
    hear(&mut client, &token("b"));
    say(&mut server, DONE);
    server.send("0\r\n\r\n");
    hear(&mut client, DONE);
    assert_eq!(client.take(5), b"0\r\n\r\n");
    let record = sidecar.record();
    assert_eq!(
        (ending(&record).as_str(), fates(&record)),
        ("ok/upstream/200", vec!["applied".into()])
    );
    assert!(waited(&record, 0) >= WAIT);
    assert_eq!(
        (&record["units"], &record["tokens"]),
        (&4.into(), &2.into())
    );
    assert_eq!(record["operation"], "chat.completions");
    assert!(
        record["first_token_us"].as_u64()
            >= record["response_head_us"].as_u64().map(|it| it + 60_000)
    );
}

#[test]
fn between_tokens_widens_every_gap() {
    let upstream = Upstream::scripted();
    let sidecar = start(
        &upstream,
        "delay = { at = \"between-tokens\", fixed = \"20ms\" }",
    );
    let (mut client, mut server) = open(&sidecar, &upstream);
    let producer = std::thread::spawn(move || {
        say(&mut server, ROLE);
        let mut sent = Vec::new();
        for index in 0..8 {
            sent.push(Instant::now());
            say(&mut server, &token(&index.to_string()));
            std::thread::sleep(Duration::from_millis(10));
        }
        say(&mut server, DONE);
        server.send("0\r\n\r\n");
        (sent, server)
    });
    hear(&mut client, ROLE);
    let heard: Vec<_> = (0..8)
        .map(|it| hear(&mut client, &token(&it.to_string())))
        .collect();
    hear(&mut client, DONE);
    let (sent, _server) = producer.join().unwrap();
    // Unit k leaves at arrival(k) + d₂ + … + d_k at the earliest.
    for (index, (sent, heard)) in sent.iter().zip(&heard).enumerate() {
        let shift = Duration::from_millis(20) * u32::try_from(index).unwrap();
        assert!(*heard - *sent >= shift, "{index}: {:?}", *heard - *sent);
    }
    let record = sidecar.record();
    assert_eq!(fates(&record), ["applied"]);
    assert!(waited(&record, 0) >= Duration::from_millis(20));
}

#[test]
fn a_unit_throttle_keeps_a_least_gap_and_no_more() {
    let upstream = Upstream::scripted();
    let sidecar = start(&upstream, "throttle = { tokens_per_second = 50 }");
    let (mut client, mut server) = open(&sidecar, &upstream);
    let start = Instant::now();
    for text in ["a", "b", "c", "d", "e"] {
        say(&mut server, &token(text));
    }
    for text in ["a", "b", "c", "d", "e"] {
        hear(&mut client, &token(text));
    }
    assert!(
        start.elapsed() >= Duration::from_millis(80),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_stream_ends_where_the_rule_says() {
    for (fault, ends_well) in [
        ("truncate = { at = { token = 2 } }", false),
        ("truncate = { at = { token = 2 }, length = \"fix\" }", true),
        ("truncate = { at = { unit = 3 } }", false),
        ("disconnect = { at = { token = 3 }, how = \"fin\" }", false),
        ("disconnect = { at = { unit = 4 }, how = \"fin\" }", false),
    ] {
        let upstream = Upstream::scripted();
        let sidecar = start(&upstream, fault);
        let (mut client, mut server) = open(&sidecar, &upstream);
        for event in [ROLE, &token("a"), &token("b"), &token("c"), DONE] {
            say(&mut server, event);
        }
        for event in [ROLE, &token("a"), &token("b")] {
            hear(&mut client, event);
        }
        if ends_well {
            assert_eq!(client.take(5), b"0\r\n\r\n", "{fault}");
        } else {
            client.end();
        }
        drop(client);
        let record = sidecar.record();
        assert_eq!(ending(&record), "injected_fault/injected/200", "{fault}");
        assert_eq!(record["tokens"], 2, "{fault}");
    }
}

#[test]
fn an_error_in_the_middle_is_an_event_of_the_protocol() {
    let upstream = Upstream::scripted();
    let sidecar = start(
        &upstream,
        "abort = { at = { token = 2 }, error = \"out_of_memory\" }",
    );
    let (mut client, mut server) = open(&sidecar, &upstream);
    for event in [ROLE, &token("a"), &token("b")] {
        say(&mut server, event);
    }
    hear(&mut client, ROLE);
    hear(&mut client, &token("a"));
    let (rest, _) = {
        server.end();
        client.finish();
        client.rest()
    };
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.contains("data: {\"error\":") && rest.ends_with("\r\n0\r\n\r\n"),
        "{rest:?}"
    );
    assert!(!rest.contains("\"b\""));
}

#[test]
fn a_stall_inside_a_stream_is_released_when_the_rule_is_disarmed() {
    let upstream = Upstream::scripted();
    let sidecar = start(&upstream, "stall = { at = { token = 2 } }");
    let (mut client, mut server) = open(&sidecar, &upstream);
    for event in [ROLE, &token("a"), &token("b")] {
        say(&mut server, event);
    }
    hear(&mut client, ROLE);
    hear(&mut client, &token("a"));
    client.quiet(Duration::from_millis(30));
    sidecar.handle.disarm("r1").unwrap();
    hear(&mut client, &token("b"));
    say(&mut server, DONE);
    server.send("0\r\n\r\n");
    hear(&mut client, DONE);
    let record = sidecar.record();
    assert_eq!(
        (ending(&record).as_str(), fates(&record)),
        ("ok/upstream/200", vec!["revoked".into()])
    );
}

#[test]
fn units_that_hide_are_left_alone() {
    let upstream = Upstream::scripted();
    let sidecar = start(
        &upstream,
        "delay = { at = \"first-token\", fixed = \"60ms\" }",
    );
    let length = BODY.len();
    for fields in [
        "Content-Encoding: gzip\r\nContent-Type: text/event-stream\r\n",
        "",
    ] {
        let (mut client, mut server) = sidecar.call(
            &upstream,
            format!("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{BODY}"),
        );
        server.send(format!(
            "HTTP/1.1 200 OK\r\n{fields}Content-Length: 3\r\nConnection: close\r\n\r\nabc"
        ));
        assert_eq!(client.answer().text(), "abc");
    }
    let records = sidecar.records();
    assert_eq!(fates(&records[0]), ["not_applicable:encoding"]);
    assert!(
        fates(&records[1])[0].starts_with("not_applicable"),
        "{:#}",
        records[1]
    );
}
