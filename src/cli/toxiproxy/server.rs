//! `hormesis toxiproxy`: the sidecar in the place of Toxiproxy's own server.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::flags::{Flag, FlagError, Given, parse, switch, value};
use crate::admin::runtime_folder;
use crate::app::Setup;
use crate::cli::console::Console;
use crate::cli::{Exit, UsageError, environment};
use crate::config::{self, Inputs, Resolved};
use crate::control::{Source, Watched};
use crate::record::logging::{self, LogFormat};
use crate::snapshot::SettingPlace;
use crate::toxiproxy::VERSION;
use crate::units::Seed;

const FLAGS: [Flag; 7] = [
    value(&["config"]),
    value(&["host"]),
    value(&["port"]),
    switch(&["proxy-metrics"]),
    switch(&["runtime-metrics"]),
    value(&["seed"]),
    switch(&["version"]),
];

/// As Go prints them.
pub(super) const USAGE: &str = "  -config string
    \tJSON file containing proxies to create on startup
  -host string
    \tHost for toxiproxy's API to listen on (default \"localhost\")
  -port string
    \tPort for toxiproxy's API to listen on (default \"8474\")
  -proxy-metrics
    \tenable toxiproxy-specific prometheus metrics (default \"false\")
  -runtime-metrics
    \tenable runtime-related prometheus metrics (default \"false\")
  -seed int
    \tSeed for randomizing toxics with; drawn where absent
  -version
    \tprint the version (default \"false\")";

/// Runs the server. `called` is how the user called it.
pub(in crate::cli) fn serve(
    called: &str,
    arguments: &[String],
    console: &Console,
) -> anyhow::Result<ExitCode> {
    let options = match parse(arguments, &FLAGS).and_then(|it| Options::read(&it)) {
        Ok(options) => options,
        Err(error) => {
            let usage = format!("Usage of {called}:\n{USAGE}");
            return Ok(match error {
                FlagError::Help => {
                    console.complain(format_args!("{usage}"));
                    Exit::Fine.into()
                }
                FlagError::Wrong(text) => {
                    console.complain(format_args!("{text}\n{usage}"));
                    Exit::Usage.into()
                }
            });
        }
    };
    if options.version {
        console.line(format_args!("toxiproxy-server version {VERSION}"))?;
        return Ok(Exit::Fine.into());
    }
    options.run()
}

/// What the flags say.
#[derive(Debug)]
struct Options {
    host: String,
    port: String,
    config: Option<PathBuf>,
    seed: Option<Seed>,
    proxy_metrics: bool,
    runtime_metrics: bool,
    version: bool,
}

impl Options {
    fn read(given: &Given) -> Result<Self, FlagError> {
        let text = |name, default: &str| given.value(name).unwrap_or(default).to_owned();
        let seed = given.value("seed").map(|text| {
            let seed = text.parse::<i64>().map_err(|_| {
                FlagError::Wrong(format!(
                    "invalid value {text:?} for flag -seed: parse error"
                ))
            });
            seed.map(|seed| Seed(seed.cast_unsigned()))
        });
        let config = given.value("config").filter(|it| !it.is_empty());
        Ok(Self {
            host: text("host", "localhost"),
            port: text("port", "8474"),
            config: config.map(PathBuf::from),
            seed: seed.transpose()?,
            proxy_metrics: given.is_set("proxy-metrics"),
            runtime_metrics: given.is_set("runtime-metrics"),
            version: given.is_set("version"),
        })
    }

    fn run(self) -> anyhow::Result<ExitCode> {
        let level = environment("LOG_LEVEL");
        let filter = level.as_deref().map_or(Some("info"), filter);
        let log = logging::init(LogFormat::Json, filter.unwrap_or("info"), false)?;
        if filter.is_none() {
            tracing::error!("unknown LOG_LEVEL value: {:?}", level.unwrap_or_default());
        }
        tracing::info!(version = VERSION, "Starting Toxiproxy");
        let resolved = self.resolve()?;
        let setup = Setup {
            source: Source::Once("Toxiproxy's server has no configuration to read again"),
            watched: Watched::default(),
            socket_names: None,
            runtime: runtime_folder(&environment),
            log,
        };
        // Connections that are still open are dropped, which is as it should be.
        crate::app::run(resolved, setup)?;
        Ok(Exit::Fine.into())
    }

    fn resolve(self) -> anyhow::Result<Resolved> {
        let bind = self.address()?;
        if !bind.ip().is_loopback() {
            tracing::warn!(
                "the Toxiproxy API at {bind} has no token: whoever reaches it can make proxies to anywhere"
            );
        }
        let inputs = Inputs {
            seed: self.seed,
            ..Inputs::new(&environment)
        };
        // It warns of what is no concern here, such as that nothing is kept over a restart.
        let mut resolved = config::toxiproxy(bind, &inputs)?;
        resolved.settings.toxiproxy_place = SettingPlace::Flag("-host and -port");
        if let Some(settings) = &mut resolved.settings.toxiproxy {
            settings.populate = self.config;
            settings.proxy_metrics = self.proxy_metrics;
            settings.runtime_metrics = self.runtime_metrics;
        }
        Ok(resolved)
    }

    /// As Go binds it: all addresses where the host is empty, and IPv4 first where a name has both.
    fn address(&self) -> anyhow::Result<SocketAddr> {
        let Self { host, port, .. } = self;
        let number: u16 = port
            .parse()
            .map_err(|_| UsageError(format!("-port {port:?} is no port: write 0 to 65535")))?;
        if host.is_empty() {
            return Ok(SocketAddr::from(([0, 0, 0, 0], number)));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (bare, number)
            .to_socket_addrs()
            .with_context(|| format!("-host {host:?} has no address"))?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let first = addresses.iter().find(|it| it.is_ipv4());
        let first = first.or(addresses.first()).copied();
        first.with_context(|| format!("-host {host:?} has no address"))
    }
}

/// Toxiproxy's levels as filters; none where there is no such level.
fn filter(level: &str) -> Option<&'static str> {
    Some(match level {
        // There are no messages of ours below `debug`.
        "trace" | "debug" => "info,hormesis=debug",
        "info" | "" => "info",
        "warn" => "warn",
        "error" | "fatal" | "panic" => "error",
        "disabled" => "off",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        Options::read(&parse(&arguments, &FLAGS).unwrap()).unwrap()
    }

    #[test]
    fn addresses_are_those_that_go_binds() {
        let address = |words: &[&str]| options(words).address().unwrap().to_string();
        assert_eq!(address(&[]), "127.0.0.1:8474");
        assert_eq!(address(&["-host", "0.0.0.0", "--port=1"]), "0.0.0.0:1");
        assert_eq!(address(&["-host="]), "0.0.0.0:8474");
        assert_eq!(address(&["-host", "::1"]), "[::1]:8474");
        assert!(options(&["-port", "http"]).address().is_err());
    }

    #[test]
    fn it_runs_without_listeners_and_lets_every_upstream_be() {
        let resolved = options(&["-seed", "-1", "-config", "a.json", "-proxy-metrics"])
            .resolve()
            .unwrap();
        assert_eq!(resolved.snapshot.seed, Seed(u64::MAX));
        let settings = resolved.settings.toxiproxy.unwrap();
        assert!(settings.expose && settings.allows("anything at all"));
        assert_eq!(settings.populate, Some(PathBuf::from("a.json")));
        assert!(settings.proxy_metrics && !settings.runtime_metrics);
    }

    #[test]
    fn every_level_of_toxiproxy_is_a_filter() {
        for level in [
            "trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled",
        ] {
            let filter = filter(level).unwrap();
            assert!(tracing_subscriber::EnvFilter::try_new(filter).is_ok());
        }
        assert_eq!(filter("loud"), None);
    }
}
