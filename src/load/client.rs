//! One client: an HTTP/1.1 connection that is kept between calls, and one call on it at a time.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::event_stream::{Event, EventReader};
use super::options::Flow;
use super::outcome::{Failure, FailureKind, Observation, origin_of};
use super::schedule::Arrival;

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    /// The connection's own work; `None` once it ended.
    driver: Option<Driver>,
}

/// Times of one answer, filled in as it comes.
#[derive(Default)]
struct Progress {
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    gaps: Vec<std::time::Duration>,
}

/// A client with at most one connection, to the address it called last.
#[derive(Default)]
pub(super) struct Client {
    connection: Option<Connection>,
}

impl Client {
    /// Makes one call, whatever becomes of it.
    pub(super) async fn call(
        &mut self,
        flow: &Flow,
        arrival: Arrival,
        start: Instant,
        timeout: std::time::Duration,
    ) -> Observation {
        let intended = start + arrival.at;
        let mut progress = Progress::default();
        let result = timeout_at(
            intended + timeout,
            self.exchange(flow, arrival.number, &mut progress),
        )
        .await
        .unwrap_or_else(|_| Err(Failure::new(FailureKind::TimedOut, "no answer in time")));
        if result.is_err() {
            // Half an answer may still be on it.
            self.connection = None;
        }
        Observation {
            arrival,
            latency: intended.elapsed(),
            first_token: progress.first_token.map(|at| at - intended),
            gaps: progress.gaps,
            result,
        }
    }

    async fn exchange(
        &mut self,
        flow: &Flow,
        number: u64,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let body = usize::try_from(number).unwrap_or(0) % flow.bodies.len();
        let body = Bytes::copy_from_slice(flow.bodies[body].as_bytes());
        let mut connection = self.connect(flow.address).await?;
        let response = match connection.send(flow, body.clone()).await {
            // The server closed the idle connection before it saw the call: no failure of a call.
            Err(error) if error.is_canceled() => {
                connection = Connection::open(flow.address).await?;
                connection.send(flow, body).await
            }
            other => other,
        };
        let response = response.map_err(|error| Failure::cut(error.to_string()))?;
        connection.receive(flow, response, progress).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&mut self, address: SocketAddr) -> Result<Connection, Failure> {
        match self.connection.take() {
            Some(connection) if connection.serves(address) => Ok(connection),
            _ => Connection::open(address).await,
        }
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let refused = |error: std::io::Error| Failure::new(FailureKind::Refused, error.to_string());
        let socket = TcpStream::connect(address).await.map_err(refused)?;
        socket.set_nodelay(true).map_err(refused)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| Failure::cut(error.to_string()))?;
        let driver = async move {
            // Its error reaches the call through the sender or the body.
            drop(connection.await);
        };
        Ok(Self {
            address,
            sender,
            driver: Some(Box::pin(driver)),
        })
    }

    fn serves(&self, address: SocketAddr) -> bool {
        self.address == address && self.driver.is_some() && !self.sender.is_closed()
    }

    /// Runs `work` together with the connection that it needs: no task of its own for either.
    async fn drive<T>(driver: &mut Option<Driver>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Some(running) = driver
                && running.as_mut().poll(context).is_ready()
            {
                *driver = None;
            }
            match work.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(done),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    async fn send(&mut self, flow: &Flow, body: Bytes) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        if let Ok(path) = flow.path.parse() {
            *request.uri_mut() = path;
        }
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        if let Ok(host) = flow.address.to_string().parse() {
            request.headers_mut().insert(HOST, host);
        }
        let (sender, driver) = (&mut self.sender, &mut self.driver);
        Self::drive(driver, async {
            sender.ready().await?;
            sender.send_request(request).await
        })
        .await
    }

    async fn receive(
        &mut self,
        flow: &Flow,
        response: Response<Incoming>,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let status = response.status();
        let origin = origin_of(response.headers());
        let mut body = response.into_body();
        let mut events = EventReader::default();
        let mut done = false;
        let mut error = None;
        while let Some(frame) = Self::drive(&mut self.driver, body.frame()).await {
            let frame = frame.map_err(|error| Failure::cut(error.to_string()))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if !flow.stream || !status.is_success() {
                continue;
            }
            events.feed(data, |event| match event {
                Event::Token => progress.token(Instant::now()),
                Event::Control => (),
                Event::Error(message) => error = Some(message),
                Event::Done => done = true,
            });
        }
        if !status.is_success() {
            let kind = FailureKind::Answered(origin);
            return Err(Failure::new(kind, status.to_string()));
        }
        match error {
            Some(message) => Err(Failure::new(FailureKind::Answered(origin), message)),
            None if flow.stream && !done => Err(Failure::cut("the stream ended without [DONE]")),
            None => Ok(()),
        }
    }
}

impl Progress {
    fn token(&mut self, now: Instant) {
        match self.last_token {
            Some(last) => self.gaps.push(now - last),
            None => self.first_token = Some(now),
        }
        self.last_token = Some(now);
    }
}
