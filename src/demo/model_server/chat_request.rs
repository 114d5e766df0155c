//! What a chat completion asks for, checked. What this server cannot do is refused, not ignored.

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{AnswerBody, openai_error};

/// The name of the language model.
pub(super) const MODEL: &str = "river-letters";
const DEFAULT_TOKENS: u32 = 48;
const MOST_TOKENS: u32 = 512;

/// A request that this server can answer.
#[derive(Debug)]
pub(super) struct ChatRequest {
    pub(super) prompt: String,
    pub(super) max_tokens: u32,
    pub(super) temperature: f32,
    pub(super) seed: Option<u64>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

/// A refusal: which parameter, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Refusal {
    fn of(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            param: Some(param),
            code: None,
        }
    }

    pub(super) fn answer(&self) -> Response<AnswerBody> {
        openai_error(self.status, &self.message, self.param, self.code)
    }
}

#[derive(Deserialize)]
struct Wire {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    stop: Option<Value>,
    #[serde(default)]
    tools: Option<Value>,
    #[serde(default)]
    response_format: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl ChatRequest {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| Refusal {
            status: StatusCode::BAD_REQUEST,
            message: format!("the body is no chat completion request: {error}"),
            param: None,
            code: None,
        })?;
        if wire.model != MODEL {
            return Err(Refusal {
                status: StatusCode::NOT_FOUND,
                message: format!("The model `{}` does not exist", wire.model),
                param: Some("model"),
                code: Some("model_not_found"),
            });
        }
        wire.refuse_unsupported()?;
        Ok(Self {
            prompt: prompt(&wire.messages)?,
            max_tokens: wire.max_tokens()?,
            temperature: wire.temperature()?,
            seed: wire.seed,
            stream: wire.stream.unwrap_or(false),
            include_usage: wire.stream_options.is_some_and(|it| it.include_usage),
        })
    }
}

impl Wire {
    fn refuse_unsupported(&self) -> Result<(), Refusal> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(Refusal::of("n", "only one choice is written: n must be 1"));
        }
        if self.stream_options.is_some() && !self.stream.unwrap_or(false) {
            return Err(Refusal::of(
                "stream_options",
                "stream_options is only allowed when stream is true",
            ));
        }
        for (param, value) in [
            ("stop", &self.stop),
            ("tools", &self.tools),
            ("response_format", &self.response_format),
        ] {
            if value.is_some() {
                return Err(Refusal::of(param, format!("{param} is not supported")));
            }
        }
        Ok(())
    }

    fn max_tokens(&self) -> Result<u32, Refusal> {
        let (param, tokens) = match (self.max_completion_tokens, self.max_tokens) {
            (Some(tokens), _) => ("max_completion_tokens", tokens),
            (None, Some(tokens)) => ("max_tokens", tokens),
            (None, None) => return Ok(DEFAULT_TOKENS),
        };
        if (1..=MOST_TOKENS).contains(&tokens) {
            Ok(tokens)
        } else {
            let message = format!("{tokens} is not within 1 to {MOST_TOKENS}");
            Err(Refusal::of(param, message))
        }
    }

    fn temperature(&self) -> Result<f32, Refusal> {
        let temperature = self.temperature.unwrap_or(1.0);
        if (0.0..=2.0).contains(&temperature) {
            Ok(temperature)
        } else {
            let message = format!("{temperature} is not within 0 to 2");
            Err(Refusal::of("temperature", message))
        }
    }
}

/// The text of the last message; roles and earlier messages are checked, then left aside: the
/// model sees a few letters only.
fn prompt(messages: &[Message]) -> Result<String, Refusal> {
    let refuse = |message: &str| Refusal::of("messages", message);
    for message in messages {
        if !matches!(
            message.role.as_str(),
            "system" | "developer" | "user" | "assistant"
        ) {
            let message = format!("unknown role {:?}", message.role);
            return Err(Refusal::of("messages", message));
        }
    }
    let last = messages
        .last()
        .ok_or_else(|| refuse("messages must not be empty"))?;
    match &last.content {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| {
                part["text"]
                    .as_str()
                    .ok_or_else(|| refuse("only text parts are understood"))
            })
            .collect(),
        _ => Err(refuse(
            "the content of the last message must be a string or a list of parts",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(change: impl FnOnce(&mut Value)) -> Result<ChatRequest, Refusal> {
        let mut body = json!({
            "model": MODEL,
            "messages": [{ "role": "user", "content": "hello" }],
        });
        change(&mut body);
        ChatRequest::parse(body.to_string().as_bytes())
    }

    #[test]
    fn a_plain_request_gets_the_documented_defaults() {
        let request = parse(|_| ()).unwrap();
        assert_eq!(request.prompt, "hello");
        assert_eq!(request.max_tokens, DEFAULT_TOKENS);
        assert!(!request.stream);
    }

    #[test]
    fn parts_of_text_are_joined() {
        let parts = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        let request = parse(|body| body["messages"][0]["content"] = parts).unwrap();
        assert_eq!(request.prompt, "ab");
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (field, value) in [
            ("n", json!(2)),
            ("stop", json!("x")),
            ("max_tokens", json!(0)),
            ("temperature", json!(3)),
            ("messages", json!([])),
            ("messages", json!([{ "role": "robot", "content": "x" }])),
            ("stream_options", json!({ "include_usage": true })),
        ] {
            let refusal = parse(|body| body[field] = value).unwrap_err();
            assert_eq!(refusal.param, Some(field), "{refusal:?}");
        }
        let refusal = parse(|body| body["model"] = json!("gpt")).unwrap_err();
        assert_eq!(refusal.code, Some("model_not_found"));
    }
}
