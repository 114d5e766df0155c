use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::*;
use crate::admin::client::told::Condition;
use crate::cli::top::model::tests::view;

fn picture(view: &View) -> Picture<'_> {
    Picture {
        view,
        address: "127.0.0.1:9901".to_owned(),
        help: false,
        asks: false,
        has_color: true,
        notice: None,
    }
}

fn drawn(picture: &Picture<'_>, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| picture.draw(frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn shown(width: u16, height: u16, halted: bool, help: bool) -> String {
    let view = view(halted);
    let picture = Picture {
        help,
        ..picture(&view)
    };
    text(&drawn(&picture, width, height), width)
}

fn plain(view: &View, width: u16, height: u16) -> String {
    text(&drawn(&picture(view), width, height), width)
}

fn text(buffer: &Buffer, width: u16) -> String {
    let rows = buffer.content().chunks(usize::from(width));
    let row = |cells: &[Cell]| {
        let text: String = cells.iter().map(Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    rows.map(row).collect::<Vec<_>>().join("\n")
}

#[tokio::test(start_paused = true)]
async fn it_reads_well_in_a_small_window() {
    insta::assert_snapshot!(shown(80, 24, false, false), @"
    hormesis 0.1.0  127.0.0.1:9901  ready  up 2m 40s  configuration 2  seed 7
     calls ─────────────────────────────────────────────────────────────────────────
    listener   calls/s  active      p50      p90      p99   token1   errors injected
    chat          10.0       2  25.0 ms   838 ms   1.75 s  5.00 ms      0 %     20 %

     errors by origin ─────────────────────   joules by outcome (cpu-model) ────────
                   /s in all         mostly  ok                 240 J  ████████████
    upstream        0      1 upstream_error  injected_fault    12.0 J  █
    downstream      0      0                 upstream_error         –
    proxy           0      0                 525 mJ a success, calls draw 4.20 W
    injected     2.00    120 injected_fault

     rules (3) ─────────────────────────────────────────────────────────────────────
    rule             on          faults      state    ends in  hits/s   now  applied
    overloaded       all         abort       armed               2.00     0      120
    delay-chat       chat        delay       armed        28s       0     2       10
    later            chat        stall       off                    0     0        0






     q quit   h halt every fault   ? help
    ");
}

#[tokio::test(start_paused = true)]
async fn a_halt_is_seen_first() {
    insta::assert_snapshot!(shown(80, 24, true, false), @"
    hormesis 0.1.0  127.0.0.1:9901  ready  up 2m 40s  configuration 2  seed 7
     HALTED by order since 2026-11-27T11:04:00Z: too hot
     calls ─────────────────────────────────────────────────────────────────────────
    listener   calls/s  active      p50      p90      p99   token1   errors injected
    chat          10.0       2  25.0 ms   838 ms   1.75 s  5.00 ms      0 %     20 %

     errors by origin ─────────────────────   joules by outcome (cpu-model) ────────
                   /s in all         mostly  ok                 240 J  ████████████
    upstream        0      1 upstream_error  injected_fault    12.0 J  █
    downstream      0      0                 upstream_error         –
    proxy           0      0                 525 mJ a success, calls draw 4.20 W
    injected     2.00    120 injected_fault

     rules (3) ─────────────────────────────────────────────────────────────────────
    rule             on          faults      state    ends in  hits/s   now  applied
    overloaded       all         abort       halted              2.00     0      120
    delay-chat       chat        delay       halted       28s       0     2       10
    later            chat        stall       off                    0     0        0





     q quit   h halt every fault   ? help
    ");
}

#[tokio::test(start_paused = true)]
async fn a_large_window_has_lines_and_all_columns() {
    insta::assert_snapshot!(shown(160, 50, false, false), @"
    hormesis 0.1.0  127.0.0.1:9901  ready  up 2m 40s  configuration 2  seed 7
     calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    listener                                                                                   calls/s  active      p50      p90      p99   token1   errors injected
    chat                                                                                          10.0       2  25.0 ms   838 ms   1.75 s  5.00 ms      0 %     20 %

     calls a second ───────────────────────────────────────────────────────────────   p99 of each second ───────────────────────────────────────────────────────────
    10.0    │                                    ⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉  5.00 s  │
            │                                                                                │
            │                                                                                │
            │                                                                                │
            │                                                                                │
            │                                                                                │
            │                                                                                │
            │                                                                                │
    5.00    │                                                                        2.50 s  │
            │                                                                                │                                     ⢸  ⢸  ⢸  ⢸  ⡇  ⡇  ⡇  ⡇  ⡇ ⢸  ⢸  ⢸
            │                                                                                │                                     ⢸  ⢸  ⢸  ⢸  ⣷  ⡇  ⡇  ⡇ ⢰⡇ ⢸⡆ ⢸  ⢸
            │                                                                                │                                     ⡜⡄ ⡜⡄ ⡜⡄ ⡜⡄⢠⢻ ⢠⢣ ⢠⢣ ⢠⢣ ⢸⢣ ⡜⡇ ⡜⡄ ⡜
            │                                                                                │                                     ⡇⡇ ⡇⡇ ⡇⡇ ⡇⡇⢸⠘⡄⢸⢸ ⢸⢸ ⢸⢸ ⡜⢸ ⡇⢣ ⡇⡇ ⡇
            │                                                                                │                                    ⠤⠇⠧⠤⠇⠧⠤⠇⠧⠤⠇⠧⠼ ⠧⠼⠸⠤⠼⠸⠤⠼⠸⠤⠇⠸⠤⠇⠸⠤⠇⠧⠤⠇
            │                                                                                │
            │                                                                                │
    0       │                                                                        0       │
            └──────────────────────────────────────────────────────────────────────          └──────────────────────────────────────────────────────────────────────
    2 min ago                                1 min                              now  2 min ago                                1 min                              now
     errors by origin ─────────────────────────────────────────────────────────────   joules by outcome (cpu-model) ────────────────────────────────────────────────
                   /s in all                                                 mostly  ok                 240 J  ████████████████████████████████████████████████████
    upstream        0      1                                         upstream_error  injected_fault    12.0 J  ██
    downstream      0      0                                                         upstream_error         –
    proxy           0      0                                                         525 mJ a success, calls draw 4.20 W
    injected     2.00    120                                         injected_fault

     rules (3) ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    rule                                         on                             faults                        state    ends in  hits/s   now  applied   denied from
    overloaded                                   all                            abort                         armed               2.00     0      120        1 file
    delay-chat                                   chat                           delay                         armed        28s       0     2       10        0 api
    later                                        chat                           stall                         off                    0     0        0        0 file












     q quit   h halt every fault   ? help
    ");
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
async fn a_halt_is_asked_about() {
    let view = view(false);
    let asking = Picture {
        asks: true,
        ..picture(&view)
    };
    let shown = text(&drawn(&asking, 80, 24), 80);
    let last = shown.lines().last().unwrap();
    assert_eq!(last.trim(), "halt every fault?   y yes   n no");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_coloured_where_nobody_wants_it() {
    let view = view(true);
    for has_color in [true, false] {
        let picture = Picture {
            has_color,
            ..picture(&view)
        };
        let buffer = drawn(&picture, 160, 50);
        let mut cells = buffer.content().iter();
        let plain = |it: &Cell| it.fg == Color::Reset && it.bg == Color::Reset;
        assert_eq!(cells.all(plain), !has_color);
        // The halt stands out either way.
        let halted = &buffer[(1, 1)];
        assert_eq!(halted.symbol(), "H");
        assert_eq!(halted.modifier.contains(Modifier::REVERSED), !has_color);
    }
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

#[tokio::test(start_paused = true)]
async fn what_halts_everything_is_shown_with_its_value_where_there_is_room() {
    let condition = |expr: &str, unit: &str, value: Option<f64>, breached: bool| Condition {
        expr: expr.to_owned(),
        unit: unit.to_owned(),
        value,
        of: 480,
        breached: Some(breached),
    };
    let mut view = view(false);
    view.conditions = vec![
        condition(
            "error_rate(chat) > 25% for 10s",
            "share",
            Some(0.0325),
            false,
        ),
        condition("latency.p99(chat) > 2s for 30s", "seconds", Some(2.5), true),
        condition("rate < 5/s over 10s", "per_second", None, false),
    ];
    let small = plain(&view, 80, 24);
    let row = |text: &str, begins: &str| {
        let line = text.lines().find(|it| it.starts_with(begins));
        let words = line.unwrap_or_else(|| panic!("no {begins} in\n{text}"));
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        row(&small, "error_rate"),
        "error_rate(chat) > 25% for 10s now 3.2 % of 480 calls"
    );
    assert_eq!(
        row(&small, "latency"),
        "latency.p99(chat) > 2s for 30s now 2.50 s of 480 calls"
    );
    assert_eq!(
        row(&small, "rate <"),
        "rate < 5/s over 10s now – of 480 calls"
    );
    assert!(
        small.contains("overloaded") && small.contains("delay-chat"),
        "{small}"
    );
    let large = plain(&view, 160, 50);
    assert!(
        large.contains("halts when") && large.contains("later"),
        "{large}"
    );
    // What does not fit is said, and the rules keep their place.
    let least = plain(&view, 80, 17);
    assert!(least.contains("halts when (and 2 more)"), "{least}");
    assert!(least.contains("overloaded"), "{least}");
    let none = plain(&view, 80, 14);
    assert!(
        !none.contains("halts when") && none.contains("overloaded"),
        "{none}"
    );
}
