//! What is told of a kind, in a fixed form, and its rendering as the reference.

use std::fmt::{self, Write};

use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::fault::registry;

/// What each kind tells of itself.
#[derive(Debug)]
pub struct Doc {
    /// One line, without its subject: "waits".
    pub summary: &'static str,
    pub does: &'static str,
    /// What it stands for in production.
    pub stands_for: &'static str,
    /// Whole rules in TOML; a test reads each.
    pub examples: &'static [&'static str],
    /// The positions that it can act at, as the configuration writes them.
    pub phases: &'static [&'static str],
    /// What it edits beyond bytes.
    pub views: &'static [&'static str],
    /// What `hormesis add` takes where no parameters are given, as lines of the table; empty where
    /// it needs none.
    pub usual: &'static str,
    /// What a rule with it costs calls that it does not hurt.
    pub cost: &'static str,
}

/// What a fault is drawn for: one rule holds faults of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Call,
    Connection,
    Listener,
}

impl Scope {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Connection => "connection",
            Self::Listener => "listener",
        }
    }
}

/// An entry of the registry.
#[derive(Debug)]
pub struct FaultInfo {
    pub name: &'static str,
    pub scope: Scope,
    pub doc: Doc,
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

/// One field of a fault's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub what: String,
}

impl FaultInfo {
    /// The JSON Schema of the fault's table.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }

    /// The fields of the fault's table, as its schema tells of them: the one text that the editor,
    /// the reference and `hormesis faults` show.
    pub fn parameters(&self) -> Vec<Parameter> {
        let schema = self.schema(&mut SchemaGenerator::default()).to_value();
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Vec::new();
        };
        properties
            .iter()
            .map(|(name, property)| Parameter {
                name: name.clone(),
                what: property
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .replace('\n', " "),
            })
            .collect()
    }

    fn list(parts: &[&str]) -> String {
        let quoted: Vec<_> = parts
            .iter()
            .map(|part| {
                if part.starts_with('{') {
                    format!("`{part}`")
                } else {
                    format!("`\"{part}\"`")
                }
            })
            .collect();
        quoted.join(", ")
    }

    fn markdown(&self, out: &mut String) -> fmt::Result {
        let doc = &self.doc;
        writeln!(out, "\n## {0}\n\n`{0}` {1}.\n", self.name, doc.summary)?;
        writeln!(out, "**What it does.** {}\n", doc.does)?;
        writeln!(
            out,
            "**What it stands for in production.** {}\n",
            doc.stands_for
        )?;
        for example in doc.examples {
            writeln!(out, "```toml\n{example}```\n")?;
        }
        writeln!(out, "| parameter | what |\n|---|---|")?;
        for Parameter { name, what } in self.parameters() {
            writeln!(out, "| `{name}` | {what} |")?;
        }
        writeln!(out, "\n- Scope: {}.", self.scope.as_str())?;
        writeln!(out, "- Phases: {}.", Self::list(doc.phases))?;
        match doc.views {
            [] => writeln!(out, "- Views: none, it works on bytes.")?,
            views => writeln!(out, "- Views: {}.", views.join(", "))?,
        }
        writeln!(
            out,
            "- `hormesis add {}` without parameters: {}",
            self.name,
            match doc.usual {
                "" => "as above, where each is absent.".to_owned(),
                usual => format!("`{usual}`."),
            }
        )?;
        writeln!(out, "- Cost when not chosen: {}", doc.cost)
    }
}

/// The same in plain text, for `hormesis faults NAME`.
impl fmt::Display for FaultInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doc = &self.doc;
        writeln!(f, "{}: {}\n", self.name, doc.summary)?;
        writeln!(f, "What it does\n{}\n", wrap(doc.does))?;
        writeln!(
            f,
            "What it stands for in production\n{}\n",
            wrap(doc.stands_for)
        )?;
        writeln!(f, "Parameters")?;
        for Parameter { name, what } in self.parameters() {
            writeln!(f, "  {name:<18} {what}")?;
        }
        for example in doc.examples {
            writeln!(f, "\nExample")?;
            for line in example.lines() {
                writeln!(f, "  {line}")?;
            }
        }
        if !doc.usual.is_empty() {
            writeln!(f, "\nWithout parameters `hormesis add` takes {}", doc.usual)?;
        }
        writeln!(f, "\nScope   {}", self.scope.as_str())?;
        writeln!(f, "Phases  {}", doc.phases.join(", "))?;
        if !doc.views.is_empty() {
            writeln!(f, "Views   {}", doc.views.join(", "))?;
        }
        write!(f, "Cost when not chosen\n{}", wrap(doc.cost))
    }
}

/// Lines of at most 88 characters, indented by two.
pub(crate) fn wrap(text: &str) -> String {
    let mut out = String::from(" ");
    let mut width = 1;
    for word in text.split_whitespace() {
        if width + 1 + word.chars().count() > 90 {
            out.push_str("\n ");
            width = 1;
        }
        out.push(' ');
        out.push_str(word);
        width += 1 + word.chars().count();
    }
    out
}

/// The reference of all kinds: `docs/faults.md`.
pub fn render_markdown() -> String {
    let mut out = String::from(
        "# Faults\n\n<!-- Generated from the registry in src/fault/ by `make docs`. -->\n\n\
         A rule's `faults` is a list of tables; the only key of each names its kind. Where one rule has several, or several\n\
         rules hit a call, waits come first within a phase, then changes to bytes in order, then the first fault that ends the\n\
         call. Times, sizes and shares are texts with their units: `\"250ms\"`, `\"64KiB\"`, `\"5%\"`.\n\n\
         | kind | what |\n|---|---|\n",
    );
    for info in registry() {
        push(&mut out, |out| {
            writeln!(out, "| [`{0}`](#{0}) | {1} |", info.name, info.doc.summary)
        });
    }
    for info in registry() {
        push(&mut out, |out| info.markdown(out));
    }
    out
}

/// Writes into a string, which cannot fail.
fn push(out: &mut String, write: impl FnOnce(&mut String) -> fmt::Result) {
    let done = write(out);
    debug_assert!(done.is_ok(), "a string takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_tells_all_of_itself() {
        for info in registry() {
            let doc = &info.doc;
            for text in [doc.summary, doc.does, doc.stands_for, doc.cost] {
                assert!(!text.trim().is_empty(), "{}", info.name);
            }
            assert!(
                !doc.examples.is_empty() && !doc.phases.is_empty(),
                "{}",
                info.name
            );
            assert!(
                doc.examples.iter().all(|it| it.contains(info.name)),
                "{} has an example without it",
                info.name
            );
            let parameters = info.parameters();
            assert!(!parameters.is_empty(), "{}", info.name);
            for parameter in parameters {
                assert!(
                    !parameter.what.is_empty(),
                    "{}.{}",
                    info.name,
                    parameter.name
                );
            }
        }
    }

    #[test]
    fn the_reference_is_the_one_in_the_repository() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == render_markdown(),
            "docs/faults.md is stale: run `make docs`"
        );
    }

    #[test]
    fn text_is_wrapped_and_says_the_same() {
        let long = "word ".repeat(60);
        let wrapped = wrap(&long);
        assert!(wrapped.lines().all(|line| line.len() <= 90));
        assert_eq!(wrapped.split_whitespace().count(), 60);
    }
}
