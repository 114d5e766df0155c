//! Holds what `docs/` tells to the code that it is about.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands between `<!-- NAME -->` and `<!-- /NAME -->` of a file under `docs/`.
pub(crate) fn section(file: &str, name: &str) -> String {
    split(&fs::read_to_string(path(file)).unwrap(), name).1
}

/// Fails where a section is not `expected`. With `HORMESIS_WRITE_DOCS` set, writes it instead.
pub(crate) fn hold_section(file: &str, name: &str, expected: &str) {
    let text = fs::read_to_string(path(file)).unwrap();
    let (before, section, after) = split(&text, name);
    if std::env::var_os("HORMESIS_WRITE_DOCS").is_some() {
        fs::write(path(file), [&before, expected, &after].concat()).unwrap();
        return;
    }
    assert!(
        section == expected,
        "docs/{file} tells something else than the code; `HORMESIS_WRITE_DOCS=1 cargo test --lib record::` writes it"
    );
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(file)
}

fn split(text: &str, name: &str) -> (String, String, String) {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from = text.find(&start).expect("the section starts") + start.len();
    let to = from + text[from..].find(&end).expect("the section ends");
    let [before, section, after] = [&text[..from], &text[from..to], &text[to..]];
    (before.to_owned(), section.to_owned(), after.to_owned())
}
