//! `[listeners.NAME]`: where clients connect, and which upstream serves them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::Protocol;

/// One bound address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Address and port, or `unix:/path/to.sock`.
    pub bind: String,
    /// One of `hormesis protocols`. Absent: what the upstream's scheme says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Protocol>")]
    pub protocol: Option<String>,
    /// The name of an upstream: where calls go that no route takes.
    pub upstream: String,
    /// Ends the clients' TLS here. Absent: what comes is plain, or passes through unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTlsConfig>,
    /// Every connection begins with a line of the PROXY protocol (v1 or v2), which tells the
    /// client's address: only for listeners that nobody but a load balancer can reach.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The first that matches takes the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteConfig>,
    /// Leaves the header `x-hormesis-origin` out of answers.
    #[serde(default)]
    pub hide_origin: bool,
    /// What requests are refused for. Either way a message that two readers could frame in two ways
    /// is.
    #[serde(default)]
    pub profile: ProfileConfig,
    /// What requests tell the upstream of the way that they came. Nothing by default: a sidecar is
    /// not seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwarded: Vec<ForwardedConfig>,
    /// What is read of calls that no rule touches.
    #[serde(default)]
    pub observe: Vec<ObserveConfig>,
}

/// How strictly requests are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileConfig {
    /// As RFC 9112 lets a server read them.
    #[default]
    Standard,
    /// Lines that end with a bare LF, a repeated Content-Length and underscores in header names are
    /// answered with 400 too.
    Strict,
}

/// A header that tells of the way a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedConfig {
    /// `Via`, in requests and answers (RFC 9110 §7.6.3).
    Via,
    /// `X-Forwarded-For` gains the client's address; `X-Forwarded-Proto` and `X-Forwarded-Host` are
    /// added where the client did not send them.
    XForwarded,
}

/// TLS of a listener. All files are PEM, and are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTlsConfig {
    /// The certificate, with its chain behind it. Of several, the first is shown where the client
    /// names no host.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// More certificates: each is shown for the hosts that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certs: Vec<CertConfig>,
    /// Certificates of the authorities that clients' certificates must be signed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client must show a certificate, where there is a `client_ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuthConfig>,
}

/// A certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertConfig {
    /// The certificate, with its chain behind it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What clients prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuthConfig {
    /// A client without a certificate is let in too.
    Optional,
    /// The default where there is a `client_ca`.
    Required,
}

/// Sends some of a listener's calls elsewhere. All that is given must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// The host that the client named, without its port; `*.example.com` for all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The host that the client named in its TLS handshake; `*.example.com` for all below. On a
    /// `tcp` listener without `tls` the handshake is read and passed on, and is not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// A glob on the path: `*` within a segment, `**` across, `{a,b}` for either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Header names and the exact values they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The name of an upstream.
    pub upstream: String,
    /// In place of the listener's protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Protocol>")]
    pub protocol: Option<String>,
}

/// Something that is read of passing calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObserveConfig {
    /// The model that the request names.
    Model,
    /// Token counts that the answer reports.
    Tokens,
    /// When units of a streamed answer pass.
    UnitTimes,
}
