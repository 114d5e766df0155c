//! The ways to a sidecar: a unix socket, TLS with a token, TLS with a certificate.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use super::live::{Live, wait_until};
use crate::sandbox::{Sandbox, told, told as told_of};

const TOKEN: &str = "5d4f1c0b9a8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a392817060504";
const ADD: [&str; 5] = ["add", "abort", "status=429", "--on", "chat"];

/// An authority, and what it signed for a server and for a client, as files.
fn write_certificates(sandbox: &Sandbox) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
    sandbox.write("ca.pem", authority.pem());
    let both = [("server", "localhost"), ("client", "ops.test")];
    for (file, name) in both {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = key();
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        sandbox.write(&format!("{file}.pem"), certificate.pem());
        sandbox.write(&format!("{file}.key"), key.serialize_pem());
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn readable_by_its_owner_alone(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// What a user is told who did not start the sidecar, and so finds no token of it.
fn stranger(live: &Live, arguments: &[&str]) -> String {
    let mut command = live.command(arguments);
    told(
        &command
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .expect("it starts"),
    )
}

/// The line that undoes what was done.
fn undo_of(told: &str) -> String {
    let mut lines = told.lines();
    let undo = lines.find_map(|it| it.strip_prefix("undo   ")).unwrap();
    undo.to_owned()
}

/// Until it answers: the address is told before the API is served.
fn wait_for(live: &Live, ways: &[&str]) {
    wait_until("an answer", || {
        live.output(&[&["status"][..], ways].concat())
            .status
            .success()
    });
}

#[test]
fn a_unix_socket_needs_no_token_of_its_owner() {
    let sandbox = Sandbox::new();
    let address = format!("unix:{}", sandbox.path("admin.sock").display());
    let live = Live::start_in(sandbox, &format!("bind = \"{address}\""));
    let ways = ["--admin", &address];
    wait_for(&live, &ways);
    let told = live.run(&[&ADD[..], &ways].concat());
    assert!(told.starts_with("exit code: 0"), "{told}");
    // What it says to type reaches the same sidecar.
    let undo = "undo   hormesis stop abort-chat --admin unix:[ADMIN]";
    assert!(told.contains(undo), "{told}");
    assert!(live.call().starts_with("HTTP/1.1 429"));
    let told = live.run(&[&["stop", "abort-chat"], &ways[..]].concat());
    assert!(told.starts_with("exit code: 0"), "{told}");
    assert!(live.call().starts_with("HTTP/1.1 200"));
    let misplaced = [&["status"], &ways[..], &["--ca", "ca.pem"]].concat();
    let told = live.run(&misplaced);
    assert!(told.starts_with("exit code: 2"), "{told}");
}

#[test]
fn tls_believes_its_own_authority_and_shows_a_token() {
    let sandbox = Sandbox::new();
    write_certificates(&sandbox);
    sandbox.write("ops.token", TOKEN);
    readable_by_its_owner_alone(&sandbox.path("ops.token"));
    let live = Live::start_in(
        sandbox,
        "bind = \"127.0.0.1:0\"\ntls = { cert = \"server.pem\", key = \"server.key\" }\n\
         tokens = [{ file = \"ops.token\", scopes = [\"read\", \"write\"] }]",
    );
    let port = live.admin.rsplit_once(':').unwrap().1;
    let address = format!("https://localhost:{port}");
    let ways = ["--admin", &address, "--ca", "ca.pem"];
    let token = ["--token-file", "ops.token"];
    wait_for(&live, &[&ways[..], &token].concat());
    let told = stranger(&live, &[&ADD[..], &ways].concat());
    assert!(told.starts_with("exit code: 3"), "{told}");
    assert!(told.contains("token"), "{told}");
    let told = live.run(&[&ADD[..], &ways, &token].concat());
    assert!(told.starts_with("exit code: 0"), "{told}");
    assert!(live.call().starts_with("HTTP/1.1 429"));
    // The undo reaches the same sidecar as the same caller, typed as it is told; what the
    // environment says need not be typed.
    let undo = undo_of(&told);
    let wanted = format!(
        "hormesis stop abort-chat --admin {} --token-file ops.token --ca ca.pem",
        address.replace(&live.admin, "[ADMIN]")
    );
    assert_eq!(undo, wanted);
    let mut by_environment = live.command(&[&ADD[..], &["--name", "other"], &ways[..2]].concat());
    by_environment.env("HORMESIS_TOKEN_FILE", "ops.token");
    by_environment.env("HORMESIS_ADMIN_CA", "ca.pem");
    let told = told_of(&by_environment.output().unwrap());
    assert!(told.starts_with("exit code: 0"), "{told}");
    assert_eq!(
        undo_of(&told),
        format!("hormesis stop other --admin {address}")
    );
    let undo = undo.replace("[ADMIN]", &live.admin);
    let words: Vec<&str> = undo.split(' ').skip(1).collect();
    assert!(stranger(&live, &words).starts_with("exit code: 0"));
    // The system's authorities did not sign that certificate, and no name leads to another one.
    let strangers = [
        vec!["status", "--admin", &address],
        vec!["status", "--admin", "https://localhost:1", "--ca", "ca.pem"],
    ];
    for stranger in strangers {
        let told = live.run(&stranger);
        assert!(told.starts_with("exit code: 3"), "{told}");
    }
    let by_address = format!("https://127.0.0.1:{port}");
    let told = live.run(&["status", "--admin", &by_address, "--ca", "ca.pem"]);
    assert!(
        told.starts_with("exit code: 3") && told.contains("certificate"),
        "{told}"
    );
}

#[test]
fn a_certificate_shown_stands_for_a_token() {
    let sandbox = Sandbox::new();
    write_certificates(&sandbox);
    let live = Live::start_in(
        sandbox,
        "bind = \"127.0.0.1:0\"\n\
         tls = { cert = \"server.pem\", key = \"server.key\", client_ca = \"ca.pem\", client_auth = \"optional\" }\n\
         clients = [{ name = \"ops.test\", scopes = [\"read\", \"write\"] }]",
    );
    let port = live.admin.rsplit_once(':').unwrap().1;
    let address = format!("https://localhost:{port}");
    let ways = ["--admin", &address, "--ca", "ca.pem"];
    let shown = ["--cert", "client.pem", "--key", "client.key"];
    wait_for(&live, &ways);
    let told = stranger(&live, &[&ADD[..], &ways].concat());
    assert!(told.starts_with("exit code: 3"), "{told}");
    let told = stranger(&live, &[&ADD[..], &ways, &shown].concat());
    assert!(told.starts_with("exit code: 0"), "{told}");
    assert!(live.call().starts_with("HTTP/1.1 429"));
    assert!(
        told.contains("--ca ca.pem --cert client.pem --key client.key\n"),
        "{told}"
    );
    // The key of another certificate is told before anything is asked.
    let wrong = ["--cert", "client.pem", "--key", "server.key"];
    let told = live.run(&[&["status"], &ways[..], &wrong].concat());
    assert!(
        told.starts_with("exit code: 2") && told.contains("server.key"),
        "{told}"
    );
}

#[test]
fn a_wrong_token_keeps_nobody_from_halting() {
    let live = Live::start();
    live.sandbox.write("old token", TOKEN);
    let with = ["--token-file", "old token"];
    let told = live.run(&[&["status"], &with[..]].concat());
    assert!(told.starts_with("exit code: 3"), "{told}");
    assert!(
        told.contains("the token in old token is not a right one"),
        "{told}"
    );
    let told = live.run(&[&["halt"], &with[..]].concat());
    assert!(told.starts_with("exit code: 0"), "{told}");
    assert!(told.contains("halted without it"), "{told}");
    let undo = "hormesis resume --admin [ADMIN] --token-file 'old token'";
    assert_eq!(undo_of(&told), undo);
}

#[test]
fn a_token_of_an_earlier_start_is_no_hindrance() {
    let live = Live::start();
    let entry = live.sandbox.path(&format!("hormesis/{}.token", live.admin));
    assert!(entry.exists(), "{}", entry.display());
    // As a sidecar that was killed left it.
    std::fs::remove_file(&entry).unwrap();
    std::fs::write(&entry, TOKEN).unwrap();
    for command in ["status", "rules", "halt"] {
        let told = live.run(&[command]);
        assert!(told.starts_with("exit code: 0"), "{command}: {told}");
    }
    let told = live.run(&["resume"]);
    assert!(told.starts_with("exit code: 3"), "{told}");
}
