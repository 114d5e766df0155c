//! Token counts as answers and stream chunks report them.

use serde_json::Value;

use crate::view::Usage;

/// The usage of a whole answer, or of a chunk of a stream.
pub(super) fn of(body: &Value) -> Option<Usage> {
    from_parts(
        body.get("usage").unwrap_or(&Value::Null),
        body.get("tokens_evaluated").unwrap_or(&Value::Null),
        body.get("tokens_predicted").unwrap_or(&Value::Null),
    )
}

/// `usage` as the chat, completions and embeddings APIs name its counts, or as the responses API
/// does; else the two counts that llama.cpp's own `/completion` has.
pub(super) fn from_parts(usage: &Value, evaluated: &Value, predicted: &Value) -> Option<Usage> {
    let count = |names: [&str; 2]| names.into_iter().find_map(|name| usage.get(name)?.as_u64());
    let usage = Usage {
        prompt_tokens: count(["prompt_tokens", "input_tokens"]).or_else(|| evaluated.as_u64()),
        output_tokens: count(["completion_tokens", "output_tokens"]).or_else(|| predicted.as_u64()),
    };
    (usage != Usage::default()).then_some(usage)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(body: &Value, expected: Option<(Option<u64>, Option<u64>)>) {
        let found = of(body).map(|usage| (usage.prompt_tokens, usage.output_tokens));
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn each_api_has_its_own_names() {
        check(
            &json!({"usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}}),
            Some((Some(9), Some(12))),
        );
        check(
            &json!({"usage": {"input_tokens": 36, "output_tokens": 87}}),
            Some((Some(36), Some(87))),
        );
        check(
            &json!({"usage": {"prompt_tokens": 8, "total_tokens": 8}}),
            Some((Some(8), None)),
        );
        check(
            &json!({"tokens_evaluated": 5, "tokens_predicted": 7}),
            Some((Some(5), Some(7))),
        );
        check(&json!({"usage": null}), None);
        check(&json!({"usage": "many"}), None);
        check(&json!([]), None);
    }
}
