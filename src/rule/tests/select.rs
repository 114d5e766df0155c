//! The indexed selector against a naive one, which asks each rule each question in turn.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::call::{Description, Field, Found};

/// A condition, with the naive way to tell whether it holds.
#[derive(Clone, Debug)]
enum Condition {
    Exact(&'static str),
    Glob(&'static str),
    List(Vec<Self>),
    Not(Box<Self>),
    /// Of a prefix.
    Regex(&'static str),
}

impl Condition {
    fn json(&self) -> Value {
        match self {
            Self::Exact(text) | Self::Glob(text) => json!(text),
            Self::List(conditions) => conditions.iter().map(Self::json).collect(),
            Self::Not(condition) => json!({ "not": condition.json() }),
            Self::Regex(prefix) => json!({ "regex": format!("^{prefix}") }),
        }
    }

    fn holds(&self, values: &[&str]) -> bool {
        match self {
            Self::Exact(text) => values.contains(text),
            Self::Glob(glob) => values.iter().any(|it| wild(glob.as_bytes(), it.as_bytes())),
            Self::List(conditions) => conditions.iter().any(|it| it.holds(values)),
            Self::Not(condition) => !condition.holds(values),
            Self::Regex(prefix) => values.iter().any(|it| it.starts_with(prefix)),
        }
    }
}

/// `*` and `?` by trying all ways.
fn wild(glob: &[u8], text: &[u8]) -> bool {
    match (glob, text) {
        ([], []) => true,
        ([b'*', glob @ ..], _) => (0..=text.len()).any(|n| wild(glob, &text[n..])),
        ([b'?', glob @ ..], [_, text @ ..]) => wild(glob, text),
        ([one, glob @ ..], [other, text @ ..]) => one == other && wild(glob, text),
        _ => false,
    }
}

/// What a rule asks of a call.
#[derive(Clone, Debug)]
struct Asked {
    method: Option<Condition>,
    path: Option<Condition>,
    tenant: Option<Condition>,
    color: Option<Condition>,
    operation: Option<Condition>,
    model: Option<Condition>,
    user: Option<Condition>,
    stream: Option<bool>,
}

impl Asked {
    fn spec(&self, name: usize) -> RuleSpec {
        let mut select = json!({ "headers": {}, "query": {}, "body": {} });
        let conditions = [
            ("/method", &self.method),
            ("/path", &self.path),
            ("/headers/x-tenant", &self.tenant),
            ("/query/color", &self.color),
            ("/operation", &self.operation),
            ("/model", &self.model),
            ("/body/~1user", &self.user),
        ];
        for (place, condition) in conditions {
            if let Some(condition) = condition {
                let (table, key) = place.rsplit_once('/').unwrap();
                let table = select.pointer_mut(table).unwrap();
                table[key.replace("~1", "/")] = condition.json();
            }
        }
        if let Some(stream) = self.stream {
            select["stream"] = json!(stream);
        }
        RuleSpec {
            select: Arc::new(serde_json::from_value(select).unwrap()),
            ..rule(&format!("rule-{name}"), 1.0)
        }
    }

    fn naive(&self, seen: &Seen) -> bool {
        let holds = |condition: &Option<Condition>, values: &[&str]| {
            condition.as_ref().is_none_or(|it| it.holds(values))
        };
        // What is not told selects nothing, whatever the condition.
        let told = |condition: &Option<Condition>, value: Option<&str>| {
            condition
                .as_ref()
                .is_none_or(|it| value.is_some_and(|value| it.holds(&[value])))
        };
        holds(&self.method, &[seen.method])
            && holds(&self.path, &[seen.path])
            && holds(&self.tenant, &seen.tenants)
            && holds(&self.color, seen.color.as_slice())
            && told(&self.operation, seen.operation)
            && told(&self.model, seen.model)
            && told(&self.user, seen.user)
            && (self.stream.is_none() || (seen.stream.is_some() && self.stream == seen.stream))
    }
}

/// A call, with all that its body would tell.
#[derive(Clone, Debug)]
struct Seen {
    method: &'static str,
    path: &'static str,
    tenants: Vec<&'static str>,
    color: Option<&'static str>,
    operation: Option<&'static str>,
    model: Option<&'static str>,
    user: Option<&'static str>,
    stream: Option<bool>,
    /// Whether the head already tells operation and model.
    early: bool,
}

const WORDS: [&str; 5] = ["aa", "ab", "ba", "b", "cab"];

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&WORDS[..])
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        3 => word().prop_map(Condition::Exact),
        1 => prop::sample::select(vec!["a*", "*b", "?a", "*a*"]).prop_map(Condition::Glob),
        1 => prop::sample::select(vec!["a", "b", "ca"]).prop_map(Condition::Regex),
    ];
    leaf.prop_recursive(2, 4, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::List),
            inner.prop_map(|it| Condition::Not(Box::new(it))),
        ]
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let maybe = || prop::option::weighted(0.3, condition());
    let stream = prop::option::weighted(0.2, any::<bool>());
    (
        maybe(),
        maybe(),
        maybe(),
        maybe(),
        maybe(),
        maybe(),
        maybe(),
        stream,
    )
        .prop_map(
            |(method, path, tenant, color, operation, model, user, stream)| Asked {
                method,
                path,
                tenant,
                color,
                operation,
                model,
                user,
                stream,
            },
        )
}

fn seen() -> impl Strategy<Value = Seen> {
    let maybe = || prop::option::of(word());
    let tenants = prop::collection::vec(word(), 0..3);
    let told = (
        maybe(),
        maybe(),
        maybe(),
        prop::option::of(any::<bool>()),
        any::<bool>(),
    );
    (word(), word(), tenants, maybe(), told).prop_map(
        |(method, path, tenants, color, (operation, model, user, stream, early))| Seen {
            method,
            path,
            tenants,
            color,
            operation,
            model,
            user,
            stream,
            early,
        },
    )
}

/// Selects in the two steps of the driver; panics where the first step told that the second needs
/// nothing although it does.
fn select(set: &RuleSet, seen: &Seen) -> Vec<u32> {
    let fields: Vec<_> = seen
        .tenants
        .iter()
        .map(|value| Field {
            name: "X-Tenant",
            value: value.as_bytes(),
        })
        .collect();
    let query = seen.color.map(|color| format!("size=3&color={color}"));
    let user = seen.user.map(|user| Found {
        pointer: "/user",
        value: json!(user),
    });
    let mut call = Call {
        method: seen.method,
        path: seen.path,
        query: query.as_deref(),
        fields: &fields,
        description: Description {
            operation: seen.operation.filter(|_| seen.early).map(Into::into),
            model: seen.model.filter(|_| seen.early).map(Into::into),
            ..Description::default()
        },
        ..call()
    };
    let rules = set.listener(0).unwrap();
    let candidates = rules.candidates(&call);
    let needs = (candidates.needs_description, candidates.pointers.len());
    if needs.0 {
        call.description.operation = seen.operation.map(Into::into);
        call.description.model = seen.model.map(Into::into);
        call.description.stream = seen.stream;
    }
    if needs.1 > 0 {
        call.found = user.as_slice();
    }
    rules.select(&candidates, &call).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_selects_what_a_naive_matcher_does(
        // Above and below the size at which groups are surveyed by their index.
        asked in prop::collection::vec(asked(), 0..60),
        calls in prop::collection::vec(seen(), 1..8),
    ) {
        let specs = asked.iter().enumerate().map(|(name, it)| it.spec(name)).collect();
        let set = compile(specs);
        for seen in calls {
            let naive: Vec<u32> = (0..)
                .zip(&asked)
                .filter(|(_, it)| it.naive(&seen))
                .map(|(rule, _)| rule)
                .collect();
            prop_assert_eq!(select(&set, &seen), naive, "{:?}", seen);
        }
    }
}

/// A thousand rules that differ in header, model and body pointer are not asked one by one.
#[test]
fn a_thousand_rules_are_narrowed_to_those_that_may_match() {
    let specs = (0..1000).map(|n| RuleSpec {
        select: Arc::new(
            serde_json::from_value(json!({
                "operation": "chat.completions",
                "headers": { "x-tenant": format!("tenant-{n}") },
                "model": format!("model-{n}"),
                "body": { format!("/metadata/{n}"): "on" },
            }))
            .unwrap(),
        ),
        ..rule(&format!("rule-{n}"), 1.0)
    });
    let set = compile(specs.collect());
    let rules = set.listener(0).unwrap();
    let fields = [Field {
        name: "x-tenant",
        value: b"tenant-7",
    }];
    let found = [Found {
        pointer: "/metadata/7",
        value: json!("on"),
    }];
    let mut call = Call {
        fields: &fields,
        ..call()
    };
    let candidates = rules.candidates(&call);
    assert!(candidates.needs_description);
    assert_eq!(candidates.pointers[..], ["/metadata/7"]);
    call.description.operation = Some("chat.completions".into());
    call.description.model = Some("model-7".to_owned());
    call.found = &found;
    assert_eq!(rules.select(&candidates, &call)[..], [7]);
    call.description.operation = Some("embeddings".into());
    assert!(rules.candidates(&call).is_empty());
}

#[test]
fn each_condition_of_the_head_and_the_description() {
    let fields = [Field {
        name: "X-Retry",
        value: b"12",
    }];
    let found = [
        Found {
            pointer: "/temperature",
            value: json!(0.5),
        },
        Found {
            pointer: "/tools",
            value: json!(null),
        },
    ];
    let call = Call {
        protocol: "openai",
        peer: Some("10.1.2.3:4000".parse().unwrap()),
        method: "POST",
        path: "/v1/chat/completions",
        query: Some("q=a%20b+c&q=d"),
        host: Some("API.Example.com:8080"),
        fields: &fields,
        description: Description {
            model: Some("meta-llama/Llama-3".to_owned()),
            prompt_chars: Some(1500),
            ..Description::default()
        },
        found: &found,
        ..call()
    };
    for (select, want) in [
        (json!({}), true),
        (
            json!({ "protocol": "openai", "method": ["GET", "POST"] }),
            true,
        ),
        (json!({ "path": "/v1/*" }), false),
        (json!({ "path": "/v1/**" }), true),
        (json!({ "host": "api.EXAMPLE.com" }), true),
        (json!({ "host": "*.Example.COM" }), true),
        (json!({ "host": { "not": "api.example.com" } }), false),
        (json!({ "query": { "q": "a b c" } }), true),
        (json!({ "query": { "q": { "not": "d" } } }), false),
        (json!({ "query": { "r": { "not": "d" } } }), true),
        (
            json!({ "headers": { "x-retry": { "min": 10, "max": 12 } } }),
            true,
        ),
        (json!({ "headers": { "x-retry": 12 } }), true),
        (json!({ "headers": { "x-retry": "1?" } }), true),
        (json!({ "headers": { "x-none": { "not": "1" } } }), true),
        (json!({ "headers": { "x-none": "*" } }), false),
        (json!({ "peer": ["192.168.0.0/16", "10.0.0.0/8"] }), true),
        (json!({ "peer": "192.168.0.0/16" }), false),
        (json!({ "model": "meta-llama/*" }), true),
        (json!({ "model": { "regex": "Llama-[0-9]$" } }), true),
        (json!({ "version": { "not": "2" } }), false),
        (json!({ "stream": false }), false),
        (json!({ "prompt_chars": { "min": 1000 } }), true),
        (json!({ "max_tokens": { "max": 1000 } }), false),
        (json!({ "body": { "/temperature": { "max": 0.5 } } }), true),
        (json!({ "body": { "/temperature": "0.5" } }), false),
        (json!({ "body": { "/tools": { "not": "x" } } }), true),
        (json!({ "body": { "/unknown": { "not": "x" } } }), false),
    ] {
        let spec = RuleSpec {
            select: Arc::new(serde_json::from_value(select.clone()).unwrap()),
            ..rule("one", 1.0)
        };
        let set = compile(vec![spec]);
        let rules = set.listener(0).unwrap();
        let selected = rules.select(&rules.candidates(&call), &call);
        assert_eq!(!selected.is_empty(), want, "{select}");
    }
}
