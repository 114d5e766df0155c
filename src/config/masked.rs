//! The configuration as it may be shown: as it was written, without its secrets. What comes from
//! the environment stays `${NAME}`, and what comes from a file stays its path.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Source;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// All sources as one configuration.
pub fn masked(sources: &[Arc<Source>]) -> Value {
    let mut whole = Map::new();
    for source in sources {
        // They were read before, with the same reader.
        let read = toml::from_str::<Map<String, Value>>(&source.text);
        merge(&mut whole, read.unwrap_or_default());
    }
    let mut whole = Value::Object(whole);
    mask(&mut whole);
    whole
}

/// Masks the secrets of a part of the configuration.
pub fn mask(value: &mut Value) {
    visit(value, "", false, &mut |_, secret, text| {
        if secret {
            MASK.clone_into(text);
        } else if let Some(at) = password(text) {
            text.replace_range(at, MASK);
        }
    });
}

/// Where a secret should stand and only its mask does, as paths: `select.headers.authorization`.
pub(super) fn masks(value: &mut Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(value, "", false, &mut |path, secret, text| {
        if (secret && text == MASK) || password(text).is_some_and(|at| &text[at] == MASK) {
            found.push(path.to_owned());
        }
    });
    found
}

/// The tables of two files are one; so are their lists.
fn merge(whole: &mut Map<String, Value>, part: Map<String, Value>) {
    for (key, value) in part {
        match (whole.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

/// Calls with the path of every text, and whether it is a secret by its name or its look.
fn visit(
    value: &mut Value,
    path: &str,
    secret: bool,
    each: &mut impl FnMut(&str, bool, &mut String),
) {
    match value {
        Value::String(text) => {
            let secret = secret || looks_secret(text);
            each(path, secret && !text.is_empty(), text);
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit(item, &format!("{path}[{index}]"), secret, each);
            }
        }
        Value::Object(table) => {
            for (key, item) in table.iter_mut() {
                let dot = if path.is_empty() { "" } else { "." };
                let below = format!("{path}{dot}{key}");
                visit(item, &below, secret || names_secret(key), each);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a key is of a secret: `password`, `x-api-key`, `authorization`. One that names a file is
/// not, since the file is what is secret.
fn names_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "passphrase",
        "password",
        "secret",
        "token",
    ];
    const KEYS: [&str; 4] = ["access", "api", "private", "secret"];
    let lower = key.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let last = words.last().copied().unwrap_or_default();
    if ["file", "files", "path", "dir"].contains(&last) {
        return false;
    }
    let is_key = |it: &[&str]| it[1] == "key" && KEYS.contains(&it[0]);
    words.iter().any(|it| WORDS.contains(it)) || words.windows(2).any(is_key)
}

/// Whether a text is one whatever its name is.
fn looks_secret(text: &str) -> bool {
    let starts = |scheme: &str| {
        let start = text.get(..scheme.len());
        start.is_some_and(|it| it.eq_ignore_ascii_case(scheme))
    };
    starts("bearer ") || starts("basic ") || text.contains("PRIVATE KEY-----")
}

/// Where the password of an address stands: `scheme://user:PASSWORD@host`.
fn password(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    let end = text[start..]
        .find(['/', '?', '#'])
        .map_or(text.len(), |at| start + at);
    let user = start + text[start..end].rfind('@')?;
    let colon = start + text[start..user].find(':')?;
    Some(colon + 1..user)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let first = r#"
            seed = 7
            [admin]
            token_file = "/run/token"
            secret = "abc"
            [upstreams.store]
            endpoints = ["redis://user:p:w@host:6379/0", "redis://host:6379", "${STORE}"]
            tls = { ca = "/ca.pem", key = "/key.pem" }
            [[rules]]
            name = "one"
            select = { model = "m", max_tokens = 5, headers = { authorization = { regex = "Bearer x.*" }, "X-Api-Key" = ["k", "l"], x-tenant = "t" } }
            key = { header = "x-user" }
        "#;
        let second = r#"
            [upstreams.other]
            endpoints = ["http://a"]
            [[rules]]
            name = "two"
            faults = [{ abort = { headers = { set-cookie = "a=b", x = "Basic abc" } } }]
        "#;
        let sources = [first, second].map(|text| Arc::new(Source::new("t", text)));
        let wanted = json!({
            "seed": 7,
            "admin": { "token_file": "/run/token", "secret": "***" },
            "upstreams": {
                "store": {
                    "endpoints": ["redis://user:***@host:6379/0", "redis://host:6379", "${STORE}"],
                    "tls": { "ca": "/ca.pem", "key": "/key.pem" },
                },
                "other": { "endpoints": ["http://a"] },
            },
            "rules": [
                {
                    "name": "one",
                    "select": { "model": "m", "max_tokens": 5, "headers": {
                        "authorization": { "regex": "***" }, "X-Api-Key": ["***", "***"], "x-tenant": "t",
                    } },
                    "key": { "header": "x-user" },
                },
                { "name": "two", "faults": [{ "abort": { "headers": { "set-cookie": "***", "x": "***" } } }] },
            ],
        });
        let mut shown = masked(&sources);
        assert_eq!(shown, wanted);
        assert_eq!(
            masks(&mut shown),
            [
                "admin.secret",
                "rules[0].select.headers.X-Api-Key[0]",
                "rules[0].select.headers.X-Api-Key[1]",
                "rules[0].select.headers.authorization.regex",
                "rules[1].faults[0].abort.headers.set-cookie",
                "upstreams.store.endpoints[0]",
            ]
        );
    }
}
