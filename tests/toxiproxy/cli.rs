//! The two programs, by their own names and as commands of this one.

use std::fs;
use std::process::{Command, Output};

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

#[test]
fn the_command_line_reads_like_the_original() {
    let server = Server::toxiproxy(&[]);
    let folder = tempfile::tempdir().unwrap();
    let cli = |words: &[&str]| {
        let mut command = called_as("toxiproxy-cli", folder.path());
        command.env("TOXIPROXY_URL", format!("http://{}", server.address));
        run(command.args(words))
    };
    let fine = |words: &[&str]| {
        let (code, out, err) = cli(words);
        assert_eq!((code, &*err), (0, ""), "{words:?}");
        out
    };
    assert_eq!(fine(&["list"]), "");
    let create = ["create", "-l", "localhost:0", "--upstream=localhost:1", "a"];
    assert_eq!(fine(&create), "Created new proxy a\n");
    let (code, _, err) = cli(&create);
    let told = "Failed to create proxy: create: HTTP 409: proxy already exists\n";
    assert_eq!((code, &*err), (1, told));

    let add = [
        "toxic",
        "add",
        "-t",
        "latency",
        "-a",
        "latency=5000000",
        "a",
    ];
    let added = "Added downstream latency toxic 'latency_downstream' on proxy 'a'\n";
    assert_eq!(fine(&add), added);
    let add = [
        "t",
        "a",
        "-type",
        "bandwidth",
        "-tox",
        "0.5",
        "-n",
        "b",
        "-u",
        "-a=rate=7",
        "a",
    ];
    assert_eq!(
        fine(&add),
        "Added upstream bandwidth toxic 'b' on proxy 'a'\n"
    );
    assert_eq!(
        fine(&["inspect", "a"]),
        "b\ttype=bandwidth\tstream=upstream\ttoxicity=0.50\tattributes=[\trate=7\t]\n\
         latency_downstream\ttype=latency\tstream=downstream\ttoxicity=1.00\tattributes=[\tjitter=0\tlatency=5e+06\t]\n"
    );
    let update = [
        "toxic",
        "update",
        "-n",
        "b",
        "-tox=0.1",
        "--attribute",
        "rate=9",
        "a",
    ];
    assert_eq!(fine(&update), "Updated toxic 'b' on proxy 'a'\n");
    assert!(fine(&["inspect", "a"]).contains("toxicity=0.10\tattributes=[\trate=9\t]"));
    assert_eq!(
        fine(&["toxic", "delete", "-n", "b", "a"]),
        "Removed toxic 'b' on proxy 'a'\n"
    );
    let (code, _, err) = cli(&["toxic", "remove", "-n", "b", "a"]);
    let told = "Failed to remove toxic: failed to remove toxic 'b' from proxy 'a': HTTP 404: toxic not found\n";
    assert_eq!((code, &*err), (1, told));

    let listed = fine(&["ls"]);
    assert!(listed.starts_with("a\t127.0.0.1:"), "{listed}");
    assert!(listed.ends_with("\tlocalhost:1\tenabled\t1\n"), "{listed}");
    assert_eq!(fine(&["toggle", "a"]), "Proxy a is now disabled\n");
    assert_eq!(fine(&["tog", "a"]), "Proxy a is now enabled\n");
    assert_eq!(fine(&["delete", "a"]), "Deleted proxy a\n");
    let (code, _, err) = cli(&["toggle", "a"]);
    let told = "Failed to retrieve proxy a: HTTP 404: proxy not found\n";
    assert_eq!((code, &*err), (1, told));
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
    assert!(server.log().contains("Populated proxies from file"));
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
        assert!(server.log().contains(said), "{}", server.log());
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
