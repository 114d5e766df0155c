//! Counts the instructions that a call costs the sidecar on its way: reading a head, deciding,
//! framing bodies, telling the energy ledger. `make bench` runs it, `make bench ARGS=decide` a part.
//!
//! Instructions are counted by callgrind, which a busy machine does not disturb, so that two builds
//! can be compared anywhere: each case is run a number of times and three times as often, in a
//! process of its own, and the difference leaves out all that is not the case. Allocations and
//! copies count with all that they cost. Times stand beside them, and are worth what the machine's
//! quiet is worth. Without valgrind there are times alone.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, rounds and stops where it cannot go on"
)]

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hormesis::call::{Call, Description, Field, Outcome};
use hormesis::config::RuleConfig;
use hormesis::energy::ledger::{Finish, RING_PLACES, ledger};
use hormesis::http1::{
    BodyScanner, Framing, Request, Upgrade, parse_request, parse_response, strip_in_place,
};
use hormesis::protocol::look::Look;
use hormesis::protocol::{Dialect, ResponseHead, by_name};
use hormesis::rule::{Decision, RuleSet, Setting, decide};
use hormesis::units::Seed;
use tokio::time::Instant;

/// As the official Python client for that API sends it.
const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: 127.0.0.1:9000\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
    Accept: application/json\r\nContent-Type: application/json\r\n\
    User-Agent: OpenAI/Python 2.8.1\r\nX-Stainless-Lang: python\r\n\
    X-Stainless-Package-Version: 2.8.1\r\nX-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\n\
    X-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.11.2\r\n\
    Authorization: Bearer none\r\nX-Stainless-Async: false\r\nX-Stainless-Retry-Count: 0\r\n\
    X-Stainless-Read-Timeout: 600\r\nContent-Length: 118\r\n\r\n";

/// As a server on uvicorn answers a stream.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
    server: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

const MAX_HEAD: usize = 64 << 10;
const MAX_FIELDS: usize = 100;

/// How often a case is run for its instructions, and three times this.
const COUNTED: u64 = 200;
/// How long a case is run for its time, and how many such runs there are.
const TIMED: Duration = Duration::from_millis(20);
const RUNS: usize = 9;

/// Runs a case so many times.
type Run = Box<dyn FnMut(u64)>;

/// A name, and how the case is set up.
struct Case {
    name: String,
    set_up: Box<dyn Fn() -> Run>,
}

fn case(name: impl Into<String>, set_up: impl Fn() -> Run + 'static) -> Case {
    Case {
        name: name.into(),
        set_up: Box::new(set_up),
    }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo's own.
    arguments.retain(|it| it != "--bench");
    let cases: Vec<Case> = [heads(), decisions(), bodies(), energy()]
        .into_iter()
        .flatten()
        .collect();
    if let [flag, name, times] = arguments.as_slice()
        && flag == "--run"
    {
        let case = cases.iter().find(|it| it.name == *name).unwrap();
        (case.set_up)()(times.parse().unwrap());
        return;
    }
    let wanted = |case: &&Case| {
        arguments.is_empty() || arguments.iter().any(|it| case.name.contains(it.as_str()))
    };
    println!("{:<48} {:>14} {:>12}", "", "instructions", "ns");
    for case in cases.iter().filter(wanted) {
        let counted = instructions(case).map_or_else(|| "-".to_owned(), |it| it.to_string());
        println!(
            "{:<48} {counted:>14} {:>12.0}",
            case.name,
            nanoseconds(case)
        );
    }
}

/// Instructions of one run; `None` where there is no valgrind.
fn instructions(case: &Case) -> Option<u64> {
    let less = collected(case, COUNTED)?;
    let more = collected(case, 3 * COUNTED)?;
    Some(more.saturating_sub(less) / (2 * COUNTED))
}

fn collected(case: &Case, times: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--run", &case.name, &times.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|it| it.split_once("Collected :"));
    line.and_then(|(_, count)| count.trim().parse().ok())
}

/// The median of some runs.
fn nanoseconds(case: &Case) -> f64 {
    let mut run = (case.set_up)();
    let mut times = 1;
    let mut measure = |times: u64| {
        let start = Instant::now();
        run(times);
        start.elapsed()
    };
    while measure(times) < TIMED {
        times *= 2;
    }
    let mut runs: Vec<Duration> = (0..RUNS).map(|_| measure(times)).collect();
    runs.sort_unstable();
    runs[RUNS / 2].as_secs_f64() * 1e9 / times as f64
}

fn request(bytes: &[u8]) -> Request {
    let parsed = parse_request(bytes, MAX_HEAD, MAX_FIELDS);
    parsed.unwrap().unwrap()
}

fn heads() -> Vec<Case> {
    vec![
        case("http1: a request's head", || {
            Box::new(|times| {
                for _ in 0..times {
                    black_box(request(black_box(REQUEST)));
                }
            })
        }),
        case("http1: it, and hop-by-hop fields stripped", || {
            let mut buffer = REQUEST.to_vec();
            Box::new(move |times| {
                for _ in 0..times {
                    // A strip moves what stays: each time it is read anew, as from a socket.
                    buffer.copy_from_slice(black_box(REQUEST));
                    let head = request(&buffer);
                    black_box(strip_in_place(&mut buffer[..head.len], &head.fields));
                }
            })
        }),
        case("http1: an answer's head", || {
            Box::new(|times| {
                for _ in 0..times {
                    let parsed = parse_response(black_box(RESPONSE), MAX_HEAD, false, Upgrade::No);
                    black_box(parsed.unwrap().unwrap());
                }
            })
        }),
    ]
}

/// Rules that each select one tenant, and hit each of its calls.
fn rules(count: usize) -> RuleSet {
    let specs = (0..count).map(|tenant| {
        let text = format!(
            "name = \"tenant-{tenant}\"\n\
             select = {{ operation = \"chat.completions\", headers = {{ x-tenant = \"t{tenant}\" }} }}\n\
             faults = [{{ delay = {{ at = \"first-token\", lognormal = {{ median = \"400ms\", p99 = \"3s\" }} }} }}]\n"
        );
        toml::from_str::<RuleConfig>(&text).unwrap().resolve().unwrap()
    });
    RuleSet::compile(
        specs.collect(),
        &Setting {
            listeners: &["chat".into()],
            never: &[],
            dry_run: false,
            at: Duration::ZERO,
            previous: None,
        },
    )
}

/// All that the rules are asked for one call.
fn asked(rules: &RuleSet, call: &Call<'_>, number: u64) -> Decision {
    let listener = rules.listener(0).unwrap();
    let candidates = listener.candidates(call);
    let selected = listener.select(&candidates, call);
    let moments = rules.moments(&selected, number, Duration::from_secs(1));
    decide(rules, &moments, call, Seed(7), false)
}

fn decisions() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in [1, 1_000] {
        for (what, tenant, hits) in [("one hits", "t0", 1), ("none selects", "nobody", 0)] {
            let name = format!("decide: {count} rules, {what}");
            cases.push(case(name, move || {
                let rules = rules(count);
                Box::new(move |times| decide_often(&rules, tenant, hits, times))
            }));
        }
    }
    cases
}

fn decide_often(rules: &RuleSet, tenant: &str, hits: usize, times: u64) {
    let fields = [
        Field {
            name: "content-type",
            value: b"application/json",
        },
        Field {
            name: "x-tenant",
            value: tenant.as_bytes(),
        },
    ];
    let call = Call {
        listener: "chat",
        protocol: "openai",
        method: "POST",
        path: "/v1/chat/completions",
        fields: &fields,
        description: Description {
            operation: Some("chat.completions".into()),
            stream: Some(true),
            ..Description::default()
        },
        ..Call::default()
    };
    // What is counted is what it says.
    assert_eq!(asked(rules, &call, 0).plan.effects.len(), hits);
    for number in 0..times {
        black_box(asked(rules, black_box(&call), number));
    }
}

fn openai() -> &'static dyn Dialect {
    by_name("openai").and_then(|it| it.dialect).unwrap()
}

fn bodies() -> Vec<Case> {
    let stream = || include_bytes!("../tests/data/streams/openai-chat.sse").repeat(16);
    let mut cases = vec![
        case("body: chunks of 256 B in 16 KiB", || {
            let body = [&b"100\r\n"[..], &[b'x'; 256], b"\r\n"].concat().repeat(64);
            Box::new(move |times| {
                for _ in 0..times {
                    let mut scanner = BodyScanner::new(Framing::Chunked);
                    let mut bytes = 0;
                    let scanned = scanner.scan(black_box(&body), |it| bytes += it.len());
                    assert!(scanned.is_ok() && bytes == 256 * 64);
                }
            })
        }),
        case("body: a look for five values in 1 KiB of JSON", || {
            let prompt = "x".repeat(900);
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}],"stream":true,"max_tokens":5}}"#
            );
            let wanted = ["/model", "/stream", "/max_tokens", "/n", "/options/tier"];
            Box::new(move |times| {
                for _ in 0..times {
                    let mut look = Look::new(wanted);
                    look.push(black_box(body.as_bytes()));
                    assert_eq!(black_box(look.finish()).len(), 3);
                }
            })
        }),
    ];
    // A read of a busy stream, and about one event.
    for piece in [16 << 10, 256] {
        let name = format!("sse: 16 streams framed, {piece} B at a time");
        cases.push(case(name, move || {
            let stream = stream();
            Box::new(move |times| (0..times).for_each(|_| frame(&stream, piece)))
        }));
    }
    cases
}

fn frame(stream: &[u8], piece: usize) {
    let fields = [Field {
        name: "content-type",
        value: b"text/event-stream",
    }];
    let head = ResponseHead {
        status: 200,
        fields: &fields,
    };
    let mut ends = Vec::new();
    let mut framer = openai().framer(&Description::default(), &head).unwrap();
    let mut units = 0;
    for bytes in black_box(stream).chunks(piece) {
        ends.clear();
        framer.push(bytes, &mut ends);
        units += ends.len();
    }
    assert!(units > 0, "the stream has units");
}

fn energy() -> Vec<Case> {
    vec![case("energy: a call's begin and end in the ledger", || {
        let listener: Arc<str> = "chat".into();
        let (mut senders, mut rings) = ledger(1, 1, RING_PLACES);
        let at = Instant::now();
        let mut call = 0;
        Box::new(move |times| {
            for _ in 0..times {
                call += 1;
                senders[0].begin(call, 0, at);
                let finish = Finish {
                    outcome: Outcome::Ok,
                    listener: Arc::clone(&listener),
                    protocol: "openai",
                    model: None,
                    rule: None,
                    abort_injected: false,
                    output_tokens: Some(32),
                    output_units: 34,
                    whole: true,
                    told: false,
                };
                senders[0].end(call, at, finish);
                // As the sampler does, so that the ring does not fill up.
                rings.drain(|it| {
                    black_box(it);
                });
            }
        })
    })]
}
