//! From an accepted connection to the driver that serves it.

use crate::proxy::call::Session;
use crate::proxy::{http, tcp};
use crate::snapshot::ProtocolSpec;

/// Serves one connection to its end.
pub(super) async fn serve(session: Session) {
    let Some((generation, place)) = session.worker.place_of(&session.listener) else {
        return;
    };
    let protocol = generation.snapshot.listeners[place].protocol;
    // An idle connection must not keep an old generation.
    drop(generation);
    match protocol {
        ProtocolSpec::Http(..) => http::serve(session).await,
        // Boxed: the task of an idle HTTP connection is as large as its largest branch.
        ProtocolSpec::Tcp => Box::pin(tcp::serve(session)).await,
    }
}
