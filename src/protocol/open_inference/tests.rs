use serde_json::json;

use super::*;
use crate::call::Field;
use crate::effect::{ErrorKind, ErrorSpec};
use crate::protocol::UnitKind;

const SSE: &[Field<'static>] = &[Field {
    name: "Content-Type",
    value: b"text/event-stream; charset=utf-8",
}];

fn head(path: &str) -> RequestHead<'_> {
    RequestHead {
        method: "POST",
        path,
        query: None,
        fields: &[],
    }
}

#[test]
fn the_events_of_generate_stream_are_told_apart() {
    let head = ResponseHead {
        status: 200,
        fields: SSE,
    };
    let mut framer = OpenInference
        .framer(&Description::default(), &head)
        .unwrap();
    let mut ends = Vec::new();
    framer.push(
        concat!(
            "data: {\"model_name\":\"llm\",\"model_version\":\"1\",\"text_output\":\"Hi\"}\n\n",
            "data: {\"model_name\":\"llm\",\"text_output\":\"\",\"cum_log_probs\":0.0}\n\n",
            "data: {\"model_name\":\"llm\",\"sequence_end\":true,\"OUT\":[1,2]}\n\n",
            "data: {\"error\":\"Request timeout expired\"}\n\n",
        )
        .as_bytes(),
        &mut ends,
    );
    let kinds: Vec<_> = ends.iter().map(|end| end.kind).collect();
    assert_eq!(
        kinds,
        [
            UnitKind::Token,
            UnitKind::Control,
            UnitKind::Token,
            UnitKind::Control,
        ]
    );
    assert!(framer.saw_error());
    assert_eq!(framer.saw_end(), None);
}

#[test]
fn only_a_stream_takes_an_error_in_its_middle() {
    let answer = Answer {
        error: ErrorSpec::Kind(ErrorKind::Overloaded),
        headers: Vec::new(),
        body: None,
    };
    let stream = OpenInference.describe(&head("/v2/models/llm/generate_stream"));
    let event = OpenInference.error_in_stream(&answer, &stream).unwrap();
    assert_eq!(
        event,
        b"data: {\"error\":\"Exceeds maximum queue size\"}\n\n"
    );
    assert!(OpenInference.is_error_unit(&event));
    let infer = OpenInference.describe(&head("/v2/models/llm/infer"));
    assert_eq!(OpenInference.error_in_stream(&answer, &infer), None);
}

#[test]
fn a_generate_request_is_completed_from_its_body() {
    let head = head("/v2/models/llm/versions/2/generate");
    let mut description = OpenInference.describe(&head);
    let mut look = look::Look::new(OpenInference.pointers(&head, &description));
    look.push(
        json!({"text_input": "héllo", "parameters": {"max_tokens": 16}})
            .to_string()
            .as_bytes(),
    );
    OpenInference.complete(&mut description, &look.finish());
    assert_eq!(description.max_tokens, Some(16));
    assert_eq!(description.prompt_chars, Some(5));
    assert_eq!(description.version.as_deref(), Some("2"));
    assert_eq!(description.stream, Some(false));
}
