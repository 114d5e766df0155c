//! Commands against a sidecar that runs.

mod live;
mod reach;
mod stuck;
mod toxics;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use live::{Live, signal, wait_until};
use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::{Sandbox, hormesis};

/// The lines of a file of the repository that begin with this, without what is before it.
fn typed_in(page: &str, start: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(path).expect("a page");
    let lines = text.lines().map(|it| it.trim_start_matches("$ "));
    lines
        .filter(|it| it.starts_with(start))
        .map(str::to_owned)
        .collect()
}

/// A line as a shell splits it; quotes only.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (letter, quote) {
            ('#', None) if words.last().is_some_and(String::is_empty) => break,
            (' ', None) => words.push(String::new()),
            ('\'' | '"', None) => quote = Some(letter),
            (other, Some(open)) if other == open => quote = None,
            (other, _) => words.last_mut().expect("one").push(other),
        }
    }
    words.retain(|it| !it.is_empty());
    words
}

#[test]
fn what_the_readme_types_does_it_and_says_how_to_undo_it() {
    let line = typed_in("README.md", "hormesis add delay").remove(0);
    assert!(
        line.starts_with("hormesis add delay --on chat --for 30s"),
        "{line}"
    );
    let live = Live::start();
    let typed = words(&line);
    let arguments: Vec<&str> = typed[1..].iter().map(String::as_str).collect();
    let told = live.run(&arguments);
    insta::assert_snapshot!(told, @r#"
    exit code: 0
    ----- stdout -----
    armed delay-chat: delay = { fixed = "1s" } on chat
    ends   in 30s, at [TIME] UTC
    undo   hormesis stop delay-chat --admin [ADMIN]
    watch  hormesis watch delay-chat --admin [ADMIN]
    "#);
    // It is never short.
    let started = SystemTime::now();
    assert!(live.call().starts_with("HTTP/1.1 200"));
    assert!(started.elapsed().unwrap() >= Duration::from_secs(1));
    // And the undo is typed as it is told.
    let undo = told
        .lines()
        .find_map(|it| it.strip_prefix("undo   hormesis "))
        .unwrap();
    let undo = undo.replace("[ADMIN]", &live.admin);
    let undo: Vec<&str> = undo.split(' ').collect();
    insta::assert_snapshot!(live.run(&undo), @"
    exit code: 0
    ----- stdout -----
    removed delay-chat
    ");
    assert_eq!(live.rules(), ["overloaded"]);
}

#[test]
fn every_line_with_add_in_readme_and_guide_is_taken() {
    let pages = ["README.md", "docs/guide.md"];
    let lines = pages.map(|page| typed_in(page, "hormesis add ")).concat();
    assert!(lines.len() >= 4, "{lines:?}");
    let live = Live::start();
    for line in lines {
        let typed = words(&line);
        let mut arguments: Vec<&str> = typed[1..].iter().map(String::as_str).collect();
        arguments.retain(|it| *it != "--hold");
        arguments.extend(["--replace", "--json"]);
        let output = live.output(&arguments);
        assert!(output.status.success(), "{line}: {output:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn rules_are_listed_added_armed_and_stopped() {
    let live = Live::start();
    let add = [
        "add",
        "abort",
        "status=429",
        "--on",
        "chat",
        "--name",
        "busy",
    ];
    assert!(live.run(&add).starts_with("exit code: 0"));
    assert!(live.call().starts_with("HTTP/1.1 429"));
    insta::assert_snapshot!(live.run(&["rules"]), @"
    exit code: 0
    ----- stdout -----
    RULE        FROM  ON             FAULTS  STATE  ENDS IN  SELECTED  HIT  APPLIED  ACTIVE
    overloaded  file  all listeners  abort   off             0         0    0        0
    busy        api   chat           abort   armed  10m      1         1    1        0
    ");
    insta::assert_snapshot!(live.run(&add), @r#"
    exit code: 2
    ----- stderr -----
    error: there is a rule "busy" already
      help: give another --name, or --replace, or `hormesis stop busy --admin [ADMIN]` first
    "#);
    let other = [
        &add[..],
        &[
            "--replace",
            "--probability",
            "5%",
            "--select",
            "method=POST",
        ],
    ]
    .concat();
    insta::assert_snapshot!(live.run(&other), @r#"
    exit code: 0
    ----- stdout -----
    armed busy: abort = { status = 429 } on chat, where method = "POST", 5% of the calls
    ends   in 10m, at [TIME] UTC
    undo   hormesis stop busy --admin [ADMIN]
    watch  hormesis watch busy --admin [ADMIN]
    "#);
    insta::assert_snapshot!(live.run(&["rules", "busy"]), @r#"
    exit code: 0
    ----- stdout -----
    busy: armed on chat, from the admin API, ends in 10m at [TIME] UTC
    selected 0, hit 0, acting now on 0
    applied 0, superseded 0, not applicable 0, revoked 0

    armed = true
    dry_run = false
    listener = ["chat"]
    name = "busy"
    probability = "5%"

    [[faults]]

    [faults.abort]
    status = 429

    [select]
    method = "POST"
    "#);
    insta::assert_snapshot!(live.run(&["stop", "busy"]), @"
    exit code: 0
    ----- stdout -----
    removed busy
    ");
    insta::assert_snapshot!(live.run(&["arm", "overloaded", "--for", "5m"]), @"
    exit code: 0
    ----- stdout -----
    armed overloaded
    ends   in 5m, at [TIME] UTC
    undo   hormesis disarm overloaded --admin [ADMIN]
    ");
    assert!(live.call().starts_with("HTTP/1.1 503"));
    insta::assert_snapshot!(live.run(&["stop", "overloaded"]), @"
    exit code: 0
    ----- stdout -----
    disarmed overloaded, a rule of a file
    undo     hormesis arm overloaded --admin [ADMIN]
    ");
    insta::assert_snapshot!(live.run(&["disarm", "overloaded"]), @"
    exit code: 0
    ----- stdout -----
    disarmed overloaded
    undo      hormesis arm overloaded --admin [ADMIN]
    ");
    assert!(live.call().starts_with("HTTP/1.1 200"));
}

#[test]
fn names_that_are_none_are_answered_with_those_that_were_meant() {
    let live = Live::start();
    insta::assert_snapshot!(live.run(&["stop", "overlaoded"]), @r#"
    exit code: 2
    ----- stderr -----
    error: there is no rule "overlaoded"
      help: did you mean "overloaded"?
    "#);
    insta::assert_snapshot!(live.run(&["rules", "nothing-like-it"]), @r#"
    exit code: 2
    ----- stderr -----
    error: there is no rule "nothing-like-it"
      help: there are overloaded
    "#);
    insta::assert_snapshot!(live.run(&["add", "delay", "--on", "chta"]), @r#"
    exit code: 2
    ----- stderr -----
    error: there is no listener "chta": did you mean "chat"?
    "#);
    insta::assert_snapshot!(live.run(&["add", "dealy", "--on", "chat"]), @r#"
    exit code: 2
    ----- stderr -----
    error: no fault is called "dealy": did you mean "delay"?
    "#);
    insta::assert_snapshot!(live.run(&["add", "delay", "fixd=1s", "--on", "chat"]), @"
    exit code: 2
    ----- stderr -----
    error: the rule is wrong: unknown key `fixd`
      help: did you mean `fixed`?
    ");
    insta::assert_snapshot!(live.run(&["decisions", "rul=overloaded"]), @r#"
    exit code: 2
    ----- stderr -----
    error: invalid value 'rul=overloaded' for '[KEY=VALUE]...': there is no filter "rul": did you mean "rule"?

    For more information, try '--help'.
    "#);
    for command in ["arm", "disarm", "watch"] {
        let told = live.run(&[command, "overlaoded"]);
        assert!(told.starts_with("exit code: 2"), "{told}");
        assert!(told.contains("did you mean \"overloaded\"?"), "{told}");
    }
}

#[test]
fn nobody_there_is_told_with_the_way_to_one() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    for command in [
        &["status"][..],
        &["rules"],
        &["add", "delay", "--on", "chat"],
        &["arm", "x"],
        &["disarm", "x"],
        &["stop", "x"],
        &["watch", "x"],
        &["decisions"],
        &["decisions", "--follow"],
        &["energy"],
        &["halt"],
        &["resume"],
        &["top", "--json"],
    ] {
        let told = hormesis(&[command, &["--admin", &address]].concat());
        assert!(told.starts_with("exit code: 3"), "{command:?}: {told}");
        assert!(told.contains("is it running?"), "{command:?}: {told}");
    }
    insta::assert_snapshot!(hormesis(&["status", "--admin", "nowhere"]), @r#"
    exit code: 2
    ----- stderr -----
    error: invalid value 'nowhere' for '--admin <ADDR>': "nowhere" is no address: write "127.0.0.1:9901", "https://HOST:PORT" or "unix:/path/to.sock"

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(hormesis(&["status", "--token-file", "/nowhere/token"]), @"
    exit code: 2
    ----- stderr -----
    error: cannot read the token in /nowhere/token: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(hormesis(&["top"]), @"
    exit code: 2
    ----- stderr -----
    error: top needs a terminal; for programs there are `hormesis top --json` and `hormesis status --json`
    ");
}

#[test]
fn a_halt_is_told_everywhere_until_it_is_resumed() {
    let live = Live::start();
    insta::assert_snapshot!(live.run(&["halt", "--reason", "too hot"]), @"
    exit code: 0
    ----- stdout -----
    halted by order since [TIME]: too hot
    undo   hormesis resume --admin [ADMIN]
    ");
    let status = live.run(&["status"]);
    assert!(status.contains("too hot"), "{status}");
    let added = live.run(&["add", "stall", "--on", "chat"]);
    assert!(added.starts_with("exit code: 0"), "{added}");
    assert!(
        added.contains("warning: the sidecar is halted (too hot)"),
        "{added}"
    );
    let rules = live.run(&["rules"]);
    assert!(rules.contains("too hot"), "{rules}");
    // Nothing stalls.
    assert!(live.call().starts_with("HTTP/1.1 200"));
    let watched = live.run(&["watch", "stall-chat", "--every", "100ms"]);
    assert!(watched.starts_with("exit code: 5"), "{watched}");
    insta::assert_snapshot!(live.run(&["resume"]), @"
    exit code: 0
    ----- stdout -----
    resumed: armed rules act again
    ");
    assert!(!live.run(&["status"]).contains("too hot"));
}

#[test]
fn a_rule_is_watched_until_it_ends() {
    let live = Live::start();
    let add = [
        "add",
        "abort",
        "--on",
        "chat",
        "--for",
        "3s",
        "--probability",
        "50%",
    ];
    assert!(live.run(&add).starts_with("exit code: 0"));
    for _ in 0..20 {
        live.call();
    }
    let output = live.output(&["watch", "abort-chat", "--every", "200ms", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let first = &lines.first().expect("a line")["effect"];
    let calls = |group: &str| first[group]["calls"].as_u64().unwrap();
    assert_eq!(calls("treated") + calls("untouched"), 20, "{first}");
    assert_eq!(first["treated"]["error_rate"], 1.0, "{first}");
    assert_eq!(first["untouched"]["errors"], 0, "{first}");
    assert_eq!(live.rules(), ["overloaded"]);
}

#[test]
fn decisions_are_shown_from_the_log_and_as_they_happen() {
    let live = Live::start();
    assert!(
        live.run(&["add", "abort", "--on", "chat"])
            .starts_with("exit code: 0")
    );
    let mut follow = live.command(&["decisions", "--follow", "rule=abort-chat"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let (sender, seen) = std::sync::mpsc::channel();
    // To the end: a pipe that nobody reads would end it before the signal does.
    std::thread::spawn(move || lines.for_each(|it| sender.send(it).unwrap_or_default()));
    // Whether it follows already cannot be seen from here: calls come until it tells of one.
    wait_until("a decision", || {
        live.call();
        let line = seen.try_recv().ok();
        line.is_some_and(|it| it.is_ok_and(|it| it.contains("abort-chat: abort")))
    });
    signal(&follow, Signal::INT);
    assert_eq!(follow.wait().unwrap().code(), Some(130));
    wait_until("the log", || {
        let told = live.run(&["decisions", "outcome=injected_fault", "-n", "1"]);
        told.contains("injected_fault 503 (injected)") && told.contains("abort-chat: abort")
    });
    let none = live.run(&["decisions", "outcome=timeout"]);
    assert!(none.contains("no call like this stands in"), "{none}");
}

#[test]
fn what_is_held_goes_when_the_holder_does() {
    for (how, code) in [
        (Signal::INT, Some(130)),
        (Signal::TERM, Some(143)),
        (Signal::KILL, None),
    ] {
        let live = Live::start();
        let mut hold = live.command(&["add", "abort", "--on", "chat", "--hold"]);
        let mut hold = hold.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(hold.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.starts_with("armed abort-chat"), "{first}");
        assert!(live.call().starts_with("HTTP/1.1 503"));
        // Longer than the lease: it is renewed.
        std::thread::sleep(Duration::from_millis(1500));
        assert!(live.call().starts_with("HTTP/1.1 503"));
        signal(&hold, how);
        assert_eq!(hold.wait().unwrap().code(), code);
        wait_until("the end of the rule", || live.rules() == ["overloaded"]);
        assert!(live.call().starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn a_name_that_is_wrong_keeps_the_others_from_nothing() {
    let live = Live::start();
    for name in ["one", "two"] {
        let add = ["add", "abort", "--on", "chat", "--name", name];
        assert!(live.run(&add).starts_with("exit code: 0"));
    }
    insta::assert_snapshot!(live.run(&["stop", "nope", "one"]), @r#"
    exit code: 2
    ----- stdout -----
    removed one
    ----- stderr -----
    error: there is no rule "nope"
      help: did you mean "one"?
    "#);
    let output = live.output(&["stop", "two", "nope", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["stopped"][0]["name"], "two");
    assert_eq!(told["failed"][0]["name"], "nope");
    assert_eq!(live.rules(), ["overloaded"]);
}

#[test]
fn programs_get_json() {
    let live = Live::start();
    assert!(live.json(&["status"])["listeners"][0]["name"] == "chat");
    assert!(live.json(&["rules", "overloaded"])["armed"] == false);
    let added = live.json(&["add", "delay", "--on", "chat", "--for", "1m"]);
    assert_eq!(added["config"]["faults"][0]["delay"]["fixed"], "1s");
    assert!(added["expires_in_s"].as_f64().unwrap() <= 60.0);
    assert_eq!(live.json(&["arm", "overloaded"])["armed"], true);
    assert_eq!(live.json(&["disarm", "overloaded"])["armed"], false);
    let stopped = live.json(&["stop", "delay-chat", "overloaded"]);
    assert_eq!(stopped["stopped"][0]["how"], "removed");
    assert_eq!(stopped["stopped"][1]["how"], "disarmed");
    assert_eq!(live.json(&["energy", "--by", "model"])["by"], "model");
    assert_eq!(
        live.json(&["halt", "--reason", "r"])["halted"]["reason"],
        "r"
    );
    assert!(live.json(&["resume"])["halted"].is_null());
    let mut top = live.command(&["top", "--json", "--every", "200ms"]);
    let mut top = top.stdout(Stdio::piped()).spawn().unwrap();
    let line = BufReader::new(top.stdout.take().unwrap()).lines().next();
    let view: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
    assert_eq!(view["listeners"][0]["name"], "chat");
    assert_eq!(view["errors"][3]["origin"], "injected");
    signal(&top, Signal::TERM);
    assert_eq!(top.wait().unwrap().code(), Some(143));
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let sandbox = Sandbox::new();
    let written = sandbox.run(&["man", "--into", "man1"]);
    let root = std::fs::read_to_string(sandbox.path("man1/hormesis.1")).unwrap();
    // What the program is, and how it ends.
    assert!(root.contains("hormesis \\- Breaks calls"), "{root}");
    let reference = hormesis(&["man", "--markdown"]);
    for page in [&root, &reference] {
        assert!(page.contains("Exit codes: 0 fine"), "{page}");
    }
    let script = hormesis(&["completions", "bash"]);
    for command in [
        "run",
        "status",
        "rules",
        "top",
        "decisions",
        "energy",
        "add",
        "arm",
        "disarm",
        "stop",
        "watch",
        "halt",
        "resume",
        "man",
    ] {
        let page = sandbox.path(&format!("man1/hormesis-{command}.1"));
        let page = std::fs::read_to_string(page).unwrap();
        assert!(
            page.contains(&format!("hormesis\\-{command} \\- ")),
            "{command}: {page}"
        );
        assert!(
            written.contains(&format!("hormesis-{command}.1")),
            "{written}"
        );
        assert!(
            root.contains(&format!("hormesis\\-{command}(1)")),
            "{command}"
        );
        assert!(
            script.contains(&format!("hormesis,{command})")),
            "{command}"
        );
    }
    assert!(hormesis(&["man", "add"]).contains(".TH hormesis-add"));
    assert!(hormesis(&["man", "nothing"]).starts_with("exit code: 2"));
}
