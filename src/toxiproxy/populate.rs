//! Many proxies at once, from a request or from the file that `-config` names.

use std::fs;
use std::path::Path;

use http::StatusCode;

use crate::control::{ProxyConfig, ProxyView};

use super::answer::{Answer, ApiError};
use super::api::Api;
use super::json::{Decoder, Place, Tape, Writer};
use super::listen::resolved;
use super::proxies::{Input, write_proxy};

/// How Go writes the type of an element.
const ELEMENT: &str = r#"struct { toxiproxy.Proxy; Enabled *bool "json:\"enabled\"" }"#;

impl Api {
    pub(super) fn populate(&self, body: &[u8]) -> Answer {
        let (proxies, error) = self.add_all(body);
        let mut writer = Writer::default();
        writer.raw("{");
        if let Some(error) = &error {
            error.write(&mut writer);
            writer.raw(",");
        }
        writer.raw("\"proxies\":");
        if proxies.is_empty() {
            writer.raw("null");
        } else {
            let streams = self.toxics_lock();
            writer.array(&proxies, |writer, proxy| {
                write_proxy(writer, proxy, &streams);
            });
        }
        writer.raw("}");
        let status = error.map_or(StatusCode::CREATED, |it| it.status);
        Answer::json(status, writer.into_text())
    }

    /// Makes the proxies of a file. What is wrong with it is logged, and keeps nothing else from
    /// starting.
    pub(super) fn populate_from(&self, file: &Path) {
        let config = file.display();
        let body = match fs::read(file) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%config, %error, "Error reading config file");
                return;
            }
        };
        match self.add_all(&body) {
            (proxies, None) => {
                tracing::info!(proxies = proxies.len(), "Populated proxies from file");
            }
            (_, Some(error)) => {
                let error = error.text;
                tracing::error!(%config, %error, "Failed to populate proxies from file");
            }
        }
    }

    /// Adds or replaces proxies until one fails; tells those that are there then.
    fn add_all(&self, body: &[u8]) -> (Vec<ProxyView>, Option<ApiError>) {
        let inputs = match read(body) {
            Ok(inputs) => inputs,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let changing = self.proxies_lock();
        let mut proxies = Vec::with_capacity(inputs.len());
        let mut failed = None;
        for input in inputs {
            match self.add_or_replace(input) {
                Ok(proxy) => proxies.push(proxy),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(changing);
        self.forget_streams();
        (proxies, failed)
    }

    fn add_or_replace(&self, input: Input) -> Result<ProxyView, ApiError> {
        let Some(existing) = self.handle().proxy(&input.name) else {
            return self.create(input);
        };
        if existing.listen == resolved(&input.listen)? && existing.upstream == input.upstream {
            return Ok(existing);
        }
        // What may not be there must not take the place of what is.
        self.check(&input.listen, &input.upstream)?;
        self.handle().delete_proxy(&existing.name)?;
        let replaced = self.create(input);
        if replaced.is_err() {
            self.put_back(existing);
        }
        replaced
    }

    /// A proxy whose successor cannot be had stays, stopped, with its toxics.
    fn put_back(&self, proxy: ProxyView) {
        let config = ProxyConfig {
            name: proxy.name.clone(),
            listen: proxy.listen,
            upstream: proxy.upstream,
            enabled: false,
        };
        let mut kept = self.handle().create_proxy(config).map(|_| ());
        for toxic in proxy.toxics {
            kept = kept.and_then(|()| self.handle().add_toxic(&proxy.name, toxic).map(|_| ()));
        }
        if let Err(error) = kept {
            tracing::error!(proxy = %proxy.name, %error, "a proxy could be neither replaced nor kept");
        }
    }
}

/// The proxies of an array, all of them valid.
fn read(body: &[u8]) -> Result<Vec<Input>, ApiError> {
    let tape = Tape::read(body).map_err(|why| ApiError::bad_body(&why))?;
    let mut decoder = Decoder::default();
    let whole = format!("[]{ELEMENT}");
    let elements = decoder.array(tape.root(), Place::Value, &whole);
    let mut inputs = Vec::with_capacity(elements.len());
    for element in elements {
        let mut input = Input {
            enabled: true,
            ..Input::default()
        };
        input.merge(element, &mut decoder, "", ELEMENT);
        inputs.push(input);
    }
    decoder.finish().map_err(|why| ApiError::bad_body(&why))?;
    for (index, input) in inputs.iter().enumerate() {
        let number = index + 1;
        if input.name.is_empty() {
            return Err(ApiError::missing(&format!("name at proxy {number}")));
        }
        if input.upstream.is_empty() {
            return Err(ApiError::missing(&format!("upstream at proxy {number}")));
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_valid_before_one_is_made() {
        let error = |body: &str| read(body.as_bytes()).unwrap_err().text;
        assert_eq!(
            error(r#"[{"name":"a","upstream":"b"},{"upstream":"b"}]"#),
            "missing required field: name at proxy 2"
        );
        assert_eq!(
            error(r#"[{"name":"a"}]"#),
            "missing required field: upstream at proxy 1"
        );
        assert_eq!(
            error(r#"[{"name":5}]"#),
            "bad request body: json: cannot unmarshal number into Go struct field .name of type string"
        );
        assert_eq!(
            error("{}"),
            r#"bad request body: json: cannot unmarshal object into Go value of type []struct { toxiproxy.Proxy; Enabled *bool "json:\"enabled\"" }"#
        );
        assert_eq!(error(""), "bad request body: EOF");
        let inputs = read(br#"[{"name":"a","upstream":"b","enabled":null}]"#).unwrap();
        assert!(inputs[0].enabled);
        assert!(read(b"null").unwrap().is_empty());
    }
}
