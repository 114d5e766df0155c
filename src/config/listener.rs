//! `[listeners.NAME]`: where clients connect, and which upstream serves them.

use std::collections::BTreeMap;

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

/// Sends some of a listener's calls elsewhere. All that is given must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// The host that the client named, without its port; `*.example.com` for all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
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
