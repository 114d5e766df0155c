//! Certificates made for one test, and peers that speak TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned,
};
use tempfile::TempDir;

use super::{Message, PATIENCE, Serving, Sidecar};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// An authority, its certificates, and the files that they lie in.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let authority = Self { issuer, directory };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file's path as a configuration writes it.
    pub(crate) fn quoted(&self, name: &str) -> String {
        format!("'{}'", self.path(name).display())
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Signs a certificate for these hosts; it lies in `NAME.pem`, its key in `NAME.key`.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str]) {
        self.issue_until(name, hosts, 2100);
    }

    pub(crate) fn issue_until(&self, name: &str, hosts: &[&str], year: i32) {
        self.issue_as(name, hosts, year, false);
    }

    /// The same; `authority`: one that may sign others.
    pub(crate) fn issue_as(&self, name: &str, hosts: &[&str], year: i32, authority: bool) {
        let hosts: Vec<String> = hosts.iter().map(|it| (*it).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// `cert = …, key = …` of a configuration.
    pub(crate) fn pair(&self, name: &str) -> String {
        let cert = self.quoted(&format!("{name}.pem"));
        let key = self.quoted(&format!("{name}.key"));
        format!("cert = {cert}, key = {key}")
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    fn identity(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let cert = CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
        (vec![cert], key)
    }

    /// How a client that trusts this authority connects; `identity` is what it shows, signed by
    /// the same one.
    pub(crate) fn client(&self, identity: Option<&str>, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_with(identity.map(|name| self.identity(name)), alpn)
    }

    /// The same with what another authority has signed.
    pub(crate) fn client_as(&self, other: &Self, name: &str) -> Arc<ClientConfig> {
        self.client_with(Some(other.identity(name)), &[])
    }

    fn client_with(
        &self,
        identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// An upstream with the certificate `name` that answers every request with what its target
    /// names, on one thread a connection.
    pub(crate) fn upstream(&self, name: &str, serve: fn(Tls)) -> SocketAddr {
        let (chain, key) = self.identity(name);
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let connection = ServerConnection::new(config.clone()).unwrap();
                let stream = StreamOwned::new(connection, stream);
                std::thread::spawn(move || serve(Tls::Server(Box::new(stream))));
            }
        });
        address
    }
}

/// One end of a TLS connection.
#[derive(Debug)]
pub(crate) enum Tls {
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Tls {
    /// Connects and finishes the handshake.
    pub(crate) fn connect(
        address: SocketAddr,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Self::over(stream, host, config)
    }

    pub(crate) fn over(
        stream: TcpStream,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection = ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self::Client(Box::new(stream)))
    }

    pub(crate) fn alpn(&self) -> Option<String> {
        let Self::Client(stream) = self else {
            return None;
        };
        let alpn = stream.conn.alpn_protocol();
        alpn.map(|it| String::from_utf8_lossy(it).into_owned())
    }

    /// What the server has shown.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let Self::Client(stream) = self else {
            panic!("a server")
        };
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        let Self::Client(stream) = self else {
            return false;
        };
        stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The host that was asked for.
    pub(crate) fn asked_for(&self) -> Option<String> {
        let Self::Server(stream) = self else {
            return None;
        };
        stream.conn.server_name().map(str::to_owned)
    }

    fn stream(&mut self) -> &mut dyn Duplex {
        match self {
            Self::Client(stream) => stream,
            Self::Server(stream) => stream,
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream().write_all(bytes.as_ref())?;
        self.stream().flush()
    }

    pub(crate) fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream().read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Says that nothing more comes; what the peer sends can still be read.
    pub(crate) fn finish(&mut self) {
        let sock = match self {
            Self::Client(stream) => {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock).ok();
                &stream.sock
            }
            Self::Server(stream) => {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock).ok();
                &stream.sock
            }
        };
        sock.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Ends the connection without a word of TLS.
    pub(crate) fn cut(self) {
        drop(self);
    }

    fn head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.take(1)?);
        }
        Ok(String::from_utf8(head).unwrap())
    }

    /// A message whose body has a length, or none.
    pub(crate) fn message(&mut self) -> io::Result<Message> {
        let head = self.head()?;
        let mut message = Message {
            head,
            body: Vec::new(),
            wire_body: Vec::new(),
        };
        if let Some(length) = message.field("content-length") {
            message.body = self.take(length.parse().unwrap())?;
        }
        Ok(message)
    }
}

trait Duplex: Read + Write {}

impl<T: Read + Write> Duplex for T {}

/// Answers with the body of the request, or with its target where there is none.
pub(crate) fn echo(mut wire: Tls) {
    while let Ok(request) = wire.message() {
        let target = request.head.split(' ').nth(1).unwrap();
        let body = if request.body.is_empty() {
            target.as_bytes().to_vec()
        } else {
            request.body.clone()
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if wire.send([head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

/// A listener's lines.
pub(crate) fn listening(authority: &Authority, name: &str) -> String {
    format!("tls = {{ {} }}", authority.pair(name))
}

/// An upstream's lines.
pub(crate) fn trusting(authority: &Authority) -> String {
    format!("tls = {{ ca = {} }}", authority.quoted("ca.pem"))
}

/// With a certificate for either side.
pub(crate) fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("front", &["front.test"]);
    authority.issue("up", &["localhost", "up.test"]);
    authority
}

/// A sidecar with TLS before an upstream without.
pub(crate) fn before_plain(authority: &Authority, upstream: &Serving) -> Sidecar {
    Sidecar::to(upstream.address).listener(&listening(authority, "front"))
}
