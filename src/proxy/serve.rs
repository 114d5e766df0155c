//! From an accepted connection to the driver that serves it.

use crate::proxy::call::Session;
use crate::proxy::{front, http, tcp, toxic};
use crate::snapshot::ProtocolSpec;

/// Serves one connection to its end.
pub(super) async fn serve(session: Session) {
    let Some((generation, place)) = session.worker.place_of(&session.listener) else {
        return;
    };
    let listener = &generation.snapshot.listeners[place];
    let (protocol, has_front) = (listener.protocol, listener.has_front());
    let toxics = listener.toxics.clone();
    // An idle connection must not keep an old generation.
    drop(generation);
    if let Some(run) = toxics {
        return Box::pin(toxic::serve(session, run)).await;
    }
    let (session, early) = if has_front {
        // Boxed: few listeners have it, and it is over before the first call.
        match Box::pin(front::pass(session)).await {
            Some(passed) => (passed.session, passed.early),
            None => return,
        }
    } else {
        (session, None)
    };
    match protocol {
        ProtocolSpec::Http(..) => http::serve(session).await,
        // Boxed: the task of an idle HTTP connection is as large as its largest branch.
        ProtocolSpec::Tcp => Box::pin(tcp::serve(session, early)).await,
    }
}
