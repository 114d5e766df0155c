//! Toxics of the Toxiproxy API, as the commands tell of them.

use std::net::TcpListener;

use super::live::{Live, wait_until};
use crate::sandbox::{Sandbox, told};

#[test]
fn toxics_are_told_beside_rules() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = free.local_addr().unwrap();
    drop(free);
    let live = Live::start_in(
        Sandbox::new(),
        &format!("bind = \"127.0.0.1:0\"\n[toxiproxy]\nbind = \"{api}\""),
    );
    let cli = |arguments: &[&str]| {
        let mut command = live.command(&[&["toxiproxy-cli"], arguments].concat());
        told(
            &command
                .env("TOXIPROXY_URL", format!("http://{api}"))
                .output()
                .unwrap(),
        )
    };
    wait_until("the API", || cli(&["list"]).starts_with("exit code: 0"));
    let created = cli(&["create", "-l", "127.0.0.1:0", "-u", "127.0.0.1:1", "redis"]);
    assert!(created.starts_with("exit code: 0"), "{created}");
    // A whole number, as Go's client sends it.
    let add = [
        "toxic",
        "add",
        "-t",
        "latency",
        "-a",
        "latency=1e2",
        "redis",
    ];
    let added = cli(&add);
    assert!(added.starts_with("exit code: 0"), "{added}");
    for command in ["status", "rules"] {
        let told = live.run(&[command]);
        let mut lines = told.lines();
        let found = lines.find(|it| it.starts_with("redis/latency_downstream"));
        let words: Vec<&str> = found.unwrap_or(&told).split_whitespace().collect();
        assert_eq!(words[1..], ["latency", "downstream", "1"], "{told}");
    }
    let status = live.json(&["status"]);
    assert_eq!(status["toxics"][0]["type"], "latency");
    let told = live.run(&[
        "decisions",
        "fault=latency",
        "rule=redis/latency_downstream",
    ]);
    assert!(told.starts_with("exit code: 0"), "{told}");
}
