//! Listeners and their routes.

use std::sync::Arc;

use super::binds::Binds;
use super::names::Names;
use super::tls::Files;
use super::upstreams::Upstream;
use crate::config::address::{Carried, parse_bind};
use crate::config::document::Document;
use crate::config::hint::unknown_name;
use crate::config::protocols::{self, CARRIED_AS_TCP};
use crate::config::tree::Located;
use crate::config::{ForwardedConfig, ListenerConfig, ObserveConfig, Problems, ProfileConfig};
use crate::rule::PathGlob;
use crate::snapshot::{HeadPolicy, ListenerSpec, Observe, ProtocolSpec, RouteSpec};
use crate::tls::{ALPN_HTTP_1, ALPN_HTTP_2};

/// What all listeners are resolved against.
struct Around<'a> {
    upstreams: &'a [Upstream],
    names: Names<'a>,
}

/// The listeners in the order of the document; `None` where one is wrong.
pub(super) fn resolve(
    document: &Document<'_>,
    upstreams: &[Upstream],
    binds: &mut Binds,
    files: &mut Files,
    problems: &mut Problems,
) -> Vec<Option<ListenerSpec>> {
    let around = Around {
        upstreams,
        names: Names::new(
            "upstream",
            document.upstreams.keys().map(String::as_str),
            document.partial,
        ),
    };
    let mut specs = Vec::with_capacity(document.listeners.len());
    for (name, named) in &document.listeners {
        let spec = named
            .table
            .as_ref()
            .and_then(|located| listener(&around, name, located, binds, files, problems));
        specs.push(spec);
    }
    specs
}

fn listener(
    around: &Around<'_>,
    name: &str,
    located: &Located<'_, ListenerConfig>,
    binds: &mut Binds,
    files: &mut Files,
    problems: &mut Problems,
) -> Option<ListenerSpec> {
    let config = &located.value;
    let bind = match parse_bind(&config.bind) {
        Ok(bind) => {
            let what = format!("listener `{name}`");
            binds.add(bind.clone(), what, located.node.place("bind"), problems);
            Some(bind)
        }
        Err(error) => {
            located.error(problems, "bind", error.message, error.help);
            None
        }
    };
    let upstream = around
        .names
        .index(located, "upstream", &config.upstream, problems);
    let protocol = own_protocol(around, located, upstream, problems);
    let routes: Option<Vec<_>> = (0..config.routes.len())
        .map(|index| route(around, located, index, problems))
        .collect();
    let alpn: &[&[u8]] = match protocol {
        Some(ProtocolSpec::Http(..)) => &[ALPN_HTTP_2, ALPN_HTTP_1],
        Some(ProtocolSpec::Tcp) | None => &[],
    };
    let tls = files.server(located, config.tls.as_ref(), alpn, problems);
    if let Some(protocol) = protocol {
        check_routes(located, protocol, problems);
    }
    let place = located.node.place("bind");
    Some(ListenerSpec {
        name: Arc::from(name),
        bind: bind?,
        place: place.source.place(&place.span),
        protocol: protocol?,
        upstream: upstream?,
        routes: routes?,
        tls: tls.ok()?,
        proxy_protocol: config.proxy_protocol,
        hide_origin: config.hide_origin,
        heads: heads(located, protocol, problems),
        observe: observe(&config.observe),
        state: Arc::default(),
        toxics: None,
    })
}

fn heads(
    located: &Located<'_, ListenerConfig>,
    protocol: Option<ProtocolSpec>,
    problems: &mut Problems,
) -> HeadPolicy {
    let config = &located.value;
    let heads = HeadPolicy {
        strict: config.profile == ProfileConfig::Strict,
        via: config.forwarded.contains(&ForwardedConfig::Via),
        x_forwarded: config.forwarded.contains(&ForwardedConfig::XForwarded),
    };
    if matches!(protocol, Some(ProtocolSpec::Tcp)) {
        for (key, given) in [
            ("profile", heads.strict),
            ("forwarded", heads.via || heads.x_forwarded),
        ] {
            if given {
                let message = "a listener that carries bytes reads no heads";
                let help = format!("leave `{key}` out, or name an HTTP protocol");
                located.error(problems, key, message, help);
            }
        }
    }
    heads
}

/// What the listener speaks: as it says, else as its upstream's scheme does.
fn own_protocol(
    around: &Around<'_>,
    located: &Located<'_, ListenerConfig>,
    upstream: Option<usize>,
    problems: &mut Problems,
) -> Option<ProtocolSpec> {
    let config = &located.value;
    let Some(name) = &config.protocol else {
        return upstream.and_then(|index| implied(&around.upstreams[index], problems));
    };
    let protocol = protocol(located, "protocol", name, problems);
    if let (Some(ProtocolSpec::Http(asked, _)), Some(index)) = (protocol, upstream)
        && let Some(speaks) = around.upstreams[index].speaks()
    {
        let message = format!(
            "upstream `{}` speaks {speaks}, not {asked}",
            config.upstream
        );
        let help = "leave `protocol` out: it is carried as plain bytes".to_owned();
        located.error(problems, "protocol", message, help);
    }
    protocol
}

/// Whether what the routes ask for is there to be asked.
fn check_routes(
    located: &Located<'_, ListenerConfig>,
    protocol: ProtocolSpec,
    problems: &mut Problems,
) {
    for (index, route) in located.value.routes.iter().enumerate() {
        let asks_head = route.host.is_some() || route.path.is_some() || !route.headers.is_empty();
        if matches!(protocol, ProtocolSpec::Tcp) && asks_head {
            let help = "route by `sni`, name the protocol of the listener, or leave the routes out"
                .to_owned();
            let message = "a listener that carries bytes has no host, path or header to route by";
            located.error(problems, "routes", message, help);
        }
        if matches!(protocol, ProtocolSpec::Http(..))
            && route.sni.is_some()
            && located.value.tls.is_none()
        {
            let help = "give the listener `tls`, or route by `host`".to_owned();
            let message = "without TLS no client names a host in its handshake";
            located.error(problems, &format!("routes[{index}].sni"), message, help);
        }
    }
}

/// A protocol by its name.
fn protocol(
    located: &Located<'_, ListenerConfig>,
    path: &str,
    name: &str,
    problems: &mut Problems,
) -> Option<ProtocolSpec> {
    let found = protocols::find(name);
    if found.is_none() {
        let hint = unknown_name("protocol", name, &protocols::names());
        let help = if CARRIED_AS_TCP.contains(&name) {
            Some(format!(
                "this version carries {name} as plain bytes: write `protocol = \"tcp\"`"
            ))
        } else {
            hint.help
        };
        located.error(problems, path, hint.message, help);
    }
    found
}

/// The protocol that the upstream's scheme says.
fn implied(upstream: &Upstream, problems: &mut Problems) -> Option<ProtocolSpec> {
    let (kind, place) = upstream.kind.as_ref()?;
    match kind.carried {
        Carried::Http | Carried::Http2 => protocols::find("http"),
        Carried::Grpc => protocols::find("grpc"),
        Carried::Tcp => Some(ProtocolSpec::Tcp),
        Carried::TcpFor(name) => {
            let message = format!("{name} is carried as plain bytes: a call is a connection");
            let help = format!(
                "this version does not read {name} commands yet; write tcp:// to say so yourself"
            );
            problems.warning(Some(place.clone()), message, help);
            Some(ProtocolSpec::Tcp)
        }
    }
}

fn route(
    around: &Around<'_>,
    located: &Located<'_, ListenerConfig>,
    index: usize,
    problems: &mut Problems,
) -> Option<RouteSpec> {
    let config = located.value.routes.get(index)?;
    let at = |field: &str| format!("routes[{index}].{field}");
    let asks_head = config.host.is_some() || config.path.is_some() || !config.headers.is_empty();
    if !asks_head && config.sni.is_none() {
        let help = "give `host`, `sni`, `path` or `headers`; what no route takes goes to the listener's own upstream".to_owned();
        let message = "a route without a condition takes every call";
        located.error(problems, &format!("routes[{index}]"), message, help);
    }
    let path = match config.path.as_deref().map(PathGlob::new) {
        Some(Ok(glob)) => Some(glob),
        Some(Err(error)) => {
            let help =
                "`*` stands for a segment, `**` for any number, `{a,b}` for either".to_owned();
            located.error(problems, &at("path"), error.to_string(), help);
            None
        }
        None => None,
    };
    let protocol = match &config.protocol {
        Some(name) => Some(protocol(located, &at("protocol"), name, problems)?),
        None => None,
    };
    if matches!(protocol, Some(ProtocolSpec::Tcp)) {
        let help = "give tcp a listener of its own".to_owned();
        located.error(
            problems,
            &at("protocol"),
            "a route cannot turn to tcp",
            help,
        );
    }
    let upstream = around
        .names
        .index(located, &at("upstream"), &config.upstream, problems);
    // Where a listener carries bytes, what is behind it may be any.
    let speaks = upstream.and_then(|index| around.upstreams[index].speaks());
    if let Some(speaks) = speaks.filter(|_| asks_head) {
        let message = format!(
            "upstream `{}` speaks {speaks}: no route leads there",
            config.upstream
        );
        let help = format!("give {speaks} a listener of its own");
        located.error(problems, &at("upstream"), message, help);
    }
    Some(RouteSpec {
        sni: config.sni.as_ref().map(|it| it.to_ascii_lowercase()),
        host: config.host.as_ref().map(|it| it.to_ascii_lowercase()),
        path,
        headers: config
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
        upstream: upstream?,
        protocol,
    })
}

fn observe(wanted: &[ObserveConfig]) -> Observe {
    Observe {
        model: wanted.contains(&ObserveConfig::Model),
        tokens: wanted.contains(&ObserveConfig::Tokens),
        unit_times: wanted.contains(&ObserveConfig::UnitTimes),
    }
}
