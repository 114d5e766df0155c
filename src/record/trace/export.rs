//! The thread that hands spans to the collector: OTLP over HTTP/1.1, as protobuf
//! (opentelemetry.io/docs/specs/otlp). Nobody waits for it: what it cannot hand over is dropped and
//! counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::record::trace::span::span_of;
use crate::record::{Record, SpanFigures, TraceContext, TraceSettings};

/// Spans that wait for the collector at most.
const WAITING: usize = 8192;
/// Spans of one export.
const BATCH: usize = 2048;
/// How long a batch that is not full is filled.
const ROUND: Duration = Duration::from_millis(500);
/// How long one export may take.
const EXPORT: Duration = Duration::from_secs(5);
/// What is tried again once, after this pause.
const AGAIN: Duration = Duration::from_millis(500);
/// How long the end waits for the last batch.
const CLOSE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// The exporter's thread.
#[derive(Debug)]
pub struct Exporter {
    spans: Sender<Span>,
    counts: Arc<Counts>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// An end that takes calls. Sending never waits.
#[derive(Clone, Debug)]
pub(crate) struct SpanSender {
    spans: Sender<Span>,
    counts: Arc<Counts>,
}

impl SpanSender {
    pub(crate) fn send(&self, record: &Record, context: &TraceContext) {
        if self.spans.try_send(span_of(record, context)).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn figures(&self) -> SpanFigures {
        SpanFigures {
            exported: self.counts.exported.load(Ordering::Relaxed),
            dropped: self.counts.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Exporter {
    /// Starts the thread. A collector that does not answer is no error: its spans are dropped.
    ///
    /// # Errors
    /// Where no thread or runtime can be made.
    pub fn start(settings: TraceSettings) -> io::Result<Self> {
        let (spans, waiting) = channel(WAITING);
        let (stop, stopped) = oneshot::channel();
        let counts = Arc::new(Counts::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut collector = Collector {
            settings,
            counts: Arc::clone(&counts),
            troubled: false,
        };
        let thread = std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || runtime.block_on(collector.run(waiting, stopped)))?;
        Ok(Self {
            spans,
            counts,
            stop,
            thread,
        })
    }

    pub(crate) fn sender(&self) -> SpanSender {
        SpanSender {
            spans: self.spans.clone(),
            counts: Arc::clone(&self.counts),
        }
    }

    /// Hands over what waits, for two seconds at most. What is sent after that is lost.
    pub fn close(self) {
        // Where nobody listens any more the thread has ended.
        crate::error::ignore(self.stop.send(()));
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < CLOSE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Collector {
    settings: TraceSettings,
    counts: Arc<Counts>,
    /// The last export failed: told once, not at each.
    troubled: bool,
}

impl Collector {
    async fn run(&mut self, mut waiting: Receiver<Span>, mut stop: oneshot::Receiver<()>) {
        let mut stopped = false;
        while !stopped {
            let mut batch = Vec::new();
            tokio::select! {
                _ = waiting.recv_many(&mut batch, BATCH) => {}
                _ = &mut stop => break,
            }
            if batch.len() < BATCH {
                stopped = timeout(ROUND, &mut stop).await.is_ok();
                fill(&mut waiting, &mut batch);
            }
            self.hand_over(batch).await;
        }
        waiting.close();
        loop {
            let mut batch = Vec::new();
            fill(&mut waiting, &mut batch);
            if batch.is_empty() {
                return;
            }
            self.hand_over(batch).await;
        }
    }

    async fn hand_over(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let body = Bytes::from(self.message(batch).encode_to_vec());
        let mut result = self.export(body.clone()).await;
        if matches!(result, Err(Trouble::Again(_))) {
            sleep(AGAIN).await;
            result = self.export(body).await;
        }
        match result {
            Ok(()) => {
                self.counts.exported.fetch_add(count, Ordering::Relaxed);
                if std::mem::take(&mut self.troubled) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(trouble) => {
                self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.troubled, true) {
                    tracing::warn!(endpoint = %self.settings.endpoint, %trouble, "spans are dropped: the collector does not take them");
                }
            }
        }
    }

    fn message(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let text = |key: &str, value: &str| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(value.to_owned())),
            }),
            ..KeyValue::default()
        };
        let version = env!("CARGO_PKG_VERSION");
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![
                        text("service.name", &self.settings.service),
                        text("service.version", version),
                    ],
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "hormesis".to_owned(),
                        version: version.to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }

    async fn export(&self, body: Bytes) -> Result<(), Trouble> {
        match timeout(EXPORT, self.post(body)).await {
            Ok(result) => result,
            Err(_) => Err(Trouble::Again(format!("no answer within {EXPORT:?}"))),
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), Trouble> {
        let again = |error: &dyn std::fmt::Display| Trouble::Again(error.to_string());
        let endpoint = &self.settings.endpoint;
        let host = endpoint.host().unwrap_or_default();
        let port = endpoint.port_u16().unwrap_or(80);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await;
        let stream = stream.map_err(|error| again(&error))?;
        let connected = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.map_err(|error| again(&error))?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(endpoint.path())
            .header(header::HOST, format!("{host}:{port}"))
            .header(header::CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| Trouble::Final(error.to_string()))?;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            // Read to its end, so that the connection ends in order.
            answer.into_body().collect().await?;
            Ok::<_, hyper::Error>(status)
        };
        let status = tokio::select! {
            // The connection is driven until the exchange is over.
            Err(error) = connection => return Err(again(&error)),
            result = exchange => result.map_err(|error| again(&error))?,
        };
        match status.as_u16() {
            200..=299 => Ok(()),
            // What OTLP calls retryable.
            429 | 502 | 503 | 504 => Err(Trouble::Again(format!("it answers {status}"))),
            _ => Err(Trouble::Final(format!("it answers {status}"))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Again(String),
    #[error("{0}")]
    Final(String),
}

/// Takes what is there, up to a batch.
fn fill(waiting: &mut Receiver<Span>, batch: &mut Vec<Span>) {
    while batch.len() < BATCH
        && let Ok(span) = waiting.try_recv()
    {
        batch.push(span);
    }
}
