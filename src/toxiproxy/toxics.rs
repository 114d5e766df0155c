//! What is asked of toxics.

use http::StatusCode;

use crate::control::ProxyView;
use crate::toxic::{Direction, Toxic};

use super::answer::{Answer, ApiError};
use super::api::{Api, Streams};
use super::json::{Decoder, Kind, Place, Tape, Value, Writer, is_field};
use super::kinds;
use super::proxies::in_order;

/// How Go writes the type that an update is read into.
const UPDATE: &str = r#"struct { Attributes interface {} "json:\"attributes\""; Toxicity float32 "json:\"toxicity\"" }"#;

/// A toxic as the body of its creation tells it, without its attributes: what those are its type
/// says.
struct Input {
    name: String,
    type_name: String,
    stream: String,
    toxicity: f32,
}

impl Input {
    fn read(body: Value<'_>) -> Result<Self, ApiError> {
        let mut input = Self {
            name: String::new(),
            type_name: String::new(),
            stream: Direction::Downstream.as_str().to_owned(),
            toxicity: 1.0,
        };
        let mut decoder = Decoder::default();
        for (key, value) in decoder.object(body, Place::Value, "toxics.ToxicWrapper") {
            let place = |path| Place::Field {
                of: "ToxicWrapper",
                path,
            };
            if is_field(&key, "attributes") {
                if !matches!(value.kind(), Kind::Null | Kind::Object) {
                    decoder.mismatch(value, place("attributes"), "toxics.NoopToxic");
                }
            } else if is_field(&key, "name") {
                decoder.string(&mut input.name, value, place("name"));
            } else if is_field(&key, "type") {
                decoder.string(&mut input.type_name, value, place("type"));
            } else if is_field(&key, "stream") {
                decoder.string(&mut input.stream, value, place("stream"));
            } else if is_field(&key, "toxicity") {
                decoder.float(&mut input.toxicity, value, place("toxicity"));
            }
        }
        decoder.finish().map_err(|why| ApiError::bad_body(&why))?;
        Ok(input)
    }

    fn direction(&self) -> Option<Direction> {
        let stream = self.stream.to_lowercase();
        Direction::ALL
            .into_iter()
            .find(|direction| direction.as_str() == stream)
    }
}

impl Api {
    pub(super) fn list_toxics(&self, proxy: &str) -> Result<Answer, ApiError> {
        let proxy = self.proxy(proxy)?;
        let mut writer = Writer::default();
        let streams = self.toxics_lock();
        writer.array(in_order(&proxy.toxics), |writer, toxic| {
            write_toxic(writer, &proxy.name, toxic, &streams);
        });
        Ok(Answer::json(StatusCode::OK, writer.into_text()))
    }

    pub(super) fn show_toxic(&self, proxy: &str, toxic: &str) -> Result<Answer, ApiError> {
        let view = self.proxy(proxy)?;
        Ok(told(proxy, find(&view, toxic)?, &self.toxics_lock()))
    }

    /// The checks come in Toxiproxy's order, since a body may fail several of them.
    pub(super) fn create_toxic(&self, proxy: &str, body: &[u8]) -> Result<Answer, ApiError> {
        let mut streams = self.toxics_lock();
        let view = self.proxy(proxy)?;
        let tape = Tape::read(body).map_err(|why| ApiError::bad_body(&why))?;
        let input = Input::read(tape.root())?;
        let refused = |text| ApiError::new(StatusCode::BAD_REQUEST, text);
        let direction = input
            .direction()
            .ok_or_else(|| refused("stream was invalid, can be either upstream or downstream"))?;
        let name = if input.name.is_empty() {
            format!("{}_{}", input.type_name, input.stream)
        } else {
            input.name.clone()
        };
        let kind = kinds::of_type(&input.type_name).ok_or_else(|| refused("invalid toxic type"))?;
        if find(&view, &name).is_ok() {
            return Err(crate::control::ProxyError::ToxicExists.into());
        }
        let mut decoder = Decoder::default();
        let kind = merge_attributes(kind, tape.root(), &mut decoder);
        decoder.finish().map_err(|why| ApiError::bad_body(&why))?;
        kinds::check(kind).map_err(|why| ApiError::bad_body(&why))?;
        let toxic = self.handle().add_toxic(
            proxy,
            Toxic {
                name: name.as_str().into(),
                kind,
                direction,
                toxicity: input.toxicity,
            },
        )?;
        let key = (proxy.to_owned(), name);
        if input.stream == direction.as_str() {
            streams.remove(&key);
        } else {
            streams.insert(key, input.stream);
        }
        Ok(told(proxy, &toxic, &streams))
    }

    pub(super) fn update_toxic(
        &self,
        proxy: &str,
        toxic: &str,
        body: &[u8],
    ) -> Result<Answer, ApiError> {
        let streams = self.toxics_lock();
        let view = self.proxy(proxy)?;
        let current = find(&view, toxic)?;
        let tape = Tape::read(body).map_err(|why| ApiError::bad_body(&why))?;
        let mut decoder = Decoder::default();
        let mut toxicity = current.toxicity;
        for (key, value) in decoder.object(tape.root(), Place::Value, UPDATE) {
            if is_field(&key, "toxicity") {
                let place = Place::Field {
                    of: "",
                    path: "toxicity",
                };
                decoder.float(&mut toxicity, value, place);
            }
        }
        let kind = merge_attributes(current.kind, tape.root(), &mut decoder);
        decoder.finish().map_err(|why| ApiError::bad_body(&why))?;
        kinds::check(kind).map_err(|why| ApiError::bad_body(&why))?;
        let toxic = self.handle().update_toxic(proxy, toxic, kind, toxicity)?;
        Ok(told(proxy, &toxic, &streams))
    }

    pub(super) fn delete_toxic(&self, proxy: &str, toxic: &str) -> Result<Answer, ApiError> {
        let mut streams = self.toxics_lock();
        self.handle().remove_toxic(proxy, toxic)?;
        streams.remove(&(proxy.to_owned(), toxic.to_owned()));
        Ok(Answer::nothing())
    }

    /// Forgets what was said of toxics that are gone.
    pub(super) fn forget_streams(&self) {
        let mut streams = self.toxics_lock();
        if streams.is_empty() {
            return;
        }
        let proxies = self.handle().proxies();
        streams.retain(|(proxy, toxic), _| {
            let mut named = proxies.iter().filter(|it| it.name == *proxy);
            named.any(|it| find(it, toxic).is_ok())
        });
    }
}

/// Reads each `attributes` of a body over those that there are.
fn merge_attributes(
    mut kind: crate::toxic::ToxicKind,
    body: Value<'_>,
    decoder: &mut Decoder,
) -> crate::toxic::ToxicKind {
    if body.kind() != Kind::Object {
        return kind;
    }
    let place = Place::Field {
        of: "",
        path: "attributes",
    };
    for (key, value) in decoder.object(body, Place::Value, "") {
        if is_field(&key, "attributes") {
            kind = kinds::merge(kind, value, place, decoder);
        }
    }
    kind
}

fn find<'p>(proxy: &'p ProxyView, toxic: &str) -> Result<&'p Toxic, ApiError> {
    let mut toxics = proxy.toxics.iter();
    toxics
        .find(|it| *it.name == *toxic)
        .ok_or_else(ApiError::toxic_not_found)
}

fn told(proxy: &str, toxic: &Toxic, streams: &Streams) -> Answer {
    let mut writer = Writer::default();
    write_toxic(&mut writer, proxy, toxic, streams);
    Answer::json(StatusCode::OK, writer.into_text())
}

pub(super) fn write_toxic(writer: &mut Writer, proxy: &str, toxic: &Toxic, streams: &Streams) {
    let sent = if streams.is_empty() {
        None
    } else {
        streams.get(&(proxy.to_owned(), toxic.name.to_string()))
    };
    let stream = sent.map_or(toxic.direction.as_str(), String::as_str);
    writer.raw("{\"attributes\":");
    kinds::write(toxic.kind, writer);
    writer.raw(",\"name\":").string(&toxic.name);
    writer.raw(",\"type\":").string(toxic.kind.name());
    writer.raw(",\"stream\":").string(stream);
    writer.raw(",\"toxicity\":").float(toxic.toxicity);
    writer.raw("}");
}
