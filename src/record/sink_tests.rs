use std::path::Path;

use tempfile::tempdir;

use crate::record::DecisionLevel;

use super::*;

fn sink(file: &Path, max_bytes: u64, keep: usize) -> Sink {
    Sink::new(&LogSettings {
        decisions: DecisionLevel::All,
        file: Some(file.to_owned()),
        max_bytes,
        keep,
    })
}

/// Writes lines one batch each; how many were written and lost.
fn write(sink: &mut Sink, lines: impl IntoIterator<Item = u32>) -> (u64, u64) {
    let mut sum = (0, 0);
    for number in lines {
        for fate in [
            sink.write(format!("{number:03}\n").as_bytes()),
            sink.flush(),
        ] {
            sum.0 += fate.written;
            sum.1 += fate.lost;
        }
    }
    sum
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_full_file_makes_room_and_the_oldest_goes() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sink = sink(&path, 8, 2);
    assert_eq!(write(&mut sink, 1..=7), (7, 0));
    assert_eq!(text(&path), "007\n");
    assert_eq!(text(&dir.path().join("log.1")), "005\n006\n");
    assert_eq!(text(&dir.path().join("log.2")), "003\n004\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn with_none_kept_the_file_starts_over() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    write(&mut sink(&path, 8, 0), 1..=5);
    assert_eq!(text(&path), "005\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn no_file_is_larger_than_asked_when_lines_come_in_a_burst() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sink = sink(&path, 100, 50);
    let mut written = 0;
    for number in 0..200 {
        written += sink.write(format!("{number:03}\n").as_bytes()).written;
    }
    written += sink.flush().written;
    assert_eq!(written, 200);
    let mut lines = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let text = text(&entry.unwrap().path());
        assert!(text.len() <= 100, "{}", text.len());
        lines += text.lines().count();
    }
    assert_eq!(lines, 200);
}

#[test]
fn a_restart_goes_on_where_the_file_ends_on_a_line_of_its_own() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, "001\n{\"torn").unwrap();
    write(&mut sink(&path, 1000, 1), [2]);
    assert_eq!(text(&path), "001\n{\"torn\n002\n");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_loses_lines_counts_them_and_is_tried_again() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let mut sink = sink(&path, 8, 2);
    assert_eq!(write(&mut sink, 1..=5), (0, 5));
    fs::remove_file(&path).unwrap();
    // Not at once: a broken disk is not asked for every line.
    assert_eq!(write(&mut sink, 6..=7), (0, 2));
    tokio::time::advance(RETRY).await;
    assert_eq!(write(&mut sink, 8..=9), (2, 0));
    assert_eq!(text(&path), "008\n009\n");
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_comes_later_is_found() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("later").join("log");
    let mut sink = sink(&path, 1000, 2);
    assert_eq!(write(&mut sink, [1]), (0, 1));
    fs::create_dir(dir.path().join("later")).unwrap();
    tokio::time::advance(RETRY).await;
    assert_eq!(write(&mut sink, [2]), (1, 0));
    assert_eq!(text(&path), "002\n");
}

#[test]
fn a_device_is_never_rotated() {
    let mut sink = sink(Path::new("/dev/null"), 8, 2);
    assert_eq!(write(&mut sink, 1..=9), (9, 0));
    assert!(Path::new("/dev/null").exists());
}
