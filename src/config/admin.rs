//! `[admin]` and `[health]`: where the sidecar itself is asked and told.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{AddressError, parse_bind};
use crate::snapshot::{AdminBind, Bind};

/// The admin listener: status, metrics, halt and resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// A loopback address, `unix:/path/to.sock`, or `off`.
    pub bind: String,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:9901".into(),
        }
    }
}

/// A listener for container health checks: `/healthz`, `/readyz` and `/metrics`, no detail of
/// faults. Without this section there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// Address and port, such as `0.0.0.0:9902`.
    pub bind: String,
}

/// Reads where the admin listener is bound. Whoever reaches it can stop faults and see rules, so
/// it never leaves this machine.
pub fn parse_admin(text: &str) -> Result<AdminBind, AddressError> {
    if text == "off" {
        return Ok(AdminBind::Off);
    }
    match parse_bind(text)? {
        Bind::Unix(path) => Ok(AdminBind::Unix(path)),
        Bind::Tcp(address) if address.ip().is_loopback() => Ok(AdminBind::Tcp(address)),
        Bind::Tcp(address) => Err(AddressError {
            message: format!(
                "the admin listener would be reachable from other machines at {address}"
            ),
            help: format!(
                "bind it to \"127.0.0.1:{}\" or \"unix:/run/hormesis/admin.sock\"; health checks from outside go to [health]",
                address.port()
            ),
        }),
    }
}

pub(super) fn parse_health(text: &str) -> Result<SocketAddr, AddressError> {
    match parse_bind(text)? {
        Bind::Tcp(address) => Ok(address),
        Bind::Unix(_) => Err(AddressError {
            message: "a health check comes over TCP".into(),
            help: "write an address and a port, like \"0.0.0.0:9902\"".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_stays_on_this_machine() {
        assert_eq!(parse_admin("off"), Ok(AdminBind::Off));
        assert!(matches!(parse_admin("127.0.0.1:1"), Ok(AdminBind::Tcp(_))));
        assert!(matches!(parse_admin("[::1]:1"), Ok(AdminBind::Tcp(_))));
        assert!(matches!(parse_admin("unix:/a"), Ok(AdminBind::Unix(_))));
        let error = parse_admin("0.0.0.0:9901").unwrap_err();
        assert!(error.help.contains("127.0.0.1:9901"), "{error:?}");
    }
}
