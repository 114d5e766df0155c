//! The audit log: every change and every refusal is in it, by whom, in an unbroken chain.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hormesis::admin::verify;
use hormesis::snapshot::{AdminAccess, AdminSettings, Scope, Scopes, Token};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Served, loopback};

fn settings() -> AdminSettings {
    let token = |name: &str, scopes: &[Scope]| {
        Token::new(
            name,
            format!("{name}-secret").as_bytes(),
            Scopes::of(scopes),
        )
    };
    AdminSettings {
        access: Arc::new(AdminAccess {
            tokens: vec![
                token("reader", &[Scope::Read]),
                token("stopper", &[Scope::Halt]),
                token("writer", &[Scope::Write]),
            ],
            ..AdminAccess::default()
        }),
        ..loopback()
    }
}

/// What each line tells, but for one that is still being written.
fn lines(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("audit.jsonl")).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn every_change_and_every_refusal_is_told_with_who_and_what() {
    let dir = tempdir().unwrap();
    let mut served = Served::with(&settings(), Some(dir.path()));
    let json = "Content-Type: application/json";
    let of = |name: &str| format!("Authorization: Bearer {name}-secret");
    served.get("/status");
    for (line, headers, body) in [
        // A page on another origin; DNS rebinding; a simple form's POST.
        ("GET /status", vec!["Origin: http://evil.example"], ""),
        ("GET /status", vec!["Host: evil.example"], ""),
        ("POST /halt", vec!["Content-Type: text/plain"], "{}"),
        // No token, a wrong one, one that may read, one that may stop.
        ("POST /resume", vec![], ""),
        ("POST /resume", vec!["Authorization: Bearer nobodys"], ""),
        ("POST /resume", vec![&of("reader")], ""),
        ("POST /resume", vec![&of("stopper")], ""),
        // And what is done.
        (
            "POST /halt",
            vec![json, &of("stopper")],
            r#"{"reason": "drill"}"#,
        ),
        ("POST /resume", vec![&of("writer")], ""),
    ] {
        let headers: Vec<&str> = headers.clone();
        served.ask(line, &headers, body.as_bytes());
    }
    served.stop();
    let told: Vec<_> = lines(dir.path())
        .iter()
        .filter(|it| it["method"].is_string())
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap_or("-").to_owned();
            assert!(text("peer").starts_with("127.0.0.1:"), "{it}");
            (
                text("event"),
                text("path"),
                it["status"].as_u64().unwrap(),
                text("token"),
            )
        })
        .collect();
    let line = |event: &str, path: &str, status: u64, token: &str| {
        (event.to_owned(), path.to_owned(), status, token.to_owned())
    };
    assert_eq!(
        told,
        [
            line("refused", "/status", 403, "-"),
            line("refused", "/status", 403, "-"),
            line("refused", "/halt", 415, "-"),
            line("refused", "/resume", 401, "-"),
            line("refused", "/resume", 401, "(wrong)"),
            line("refused", "/resume", 403, "reader"),
            line("refused", "/resume", 403, "stopper"),
            line("changed", "/halt", 200, "stopper"),
            line("changed", "/resume", 200, "writer"),
        ]
    );
    let text = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    assert!(text.contains("requests of web pages are refused"), "{text}");
    assert!(
        !text.contains("-secret") && !text.contains("nobodys"),
        "{text}"
    );
}

#[test]
fn a_halt_by_whomever_is_told_with_its_reason_and_the_chain_goes_on_after_a_restart() {
    let dir = tempdir().unwrap();
    for round in 1..=3 {
        let mut served = Served::with(&settings(), Some(dir.path()));
        served.handle.halt(&format!("round {round}")).unwrap();
        // Told by who looks every 200 ms.
        let halted = || {
            let lines = lines(dir.path());
            lines.iter().filter(|it| it["event"] == "halted").count() >= round
        };
        let deadline = std::time::SystemTime::now() + crate::support::PATIENCE;
        while !halted() && std::time::SystemTime::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        served.stop();
    }
    let lines = lines(dir.path());
    let events: Vec<_> = lines
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events.iter().filter(|it| **it == "started").count(),
        3,
        "{events:?}"
    );
    assert_eq!(
        events.iter().filter(|it| **it == "stopped").count(),
        3,
        "{events:?}"
    );
    let halt = lines.iter().find(|it| it["event"] == "halted").unwrap();
    assert_eq!(halt["detail"]["reason"], "round 1");
    let text = fs::read(dir.path().join("audit.jsonl")).unwrap();
    let verified = verify(&text[..]).unwrap();
    assert_eq!((verified.first, verified.last), (1, lines.len() as u64));
}

#[test]
fn a_disk_that_is_full_stops_nothing_and_is_counted() {
    let settings = AdminSettings {
        audit: Some("/dev/full".into()),
        ..settings()
    };
    let served = Served::with(&settings, None);
    for _ in 0..20 {
        assert_eq!(served.ask("POST /halt", &[], b"").status, 200);
    }
    let unwritten = || {
        let text = served.get("/metrics").body;
        let line = text
            .lines()
            .find(|it| it.starts_with("hormesis_audit_unwritten_total "));
        line.unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let deadline = std::time::SystemTime::now() + crate::support::PATIENCE;
    while unwritten() < 20.0 && std::time::SystemTime::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(unwritten() >= 20.0);
}

#[test]
fn a_flood_of_refusals_is_told_in_part_and_counted_whole() {
    let dir = tempdir().unwrap();
    let mut served = Served::with(&settings(), Some(dir.path()));
    for _ in 0..200 {
        served
            .ask("GET /status", &["Host: evil.example"], b"")
            .refused(403);
    }
    assert_eq!(served.ask("POST /halt", &[], b"").status, 200);
    served.stop();
    let lines = lines(dir.path());
    let refused = lines.iter().filter(|it| it["event"] == "refused").count() as u64;
    let told: u64 = lines.iter().filter_map(|it| it["unwritten"].as_u64()).sum();
    assert_eq!(refused + told, 200);
    assert!((10..100).contains(&refused), "{refused}");
}

#[test]
fn what_is_not_done_is_no_change_and_strangers_cannot_fill_the_log_with_it() {
    let dir = tempdir().unwrap();
    let mut served = Served::with(&settings(), Some(dir.path()));
    let empty = "Content-Length: 0";
    let writer = "Authorization: Bearer writer-secret";
    // With a right token all is told: nothing slows down who can be named.
    for _ in 0..50 {
        served
            .ask("POST /rules/x/arm", &[writer, empty], b"")
            .refused(404);
    }
    for _ in 0..200 {
        served.ask("POST /nope", &[empty], b"").refused(404);
    }
    served
        .ask("POST /halt", &["Content-Type: application/json"], b"[]")
        .refused(400);
    served.get("/nope").refused(404);
    served.stop();
    let lines = lines(dir.path());
    assert!(lines.iter().all(|it| it["event"] != "changed"), "{lines:?}");
    let refused = |path: &str| {
        let lines = lines.iter();
        let told = lines.filter(|it| it["event"] == "refused" && it["path"] == path);
        told.count() as u64
    };
    assert_eq!(refused("/rules/x/arm"), 50);
    assert!((5..100).contains(&refused("/nope")), "{}", refused("/nope"));
    let untold: u64 = lines.iter().filter_map(|it| it["unwritten"].as_u64()).sum();
    assert!(refused("/nope") + refused("/halt") + untold <= 201);
}
