use clap::Parser;

use super::*;
use crate::fault::registry;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    add: AddArguments,
}

fn body(line: &[&str]) -> Value {
    let typed = [&["add"], line].concat();
    RuleText::of(&Line::try_parse_from(typed).unwrap().add)
        .unwrap()
        .body
}

fn complaint(line: &[&str]) -> String {
    let typed = [&["add"], line].concat();
    let parsed = Line::try_parse_from(typed).unwrap();
    RuleText::of(&parsed.add).unwrap_err().0
}

#[test]
fn every_kind_can_be_added_by_its_name_alone() {
    for info in registry() {
        let body = body(&[info.name, "--on", "chat"]);
        let fault: FaultConfig = serde_json::from_value(body["faults"][0].clone()).unwrap();
        assert!(fault.build().is_ok(), "{}: {body}", info.name);
    }
}

#[test]
fn the_rule_is_what_was_typed() {
    let body = body(&[
        "delay",
        "lognormal.median=400ms",
        "lognormal.p99=3s",
        "--at",
        "token=20",
        "--on",
        "chat,spare",
        "--for",
        "30s",
        "--probability",
        "0.2",
        "--select",
        "model=llama-*",
        "--select",
        "headers.x-a.b=canary",
        "--select",
        "body./messages/0/role=user",
        "--select",
        "prompt_chars.min=1000",
        "--limit",
        "share=25%",
        "--limit",
        "concurrent=8",
        "--dry-run",
    ]);
    let expected = json!({
        "name": "delay-chat-spare",
        "listener": ["chat", "spare"],
        "faults": [{ "delay": { "lognormal": { "median": "400ms", "p99": "3s" }, "at": { "token": 20 } } }],
        "select": {
            "model": "llama-*",
            "headers": { "x-a.b": "canary" },
            "body": { "/messages/0/role": "user" },
            "prompt_chars": { "min": 1000 },
        },
        "probability": "20%",
        "ttl": "30s",
        "limits": { "share": "25%", "concurrent": 8 },
        "dry_run": true,
    });
    assert_eq!(body, expected);
}

#[test]
fn faults_as_the_configuration_writes_them_are_taken() {
    let body = body(&[
        "delay = { fixed = \"2s\" }\nabort = { status = 503 }",
        "--at",
        "before-upstream",
        "--on",
        "chat",
        "--name",
        "mine",
    ]);
    assert_eq!(body["name"], "mine");
    let faults = json!([
        { "abort": { "status": 503, "at": "before-upstream" } },
        { "delay": { "fixed": "2s", "at": "before-upstream" } },
    ]);
    assert_eq!(body["faults"], faults);
}

#[test]
fn usual_parameters_fill_in_only_what_is_needed() {
    let faults = |line: &[&str]| body(&[line, &["--on", "a"]].concat())["faults"][0].clone();
    let usual = json!({ "delay": { "fixed": "1s", "at": "first-token" } });
    assert_eq!(faults(&["delay", "--at", "first-token"]), usual);
    let other = json!({ "delay": { "uniform": { "min": "1ms", "max": "2ms" } } });
    assert_eq!(
        faults(&["delay", "uniform={ min = \"1ms\", max = \"2ms\" }"]),
        other
    );
    // Wrong is wrong: it is not papered over.
    assert_eq!(
        faults(&["delay", "fixd=1s"]),
        json!({ "delay": { "fixd": "1s" } })
    );
    assert_eq!(faults(&["stall"]), json!({ "stall": {} }));
}

#[test]
fn mistakes_are_told_with_what_was_meant() {
    assert_eq!(
        complaint(&["dealy", "--on", "a"]),
        "no fault is called \"dealy\": did you mean \"delay\"?"
    );
    assert!(complaint(&["delay = { fixed = ", "--on", "a"]).contains("nor TOML"));
    assert!(complaint(&["delay = 3", "--on", "a"]).contains("'delay = { … }'"));
    assert!(complaint(&["delay", "at=end", "--at", "end", "--on", "a"]).contains("twice"));
    assert!(complaint(&["delay", "fixed=1s", "fixed.x=1s", "--on", "a"]).contains("fixed.x"));
    assert!(Line::try_parse_from(["add", "delay"]).is_err());
    assert!(Line::try_parse_from(["add", "delay", "fixed", "--on", "a"]).is_err());
}

#[test]
fn values_have_the_type_that_they_read_as() {
    for (text, value) in [
        ("503", json!(503)),
        ("true", json!(true)),
        ("0.5", json!(0.5)),
        ("250ms", json!("250ms")),
        ("llama-*", json!("llama-*")),
        ("\"503\"", json!("503")),
        ("{ min = 1 }", json!({ "min": 1 })),
        ("[1, 2]", json!([1, 2])),
        ("2026-11-27", json!("2026-11-27")),
        ("nan", json!("nan")),
        ("1\nw = 2", json!("1\nw = 2")),
        ("", json!("")),
    ] {
        assert_eq!(typed(text), value, "{text}");
    }
}

#[test]
fn values_are_shown_as_the_configuration_writes_them() {
    let fault = json!({ "delay": { "fixed": "1s", "at": { "token": 2 } } });
    assert_eq!(
        in_toml(&fault),
        "delay = { at = { token = 2 }, fixed = \"1s\" }"
    );
    assert_eq!(in_toml(&json!({ "stall": {} })), "stall = {}");
    assert_eq!(
        in_toml(&json!({ "a": 1, "b c": [true] })),
        "{ a = 1, \"b c\" = [true] }"
    );
}
