//! `hormesis health`: asks a running sidecar whether it is ready, for container health checks.

use clap::Args;
use http::StatusCode;

use super::console::Console;
use super::{Exit, UsageError, remote};
use crate::admin::client::{Address, Client, ClientError};
use crate::units::Span;

/// Asks a running sidecar whether it is ready; exits with 1 where it is not.
#[derive(Debug, Args)]
#[command(
    after_help = "In a container: HEALTHCHECK CMD [\"hormesis\", \"health\", \"http://127.0.0.1:9902/healthz\"]"
)]
pub(super) struct HealthArguments {
    /// The admin or health listener: `http://HOST:PORT[/healthz|/readyz]` or `unix:/path/to.sock`.
    #[arg(default_value = "http://127.0.0.1:9901/readyz", value_name = "URL")]
    url: String,

    /// How long the answer may take.
    #[arg(long, default_value = "2s", value_name = "TIME")]
    timeout: Span,

    /// Says nothing; the exit code tells.
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(arguments: &HealthArguments, console: &Console) -> anyhow::Result<Exit> {
    let (address, path) = target(&arguments.url)?;
    let client = Client::new(address, arguments.timeout.get());
    let answered = remote::wait(async { Ok(client.raw(path).await) })?;
    let (line, exit) = match answered.map(|it| it.status) {
        Ok(StatusCode::OK) => ("ready".to_owned(), Exit::Fine),
        Ok(status) => (
            format!("not ready: status {}", status.as_u16()),
            Exit::Deviated,
        ),
        Err(ClientError::Unreachable { source, .. }) => {
            (format!("no answer: {source}"), Exit::Deviated)
        }
        Err(error) => (format!("no answer: {error}"), Exit::Deviated),
    };
    if !arguments.quiet {
        console.line(format_args!("{}: {line}", arguments.url))?;
    }
    Ok(exit)
}

/// Whom to ask for what. Probes are in the clear: a certificate proves nothing of health.
fn target(url: &str) -> Result<(Address, &str), UsageError> {
    let wrong = || {
        UsageError(format!(
            "{url:?} is no address: write \"http://HOST:PORT/readyz\" or \"unix:/path/to.sock\""
        ))
    };
    if !url.starts_with("http://") && !url.starts_with("unix:") {
        return Err(wrong());
    }
    let (address, path) = Address::with_path(url).map_err(|_| wrong())?;
    Ok((address, path.unwrap_or("/readyz")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_their_default_path() {
        let path = |url| target(url).unwrap().1;
        assert_eq!(path("http://a:1"), "/readyz");
        assert_eq!(path("http://a:1/"), "/readyz");
        assert_eq!(path("http://[::1]:1/healthz"), "/healthz");
        assert_eq!(target("unix:/a/b").unwrap().0, Address::Unix("/a/b".into()));
        for bad in [
            "a:1",
            "https://a:1",
            "http://a",
            "unix:a",
            "http://a:1/x\r\ny",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
