//! Waiting while an answer is read ahead.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::http1::{BodyScanner, Response};
use crate::io::{Buffer, Stream};
use crate::proxy::activity::Activity;
use crate::proxy::rescue::Failure;
use crate::proxy::stages::READ_AHEAD;

/// Waits before a head while its body is read ahead, as far as there is room: when the upstream's
/// work ends shows only in its last byte. Where nothing is metered the body stays where it is.
pub(super) async fn reading_ahead<F: Future>(
    activity: &Activity,
    head: &Response,
    buffer: &mut Buffer,
    stream: &Stream,
    wait: F,
) -> Result<F::Output, Failure> {
    let mut scanner = BodyScanner::new(head.framing);
    let mut seen = head.len;
    let mut reads = activity.is_open();
    let mut wait = pin!(wait);
    let output = poll_fn(|context| {
        if let Poll::Ready(output) = wait.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        while reads {
            match scanner.scan(&buffer[seen..], |_| {}) {
                Ok(scanned) if scanned.done => {
                    activity.done();
                    reads = false;
                    break;
                }
                Ok(scanned) => seen += scanned.wire,
                // Who passes the body on will find the same, and say so.
                Err(_) => {
                    reads = false;
                    break;
                }
            }
            if !buffer.make_room(READ_AHEAD) {
                activity.hold();
                reads = false;
                break;
            }
            match stream.poll_read(context, buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    if scanner.ends_at_close() {
                        activity.done();
                    }
                    reads = false;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Failure::UpstreamReset(error)));
                }
            }
        }
        Poll::Pending
    })
    .await?;
    activity.release();
    Ok(output)
}
