//! What is asked of proxies.

use http::StatusCode;

use crate::control::{ProxyConfig, ProxyView};
use crate::snapshot::ToxiproxySettings;
use crate::toxic::{Direction, Toxic};

use super::answer::{Answer, ApiError};
use super::api::{Api, Streams};
use super::json::{Decoder, Place, Tape, Value, Writer, is_field};
use super::listen::{is_loopback, split};
use super::toxics::write_toxic;

/// A proxy as a body tells it. Toxics in it are ignored.
#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) enabled: bool,
}

impl Input {
    /// Reads over what is there already: what is not named stays.
    pub(super) fn merge(&mut self, value: Value<'_>, decoder: &mut Decoder, of: &str, whole: &str) {
        for (key, value) in decoder.object(value, Place::Value, whole) {
            let place = |path| Place::Field { of, path };
            if is_field(&key, "name") {
                decoder.string(&mut self.name, value, place("name"));
            } else if is_field(&key, "listen") {
                decoder.string(&mut self.listen, value, place("listen"));
            } else if is_field(&key, "upstream") {
                decoder.string(&mut self.upstream, value, place("upstream"));
            } else if is_field(&key, "enabled") {
                decoder.bool(&mut self.enabled, value, place("enabled"));
            }
        }
    }

    fn read(mut self, body: &[u8]) -> Result<Self, ApiError> {
        let tape = Tape::read(body).map_err(|why| ApiError::bad_body(&why))?;
        let mut decoder = Decoder::default();
        self.merge(tape.root(), &mut decoder, "Proxy", "toxiproxy.Proxy");
        decoder.finish().map_err(|why| ApiError::bad_body(&why))?;
        Ok(self)
    }

    pub(super) fn into_config(self) -> ProxyConfig {
        let Self {
            name,
            listen,
            upstream,
            enabled,
        } = self;
        ProxyConfig {
            name,
            listen,
            upstream,
            enabled,
        }
    }
}

impl Api {
    pub(super) fn list_proxies(&self) -> Answer {
        let mut proxies = self.handle().proxies();
        proxies.sort_by(|a, b| a.name.cmp(&b.name));
        let streams = self.toxics_lock().clone();
        let mut writer = Writer::default();
        writer.raw("{");
        for (index, proxy) in proxies.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            writer.raw(comma).string(&proxy.name).raw(":");
            write_proxy(&mut writer, proxy, &streams);
        }
        writer.raw("}");
        Answer::json(StatusCode::OK, writer.into_text())
    }

    pub(super) fn show_proxy(&self, name: &str) -> Result<Answer, ApiError> {
        let proxy = self.proxy(name)?;
        Ok(self.told(StatusCode::OK, &proxy))
    }

    pub(super) fn create_proxy(&self, body: &[u8]) -> Result<Answer, ApiError> {
        let input = Input {
            enabled: true,
            ..Input::default()
        };
        let input = input.read(body)?;
        if input.name.is_empty() {
            return Err(ApiError::missing("name"));
        }
        if input.upstream.is_empty() {
            return Err(ApiError::missing("upstream"));
        }
        let changing = self.proxies_lock();
        let proxy = self.create(input)?;
        drop(changing);
        Ok(self.told(StatusCode::CREATED, &proxy))
    }

    /// Makes a proxy that is not there yet.
    pub(super) fn create(&self, input: Input) -> Result<ProxyView, ApiError> {
        if self.handle().proxy(&input.name).is_some() {
            return Err(crate::control::ProxyError::Exists.into());
        }
        self.check(&input.listen, &input.upstream)?;
        if input.enabled {
            split(&input.listen).map_err(ApiError::listening)?;
        }
        let created = self.handle().create_proxy(input.into_config());
        created.map_err(|error| ApiError::from(error).listening())
    }

    pub(super) fn update_proxy(&self, name: &str, body: &[u8]) -> Result<Answer, ApiError> {
        let changing = self.proxies_lock();
        let current = self.proxy(name)?;
        let input = Input {
            name: current.name.clone(),
            listen: current.listen.clone(),
            upstream: current.upstream.clone(),
            enabled: current.enabled,
        };
        let input = input.read(body)?;
        split(&input.listen)?;
        self.check(&input.listen, &input.upstream)?;
        let listen = (input.listen != current.listen).then_some(&*input.listen);
        let upstream = (input.upstream != current.upstream).then_some(&*input.upstream);
        let enabled = (input.enabled != current.enabled).then_some(input.enabled);
        let proxy = self
            .handle()
            .update_proxy(name, listen, upstream, enabled)?;
        drop(changing);
        Ok(self.told(StatusCode::OK, &proxy))
    }

    pub(super) fn delete_proxy(&self, name: &str) -> Result<Answer, ApiError> {
        let changing = self.proxies_lock();
        self.handle().delete_proxy(name)?;
        drop(changing);
        self.forget_streams();
        Ok(Answer::nothing())
    }

    pub(super) fn reset(&self) -> Result<Answer, ApiError> {
        let changing = self.proxies_lock();
        let reset = self.handle().reset_proxies();
        drop(changing);
        self.forget_streams();
        reset.map_err(|error| ApiError::from(error).listening())?;
        Ok(Answer::nothing())
    }

    pub(super) fn proxy(&self, name: &str) -> Result<ProxyView, ApiError> {
        self.handle()
            .proxy(name)
            .ok_or_else(ApiError::proxy_not_found)
    }

    fn told(&self, status: StatusCode, proxy: &ProxyView) -> Answer {
        let mut writer = Writer::default();
        write_proxy(&mut writer, proxy, &self.toxics_lock());
        Answer::json(status, writer.into_text())
    }

    /// Whether the configuration allows a proxy between these.
    pub(super) fn check(&self, listen: &str, upstream: &str) -> Result<(), ApiError> {
        let settings: &ToxiproxySettings = self.settings();
        let refused = |text: String| Err(ApiError::new(StatusCode::FORBIDDEN, text));
        if !settings.allows(upstream) {
            return refused(format!(
                "upstream {upstream} is not in allow_upstreams of [toxiproxy]"
            ));
        }
        if self.handle().leads_to_itself(upstream) {
            return refused(format!(
                "upstream {upstream} is where hormesis itself takes orders: no proxy leads there"
            ));
        }
        // What is no address is told later, and bound never.
        if !settings.expose && split(listen).is_ok_and(|(host, _)| !is_loopback(host)) {
            return refused(format!(
                "listen {listen} is not on loopback, and [toxiproxy] has no expose = true"
            ));
        }
        Ok(())
    }
}

pub(super) fn write_proxy(writer: &mut Writer, proxy: &ProxyView, streams: &Streams) {
    writer.raw("{\"name\":").string(&proxy.name);
    writer.raw(",\"listen\":").string(&proxy.listen);
    writer.raw(",\"upstream\":").string(&proxy.upstream);
    writer.raw(",\"enabled\":").bool(proxy.enabled);
    writer.raw(",\"toxics\":");
    writer.array(in_order(&proxy.toxics), |writer, toxic| {
        write_toxic(writer, &proxy.name, toxic, streams);
    });
    writer.raw("}");
}

/// Toxics as they are listed: those towards the server first.
pub(super) fn in_order(toxics: &[Toxic]) -> impl Iterator<Item = &Toxic> {
    let of = |direction| toxics.iter().filter(move |it| it.direction == direction);
    of(Direction::Upstream).chain(of(Direction::Downstream))
}
