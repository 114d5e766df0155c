use std::collections::BTreeMap;

use serde_json::json;

use crate::call::{Phase, Side};
use crate::effect::{Effect, ListenerLevel, NotApplicable, Planned, Rate, RuleToken, WaitTime};
use crate::law::Law;
use crate::record::Timing;
use crate::record::reference::{hold_section, section};
use crate::rule::Denied;

use super::*;

fn token(rule: &str) -> RuleToken {
    RuleToken {
        rule: rule.into(),
        index: 0,
        epoch: 3,
    }
}

fn effect(time: WaitTime, fate: Fate) -> EffectRecord {
    EffectRecord {
        planned: Planned {
            token: token("slow-first-token"),
            fault: "delay",
            fault_index: 0,
            effect: Effect::Wait {
                at: Phase::FirstToken,
                side: Side::Response,
                time,
            },
        },
        fate,
        waited: Some(Duration::from_micros(300_042)),
    }
}

/// A record in which every field says something.
fn full() -> Record {
    Record {
        id: 4711,
        started: SystemTime::UNIX_EPOCH + Duration::from_micros(1_767_225_600_000_123),
        listener: "chat".into(),
        protocol: "openai",
        upstream: Some("llm".into()),
        number: 12,
        peer: Some("127.0.0.1:40312".parse().unwrap()),
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        description: Description {
            operation: Some("chat.completions".into()),
            model: Some("llama-3".to_owned()),
            version: Some("1".to_owned()),
            stream: Some(true),
            prompt_chars: Some(120),
            max_tokens: Some(64),
        },
        verdicts: vec![Verdict {
            token: token("slow-first-token"),
            draw: Some(0.0625),
            kind: VerdictKind::Hit,
        }],
        admissions: vec![Admission::Go, Admission::Wait(Duration::from_millis(2))],
        effects: vec![effect(
            WaitTime::Once(Duration::from_millis(300)),
            Fate::Applied,
        )],
        toxics: Vec::new(),
        origin: Origin::Upstream,
        outcome: Outcome::Ok,
        status: Some(200),
        reason: Some("none".to_owned()),
        timing: Timing {
            upstream_sent: Some(Duration::from_micros(90)),
            response_head: Some(Duration::from_millis(40)),
            first_token: Some(Duration::from_micros(351_000)),
            total: Duration::from_millis(900),
            injected: Duration::from_micros(300_042),
        },
        request_bytes: 310,
        response_bytes: 5200,
        units: 33,
        tokens: 30,
        attempt: Some(1),
        trace: Some(TraceContext {
            trace: [0x0a; 16],
            span: [0xb7; 8],
            parent: None,
            flags: 1,
        }),
    }
}

fn full_energy() -> EnergyLine {
    EnergyLine {
        call: 4711,
        dynamic: Some(MicroJoules(3_120_000)),
        zombie: Some(MicroJoules(4)),
        idle: Some(MicroJoules(90_000)),
        low: Some(MicroJoules(2_900_000)),
        high: Some(MicroJoules(3_300_000)),
        tier: Some("measured"),
        split: "upstream-active",
        windows: 9,
        gap_ms: 0,
        meters: vec!["rapl/package-0".into()],
        concurrency: Some(1.5),
        flags: vec!["host_shared"],
    }
}

fn line(item: &impl ToLine) -> Value {
    let mut text = b"left over".to_vec();
    render(&mut text, item);
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    assert!(text.ends_with('\n'), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Field and type, as a section of the document tells them.
fn documented(name: &str) -> BTreeMap<String, String> {
    let row = |row: &str| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let field = cells.next().unwrap().trim_matches('`').to_owned();
        (field, cells.next().unwrap().to_owned())
    };
    section("decision-log.md", name).lines().map(row).collect()
}

fn written(value: &Value) -> BTreeMap<String, String> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    let map = value.as_object().unwrap().iter();
    map.map(|(key, value)| (key.clone(), kind(value).to_owned()))
        .collect()
}

#[test]
fn the_document_tells_every_field_and_its_type() {
    let call = line(&full());
    assert_eq!(written(&call), documented("call"));
    let mut rule = full();
    rule.verdicts[0].kind = VerdictKind::Denied(Denied::Limit);
    assert_eq!(written(&line(&rule)["rules"][0]), documented("rules"));
    let mut effects = full();
    effects.effects[0].fate = Fate::NotApplicable(NotApplicable::NoUnits);
    let effects = line(&effects);
    assert_eq!(written(&effects["effects"][0]), documented("effects"));
    assert_eq!(written(&line(&full_energy())), documented("energy"));
}

#[test]
fn the_example_in_the_document_is_what_is_written() {
    let mut call = full();
    call.reason = None;
    let lines = [to_text(&call), to_text(&full_energy())].concat();
    let lines = String::from_utf8(lines).unwrap();
    hold_section(
        "decision-log.md",
        "example",
        &format!("```json\n{lines}```\n"),
    );
}

fn to_text(item: &impl ToLine) -> Vec<u8> {
    let mut text = Vec::new();
    render(&mut text, item);
    text
}

#[test]
fn times_are_utc_and_lengths_are_micros() {
    let call = line(&full());
    assert_eq!(call["time"], "2026-01-01T00:00:00.000123Z");
    assert_eq!(call["total_us"], 900_000);
    assert_eq!(call["admissions"], json!(["go", {"wait_us": 2000}]));
    let effect = &call["effects"][0];
    assert_eq!(effect["waited_us"], 300_042);
    assert_eq!(
        effect["effect"],
        json!({"wait": {"at": "first-token", "side": "response", "time": {"once_us": 300_000}}})
    );
}

#[test]
fn a_law_is_told_with_its_parameters() {
    let law = Law::Uniform {
        min: Duration::from_millis(20),
        max: Duration::from_micros(21_500),
    };
    let mut record = full();
    record.effects = vec![effect(WaitTime::Each { law, sub_seed: 7 }, Fate::Revoked)];
    let told = line(&record);
    let each = &told["effects"][0]["effect"]["wait"]["time"]["each"];
    assert_eq!(each["sub_seed"], 7);
    let expected = json!({"uniform": {"min_us": 20_000, "max_us": 21_500}});
    assert_eq!(each["law"], expected);
    assert_eq!(told["effects"][0]["fate"], "revoked");
}

#[test]
fn what_says_nothing_is_left_out_and_nothing_breaks_a_line() {
    let mut record = full();
    record.upstream = None;
    record.peer = None;
    record.description = Description::default();
    record.status = None;
    record.path = "/a\nb\"\u{2028}\0".to_owned();
    record.started = SystemTime::UNIX_EPOCH - Duration::from_secs(9);
    record.timing.total = Duration::MAX;
    let told = line(&record);
    for gone in ["upstream", "peer", "model", "operation", "status"] {
        assert!(told.get(gone).is_none(), "{gone}");
    }
    assert_eq!(told["path"], record.path);
    assert_eq!(told["time"], "1970-01-01T00:00:00.000000Z");
    assert_eq!(told["total_us"], u64::MAX);
    let unresolved = line(&EnergyLine::default());
    assert_eq!(unresolved["dyn_uj"], Value::Null);
}

#[test]
fn a_clock_gone_mad_is_shown_at_the_end_of_time() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    assert_eq!(rfc3339(far), "9999-12-31T23:59:59.999999Z");
}

#[test]
fn a_note_says_when_and_what() {
    let note = crate::record::NoteLine {
        time: SystemTime::UNIX_EPOCH,
        text: "deployed \"1.4.2\"".to_owned(),
    };
    assert_eq!(
        String::from_utf8(to_text(&note)).unwrap(),
        "{\"kind\":\"note\",\"time\":\"1970-01-01T00:00:00.000000Z\",\"text\":\"deployed \\\"1.4.2\\\"\"}\n"
    );
}

/// No length of time is written as serde would write one, and what is written reads back.
#[test]
fn lengths_of_time_are_microseconds_in_all_that_is_data() {
    fn holds<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(data: &T) {
        let text = serde_json::to_string(data).unwrap();
        assert!(!text.contains("secs") && !text.contains("null"), "{text}");
        let times = text.matches("_us\":").count();
        assert_eq!(times, text.matches(":1500").count(), "{text}");
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *data, "{text}");
    }

    let time = Duration::from_micros(1500);
    let (at, side) = (Phase::BeforeUpstream, Side::Request);
    let wait = |time| Effect::Wait { at, side, time };
    let pace = |rate| Effect::Pace { side, rate };
    let laws = [
        Law::Fixed(time),
        Law::Exponential { mean: time },
        Law::Normal {
            mean: time,
            sd: time,
        },
        Law::Uniform {
            min: time,
            max: time,
        },
        Law::Lognormal {
            median: time,
            sigma: 0.5,
        },
    ];
    for law in laws {
        let law = Law::Capped {
            max: time,
            law: Box::new(law),
        };
        holds(&wait(WaitTime::Each { law, sub_seed: 7 }));
    }
    for effect in [
        wait(WaitTime::Once(time)),
        pace(Rate::Tokens { gap: time }),
        pace(Rate::Units { gap: time }),
        Effect::Blackhole {
            at,
            side,
            time: Some(time),
        },
        Effect::Blackhole {
            at,
            side,
            time: None,
        },
        Effect::Send {
            times: 2,
            gap: time,
            cap: 10,
        },
        Effect::Level {
            state: ListenerLevel::SlowAccept(time),
        },
    ] {
        holds(&effect);
    }
    holds(&Admission::Wait(time));
}
