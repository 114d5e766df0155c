//! Who may do what: tokens and their scopes, certificates, and what is refused without either.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hormesis::admin::{Admin, BindError, TokenFolders};
use hormesis::snapshot::{
    AdminAccess, AdminBind, AdminSettings, ClientName, Exposed, Scope, Scopes, Token,
};
use hormesis::tls::{ALPN_HTTP_1, Authorities, Clients, Identity, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::tempdir;

use crate::support::{Answer, PATIENCE, Served, connect, exchange, handle, loopback, settings};

const JSON: &str = "Content-Type: application/json";

/// Each with the scopes that it is called after.
fn tokens() -> Vec<Token> {
    let of = |name: &str, scopes: &[Scope]| {
        Token::new(
            name,
            format!("{name}-secret").as_bytes(),
            Scopes::of(scopes),
        )
    };
    vec![
        of("read", &[Scope::Read]),
        of("halt", &[Scope::Halt]),
        of("write", &[Scope::Write]),
        of("config", &[Scope::Config]),
        of("all", &Scope::GRANTED),
    ]
}

fn access() -> AdminAccess {
    AdminAccess {
        tokens: tokens(),
        ..AdminAccess::default()
    }
}

fn with_tokens() -> AdminSettings {
    AdminSettings {
        access: Arc::new(access()),
        ..loopback()
    }
}

fn bearer(name: &str) -> String {
    format!("Authorization: Bearer {name}-secret")
}

#[test]
fn on_loopback_reads_and_halt_are_open_and_changes_need_the_scope() {
    let served = Served::with(&with_tokens(), None);
    for path in [
        "/status",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/energy",
    ] {
        assert_eq!(served.get(path).status, 200, "{path}");
    }
    assert_eq!(served.ask("POST /halt", &[], b"").status, 200);
    let missing = served.ask("POST /resume", &[], b"");
    missing.refused(401);
    assert_eq!(
        missing.header("www-authenticate"),
        Some("Bearer realm=\"hormesis\"")
    );
    for (name, status) in [("read", 403), ("halt", 403), ("config", 403)] {
        let refused = served.ask("POST /resume", &[&bearer(name)], b"");
        refused.refused(status);
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
        assert!(challenge.contains("scope=\"write\""), "{challenge}");
    }
    assert!(served.handle.live().halted());
    for name in ["write", "all"] {
        assert_eq!(
            served.ask("POST /resume", &[&bearer(name)], b"").status,
            200
        );
        assert!(!served.handle.live().halted());
        assert_eq!(served.ask("POST /halt", &[&bearer(name)], b"").status, 200);
    }
}

#[test]
fn every_change_but_a_halt_needs_a_scope_and_halt_is_none_of_them() {
    let served = Served::with(&with_tokens(), None);
    for (line, scope) in [
        ("PUT /rules/x", "write"),
        ("DELETE /rules/x", "write"),
        ("POST /rules/x/arm", "write"),
        ("POST /rules/x/disarm", "write"),
        ("PUT /leases/x", "write"),
        ("DELETE /leases/x", "write"),
        ("POST /notes", "write"),
        ("POST /config/reload", "config"),
    ] {
        let empty = "Content-Length: 0";
        for other in ["read", "halt"] {
            let refused = served.ask(line, &[&bearer(other), empty], b"");
            assert_eq!(refused.status, 403, "{line} {other}");
        }
        let allowed = served.ask(line, &[&bearer(scope), empty], b"").status;
        assert!(![401, 403, 405].contains(&allowed), "{line}: {allowed}");
    }
    let kept = Served::with(&with_tokens(), None);
    kept.ask("DELETE /rules/x", &[], b"").refused(401);
    kept.ask("POST /config/reload", &["Content-Length: 0"], b"")
        .refused(401);
}

#[test]
fn a_wrong_token_is_refused_wherever_one_is_asked_for() {
    let served = Served::with(&with_tokens(), None);
    for header in [
        "Authorization: Bearer nobodys",
        "Authorization: Bearer read-secre",
        "Authorization: Bearer",
        "Authorization: Basic cmVhZDpzZWNyZXQ=",
    ] {
        for line in ["GET /status", "POST /halt"] {
            let refused = served.ask(line, &[header], b"");
            refused.refused(401);
            let challenge = refused.header("www-authenticate").unwrap();
            assert!(challenge.contains("invalid_token"), "{challenge}");
        }
    }
    assert!(!served.handle.live().halted());
    // Probes are asked for nothing.
    assert_eq!(
        served.ask("GET /healthz", &[&bearer("nobody")], b"").status,
        200
    );
}

#[test]
fn a_token_is_made_where_none_is_configured_and_found_by_the_address() {
    let mut served = Served::start(None);
    let entry = served.token_entry();
    let mode = fs::metadata(&entry).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = served.ask("POST /resume", &[], b"");
    refused.refused(401);
    let help = refused.json()["help"].as_str().unwrap().to_owned();
    assert!(help.contains(&entry.display().to_string()), "{help}");
    assert_eq!(
        served.ask("POST /resume", &[&served.bearer()], b"").status,
        200
    );
    served.stop();
    assert!(fs::symlink_metadata(&entry).is_err());
}

#[test]
fn configured_tokens_take_the_place_of_the_made_one_and_are_changed_while_it_runs() {
    let served = Served::start(None);
    let made = served.bearer();
    assert_eq!(served.ask("POST /resume", &[&made], b"").status, 200);
    // As a reload does when a token's file has changed: an old and a new one side by side.
    served.handle.set_admin_access(Arc::new(access()));
    served.ask("POST /resume", &[&made], b"").refused(401);
    assert_eq!(
        served.ask("POST /resume", &[&bearer("write")], b"").status,
        200
    );
    let rest = access()
        .tokens
        .into_iter()
        .filter(|it| &*it.name != "write");
    served.handle.set_admin_access(Arc::new(AdminAccess {
        tokens: rest.collect(),
        ..AdminAccess::default()
    }));
    served
        .ask("POST /resume", &[&bearer("write")], b"")
        .refused(401);
    assert_eq!(
        served.ask("POST /resume", &[&bearer("all")], b"").status,
        200
    );
}

#[test]
fn wrong_tokens_are_slowed_down_and_right_ones_never() {
    let served = Served::with(&with_tokens(), None);
    let wrong = || served.ask("POST /resume", &[&bearer("nobody")], b"").status;
    let answers: Vec<u16> = (0..30).map(|_| wrong()).collect();
    assert_eq!(answers[..10], [401; 10]);
    assert!(
        answers[10..].iter().filter(|it| **it == 429).count() >= 15,
        "{answers:?}"
    );
    let slowed = served.ask("POST /resume", &[], b"");
    slowed.refused(429);
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    for _ in 0..20 {
        assert_eq!(
            served.ask("POST /resume", &[&bearer("write")], b"").status,
            200
        );
        assert_eq!(served.get("/status").status, 200);
    }
}

#[test]
fn who_opens_the_owners_socket_needs_no_token_and_is_held_to_one_that_is_shown() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let settings = AdminSettings {
        access: Arc::new(access()),
        ..settings(AdminBind::Unix(path.clone()))
    };
    let admin = Admin::bind(&settings, None).unwrap();
    let thread = admin.start(handle(None), &TokenFolders::default()).unwrap();
    let ask = |header: &str| {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, "POST /resume", &["Host: localhost", header], b"")
    };
    assert_eq!(ask("X-Nothing: 1").status, 200);
    assert_eq!(ask(&bearer("write")).status, 200);
    ask(&bearer("nobody")).refused(401);
    thread.stop();
}

// ---- beyond loopback ---------------------------------------------------------------------------

/// An authority for servers and clients.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    fn issue(&self, hosts: &[&str], common_name: &str) -> Pair {
        let hosts: Vec<String> = hosts.iter().map(|it| (*it).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    fn server(&self, certificates: bool) -> ServerTls {
        let Pair { cert, key } = self.issue(&["127.0.0.1"], "server");
        let identity = Identity::from_pem(cert.as_bytes(), key.as_bytes())
            .1
            .unwrap();
        let known = || Authorities::from_pem(self.issuer.pem().as_bytes()).unwrap();
        let clients = if certificates {
            Clients::Optional(known())
        } else {
            Clients::Any
        };
        ServerTls::new(&[identity.unwrap()], &clients, &[ALPN_HTTP_1]).unwrap()
    }

    fn connect(
        &self,
        address: SocketAddr,
        own: Option<&Pair>,
    ) -> StreamOwned<ClientConnection, std::net::TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(Pair { cert, key }) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(client, connect(address))
    }
}

/// Bound to every address of this machine, with TLS.
fn exposed(access: AdminAccess) -> AdminSettings {
    AdminSettings {
        access: Arc::new(access),
        ..settings(AdminBind::Tcp("0.0.0.0:0".parse().unwrap()))
    }
}

#[test]
fn beyond_loopback_it_is_not_bound_without_tls_and_a_proof_of_who_asks() {
    let authority = Authority::new();
    let tls = || Some(authority.server(true));
    let clients = || {
        vec![ClientName {
            name: "ops".into(),
            scopes: Scopes::ALL,
        }]
    };
    let refused = |access: AdminAccess| match Admin::bind(&exposed(access), None) {
        Err(BindError::Exposed(exposed)) => exposed,
        other => panic!("{other:?}"),
    };
    let plain = refused(access());
    assert!(
        matches!(plain, Exposed::Plain(_)) && plain.help().contains("tls"),
        "{plain}"
    );
    let anybody = refused(AdminAccess {
        tls: tls(),
        ..AdminAccess::default()
    });
    assert!(matches!(anybody, Exposed::Anybody(_)) && anybody.help().contains("tokens"));
    // Names without anybody being asked for a certificate prove nothing.
    refused(AdminAccess {
        tls: tls(),
        clients: clients(),
        ..AdminAccess::default()
    });
    Admin::bind(
        &exposed(AdminAccess {
            tls: tls(),
            ..access()
        }),
        None,
    )
    .unwrap();
    let certificates = AdminAccess {
        tls: tls(),
        clients: clients(),
        asks_certificates: true,
        ..AdminAccess::default()
    };
    Admin::bind(&exposed(certificates), None).unwrap();
    for beyond in ["[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let bound = Admin::bind(&settings(AdminBind::Tcp(beyond.parse().unwrap())), None);
        assert!(matches!(bound, Err(BindError::Exposed(_))), "{beyond}");
    }
}

#[test]
fn beyond_loopback_everything_but_health_needs_a_scope() {
    let authority = Authority::new();
    let served = Served::with(
        &exposed(AdminAccess {
            tls: Some(authority.server(false)),
            hosts: vec!["admin.example".to_owned()],
            ..access()
        }),
        None,
    );
    let address = SocketAddr::from(([127, 0, 0, 1], served.admin.port()));
    let host = format!("Host: {address}");
    let ask = |line: &str, headers: &[&str]| -> Answer {
        let mut all = headers.to_vec();
        if !headers.iter().any(|it| it.starts_with("Host:")) {
            all.push(&host);
        }
        exchange(authority.connect(address, None), line, &all, b"")
    };
    assert_eq!(ask("GET /healthz", &[]).status, 200);
    let missing = ask("GET /status", &[]);
    missing.refused(401);
    let help = missing.json()["help"].to_string();
    assert!(
        !help.contains("/tmp"),
        "no stranger is told where it lies: {help}"
    );
    ask("POST /halt", &[]).refused(401);
    ask("GET /status", &[&bearer("halt")]).refused(403);
    ask("POST /halt", &[&bearer("read")]).refused(403);
    assert_eq!(ask("GET /status", &[&bearer("read")]).status, 200);
    assert_eq!(ask("POST /halt", &[&bearer("halt")]).status, 200);
    ask("POST /resume", &[&bearer("halt")]).refused(403);
    assert_eq!(ask("POST /resume", &[&bearer("write")]).status, 200);
    // A name that others make lead here is not ours; an address and a configured name are.
    let read = bearer("read");
    for (name, status) in [
        ("evil.example", 403),
        ("admin.example:1", 200),
        ("10.0.0.1", 200),
    ] {
        let answer = ask("GET /status", &[&format!("Host: {name}"), &read]);
        assert_eq!(answer.status, status, "{name}");
    }
    ask("GET /status", &[&read, "Origin: https://evil.example"]).refused(403);
    // Plain text is not answered.
    let mut plain = connect(address);
    plain
        .write_all(format!("GET /status HTTP/1.1\r\n{host}\r\n\r\n").as_bytes())
        .unwrap();
    let mut said = Vec::new();
    drop(plain.read_to_end(&mut said));
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

#[test]
fn a_certificate_has_the_scopes_of_its_name() {
    let authority = Authority::new();
    let name = |name: &str, scopes: &[Scope]| ClientName {
        name: name.into(),
        scopes: Scopes::of(scopes),
    };
    let served = Served::with(
        &exposed(AdminAccess {
            tls: Some(authority.server(true)),
            asks_certificates: true,
            clients: vec![
                name("reader.example", &[Scope::Read]),
                name("stopper", &[Scope::Halt]),
            ],
            ..access()
        }),
        None,
    );
    let address = SocketAddr::from(([127, 0, 0, 1], served.admin.port()));
    let host = format!("Host: {address}");
    let ask = |own: Option<&Pair>, line: &str, header: &str| {
        exchange(authority.connect(address, own), line, &[&host, header], b"")
    };
    let reader = authority.issue(&["reader.example"], "stopper");
    let stopper = authority.issue(&[], "stopper");
    let stranger = authority.issue(&["stranger.example"], "stopper");
    let none = "X-Nothing: 1";
    assert_eq!(ask(Some(&reader), "GET /status", none).status, 200);
    // Its common name counts for nothing: it has others.
    ask(Some(&reader), "POST /halt", none).refused(403);
    assert_eq!(ask(Some(&stopper), "POST /halt", none).status, 200);
    ask(Some(&stopper), "GET /status", none).refused(403);
    ask(Some(&stranger), "GET /status", none).refused(401);
    ask(Some(&stranger), "POST /halt", none).refused(401);
    ask(None, "GET /status", none).refused(401);
    // A token adds to what a certificate gives.
    assert_eq!(
        ask(Some(&stopper), "GET /status", &bearer("read")).status,
        200
    );
    // One that another authority has signed is no proof: there is no answer at all.
    let foreign = Authority::new().issue(&["reader.example"], "reader");
    let mut stream = authority.connect(address, Some(&foreign));
    let request = format!("GET /status HTTP/1.1\r\n{host}\r\n\r\n");
    let mut said = Vec::new();
    let failed =
        stream.write_all(request.as_bytes()).is_err() || stream.read_to_end(&mut said).is_err();
    assert!(failed && said.is_empty(), "{said:?}");
}

#[test]
fn unfinished_handshakes_hold_nobody() {
    let authority = Authority::new();
    let served = Served::with(
        &exposed(AdminAccess {
            tls: Some(authority.server(false)),
            ..access()
        }),
        None,
    );
    let address = SocketAddr::from(([127, 0, 0, 1], served.admin.port()));
    // As many as may be under way, less one.
    let silent: Vec<_> = (0..63).map(|_| connect(address)).collect();
    let host = format!("Host: {address}");
    for _ in 0..5 {
        let stream = authority.connect(address, None);
        assert_eq!(
            exchange(stream, "GET /healthz", &[&host, JSON], b"").status,
            200
        );
    }
    drop(silent);
}
