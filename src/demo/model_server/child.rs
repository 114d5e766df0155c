//! The model server as a child process.

use std::io::{self, Write};
use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::load::child_io::{Lines, current_thread};

use super::{ModelServerOptions, Models, serve};

/// Reads its options from standard input, trains, tells its address on standard output and serves
/// until standard input closes or SIGTERM comes.
pub fn run_child() -> io::Result<()> {
    current_thread()?.block_on(child())
}

async fn child() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut lines = Lines::of_stdin();
    let options: ModelServerOptions = lines.options().await?;
    let started = Instant::now();
    let models = Models::train(options.seed);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let announcement = models.announce(listener.local_addr()?, started.elapsed());
    writeln!(io::stdout(), "{}", serde_json::to_string(&announcement)?)?;
    let shutdown = async {
        tokio::select! {
            () = lines.closed() => (),
            _ = terminate.recv() => (),
        }
    };
    serve(listener, models, shutdown).await
}
