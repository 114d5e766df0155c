//! What is shipped is right: examples, schema, references.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use crate::sandbox::{Sandbox, hormesis};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder");
    let mut files: Vec<_> = entries.map(|it| it.expect("an entry").path()).collect();
    files.retain(|it| it.extension().is_some_and(|it| it == extension));
    files.sort();
    assert!(!files.is_empty(), "no *.{extension} in {folder}");
    files
}

fn schema() -> Validator {
    let output = Sandbox::new().output(&["schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn errors(schema: &Validator, text: &str) -> Vec<String> {
    let value: Value = toml::from_str(text).expect("TOML");
    schema
        .iter_errors(&value)
        .map(|it| it.to_string())
        .collect()
}

#[test]
fn every_shipped_configuration_is_fine_and_fits_the_schema() {
    let schema = schema();
    for path in files_below("config", "toml") {
        let told = hormesis(&["check", path.to_str().unwrap()]);
        assert!(
            told.starts_with("exit code: 0"),
            "{}: {told}",
            path.display()
        );
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            errors(&schema, &text),
            Vec::<String>::new(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_schema_refuses_what_check_refuses() {
    let schema = schema();
    let base = fs::read_to_string(root().join("config/minimal.toml")).unwrap();
    assert_eq!(errors(&schema, &base), Vec::<String>::new());
    for (from, to) in [
        ("probability = \"10%\"", "probabilty = \"10%\""),
        ("probability = \"10%\"", "probability = true"),
        ("delay = {", "dealy = {"),
        ("fixed = \"250ms\"", "fixed = [1]"),
        ("fixed = \"250ms\"", "fixd = \"250ms\""),
        ("upstream = \"server\"\n", "upstream = 3\n"),
        ("upstream = \"server\"\n", ""),
        (
            "upstream = \"server\"\n",
            "upstream = \"server\"\nprotocol = \"gopher\"\n",
        ),
        ("[upstreams.server]", "workers = 0\n[upstreams.server]"),
        ("name = \"slow\"\n", ""),
    ] {
        let text = base.replacen(from, to, 1);
        assert_ne!(text, base, "{from}");
        assert!(
            !errors(&schema, &text).is_empty(),
            "the schema takes {to:?}"
        );
        let sandbox = Sandbox::new();
        sandbox.write("hormesis.toml", &text);
        let told = sandbox.run(&["check", "hormesis.toml"]);
        assert!(told.starts_with("exit code: 2"), "{to}: {told}");
    }
}

#[test]
fn references_are_those_of_the_code() {
    for (file, arguments) in [
        ("docs/configuration.md", ["schema", "--markdown"]),
        ("docs/commands.md", ["man", "--markdown"]),
        ("docs/faults.md", ["faults", "--markdown"]),
    ] {
        let output = Sandbox::new().output(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let page = String::from_utf8_lossy(&output.stdout);
        if std::env::var_os("HORMESIS_WRITE_DOCS").is_some() {
            fs::write(root().join(file), &*page).unwrap();
        }
        let kept = fs::read_to_string(root().join(file)).unwrap();
        let stale = format!(
            "{file} tells something else than the code; `HORMESIS_WRITE_DOCS=1 cargo test --test cli` writes it"
        );
        assert!(kept == page, "{stale}");
    }
}

/// Every block of TOML in the documentation is a part of a configuration that could stand.
#[test]
fn every_example_of_the_documentation_is_fine() {
    let mut pages = files_below("docs", "md");
    pages.push(root().join("README.md"));
    pages.extend(files_below("src/protocol/docs", "md"));
    // The files that examples with TLS name.
    let pair = rcgen::generate_simple_self_signed(vec!["llm.internal".to_owned()]).unwrap();
    let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    // The one that callers who ask for faults must know.
    let secret = "0123456789abcdef".to_owned();
    let token = |end: &str| format!("0123456789abcdef0123456789abcdef{end}");
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in pages {
        let page = fs::read_to_string(&path).unwrap();
        for block in page.split("```toml\n").skip(1) {
            let example = block.split("```").next().unwrap();
            let sandbox = Sandbox::new();
            sandbox.write("hormesis.toml", completed(example));
            for (name, text) in [
                ("ca.pem", &cert),
                ("front.pem", &cert),
                ("front.key", &key),
                ("caller.secret", &secret),
                ("ops.token", &token("1")),
                ("pager.token", &token("2")),
            ] {
                sandbox.write(name, text);
            }
            let told = sandbox.run(&["check", "hormesis.toml"]);
            if !told.starts_with("exit code: 0") {
                wrong.push(format!("{}:\n{example}\n{told}", path.display()));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 20, "{count} examples");
}

/// An example with what it takes for granted: the table it stands in, and the sections that it
/// refers to.
fn completed(example: &str) -> String {
    let first = example.split(['=', '\n']).next().unwrap_or_default().trim();
    let is_fault = hormesis::fault::registry()
        .iter()
        .any(|it| it.name == first);
    let mut text = if example.starts_with('{') {
        format!("[energy]\nmeters = [{}]\n", example.trim())
    } else if is_fault {
        format!("[[rules]]\nname = \"example\"\n[[rules.faults]]\n{example}")
    } else if ["select", "probability", "nth", "limits", "schedule", "key"].contains(&first) {
        format!("[[rules]]\nname = \"example\"\nfaults = [{{ stall = {{}} }}]\n{example}")
    } else {
        example.to_owned()
    };
    if !example.contains("[listeners.") {
        text.push_str("\n[listeners.chat]\nbind = \"127.0.0.1:0\"\nprotocol = \"openai\"\nupstream = \"llm\"\n");
    }
    if !example.contains("[upstreams.") {
        text.push_str("\n[upstreams.llm]\nendpoints = [\"http://127.0.0.1:8000\"]\n[upstreams.kserve]\nendpoints = [\"http://127.0.0.1:8081\"]\n");
    }
    text
}
