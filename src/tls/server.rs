//! The server's side: what a listener shows its clients, and whom it lets in.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DEFAULT_VERSIONS, ServerConfig};
use tokio_rustls::TlsAcceptor;
use xxhash_rust::xxh3::Xxh3;

use crate::io::Socket;
use crate::tls::material::update;
use crate::tls::{Authorities, Identity, MaterialError, TlsStream, owned, provider};

/// Whose connections are accepted.
#[derive(Clone, Debug)]
pub enum Clients {
    Any,
    /// Anyone's; a certificate that is shown must be signed by one of these.
    Optional(Authorities),
    /// Only who shows a certificate that one of these has signed.
    Required(Authorities),
}

impl Clients {
    fn content(&self) -> (u8, u128) {
        match self {
            Self::Any => (0, 0),
            Self::Optional(authorities) => (1, authorities.content),
            Self::Required(authorities) => (2, authorities.content),
        }
    }
}

/// A listener's TLS.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// Whom it lets in: a session is resumed without asking for the certificate again, so it must
    /// not be one that others let in.
    clients: (u8, u128),
    content: u128,
}

impl ServerTls {
    /// The first identity is shown where the client names no host, or none that another one is
    /// for. `alpn` in the order of preference; empty where bytes are carried.
    pub fn new(
        identities: &[Identity],
        clients: &Clients,
        alpn: &[&[u8]],
    ) -> Result<Self, MaterialError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(DEFAULT_VERSIONS)?;
        let builder = match clients {
            Clients::Any => builder.with_no_client_auth(),
            Clients::Optional(known) | Clients::Required(known) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    Arc::clone(&known.store),
                    provider(),
                );
                let verifier = match clients {
                    Clients::Required(_) => verifier,
                    _ => verifier.allow_unauthenticated(),
                };
                let unusable = |error: rustls::server::VerifierBuilderError| {
                    MaterialError::Unusable(error.to_string())
                };
                builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
            }
        };
        let mut content = Xxh3::new();
        for identity in identities {
            update(&mut content, &identity.content.to_le_bytes());
        }
        for protocol in alpn {
            update(&mut content, protocol);
        }
        let keys = identities.iter().map(|it| Arc::clone(&it.certified));
        let mut config = builder.with_cert_resolver(Arc::new(ByName(keys.collect())));
        config.alpn_protocols = owned(alpn);
        config.ticketer = ring::Ticketer::new()?;
        Ok(Self {
            config: Arc::new(config),
            clients: clients.content(),
            content: content.digest128(),
        })
    }

    /// Lets clients resume the sessions of a replaced configuration, where it let in the same ones:
    /// a new certificate alone costs nobody a full handshake.
    pub fn keep_sessions(&mut self, previous: &Self) {
        if self.clients != previous.clients {
            return;
        }
        let config = Arc::make_mut(&mut self.config);
        config.ticketer = Arc::clone(&previous.config.ticketer);
        config.session_storage = Arc::clone(&previous.config.session_storage);
    }

    /// For connections that are no [`Socket`]s of a worker's.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Does the handshake of a connection that was accepted.
    pub async fn accept(&self, socket: Socket) -> io::Result<TlsStream> {
        let accepted = self.acceptor().accept(socket).await?;
        Ok(TlsStream::of_client(accepted))
    }
}

/// Equal where clients see no difference.
impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        (self.clients, self.content) == (other.clients, other.content)
    }
}

impl Eq for ServerTls {}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// The certificate that is for the host which the client names (RFC 6066 §3).
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let first = self.0.first()?;
        let named = (self.0.len() > 1).then(|| hello.server_name()).flatten();
        let Some(name) = named.and_then(|name| ServerName::try_from(name).ok()) else {
            return Some(Arc::clone(first));
        };
        let suits = |key: &&Arc<CertifiedKey>| {
            let own = key.end_entity_cert().ok();
            let parsed = own.and_then(|own| ParsedCertificate::try_from(own).ok());
            parsed.is_some_and(|parsed| verify_server_name(&parsed, &name).is_ok())
        };
        Some(Arc::clone(self.0.iter().find(suits).unwrap_or(first)))
    }
}
