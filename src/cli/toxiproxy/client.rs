//! The client of the Toxiproxy API that the command line uses, with the messages of the original.

use std::collections::BTreeMap;
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::client::escaped;
use crate::toxiproxy::VERSION;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Proxy {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) enabled: bool,
    #[serde(default)]
    pub(super) toxics: Vec<Toxic>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Toxic {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_name: String,
    #[serde(default)]
    pub(super) stream: String,
    pub(super) toxicity: f32,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct ApiError {
    error: String,
    status: u16,
}

/// Why a request brought nothing: what the user is told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("HTTP {status}: {text}")]
    Api { status: u16, text: String },
    #[error("{0}")]
    NotUnderstood(#[from] serde_json::Error),
    #[error("fail to request: {what}: {why}")]
    NotSent { what: String, why: String },
}

/// The server at one address.
#[derive(Debug)]
pub(super) struct Client {
    url: String,
}

impl Client {
    pub(super) fn new(host: &str) -> Self {
        let named = host.starts_with("http://") || host.starts_with("https://");
        Self {
            url: if named {
                host.to_owned()
            } else {
                format!("http://{host}")
            },
        }
    }

    pub(super) fn proxies(&self) -> Result<BTreeMap<String, Proxy>, ClientError> {
        Ok(serde_json::from_slice(&self.send(
            Method::GET,
            "/proxies",
            None,
        )?)?)
    }

    pub(super) fn proxy(&self, name: &str) -> Result<Proxy, ClientError> {
        let path = format!("/proxies/{}", escaped(name));
        Ok(serde_json::from_slice(&self.send(
            Method::GET,
            &path,
            None,
        )?)?)
    }

    pub(super) fn create(&self, proxy: &Proxy) -> Result<(), ClientError> {
        let body = Some(serde_json::to_value(proxy)?);
        self.send(Method::POST, "/proxies", body).map(drop)
    }

    pub(super) fn save(&self, proxy: &Proxy) -> Result<(), ClientError> {
        let path = format!("/proxies/{}", escaped(&proxy.name));
        let body = Some(serde_json::to_value(proxy)?);
        self.send(Method::POST, &path, body).map(drop)
    }

    pub(super) fn delete(&self, proxy: &str) -> Result<(), ClientError> {
        let path = format!("/proxies/{}", escaped(proxy));
        self.send(Method::DELETE, &path, None).map(drop)
    }

    pub(super) fn add_toxic(&self, proxy: &str, toxic: &Toxic) -> Result<Toxic, ClientError> {
        let path = format!("/proxies/{}/toxics", escaped(proxy));
        let body = Some(serde_json::to_value(toxic)?);
        Ok(serde_json::from_slice(&self.send(
            Method::POST,
            &path,
            body,
        )?)?)
    }

    pub(super) fn update_toxic(
        &self,
        proxy: &str,
        toxic: &str,
        changes: Value,
    ) -> Result<Toxic, ClientError> {
        let path = format!("/proxies/{}/toxics/{}", escaped(proxy), escaped(toxic));
        let answer = self.send(Method::PATCH, &path, Some(changes))?;
        Ok(serde_json::from_slice(&answer)?)
    }

    pub(super) fn remove_toxic(&self, proxy: &str, toxic: &str) -> Result<(), ClientError> {
        let path = format!("/proxies/{}/toxics/{}", escaped(proxy), escaped(toxic));
        self.send(Method::DELETE, &path, None).map(drop)
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Bytes, ClientError> {
        let verb = match method {
            Method::GET => "Get",
            Method::PATCH => "Patch",
            Method::DELETE => "Delete",
            _ => "Post",
        };
        let what = format!("{verb} \"{}{path}\"", self.url);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| not_sent(&what, &error))?;
        let exchange = self.exchange(method, path, body);
        let answered = runtime.block_on(async { timeout(PATIENCE, exchange).await });
        let Ok(answered) = answered else {
            let why = "no answer within 30 s".to_owned();
            return Err(ClientError::NotSent { what, why });
        };
        let (status, answer) = answered.map_err(|why| ClientError::NotSent { what, why })?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let error: ApiError = serde_json::from_slice(&answer).map_err(|_| ClientError::Api {
            status,
            text: String::from_utf8_lossy(&answer).trim().to_owned(),
        })?;
        Err(ClientError::Api {
            status: error.status,
            text: error.error,
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Bytes), String> {
        let rest = self
            .url
            .strip_prefix("http://")
            .ok_or("https is not spoken here: write http://HOST:PORT")?;
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let stream = connect(authority).await?;
        let body = body.map_or(Bytes::new(), |it| it.to_string().into());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", prefix.trim_end_matches('/')))
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, format!("toxiproxy-cli/{VERSION}"))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answered = &mut answer => answered.map_err(|error| error.to_string()),
            // It ends with the last bytes; what they say is still to be taken.
            ended = connection => match ended {
                Ok(()) => answer.await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// Tries each address of a name, as Go does.
async fn connect(authority: &str) -> Result<TcpStream, String> {
    let target = if authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let addresses = target
        .to_socket_addrs()
        .map_err(|error| format!("dial tcp: lookup {target}: {error}"))?;
    let mut failed = format!("dial tcp: lookup {target}: no such host");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = format!("dial tcp {address}: connect: {}", reason(&error)),
        }
    }
    Err(failed)
}

fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase()
}

fn not_sent(what: &str, error: &io::Error) -> ClientError {
    ClientError::NotSent {
        what: what.to_owned(),
        why: error.to_string(),
    }
}
