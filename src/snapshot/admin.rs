//! Who may ask the admin API, and for what. Secrets are kept as their digests.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::tls::ServerTls;

/// The admin listener, as configured.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    pub bind: AdminBind,
    /// Where changes and refusals are told; absent: beside the halt, where there is a `state_dir`.
    pub audit: Option<PathBuf>,
    /// The configured file whose token may do most: where the command line on this machine looks.
    pub token_file: Option<PathBuf>,
    /// A reload changes it.
    pub access: Arc<AdminAccess>,
}

/// Where the admin listener answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminBind {
    Off,
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl AdminBind {
    /// Where other machines could reach it.
    pub fn exposed(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) if !address.ip().to_canonical().is_loopback() => Some(*address),
            _ => None,
        }
    }
}

/// What the admin listener asks of who asks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminAccess {
    pub tokens: Vec<Token>,
    pub clients: Vec<ClientName>,
    /// Names, lower-case, that the listener answers to beside addresses; with or without a port.
    pub hosts: Vec<String>,
    pub tls: Option<ServerTls>,
    /// Whether clients' certificates are asked for.
    pub asks_certificates: bool,
}

/// What keeps an admin listener from being bound where other machines reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exposed {
    #[error(
        "the admin listener would be reachable from other machines at {0} in plain text, tokens included"
    )]
    Plain(SocketAddr),
    #[error(
        "the admin listener would be reachable from other machines at {0}, and nothing says who may ask"
    )]
    Anybody(SocketAddr),
}

impl Exposed {
    /// What to do about it.
    pub fn help(self) -> String {
        let (Self::Plain(address) | Self::Anybody(address)) = self;
        let stay = format!(
            "or stay on this machine: \"127.0.0.1:{}\", \"unix:/run/hormesis/admin.sock\"; health checks from outside go to [health]",
            address.port()
        );
        let need = match self {
            Self::Plain(_) => {
                "add `[admin] tls = { cert = \"admin.pem\", key = \"admin.key\" }` and `tokens`"
            }
            Self::Anybody(_) => {
                "add `[admin] tokens = [{ file = \"ops.token\", scopes = [\"read\", \"halt\"] }]`, or `clients` with `tls.client_ca`"
            }
        };
        format!("{need}, {stay}")
    }
}

impl AdminSettings {
    /// # Errors
    /// Where other machines could reach the listener in plain text, or without a proof of who asks.
    pub fn check_exposure(&self) -> Result<(), Exposed> {
        let Some(address) = self.bind.exposed() else {
            return Ok(());
        };
        let access = &self.access;
        if access.tls.is_none() {
            return Err(Exposed::Plain(address));
        }
        let by_certificate = access.asks_certificates && !access.clients.is_empty();
        if access.tokens.is_empty() && !by_certificate {
            return Err(Exposed::Anybody(address));
        }
        Ok(())
    }
}

/// What a route does, and so what a caller must be allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Tells nothing of faults: anybody may ask.
    Open,
    /// Tells what is configured and what happened.
    Read,
    /// Stops faults, and can do nothing else.
    Halt,
    /// Starts, changes and ends faults.
    Write,
    /// Puts another configuration in force.
    Config,
}

impl Scope {
    /// Those that are granted to somebody.
    pub const GRANTED: [Self; 4] = [Self::Read, Self::Halt, Self::Write, Self::Config];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Halt => "halt",
            Self::Write => "write",
            Self::Config => "config",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes. None holds another: who may write may not read by that alone.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    pub const fn of(scopes: &[Scope]) -> Self {
        let mut bits = 0;
        let mut rest = scopes;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    pub const ALL: Self = Self::of(&[
        Scope::Open,
        Scope::Read,
        Scope::Halt,
        Scope::Write,
        Scope::Config,
    ]);

    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Scope::GRANTED.into_iter().filter(|it| self.has(*it));
        f.debug_set().entries(named.map(Scope::name)).finish()
    }
}

/// A secret that whoever knows it may do something by.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Who it is for: told in the audit log.
    pub name: Arc<str>,
    pub scopes: Scopes,
    digest: [u8; 32],
}

impl Token {
    pub fn new(name: &str, secret: &[u8], scopes: Scopes) -> Self {
        Self {
            name: name.into(),
            scopes,
            digest: Sha256::digest(secret).into(),
        }
    }

    /// The token whose digest this is. Each one is looked at, and each comparison takes the same
    /// time, so that an answer's time tells nothing of a secret.
    pub fn find<'t>(tokens: impl Iterator<Item = &'t Self>, given: &[u8]) -> Option<&'t Self> {
        let given: [u8; 32] = Sha256::digest(given).into();
        let mut found = None;
        for token in tokens {
            let same: Choice = token.digest.ct_eq(&given);
            if bool::from(same) {
                found = Some(token);
            }
        }
        found
    }

    /// Whether two tokens are the same secret.
    pub fn is_same_secret(&self, other: &Self) -> bool {
        self.digest.ct_eq(&other.digest).into()
    }
}

/// Even of the digest nothing is shown.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A name in clients' certificates, and what its bearer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName {
    pub name: Arc<str>,
    pub scopes: Scopes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_hold_what_they_were_given_and_no_other() {
        let scopes = Scopes::of(&[Scope::Read, Scope::Halt]);
        for scope in Scope::GRANTED {
            let given = matches!(scope, Scope::Read | Scope::Halt);
            assert_eq!(scopes.has(scope), given, "{scope:?}");
            assert!(Scopes::ALL.has(scope));
            assert!(!Scopes::default().has(scope));
        }
        let more = scopes.and(Scopes::of(&[Scope::Write]));
        assert!(more.has(Scope::Write) && more.has(Scope::Read) && !more.has(Scope::Config));
        assert_eq!(format!("{scopes:?}"), r#"{"read", "halt"}"#);
    }

    #[test]
    fn a_token_is_found_by_its_secret_and_shows_nothing_of_it() {
        let tokens = [
            Token::new("one", b"first secret", Scopes::of(&[Scope::Read])),
            Token::new("two", b"second secret", Scopes::of(&[Scope::Write])),
        ];
        let find = |given: &[u8]| Token::find(tokens.iter(), given).map(|it| &*it.name);
        assert_eq!(find(b"first secret"), Some("one"));
        assert_eq!(find(b"second secret"), Some("two"));
        for wrong in [&b""[..], b"first secre", b"first secret ", b"First secret"] {
            assert_eq!(find(wrong), None);
        }
        let shown = format!("{:?}", tokens[0]);
        assert_eq!(shown, r#"Token { name: "one", scopes: {"read"}, .. }"#);
    }

    #[test]
    fn only_an_address_of_loopback_is_not_exposed() {
        let of = |bind: &str| AdminBind::Tcp(bind.parse().unwrap()).exposed();
        for here in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(of(here), None, "{here}");
        }
        for beyond in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            assert!(of(beyond).is_some(), "{beyond}");
        }
        assert_eq!(AdminBind::Off.exposed(), None);
        assert_eq!(AdminBind::Unix("/a".into()).exposed(), None);
    }
}
