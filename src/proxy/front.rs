//! What stands between an accepted connection and its first request: the PROXY protocol, then the
//! TLS handshake or a look at whom it is for. All of it within one limit.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::io::{Buffer, Socket, Stream};
use crate::proxy::call::Session;
use crate::proxy::http;
use crate::proxy::proxy_protocol::{Malformed, Parsed, parse};
use crate::proxy::rescue::Failure;
use crate::proxy::worker::Worker;
use crate::snapshot::{ListenerSpec, ListenerState, ProtocolSpec};
use crate::tls::{Hello, HelloReader, ServerTls, reason};

/// How long a handshake that is under way when a drain begins may still take.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// The longest beginning of a connection in which a host is looked for.
const MOST_HELLO: usize = 60 * 1024;
/// The first byte of a handshake's record (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;

/// A connection that can be served.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) session: Session,
    /// Bytes that were read already, where the client's TLS passes through.
    pub(super) early: Option<Buffer>,
}

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the process drains")]
    Drain,
    #[error("it ended before its first request: {0}")]
    Gone(#[from] io::Error),
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("plain bytes on a listener with TLS")]
    Plain,
    #[error("no whole handshake within {}", humantime::format_duration(*.0))]
    Stalled(Duration),
}

/// What a listener asks of a new connection.
struct Front {
    name: Arc<str>,
    protocol: ProtocolSpec,
    tls: Option<ServerTls>,
    proxy_protocol: bool,
    reads_hello: bool,
    within: Duration,
}

impl Front {
    fn new(spec: &ListenerSpec, within: Duration) -> Self {
        Self {
            name: Arc::clone(&spec.name),
            protocol: spec.protocol,
            // Of the generation in force: a handshake under way keeps its certificate.
            tls: spec.tls.clone(),
            proxy_protocol: spec.proxy_protocol,
            reads_hello: spec.reads_hello(),
            within,
        }
    }
}

/// Does what the listener asks for; `None` where the connection is over.
pub(super) async fn pass(mut session: Session) -> Option<Passed> {
    let front = {
        let (generation, place) = session.worker.place_of(&session.listener)?;
        let limits = &generation.snapshot.limits;
        Front::new(&generation.snapshot.listeners[place], limits.tls_handshake)
    };
    let by = Instant::now() + front.within;
    let (worker, listener) = (session.worker.clone(), session.listener.clone());
    let mut early = None;
    let opened = in_time(
        (&worker, &listener),
        &front,
        by,
        open(&mut session, &front, &mut early),
    )
    .await;
    let peer = session.peer;
    let refusal = match (opened, &front.tls) {
        (Ok(()), None) => return Some(Passed { session, early }),
        (Ok(()), Some(tls)) => {
            match in_time((&worker, &listener), &front, by, secure(session, tls)).await {
                Ok(session) => return Some(Passed { session, early }),
                Err(refusal) => refusal,
            }
        }
        (Err(refusal), _) => {
            if let (Refusal::Plain, ProtocolSpec::Http(..)) = (&refusal, front.protocol) {
                // As nginx does: the client is told in the language that it speaks.
                http::refuse(&session, &Failure::ClientPlain).await;
            }
            refusal
        }
    };
    tell(&front.name, peer, &refusal);
    None
}

/// Awaits a step for as long as the limit and the process let it.
async fn in_time<T>(
    (worker, listener): (&Worker, &ListenerState),
    front: &Front,
    by: Instant,
    step: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let drained = async {
        worker.parked.place(listener).closed().await;
        tokio::time::sleep(DRAIN_TIME).await;
    };
    tokio::select! {
        biased;
        done = step => done,
        () = tokio::time::sleep_until(by) => Err(Refusal::Stalled(front.within)),
        () = drained => Err(Refusal::Drain),
    }
}

/// All that is read before the handshake.
async fn open(
    session: &mut Session,
    front: &Front,
    early: &mut Option<Buffer>,
) -> Result<(), Refusal> {
    if front.proxy_protocol
        && let Some(peer) = read_header(&session.client).await?
    {
        session.peer = Some(peer);
    }
    if front.tls.is_some() {
        let mut first = [0];
        if session.client.peek(&mut first).await? == 0 {
            return Err(Refusal::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        if first != [HANDSHAKE] {
            return Err(Refusal::Plain);
        }
    }
    if front.reads_hello {
        let mut buffer = session.worker.buffers.take();
        session.sni = read_name(&session.client, &mut buffer).await?;
        *early = Some(buffer);
    }
    Ok(())
}

/// Reads a PROXY header, and nothing behind it.
async fn read_header(client: &Stream) -> Result<Option<SocketAddr>, Refusal> {
    let mut header = Vec::new();
    let mut part = [0; 256];
    loop {
        let count = client.peek(&mut part).await?;
        if count == 0 {
            return Err(Refusal::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let known = header.len();
        header.extend_from_slice(&part[..count]);
        match parse(&header)? {
            Parsed::Header { len, peer } => {
                client.skip(len.saturating_sub(known)).await?;
                return Ok(peer);
            }
            // All of it is the header's: what follows has not come yet.
            Parsed::Incomplete => client.skip(count).await?,
        }
    }
}

/// Reads a `ClientHello` to its end, and tells which host it names. What is none is left to the
/// upstream to judge.
async fn read_name(client: &Stream, buffer: &mut Buffer) -> Result<Option<Box<str>>, Refusal> {
    let mut reader = HelloReader::default();
    loop {
        let seen = buffer.len();
        // A ClientHello that fills the buffer is none that anyone would answer.
        if seen >= MOST_HELLO || client.read(buffer).await? == 0 {
            return Ok(None);
        }
        match reader.push(&buffer[seen..]) {
            Hello::Hello(name) => return Ok(name),
            Hello::Incomplete => {}
            Hello::None => return Ok(None),
        }
    }
}

async fn secure(session: Session, tls: &ServerTls) -> Result<Session, Refusal> {
    let Session {
        worker,
        listener,
        peer,
        client,
        ..
    } = session;
    let accepted = tls.accept(client.into_socket()).await;
    let stream = accepted.map_err(|error| Refusal::Handshake(reason(&error)))?;
    Ok(Session {
        worker,
        listener,
        peer,
        sni: stream.server_name().map(Box::from),
        client: Stream::new(Socket::Over(Box::new(stream))),
        http2: false,
    })
}

fn tell(listener: &str, peer: Option<SocketAddr>, refusal: &Refusal) {
    match refusal {
        // Somebody has set up one side and not the other, or does not trust it.
        Refusal::Handshake(_) | Refusal::Plain => {
            tracing::info!(listener, ?peer, reason = %refusal, "connection refused");
        }
        _ => tracing::debug!(listener, ?peer, reason = %refusal, "connection refused"),
    }
}
