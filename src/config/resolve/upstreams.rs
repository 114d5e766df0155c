//! Upstreams: endpoints become addresses.

use std::sync::Arc;

use super::tls::Files;
use crate::config::address::{Carried, Kind, parse_endpoint};
use crate::config::document::{Document, Named};
use crate::config::tree::Located;
use crate::config::{Place, Problems, UpstreamConfig, UpstreamHttpConfig};
use crate::energy::UpstreamSource;
use crate::upstream::{Endpoint, HttpVersion, OffLimits, UpstreamSpec};

/// What is known of an upstream; `spec` where its table could be read.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) spec: Option<UpstreamSpec>,
    /// What its endpoints' scheme says, and where that stands.
    pub(super) kind: Option<(Kind, Place)>,
    pub(super) energy: UpstreamSource,
}

impl Upstream {
    /// What it speaks by its scheme, where that is surely no HTTP.
    pub(super) fn speaks(&self) -> Option<&'static str> {
        match &self.kind {
            Some((kind, _)) => match kind.carried {
                Carried::TcpFor(name) => Some(name),
                _ => None,
            },
            None => None,
        }
    }
}

pub(super) fn resolve(
    document: &Document<'_>,
    files: &mut Files,
    problems: &mut Problems,
) -> Vec<Upstream> {
    document
        .upstreams
        .iter()
        .map(|(name, named)| upstream(name, named, files, problems))
        .collect()
}

fn upstream(
    name: &str,
    named: &Named<'_, UpstreamConfig>,
    files: &mut Files,
    problems: &mut Problems,
) -> Upstream {
    let mut upstream = Upstream {
        spec: None,
        kind: None,
        energy: UpstreamSource::default(),
    };
    let Some(located) = &named.table else {
        return upstream;
    };
    let config = &located.value;
    if let Some(energy) = &config.energy {
        upstream.energy.process.clone_from(&energy.process);
    }
    let endpoints = endpoints(located, &mut upstream.kind, problems);
    let http = match upstream.kind {
        Some((kind, _)) => version(located, kind, problems),
        None => HttpVersion::One,
    };
    let tls = match upstream.kind {
        Some((kind, _)) => files.client(located, kind, http, &endpoints, problems),
        None => Ok(None),
    };
    positive(located, "connect_timeout", config.connect_timeout, problems);
    let Ok(tls) = tls else {
        return upstream;
    };
    upstream.spec = Some(UpstreamSpec {
        name: Arc::from(name),
        endpoints,
        tls,
        http,
        connect_timeout: config.connect_timeout.get(),
        idle_timeout: config.idle_timeout.get(),
        max_age: config.max_age.get(),
        off_limits: OffLimits::default(),
    });
    upstream
}

/// What the scheme and the `http` key say together.
fn version(
    located: &Located<'_, UpstreamConfig>,
    kind: Kind,
    problems: &mut Problems,
) -> HttpVersion {
    let asked = located.value.http;
    match kind.carried {
        Carried::Http => match asked {
            Some(UpstreamHttpConfig::One) => HttpVersion::One,
            Some(UpstreamHttpConfig::Two) => HttpVersion::Two,
            None if kind.tls || located.value.tls.is_some() => HttpVersion::Negotiated,
            None => HttpVersion::One,
        },
        Carried::Http2 | Carried::Grpc => {
            if asked == Some(UpstreamHttpConfig::One) {
                let message = "the scheme of the endpoints says HTTP/2";
                let help = "write http:// or https://, or leave `http` out".to_owned();
                located.error(problems, "http", message, help);
            }
            HttpVersion::Two
        }
        Carried::Tcp | Carried::TcpFor(_) => {
            if asked.is_some() {
                let message = "the endpoints carry bytes, not HTTP";
                located.error(problems, "http", message, "leave `http` out".to_owned());
            }
            HttpVersion::One
        }
    }
}

fn endpoints(
    located: &Located<'_, UpstreamConfig>,
    kind: &mut Option<(Kind, Place)>,
    problems: &mut Problems,
) -> Vec<Endpoint> {
    let texts = &located.value.endpoints;
    if texts.is_empty() {
        let help = "write `endpoints = [\"http://127.0.0.1:8000\"]`".to_owned();
        located.error(problems, "endpoints", "an upstream needs an endpoint", help);
    }
    let mut endpoints = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let path = format!("endpoints[{index}]");
        match parse_endpoint(text) {
            Ok((endpoint, own)) => {
                endpoints.push(endpoint);
                match kind {
                    Some((first, _)) if *first != own => {
                        let help = "make it an upstream of its own".to_owned();
                        let message = "the endpoints of one upstream must be of one kind";
                        located.error(problems, &path, message, help);
                    }
                    Some(_) => {}
                    None => *kind = Some((own, located.node.place(&path))),
                }
            }
            Err(error) => located.error(problems, &path, error.message, error.help),
        }
    }
    endpoints
}

/// A time of zero would fail every attempt.
fn positive(
    located: &Located<'_, UpstreamConfig>,
    path: &str,
    value: crate::units::Span,
    problems: &mut Problems,
) {
    if value.get().is_zero() {
        let message = format!("`{path}` is 0, so no connection could be made");
        located.error(problems, path, message, "for example \"5s\"".to_owned());
    }
}
