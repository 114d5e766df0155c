//! docs/configuration.md, written from the schema.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{Arguments, Write};

use serde_json::{Map, Value};

use super::schema;

type Object = Map<String, Value>;

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `hormesis schema --markdown`. -->

`hormesis init` writes a file to start from, `hormesis check FILE` tells everything that is wrong with one at once, \
`hormesis schema` writes the JSON Schema that editors complete and check from. A directory of `*.toml` files is read as one \
configuration. Times, sizes and shares are texts with their unit: `\"250ms\"`, `\"64KiB\"`, `\"5%\"`. `${NAME}` in a value reads \
the environment; `$${` is the plain text. Every table refuses keys that it does not know.
";

const EXAMPLE: &str = include_str!("../../config/hormesis.toml");

/// The reference of all sections and keys as Markdown.
pub fn reference() -> String {
    let schema = schema();
    let Some(root) = schema.as_object() else {
        return String::new();
    };
    let mut writer = Writer::new(root);
    writer.page.push_str(INTRODUCTION);
    writer.line(format_args!("\n## By example\n\n```toml\n{EXAMPLE}```"));
    writer.section("Top level", root);
    while let Some((name, object)) = writer.queue.pop_front() {
        let title = writer.title(&name);
        writer.section(&title, object);
    }
    writer.page
}

struct Writer<'s> {
    root: &'s Object,
    page: String,
    /// Tables that were named and are still to be written.
    queue: VecDeque<(String, &'s Object)>,
    queued: BTreeSet<String>,
    /// How the tables of sections are written in a file, by the name of their type.
    titles: BTreeMap<String, String>,
}

/// Types may hold themselves; a reader is lost before the fifth level.
const DEPTH: usize = 5;

impl<'s> Writer<'s> {
    fn new(root: &'s Object) -> Self {
        let mut titles = BTreeMap::new();
        for (key, value) in entries(root, "properties") {
            let of = |inner: &str| value.get(inner).and_then(Value::as_object);
            for (object, title) in [
                (Some(value), format!("[{key}]")),
                (of("additionalProperties"), format!("[{key}.NAME]")),
                (of("items"), format!("[[{key}]]")),
            ] {
                if let Some((name, _)) = object.and_then(|it| referred(root, it)) {
                    titles.insert(name, title);
                }
            }
        }
        Self {
            root,
            page: String::new(),
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            titles,
        }
    }

    fn title(&self, name: &str) -> String {
        match self.titles.get(name) {
            Some(title) => title.clone(),
            None => name.trim_end_matches("Config").to_owned(),
        }
    }

    fn line(&mut self, text: Arguments<'_>) {
        // A string takes all that is written.
        self.page.write_fmt(text).unwrap_or_default();
        self.page.push('\n');
    }

    /// Writes one table of keys, or the forms that a value can have.
    fn section(&mut self, title: &str, object: &'s Object) {
        self.line(format_args!("\n## {title}\n"));
        if let Some(text) = text_of(object) {
            self.line(format_args!("{}.\n", sentence(&text)));
        }
        for forms in ["anyOf", "oneOf"] {
            let forms = object.get(forms).and_then(Value::as_array);
            for form in forms.into_iter().flatten().filter_map(Value::as_object) {
                self.form(form);
            }
        }
        if !object.contains_key("properties") {
            return;
        }
        let required = object.get("required").and_then(Value::as_array);
        self.line(format_args!(
            "| key | value | default | meaning |\n|---|---|---|---|"
        ));
        for (key, value) in entries(object, "properties") {
            let must = required.is_some_and(|it| it.iter().any(|it| it == key));
            let default = match value.get("default") {
                _ if must => "**required**".to_owned(),
                Some(Value::Null | Value::Object(_)) | None => String::new(),
                Some(default) => format!("`{default}`"),
            };
            let below = || text_of(referred(self.root, value)?.1);
            let meaning = text_of(value).or_else(below).unwrap_or_default();
            let kind = self.kind(value, DEPTH);
            let cells = [kind, default, meaning].map(|it| it.replace('|', "\\|"));
            self.line(format_args!("| `{key}` | {} |", cells.join(" | ")));
        }
    }

    /// One of several forms: a table with one key, or a plain value.
    fn form(&mut self, form: &'s Object) {
        let meaning = text_of(form).map_or(String::new(), |it| format!(": {it}"));
        let keys = entries(form, "properties");
        if keys.is_empty() {
            let kind = self.kind(form, DEPTH);
            return self.line(format_args!("* {kind}{meaning}"));
        }
        let mut shown = Vec::with_capacity(keys.len());
        for (key, value) in keys {
            shown.push(format!("`{key}` = {}", self.kind(value, DEPTH)));
        }
        self.line(format_args!("* {{ {} }}{meaning}", shown.join(", ")));
    }

    /// What a value looks like, in a few words; tables are linked, and written later.
    fn kind(&mut self, value: &'s Object, depth: usize) -> String {
        let Some(depth) = depth.checked_sub(1) else {
            return "…".to_owned();
        };
        if let Some((name, object)) = target(self.root, value) {
            return if has_section(object) {
                self.link(name, object)
            } else {
                self.kind(object, depth)
            };
        }
        for forms in ["anyOf", "oneOf"] {
            if let Some(forms) = value.get(forms).and_then(Value::as_array) {
                let forms = forms.iter().filter_map(Value::as_object);
                let shown: Vec<String> = forms
                    .filter(|it| it.get("type").is_none_or(|it| it != "null"))
                    .map(|it| self.kind(it, depth))
                    .collect();
                return shown.join(" or ");
            }
        }
        if let Some(constant) = value.get("const") {
            return format!("`{constant}`");
        }
        if let Some(names) = value.get("enum").and_then(Value::as_array) {
            let names: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
            return names.join(", ");
        }
        if let Some(example) = value.get("examples").and_then(|it| it.get(0)) {
            return format!("like `{example}`");
        }
        let items = value.get("items").and_then(Value::as_object);
        let members = value.get("additionalProperties").and_then(Value::as_object);
        match (type_of(value).as_str(), items, members) {
            ("list", Some(items), _) => format!("list of {}", self.kind(items, depth)),
            ("table", _, Some(members)) => format!("by name: {}", self.kind(members, depth)),
            (name, ..) => name.to_owned(),
        }
    }

    fn link(&mut self, name: String, object: &'s Object) -> String {
        let title = self.title(&name);
        let anchor: String = title
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
            .collect();
        if self.queued.insert(name.clone()) {
            self.queue.push_back((name, object));
        }
        let shown = title.replace('[', "\\[").replace(']', "\\]");
        format!("[{shown}](#{anchor})")
    }
}

/// Whether a type is worth a section: a table, or a choice that says what it is.
fn has_section(object: &Object) -> bool {
    let forms = |name: &str| object.get(name).and_then(Value::as_array);
    let tagged = |forms: &Vec<Value>| forms.iter().any(|it| it.get("properties").is_some());
    object.contains_key("properties")
        || forms("oneOf").is_some_and(tagged)
        || forms("anyOf").is_some_and(tagged)
}

fn entries<'s>(object: &'s Object, name: &str) -> Vec<(&'s String, &'s Object)> {
    let entries = object.get(name).and_then(Value::as_object);
    let entries = entries.into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key, value.as_object()?)))
        .collect()
}

/// The definition that a value refers to, by its name.
fn target<'s>(root: &'s Object, value: &'s Object) -> Option<(String, &'s Object)> {
    let name = value.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    let object = root.get("$defs")?.get(name)?.as_object()?;
    Some((name.to_owned(), object))
}

/// Like [`target`], also of a value that may be absent.
fn referred<'s>(root: &'s Object, value: &'s Object) -> Option<(String, &'s Object)> {
    let option = || value.get("anyOf")?.get(0)?.as_object();
    target(root, value).or_else(|| target(root, option()?))
}

fn type_of(value: &Object) -> String {
    let plain = |name: &str| match name {
        "array" => "list".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        "integer" => "whole number".to_owned(),
        "object" => "table".to_owned(),
        "string" => "text".to_owned(),
        other => other.to_owned(),
    };
    match value.get("type") {
        Some(Value::String(name)) => plain(name),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str);
            let names: Vec<String> = names.filter(|it| *it != "null").map(plain).collect();
            names.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn text_of(value: &Object) -> Option<String> {
    let text = value.get("description")?.as_str()?;
    Some(text.replace('\n', " "))
}

/// A description as a sentence, without its full stop.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
