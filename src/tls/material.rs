//! Certificates and keys, as files hold them.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys, RootCertStore};
use xxhash_rust::xxh3::Xxh3;

use crate::tls::{not_after, provider};

/// Why a file is of no use. No message holds what the file does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    #[error("holds a certificate that cannot be read: {0}")]
    BadCertificate(String),
    #[error("holds a private key that cannot be used: {0}")]
    BadKey(String),
    #[error("is not the key of the certificate")]
    KeyMismatch,
    #[error("holds no certificate in PEM form")]
    NoCertificate,
    #[error("holds no private key in PEM form")]
    NoKey,
    #[error("is no PEM file: {0}")]
    NoPem(String),
    #[error("the system has no certificate authorities: {0}")]
    NoSystemAuthorities(String),
    #[error("{0}")]
    Unusable(String),
}

impl From<TlsError> for MaterialError {
    fn from(error: TlsError) -> Self {
        Self::Unusable(error.to_string())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| MaterialError::NoPem(error.to_string()))?;
    if found.is_empty() {
        return Err(MaterialError::NoCertificate);
    }
    Ok(found)
}

/// A certificate with the chain above it, and its key.
#[derive(Clone)]
pub struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    /// Of what the files hold: equal where they hold the same.
    pub(super) content: u128,
}

impl Identity {
    /// Reads a chain, the own certificate first, and its key. The first error is the
    /// certificate's, the second the key's.
    pub fn from_pem(
        chain: &[u8],
        key: &[u8],
    ) -> (
        Result<(), MaterialError>,
        Result<Option<Self>, MaterialError>,
    ) {
        let certificates = match certificates(chain) {
            Ok(certificates) => certificates,
            Err(error) => return (Err(error), read_key(key).map(|_| None)),
        };
        if let Err(error) = parse(&certificates) {
            return (Err(error), read_key(key).map(|_| None));
        }
        (Ok(()), Self::new(certificates, key).map(Some))
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<Self, MaterialError> {
        let key = read_key(key)?;
        let mut content = Xxh3::new();
        for certificate in &chain {
            update(&mut content, certificate);
        }
        update(&mut content, key.secret_der());
        let certified = CertifiedKey::from_der(chain, key, &provider());
        let certified = certified.map_err(|error| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => MaterialError::KeyMismatch,
            other => MaterialError::BadKey(other.to_string()),
        })?;
        Ok(Self {
            certified: Arc::new(certified),
            content: content.digest128(),
        })
    }

    /// When the own certificate expires, where it can be read.
    pub fn not_after(&self) -> Option<SystemTime> {
        not_after(self.certified.cert.first()?)
    }
}

/// The key is a secret: of an identity only that there is one is shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, MaterialError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => MaterialError::NoKey,
        other => MaterialError::NoPem(other.to_string()),
    })
}

/// Whether the own certificate can be read at all.
fn parse(chain: &[CertificateDer<'static>]) -> Result<(), MaterialError> {
    let own = chain.first().ok_or(MaterialError::NoCertificate)?;
    rustls::server::ParsedCertificate::try_from(own)
        .map(drop)
        .map_err(|error| MaterialError::BadCertificate(error.to_string()))
}

/// Certificates whose signature makes another one trusted.
#[derive(Clone)]
pub struct Authorities {
    pub(super) store: Arc<RootCertStore>,
    pub(super) content: u128,
}

impl Authorities {
    /// All certificates of a file, each of which is trusted.
    pub fn from_pem(pem: &[u8]) -> Result<Self, MaterialError> {
        let mut store = RootCertStore::empty();
        let mut content = Xxh3::new();
        for certificate in certificates(pem)? {
            update(&mut content, &certificate);
            store
                .add(certificate)
                .map_err(|error| MaterialError::BadCertificate(error.to_string()))?;
        }
        Ok(Self {
            store: Arc::new(store),
            content: content.digest128(),
        })
    }

    /// What the system trusts, or the file and directory that `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name. Those that cannot be read are left out, as browsers do.
    pub fn system() -> Result<Self, MaterialError> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut content = Xxh3::new();
        for certificate in &loaded.certs {
            update(&mut content, certificate);
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(loaded.certs);
        if store.is_empty() {
            let why = loaded.errors.first().map(ToString::to_string);
            let why = why.unwrap_or_else(|| "no certificate was found".to_owned());
            return Err(MaterialError::NoSystemAuthorities(why));
        }
        Ok(Self {
            store: Arc::new(store),
            content: content.digest128(),
        })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, content } = self;
        f.debug_struct("Authorities")
            .field("count", &store.len())
            .field("content", content)
            .finish_non_exhaustive()
    }
}

/// With its length, so that no two lists of parts have the same bytes.
pub(super) fn update(content: &mut Xxh3, part: &[u8]) {
    content.update(&part.len().to_le_bytes());
    content.update(part);
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn made() -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_and_compared_by_what_it_holds() {
        let (cert, key) = made();
        let read = || Identity::from_pem(cert.as_bytes(), key.as_bytes()).1;
        let (one, same) = (read().unwrap().unwrap(), read().unwrap().unwrap());
        assert_eq!(one.content, same.content);
        assert!(one.not_after().is_some());
        let (cert, key) = made();
        let other = Identity::from_pem(cert.as_bytes(), key.as_bytes()).1;
        assert_ne!(one.content, other.unwrap().unwrap().content);
        assert_eq!(format!("{one:?}"), "Identity { .. }");
    }

    #[test]
    fn each_file_is_told_its_own_mistake() {
        let (cert, key) = made();
        let (_, other) = made();
        let of = |cert: &str, key: &str| {
            let (cert, key) = Identity::from_pem(cert.as_bytes(), key.as_bytes());
            (cert.err(), key.err())
        };
        assert_eq!(of(&cert, &other), (None, Some(MaterialError::KeyMismatch)));
        assert_eq!(of(&key, &key), (Some(MaterialError::NoCertificate), None));
        assert_eq!(of(&cert, &cert), (None, Some(MaterialError::NoKey)));
        let both = (
            Some(MaterialError::NoCertificate),
            Some(MaterialError::NoKey),
        );
        assert_eq!(of("", "x"), both);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let (error, _) = of(broken, &key);
        assert!(matches!(error, Some(MaterialError::BadCertificate(_))));
        assert!(Authorities::from_pem(broken.as_bytes()).is_err());
        assert!(Authorities::from_pem(cert.as_bytes()).is_ok());
    }
}
