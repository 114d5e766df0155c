use proptest::prelude::*;

use super::*;
use crate::protocol::frame::Units;
use crate::protocol::{Framer, UnitEnd};

/// Collects events as an owner.
#[derive(Debug, Default)]
struct Collect(Vec<(String, String)>);

impl EventKind for Collect {
    fn kind(&mut self, event: Event<'_>) -> UnitKind {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0.push((text(event.name), text(event.data)));
        UnitKind::Token
    }
}

/// The ends of units in pieces of the given sizes, used in a circle, as offsets in the whole.
fn ends(body: &[u8], sizes: &[usize]) -> (Vec<UnitEnd>, Option<UnitKind>) {
    let mut framer = Units::new(SseBoundary::new(), Events::new(Collect::default()));
    let mut sizes = sizes.iter().cycle();
    let (mut all, mut offset) = (Vec::new(), 0);
    while offset < body.len() {
        let size = sizes.next().copied().unwrap_or(body.len());
        let piece = &body[offset..body.len().min(offset + size)];
        let mut now = Vec::new();
        framer.push(piece, &mut now);
        all.extend(now.iter().map(|end| UnitEnd {
            at: offset + end.at,
            kind: end.kind,
        }));
        offset += piece.len();
    }
    (all, framer.finish())
}

/// The units as text.
fn units(body: &str) -> Vec<&str> {
    let mut start = 0;
    let (ends, _) = ends(body.as_bytes(), &[body.len().max(1)]);
    let mut units: Vec<&str> = ends
        .iter()
        .map(|end| {
            let unit = &body[start..end.at];
            start = end.at;
            unit
        })
        .collect();
    if start < body.len() {
        units.push(&body[start..]);
    }
    units
}

/// The events of a stream, unit by unit as the framer cuts it.
fn events(body: &[u8]) -> Vec<(String, String)> {
    let mut classifier = Events::new(Collect::default());
    let mut start = 0;
    for end in ends(body, &[body.len().max(1)]).0 {
        classifier.classify(&body[start..end.at]);
        start = end.at;
    }
    classifier.kinds.0
}

/// The standard's algorithm word by word, on the whole stream; slow and plain. The type of events
/// stays empty where the standard would fill in `message`.
fn standard_events(body: &str) -> Vec<(String, String)> {
    let body = body.strip_prefix('\u{FEFF}').unwrap_or(body);
    let normal = body.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut data, mut name) = (String::new(), String::new());
    // What follows the last line end is no line; what follows the last blank line is dropped.
    let lines = normal.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let complete = if normal.contains('\n') {
        lines
    } else {
        return events;
    };
    for line in complete.split('\n') {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                events.push((std::mem::take(&mut name), std::mem::take(&mut data)));
            }
            name.clear();
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "event" => value.clone_into(&mut name),
            _ => {}
        }
    }
    events
}

#[test]
fn units_end_with_their_blank_line_whatever_ends_lines() {
    assert_eq!(
        units("data: a\n\ndata: b\n\n"),
        ["data: a\n\n", "data: b\n\n"]
    );
    assert_eq!(
        units("data: a\r\n\r\ndata: b\r\n\r\n"),
        ["data: a\r\n\r\n", "data: b\r\n\r\n"]
    );
    assert_eq!(
        units("data: a\r\rdata: b\r\r"),
        ["data: a\r\r", "data: b\r\r"]
    );
    assert_eq!(units("data: a\n\r\ndata: b"), ["data: a\n\r\n", "data: b"]);
    // Where lines end with CR, none waits for an LF; one that comes belongs to the CR before it.
    assert_eq!(
        units("data: a\r\r\rdata: b\r\r\ndata: c"),
        ["data: a\r\r", "\r", "data: b\r\r", "\ndata: c"]
    );
    assert_eq!(units("\n\n: ping\n\n"), ["\n", "\n", ": ping\n\n"]);
    assert_eq!(
        units("\u{FEFF}\ndata: a\n\n"),
        ["\u{FEFF}\n", "data: a\n\n"]
    );
    assert_eq!(units(""), [""; 0]);
}

#[test]
fn an_end_that_is_known_too_late_joins_two_events_in_one_unit() {
    let body = "data: a\r\n\rdata: b\r\n\r\n";
    assert_eq!(units(body), [body]);
    assert_eq!(events(body.as_bytes()).len(), 2);
}

#[test]
fn a_blank_line_is_not_waited_for_beyond_its_last_byte() {
    // The next event may be seconds away.
    for body in ["data: a\n\n", "data: a\r\n\r\n", "data: a\r\r"] {
        let (ends, left) = ends(body.as_bytes(), &[1]);
        assert_eq!(ends.len(), 1, "{body:?}");
        assert_eq!(ends[0].at, body.len());
        assert_eq!(left, None);
    }
}

#[test]
fn comments_and_events_without_data_are_control() {
    for (body, kind) in [
        (": ping\n\n", UnitKind::Control),
        ("event: ping\n\n", UnitKind::Control),
        ("id: 7\nretry: 10\n\n", UnitKind::Control),
        ("data\n\n", UnitKind::Token),
        ("data:\n\n", UnitKind::Token),
        (": ping\ndata: x\n\n", UnitKind::Token),
        ("\u{FEFF}data: x\n\n", UnitKind::Token),
        (" data: x\n\n", UnitKind::Control),
    ] {
        assert_eq!(ends(body.as_bytes(), &[1]).0[0].kind, kind, "{body:?}");
    }
}

#[test]
fn what_a_stream_leaves_unfinished_is_told_at_its_end() {
    assert_eq!(ends(b"data: x\n", &[3]).1, Some(UnitKind::Token));
    assert_eq!(ends(b": x", &[3]).1, Some(UnitKind::Control));
    assert_eq!(ends(b"data: x\r\n\r", &[3]).1, Some(UnitKind::Token));
}

#[test]
fn text_becomes_one_event() {
    assert_eq!(event_of(None, "a"), b"data: a\n\n");
    assert_eq!(
        event_of(Some("error"), "a\nb"),
        b"event: error\ndata: a\ndata: b\n\n"
    );
    assert_eq!(
        events(&event_of(None, "a\r\n\r\nb")),
        [(String::new(), "a\n\nb".to_owned())]
    );
    assert_eq!(event_of(None, ""), b"data: \n\n");
}

fn stream() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "\n",
        "\r",
        "\r\n",
        "data",
        ":",
        " ",
        "data: x",
        "data:y",
        "event: e",
        ": c",
        "id",
        "é",
        "\u{FEFF}",
        "\n\n",
        "\r\n\r\n",
        "\r\r",
        "{\"a\":1}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_units(
        body in stream(),
        sizes in prop::collection::vec(1_usize..8, 1..6),
    ) {
        let whole = ends(body.as_bytes(), &[body.len().max(1)]);
        prop_assert_eq!(ends(body.as_bytes(), &sizes), whole.clone());
        prop_assert_eq!(ends(body.as_bytes(), &[1]), whole);
    }

    #[test]
    fn the_events_are_those_of_the_standard(body in stream()) {
        // What is left unfinished is classified leniently, so that the standard's rule to drop it
        // only shows with the stream brought to an end.
        let body = format!("{body}\n\n");
        prop_assert_eq!(events(body.as_bytes()), standard_events(&body));
    }
}
