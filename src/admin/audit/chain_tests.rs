use std::fs;
use std::io::BufReader;

use serde_json::{Value, json};

use super::*;
use crate::admin::audit::{Broken, Verified, verify};

fn entry(reason: &str) -> Entry {
    Entry {
        detail: Some(json!({ "reason": reason })),
        ..Entry::new("halted")
    }
}

fn verified(path: &Path) -> Result<Verified, Broken> {
    verify(BufReader::new(File::open(path).unwrap()))
}

/// A log of `count` lines in a directory of its own.
fn written(count: usize) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let mut chain = Chain::new(path.clone());
    for number in 0..count {
        chain.append(&entry(&number.to_string()), 0).unwrap();
    }
    (dir, path)
}

#[test]
fn each_line_holds_the_hash_of_the_one_before_and_a_restart_goes_on() {
    let (_dir, path) = written(3);
    let mut again = Chain::new(path.clone());
    let end = again.append(&entry("after"), 2).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["prev"], "0".repeat(64));
    for pair in lines.windows(2) {
        assert_eq!(pair[1]["prev"], pair[0]["hash"]);
    }
    assert_eq!(lines[3]["unwritten"], 2);
    assert_eq!(lines[2].get("unwritten"), None);
    let verified = verified(&path).unwrap();
    assert_eq!((verified.first, verified.last), (1, 4));
    assert_eq!(verified.hash, end.hash);
}

#[test]
fn what_is_changed_taken_out_or_put_in_is_found() {
    let (_dir, path) = written(5);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let check = |lines: &[&str]| {
        let text: String = lines.iter().flat_map(|it| [*it, "\n"]).collect();
        verify(text.as_bytes())
    };
    assert!(check(&lines).is_ok());
    let changed = lines[2].replace("\"2\"", "\"3\"");
    assert_ne!(changed, lines[2]);
    let broken = check(&[lines[0], lines[1], &changed, lines[3]]);
    assert!(matches!(broken, Err(Broken::Changed { line: 3, .. })));
    // Rewritten with a hash that fits: the next line gives it away.
    let (said, _) = changed.split_at(changed.len() - TAIL);
    let forged = format!("{said}{HASH}{}\"}}", digest(format!("{said}}}").as_bytes()));
    assert!(read_line(forged.as_bytes()).is_ok());
    let broken = check(&[lines[0], lines[1], &forged, lines[3]]);
    assert!(matches!(broken, Err(Broken::NotNext { line: 4 })));
    let broken = check(&[lines[0], lines[3], lines[4]]);
    assert!(matches!(
        broken,
        Err(Broken::Missing {
            line: 2,
            from: 2,
            to: 3
        })
    ));
    let broken = check(&[lines[0], lines[1], lines[1], lines[2]]);
    assert!(matches!(broken, Err(Broken::NotNext { line: 3 })));
    let broken = verify(&text.as_bytes()[..text.len() - 5]);
    assert!(matches!(broken, Err(Broken::Torn(_))));
    assert!(matches!(verify(&b""[..]), Err(Broken::Empty)));
    // A part of a chain says where it begins.
    let part = check(&lines[2..]).unwrap();
    assert_eq!((part.first, part.last), (3, 5));
}

#[test]
fn a_line_that_a_crash_cut_off_is_repaired() {
    let (_dir, path) = written(2);
    let mut text = fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"seq\":3,\"time\":\"20");
    fs::write(&path, &text).unwrap();
    let mut again = Chain::new(path.clone());
    again.append(&entry("after"), 0).unwrap();
    assert_eq!(verified(&path).unwrap().last, 4);
    assert!(fs::read_to_string(&path).unwrap().contains("\"repaired\""));
}

#[test]
fn a_log_that_does_not_end_as_it_was_written_is_set_aside() {
    let (dir, path) = written(2);
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("halted", "resumed");
    fs::write(&path, &text).unwrap();
    Chain::new(path.clone()).append(&entry("after"), 0).unwrap();
    assert_eq!(verified(&path).unwrap().last, 1);
    let aside = dir.path().join("audit.jsonl.broken");
    assert_eq!(fs::read_to_string(aside).unwrap(), text);
}

#[test]
fn a_full_file_is_moved_aside_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let mut chain = Chain {
        most_bytes: 500,
        ..Chain::new(path.clone())
    };
    for number in 0..10 {
        chain.append(&entry(&number.to_string()), 0).unwrap();
    }
    let mut files: Vec<PathBuf> = fs::read_dir(dir.path())
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| *it != path)
        .collect();
    assert!(files.len() > 2, "{files:?}");
    files.sort();
    files.push(path);
    let whole: Vec<u8> = files.iter().flat_map(|it| fs::read(it).unwrap()).collect();
    assert_eq!(verify(&whole[..]).unwrap().last, 10);
}

#[test]
fn a_second_writer_is_refused() {
    let (_dir, path) = written(0);
    let mut first = Chain::new(path.clone());
    first.append(&entry("first"), 0).unwrap();
    let error = Chain::new(path.clone())
        .append(&entry("second"), 0)
        .unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    assert_eq!(Chain::new(path).append(&entry("second"), 0).unwrap().seq, 2);
}
