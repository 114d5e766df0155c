//! The rules of this repository that no compiler checks: which module may know which, how long a
//! file may be, what must not be left in one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

mod tidy_scan;

use hormesis::energy::METERS;
use hormesis::{fault, protocol};
use tidy_scan::{Source, sources};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with all complaints at once.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Top-level modules by rank: `lib.rs` lists them in the order of ARCHITECTURE.md, those of one
/// paragraph side by side.
fn ranks() -> BTreeMap<String, usize> {
    let mut ranks = BTreeMap::new();
    for (rank, paragraph) in read("src/lib.rs").split("\n\n").enumerate() {
        for line in paragraph.lines() {
            if let Some(name) = line
                .strip_prefix("pub mod ")
                .and_then(|it| it.strip_suffix(';'))
            {
                ranks.insert(name.to_owned(), rank);
            }
        }
    }
    ranks
}

/// What a module must not know although the order alone would let it, or that is no module of
/// ours. A trailing `::` names everything below.
const MUST_NOT_KNOW: &[(&str, &[&str])] = &[
    ("call", &["tokio::", "hyper::", "axum::"]),
    (
        "model",
        &["Instant", "SystemTime", "std::net::", "tokio::", "rustix::"],
    ),
    ("protocol", &["std::net::", "tokio::", "hyper::"]),
    (
        "fault",
        &[
            "crate::protocol",
            "crate::http1",
            "Instant",
            "SystemTime",
            "std::net::",
            "tokio::",
        ],
    ),
    (
        "rule",
        &["crate::http1", "tokio::", "Instant", "SystemTime"],
    ),
    (
        "energy",
        &[
            "crate::fault",
            "crate::http1",
            "crate::protocol",
            "crate::rule",
            "crate::view",
            "tokio::net",
        ],
    ),
    ("upstream", &["crate::fault", "crate::rule"]),
    ("config", &["tokio::", "hyper::", "axum::"]),
    ("snapshot", &["std::fs", "serde::"]),
    ("proxy", &["crate::fault", "axum::", "hyper::"]),
    ("control", &["crate::http1", "axum::", "hyper::"]),
    ("admin", &["crate::http1", "crate::proxy"]),
    ("toxiproxy", &["crate::http1", "crate::proxy"]),
    ("load", &["crate::admin", "crate::control", "crate::proxy"]),
    ("report", &["crate::control", "crate::proxy"]),
];

#[test]
fn a_module_uses_only_those_above_it() {
    let ranks = ranks();
    let mut complaints = Vec::new();
    for source in sources(&root()) {
        let Some(&own) = ranks.get(&source.module) else {
            continue; // lib.rs and main.rs wire everything
        };
        for used in source.top_level_uses() {
            match ranks.get(&used.module) {
                Some(&other) if other > own => complaints.push(format!(
                    "{}:{}: `{}` stands above `{}` and must not know it",
                    source.path, used.line, source.module, used.module
                )),
                Some(_) => {}
                None => complaints.push(format!(
                    "{}:{}: `crate::{}` is no module of lib.rs",
                    source.path, used.line, used.module
                )),
            }
        }
    }
    none(&complaints);
}

#[test]
fn every_module_stands_in_the_order() {
    let ranks = ranks();
    let complaints: Vec<String> = sources(&root())
        .iter()
        .filter(|source| !["lib", "main"].contains(&source.module.as_str()))
        .filter(|source| !ranks.contains_key(&source.module))
        .map(|source| format!("{}: `{}` is not in lib.rs", source.path, source.module))
        .collect();
    none(&complaints);
    for (name, _) in MUST_NOT_KNOW {
        assert!(ranks.contains_key(*name), "`{name}` is no module any more");
    }
}

#[test]
fn a_module_does_not_know_what_it_must_not() {
    let mut complaints = Vec::new();
    for source in sources(&root()) {
        let banned = MUST_NOT_KNOW
            .iter()
            .filter(|(module, _)| *module == source.module);
        for name in banned.flat_map(|(_, names)| *names) {
            for line in source.mentions(name) {
                complaints.push(format!(
                    "{}:{line}: `{}` must not know `{name}`",
                    source.path, source.module
                ));
            }
        }
    }
    none(&complaints);
}

/// A kind that knew its sibling could not be taken out alone.
#[test]
fn kinds_do_not_know_each_other() {
    let faults = fault::registry().iter().map(|info| ("fault", info.name));
    let protocols = protocol::registry()
        .iter()
        .map(|info| ("protocol", info.name));
    let kinds: Vec<(&str, String)> = faults
        .chain(protocols)
        .map(|(folder, name)| (folder, name.replace('-', "_")))
        .collect();
    let mut complaints = Vec::new();
    for source in sources(&root()) {
        let is_own = |kind: &&(&str, String)| {
            source.module == kind.0 && source.submodule.as_ref() == Some(&kind.1)
        };
        let Some((folder, own)) = kinds.iter().find(is_own) else {
            continue;
        };
        for (_, other) in kinds
            .iter()
            .filter(|(it, name)| it == folder && name != own)
        {
            for line in source.mentions(&format!("{folder}::{other}")) {
                complaints.push(format!(
                    "{}:{line}: `{own}` must not know `{other}`",
                    source.path
                ));
            }
        }
    }
    none(&complaints);
}

/// The driver serves every protocol alike: it may use the seam, never one of them by name.
#[test]
fn the_driver_names_no_protocol() {
    let mut complaints = Vec::new();
    for source in sources(&root()).iter().filter(|it| it.module == "proxy") {
        for info in protocol::registry() {
            let name = info.name.replace('-', "_");
            for line in source.mentions(&format!("protocol::{name}")) {
                complaints.push(format!(
                    "{}:{line}: names the protocol `{name}`",
                    source.path
                ));
            }
        }
    }
    none(&complaints);
}

#[test]
fn files_are_short() {
    let mut complaints = Vec::new();
    let mut lengths = Vec::new();
    for source in sources(&root()) {
        let lines = source.text.lines().count();
        lengths.push(lines);
        let limit = if source.path == "src/main.rs" {
            60
        } else {
            600
        };
        if lines > limit {
            complaints.push(format!("{}: {lines} lines, more than {limit}", source.path));
        }
    }
    none(&complaints);
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median < 200, "the median file has {median} lines");
}

#[test]
fn every_file_says_what_it_is() {
    let complaints: Vec<String> = sources(&root())
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}: does not start with a `//!` doc", source.path))
        .collect();
    none(&complaints);
}

#[test]
fn nothing_is_left_for_later_without_an_issue() {
    // Put together, so that this file does not find itself.
    let marks = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "X".repeat(3),
    ];
    let macros = ["to".to_owned() + "do!", "un".to_owned() + "implemented!"];
    let mut complaints = Vec::new();
    for (path, text) in tidy_scan::texts(&root(), &["src", "tests", "docs", "benches", "fuzz"]) {
        for (index, line) in text.lines().enumerate() {
            let words = || line.split(|c: char| !c.is_alphanumeric() && c != '!');
            let open = words().any(|word| marks.iter().any(|mark| word == mark));
            if open && !line.contains("(#") {
                complaints.push(format!(
                    "{path}:{}: no issue number: {}",
                    index + 1,
                    line.trim()
                ));
            }
            if words().any(|word| macros.iter().any(|it| word == it)) {
                complaints.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    none(&complaints);
}

#[test]
fn no_path_of_somebodys_machine_stands_here() {
    let homes = [
        "/ho".to_owned() + "me/",
        "/ro".to_owned() + "ot/",
        "/wo".to_owned() + "rk/",
        "/Us".to_owned() + "ers/",
    ];
    let folders = [
        "src", "tests", "docs", "benches", "fuzz", "config", "docker", ".github", ".ci",
    ];
    let mut texts = tidy_scan::texts(&root(), &folders);
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "Makefile",
        "deny.toml",
    ] {
        texts.push((file.to_owned(), read(file)));
    }
    let mut complaints = Vec::new();
    for (path, text) in texts {
        for (index, line) in text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home.as_str())) {
                complaints.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    none(&complaints);
}

#[test]
fn every_kind_is_documented() {
    let mut complaints = Vec::new();
    let faults = fault::registry().iter().map(|info| info.name);
    let protocols = protocol::registry().iter().map(|info| info.name);
    let meters = METERS.iter().map(|info| info.name);
    let pages: [(&str, Vec<&str>); 3] = [
        ("docs/faults.md", faults.collect()),
        ("docs/protocols.md", protocols.collect()),
        ("docs/meters.md", meters.collect()),
    ];
    for (page, names) in pages {
        let text = read(page);
        assert!(!names.is_empty());
        for name in names {
            if !text.contains(&format!("`{name}`")) {
                complaints.push(format!("{page} does not tell of `{name}`"));
            }
        }
    }
    none(&complaints);
}

#[test]
fn the_scanner_sees_what_it_should() {
    let source = Source::of(
        "src/rule/decide.rs",
        "//! Doc with crate::proxy.\n\
         use crate::call::{Call, Moment};\n\
         use crate::{effect, model::Model as M};\n\
         // crate::admin in a comment\n\
         const TEXT: &str = \"crate::cli\";\n\
         fn f<'a>(x: &'a str) -> char { '\"' }\n\
         fn g() { crate::record::note(); super::super::proxy::run(); }\n\
         #[cfg(test)]\n\
         mod tests { use crate::app; fn h() { \"}\"; } }\n\
         #[cfg(test)]\n\
         use crate::load::Load;\n\
         fn after() { crate::units::x() }\n",
    );
    let uses: Vec<(String, usize)> = source
        .top_level_uses()
        .into_iter()
        .map(|used| (used.module, used.line))
        .collect();
    let expected = [
        ("call", 2),
        ("effect", 3),
        ("model", 3),
        ("record", 7),
        ("units", 12),
        ("proxy", 7),
    ];
    assert_eq!(uses, expected.map(|(name, line)| (name.to_owned(), line)));
    assert_eq!(source.mentions("crate::call"), [2]);
    assert!(source.mentions("crate::admin").is_empty());
}

#[test]
fn what_the_readme_and_the_guide_link_to_exists() {
    let mut complaints = Vec::new();
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/guide.md",
    ] {
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        for link in read(page).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !root().join(folder).join(target).exists() {
                complaints.push(format!("{page}: no such file: {target}"));
            }
        }
    }
    none(&complaints);
}
