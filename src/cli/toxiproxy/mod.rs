//! Toxiproxy's two programs: its server and `toxiproxy-cli`, as commands of this one and by the
//! names that the originals have.

mod client;
mod commands;
mod flags;
mod help;
mod server;
mod show;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::console::Console;

pub(super) use commands::client;
pub(super) use server::serve;

/// Serves Toxiproxy's API in the place of Toxiproxy's own server, with its flags and its
/// `LOG_LEVEL`: any upstream, and any address that `-host` names.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    override_usage = "hormesis toxiproxy [-host HOST] [-port PORT] [-config FILE] [-seed NUMBER]\n                          [-proxy-metrics] [-runtime-metrics] [-version]",
    after_help = "Called as `toxiproxy-server` or `toxiproxy`, hormesis is this command at once. A [toxiproxy] section\nserves the same API beside the sidecar, on loopback and to the upstreams that it allows."
)]
pub(super) struct ToxiproxyArguments {
    /// As Toxiproxy takes them, with one dash or two; `-help` lists them.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "FLAG"
    )]
    pub(super) arguments: Vec<String>,
}

/// Lists, makes and changes proxies and toxics of a running server, with the words of Toxiproxy's
/// own `toxiproxy-cli`.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Called as `toxiproxy-cli`, hormesis is this command at once. The server is at -h HOST, else at\nTOXIPROXY_URL, else at http://localhost:8474."
)]
pub(super) struct ToxiproxyCliArguments {
    /// As the original takes them; `help` lists them.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    pub(super) arguments: Vec<String>,
}

/// What runs a program of Toxiproxy's with its words.
type Program = fn(&[String], &Console) -> anyhow::Result<ExitCode>;

/// The program that a link of this name stands for.
pub(super) fn by_name(called: &str) -> Option<Program> {
    match Path::new(called).file_name()?.to_str()? {
        "toxiproxy-cli" => Some(client),
        "toxiproxy" | "toxiproxy-server" => {
            Some(|words, console| serve("toxiproxy-server", words, console))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_toxiproxys_programs_are_known() {
        for called in [
            "toxiproxy-cli",
            "/toxiproxy-cli",
            "./toxiproxy-server",
            "/toxiproxy",
        ] {
            assert!(by_name(called).is_some(), "{called}");
        }
        assert!(by_name("/usr/bin/hormesis").is_none());
    }
}
