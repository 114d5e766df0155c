//! A client's look at server-sent events: which of them carry a token, and how the stream ends.

use serde_json::Value;

/// What one event was to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Text, reasoning or a tool call.
    Token,
    /// Role, finish reason, usage.
    Control,
    /// An error in place of the rest.
    Error(String),
    Done,
}

/// Cuts a stream into events wherever its bytes were split.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    held: Vec<u8>,
}

impl EventReader {
    /// Takes bytes as they came; tells each event that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], mut event: impl FnMut(Event)) {
        self.held.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = memchr::memmem::find(&self.held[start..], b"\n\n") {
            let end = start + length;
            for line in self.held[start..end].split(|byte| *byte == b'\n') {
                if let Some(data) = line.strip_prefix(b"data:") {
                    event(classify(data.trim_ascii()));
                }
            }
            start = end + 2;
        }
        self.held.drain(..start);
    }
}

fn classify(data: &[u8]) -> Event {
    if data == b"[DONE]" {
        return Event::Done;
    }
    let value: Value = match serde_json::from_slice(data) {
        Ok(value) => value,
        Err(error) => return Event::Error(format!("an event is no JSON: {error}")),
    };
    if let Some(error) = value.get("error") {
        return Event::Error(error["message"].as_str().unwrap_or("error").to_owned());
    }
    let delta = &value["choices"][0]["delta"];
    let has_text = |field: &str| delta[field].as_str().is_some_and(|text| !text.is_empty());
    let is_token = has_text("content")
        || has_text("reasoning_content")
        || has_text("refusal")
        || delta["tool_calls"].is_array();
    if is_token {
        Event::Token
    } else {
        Event::Control
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        : comment\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
        data: {\"choices\":[],\"usage\":{}}\n\n\
        data: {\"error\":{\"message\":\"overloaded\"}}\n\n\
        data: [DONE]\n\n";

    fn read(parts: &[&[u8]]) -> Vec<Event> {
        let mut reader = EventReader::default();
        let mut events = Vec::new();
        for part in parts {
            reader.feed(part, |event| events.push(event));
        }
        events
    }

    #[test]
    fn any_split_gives_the_same_events() {
        let whole = read(&[STREAM]);
        assert_eq!(
            whole,
            [
                Event::Control,
                Event::Token,
                Event::Control,
                Event::Error("overloaded".into()),
                Event::Done,
            ]
        );
        for at in 0..STREAM.len() {
            let (a, b) = STREAM.split_at(at);
            assert_eq!(read(&[a, b]), whole, "split at {at}");
        }
    }
}
