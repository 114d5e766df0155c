//! An orderly end: FIN, and time for the peer to read what was sent.

use std::time::Duration;

use crate::error::ignore;
use crate::proxy::call::Session;

/// How long, and for how many bytes, a closing connection is read so that the answer is not lost
/// to a reset (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// Sends FIN and reads what the client still sends, for a while: closing with unread bytes would
/// reset the connection and take the answer with it.
pub(super) async fn linger(session: &Session) {
    ignore(session.client.shutdown().await);
    let mut buffer = session.worker.buffers.take();
    let drain = async {
        let mut seen = 0;
        while let Ok(count) = session.client.read(&mut buffer).await {
            seen += count;
            if count == 0 || seen > LINGER_BYTES {
                break;
            }
            let all = buffer.len();
            buffer.consume(all);
        }
    };
    ignore(tokio::time::timeout(LINGER, drain).await);
}
