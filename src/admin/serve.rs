//! Serves one socket. Connections are bounded in number and time, so that slow or forgetful
//! clients neither starve others nor pile up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::admin::socket::{AsyncListener, Socket};

const CONNECTIONS: usize = 512;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// After this a connection ends once its answer is out.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How long an answer may then still take.
const GRACE: Duration = Duration::from_secs(1);
/// The pause after an accept that failed: descriptors may be used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn serve(socket: Socket, router: Router, mut stop: watch::Receiver<bool>) {
    let listener = match socket.into_async() {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener could not be served");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some(()) = accept(&listener, &places, &router, &mut connections, &mut stop).await {
        // Reap those that have ended.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // Each connection was told too, and ends within its grace.
    while connections.join_next().await.is_some() {}
}

/// Accepts one connection; `None` once stopped.
async fn accept(
    listener: &AsyncListener,
    places: &Arc<Semaphore>,
    router: &Router,
    connections: &mut JoinSet<()>,
    stop: &mut watch::Receiver<bool>,
) -> Option<()> {
    let place = tokio::select! {
        place = Arc::clone(places).acquire_owned() => place.ok()?,
        _ = stop.wait_for(|stop| *stop) => return None,
    };
    let router = router.clone();
    let stopped = stop.clone();
    let accepted = async {
        match listener {
            AsyncListener::Tcp(it) => it.accept().await.map(|(io, _)| {
                connections.spawn(async move {
                    connection(io, router, stopped).await;
                    drop(place);
                });
            }),
            AsyncListener::Unix(it) => it.accept().await.map(|(io, _)| {
                connections.spawn(async move {
                    connection(io, router, stopped).await;
                    drop(place);
                });
            }),
        }
    };
    tokio::select! {
        accepted = accepted => {
            if let Err(error) = accepted {
                tracing::warn!(%error, "a listener could not accept");
                sleep(ACCEPT_PAUSE).await;
            }
            Some(())
        }
        _ = stop.wait_for(|stop| *stop) => None,
    }
}

async fn connection(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return told(result),
        () = sleep(MAX_AGE) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(result) = timeout(GRACE, connection).await {
        told(result);
    }
}

fn told(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke off");
    }
}
