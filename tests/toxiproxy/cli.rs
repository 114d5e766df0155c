//! The two programs, by their own names and as commands of this one.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::server::{Server, called_as};

/// Runs a command to its end: exit code, standard output, standard error.
fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// `toxiproxy-cli` by its own name, towards one server.
struct Cli {
    server: Server,
    folder: TempDir,
}

impl Cli {
    fn new() -> Self {
        Self {
            server: Server::toxiproxy(&[]),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn run(&self, words: &str) -> (i32, String, String) {
        let mut command = called_as("toxiproxy-cli", self.folder.path());
        command.env("TOXIPROXY_URL", format!("http://{}", self.server.address));
        run(command.args(words.split(' ')))
    }

    fn fine(&self, words: &str) -> String {
        let (code, out, err) = self.run(words);
        assert_eq!((code, &*err), (0, ""), "{words}");
        out
    }

    fn wrong(&self, words: &str) -> String {
        let (code, out, err) = self.run(words);
        assert_eq!((code, &*out), (1, ""), "{words}");
        err
    }
}

#[test]
fn commands_on_proxies_read_like_the_originals() {
    let cli = Cli::new();
    assert_eq!(cli.fine("list"), "");
    let create = "create -l localhost:0 --upstream=localhost:1 a";
    assert_eq!(cli.fine(create), "Created new proxy a\n");
    assert_eq!(
        cli.wrong(create),
        "Failed to create proxy: create: HTTP 409: proxy already exists\n"
    );
    let listed = cli.fine("ls");
    assert!(listed.starts_with("a\t127.0.0.1:"), "{listed}");
    assert!(listed.ends_with("\tlocalhost:1\tenabled\t0\n"), "{listed}");
    assert_eq!(cli.fine("toggle a"), "Proxy a is now disabled\n");
    assert_eq!(cli.fine("tog a"), "Proxy a is now enabled\n");
    assert_eq!(cli.fine("delete a"), "Deleted proxy a\n");
    assert_eq!(
        cli.wrong("toggle a"),
        "Failed to retrieve proxy a: HTTP 404: proxy not found\n"
    );
}

#[test]
fn commands_on_toxics_read_like_the_originals() {
    let cli = Cli::new();
    cli.fine("create -l localhost:0 -u localhost:1 a");
    assert_eq!(
        cli.fine("toxic add -t latency -a latency=5000000 a"),
        "Added downstream latency toxic 'latency_downstream' on proxy 'a'\n"
    );
    assert_eq!(
        cli.fine("t a -type bandwidth -tox 0.5 -n b -u -a=rate=7 a"),
        "Added upstream bandwidth toxic 'b' on proxy 'a'\n"
    );
    assert_eq!(
        cli.fine("inspect a"),
        "b\ttype=bandwidth\tstream=upstream\ttoxicity=0.50\tattributes=[\trate=7\t]\n\
         latency_downstream\ttype=latency\tstream=downstream\ttoxicity=1.00\tattributes=[\tjitter=0\tlatency=5e+06\t]\n"
    );
    assert_eq!(
        cli.fine("toxic update -n b -tox=0.1 --attribute rate=9 a"),
        "Updated toxic 'b' on proxy 'a'\n"
    );
    let inspected = cli.fine("inspect a");
    assert!(inspected.contains("toxicity=0.10\tattributes=[\trate=9\t]"));
    assert_eq!(
        cli.fine("toxic delete -n b a"),
        "Removed toxic 'b' on proxy 'a'\n"
    );
    assert_eq!(
        cli.wrong("toxic remove -n b a"),
        "Failed to remove toxic: failed to remove toxic 'b' from proxy 'a': HTTP 404: toxic not found\n"
    );
}

#[test]
fn what_the_command_line_does_not_understand_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let cli = |words: &[&str]| run(called_as("toxiproxy-cli", folder.path()).args(words));
    assert_eq!(cli(&["nope"]).0, 3);
    assert!(cli(&["nope"]).2.contains("No help topic for 'nope'"));
    assert_eq!(cli(&["toxic", "nope"]).0, 3);
    let (code, out, err) = cli(&["create", "-l", "x", "a"]);
    assert_eq!(code, 1);
    assert!(out.contains("--upstream value, -u value"), "{out}");
    assert_eq!(err, "Required argument 'upstream' was empty.\n");
    assert_eq!(cli(&["list", "--nope"]).0, 1);
    assert_eq!(
        cli(&["toxic", "add", "-t", "latency", "-tox", "3", "a"]).0,
        1
    );
    assert_eq!(cli(&[]).0, 0);
    assert!(cli(&["toxic"]).1.contains("Default Toxics"));
    assert_eq!(cli(&["--version"]).1, "toxiproxy-cli version 2.12.0\n");
    let (code, _, err) = cli(&["-h", "127.0.0.1:1", "list"]);
    assert_eq!(code, 1);
    assert!(err.contains("connection refused"), "{err}");
}

#[test]
fn the_server_has_the_originals_flags_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = |words: &[&str]| run(called_as("toxiproxy-server", folder.path()).args(words));
    let told = "toxiproxy-server version 2.12.0\n".to_owned();
    assert_eq!(server(&["-version"]), (0, told.clone(), String::new()));
    assert_eq!(server(&["--version=true"]), (0, told, String::new()));
    let (code, _, err) = server(&["-nope"]);
    assert_eq!(code, 2);
    assert!(
        err.starts_with(
            "flag provided but not defined: -nope\nUsage of toxiproxy-server:\n  -config string\n"
        ),
        "{err}"
    );
    assert_eq!(server(&["-h"]).0, 0);
    assert_eq!(server(&["-seed", "x"]).0, 2);
    let hormesis = || Command::new(env!("CARGO_BIN_EXE_hormesis"));
    let (code, out, _) = run(hormesis().args(["toxiproxy", "--version"]));
    assert_eq!((code, &*out), (0, "toxiproxy-server version 2.12.0\n"));
    let (code, out, _) = run(hormesis().args(["toxiproxy-cli", "-v"]));
    assert_eq!((code, &*out), (0, "toxiproxy-cli version 2.12.0\n"));
}

#[test]
fn a_taken_port_is_told() {
    let server = Server::toxiproxy(&[]);
    let (host, port) = server.address.split_once(':').unwrap();
    let mut second = Command::new(env!("CARGO_BIN_EXE_hormesis"));
    let (code, _, err) = run(second.args(["toxiproxy", "-host", host, "-port", port]));
    assert_eq!(code, 2);
    assert!(err.contains("cannot bind the Toxiproxy API"), "{err}");
    assert!(err.contains("a Toxiproxy perhaps"), "{err}");
}

#[test]
fn proxies_of_a_file_are_there_before_the_first_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxies.json");
    let proxies = r#"[{"name":"a","listen":"127.0.0.1:0","upstream":"localhost:1"},
                      {"name":"b","listen":"127.0.0.1:0","upstream":"localhost:2","enabled":false}]"#;
    fs::write(&file, proxies).unwrap();
    let server = Server::toxiproxy(&["-config", file.to_str().unwrap()]);
    let listed = server.get("/proxies").json();
    assert_eq!(listed["a"]["enabled"], true);
    assert_eq!(listed["b"]["enabled"], false);
    server.wait_for_log("Populated proxies from file");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_file_that_cannot_be_read_only_logs() {
    for (file, said) in [
        ("/nowhere/proxies.json", "Error reading config file"),
        (
            env!("CARGO_BIN_EXE_hormesis"),
            "Failed to populate proxies from file",
        ),
    ] {
        let server = Server::toxiproxy(&["-config", file]);
        assert_eq!(server.get("/proxies").body, "{}");
        server.wait_for_log(said);
    }
}

#[test]
fn metrics_are_there_where_a_flag_asks_for_them() {
    let server = Server::toxiproxy(&["-proxy-metrics", "--runtime-metrics"]);
    server.post("/proxies", r#"{"name":"a","upstream":"localhost:1"}"#);
    let answer = server.ask("PUT", "/metrics", &[], "");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    for line in [
        "# TYPE toxiproxy_proxy_received_bytes_total counter",
        "toxiproxy_proxy_sent_bytes_total{direction=\"downstream\",listener=\"127.0.0.1:",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
    ] {
        assert!(answer.body.contains(line), "{line}\n{}", answer.body);
    }
    let server = Server::toxiproxy(&["-runtime-metrics"]);
    assert!(!server.get("/metrics").body.contains("toxiproxy_proxy"));
}
