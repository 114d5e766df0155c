//! The load against servers that behave, fail, cut and stall.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use hormesis::load::{Arrivals, Flow, Line, LoadOptions, LoadReport, PhaseSpec, run};

use crate::server::ModelServer;

fn flow(address: SocketAddr, per_second: f64) -> Flow {
    Flow {
        name: "calls".to_owned(),
        address,
        path: "/".to_owned(),
        bodies: vec!["{}".to_owned()],
        per_second,
        stream: false,
    }
}

fn options(flows: Vec<Flow>, duration_ms: u64) -> LoadOptions {
    LoadOptions {
        seed: 1,
        arrivals: Arrivals::Fixed,
        flows,
        duration_ms,
        phases: vec![PhaseSpec {
            name: "first half".to_owned(),
            start_ms: 0,
            end_ms: duration_ms / 2,
        }],
        in_flight: 8,
        timeout_ms: 10_000,
    }
}

fn make(options: LoadOptions) -> (LoadReport, String) {
    let mut out = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(run(options, &mut out)).unwrap();
    (report, String::from_utf8(out).unwrap())
}

/// Answers each connection's one request by `answer`, in the order of connections.
fn serve_with(answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut chunk = [0; 1024];
            // The body is the two bytes after the head.
            while !head.ends_with(b"\r\n\r\n{}") {
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0, "the client left early");
                head.extend_from_slice(&chunk[..count]);
            }
            answer(number, &mut stream);
        }
    });
    address
}

fn reply(stream: &mut TcpStream, status: &str, header: &str) {
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
}

#[test]
fn calls_to_a_model_server_are_counted_by_flow_and_phase() {
    let server = ModelServer::start();
    let mut chat = flow(server.address, 5.0);
    chat.name = "chat".to_owned();
    chat.path = "/v1/chat/completions".to_owned();
    chat.stream = true;
    chat.bodies = vec![
        r#"{"model":"river-letters","stream":true,"max_tokens":3,"temperature":0,"messages":[{"role":"user","content":"x"}]}"#
            .to_owned(),
    ];
    let (report, out) = make(options(vec![chat, flow(server.address, 10.0)], 1200));
    // The other flow posts to "/", which is not found: an error of the upstream's.
    assert_eq!(report.total.calls, 6 + 12);
    assert_eq!(report.total.ok, 6);
    assert_eq!(report.total.errors.upstream, 12);
    let half = &report.phases[0];
    assert_eq!(half.by_flow["chat"].calls, 3);
    assert_eq!(half.by_flow["calls"].calls, 6);
    assert!(report.total.tokens >= 6);
    assert!(report.total.first_token.is_some());
    assert_eq!(report.seconds.len(), 2);
    let lines: Vec<Line> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.last(), Some(&Line::Final(report)));
    assert!(matches!(lines[0], Line::Live(_)));
}

#[test]
fn failures_are_told_apart() {
    let address = serve_with(|number, stream| match number {
        0 => reply(stream, "503 x", "x-hormesis-origin: injected\r\n"),
        1 => reply(stream, "502 x", "x-hormesis-origin: proxy\r\n"),
        2 => reply(stream, "500 x", ""),
        // An answer that breaks off.
        3 => write!(stream, "HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\nab").unwrap(),
        _ => reply(stream, "200 x", ""),
    });
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut flows = vec![flow(address, 10.0), flow(gone.local_addr().unwrap(), 2.0)];
    drop(gone);
    flows[1].name = "gone".to_owned();
    let mut options = options(flows, 500);
    options.in_flight = 1;
    let errors = make(options).0.total.errors;
    assert_eq!((errors.injected, errors.proxy, errors.upstream), (1, 1, 1));
    assert_eq!((errors.cut, errors.refused, errors.timed_out), (1, 1, 0));
}

#[test]
fn a_stall_cannot_hide_behind_the_calls_it_delays() {
    // One client, ten calls due within 100 ms, 50 ms each: the last one waits for all others.
    let address = serve_with(|_, stream| {
        std::thread::sleep(Duration::from_millis(50));
        reply(stream, "200 x", "");
    });
    let mut options = options(vec![flow(address, 100.0)], 100);
    options.in_flight = 1;
    let latency = make(options).0.total.latency.unwrap();
    assert_eq!(latency.count, 10);
    assert!(latency.max_us >= 10 * 50_000 - 90_000, "{latency:?}");
}

#[test]
fn a_call_is_given_up_in_time() {
    let address = serve_with(|_, stream| {
        // Silent until the client leaves.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).ok();
    });
    let mut options = options(vec![flow(address, 10.0)], 100);
    options.timeout_ms = 50;
    let total = make(options).0.total;
    assert_eq!((total.calls, total.errors.timed_out), (1, 1));
    assert_eq!(total.latency, None);
}
