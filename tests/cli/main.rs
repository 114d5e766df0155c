//! The command line as a user meets it: command, exit code, standard output, standard error.

mod remote;
mod sandbox;
mod service;
mod shipped;
mod start;

use std::io::{Read, Write};

use sandbox::{Sandbox, hormesis};

/// The mistakes of [`seven_mistakes_are_told_at_once`], one a line.
const SEVEN: &str = include_str!("cases/seven-mistakes.toml");

#[test]
#[expect(clippy::too_many_lines, reason = "it is the snapshot that is long")]
fn seven_mistakes_are_told_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", SEVEN);
    insta::assert_snapshot!(sandbox.run(&["check", "hormesis.toml"]), @r#"
    exit code: 2
    ----- stderr -----
      × unknown key `conect_timeout`
        ╭─[hormesis.toml:9:1]
      8 │ endpoints = ["http://127.0.0.1:8000"]
      9 │ conect_timeout = "5s"
        · ──────────────
     10 │ 
        ╰────
      help: did you mean `connect_timeout`?

      × unknown upstream `lmm`
        ╭─[hormesis.toml:14:12]
     13 │ protocol = "openai"
     14 │ upstream = "lmm"
        ·            ─────
     15 │ 
        ╰────
      help: did you mean `llm`?

      × "150%" is no probability
        ╭─[hormesis.toml:19:15]
     18 │ listener = "chat"
     19 │ probability = "150%"
        ·               ──────
     20 │ select = { operaton = "chat.completions" }
        ╰────
      help: give 0% to 100%, or 0 to 1 without a percent sign

      × unknown key `operaton`
        ╭─[hormesis.toml:20:12]
     19 │ probability = "150%"
     20 │ select = { operaton = "chat.completions" }
        ·            ────────
     21 │ limits = { concurrent = 8, share = "a quarter" }
        ╰────
      help: did you mean `operation`?

      × "a quarter" is no probability
        ╭─[hormesis.toml:21:36]
     20 │ select = { operaton = "chat.completions" }
     21 │ limits = { concurrent = 8, share = "a quarter" }
        ·                                    ───────────
     22 │ [[rules.faults]]
        ╰────
      help: give a number from 0 to 1, or a percentage like "5%"

      × 250 has no unit
        ╭─[hormesis.toml:23:39]
     22 │ [[rules.faults]]
     23 │ delay = { at = "first-token", fixed = 250 }
        ·                                       ───
     24 │ 
        ╰────
      help: write "250ms" or "250s"

      × unknown fault `dealy`
        ╭─[hormesis.toml:29:1]
     28 │ [[rules.faults]]
     29 │ dealy = { fixed = "1s" }
        · ─────
        ╰────
      help: did you mean `delay`?

      ⚠ `state_dir` is not set: nothing outlives the process, a halt neither
      help: for example `state_dir = "/var/lib/hormesis"`

    7 errors, 1 warning
    "#);
}

#[test]
fn seven_mistakes_are_told_to_programs_with_line_column_and_help() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", SEVEN);
    let output = sandbox.output(&["check", "--json", "hormesis.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], false);
    let problems = told["problems"].as_array().unwrap();
    let errors = problems.iter().filter(|it| it["severity"] == "error");
    let places: Vec<_> = errors
        .map(|it| {
            assert!(it["help"].is_string(), "{it}");
            (it["line"].as_u64().unwrap(), it["column"].as_u64().unwrap())
        })
        .collect();
    let want = [
        (9, 1),
        (14, 12),
        (19, 15),
        (20, 12),
        (21, 36),
        (23, 39),
        (29, 1),
    ];
    assert_eq!(places, want);
}

#[test]
fn a_right_file_is_fine() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "conf.d/10-upstreams.toml",
        "state_dir = \"state\"\n[upstreams.redis]\nendpoints = [\"redis://127.0.0.1\"]\n",
    );
    sandbox.write(
        "conf.d/20-listeners.toml",
        "[listeners.redis]\nbind = \"${SET_FOR_TESTS}\"\nupstream = \"redis\"\n",
    );
    sandbox.write("conf.d/notes.txt", "not read");
    insta::assert_snapshot!(sandbox.run(&["check", "conf.d"]), @r#"
    exit code: 0
    ----- stdout -----
    fine: 1 listener, 1 upstream, 0 rules, 1 warning
    ----- stderr -----
      ⚠ redis is carried as plain bytes: a call is a connection
       ╭─[conf.d/10-upstreams.toml:3:14]
     2 │ [upstreams.redis]
     3 │ endpoints = ["redis://127.0.0.1"]
       ·              ───────────────────
       ╰────
      help: this version does not read redis commands yet; write tcp:// to say so yourself
    "#);
}

#[test]
fn a_file_that_is_not_there_is_told_with_the_way_to_one() {
    insta::assert_snapshot!(hormesis(&["check", "hormesis.toml"]), @"
    exit code: 2
    ----- stderr -----
      × cannot read hormesis.toml: No such file or directory (os error 2)
      help: `hormesis init > hormesis.toml` writes one to start from

    1 error
    ");
}

#[test]
fn a_mistyped_command_is_answered_with_the_one_that_was_meant() {
    insta::assert_snapshot!(hormesis(&["chek"]), @"
    exit code: 2
    ----- stderr -----
    error: unrecognized subcommand 'chek'

      tip: some similar subcommands exist: 'schema', 'check'

    Usage: hormesis [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_mistyped_flag_is_answered_with_the_one_that_was_meant() {
    insta::assert_snapshot!(hormesis(&["run", "--upsteam", "http://127.0.0.1:1"]), @"
    exit code: 2
    ----- stderr -----
    error: unexpected argument '--upsteam' found

      tip: a similar argument exists: '--upstream'

    Usage: hormesis run [OPTIONS] <CONFIG>...
           hormesis run [OPTIONS] --upstream <URL> --listen <ADDRESS>

    For more information, try '--help'.
    ");
}

#[test]
fn run_needs_a_file_or_an_upstream() {
    insta::assert_snapshot!(hormesis(&["run"]), @"
    exit code: 2
    ----- stderr -----
    error: the following required arguments were not provided:
      <CONFIG>...

    Usage: hormesis run [OPTIONS] <CONFIG>...
           hormesis run [OPTIONS] --upstream <URL> --listen <ADDRESS>

    For more information, try '--help'.
    ");
}

#[test]
fn flags_are_checked_as_a_file_is() {
    let arguments = [
        "run",
        "--upstream",
        "127.0.0.1:8000",
        "--listen",
        "nowhere",
        "--log",
        "off",
    ];
    insta::assert_snapshot!(hormesis(&arguments), @r#"
    exit code: 2
    ----- stderr -----
      × "127.0.0.1:8000" has no scheme
       ╭─[command line:2:14]
     1 │ [upstreams.upstream]
     2 │ endpoints = ["127.0.0.1:8000"]
       ·              ────────────────
     3 │ [listeners.listener]
       ╰────
      help: write "http://127.0.0.1:8000" or "tcp://127.0.0.1:8000"

      × "nowhere" is no address to listen on
       ╭─[command line:4:8]
     3 │ [listeners.listener]
     4 │ bind = "nowhere"
       ·        ─────────
     5 │ upstream = "upstream"
       ╰────
      help: write an IP address and a port, like "127.0.0.1:9000" or "0.0.0.0:9000", or "unix:/path/
            to.sock"

      ⚠ `state_dir` is not set: nothing outlives the process, a halt neither
      help: for example `state_dir = "/var/lib/hormesis"`
    "#);
}

#[test]
fn a_log_filter_that_is_none_is_refused() {
    let arguments = [
        "run",
        "--upstream",
        "tcp://127.0.0.1:1",
        "--listen",
        ":0",
        "--log",
        "a=b=c",
    ];
    insta::assert_snapshot!(hormesis(&arguments), @r#"
    exit code: 2
    ----- stderr -----
    error: --log: "a=b=c" is no log filter: write a level ("info") or levels by module ("info,hormesis::proxy=debug")
    "#);
}

#[test]
fn the_version_is_told() {
    insta::assert_snapshot!(hormesis(&["--version"]), @"
    exit code: 0
    ----- stdout -----
    hormesis [VERSION]
    ");
}

#[test]
fn an_unknown_fault_protocol_or_meter_is_refused_with_those_there_are() {
    insta::assert_snapshot!(hormesis(&["faults", "dealy"]), @r#"
    exit code: 2
    ----- stderr -----
    error: no fault is called "dealy": there are abort, corrupt, delay, disconnect, stall, throttle, truncate
    "#);
    insta::assert_snapshot!(hormesis(&["protocols", "mqtt"]), @r#"
    exit code: 2
    ----- stderr -----
    error: no protocol is called "mqtt": there are grpc, http, open-inference, openai, tcp
    "#);
    insta::assert_snapshot!(hormesis(&["meters", "nvml"]), @r#"
    exit code: 2
    ----- stderr -----
    error: no meter is called "nvml": there are constant, cpu-model, rapl
    "#);
}

#[test]
fn nobody_answers_a_health_check_of_nothing() {
    insta::assert_snapshot!(hormesis(&["health", "unix:/nowhere/admin.sock"]), @"
    exit code: 1
    ----- stdout -----
    unix:/nowhere/admin.sock: no answer: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(hormesis(&["health", "ftp://a"]), @r#"
    exit code: 2
    ----- stderr -----
    error: "ftp://a" is no address: write "http://HOST:PORT/readyz" or "unix:/path/to.sock"
    "#);
}

/// Answers one connection with a status and tells its address.
fn answer_once(status: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = [0; 512];
        let read = stream.read(&mut head).expect("a request");
        assert!(head[..read].starts_with(b"GET /readyz HTTP/1.1\r\n"));
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").expect("an answer");
    });
    format!("http://{address}")
}

#[test]
fn a_health_check_tells_ready_from_not_ready() {
    for (status, code) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let output = Sandbox::new().output(&["health", &answer_once(status)]);
        assert_eq!(output.status.code(), Some(code), "{status}");
    }
}

#[test]
fn a_taken_port_is_found_by_the_doctor_and_refused_by_run_with_its_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let sandbox = Sandbox::new();
    sandbox.write(
        "hormesis.toml",
        format!("[admin]\nbind = \"off\"\n[upstreams.u]\nendpoints = [\"tcp://127.0.0.1:1\"]\n[listeners.l]\nbind = \"{address}\"\nupstream = \"u\"\n"),
    );
    let doctor = sandbox.output(&["doctor", "--json", "hormesis.toml"]);
    assert_eq!(doctor.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    let port = findings.iter().find(|it| it["topic"] == "port").unwrap();
    assert_eq!(port["state"], "wrong");
    assert!(port["fix"].is_string(), "{port}");
    let run = sandbox.run(&["run", "hormesis.toml"]);
    assert!(run.starts_with("exit code: 2"), "{run}");
    assert!(run.contains("hormesis.toml:6"), "{run}");
}

#[test]
fn every_rule_is_explained() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", include_str!("cases/explain.toml"));
    let curl = "curl -s http://127.0.0.1:9000/v1/chat/completions -H 'X-Tenant: canary' -d '{\"model\":\"llama-3\",\"stream\":false}'";
    insta::assert_snapshot!(sandbox.run(&["explain", "hormesis.toml", "--curl", curl]), @r#"
    exit code: 0
    ----- stdout -----
    call 0 on listener `chat` (openai), to upstream `llm`
      model = "llama-3", operation = "chat.completions", stream = false

    rule `other-tenants`
      not selected method is "POST", wants "GET"; headers.x-tenant is "canary", wants {"not":"canary"}

    rule `streams-wait`
      not selected stream is false, wants true

    rule `later`
      denied       by schedule; draw 65.4769% < 100%

    rule `overloaded`
      hit          draw 34.2522% < 100%

    the client
      waits 250ms at before-upstream (delay of `overloaded`)
      gets an injected error at before-upstream (abort of `overloaded`)

      HTTP/1.1 503 Service Unavailable
      content-type: application/json
      retry-after: 1

      {"error":{"code":"engine_overloaded","message":"The engine is currently overloaded, please try again later.","param":null,"type":"server_error"}}
    "#);
}

#[test]
fn a_request_in_a_file_is_explained_like_a_curl_command() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", include_str!("cases/explain.toml"));
    sandbox.write("request", "GET /healthz HTTP/1.1\nHost: 127.0.0.1:9000\n");
    let arguments = [
        "explain",
        "hormesis.toml",
        "--request",
        "request",
        "--listener",
        "chat",
    ];
    insta::assert_snapshot!(sandbox.run(&arguments), @"
    exit code: 0
    ----- stdout -----
    call 0 on listener `chat` (openai), to upstream `llm`

    [safety] never: no rule touches this path
    ");
}

#[test]
fn an_escaped_letter_opens_no_protected_path_here_either() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", include_str!("cases/explain.toml"));
    let curl = "curl http://127.0.0.1:9000/%68ealthz";
    let output = sandbox.output(&["explain", "hormesis.toml", "--json", "--curl", curl]);
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explained["never"], true, "{explained:#}");
}

#[test]
fn the_same_call_is_explained_alike_from_its_record() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", include_str!("cases/explain.toml"));
    let record = r#"{"kind":"call","listener":"chat","number":3,"method":"POST","path":"/v1/chat/completions","operation":"chat.completions","model":"llama-3","stream":true}"#;
    let output = sandbox.output(&["explain", "hormesis.toml", "--json", "--record", record]);
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explained["number"], 3);
    let verdicts: Vec<_> = explained["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["verdict"])
        .collect();
    assert_eq!(
        verdicts,
        ["not_selected", "hit", "denied", "hit"],
        "{explained:#}"
    );
}

#[test]
fn a_preset_is_written_once() {
    let sandbox = Sandbox::new();
    let arguments = ["init", "redis", "--output", "redis.toml"];
    insta::assert_snapshot!(sandbox.run(&arguments), @"
    exit code: 0
    ----- stdout -----
    wrote redis.toml; next: hormesis check redis.toml
    ");
    insta::assert_snapshot!(sandbox.run(&arguments), @"
    exit code: 2
    ----- stderr -----
    error: redis.toml is there already; --force replaces it
    ");
    assert!(
        sandbox
            .run(&["init", "redis", "-o", "redis.toml", "--force"])
            .contains("exit code: 0")
    );
    assert!(
        sandbox
            .run(&["check", "redis.toml"])
            .contains("exit code: 0")
    );
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of mistakes and what is told of them"
)]
fn mistakes_in_conditions_are_pointed_at_inside_them() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "hormesis.toml",
        r#"state_dir = "state"
seed = 1

[upstreams.llm]
endpoints = ["http://127.0.0.1:8000"]

[listeners.chat]
bind = "127.0.0.1:9000"
upstream = "llm"

[safety]
stop_when = [
  "eror_rate(chat) > 25%",
  "error_rate(chatt) > 25% for 10s",
  'latency.p99(chat) > 25%',
  "rate(chat)",
  "first_token.p99 > 2s",
]
"#,
    );
    insta::assert_snapshot!(sandbox.run(&["check", "hormesis.toml"]), @r#"
    exit code: 2
    ----- stderr -----
      × there is no measure `eror_rate`
        ╭─[hormesis.toml:13:4]
     12 │ stop_when = [
     13 │   "eror_rate(chat) > 25%",
        ·    ─────────
     14 │   "error_rate(chatt) > 25% for 10s",
        ╰────
      help: did you mean `error_rate`?

      × there is no listener `chatt`
        ╭─[hormesis.toml:14:15]
     13 │   "eror_rate(chat) > 25%",
     14 │   "error_rate(chatt) > 25% for 10s",
        ·               ─────
     15 │   'latency.p99(chat) > 25%',
        ╰────
      help: did you mean `chat`?

      × `latency` is a time, and `25%` is none
        ╭─[hormesis.toml:15:24]
     14 │   "error_rate(chatt) > 25% for 10s",
     15 │   'latency.p99(chat) > 25%',
        ·                        ───
     16 │   "rate(chat)",
        ╰────
      help: write it like `300ms` or `1.5s`

      × this compares nothing, so it can never be true
        ╭─[hormesis.toml:16:3]
     15 │   'latency.p99(chat) > 25%',
     16 │   "rate(chat)",
        ·   ────────────
     17 │   "first_token.p99 > 2s",
        ╰────
      help: write it like `rate(chat) > 50/s`

      ⚠ `first_token.p99` has no value: no tokens are read there
        ╭─[hormesis.toml:17:3]
     16 │   "rate(chat)",
     17 │   "first_token.p99 > 2s",
        ·   ──────────────────────
     18 │ ]
        ╰────
      help: add `observe = ["tokens"]` to the listener

    4 errors, 1 warning
    "#);
}
