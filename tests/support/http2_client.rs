//! HTTP/2 between scripts: by a library where messages count, by raw frames where frames do.

use std::net::SocketAddr;
use std::sync::mpsc;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::runtime::Runtime;

use super::{PATIENCE, Wire};

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// Awaits what somebody else moves on.
#[track_caller]
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let within = async { tokio::time::timeout(PATIENCE, future).await };
    runtime().block_on(within).expect("not in time")
}

/// A client's connection; it is moved on by a thread of its own and ends when this is dropped.
#[derive(Debug)]
pub(crate) struct H2Client {
    send: SendRequest<Bytes>,
    ended: mpsc::Receiver<Result<(), h2::Error>>,
}

impl H2Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with(address, &Builder::new())
    }

    pub(crate) fn with(address: SocketAddr, builder: &Builder) -> Self {
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let builder = builder.clone();
        std::thread::spawn(move || {
            runtime().block_on(async move {
                let stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (send, connection) = builder.handshake(stream).await.unwrap();
                tell.send(send).unwrap();
                // Nobody may be left to hear of it.
                drop(end.send(connection.await));
            });
        });
        Self {
            send: told.recv_timeout(PATIENCE).unwrap(),
            ended,
        }
    }

    /// Sends a request's head.
    #[track_caller]
    pub(crate) fn open(&self, request: Request<()>, last: bool) -> Exchange {
        let mut send = wait(self.send.clone().ready()).unwrap();
        let (response, body) = send.send_request(request, last).unwrap();
        Exchange { response, body }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.open(request("GET", path), true).answer()
    }

    /// How the server ended the connection.
    #[track_caller]
    pub(crate) fn end(&self) -> Result<(), Option<Reason>> {
        let ended = self.ended.recv_timeout(PATIENCE).expect("not ended");
        ended.map_err(|error| error.reason())
    }
}

/// To the host `h`.
pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(method);
    request.uri(format!("http://h{path}")).body(()).unwrap()
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Exchange {
    response: ResponseFuture,
    pub(crate) body: SendStream<Bytes>,
}

/// What came on a stream.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// With which code the stream was reset; `None`: it was whole.
    pub(crate) reset: Option<Reason>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Exchange {
    /// Sends a piece of the body when there is a window for it.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8], last: bool) {
        let mut rest = Bytes::copy_from_slice(bytes);
        while !rest.is_empty() {
            self.body.reserve_capacity(rest.len());
            let room = wait(std::future::poll_fn(|context| {
                self.body.poll_capacity(context)
            }));
            let piece = rest.split_to(room.unwrap().unwrap().min(rest.len()));
            let last = last && rest.is_empty();
            self.body.send_data(piece, last).unwrap();
        }
        if last && bytes.is_empty() {
            self.body.send_data(Bytes::new(), true).unwrap();
        }
    }

    /// The next 1xx.
    #[track_caller]
    pub(crate) fn interim(&mut self) -> Response<()> {
        let polled = std::future::poll_fn(|context| self.response.poll_informational(context));
        wait(polled).unwrap().unwrap()
    }

    /// The head of the answer, or the code of the reset that came in its place.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Result<Response<RecvStream>, Reason> {
        wait(&mut self.response).map_err(|error| error.reason().unwrap())
    }

    /// The whole answer.
    #[track_caller]
    pub(crate) fn answer(mut self) -> Answer {
        let head = self
            .head()
            .unwrap_or_else(|reason| panic!("reset: {reason}"));
        rest_of(head)
    }

    /// With which code the stream was reset before its head.
    #[track_caller]
    pub(crate) fn reset(mut self) -> Reason {
        match self.head() {
            Ok(head) => panic!("answered: {head:?}"),
            Err(reason) => reason,
        }
    }
}

/// Reads an answer to its end.
#[track_caller]
pub(crate) fn rest_of(head: Response<RecvStream>) -> Answer {
    let (parts, mut stream) = head.into_parts();
    let mut answer = Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: Vec::new(),
        trailers: None,
        reset: None,
    };
    while let Some(piece) = piece(&mut stream) {
        match piece {
            Ok(bytes) => answer.body.extend_from_slice(&bytes),
            Err(reason) => {
                answer.reset = Some(reason);
                return answer;
            }
        }
    }
    match wait(stream.trailers()) {
        Ok(trailers) => answer.trailers = trailers,
        Err(error) => answer.reset = error.reason(),
    }
    answer
}

/// The next piece of a body; its window is given back.
#[track_caller]
pub(crate) fn piece(stream: &mut RecvStream) -> Option<Result<Bytes, Reason>> {
    let piece = wait(stream.data())?;
    Some(match piece {
        Ok(bytes) => {
            stream.flow_control().release_capacity(bytes.len()).unwrap();
            Ok(bytes)
        }
        Err(error) => Err(error.reason().unwrap()),
    })
}

/// Kinds of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a `RST_STREAM` or a GOAWAY.
    pub(crate) fn code(&self) -> Reason {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        Reason::from(u32::from_be_bytes(
            self.payload[at..at + 4].try_into().unwrap(),
        ))
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of fields, all of them literal and none kept (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            // An integer with a prefix of seven bits (RFC 7541 §5.1).
            let mut left = text.len();
            if left < 127 {
                bytes.push(u8::try_from(left).unwrap());
            } else {
                bytes.push(127);
                left -= 127;
                while left >= 128 {
                    bytes.push(u8::try_from(left % 128 + 128).unwrap());
                    left /= 128;
                }
                bytes.push(u8::try_from(left).unwrap());
            }
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// What every request has.
pub(crate) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "h"),
];

/// A client's connection frame by frame, the preface and empty SETTINGS sent.
#[derive(Debug)]
pub(crate) struct RawClient(pub(crate) Wire);

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut wire = Wire::connect(address);
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        wire.send(frame(SETTINGS, 0, 0, &[]));
        Self(wire)
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.send(frame(kind, flags, stream, payload));
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Frame {
        let head = self.0.take(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..9].try_into().unwrap()),
            payload: self.0.take(length as usize),
        }
    }

    /// The next frame of a kind; others before it are dropped.
    #[track_caller]
    pub(crate) fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next();
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Sends until the server takes no more, and gives the code of its GOAWAY.
    #[track_caller]
    pub(crate) fn flood(mut self, bytes: &[u8]) -> Reason {
        let mut writing = self.0.stream.try_clone().unwrap();
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || {
            use std::io::Write as _;
            // The server closes in the middle of it.
            drop(writing.write_all(&bytes));
        });
        let code = self.until(GOAWAY).code();
        drop(self);
        writer.join().unwrap();
        code
    }
}
