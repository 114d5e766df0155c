//! Chat completions, whole or streamed as server-sent events: the role, the words, the finish
//! reason, usage where asked for, `[DONE]`.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Response, StatusCode};
use http_body_util::Either;
use hyper::body::{Body, Bytes, Frame};
use serde_json::{Value, json};

use super::Models;
use super::answer::{AnswerBody, Stream, json_answer, with_type};
use super::chat_request::{ChatRequest, MODEL};
use super::language::Writer;

pub(super) async fn answer(body: &Bytes, models: Rc<Models>) -> Response<AnswerBody> {
    let request = match ChatRequest::parse(body) {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(),
    };
    let stream = request.stream;
    let completion = Completion::new(request, models);
    if stream {
        let body: Stream = Box::pin(EventStream::new(completion));
        with_type(StatusCode::OK, "text/event-stream", Either::Right(body))
    } else {
        completion.whole().await
    }
}

pub(super) fn list_models() -> Response<AnswerBody> {
    let model = json!({ "id": MODEL, "object": "model", "created": 0, "owned_by": "hormesis" });
    json_answer(
        StatusCode::OK,
        &json!({ "object": "list", "data": [model] }),
    )
}

/// One answer being written.
struct Completion {
    models: Rc<Models>,
    request: ChatRequest,
    writer: Writer,
    id: String,
    created: u64,
    written: u32,
    finish: Option<&'static str>,
}

impl Completion {
    fn new(request: ChatRequest, models: Rc<Models>) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let answer = models.answers.get();
        models.answers.set(answer.wrapping_add(1));
        let seed = request
            .seed
            .unwrap_or_else(|| models.seed.wrapping_add(answer));
        let writer = models
            .language
            .write(&request.prompt, request.temperature, seed);
        Self {
            id: format!("chatcmpl-{:x}-{answer:x}", since_epoch.as_micros()),
            created: since_epoch.as_secs(),
            models,
            request,
            writer,
            written: 0,
            finish: None,
        }
    }

    /// The next word, until there is a reason to finish.
    fn next_word(&mut self) -> Option<String> {
        if self.finish.is_some() {
            return None;
        }
        let word = self.models.language.next_word(&mut self.writer);
        self.written += 1;
        if word.last {
            self.finish = Some("stop");
        } else if self.written == self.request.max_tokens {
            self.finish = Some("length");
        }
        Some(word.text)
    }

    fn usage(&self) -> Value {
        let prompt = self.request.prompt.split_whitespace().count();
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": self.written,
            "total_tokens": prompt + self.written as usize,
        })
    }

    async fn whole(mut self) -> Response<AnswerBody> {
        let mut text = String::new();
        while let Some(word) = self.next_word() {
            text.push_str(&word);
            // Other calls get their turn between words, as they do when an answer is streamed.
            tokio::task::yield_now().await;
        }
        let answer = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": MODEL,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": text },
                "finish_reason": self.finish,
                "logprobs": null,
            }],
            "usage": self.usage(),
        });
        json_answer(StatusCode::OK, &answer)
    }
}

/// What comes next in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Role,
    Words,
    Usage,
    Done,
    End,
}

/// The completion as server-sent events; each word is computed when the one before it is sent.
struct EventStream {
    completion: Completion,
    step: Step,
    /// The event before was handed over, but the connection had no turn yet to send it.
    unsent: bool,
}

impl EventStream {
    fn new(completion: Completion) -> Self {
        Self {
            completion,
            step: Step::Role,
            unsent: false,
        }
    }

    fn next_event(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Role => {
                self.step = Step::Words;
                let delta = json!({ "role": "assistant", "content": "" });
                Some(self.chunk(Some(&delta), None))
            }
            Step::Words => {
                if let Some(word) = self.completion.next_word() {
                    return Some(self.chunk(Some(&json!({ "content": word })), None));
                }
                self.step = Step::Usage;
                Some(self.chunk(Some(&json!({})), self.completion.finish))
            }
            Step::Usage => {
                self.step = Step::Done;
                if self.completion.request.include_usage {
                    Some(self.chunk(None, None))
                } else {
                    self.next_event()
                }
            }
            Step::Done => {
                self.step = Step::End;
                Some(Bytes::from_static(b"data: [DONE]\n\n"))
            }
            Step::End => None,
        }
    }

    /// A chunk with one choice, or, without a delta, the one that carries usage.
    fn chunk(&self, delta: Option<&Value>, finish: Option<&str>) -> Bytes {
        let completion = &self.completion;
        let mut chunk = json!({
            "id": completion.id,
            "object": "chat.completion.chunk",
            "created": completion.created,
            "model": MODEL,
            "choices": [],
        });
        match delta {
            Some(delta) => {
                let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
                chunk["choices"] = json!([choice]);
            }
            None => chunk["usage"] = completion.usage(),
        }
        Bytes::from(format!("data: {chunk}\n\n"))
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // hyper flushes when a body has nothing for now. Without this turn it would gather words
        // in its buffer, and one answer would keep the thread to its end.
        if std::mem::take(&mut self.unsent) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.unsent = true;
        Poll::Ready(self.next_event().map(|event| Ok(Frame::data(event))))
    }

    fn is_end_stream(&self) -> bool {
        self.step == Step::End
    }
}
