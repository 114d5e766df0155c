//! Byte streams without requests.

use crate::support::sidecar::ending;
use crate::support::{End, Sidecar, Upstream, noise};

#[test]
fn commands_and_replies_pass_both_ways() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address).start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    // The server may speak first.
    server.send("+HELLO\r\n");
    assert_eq!(client.take(8), b"+HELLO\r\n");
    for round in 0..50 {
        let command = format!("*2\r\n$3\r\nGET\r\n$2\r\n{round:02}\r\n");
        client.send(&command);
        assert_eq!(server.take(command.len()), command.as_bytes());
        let reply = noise(round, 1000);
        server.send(&reply);
        assert!(client.take(1000) == reply);
    }
    client.finish();
    assert_eq!(server.end(), End::Fin);
    drop(server);
    assert_eq!(client.end(), End::Fin);
    let record = sidecar.record();
    assert_eq!(ending(&record), "ok/upstream/null");
    assert_eq!(record["response_bytes"], 50_008);
    assert_eq!(record["request_bytes"], 50 * 21);
}

#[test]
fn either_side_may_close_its_half_first() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address).start();
    for client_first in [true, false] {
        let mut client = sidecar.connect();
        let mut server = upstream.accept();
        let (one, other) = if client_first {
            (&mut client, &mut server)
        } else {
            (&mut server, &mut client)
        };
        one.send("last words");
        one.finish();
        assert_eq!(other.rest(), (b"last words".to_vec(), End::Fin));
        other.send("answer");
        other.finish();
        assert_eq!(one.rest(), (b"answer".to_vec(), End::Fin));
    }
}

#[test]
fn large_streams_pass_at_the_same_time() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address).start();
    let mut client = sidecar.connect();
    let mut server = upstream.accept();
    let (up, down) = (noise(1, 3_000_000), noise(2, 3_000_000));
    let mut ends = [
        client.stream.try_clone().unwrap(),
        server.stream.try_clone().unwrap(),
    ];
    std::thread::scope(|scope| {
        let [client_end, server_end] = &mut ends;
        scope.spawn(|| std::io::Write::write_all(client_end, &up).unwrap());
        scope.spawn(|| std::io::Write::write_all(server_end, &down).unwrap());
        scope.spawn(|| assert!(server.take(up.len()) == up));
        assert!(client.take(down.len()) == down);
    });
}

#[test]
fn a_reset_is_passed_on_as_one() {
    // Bare, and through the stages of a rule.
    for fault in [&[][..], &["throttle = { bytes_per_second = \"10MiB\" }"]] {
        let upstream = Upstream::scripted();
        let sidecar = fault
            .iter()
            .fold(Sidecar::tcp(upstream.address), |sidecar, line| {
                sidecar.fault(line)
            })
            .start();
        let client = sidecar.connect();
        let mut server = upstream.accept();
        client.reset();
        assert_eq!(server.end(), End::Reset, "{fault:?}");
        let mut client = sidecar.connect();
        let mut server = upstream.accept();
        client.send("x");
        assert_eq!(server.take(1), b"x");
        server.reset();
        assert_eq!(client.end(), End::Reset, "{fault:?}");
        let records = sidecar.records();
        assert_eq!(ending(&records[0]), "client_abort/downstream/null");
        assert_eq!(ending(&records[1]), "upstream_error/upstream/null");
    }
}

#[test]
fn a_reset_right_after_the_accept_is_passed_on_too() {
    let upstream = Upstream::scripted();
    let sidecar = Sidecar::tcp(upstream.address).start();
    // Early enough to meet some of the connections before they are known to be made.
    for round in 0..100 {
        let mut client = sidecar.connect();
        upstream.accept().reset();
        assert_eq!(client.end(), End::Reset, "round {round}");
    }
}

#[test]
fn a_refused_upstream_ends_the_connection() {
    let sidecar = Sidecar::tcp(Upstream::refusing()).start();
    let mut client = sidecar.connect();
    client.end();
    let record = sidecar.record();
    assert_eq!(ending(&record), "upstream_error/upstream/null");
    assert!(
        record["reason"].as_str().unwrap().contains("refused"),
        "{record:#}"
    );
}
