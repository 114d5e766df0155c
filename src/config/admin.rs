//! `[admin]` and `[health]`: where the sidecar itself is asked and told, and by whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ListenerTlsConfig;
use super::address::{AddressError, parse_bind};
use crate::snapshot::{AdminBind, Bind, Scope, Scopes};

/// The admin listener: status, metrics, rules, halt and resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// A loopback address, `unix:/path/to.sock`, or `off`. An address that other machines reach
    /// needs `tls`, and `tokens` or `clients`.
    pub bind: String,
    /// Who may do what, by a secret. Absent: a token is made at start, and written where the
    /// command line finds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenConfig>,
    /// TLS, as of a listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTlsConfig>,
    /// Who may do what, by the certificate that `tls.client_ca` has signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientConfig>,
    /// Names that the listener is asked under, beside addresses and `localhost`: a browser that
    /// was led here under another is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Every change and every refusal, as JSON Lines of which each holds the digest of the one
    /// before. Absent: `audit.jsonl` in `state_dir`, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<PathBuf>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:9901".into(),
            tokens: Vec::new(),
            tls: None,
            clients: Vec::new(),
            hosts: Vec::new(),
            audit: None,
        }
    }
}

/// A secret, sent as `Authorization: Bearer …`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Holds the token on a line of its own, or two while the old one is replaced: both are valid.
    /// Read again when it changes. `openssl rand -hex 32` makes one.
    pub file: PathBuf,
    /// What its bearer may do.
    pub scopes: Vec<ScopeConfig>,
    /// Who it is for, as the audit log tells it. Absent: the name of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The bearer of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// A DNS name, URI or e-mail address that the certificate is for; of one that is for none, the
    /// common name of its subject.
    pub name: String,
    /// What its bearer may do.
    pub scopes: Vec<ScopeConfig>,
}

/// What somebody may do. None holds another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeConfig {
    /// Read everything.
    Read,
    /// Halt: end every fault, and nothing else.
    Halt,
    /// Start, change and end rules, and resume.
    Write,
    /// Have the configuration read again.
    Config,
}

impl From<ScopeConfig> for Scope {
    fn from(config: ScopeConfig) -> Self {
        match config {
            ScopeConfig::Read => Self::Read,
            ScopeConfig::Halt => Self::Halt,
            ScopeConfig::Write => Self::Write,
            ScopeConfig::Config => Self::Config,
        }
    }
}

pub(super) fn scopes(configs: &[ScopeConfig]) -> Scopes {
    let each = configs.iter().map(|it| Scopes::of(&[(*it).into()]));
    each.fold(Scopes::default(), Scopes::and)
}

/// A listener for container health checks: `/healthz`, `/readyz` and `/metrics`, no detail of
/// faults. Without this section there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// Address and port, such as `0.0.0.0:9902`.
    pub bind: String,
}

/// Reads where the admin listener is bound. Whether it may be is [`AdminSettings::check_exposure`]'s.
///
/// [`AdminSettings::check_exposure`]: crate::snapshot::AdminSettings::check_exposure
pub fn parse_admin(text: &str) -> Result<AdminBind, AddressError> {
    if text == "off" {
        return Ok(AdminBind::Off);
    }
    Ok(match parse_bind(text)? {
        Bind::Unix(path) => AdminBind::Unix(path),
        Bind::Tcp(address) => AdminBind::Tcp(address),
    })
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

/// Why a token file is of no use. No message holds what the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("holds no token")]
    Empty,
    #[error("holds more than two tokens")]
    TooMany,
    #[error("holds a character that no token has: letters, digits and -._~+/= are allowed")]
    Character,
    #[error("holds a token that can be guessed: 128 random bits are the least")]
    Weak,
}

/// The tokens of a file: one on a line, or two. Blank lines and those that begin with `#` are none.
pub fn parse_tokens(text: &str) -> Result<Vec<&str>, TokenError> {
    let lines = text.lines().map(str::trim);
    let tokens: Vec<&str> = lines
        .filter(|it| !it.is_empty() && !it.starts_with('#'))
        .collect();
    match tokens.len() {
        0 => return Err(TokenError::Empty),
        1 | 2 => {}
        _ => return Err(TokenError::TooMany),
    }
    // RFC 6750 §2.1.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    for token in &tokens {
        if !token.bytes().all(allowed) {
            return Err(TokenError::Character);
        }
        if is_weak(token) {
            return Err(TokenError::Weak);
        }
    }
    Ok(tokens)
}

/// Whether a token holds fewer than 128 bits whatever made it, or repeats itself as nothing random
/// of that length does.
fn is_weak(token: &str) -> bool {
    let all = |of: fn(&u8) -> bool| token.as_bytes().iter().all(of);
    let hex_bits = 4.0;
    let bits_each = if all(u8::is_ascii_digit) {
        10_f64.log2()
    } else if all(u8::is_ascii_hexdigit) {
        hex_bits
    } else {
        6.0
    };
    let length = u32::try_from(token.trim_end_matches('=').len()).unwrap_or(u32::MAX);
    let mut seen = [false; 256];
    for byte in token.bytes() {
        seen[usize::from(byte)] = true;
    }
    let different = seen.iter().filter(|it| **it).count();
    f64::from(length) * bits_each < 128.0 || different < 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_admin_listener_may_be() {
        assert_eq!(parse_admin("off"), Ok(AdminBind::Off));
        for tcp in ["127.0.0.1:1", "[::1]:1", "0.0.0.0:9901"] {
            assert!(matches!(parse_admin(tcp), Ok(AdminBind::Tcp(_))), "{tcp}");
        }
        assert!(matches!(parse_admin("unix:/a"), Ok(AdminBind::Unix(_))));
        assert!(parse_admin("nonsense").is_err());
    }

    #[test]
    fn a_token_file_holds_one_token_or_two_that_nobody_guesses() {
        let hex = "0123456789abcdef0123456789abcdef";
        let base64 = "AbCdEfGhIjKlMnOpQrStUv";
        assert_eq!(parse_tokens(hex), Ok(vec![hex]));
        assert_eq!(
            parse_tokens(&format!("{base64}==\n")),
            Ok(vec![&*format!("{base64}==")])
        );
        let two = format!("# new\n{hex}\n\n # old\n {base64}\r\n");
        assert_eq!(parse_tokens(&two), Ok(vec![hex, base64]));
        for (text, error) in [
            ("", TokenError::Empty),
            ("# only a comment\n", TokenError::Empty),
            (&format!("{hex}\n{hex}\n{hex}"), TokenError::TooMany),
            ("correct horse battery staple again", TokenError::Character),
            (
                "töken-tökentöken-tökentöken-tökentöken",
                TokenError::Character,
            ),
            ("secret", TokenError::Weak),
            ("0123456789abcdef0123456789abcde", TokenError::Weak),
            ("AbCdEfGhIjKlMnOpQrStU", TokenError::Weak),
            ("AbCdEfGhIjKlMnOpQrStU=====", TokenError::Weak),
            ("12345678901234567890123456789012345678", TokenError::Weak),
            (&"changeme".repeat(8), TokenError::Weak),
            (&"a".repeat(64), TokenError::Weak),
        ] {
            assert_eq!(parse_tokens(text), Err(error), "{text}");
        }
        assert!(parse_tokens("123456789012345678901234567890123456789").is_ok());
    }
}
