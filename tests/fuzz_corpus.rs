//! Replays the corpora of the fuzz targets: what once was found stays fixed.

use std::fs;
use std::path::Path;

use hormesis::http1;
use hormesis::measure;
use hormesis::protocol::fuzz;

/// Runs a target over its corpus.
#[expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the harness shows the path only where the test fails; a corpus must be readable"
)]
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn describe() {
    replay("describe", fuzz::describe);
}

#[test]
fn expression() {
    replay("expression", measure::fuzz::expression);
}

#[test]
fn http1_request() {
    replay("http1_request", http1::fuzz::http1_request);
}

#[test]
fn http1_response() {
    replay("http1_response", http1::fuzz::http1_response);
}

#[test]
fn look() {
    replay("look", fuzz::look);
}

#[test]
fn sse() {
    replay("sse", fuzz::sse);
}
