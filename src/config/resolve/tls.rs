//! Certificates and keys: the files are read and checked here, so that no handshake finds out.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::address::{Carried, Kind};
use crate::config::tree::Located;
use crate::config::{
    ClientAuthConfig, ListenerTlsConfig, Problems, UpstreamConfig, UpstreamTlsConfig,
};
use crate::tls::{
    ALPN_HTTP_1, ALPN_HTTP_2, Authorities, ClientTls, Clients, Identity, MaterialError, ServerTls,
    Trust, server_name,
};
use crate::upstream::{Endpoint, HttpVersion};

/// A larger file holds no certificates: the bundle of all public authorities is a quarter of it.
const MOST_BYTES: u64 = 1 << 20;
/// A certificate that ends within this time is told of.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// A problem was pushed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told;

/// The files that were read, for one resolution of a configuration.
#[derive(Debug, Default)]
pub(super) struct Files {
    watched: Vec<PathBuf>,
    /// Read once, where anyone needs them.
    system: Option<Result<Authorities, MaterialError>>,
}

impl Files {
    pub(super) fn into_watched(mut self) -> Vec<PathBuf> {
        self.watched.sort();
        self.watched.dedup();
        self.watched
    }

    /// The TLS of a listener, which stands under `tls` in its table; `alpn` in the order of
    /// preference.
    pub(super) fn server<T>(
        &mut self,
        located: &Located<'_, T>,
        config: Option<&ListenerTlsConfig>,
        alpn: &[&[u8]],
        problems: &mut Problems,
    ) -> Result<Option<ServerTls>, Told> {
        let Some(config) = config else {
            return Ok(None);
        };
        let own = self.identity(located, "tls", &config.cert, &config.key, problems);
        let mut identities = vec![own];
        for (index, pair) in config.certs.iter().enumerate() {
            let at = format!("tls.certs[{index}]");
            identities.push(self.identity(located, &at, &pair.cert, &pair.key, problems));
        }
        let known = match &config.client_ca {
            Some(path) => self
                .authorities(located, "tls.client_ca", path, problems)
                .map(Some),
            None => Ok(None),
        };
        if config.client_ca.is_none() && config.client_auth.is_some() {
            let help = "name the file of the authorities: `client_ca = \"ca.pem\"`".to_owned();
            let message = "nothing says which client certificates are to be trusted";
            located.error(problems, "tls.client_auth", message, help);
            return Err(Told);
        }
        let identities: Vec<Identity> = identities.into_iter().collect::<Result<_, _>>()?;
        let clients = match (known?, config.client_auth) {
            (None, _) => Clients::Any,
            (Some(known), Some(ClientAuthConfig::Optional)) => Clients::Optional(known),
            (Some(known), Some(ClientAuthConfig::Required) | None) => Clients::Required(known),
        };
        let made = ServerTls::new(&identities, &clients, alpn);
        made.map(Some)
            .map_err(|error| unusable(located, &error, problems))
    }

    /// TLS to an upstream, where its scheme or its table asks for it.
    pub(super) fn client(
        &mut self,
        located: &Located<'_, UpstreamConfig>,
        kind: Kind,
        http: HttpVersion,
        endpoints: &[Endpoint],
        problems: &mut Problems,
    ) -> Result<Option<ClientTls>, Told> {
        let is_unix = |it: &Endpoint| matches!(it, Endpoint::Unix(_));
        let over_unix = endpoints.iter().any(is_unix);
        let default = UpstreamTlsConfig::default();
        let config = match &located.value.tls {
            Some(config) if kind.tls || over_unix => config,
            None if kind.tls => &default,
            Some(_) => {
                let message = "the endpoints are spoken to in plain text";
                let help = "write https://, tls:// or rediss://, or leave `tls` out".to_owned();
                located.error(problems, "tls", message, help);
                return Err(Told);
            }
            None => return Ok(None),
        };
        let identity = self.own_identity(located, config, problems);
        let trust = self.trust(located, config, problems);
        let name = if let Some(name) = &config.server_name {
            let known = server_name(name);
            if known.is_none() {
                let message = format!("{name:?} is neither a DNS name nor an IP address");
                located.error(problems, "tls.server_name", message, None);
                return Err(Told);
            }
            known
        } else {
            askable(located, endpoints, problems)?;
            None
        };
        let alpn: &[&[u8]] = match (kind.carried, http) {
            (Carried::Tcp | Carried::TcpFor(_), _) => &[],
            (_, HttpVersion::One) => &[ALPN_HTTP_1],
            (_, HttpVersion::Two) => &[ALPN_HTTP_2],
            (_, HttpVersion::Negotiated) => &[ALPN_HTTP_2, ALPN_HTTP_1],
        };
        let made = ClientTls::new(&trust?, identity?.as_ref(), name, alpn);
        made.map(Some)
            .map_err(|error| unusable(located, &error, problems))
    }

    /// What an upstream is shown that asks for a certificate.
    fn own_identity(
        &mut self,
        located: &Located<'_, UpstreamConfig>,
        config: &UpstreamTlsConfig,
        problems: &mut Problems,
    ) -> Result<Option<Identity>, Told> {
        match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => self.identity(located, "tls", cert, key, problems).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) => {
                let help = "name the file of its private key: `key = \"client.key\"`".to_owned();
                located.error(problems, "tls.cert", "a certificate needs its key", help);
                Err(Told)
            }
            (None, Some(_)) => {
                let help = "name the file of its certificate: `cert = \"client.pem\"`".to_owned();
                located.error(problems, "tls.key", "a key needs its certificate", help);
                Err(Told)
            }
        }
    }

    fn trust(
        &mut self,
        located: &Located<'_, UpstreamConfig>,
        config: &UpstreamTlsConfig,
        problems: &mut Problems,
    ) -> Result<Trust, Told> {
        if !config.verify {
            let message = "any certificate is taken: whoever sits between here and the upstream can read and change everything";
            let help = "name the upstream's own certificate or its authority as `ca` instead";
            let place = located.node.place("tls.verify");
            problems.warning(Some(place), message.to_owned(), help.to_owned());
            return Ok(Trust::Anything);
        }
        if let Some(path) = &config.ca {
            let known = self.authorities(located, "tls.ca", path, problems);
            return known.map(Trust::Authorities);
        }
        match self.system.get_or_insert_with(Authorities::system) {
            Ok(known) => Ok(Trust::Authorities(known.clone())),
            Err(error) => {
                let help = "name a file of certificates: `tls = { ca = \"ca.pem\" }`".to_owned();
                located.error(problems, "tls", error.to_string(), help);
                Err(Told)
            }
        }
    }

    fn identity<T>(
        &mut self,
        located: &Located<'_, T>,
        at: &str,
        cert: &Path,
        key: &Path,
        problems: &mut Problems,
    ) -> Result<Identity, Told> {
        let (cert_at, key_at) = (format!("{at}.cert"), format!("{at}.key"));
        let chain = self.read(located, &cert_at, cert, problems);
        let secret = self.read(located, &key_at, key, problems);
        let (chain_error, identity) = Identity::from_pem(&chain?, &secret?);
        if let Err(error) = chain_error {
            let message = format!("{} {error}", cert.display());
            located.error(problems, &cert_at, message, None);
        }
        match identity {
            Ok(Some(identity)) => {
                warn_of_end(located, &cert_at, cert, &identity, problems);
                Ok(identity)
            }
            Ok(None) => Err(Told),
            Err(error) => {
                let help = match error {
                    MaterialError::NoKey => {
                        Some("a key with a passphrase cannot be read: store it without".to_owned())
                    }
                    _ => None,
                };
                let message = format!("{} {error}", key.display());
                located.error(problems, &key_at, message, help);
                Err(Told)
            }
        }
    }

    fn authorities<T>(
        &mut self,
        located: &Located<'_, T>,
        at: &str,
        path: &Path,
        problems: &mut Problems,
    ) -> Result<Authorities, Told> {
        let pem = self.read(located, at, path, problems)?;
        Authorities::from_pem(&pem).map_err(|error| {
            let message = format!("{} {error}", path.display());
            located.error(problems, at, message, None);
            Told
        })
    }

    /// Reads a file and remembers it, also where it cannot be read yet.
    pub(super) fn read<T>(
        &mut self,
        located: &Located<'_, T>,
        at: &str,
        path: &Path,
        problems: &mut Problems,
    ) -> Result<Vec<u8>, Told> {
        self.watched.push(path.to_owned());
        read_bounded(path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            let help = "a path is taken from where the process was started".to_owned();
            located.error(problems, at, message, help);
            Told
        })
    }
}

/// A device or a pipe without end is refused, not read.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Whether each endpoint's host is one that a certificate can be for.
fn askable(
    located: &Located<'_, UpstreamConfig>,
    endpoints: &[Endpoint],
    problems: &mut Problems,
) -> Result<(), Told> {
    for (index, endpoint) in endpoints.iter().enumerate() {
        let host = match endpoint {
            Endpoint::Tcp { host, .. } if server_name(host).is_some() => continue,
            Endpoint::Tcp { host, .. } => format!("{host:?}"),
            Endpoint::Unix(_) => "a unix socket".to_owned(),
        };
        let message = format!("{host} is no name that a certificate can be for");
        let help = "say which one it is: `tls = { server_name = \"NAME\" }`".to_owned();
        located.error(problems, &format!("endpoints[{index}]"), message, help);
        return Err(Told);
    }
    Ok(())
}

fn warn_of_end<T>(
    located: &Located<'_, T>,
    at: &str,
    path: &Path,
    identity: &Identity,
    problems: &mut Problems,
) {
    let Some(end) = identity.not_after() else {
        return;
    };
    let now = SystemTime::now();
    let tense = match end.duration_since(now) {
        Err(_) => "has expired: it was valid until",
        Ok(left) if left < SOON => "expires soon: it is valid until",
        Ok(_) => return,
    };
    let end = humantime::format_rfc3339_seconds(end);
    let message = format!("{} {tense} {end}", path.display());
    let help = "put the new one into the same file: it is read again when it changes".to_owned();
    problems.warning(Some(located.node.place(at)), message, help);
}

fn unusable<T>(located: &Located<'_, T>, error: &MaterialError, problems: &mut Problems) -> Told {
    located.error(problems, "tls", error.to_string(), None);
    Told
}
