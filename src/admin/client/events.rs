//! Server-sent events (WHATWG HTML §9.2), as the admin API sends them.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::line::Line;

/// No event of ours is larger; what is, is no event stream.
const MOST_BYTES: usize = 4 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Empty where the stream names none.
    pub name: String,
    pub data: String,
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    line: Line,
    body: Incoming,
    parser: Parser,
}

impl Events {
    pub(super) fn new(line: Line, body: Incoming) -> Self {
        Self {
            line,
            body,
            parser: Parser::default(),
        }
    }

    /// The next event; `None` once the stream has ended.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn next(&mut self) -> hyper::Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let Some(frame) = self.line.drive(self.body.frame()).await else {
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.parser.feed(&data);
            }
            if self.parser.text.len() > MOST_BYTES {
                return Ok(None);
            }
        }
    }
}

/// Lines of text to events. Bytes may come cut anywhere.
#[derive(Debug, Default)]
struct Parser {
    text: Vec<u8>,
    /// So far.
    event: Event,
    started: bool,
}

impl Parser {
    fn feed(&mut self, bytes: &Bytes) {
        self.text.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Event> {
        while let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.text.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\n').trim_end_matches('\r');
            if line.is_empty() {
                // A blank line ends an event; comments alone make none.
                if std::mem::take(&mut self.started) {
                    return Some(std::mem::take(&mut self.event));
                }
                continue;
            }
            self.field(line);
        }
        None
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                if self.started && !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.started = true;
            }
            "event" => value.clone_into(&mut self.event.name),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = ": hello\n\nevent: decision\ndata: {\"a\":1}\n\nevent: dropped\r\ndata: {\"count\":2}\r\n\r\ndata: x\ndata: y\n\n";

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_are_cut(cuts in prop::collection::vec(0..STREAM.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for pair in cuts.windows(2) {
                parser.feed(&Bytes::copy_from_slice(&STREAM.as_bytes()[pair[0]..pair[1]]));
                events.extend(std::iter::from_fn(|| parser.next()));
            }
            prop_assert_eq!(events, [
                event("decision", "{\"a\":1}"),
                event("dropped", "{\"count\":2}"),
                event("", "x\ny"),
            ]);
        }
    }
}
