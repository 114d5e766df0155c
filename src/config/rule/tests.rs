//! Rules as users write them, right and wrong.

use super::*;
use crate::fault::registry;
use schemars::SchemaGenerator;

#[derive(Debug, Deserialize)]
struct File {
    rules: Vec<RuleConfig>,
}

fn rule(text: &str) -> RuleConfig {
    toml::from_str(text).unwrap()
}

fn fields(text: &str) -> Vec<String> {
    rule(text).check().into_iter().map(|it| it.field).collect()
}

const FAULT: &str = "[[faults]]\nstall = {}\n";

#[test]
fn the_example_of_the_design_is_a_rule() {
    let rule = rule(
        r#"
        name = "slow-first-token"
        listener = "chat"
        select = { operation = "chat.completions", model = "llama-*", stream = true, headers = { x-tenant = ["canary", "beta"] } }
        probability = "20%"
        limits = { concurrent = 8, share = "25%", total = 1000 }
        schedule = { start = "30s", for = "5m", every = "20m" }
        [[faults]]
        delay = { at = "first-token", lognormal = { median = "400ms", p99 = "3s" } }
        "#,
    );
    assert_eq!(rule.check(), []);
    let again: RuleConfig = serde_json::from_str(&serde_json::to_string(&rule).unwrap()).unwrap();
    assert_eq!(again, rule);
    let (spec, other) = (rule.resolve().unwrap(), again.resolve().unwrap());
    assert_eq!(spec.text, other.text);
    assert_eq!(spec.listeners.as_deref(), Some(&["chat".to_owned()][..]));
    assert_eq!(spec.faults[0].name, "delay");
}

#[test]
fn every_fault_has_examples_that_are_rules_and_a_schema_that_takes_them() {
    let schema = SchemaGenerator::default().into_root_schema_for::<RuleConfig>();
    let schema = jsonschema::validator_for(schema.as_value()).unwrap();
    for info in registry() {
        for example in info.doc.examples {
            let file: File = toml::from_str(example).unwrap_or_else(|error| panic!("{error}"));
            assert!(!file.rules.is_empty());
            for rule in file.rules {
                assert_eq!(rule.check(), [], "{example}");
                assert!(
                    rule.faults.iter().any(|it| it.name() == info.name),
                    "{example}"
                );
            }
            let value: serde_json::Value = toml::from_str(example).unwrap();
            for rule in value["rules"].as_array().unwrap() {
                let errors: Vec<_> = schema.iter_errors(rule).map(|it| it.to_string()).collect();
                assert!(errors.is_empty(), "{errors:?} in {example}");
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_complained_of_all_at_once() {
    for (text, want) in [
        ("name = \"\"", vec!["name"]),
        ("name = \"a b\"", vec!["name"]),
        ("name = \"r\"\nkey = { header = \"x\" }", vec!["key"]),
        (
            "name = \"r\"\nkey = { header = \"a b\" }\nprobability = 1",
            vec!["key.header"],
        ),
        (
            "name = \"r\"\nkey = { header = \"x\" }\nnth = { first = 1 }",
            vec!["key"],
        ),
        (
            "name = \"r\"\nprobability = 1\nnth = { first = 1 }",
            vec!["nth"],
        ),
        ("name = \"r\"\nnth = {}", vec!["nth"]),
        ("name = \"r\"\nnth = { first = 1, every = 2 }", vec!["nth"]),
        ("name = \"r\"\nnth = { first = 1, count = 2 }", vec!["nth"]),
        (
            "name = \"r\"\nschedule = { every = \"1m\" }",
            vec!["schedule.every"],
        ),
        (
            "name = \"r\"\nschedule = { for = \"2m\", every = \"1m\" }",
            vec!["schedule.every"],
        ),
        (
            "name = \"r\"\nschedule = { for = \"0\" }",
            vec!["schedule.for"],
        ),
        ("name = \"r\"\nlimits = { share = 0 }", vec!["limits.share"]),
        (
            "name = \"r\"\nlimits = { concurrent = 4000000000 }",
            vec!["limits.concurrent"],
        ),
        ("name = \"r\"\nttl = \"0\"", vec!["ttl"]),
        (
            "name = \"\"\nttl = \"0\"\nselect = { body = { \"user.id\" = 1 }, headers = { \"\" = 1 } }",
            vec!["name", "select.headers.", "select.body.user.id", "ttl"],
        ),
    ] {
        assert_eq!(fields(&format!("{text}\n{FAULT}")), want, "{text}");
    }
    assert_eq!(fields("name = \"r\"\nfaults = []"), ["faults"]);
    assert_eq!(
        fields("name = \"r\"\nfaults = [{ stall = {} }, { delay = { at = \"tls\" } }]"),
        ["faults[1].delay.at", "faults[1].delay"]
    );
}

#[test]
fn errors_of_reading_point_at_the_word_that_is_wrong() {
    for (text, wrong, says) in [
        (
            "schedule = { ramp = \"1m\" }",
            "\"1m\"",
            "not supported yet",
        ),
        ("schedule = { begin = \"1m\" }", "begin", "start"),
        ("limits = { concurrent = 0 }", "0", "nonzero"),
        ("select = { modle = \"x\" }", "modle", "model"),
        ("select = { model = { regex = \"(\" } }", "\"(\"", "regex"),
        ("select = { model = \"a[\" }", "\"a[\"", "backslash"),
        ("select = { model = [] }", "[]", "empty list"),
        (
            "select = { model = { max = 1, not = 3 } }",
            "{ max = 1, not = 3 }",
            "one of",
        ),
        (
            "select = { max_tokens = { min = 3, max = 1 } }",
            "{ min = 3, max = 1 }",
            "above",
        ),
        (
            "select = { peer = \"10.0.0.0/99\" }",
            "\"10.0.0.0/99\"",
            "addresses",
        ),
        ("probability = \"120%\"", "\"120%\"", "100%"),
        ("enabld = false", "enabld", "armed"),
    ] {
        let text = format!("name = \"r\"\n{text}\n{FAULT}");
        let error = toml::from_str::<RuleConfig>(&text).unwrap_err();
        assert_eq!(&text[error.span().unwrap()], wrong, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
