//! Holds the tables of `docs/` to the code that they are about.

use std::fs;
use std::path::Path;

/// Fails where the section between `<!-- NAME -->` and `<!-- /NAME -->` of a file under `docs/` is
/// not `expected`. With `HORMESIS_WRITE_DOCS` set, writes it instead.
pub(crate) fn hold_section(file: &str, name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(file);
    let text = fs::read_to_string(&path).unwrap();
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&start).expect("the section starts");
    let (section, after) = rest.split_once(&end).expect("the section ends");
    if std::env::var_os("HORMESIS_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{start}{expected}{end}{after}")).unwrap();
        return;
    }
    assert!(
        section == expected,
        "docs/{file} tells something else than the code: HORMESIS_WRITE_DOCS=1 cargo test --lib record:: writes it"
    );
}
