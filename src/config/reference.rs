//! docs/configuration.md, written from the schema.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::schema;

type Object = Map<String, Value>;

/// The reference of all sections and keys as Markdown.
pub fn reference() -> String {
    let schema = schema();
    let empty = Object::new();
    let root = schema.as_object().unwrap_or(&empty);
    let mut page = String::from(
        "# Configuration reference\n\n\
         Written by `hormesis schema --markdown` from the code; do not edit. \
         Every table refuses keys that it does not know. `hormesis check FILE` tells all problems at once.\n",
    );
    let mut queue: Vec<(String, &Object)> = vec![("Top level".into(), root)];
    let mut done: Vec<String> = Vec::new();
    while !queue.is_empty() {
        let (title, object) = queue.remove(0);
        if done.contains(&title) {
            continue;
        }
        section(&mut page, root, &title, object, &mut queue);
        done.push(title);
    }
    page
}

/// Writes one table of keys; the tables it refers to are queued.
fn section<'s>(
    page: &mut String,
    root: &'s Object,
    title: &str,
    object: &'s Object,
    queue: &mut Vec<(String, &'s Object)>,
) {
    line(page, format_args!("\n## {title}\n"));
    if let Some(text) = text_of(object) {
        line(page, format_args!("{text}\n"));
    }
    if let Some(kinds) = object.get("oneOf").and_then(Value::as_array) {
        variants(page, root, kinds, queue);
    }
    let Some(properties) = object.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required = object.get("required").and_then(Value::as_array);
    line(page, format_args!("| key | value | default | meaning |"));
    line(page, format_args!("|---|---|---|---|"));
    for (key, value) in properties {
        let Some(value) = value.as_object() else {
            continue;
        };
        let must = required.is_some_and(|it| it.iter().any(|it| it == key.as_str()));
        let default = match value.get("default") {
            _ if must => "**required**".to_owned(),
            Some(Value::Null | Value::Object(_)) | None => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let meaning = text_of(value)
            .or_else(|| target(root, value).and_then(|(_, object)| text_of(object)))
            .unwrap_or_default();
        let kind = kind(root, value, queue);
        line(
            page,
            format_args!(
                "| `{key}` | {} | {} | {} |",
                cell(&kind),
                cell(&default),
                cell(&meaning)
            ),
        );
    }
}

/// The kinds of an external tag, or the names of a plain choice.
fn variants<'s>(
    page: &mut String,
    root: &'s Object,
    kinds: &'s [Value],
    queue: &mut Vec<(String, &'s Object)>,
) {
    for variant in kinds.iter().filter_map(Value::as_object) {
        let meaning = text_of(variant).unwrap_or_default();
        let names = variant.get("properties").and_then(Value::as_object);
        if let Some((name, value)) = names.and_then(|it| it.iter().next()) {
            let Some(value) = value.as_object() else {
                continue;
            };
            let kind = kind(root, value, queue);
            line(page, format_args!("* `{name}`: {kind}. {meaning}"));
        } else {
            line(
                page,
                format_args!("* {}: {meaning}", kind(root, variant, queue)),
            );
        }
    }
    page.push('\n');
}

/// What a value looks like, in a few words; named tables are queued and linked.
fn kind<'s>(root: &'s Object, value: &'s Object, queue: &mut Vec<(String, &'s Object)>) -> String {
    if let Some((name, object)) = target(root, value) {
        return if is_table(object) {
            let title = name.trim_end_matches("Config").to_owned();
            let link = format!("[{title}](#{})", title.to_lowercase());
            queue.push((title, object));
            link
        } else {
            kind(root, object, queue)
        };
    }
    if let Some(options) = value.get("anyOf").and_then(Value::as_array) {
        let options = options.iter().filter_map(Value::as_object);
        let shown: Vec<String> = options
            .filter(|it| it.get("type").is_none_or(|it| it != "null"))
            .map(|it| kind(root, it, queue))
            .collect();
        return shown.join(" or ");
    }
    if let Some(constant) = value.get("const") {
        return format!("`{constant}`");
    }
    if let Some(names) = value.get("enum").and_then(Value::as_array) {
        let names: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
        return names.join(", ");
    }
    if let Some(names) = value.get("oneOf").and_then(Value::as_array) {
        let names = names.iter().filter_map(Value::as_object);
        let names: Vec<String> = names.map(|it| kind(root, it, queue)).collect();
        return names.join(", ");
    }
    if let Some(example) = value.get("examples").and_then(|it| it.get(0)) {
        return format!("like `{example}`");
    }
    let items = value.get("items").and_then(Value::as_object);
    let members = value.get("additionalProperties").and_then(Value::as_object);
    match (type_of(value), items, members) {
        ("list", Some(items), _) => format!("list of {}", kind(root, items, queue)),
        ("table", _, Some(members)) => format!("by name: {}", kind(root, members, queue)),
        (name, ..) => name.to_owned(),
    }
}

fn type_of(value: &Object) -> &str {
    let name = match value.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|it| *it != "null")
            .unwrap_or_default(),
        _ => "any",
    };
    match name {
        "string" => "text",
        "object" => "table",
        "array" => "list",
        "integer" => "whole number",
        "boolean" => "`true`, `false`",
        other => other,
    }
}

fn is_table(object: &Object) -> bool {
    let tagged = object
        .get("oneOf")
        .and_then(Value::as_array)
        .is_some_and(|it| it.iter().any(|it| it.get("properties").is_some()));
    tagged || object.contains_key("properties")
}

/// The definition that a value refers to, by its name.
fn target<'s>(root: &'s Object, value: &'s Object) -> Option<(String, &'s Object)> {
    let name = value.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    let object = root.get("$defs")?.get(name)?.as_object()?;
    Some((name.to_owned(), object))
}

fn text_of(value: &Object) -> Option<String> {
    let text = value.get("description")?.as_str()?;
    Some(text.replace('\n', " "))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).unwrap_or_default();
    page.push('\n');
}
