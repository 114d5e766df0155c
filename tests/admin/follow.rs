//! `GET /decisions` and `GET /energy`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hormesis::call::{Description, Outcome};
use hormesis::effect::RuleToken;
use hormesis::error::Origin;
use hormesis::record::{
    EnergyClass, EnergyTotals, Facts, OutcomeEnergy, Record, RecordSender, Timing,
};
use hormesis::rule::{Denied, Verdict, VerdictKind};
use hormesis::snapshot::{AdminAccess, AdminSettings, Scope, Scopes, Token};
use hormesis::units::MicroJoules;
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{Served, connect, loopback};

/// Less than how long an answer may wait for its reader.
const GIVEN_UP: Duration = Duration::from_secs(8);

fn record(number: u64, listener: &str, outcome: Outcome) -> Record {
    Record {
        id: number,
        started: SystemTime::UNIX_EPOCH,
        listener: listener.into(),
        protocol: "http",
        upstream: None,
        number,
        peer: None,
        method: String::new(),
        path: String::new(),
        description: Description::default(),
        verdicts: vec![Verdict {
            token: RuleToken {
                rule: "slow".into(),
                index: 0,
                epoch: 0,
            },
            draw: None,
            kind: VerdictKind::Denied(Denied::DryRun),
        }],
        admissions: Vec::new(),
        effects: Vec::new(),
        toxics: Vec::new(),
        origin: Origin::Upstream,
        outcome,
        status: None,
        reason: None,
        timing: Timing::default(),
        request_bytes: 0,
        response_bytes: 0,
        units: 0,
        tokens: 0,
        attempt: None,
        trace: None,
    }
}

fn send(sender: &RecordSender, record: Record) {
    let facts = Facts {
        call: record.id,
        selected: true,
        fired: true,
    };
    assert!(sender.is_followed(facts), "somebody follows");
    sender.send(record, false);
}

/// A client that reads server-sent events as they come.
struct Following(BufReader<TcpStream>);

impl Following {
    fn start(served: &Served, query: &str) -> Self {
        Self::with(served, query, "")
    }

    fn with(served: &Served, query: &str, headers: &str) -> Self {
        let mut stream = connect(served.admin);
        let head = format!(
            "GET /decisions{query} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            served.admin
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut following = Self(BufReader::new(stream));
        let head = following.until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(
            head.contains("content-type: text/event-stream\r\n"),
            "{head}"
        );
        // From here on nothing is missed.
        following.until(": following\n\n");
        following
    }

    fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            assert_ne!(self.0.read_line(&mut text).unwrap(), 0, "{text}");
        }
        text
    }

    /// The next event: its name and its data.
    fn event(&mut self) -> (String, Value) {
        let name = self.until("\n");
        let name = loop_to(self, name, "event: ");
        let data = self.until("\n");
        let data = loop_to(self, data, "data: ");
        (name, serde_json::from_str(&data).unwrap())
    }
}

/// Reads on until a line begins so, past chunk sizes and blank lines.
fn loop_to(following: &mut Following, mut line: String, prefix: &str) -> String {
    loop {
        if let Some(rest) = line.trim_end().strip_prefix(prefix) {
            return rest.to_owned();
        }
        line = following.until("\n");
    }
}

#[test]
fn decisions_come_as_they_are_made_and_as_they_are_asked_for() {
    let mut served = Served::start(None);
    let sender = served.log().sender();
    let mut all = Following::start(&served, "");
    let mut none = Following::start(&served, "?rule=another");
    let mut some = Following::start(&served, "?listener=chat&outcome=timeout&rule=slow");
    send(&sender, record(1, "chat", Outcome::Ok));
    send(&sender, record(2, "other", Outcome::Timeout));
    send(&sender, record(3, "chat", Outcome::Timeout));
    for number in 1..=3 {
        let (name, data) = all.event();
        assert_eq!((&*name, data["call"].as_u64()), ("decision", Some(number)));
        assert_eq!(data["kind"], "call");
    }
    let (_, data) = some.event();
    assert_eq!(data["call"], 3);
    served.stop();
    let mut rest = String::new();
    drop(none.0.read_to_string(&mut rest));
    assert!(!rest.contains("decision"), "{rest}");
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let served = Served::start(None);
    for query in ["?outcome=fine", "?origin=us", "?ruel=x"] {
        served.get(&format!("/decisions{query}")).refused(400);
    }
    served.get("/energy?by=colour").refused(400);
}

#[test]
fn who_follows_and_does_not_read_holds_nobody() {
    let served = Served::start(None);
    let sender = served.log().sender();
    let begun = Instant::now();
    let stuck = Following::start(&served, "");
    let mut quick = Following::start(&served, "");
    for number in 0..20_000 {
        let mut record = record(number, "chat", Outcome::Ok);
        record.path = "/".repeat(500);
        send(&sender, record);
        // A full ring drops: the reader of the ring is to be ahead.
        if number % 500 == 499 {
            let mut last = 0;
            while last < number {
                let (name, data) = quick.event();
                assert_eq!(name, "decision");
                last = data["call"].as_u64().unwrap();
            }
            assert_eq!(served.get("/status").status, 200);
        }
    }
    assert_eq!(served.handle.status().decisions.dropped, 0);
    // What it missed is told once it reads, unless that was so long that it was given up.
    let mut stuck = stuck;
    let mut seen = 0;
    let mut missed = 0;
    if begun.elapsed() > GIVEN_UP {
        return;
    }
    while seen + missed < 20_000 {
        let (name, data) = stuck.event();
        match &*name {
            "dropped" => missed += data["count"].as_u64().unwrap(),
            _ => seen += 1,
        }
    }
    assert!(missed > 0);
    assert_eq!(seen + missed, 20_000);
}

#[test]
fn who_follows_with_a_token_that_is_taken_back_sees_no_more() {
    let token = |name: &str| {
        let secret = format!("{name}-secret");
        Token::new(name, secret.as_bytes(), Scopes::of(&[Scope::Read]))
    };
    let access = |names: &[&str]| {
        Arc::new(AdminAccess {
            tokens: names.iter().map(|it| token(it)).collect(),
            ..AdminAccess::default()
        })
    };
    let settings = AdminSettings {
        access: access(&["kept", "lost"]),
        ..loopback()
    };
    let served = Served::with(&settings, None);
    let of = |name: &str| {
        let header = format!("Authorization: Bearer {name}-secret\r\n");
        Following::with(&served, "", &header)
    };
    let (mut kept, mut lost) = (of("kept"), of("lost"));
    // A change that leaves both.
    served
        .handle
        .set_admin_access(access(&["lost", "kept", "new"]));
    let sender = served.log().sender();
    send(&sender, record(1, "chat", Outcome::Ok));
    assert_eq!(kept.event().1["call"], 1);
    assert_eq!(lost.event().1["call"], 1);
    served.handle.set_admin_access(access(&["kept"]));
    send(&sender, record(2, "chat", Outcome::Ok));
    assert_eq!(kept.event().1["call"], 2);
    // Its answer ends, and the connection may stay.
    let rest = lost.until("0\r\n");
    assert!(!rest.contains("decision"), "{rest}");
}

#[test]
fn only_so_many_follow_and_a_stop_ends_them() {
    let mut served = Served::start(None);
    let mut following: Vec<_> = (0..32).map(|_| Following::start(&served, "")).collect();
    served.get("/decisions").refused(429);
    served.stop();
    for it in &mut following {
        let mut rest = Vec::new();
        drop(it.0.read_to_end(&mut rest));
    }
}

#[test]
fn energy_is_put_together_as_asked_and_null_where_nothing_measures_it() {
    let served = Served::start(None);
    let none = served.get("/energy").json();
    assert_eq!(
        (&none["by"], &none["totals"]),
        (&"outcome".into(), &Value::Null)
    );
    assert_eq!(none["groups"], Value::Null);
    served.handle.set_energy(Box::new(|| {
        let sum = |uj| OutcomeEnergy {
            dynamic: Some(MicroJoules(uj)),
            calls: 1,
            ..OutcomeEnergy::default()
        };
        let class = |listener: &str, uj| EnergyClass {
            meter: "rapl".into(),
            domain: "package".into(),
            outcome: "ok",
            listener: listener.into(),
            rule: "".into(),
            energy: MicroJoules(uj),
        };
        Some(EnergyTotals {
            by_outcome: [("ok", sum(30))].into(),
            by_rule: [(Arc::from("slow"), sum(20))].into(),
            classes: vec![class("chat", 10), class("chat", 15), class("features", 5)],
            ..EnergyTotals::default()
        })
    }));
    let of = |by: &str| served.get(&format!("/energy?by={by}")).json()["groups"].clone();
    assert_eq!(of("outcome")["ok"]["dyn_uj"], 30);
    assert_eq!(of("rule")["slow"]["dyn_uj"], 20);
    assert_eq!(of("model"), serde_json::json!({}));
    let listeners = of("listener");
    assert_eq!(listeners["chat"]["dyn_uj"], 25);
    assert_eq!(listeners["features"]["dyn_uj"], 5);
    assert_eq!(listeners["chat"]["idle_uj"], Value::Null);
}
