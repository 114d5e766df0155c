use serde_json::json;

use super::*;
use crate::call::Field;
use crate::effect::{ErrorKind, ErrorSpec};

fn head<'a>(path: &'a str, fields: &'a [Field<'a>]) -> RequestHead<'a> {
    RequestHead {
        method: "POST",
        path,
        query: None,
        fields,
    }
}

fn described(path: &str, body: &Value) -> Description {
    let head = head(path, &[]);
    let mut description = OpenAi.describe(&head);
    let mut look = look::Look::new(OpenAi.pointers(&head, &description));
    look.push(body.to_string().as_bytes());
    OpenAi.complete(&mut description, &look.finish());
    description
}

fn answer(error: ErrorSpec) -> Answer {
    Answer {
        error,
        headers: Vec::new(),
        body: None,
    }
}

#[test]
fn a_chat_request_is_described() {
    let body = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hällo"}]},
        ],
        "model": "llama-3.1-8b",
        "stream": true,
        "max_tokens": 5,
        "max_completion_tokens": 64,
    });
    assert_eq!(
        described("/v1/chat/completions", &body),
        Description {
            operation: Some("chat.completions".into()),
            model: Some("llama-3.1-8b".to_owned()),
            version: None,
            stream: Some(true),
            prompt_chars: Some(14),
            max_tokens: Some(64),
        }
    );
}

#[test]
fn what_the_body_leaves_out_has_its_default_or_none() {
    let completion = described("/completion", &json!({"prompt": "abc", "n_predict": -1}));
    assert_eq!(completion.stream, Some(false));
    assert_eq!(completion.max_tokens, None);
    assert_eq!(completion.prompt_chars, Some(3));
    let embeddings = described(
        "/v1/embeddings",
        &json!({"model": "e", "input": ["ab", "c"]}),
    );
    assert_eq!(embeddings.stream, None);
    assert_eq!(embeddings.prompt_chars, Some(3));
    let odd = described("/v1/completions", &json!({"stream": "yes", "model": 7}));
    assert_eq!((odd.stream, odd.model), (None, None));
}

#[test]
fn a_deployment_decides_before_the_body() {
    let path = "/openai/deployments/gpt-4o/chat/completions";
    let description = described(path, &json!({"model": "other"}));
    assert_eq!(description.model.as_deref(), Some("gpt-4o"));
}

#[test]
fn bodies_that_are_no_json_are_not_looked_into() {
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("Content-Type", "multipart/form-data; boundary=x"),
    ] {
        let fields = [Field {
            name,
            value: value.as_bytes(),
        }];
        let head = head("/v1/chat/completions", &fields);
        let description = OpenAi.describe(&head);
        assert!(OpenAi.pointers(&head, &description).is_empty(), "{name}");
    }
}

#[test]
fn only_plain_event_streams_have_units() {
    let framed = |fields: &[(&'static str, &'static str)]| {
        let fields: Vec<Field<'_>> = fields
            .iter()
            .map(|&(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let head = ResponseHead {
            status: 200,
            fields: &fields,
        };
        OpenAi.framer(&Description::default(), &head).is_some()
    };
    assert!(framed(&[("Content-Type", "text/event-stream")]));
    assert!(framed(&[(
        "content-type",
        "Text/Event-Stream ;charset=utf-8"
    )]));
    assert!(framed(&[
        ("content-type", "text/event-stream"),
        ("content-encoding", "identity")
    ]));
    assert!(!framed(&[("content-type", "application/json")]));
    assert!(!framed(&[]));
    for coding in [
        "gzip",
        "deflate",
        "br",
        "zstd",
        "identity, gzip",
        "unheard-of",
    ] {
        assert!(!framed(&[
            ("content-type", "text/event-stream"),
            ("Content-Encoding", coding)
        ]));
    }
}

#[test]
fn errors_name_the_model_and_quote_it_safely() {
    let call = Call {
        description: Description {
            model: Some("a\"b".to_owned()),
            ..Description::default()
        },
        ..Call::default()
    };
    let error = OpenAi.error(&answer(ErrorSpec::Kind(ErrorKind::NotFound)), &call);
    assert_eq!(error.status, 404);
    let body: Value = serde_json::from_slice(&error.body).unwrap();
    assert_eq!(body["error"]["code"], "model_not_found");
    assert_eq!(
        body["error"]["message"],
        "The model `a\"b` does not exist or you do not have access to it."
    );
}

#[test]
fn a_bare_status_has_the_words_of_its_meaning() {
    for (code, class, error_code) in [
        (429, "requests", json!("rate_limit_exceeded")),
        (500, "server_error", Value::Null),
        (529, "server_error", Value::Null),
        (418, "invalid_request_error", Value::Null),
    ] {
        let error = OpenAi.error(&answer(ErrorSpec::Status(code)), &Call::default());
        assert_eq!(error.status, code);
        let body: Value = serde_json::from_slice(&error.body).unwrap();
        assert_eq!(body["error"]["type"], class, "{code}");
        assert_eq!(body["error"]["code"], error_code, "{code}");
    }
}

#[test]
fn an_error_in_a_stream_is_an_event_of_its_api() {
    let answer = answer(ErrorSpec::Kind(ErrorKind::Overloaded));
    let chat = Description {
        operation: Some("chat.completions".into()),
        stream: Some(true),
        ..Description::default()
    };
    let event = OpenAi.error_in_stream(&answer, &chat).unwrap();
    assert!(event.starts_with(b"data: {\"error\":{"), "{event:?}");
    assert!(event.ends_with(b"}\n\n"));
    assert!(OpenAi.is_error_unit(&event));

    let responses = Description {
        operation: Some("responses".into()),
        ..chat.clone()
    };
    let event = OpenAi.error_in_stream(&answer, &responses).unwrap();
    assert!(event.starts_with(b"event: error\ndata: {"), "{event:?}");
    assert!(OpenAi.is_error_unit(&event));

    let whole = Description {
        stream: Some(false),
        ..chat
    };
    assert_eq!(OpenAi.error_in_stream(&answer, &whole), None);
}
