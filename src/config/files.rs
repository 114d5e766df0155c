//! From paths to sources.

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::parse_endpoint;
use super::{Inputs, Problem, Problems, Resolved, Severity, Source, resolve};
use crate::upstream::Endpoint;

/// A larger file is no configuration: a thousand rules are a third of a megabyte.
const MOST_BYTES: u64 = 8 << 20;

/// Loads files, and the `*.toml` files of directories in the order of their names, as one
/// configuration.
pub fn load(paths: &[PathBuf], inputs: &Inputs<'_>) -> Result<Resolved, Problems> {
    resolve(&read_sources(paths)?, inputs)
}

/// What `--upstream URL --listen ADDR` stands for: the same configuration as a file of a few
/// lines.
pub fn inline(
    upstream: &str,
    listen: &str,
    protocol: Option<&str>,
    inputs: &Inputs<'_>,
) -> Result<Resolved, Problems> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let protocol = protocol.map_or(String::new(), |it| format!("protocol = {}\n", quoted(it)));
    let energy = match loopback_port(upstream) {
        Some(port) => format!("[upstreams.upstream.energy]\nprocess = {{ port = {port} }}\n"),
        None => String::new(),
    };
    let text = format!(
        "[upstreams.upstream]\nendpoints = [{}]\n{energy}[listeners.listener]\nbind = {}\nupstream = \"upstream\"\n{protocol}",
        quoted(upstream),
        quoted(listen),
    );
    resolve(&[Arc::new(Source::new("command line", text))], inputs)
}

/// What `hormesis toxiproxy` stands for: Toxiproxy's API at `bind`, and nothing else.
pub fn toxiproxy(bind: SocketAddr, inputs: &Inputs<'_>) -> Result<Resolved, Problems> {
    let text = format!(
        "[admin]\nbind = \"off\"\n[log]\ndecisions = \"off\"\n[limits]\ndrain_grace = \"0s\"\n[toxiproxy]\nbind = \"{bind}\"\nexpose = true\nallow_upstreams = [\"*\"]\n",
    );
    resolve(&[Arc::new(Source::new("command line", text))], inputs)
}

/// The port of an upstream on this machine: its process is whoever listens there.
fn loopback_port(upstream: &str) -> Option<u16> {
    let (Endpoint::Tcp { host, port }, _) = parse_endpoint(upstream).ok()? else {
        return None;
    };
    let ip = host.parse::<IpAddr>();
    (host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())).then_some(port)
}

/// Reads files, directories and standard input (`-`); everything that cannot be read is a problem.
pub fn read_sources(paths: &[PathBuf]) -> Result<Vec<Arc<Source>>, Problems> {
    let mut problems = Problems::default();
    let mut sources = Vec::new();
    for path in paths {
        let files = if path.is_dir() {
            directory(path, &mut problems)
        } else {
            vec![path.clone()]
        };
        for file in files {
            match read_file(&file) {
                Ok(text) => {
                    sources.push(Arc::new(Source::new(shown(&file), text)));
                }
                Err((message, help)) => problems.push(unreadable(message, help)),
            }
        }
    }
    if problems.is_empty() {
        Ok(sources)
    } else {
        Err(problems)
    }
}

fn directory(path: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut files: Vec<PathBuf> = match entries {
        Ok(entries) => entries.into_iter().map(|it| it.path()).collect(),
        Err(error) => {
            let message = format!("cannot list {}: {error}", path.display());
            problems.push(unreadable(message, None));
            return Vec::new();
        }
    };
    files.retain(|it| it.extension().is_some_and(|it| it == "toml") && !it.is_dir());
    files.sort();
    if files.is_empty() {
        let message = format!("no *.toml file in {}", path.display());
        problems.push(unreadable(message, None));
    }
    files
}

/// `-`, as commands write standard input; a file of that name is `./-`.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// How messages name a file.
fn shown(path: &Path) -> String {
    if is_stdin(path) {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    }
}

fn read_file(path: &Path) -> Result<String, (String, Option<String>)> {
    let shown = shown(path);
    let cannot = |error: io::Error| {
        let help = (error.kind() == io::ErrorKind::NotFound)
            .then(|| "`hormesis init > hormesis.toml` writes one to start from".to_owned());
        (format!("cannot read {shown}: {error}"), help)
    };
    let mut bytes = Vec::new();
    // Bounded, so that a device or a pipe without end is refused and not read.
    let read = if is_stdin(path) {
        let stdin = io::stdin().lock();
        stdin.take(MOST_BYTES + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(cannot)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err((
            format!("{shown} is larger than {} MiB", MOST_BYTES >> 20),
            Some("split it: a directory of files is read as one configuration".into()),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .split(|byte| *byte == b'\n')
            .count();
        (format!("{shown}:{line}: not UTF-8"), None)
    })
}

fn unreadable(message: String, help: Option<String>) -> Problem {
    Problem {
        severity: Severity::Error,
        message,
        help,
        place: None,
    }
}
