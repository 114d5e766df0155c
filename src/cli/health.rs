//! `hormesis health`: asks a running sidecar whether it is ready, for container health checks.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::Args;

use super::console::Console;
use super::{Exit, UsageError};
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
    let target = Target::parse(&arguments.url)?;
    let answered = target.ask(arguments.timeout.get());
    let (line, exit) = match answered {
        Ok(200) => ("ready".to_owned(), Exit::Fine),
        Ok(status) => (format!("not ready: status {status}"), Exit::Deviated),
        Err(error) => (format!("no answer: {error}"), Exit::Deviated),
    };
    if !arguments.quiet {
        console.line(format_args!("{}: {line}", arguments.url))?;
    }
    Ok(exit)
}

/// Whom to ask for what.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    peer: Peer<'a>,
    path: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
enum Peer<'a> {
    Tcp(&'a str),
    Unix(&'a str),
}

impl<'a> Target<'a> {
    fn parse(url: &'a str) -> Result<Self, UsageError> {
        if let Some(path) = url.strip_prefix("unix:").filter(|it| it.starts_with('/')) {
            return Ok(Self {
                peer: Peer::Unix(path),
                path: "/readyz",
            });
        }
        let authority = url.strip_prefix("http://").ok_or_else(|| {
            UsageError(format!(
                "{url:?} is no address: write \"http://HOST:PORT/readyz\" or \"unix:/path/to.sock\""
            ))
        })?;
        let (host, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
        let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || !host.contains(':') {
            return Err(UsageError(format!("{url:?} names no host and port")));
        }
        Ok(Self {
            peer: Peer::Tcp(host),
            path: if path.len() > 1 { path } else { "/readyz" },
        })
    }

    /// The status of the answer.
    fn ask(&self, timeout: Duration) -> io::Result<u16> {
        match self.peer {
            Peer::Tcp(host) => {
                let address = host.to_socket_addrs()?.next().ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
                })?;
                let stream = TcpStream::connect_timeout(&address, timeout)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                exchange(stream, host, self.path)
            }
            Peer::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                exchange(stream, "localhost", self.path)
            }
        }
    }
}

fn exchange(mut stream: impl Read + Write, host: &str, path: &str) -> io::Result<u16> {
    // In one piece: a server must not wait for the rest of the head.
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // The status line is all that counts; it comes in the first bytes.
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < 8192 {
        match stream.read(&mut chunk)? {
            0 => break,
            count => answer.extend_from_slice(&chunk[..count]),
        }
    }
    status(&answer).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "what answers does not speak HTTP",
        )
    })
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_their_default_path() {
        let target = |url| Target::parse(url).unwrap();
        assert_eq!(target("http://a:1").path, "/readyz");
        assert_eq!(target("http://a:1/").path, "/readyz");
        assert_eq!(target("http://[::1]:1/healthz").path, "/healthz");
        assert_eq!(target("unix:/a/b").peer, Peer::Unix("/a/b"));
        for bad in [
            "a:1",
            "https://a:1",
            "http://a",
            "unix:a",
            "http://a:1/x\r\ny",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_status_line_is_a_status() {
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(status(b"HTTP/1.1 200 OK"), Some(200));
        assert_eq!(status(b"-ERR unknown command\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
