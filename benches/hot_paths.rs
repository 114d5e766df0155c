//! Times what a call costs the sidecar on its way: reading a head, deciding, framing a stream,
//! telling the energy ledger. `make bench` runs it.
//!
//! The figures are wall-clock times of the machine that it runs on: compare two builds on one quiet
//! machine, never two machines. Counts of instructions, which a busy machine does not change and
//! which a check of each change can hold a bound to, come with the next issue.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops where it cannot go on"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use globset::GlobSet;
use hormesis::call::{Call, Description, Field, Outcome};
use hormesis::config::RuleConfig;
use hormesis::energy::ledger::{Finish, RING_PLACES, ledger};
use hormesis::http1::{Request, Upgrade, parse_request, parse_response, strip_in_place};
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

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    heads(&mut criterion);
    decisions(&mut criterion);
    framing(&mut criterion);
    energy(&mut criterion);
    criterion.final_summary();
}

fn request(bytes: &[u8]) -> Request {
    let parsed = parse_request(bytes, MAX_HEAD, MAX_FIELDS);
    parsed.unwrap().unwrap()
}

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http1");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    group.bench_function("parse a request's head", |bencher| {
        bencher.iter(|| request(black_box(REQUEST)));
    });
    group.bench_function("parse it and strip hop-by-hop fields", |bencher| {
        let mut buffer = REQUEST.to_vec();
        bencher.iter(|| {
            // A strip moves what stays: each time it is read anew, as from a socket.
            buffer.copy_from_slice(black_box(REQUEST));
            let head = request(&buffer);
            strip_in_place(&mut buffer[..head.len], &head.fields)
        });
    });
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    group.bench_function("parse an answer's head", |bencher| {
        bencher.iter(|| {
            let parsed = parse_response(black_box(RESPONSE), MAX_HEAD, false, Upgrade::No);
            parsed.unwrap().unwrap()
        });
    });
    group.finish();
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
            never: &GlobSet::empty(),
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

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for count in [1, 1_000] {
        let rules = rules(count);
        for (what, tenant, hits) in [("one hits", "t0", 1), ("none selects", "nobody", 0)] {
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
            // What is timed is what it says.
            assert_eq!(asked(&rules, &call, 0).plan.effects.len(), hits);
            let mut number = 0;
            group.bench_function(format!("{count} rules, {what}"), |bencher| {
                bencher.iter(|| {
                    number += 1;
                    asked(&rules, black_box(&call), number)
                });
            });
        }
    }
    group.finish();
}

fn openai() -> &'static dyn Dialect {
    by_name("openai").and_then(|it| it.dialect).unwrap()
}

fn framing(criterion: &mut Criterion) {
    let stream = include_bytes!("../tests/data/streams/openai-chat.sse").repeat(16);
    let fields = [Field {
        name: "content-type",
        value: b"text/event-stream",
    }];
    let head = ResponseHead {
        status: 200,
        fields: &fields,
    };
    let mut group = criterion.benchmark_group("sse");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    // A read of a busy stream, and about one event.
    for piece in [16 << 10, 256] {
        group.bench_function(
            format!("frame and classify, {piece} B at a time"),
            |bencher| {
                let mut ends = Vec::new();
                bencher.iter(|| {
                    let mut framer = openai().framer(&Description::default(), &head).unwrap();
                    let mut units = 0;
                    for bytes in black_box(&stream).chunks(piece) {
                        ends.clear();
                        framer.push(bytes, &mut ends);
                        units += ends.len();
                    }
                    assert!(units > 0, "the stream has units");
                    units
                });
            },
        );
    }
    group.finish();
}

fn energy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("energy ledger");
    let listener: Arc<str> = "chat".into();
    let finish = || Finish {
        outcome: Outcome::Ok,
        listener: Arc::clone(&listener),
        protocol: "openai",
        model: None,
        rule: None,
        abort_injected: false,
        output_tokens: Some(32),
        output_units: 34,
    };
    let at = Instant::now();
    group.bench_function("a call's begin and end", |bencher| {
        let (mut senders, mut rings) = ledger(1, 1, RING_PLACES);
        let mut call = 0;
        bencher.iter_batched(
            // The sampler keeps the ring from filling up; its work is not the worker's.
            || rings.drain(drop),
            |()| {
                call += 1;
                senders[0].begin(call, 0, at);
                senders[0].end(call, at, finish());
            },
            BatchSize::NumIterations(1_000),
        );
    });
    group.finish();
}
