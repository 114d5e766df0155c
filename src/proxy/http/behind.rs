//! What stands behind the body of an answer that passes as it comes: its trailers, wherever the
//! upstream's form of them and the client's have room for such.

use std::io;
use std::time::Duration;

use crate::http1::Trailers;
use crate::io::Stream;
use crate::proxy::call::InFlight;
use crate::proxy::http::beside::Beside;
use crate::proxy::patience;
use crate::proxy::rescue::Failure;
use crate::upstream::Connection;

/// What is known of it so far.
pub(super) struct Behind {
    /// As a scan of chunks tells them.
    pub(super) trailers: Trailers,
    /// They come, if they do, behind a body of announced length.
    awaited: bool,
    at_hand: Option<io::Result<Vec<u8>>>,
}

impl Behind {
    /// `trailing`: as [`Shape::trailing`](super::shape::Shape::trailing).
    pub(super) fn new(call: &InFlight<'_>, trailing: bool) -> Self {
        let watched = call.target.protocol.ending();
        Self {
            trailers: Trailers::watching(watched.map(|it| it.name)),
            awaited: trailing,
            at_hand: None,
        }
    }

    /// All of the body has come, and its last bytes go out next.
    pub(super) fn body_came(&mut self, call: &InFlight<'_>, upstream: &Stream) {
        if self.awaited {
            // However long the client, or what stands behind it, takes.
            call.activity.done();
            self.at_hand = upstream.trailers_at_hand();
            if matches!(&self.at_hand, Some(Ok(none)) if none.is_empty()) {
                // As mostly: the last byte is the end.
                self.awaited = false;
                call.session.client.hold_end(false);
            }
        }
    }

    /// Whether anything stands behind the body, or may.
    pub(super) fn comes(&self) -> bool {
        self.awaited || !self.trailers.is_empty()
    }

    /// The body has gone out: sends what stands behind it.
    pub(super) async fn send(
        mut self,
        call: &mut InFlight<'_>,
        connection: &Connection,
        patience: Option<Duration>,
        beside: &mut Beside<'_>,
    ) -> Result<(), Failure> {
        let client = &call.session.client;
        if self.awaited {
            let lines = match self.at_hand {
                Some(lines) => lines.map_err(Failure::UpstreamReset)?,
                None => read(call, connection, beside).await?,
            };
            self.trailers.take(&lines);
            self.trailers.whole();
            client
                .end(self.trailers.allowed())
                .map_err(Failure::of_client)?;
        } else if !self.trailers.is_empty() {
            call.activity.done();
            let end = self.trailers.to_end();
            let write = patience::write(client, &end, &[], patience);
            beside.with(write).await?.map_err(Failure::of_client)?;
        }
        call.tell_end(self.trailers.found());
        Ok(())
    }
}

/// Waits for them, as long as for a piece of the body itself.
async fn read(
    call: &InFlight<'_>,
    connection: &Connection,
    beside: &mut Beside<'_>,
) -> Result<Vec<u8>, Failure> {
    let upstream = &connection.stream;
    let idle = call.generation.snapshot.limits.body_idle;
    let lines = beside.until(|context| upstream.poll_trailers(context));
    let lines = tokio::time::timeout(idle, lines).await;
    lines
        .unwrap_or(Err(Failure::UpstreamStuck))?
        .map_err(Failure::UpstreamReset)
}
