//! Configuration files: serde structs, one file a section. All problems of all files are told at
//! once, each with its place and the way out; what passes compiles to a [`Snapshot`].
//!
//! [`Snapshot`]: crate::snapshot::Snapshot

mod address;
mod admin;
mod document;
mod energy;
mod expand;
mod files;
mod hint;
mod inputs;
mod json;
mod listener;
mod log;
mod masked;
mod peer_limits;
mod problem;
mod protocols;
mod reference;
mod repair;
mod resolve;
mod rule;
mod safety;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod toxiproxy;
mod traces;
mod tree;
mod trigger;
mod upstream;

pub use address::{AddressError, parse_bind};
pub use admin::{
    AdminConfig, ClientConfig, HealthConfig, ScopeConfig, TokenConfig, TokenError, parse_admin,
    parse_tokens,
};
pub use energy::EnergyConfig;
pub use expand::Environment;
pub use files::{inline, is_stdin, load, read_sources, toxiproxy};
pub use inputs::Inputs;
pub use listener::{
    CertConfig, ClientAuthConfig, ForwardedConfig, ListenerConfig, ListenerTlsConfig,
    ObserveConfig, ProfileConfig, RouteConfig,
};
pub use log::{Decisions, LogConfig};
pub use masked::{MASK, mask, masked};
pub use peer_limits::PeerLimitsConfig;
pub use problem::{Place, Problem, Problems, Severity};
pub use reference::reference;
pub use resolve::{LiveRule, Resolved, read_rule, resolve};
pub use rule::{KeyConfig, LimitsConfig, NthConfig, RuleConfig, ScheduleConfig};
pub use safety::SafetyConfig;
pub use schema::{Config, schema};
pub use source::Source;
pub use toxiproxy::ToxiproxyConfig;
pub use traces::TracesConfig;
pub use trigger::{CallerConfig, TriggerConfig};
pub use upstream::{UpstreamConfig, UpstreamEnergyConfig, UpstreamHttpConfig, UpstreamTlsConfig};
