//! What is read once at start, and the limits that hold whatever rules say.

use std::path::Path;

use super::admin;
use super::binds::Binds;
use super::conditions;
use super::tls::Files;
use super::upstreams::Upstream;
use crate::config::admin::parse_health;
use crate::config::document::Document;
use crate::config::toxiproxy::{parse_pattern, parse_toxiproxy};
use crate::config::tree::Located;
use crate::config::{EnergyConfig, Inputs, LogConfig, PeerLimitsConfig, Problems, SafetyConfig};
use crate::http1::MAX_FIELDS;
use crate::rule::PathGlob;
use crate::snapshot::{
    Bind, EnergySettings, Limits, LogSettings, Safety, SettingPlace, Settings, ToxiproxySettings,
};
use crate::units::Span;

/// A head is held whole until it has been read: bounded, and more than any client needs.
const HEADER_SIZES: std::ops::RangeInclusive<u64> = 1024..=16 << 20;
/// More threads than this serve nobody.
const MOST_WORKERS: usize = 256;
/// RFC 9113 §6.9.1 allows 2 GiB less one byte.
const H2_WINDOWS: std::ops::RangeInclusive<u64> = 1024..=1 << 30;

pub(super) fn safety(
    document: &Document<'_>,
    inputs: &Inputs<'_>,
    problems: &mut Problems,
) -> Safety {
    let default = SafetyConfig::default();
    let config = document.safety.as_ref().map_or(&default, |it| &it.value);
    let mut never = Vec::with_capacity(config.never.len());
    for (index, text) in config.never.iter().enumerate() {
        match (PathGlob::new(text), &document.safety) {
            (Ok(glob), _) => never.push(glob),
            (Err(error), Some(located)) => {
                let help = "`*` stands for a segment, `**` for any number".to_owned();
                located.error(
                    problems,
                    &format!("never[{index}]"),
                    error.to_string(),
                    help,
                );
            }
            (Err(_), None) => {}
        }
    }
    if let Some(located) = &document.safety
        && config.max_faults_per_call == 0
    {
        let help = "leave the rules out, or set `dry_run = true`".to_owned();
        let message = "`max_faults_per_call` is 0, so no rule could act";
        located.error(problems, "max_faults_per_call", message, help);
    }
    if let Some(located) = &document.safety
        && config.max_ttl == Span::ZERO
    {
        let help = "for example \"1h\"; `[admin] bind = \"off\"` lets nobody put rules".to_owned();
        let message = "`max_ttl` is 0, so no rule could be put or armed";
        located.error(problems, "max_ttl", message, help);
    }
    Safety {
        never,
        max_delay_per_call: config.max_delay_per_call.get(),
        max_faults_per_call: config.max_faults_per_call,
        dry_run: config.dry_run || inputs.dry_run,
        stop_when: conditions::resolve(document, problems),
        counting: config.counting,
        max_ttl: config.max_ttl.get(),
        halt_file: config.halt_file.clone(),
    }
}

/// Against slow or greedy peers.
pub(super) fn limits(document: &Document<'_>, problems: &mut Problems) -> Limits {
    let Some(located) = &document.limits else {
        return Limits::default();
    };
    let config = &located.value;
    of_http1(located, problems);
    if config.h2_streams == 0 {
        let help = "100 is what the standard advises at least".to_owned();
        let message = "`h2_streams` is 0, so no call could be made";
        located.error(problems, "h2_streams", message, help);
    }
    for (key, size) in [
        ("h2_stream_window", config.h2_stream_window),
        ("h2_connection_window", config.h2_connection_window),
    ] {
        if !H2_WINDOWS.contains(&size.get()) {
            let message = format!("`{key}` is {size}, which is not between 1KiB and 1GiB");
            let help = "a window is what a client may send ahead of being read".to_owned();
            located.error(problems, key, message, help);
        }
    }
    Limits::from(config)
}

/// Limits that would refuse every call, or that cannot be held.
fn of_http1(located: &Located<'_, PeerLimitsConfig>, problems: &mut Problems) {
    let config = &located.value;
    if !(1..=MAX_FIELDS).contains(&config.header_fields) {
        let message = format!("heads of {} fields cannot be read", config.header_fields);
        located.error(
            problems,
            "header_fields",
            message,
            format!("1 to {MAX_FIELDS}"),
        );
    }
    if !HEADER_SIZES.contains(&config.header_size.get()) {
        let message = "heads of that size cannot be read";
        located.error(problems, "header_size", message, "1KiB to 16MiB".to_owned());
    }
    if config.connections == 0 {
        let message = "a listener that holds no connection serves nobody";
        let help = "1 or more; leave the listener out instead".to_owned();
        located.error(problems, "connections", message, help);
    }
    for (key, span) in [
        ("header_timeout", config.header_timeout),
        ("body_idle", config.body_idle),
    ] {
        if span.get().is_zero() {
            let message = "no peer is that fast";
            let help = "for example 10s; there is no way to switch it off".to_owned();
            located.error(problems, key, message, help);
        }
    }
}

pub(super) fn resolve(
    document: &Document<'_>,
    upstreams: &[Upstream],
    binds: &mut Binds,
    files: &mut Files,
    problems: &mut Problems,
) -> Option<Settings> {
    let admin = admin::resolve(document, binds, files, problems);
    let health = health(document, binds, problems);
    let toxiproxy = toxiproxy(document, binds, problems);
    workers(document, problems);
    if document.state_dir.is_none() && !document.partial {
        problems.warning(
            None,
            "`state_dir` is not set: nothing outlives the process, a halt neither",
            "for example `state_dir = \"/var/lib/hormesis\"`".to_owned(),
        );
    }
    let log = document.log.as_ref();
    let log_place = place(log, "file");
    if let Some((located, file)) = log.and_then(|it| Some((it, it.value.file.as_deref()?))) {
        log_folder(located, "file", file, problems);
    }
    Some(Settings {
        workers: document.workers.as_ref().map(|it| it.value),
        state_dir: document.state_dir.as_ref().map(|it| it.value.clone()),
        admin: admin?,
        admin_place: place(document.admin.as_ref(), "bind"),
        health,
        health_place: place(document.health.as_ref(), "bind"),
        log_place,
        log: log.map_or_else(
            || LogSettings::from(&LogConfig::default()),
            |it| LogSettings::from(&it.value),
        ),
        energy: energy(document, upstreams, problems),
        toxiproxy,
        toxiproxy_place: place(document.toxiproxy.as_ref(), "bind"),
        traces: super::traces::resolve(document, problems),
    })
}

/// Where a part of a section stands.
fn place<T>(section: Option<&Located<'_, T>>, path: &str) -> SettingPlace {
    section.map_or(SettingPlace::Default, |it| {
        let place = it.node.place(path);
        SettingPlace::Config(place.source.place(&place.span))
    })
}

/// The sidecar makes the file and not the folder. Only a warning: a configuration may be checked
/// elsewhere than it is run.
pub(super) fn log_folder<T>(
    located: &Located<'_, T>,
    key: &str,
    file: &Path,
    problems: &mut Problems,
) {
    if let Some(folder) = file.parent()
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        let message = format!("there is no folder {}: `run` would fail", folder.display());
        let help = format!("mkdir -p {}", folder.display());
        problems.warning(Some(located.node.place(key)), message, help);
    }
}

fn health(
    document: &Document<'_>,
    binds: &mut Binds,
    problems: &mut Problems,
) -> Option<std::net::SocketAddr> {
    let located = document.health.as_ref()?;
    match parse_health(&located.value.bind) {
        Ok(address) => {
            let place = located.node.place("bind");
            let what = "the health listener".to_owned();
            binds.add(Bind::Tcp(address), what, place, problems);
            Some(address)
        }
        Err(error) => {
            located.error(problems, "bind", error.message, error.help);
            None
        }
    }
}

fn toxiproxy(
    document: &Document<'_>,
    binds: &mut Binds,
    problems: &mut Problems,
) -> Option<ToxiproxySettings> {
    let located = document.toxiproxy.as_ref()?;
    let config = &located.value;
    let mut allow_upstreams = Vec::with_capacity(config.allow_upstreams.len());
    for (index, text) in config.allow_upstreams.iter().enumerate() {
        match parse_pattern(text) {
            Ok(pattern) => allow_upstreams.push(pattern),
            Err(error) => {
                let key = format!("allow_upstreams[{index}]");
                located.error(problems, &key, error.message, error.help);
            }
        }
    }
    if config.expose && !located.node.has("allow_upstreams") {
        problems.warning(
            Some(located.node.place("expose")),
            "whoever reaches the Toxiproxy API can make proxies to everything on this machine's loopback",
            "write `allow_upstreams`: the services that proxies may lead to".to_owned(),
        );
    }
    match parse_toxiproxy(&config.bind, config.expose) {
        Ok(bind) => {
            let what = "the Toxiproxy API".to_owned();
            binds.add(Bind::Tcp(bind), what, located.node.place("bind"), problems);
            Some(ToxiproxySettings {
                bind,
                expose: config.expose,
                allow_upstreams,
                populate: None,
                proxy_metrics: false,
                runtime_metrics: false,
            })
        }
        Err(error) => {
            located.error(problems, "bind", error.message, error.help);
            None
        }
    }
}

fn workers(document: &Document<'_>, problems: &mut Problems) {
    if let Some(located) = &document.workers
        && !(1..=MOST_WORKERS).contains(&located.value)
    {
        let message = format!("{} workers cannot be run", located.value);
        let help = format!("1 to {MOST_WORKERS}; leave it out for as many as there are cores");
        located.error(problems, "", message, help);
    }
}

fn energy(
    document: &Document<'_>,
    upstreams: &[Upstream],
    problems: &mut Problems,
) -> EnergySettings {
    let default = EnergyConfig::default();
    let config = document.energy.as_ref().map_or(&default, |it| &it.value);
    let interval = config.interval.map(Span::get);
    if let Some(located) = &document.energy
        && interval.is_some_and(|it| it < MIN_INTERVAL)
    {
        let message = "meters cannot be read that often";
        located.error(problems, "interval", message, "10ms or more".to_owned());
    }
    EnergySettings {
        meters: config.meters.clone(),
        interval,
        upstreams: upstreams.iter().map(|it| it.energy.clone()).collect(),
        sysfs_root: config.sysfs_root.clone(),
        procfs_root: config.procfs_root.clone(),
        idle: config.idle_settings(),
    }
}

/// Below this a window holds less than the counters' own step.
const MIN_INTERVAL: std::time::Duration = std::time::Duration::from_millis(10);
