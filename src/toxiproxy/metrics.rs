//! `/metrics`, where a flag asks for it: the traffic of the proxies, and what the process uses.

use std::fmt::{Arguments, Write};
use std::fs;

use axum::response::Response;
use http::StatusCode;

use crate::control::ProxyTraffic;
use crate::record::TextFormat;
use crate::snapshot::ToxiproxySettings;

use super::answer::with_type;
use super::api::Api;

/// Whether the route exists.
pub(super) fn any(settings: &ToxiproxySettings) -> bool {
    settings.proxy_metrics || settings.runtime_metrics
}

pub(super) fn answer(api: &Api) -> Response {
    let mut page = Page::default();
    if api.settings().runtime_metrics {
        of_process(&mut page);
    }
    if api.settings().proxy_metrics {
        of_proxies(&mut page, &api.handle().proxy_traffic());
    }
    with_type(
        StatusCode::OK,
        TextFormat::Prometheus.content_type(),
        page.0,
    )
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: Arguments<'_>) {
        // A string takes all that is written.
        self.0.write_fmt(text).unwrap_or_default();
        self.0.push('\n');
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }
}

/// What a family counts of a proxy's direction.
type Value = fn(&ProxyTraffic) -> u64;

/// Live, where Toxiproxy counts a connection when it ends.
fn of_proxies(page: &mut Page, traffic: &[ProxyTraffic]) {
    if traffic.is_empty() {
        return;
    }
    let families: [(&str, Value); 2] = [
        ("toxiproxy_proxy_received_bytes_total", |it| it.received),
        ("toxiproxy_proxy_sent_bytes_total", |it| it.sent),
    ];
    for (name, value) in families {
        page.head(name, "counter", "");
        for it in traffic {
            page.line(format_args!(
                "{name}{{direction=\"{}\",listener=\"{}\",proxy=\"{}\",upstream=\"{}\"}} {}",
                it.direction,
                label(&it.listener),
                label(&it.proxy),
                label(&it.upstream),
                value(it)
            ));
        }
    }
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The names that every Prometheus client library gives; what cannot be read is left out.
fn of_process(page: &mut Page) {
    let version = env!("CARGO_PKG_VERSION");
    page.head("hormesis_build_info", "gauge", "Which hormesis this is.");
    page.line(format_args!(
        "hormesis_build_info{{version=\"{version}\"}} 1"
    ));
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        let help = "Number of open file descriptors.";
        page.head("process_open_fds", "gauge", help);
        // The one that lists them is among them.
        page.line(format_args!("process_open_fds {}", entries.count() - 1));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let sizes = [
        (
            "VmRSS:",
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            1024,
        ),
        (
            "VmSize:",
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            1024,
        ),
        ("Threads:", "process_threads", "Number of threads.", 1),
    ];
    for (key, name, help, unit) in sizes {
        if let Some(value) = value(key) {
            page.head(name, "gauge", help);
            page.line(format_args!("{name} {}", value * unit));
        }
    }
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let help = "Total user and system CPU time spent in seconds.";
    page.head("process_cpu_seconds_total", "counter", help);
    page.line(format_args!(
        "process_cpu_seconds_total {}.{:02}",
        used.tv_sec,
        used.tv_nsec / 10_000_000
    ));
}
