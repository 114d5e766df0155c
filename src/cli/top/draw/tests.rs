use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::cli::top::model::tests::view;

fn shown(width: u16, height: u16, halted: bool, help: bool) -> String {
    let view = view(halted);
    let picture = Picture {
        view: &view,
        address: "127.0.0.1:9901".to_owned(),
        help,
        notice: None,
    };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| picture.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(width));
    let row = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    rows.map(row).collect::<Vec<_>>().join("\n")
}

#[tokio::test(start_paused = true)]
async fn it_reads_well_in_a_small_window() {
    insta::assert_snapshot!(shown(80, 24, false, false), @"");
}

#[tokio::test(start_paused = true)]
async fn a_halt_is_seen_first() {
    insta::assert_snapshot!(shown(80, 24, true, false), @"");
}

#[tokio::test(start_paused = true)]
async fn a_large_window_has_lines_and_all_columns() {
    insta::assert_snapshot!(shown(160, 50, false, false), @"");
}

#[tokio::test(start_paused = true)]
async fn help_is_part_of_the_screen() {
    let help = shown(80, 24, false, true);
    assert!(
        help.contains("hormesis resume") && help.contains("calls/s"),
        "{help}"
    );
    assert!(!help.contains("errors by origin"), "{help}");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_too_small_says_so() {
    assert_eq!(
        shown(40, 5, false, false).trim(),
        "top needs 60×14 characters"
    );
    // Whatever the size, it is drawn.
    for (width, height) in [(1, 1), (60, 14), (61, 15), (300, 90)] {
        shown(width, height, true, false);
    }
}
