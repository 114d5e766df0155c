use super::*;

fn kinds() -> Kinds {
    Kinds::default()
}

/// The kind of one event's data.
fn kind(data: &str) -> UnitKind {
    kinds().kind(Event {
        name: b"",
        data: data.as_bytes(),
    })
}

fn delta(delta: &str) -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
    )
}

#[test]
fn what_has_content_is_a_token() {
    for token in [
        delta(r#"{"content":"Hi"}"#),
        delta(r#"{"role":"assistant","content":"Hi"}"#),
        delta(r#"{"content":" "}"#),
        delta(r#"{"content":"\n"}"#),
        delta(r#"{"content":"\"content\":\"\""}"#),
        delta(r#"{"content":"\ud83d\ude00"}"#),
        delta(r#"{"content":"","reasoning_content":"hm"}"#),
        delta(r#"{"content":null,"reasoning":"hm"}"#),
        delta(r#"{"refusal":"I cannot"}"#),
        delta(r#"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":""}}]}"#),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a"}}]}"#),
        delta(r#"{"function_call":{"arguments":"{"}}"#),
        delta(r#"{"content":[{"type":"text","text":"Hi"}]}"#),
        r#"{ "choices" : [ { "delta" : { "content" : "x" } } ] }"#.to_owned(),
        r#"{"choices":[{"delta":{"content":""}},{"delta":{"content":"x"}}]}"#.to_owned(),
        r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"length"}],"usage":null}"#
            .to_owned(),
        r#"{"object":"text_completion","choices":[{"text":"Hi","index":0}]}"#.to_owned(),
        r#"{"content":"Hi","stop":false,"index":0}"#.to_owned(),
        r#"{"type":"response.output_text.delta","delta":"Hi","item_id":"m"}"#.to_owned(),
        r#"{"type":"response.function_call_arguments.delta","delta":"{"}"#.to_owned(),
        r#"{"type":"response.reasoning_summary_text.delta","delta":"hm"}"#.to_owned(),
        r#"{"type":"response.refusal.delta","delta":"no"}"#.to_owned(),
        r#"{"choices":[{"delta":{"content":""}}],"choices":[{"delta":{"content":"x"}}]}"#
            .to_owned(),
    ] {
        assert_eq!(kind(&token), UnitKind::Token, "{token}");
    }
}

#[test]
fn what_has_none_is_control() {
    for control in [
        delta("{}"),
        delta("null"),
        delta(r#"{"role":"assistant"}"#),
        delta(r#"{"role":"assistant","content":""}"#),
        delta(r#"{"role":"assistant","content":null}"#),
        delta(r#"{"content":"","tool_calls":[]}"#),
        delta(r#"{"content":null,"tool_calls":null,"function_call":null,"refusal":null}"#),
        delta(r#"{"role":"content\":\"x"}"#),
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#.to_owned(),
        r#"{"choices":[],"prompt_filter_results":[{"content":"x"}]}"#.to_owned(),
        r#"{"choices":null}"#.to_owned(),
        r#"{"choices":[{"text":"","finish_reason":"stop"}]}"#.to_owned(),
        r#"{"choices":[{"message":{"content":"x"}}]}"#.to_owned(),
        r#"{"content":"","stop":true,"tokens_predicted":4}"#.to_owned(),
        r#"{"type":"response.output_text.done","text":"Hi"}"#.to_owned(),
        r#"{"type":"response.output_text.delta","delta":""}"#.to_owned(),
        r#"{"type":"response.created","response":{"output":[]}}"#.to_owned(),
        r#"{"error":{"message":"x"}}"#.to_owned(),
        "[DONE]".to_owned(),
        " [DONE]".to_owned(),
        "no JSON".to_owned(),
        "[1]".to_owned(),
        "\"text\"".to_owned(),
        String::new(),
    ] {
        assert_eq!(kind(&control), UnitKind::Control, "{control}");
    }
}

#[test]
fn usage_errors_and_the_end_are_remembered() {
    let mut kinds = kinds();
    let mut see = |name: &'static str, data: &str| {
        kinds.kind(Event {
            name: name.as_bytes(),
            data: data.as_bytes(),
        });
        (
            kinds.usage().map(|it| it.output_tokens),
            kinds.saw_error(),
            kinds.saw_end(),
        )
    };
    assert_eq!(
        see("", &delta(r#"{"content":"a"}"#)),
        (None, false, Some(false))
    );
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    assert_eq!(see("", usage), (Some(Some(3)), false, Some(false)));
    assert_eq!(
        see("", "{\"usage\":null}"),
        (Some(Some(3)), false, Some(false))
    );
    assert_eq!(
        see("", r#"{"error":"boom"}"#),
        (Some(Some(3)), true, Some(false))
    );
    assert_eq!(see("", "[DONE]"), (Some(Some(3)), true, Some(true)));
}

#[test]
fn each_api_has_its_own_end_and_errors() {
    for (name, data, error, end) in [
        ("", r#"{"content":"","stop":true}"#, false, true),
        ("", r#"{"content":"x","stop":true}"#, false, true),
        (
            "response.completed",
            r#"{"type":"response.completed","response":{}}"#,
            false,
            true,
        ),
        (
            "response.failed",
            r#"{"type":"response.failed","response":{}}"#,
            true,
            false,
        ),
        ("error", r#"{"type":"error","message":"x"}"#, true, false),
        ("error", "not even JSON", true, false),
        (
            "",
            r#"{"object":"error","message":"x","code":400}"#,
            true,
            false,
        ),
        ("", r#"{"error":null,"choices":[]}"#, false, false),
        ("", r#"{"error":{},"choices":[]}"#, false, false),
    ] {
        let mut kinds = kinds();
        kinds.kind(Event {
            name: name.as_bytes(),
            data: data.as_bytes(),
        });
        assert_eq!(
            (kinds.saw_error(), kinds.saw_end()),
            (error, Some(end)),
            "{data}"
        );
    }
}

#[test]
fn the_usage_of_a_response_lies_inside_it() {
    let chunk = Chunk::parse(
        br#"{"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":9}}}"#,
    )
    .unwrap();
    let usage = chunk.usage().unwrap();
    assert_eq!(
        (usage.prompt_tokens, usage.output_tokens),
        (Some(5), Some(9))
    );
}
