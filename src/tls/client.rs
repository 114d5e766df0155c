//! The client's side: whom an upstream must prove to be, and what it is shown.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DEFAULT_VERSIONS, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use xxhash_rust::xxh3::Xxh3;

use crate::io::Socket;
use crate::tls::material::update;
use crate::tls::{Authorities, Identity, MaterialError, TlsStream, owned, provider};

/// Which certificates are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Any: whoever sits in between can read and change everything.
    Anything,
    /// What one of these has signed, for the name that was asked for.
    Authorities(Authorities),
}

/// An upstream's TLS.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    content: u128,
}

/// A host as TLS names it; `None` where it is neither a DNS name nor an IP address.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

impl ClientTls {
    /// `identity` is shown where the upstream asks for a certificate; `name` is asked for and
    /// proved in place of the endpoint's host.
    pub fn new(
        trust: &Trust,
        identity: Option<&Identity>,
        name: Option<ServerName<'static>>,
        alpn: &[&[u8]],
    ) -> Result<Self, MaterialError> {
        let provider = provider();
        let mut content = Xxh3::new();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(DEFAULT_VERSIONS)?;
        let builder = match trust {
            Trust::Anything => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
            Trust::Authorities(known) => {
                update(&mut content, &known.content.to_le_bytes());
                builder.with_root_certificates(Arc::clone(&known.store))
            }
        };
        let mut config = match identity {
            Some(identity) => {
                update(&mut content, &identity.content.to_le_bytes());
                let single = rustls::sign::SingleCertAndKey::from(Arc::clone(&identity.certified));
                builder.with_client_cert_resolver(Arc::new(single))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = owned(alpn);
        update(
            &mut content,
            format!("{name:?} {alpn:?} {}", identity.is_some()).as_bytes(),
        );
        Ok(Self {
            config: Arc::new(config),
            name,
            content: content.digest128(),
        })
    }

    /// Does the handshake on a connection to `host`.
    pub async fn connect(&self, host: &str, socket: Socket) -> io::Result<TlsStream> {
        self.handshake(host, socket)
            .await
            .map(TlsStream::of_upstream)
    }

    /// The same on whatever carries bytes.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<tokio_rustls::client::TlsStream<S>> {
        let name = self.name.clone().or_else(|| server_name(host));
        let name = name.ok_or_else(|| io::Error::other("its name is none that TLS can ask for"))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(name, stream).await
    }
}

/// Equal where the handshake would be: connections of one can be kept for the other.
impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Eq for ClientTls {}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Takes every certificate, as `verify = false` asks. The signatures of the handshake are checked
/// all the same: the peer must hold the key of what it shows.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
