//! A model server that really computes: a digit classifier behind the Open Inference Protocol and
//! a small language model behind the chat completions API, both trained at start. One thread serves
//! all, as one accelerator would: calls that overlap wait for each other.
//!
//! It is a child process of the demo. It reads its seed as one JSON line, tells its address as
//! another, and ends when its standard input closes, so it never outlives its parent.

mod answer;
mod chat;
mod chat_request;
mod child;
pub(crate) mod digits;
mod infer;
mod language;
mod network;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

pub use self::child::run_child;

use self::answer::{AnswerBody, Dialect};
use self::digits::Classifier;
use self::language::LanguageModel;

/// A request body beyond this is refused.
const MAX_BODY: usize = 4 << 20;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What the parent tells it, as one line of JSON.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelServerOptions {
    pub seed: u64,
}

/// What it tells the parent once it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    pub listening: SocketAddr,
    pub training_ms: u64,
    /// Share of unseen pictures told right.
    pub classifier_accuracy: f64,
    /// Cross-entropy in nats a letter.
    pub language_loss: f32,
}

/// Both models, trained.
#[derive(Debug)]
pub struct Models {
    language: LanguageModel,
    /// Its buffers change with each picture; one thread serves, and no borrow crosses an await.
    classifier: RefCell<Classifier>,
    seed: u64,
    /// How many answers were begun: the seed of those that name none.
    answers: Cell<u64>,
}

impl Models {
    /// Trains both, side by side: below a second of optimised code.
    pub fn train(seed: u64) -> Self {
        Self::train_for(seed, language::EPOCHS)
    }

    /// As [`Models::train`], with fewer passes of the language model over its text.
    pub fn train_for(seed: u64, epochs: usize) -> Self {
        std::thread::scope(|scope| {
            let classifier = scope.spawn(|| Classifier::train(seed));
            let language = LanguageModel::train(seed, epochs);
            let classifier = classifier
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Self {
                language,
                classifier: RefCell::new(classifier),
                seed,
                answers: Cell::new(0),
            }
        })
    }

    /// What the parent is told of a server at this address.
    pub fn announce(&self, listening: SocketAddr, training: Duration) -> Announcement {
        Announcement {
            listening,
            training_ms: u64::try_from(training.as_millis()).unwrap_or(u64::MAX),
            classifier_accuracy: self.classifier.borrow().accuracy,
            language_loss: self.language.loss,
        }
    }
}

/// Serves until `shutdown` resolves; calls then open are cut. Runs on a current-thread runtime.
pub async fn serve(
    listener: TcpListener,
    models: Models,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let models = Rc::new(models);
    let tasks = LocalSet::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    tasks.spawn_local(connection(socket, Rc::clone(&models)));
                }
                // Out of descriptors: wait for connections to end, do not spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::select! {
        () = tasks.run_until(accept) => Ok(()),
        () = shutdown => Ok(()),
    }
}

async fn connection(socket: TcpStream, models: Rc<Models>) {
    // Tokens are small writes that must not wait for each other's acknowledgement.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(|request| handle(request, Rc::clone(&models)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

async fn handle(
    request: Request<Incoming>,
    models: Rc<Models>,
) -> Result<Response<AnswerBody>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let dialect = Dialect::of(path);
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Ok(unreadable(dialect, &*error)),
    };
    Ok(match dialect {
        Dialect::OpenAi => openai(&head.method, path, &body, models).await,
        Dialect::OpenInference => infer::answer(&head.method, path, &body, &models.classifier),
    })
}

fn unreadable(
    dialect: Dialect,
    error: &(dyn std::error::Error + Send + Sync + 'static),
) -> Response<AnswerBody> {
    if error.is::<LengthLimitError>() {
        let message = format!("the request body is larger than {MAX_BODY} bytes");
        dialect.error(StatusCode::PAYLOAD_TOO_LARGE, &message)
    } else {
        dialect.error(
            StatusCode::BAD_REQUEST,
            "the request body could not be read",
        )
    }
}

async fn openai(
    method: &Method,
    path: &str,
    body: &Bytes,
    models: Rc<Models>,
) -> Response<AnswerBody> {
    match (method, path) {
        (&Method::POST, "/v1/chat/completions") => chat::answer(body, models).await,
        (&Method::GET, "/v1/models") => chat::list_models(),
        (_, "/v1/chat/completions" | "/v1/models") => Dialect::OpenAi.error(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!("{method} is not allowed on {path}"),
        ),
        _ => Dialect::OpenAi.error(StatusCode::NOT_FOUND, &format!("unknown path {path}")),
    }
}
