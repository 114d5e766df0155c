//! The rest of a request's body, on its way upstream while the answer may come already.

use std::cell::Cell;
use std::io;

use crate::call::Side;
use crate::http1::BodyScanner;
use crate::io::{Buffer, Stream};
use crate::proxy::execution::{Execution, acts_on_body};
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyEnd, Outlet, Pump, Source, Stages};

/// What is left to send.
#[derive(Debug)]
pub(super) struct Upload<'u> {
    pub(super) scanner: &'u mut BodyScanner,
    /// Where a rule acts on the request's body.
    pub(super) stages: Option<&'u mut Stages>,
}

/// Sends it. `sent` counts bytes of the body as the client framed them. When the upstream takes no
/// more, this ends without an error: what the upstream answers tells more.
pub(super) async fn upload(
    client: &Stream,
    buffer: &mut Buffer,
    up: &mut Upload<'_>,
    upstream: &Stream,
    execution: Option<&Execution>,
    sent: &Cell<u64>,
) -> Result<(), Failure> {
    if let (Some(stages), Some(execution)) = (up.stages.as_deref_mut(), execution) {
        return staged(
            client, buffer, up.scanner, stages, upstream, execution, sent,
        )
        .await;
    }
    loop {
        let scanned = up
            .scanner
            .scan(buffer, |_| {})
            .map_err(Failure::ClientBody)?;
        if scanned.wire > 0 {
            if upstream.write_all(&buffer[..scanned.wire]).await.is_err() {
                return std::future::pending().await;
            }
            sent.set(sent.get() + scanned.wire as u64);
            buffer.consume(scanned.wire);
        }
        if scanned.done {
            return Ok(());
        }
        match client.read(buffer).await {
            Ok(0) => return Err(Failure::ClientShort),
            Ok(_) => {}
            Err(error) => return Err(Failure::ClientGone(error)),
        }
    }
}

async fn staged(
    client: &Stream,
    buffer: &mut Buffer,
    scanner: &mut BodyScanner,
    stages: &mut Stages,
    upstream: &Stream,
    execution: &Execution,
    sent: &Cell<u64>,
) -> Result<(), Failure> {
    let outlet = if matches!(scanner, BodyScanner::Chunked(_)) {
        Outlet::Chunked
    } else {
        Outlet::Raw
    };
    let source = Source {
        stream: client,
        buffer,
        scanner,
    };
    let mut pump = Pump::new(source, upstream, outlet, stages, execution, None, &|_| None);
    let end = pump.run().await;
    sent.set(sent.get() + pump.written);
    match end {
        BodyEnd::Complete | BodyEnd::Cut => Ok(()),
        // The upstream sees the request break off; what it makes of that is its answer.
        BodyEnd::Closed | BodyEnd::Error { .. } => {
            execution.supersede(|effect| effect.side() == Side::Request && acts_on_body(effect));
            crate::error::ignore(upstream.shutdown().await);
            Ok(())
        }
        BodyEnd::Reset => {
            upstream.reset_on_close();
            Err(Failure::UpstreamReset(
                io::ErrorKind::ConnectionReset.into(),
            ))
        }
        BodyEnd::SinkGone(_) => std::future::pending().await,
        BodyEnd::SourceEnded => Err(Failure::ClientShort),
        BodyEnd::SourceFailed(error) => Err(Failure::ClientGone(error)),
        BodyEnd::SourceMalformed(error) => Err(Failure::ClientBody(error)),
    }
}
