//! A client of the admin API, for commands and whoever else asks a sidecar: over TCP, TLS or a
//! unix socket, a connection a request, every answer within a time.

mod address;
mod connect;
mod events;
mod line;
mod token;
pub mod told;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

pub use address::{Address, AddressError};
pub use events::{Event, Events};
pub use token::FindToken;

use line::Line;
use token::Token;

use crate::tls::ClientTls;

/// A larger answer is none of the admin API's.
const MOST_BYTES: usize = 64 << 20;

/// Asks one sidecar.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    tls: Option<ClientTls>,
    token: Token,
    /// How long an answer may take, the connection included.
    patience: Duration,
}

/// Why there is no answer, or what the answer is.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("nothing answers at {address}: {source}")]
    Unreachable {
        address: Address,
        source: std::io::Error,
    },
    #[error("{address} did not answer within {}", humantime::format_duration(*.after))]
    Silent { address: Address, after: Duration },
    /// What answers is no admin API.
    #[error("{address} is no admin API: {why}")]
    Foreign { address: Address, why: String },
    /// An answer of the admin API that says no.
    #[error("{}", .0.error)]
    Refused(Refused),
    /// A question that cannot be written down.
    #[error("{0}")]
    Unwritable(String),
}

/// What the admin API says where it says no.
#[derive(Clone, Debug)]
pub struct Refused {
    pub status: StatusCode,
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub help: Option<String>,
    /// Each mistake, where a rule or a configuration has several.
    pub problems: Vec<RefusedProblem>,
}

/// One mistake in what was sent.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct RefusedProblem {
    pub message: String,
    #[serde(default)]
    pub help: Option<String>,
    /// Where: a path from the rule on, or a place in a file.
    #[serde(default)]
    pub at: Option<String>,
}

/// The head of an answer, and the line that it comes on.
type Begun = (Line, http::Response<hyper::body::Incoming>);

/// A whole answer, whatever it says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Client {
    pub fn new(address: Address, patience: Duration) -> Self {
        Self {
            address,
            tls: None,
            token: Token::default(),
            patience,
        }
    }

    /// Speaks TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Shows a token with every request; `from` says where it is from, for messages.
    ///
    /// # Errors
    /// Where the token has characters that no header can carry.
    pub fn with_token(
        mut self,
        token: &str,
        from: impl Into<String>,
    ) -> Result<Self, header::InvalidHeaderValue> {
        self.token = Token::named(token, from.into())?;
        Ok(self)
    }

    /// Shows the token that is found where the sidecar leaves it. It is looked for again when it is
    /// refused; what may need none is asked without it then.
    #[must_use]
    pub fn with_found_token(mut self, find: FindToken) -> Self {
        self.token = Token::found(find);
        self
    }

    /// Where the token is from that was named and refused, where a halt was done without it.
    pub fn left_token_out(&self) -> Option<&str> {
        self.token.left_out()
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// # Errors
    /// As [`ClientError`] tells.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(self.request(Method::GET, path, None)?).await
    }

    /// # Errors
    /// As [`ClientError`] tells.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        self.ask(self.request(Method::POST, path, body)?).await
    }

    /// Puts `body` there; with `fresh` only where nothing is there yet.
    ///
    /// # Errors
    /// As [`ClientError`] tells.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        fresh: bool,
    ) -> Result<T, ClientError> {
        let mut request = self.request(Method::PUT, path, Some(body))?;
        if fresh {
            let any = HeaderValue::from_static("*");
            request.headers_mut().insert(header::IF_NONE_MATCH, any);
        }
        self.ask(request).await
    }

    /// # Errors
    /// As [`ClientError`] tells.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let answer = self
            .exchange(self.request(Method::DELETE, path, None)?)
            .await?;
        self.accept(&answer)
    }

    /// An answer as text, such as `/metrics`.
    ///
    /// # Errors
    /// As [`ClientError`] tells.
    pub async fn text(&self, path: &str) -> Result<String, ClientError> {
        let answer = self.raw(path).await?;
        self.accept(&answer)?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// An answer as it comes, also one that says no.
    ///
    /// # Errors
    /// As [`ClientError`] tells, but never [`ClientError::Refused`].
    pub async fn raw(&self, path: &str) -> Result<Answer, ClientError> {
        self.exchange(self.request(Method::GET, path, None)?).await
    }

    /// Events as they happen, until the sidecar ends.
    ///
    /// # Errors
    /// As [`ClientError`] tells.
    pub async fn events(&self, path: &str) -> Result<Events, ClientError> {
        let request = self.request(Method::GET, path, None)?;
        let opened = async {
            let (mut line, response) = self.begin(request).await?;
            if response.status().is_success() {
                return Ok(Events::new(line, response.into_body()));
            }
            let answer = self.collect(&mut line, response).await?;
            self.accept(&answer)?;
            Err(self.foreign("it does not stream"))
        };
        self.in_time(opened).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<T, ClientError> {
        let answer = self.exchange(request).await?;
        self.accept(&answer)?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.foreign(format!("its answer is not understood: {error}")))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.host())
            .header(header::CONNECTION, "close");
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        request
            .body(Full::new(bytes))
            .map_err(|error| ClientError::Unwritable(format!("{path:?} cannot be asked: {error}")))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        self.in_time(async {
            let (mut line, response) = self.begin(request).await?;
            self.collect(&mut line, response).await
        })
        .await
    }

    /// Sends a request until its token is not refused, or there is no other way.
    async fn begin(&self, request: Request<Full<Bytes>>) -> Result<Begun, ClientError> {
        let shown = self.token.shown();
        let refused = self.send(&request, shown.as_ref()).await?;
        if refused.1.status() != StatusCode::UNAUTHORIZED {
            return Ok(refused);
        }
        if let Some(other) = self.token.other_than(shown.as_ref()) {
            let begun = self.send(&request, Some(&other)).await?;
            if begun.1.status() != StatusCode::UNAUTHORIZED {
                self.token.show(Some(other));
                return Ok(begun);
            }
        }
        if shown.is_some() && self.token.may_be_left_out(&request) {
            let begun = self.send(&request, None).await?;
            if begun.1.status() != StatusCode::UNAUTHORIZED {
                self.token.leave_out();
                return Ok(begun);
            }
        }
        Ok(refused)
    }

    async fn send(
        &self,
        request: &Request<Full<Bytes>>,
        token: Option<&HeaderValue>,
    ) -> Result<Begun, ClientError> {
        let mut request = request.clone();
        if let Some(token) = token {
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        let mut line = self.open().await?;
        let sent = line.send(request).await;
        let response = sent.map_err(|error| self.foreign(error))?;
        Ok((line, response))
    }

    async fn open(&self) -> Result<Line, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            address: self.address.clone(),
            source,
        };
        let io = connect::connect(&self.address, self.tls.as_ref()).await;
        Line::open(io.map_err(unreachable)?)
            .await
            .map_err(|error| self.foreign(error))
    }

    async fn collect(
        &self,
        line: &mut Line,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Answer, ClientError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect();
        let body = line
            .drive(body)
            .await
            .map_err(|error| self.foreign(error))?;
        Ok(Answer {
            status,
            body: body.to_bytes(),
        })
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let answered = timeout(self.patience, asked).await;
        answered.unwrap_or_else(|_| {
            Err(ClientError::Silent {
                address: self.address.clone(),
                after: self.patience,
            })
        })
    }

    /// An answer that says no is an error.
    fn accept(&self, answer: &Answer) -> Result<(), ClientError> {
        #[derive(serde::Deserialize)]
        struct Told {
            error: String,
            help: Option<String>,
            #[serde(default)]
            problems: Vec<RefusedProblem>,
        }
        if answer.status.is_success() {
            return Ok(());
        }
        let told = serde_json::from_slice::<Told>(&answer.body)
            .map_err(|_| self.foreign(format!("it answers with status {}", answer.status)))?;
        let named = self.token.name();
        let named = named.filter(|_| answer.status == StatusCode::UNAUTHORIZED);
        Err(ClientError::Refused(Refused {
            status: answer.status,
            error: named.map_or(told.error, |from| {
                format!("the token in {from} is not a right one")
            }),
            help: told.help,
            problems: told.problems,
        }))
    }

    fn foreign(&self, why: impl std::fmt::Display) -> ClientError {
        ClientError::Foreign {
            address: self.address.clone(),
            why: why.to_string(),
        }
    }
}

impl ClientError {
    /// The status, where the admin API answered with one that says no.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refused) => Some(refused.status),
            _ => None,
        }
    }
}

/// A value as one segment of a path or one value of a query.
pub fn escaped(text: &str) -> impl std::fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests;
