//! Upstreams that speak HTTP/2: one on the h2 crate that answers by itself, one of raw frames whose
//! every byte a test holds in its own hands.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::Request;
use tokio::runtime::{Builder as RuntimeBuilder, LocalOptions};
use tokio::task::spawn_local;

use super::http2_client::frame;
use super::{Upstream, Wire};

/// The upstream of the h2 crate.
#[derive(Clone, Debug)]
pub(crate) struct Http2 {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Http2 {
    /// Answers each stream by `answer`, which is given the connection's number too, from 0.
    pub(crate) fn answering<F, A>(builder: Builder, answer: F) -> Self
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>, usize) -> A + Send + 'static,
        A: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
        };
        let connections = Arc::clone(&upstream.connections);
        std::thread::spawn(move || {
            let runtime = RuntimeBuilder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .unwrap();
            runtime.block_on(serve(listener, builder, connections, Arc::new(answer)));
        });
        upstream
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<F, A>(
    listener: TcpListener,
    builder: Builder,
    connections: Arc<AtomicUsize>,
    answer: Arc<F>,
) where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>, usize) -> A + 'static,
    A: Future<Output = ()> + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        let (builder, answer) = (builder.clone(), Arc::clone(&answer));
        spawn_local(async move {
            let Ok(mut connection) = builder.handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, respond))) = connection.accept().await {
                spawn_local(answer(request, respond, number));
            }
        });
    }
}

/// Reads a body to its end; the window opens as it is read.
pub(crate) async fn read_body(body: &mut RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        all.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    all
}

/// Sends a body as the window opens.
pub(crate) async fn send_body(send: &mut h2::SendStream<Bytes>, mut body: Bytes, end: bool) {
    while !body.is_empty() {
        send.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| send.poll_capacity(context)).await;
        let piece = body.split_to(room.unwrap().unwrap().min(body.len()));
        let last = end && body.is_empty();
        send.send_data(piece, last).unwrap();
    }
}

/// A frame (RFC 9113 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// `:status: 200`, from HPACK's static table.
pub(crate) const OK: &[u8] = &[0x88];

/// One connection of an upstream, frame by frame.
#[derive(Debug)]
pub(crate) struct Frames(Wire);

impl Frames {
    /// Accepts a connection and opens HTTP/2 with these settings, as pairs of a number and a value.
    #[track_caller]
    pub(crate) fn accept(upstream: &Upstream, settings: &[(u16, u32)]) -> Self {
        let mut wire = upstream.accept();
        assert_eq!(wire.take(24), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self(wire);
        let mut payload = Vec::new();
        for (number, value) in settings {
            payload.extend_from_slice(&number.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frames.send(SETTINGS, 0, 0, &payload);
        frames
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.send(frame(kind, flags, stream, payload));
    }

    /// In one write: who reads the first sees the others too.
    pub(crate) fn send_together(&mut self, frames: &[Vec<u8>]) {
        self.0.send(frames.concat());
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Frame {
        let head = self.0.take(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload: self.0.take(usize::try_from(length).unwrap()),
        }
    }

    /// The next frame of a kind; what comes before it is passed over.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next();
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Answers a stream with 200 and no body.
    pub(crate) fn answer(&mut self, stream: u32) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, OK);
    }

    pub(crate) fn reset(&mut self, stream: u32, reason: h2::Reason) {
        self.send(RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes());
    }

    /// Goes away: streams above `last` were not begun.
    pub(crate) fn go_away(&mut self, last: u32, reason: h2::Reason) {
        let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload);
    }
}
