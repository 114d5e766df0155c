//! Heads that are passed on by themselves: 1xx, and the 101 after which HTTP is over.

use crate::call::Outcome;
use crate::error::Origin;
use crate::http1::{
    HeadError, Persistence, Response, ResponseEdit, rebuild_response, strip_in_place,
};
use crate::io::Buffer;
use crate::proxy::call::InFlight;
use crate::proxy::http::{Next, forwarded, to_client};
use crate::proxy::patience;
use crate::proxy::relay::{Early, relay_metered};
use crate::proxy::rescue::Failure;
use crate::upstream::Connection;

/// Passes on a head that has no body, less its hop-by-hop lines, and gives its bytes up. `http2`:
/// it came so.
pub(super) async fn pass_head(
    call: &InFlight<'_>,
    buffer: &mut Buffer,
    head: &Response,
    http2: bool,
) -> Result<(), Failure> {
    let client = &call.session.client;
    let limit = Some(call.generation.snapshot.limits.body_idle);
    let edits = forwarded::of_response(call, head.minor, http2);
    if head.rebuild || !edits.is_empty() {
        let mut rebuilt = Vec::with_capacity(head.len);
        let edit = ResponseEdit {
            framing: None,
            persistence: Persistence::Implied,
            edits: &edits,
        };
        rebuild_response(&buffer[..head.len], head, edit, &mut rebuilt);
        to_client(patience::write(client, &rebuilt, &[], limit)).await?;
    } else {
        let stripped = strip_in_place(&mut buffer[..head.len], &head.fields);
        to_client(patience::write(
            client,
            &buffer[stripped..head.len],
            &[],
            limit,
        ))
        .await?;
    }
    buffer.consume(head.len);
    Ok(())
}

/// The upstream has agreed to another protocol: bytes pass both ways until both sides are done.
pub(super) async fn switch(
    call: &mut InFlight<'_>,
    head: Response,
    mut buffer: Buffer,
    connection: &Connection,
    downstream: Option<&mut Buffer>,
) -> Result<Next, Failure> {
    let Some(downstream) = downstream else {
        return Err(Failure::UpstreamHead(HeadError::Malformed(
            "101 before the request was sent",
        )));
    };
    call.status = Some(101);
    pass_head(call, &mut buffer, &head, connection.http2).await?;
    let client = &call.session.client;
    let pool = &call.session.worker.buffers;
    let early = Early {
        left: std::mem::replace(downstream, pool.take()),
        right: buffer,
    };
    let timer = &call.session.worker.timer;
    let relayed = relay_metered(
        client,
        &connection.stream,
        pool,
        early,
        &call.activity,
        timer,
    )
    .await;
    call.request_bytes += relayed.to_right;
    call.response_bytes += relayed.to_left;
    if let Some(error) = relayed.left_failed {
        return Err(Failure::ClientGone(error));
    }
    if let Some(error) = relayed.right_failed {
        call.fail(&Failure::UpstreamReset(error));
        return Ok(Next::Reset);
    }
    call.conclude(Outcome::Ok, Origin::Upstream);
    Ok(Next::Close)
}
