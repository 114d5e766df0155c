//! A finished answer as faults see it.

use serde_json::{Value, json};

use super::usage;
use crate::view::{TextView, Usage, UsageView};

/// The places of the generated text, for the chat and completions APIs and llama.cpp's
/// `/completion`. The first that holds a text is the one.
const TEXTS: [&str; 3] = ["/choices/0/message/content", "/choices/0/text", "/content"];

/// The text of the first choice of an answer.
#[derive(Debug)]
pub struct AnswerText<'a> {
    text: &'a mut String,
}

impl<'a> AnswerText<'a> {
    /// `None` where the answer has no generated text.
    pub fn new(body: &'a mut Value) -> Option<Self> {
        let is_text = |place: &&&str| body.pointer(place).is_some_and(Value::is_string);
        let value = if let Some(place) = TEXTS.iter().find(is_text) {
            body.pointer_mut(place)?
        } else {
            // The responses API: reasoning and tool calls may come before the message.
            body.get_mut("output")?
                .as_array_mut()?
                .iter_mut()
                .find(|item| item["type"] == "message")?
                .pointer_mut("/content/0/text")?
        };
        match value {
            Value::String(text) => Some(Self { text }),
            _ => None,
        }
    }
}

impl TextView for AnswerText<'_> {
    fn text(&self) -> &str {
        self.text
    }

    fn set_text(&mut self, text: &str) {
        text.clone_into(self.text);
    }
}

/// The token counts of an answer.
#[derive(Debug)]
pub struct AnswerUsage<'a> {
    body: &'a mut Value,
    /// The responses API has names of its own.
    is_responses: bool,
}

impl<'a> AnswerUsage<'a> {
    /// `None` where the answer reports no counts under `usage`.
    pub fn new(body: &'a mut Value) -> Option<Self> {
        let counts = body.get("usage")?.as_object()?;
        let is_responses = counts.contains_key("input_tokens");
        Some(Self { body, is_responses })
    }
}

impl UsageView for AnswerUsage<'_> {
    fn usage(&self) -> Usage {
        usage::of(self.body).unwrap_or_default()
    }

    fn set_usage(&mut self, usage: Usage) {
        let (prompt, output) = if self.is_responses {
            ("input_tokens", "output_tokens")
        } else {
            ("prompt_tokens", "completion_tokens")
        };
        let Some(counts) = self.body.get_mut("usage").and_then(Value::as_object_mut) else {
            return;
        };
        for (name, count) in [(prompt, usage.prompt_tokens), (output, usage.output_tokens)] {
            match count {
                Some(count) => counts.insert(name.to_owned(), json!(count)),
                None => counts.remove(name),
            };
        }
        // A total that contradicts its parts would be a fault that nobody asked for.
        let total = usage
            .prompt_tokens
            .unwrap_or(0)
            .saturating_add(usage.output_tokens.unwrap_or(0));
        if let Some(sum) = counts.get_mut("total_tokens") {
            *sum = json!(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_in_every_api_and_replaced_in_place() {
        for mut body in [
            json!({"choices": [{"message": {"role": "assistant", "content": "hello"}}]}),
            json!({"choices": [{"text": "hello", "index": 0}]}),
            json!({"output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}]}),
            json!({"content": "hello", "stop": true}),
        ] {
            let mut view = AnswerText::new(&mut body).unwrap();
            assert_eq!(view.text(), "hello");
            view.set_text("bye");
            assert!(body.to_string().contains("\"bye\""), "{body}");
            assert!(!body.to_string().contains("hello"), "{body}");
        }
        assert!(
            AnswerText::new(&mut json!({"choices": [{"message": {"content": null}}]})).is_none()
        );
    }

    #[test]
    fn usage_keeps_its_names_and_its_sum() {
        let mut body =
            json!({"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
        let usage = Usage {
            prompt_tokens: Some(10),
            output_tokens: Some(20),
        };
        let mut view = AnswerUsage::new(&mut body).unwrap();
        view.set_usage(usage);
        assert_eq!(view.usage(), usage);
        assert_eq!(body["usage"]["total_tokens"], 30);
        let mut body = json!({"usage": {"input_tokens": 1, "output_tokens": 2}});
        AnswerUsage::new(&mut body).unwrap().set_usage(usage);
        assert_eq!(
            body["usage"],
            json!({"input_tokens": 10, "output_tokens": 20})
        );
    }
}
