//! Each toxic on a chain whose time the test sets: no socket, no clock.

use std::time::Duration;

use super::*;
use crate::toxic::{ProxyState, Toxic};

#[path = "chain_property_tests.rs"]
mod property;

const MS: Duration = Duration::from_millis(1);

/// One direction of one connection, and the proxy that it belongs to.
struct Bench {
    proxy: ProxyState,
    chain: Chain,
    start: Instant,
    now: Instant,
    /// What has left, and when, in microseconds from the start.
    left: Vec<(u64, Vec<u8>)>,
}

impl Bench {
    fn new(kinds: &[ToxicKind]) -> Self {
        Self::of_connection(0, kinds)
    }

    fn of_connection(connection: u64, kinds: &[ToxicKind]) -> Self {
        let proxy = ProxyState::new("p");
        for (number, kind) in kinds.iter().enumerate() {
            assert!(proxy.add(toxic(&format!("t{number}"), *kind, 1.0)));
        }
        let start = Instant::now();
        let mut chain = Chain::new(Drawn {
            seed: Seed(7),
            listener: "l".into(),
            connection,
            direction: Direction::Downstream,
        });
        chain.refresh(&proxy.toxics(), Came::First, start);
        Self {
            proxy,
            chain,
            start,
            now: start,
            left: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, kind: ToxicKind, toxicity: f32) {
        assert!(self.proxy.add(toxic(name, kind, toxicity)));
        self.refresh();
    }

    fn update(&mut self, name: &str, kind: ToxicKind) {
        assert!(self.proxy.update(name, kind, 1.0).is_some());
        self.refresh();
    }

    fn remove(&mut self, name: &str) {
        assert!(self.proxy.remove(name));
        self.refresh();
    }

    fn refresh(&mut self) {
        self.chain
            .refresh(&self.proxy.toxics(), Came::Later, self.now);
        self.settle();
    }

    /// A piece comes in, where there is room.
    fn push(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let room = self.chain.has_room();
        if room {
            let bytes = Bytes::copy_from_slice(bytes.as_ref());
            self.chain.push(Chunk {
                bytes,
                at: self.now,
            });
            self.settle();
        }
        room
    }

    fn end(&mut self) {
        self.chain.end();
        self.settle();
    }

    /// All that can leave now leaves; the time of the next look.
    fn settle(&mut self) -> Option<Instant> {
        loop {
            let wake = self.chain.advance(self.now);
            let Some(chunk) = self.chain.out().pop() else {
                return wake;
            };
            let at = self.now - self.start;
            let at = u64::try_from(at.as_micros()).unwrap();
            self.left.push((at, chunk.bytes.to_vec()));
        }
    }

    /// Goes on to this time after the start, with a look whenever one is asked for.
    fn until(&mut self, time: Duration) {
        let end = self.start + time;
        while let Some(wake) = self.settle().filter(|wake| *wake <= end) {
            assert!(wake > self.now, "asked to look again at once");
            self.now = wake;
        }
        self.now = end;
        self.settle();
    }

    /// What has left since this was last asked: milliseconds and text.
    fn seen(&mut self) -> Vec<(u64, String)> {
        let left = std::mem::take(&mut self.left);
        let seen = left.into_iter();
        seen.map(|(at, bytes)| (at / 1000, String::from_utf8(bytes).unwrap()))
            .collect()
    }

    fn is_over(&self) -> bool {
        self.chain.is_over()
    }

    fn closed_by(&self) -> Option<&str> {
        let placed = self.chain.closed_by.as_ref();
        placed.map(|it| &*it.toxic.name)
    }
}

fn toxic(name: &str, kind: ToxicKind, toxicity: f32) -> Toxic {
    Toxic {
        name: name.into(),
        kind,
        direction: Direction::Downstream,
        toxicity,
    }
}

const fn latency(latency_ms: i64, jitter_ms: i64) -> ToxicKind {
    ToxicKind::Latency {
        latency_ms,
        jitter_ms,
    }
}

const fn bandwidth(rate_kb: i64) -> ToxicKind {
    ToxicKind::Bandwidth { rate_kb }
}

const fn slicer(average_size: i64, size_variation: i64, delay_us: i64) -> ToxicKind {
    ToxicKind::Slicer {
        average_size,
        size_variation,
        delay_us,
    }
}

fn at(seen: &[(u64, String)]) -> Vec<(u64, &str)> {
    seen.iter().map(|(at, text)| (*at, &**text)).collect()
}

#[test]
fn latency_counts_from_the_read_and_costs_no_throughput() {
    let mut bench = Bench::new(&[latency(100, 0)]);
    bench.push("a");
    bench.until(30 * MS);
    bench.push("b");
    bench.until(99 * MS);
    assert!(bench.seen().is_empty());
    bench.until(200 * MS);
    assert_eq!(at(&bench.seen()), [(100, "a"), (130, "b")]);
    // The end is not delayed, but comes after what came before it.
    bench.push("c");
    bench.end();
    assert!(!bench.is_over());
    bench.until(300 * MS);
    assert_eq!(at(&bench.seen()), [(300, "c")]);
    assert!(bench.is_over() && bench.closed_by().is_none());
    let mut idle = Bench::new(&[latency(100, 0)]);
    idle.end();
    assert!(idle.is_over());
}

#[test]
fn latency_holds_1024_pieces_and_then_reads_no_more() {
    let mut bench = Bench::new(&[latency(100, 0)]);
    for _ in 0..1024 {
        assert!(bench.push("x"));
    }
    assert!(!bench.push("y"));
    bench.until(100 * MS);
    assert_eq!(bench.seen().len(), 1024);
    assert!(bench.push("y"));
}

#[test]
fn two_latencies_add_up() {
    let mut bench = Bench::new(&[latency(100, 0), latency(50, 0)]);
    bench.push("a");
    bench.push("b");
    bench.until(10 * MS);
    bench.push("c");
    bench.until(500 * MS);
    assert_eq!(at(&bench.seen()), [(150, "a"), (150, "b"), (160, "c")]);
}

#[test]
fn jitter_is_a_whole_number_of_milliseconds_around_the_latency() {
    let mut delays = Vec::new();
    for connection in 0..400 {
        let mut bench = Bench::of_connection(connection, &[latency(100, 3)]);
        bench.push("a");
        bench.until(200 * MS);
        assert_eq!(bench.left[0].0 % 1000, 0);
        delays.push(bench.left[0].0 / 1000);
    }
    delays.sort_unstable();
    delays.dedup();
    assert_eq!(delays, [97, 98, 99, 100, 101, 102]);
}

#[test]
fn a_latency_below_nothing_or_beyond_time_does_no_harm() {
    let mut bench = Bench::new(&[latency(-5, 0)]);
    bench.push("a");
    assert_eq!(at(&bench.seen()), [(0, "a")]);
    let mut bench = Bench::new(&[latency(i64::MAX, i64::MAX)]);
    bench.push("a");
    bench.until(1000 * MS);
    assert!(bench.seen().is_empty());
    bench.remove("t0");
    assert_eq!(at(&bench.seen()), [(1000, "a")]);
}

#[test]
fn a_removed_latency_gives_all_back_at_once_and_in_order() {
    let mut bench = Bench::new(&[latency(3_600_000, 0)]);
    for piece in ["a", "b", "c"] {
        bench.push(piece);
    }
    bench.until(5 * MS);
    bench.remove("t0");
    assert_eq!(at(&bench.seen()), [(5, "a"), (5, "b"), (5, "c")]);
    assert!(bench.chain.is_bare());
}

#[test]
fn an_updated_latency_lets_go_of_the_first_and_delays_the_others_as_it_is_now() {
    let mut bench = Bench::new(&[latency(3_600_000, 0)]);
    bench.push("a");
    bench.push("b");
    bench.until(20 * MS);
    bench.update("t0", latency(50, 0));
    bench.until(100 * MS);
    // From the read, as before.
    assert_eq!(at(&bench.seen()), [(20, "a"), (50, "b")]);
}

#[test]
fn bandwidth_takes_its_time_for_each_piece_and_slices_large_ones() {
    // 10 KB/s: a slice of 1,000 bytes each 100 ms.
    let mut bench = Bench::new(&[bandwidth(10)]);
    bench.push("x".repeat(2500));
    bench.until(1000 * MS);
    let seen: Vec<(u64, usize)> = bench.seen().iter().map(|it| (it.0, it.1.len())).collect();
    assert_eq!(seen, [(100, 1000), (200, 1000), (250, 500)]);
    // A small one as long as its bytes take.
    bench.push("y".repeat(300));
    bench.until(1029 * MS);
    assert!(bench.seen().is_empty());
    bench.until(1030 * MS);
    assert_eq!(bench.seen().len(), 1);
    assert!(bench.chain.take_acted().len() == 1);
}

#[test]
fn bandwidth_catches_up_what_was_looked_at_late() {
    let mut bench = Bench::new(&[bandwidth(10)]);
    bench.push("x".repeat(2000));
    bench.now += 150 * MS;
    bench.settle();
    bench.until(400 * MS);
    let times: Vec<u64> = bench.seen().iter().map(|it| it.0).collect();
    assert_eq!(times, [150, 200]);
}

#[test]
fn bandwidth_zero_stalls_until_it_is_changed() {
    for rate in [0, -3] {
        let mut bench = Bench::new(&[bandwidth(rate)]);
        bench.push("held");
        bench.end();
        bench.until(Duration::from_secs(3600));
        assert!(bench.seen().is_empty() && !bench.is_over());
        bench.update("t0", bandwidth(1));
        assert_eq!(bench.seen().len(), 1);
        assert!(bench.is_over());
    }
    // The end of a stream that has nothing passes.
    let mut bench = Bench::new(&[bandwidth(0)]);
    bench.end();
    assert!(bench.is_over());
}

#[test]
fn slow_close_delays_the_end_alone() {
    let mut bench = Bench::new(&[ToxicKind::SlowClose { delay_ms: 100 }]);
    bench.push("a");
    assert_eq!(at(&bench.seen()), [(0, "a")]);
    bench.until(10 * MS);
    bench.end();
    bench.until(109 * MS);
    assert!(!bench.is_over());
    bench.until(110 * MS);
    assert!(bench.is_over() && bench.closed_by().is_none());
    let mut bench = Bench::new(&[ToxicKind::SlowClose { delay_ms: 100 }]);
    bench.end();
    bench.remove("t0");
    assert!(bench.is_over());
}

#[test]
fn a_timeout_fires_whatever_traffic_there_is() {
    let mut bench = Bench::new(&[ToxicKind::Timeout { timeout_ms: 100 }]);
    for time in (10..100).step_by(10) {
        assert!(bench.push("dropped"));
        bench.until(time * MS);
        assert!(!bench.is_over());
    }
    bench.until(100 * MS);
    assert!(bench.is_over());
    assert_eq!(bench.closed_by(), Some("t0"));
    assert!(bench.seen().is_empty() && !bench.push("more"));
}

#[test]
fn a_timeout_of_zero_never_fires_and_its_removal_closes() {
    let mut bench = Bench::new(&[ToxicKind::Timeout { timeout_ms: 0 }]);
    bench.push("dropped");
    bench.until(Duration::from_secs(86_400));
    assert!(!bench.is_over());
    bench.remove("t0");
    assert!(bench.is_over());
    assert_eq!(bench.closed_by(), Some("t0"));
    // The source's own end passes.
    let mut bench = Bench::new(&[ToxicKind::Timeout { timeout_ms: 0 }]);
    bench.end();
    assert!(bench.is_over() && bench.closed_by().is_none());
}

#[test]
fn a_timeout_that_never_acted_closes_nothing() {
    let mut bench = Bench::new(&[]);
    bench.add("none", ToxicKind::Timeout { timeout_ms: 10 }, 0.0);
    bench.push("a");
    bench.until(100 * MS);
    assert_eq!(at(&bench.seen()), [(0, "a")]);
    bench.remove("none");
    assert!(!bench.is_over() && bench.chain.take_acted().is_empty());
}

#[test]
fn an_updated_timeout_counts_from_then() {
    let mut bench = Bench::new(&[ToxicKind::Timeout { timeout_ms: 0 }]);
    bench.until(500 * MS);
    bench.update("t0", ToxicKind::Timeout { timeout_ms: 100 });
    bench.until(599 * MS);
    assert!(!bench.is_over());
    // A neighbour that comes does not put it off.
    bench.add("later", ToxicKind::Noop, 1.0);
    bench.until(600 * MS);
    assert!(bench.is_over());
}

#[test]
fn reset_peer_waits_for_the_first_bytes_or_the_end() {
    let reset = ToxicKind::ResetPeer { timeout_ms: 100 };
    let mut bench = Bench::new(&[reset]);
    bench.until(500 * MS);
    assert!(!bench.is_over());
    bench.push("a");
    bench.until(599 * MS);
    assert!(!bench.is_over());
    bench.until(600 * MS);
    assert!(bench.is_over() && bench.seen().is_empty());
    assert!(bench.chain.resets() && bench.closed_by() == Some("t0"));
    let mut bench = Bench::new(&[reset]);
    bench.end();
    bench.until(99 * MS);
    assert!(!bench.is_over());
    bench.until(100 * MS);
    assert!(bench.is_over());
}

#[test]
fn a_reset_that_is_taken_away_in_time_gives_the_bytes_back() {
    let mut bench = Bench::new(&[ToxicKind::ResetPeer { timeout_ms: 100 }]);
    bench.push("a");
    bench.until(50 * MS);
    bench.remove("t0");
    assert_eq!(at(&bench.seen()), [(50, "a")]);
    bench.until(200 * MS);
    assert!(!bench.is_over() && !bench.chain.resets());
}

#[test]
fn a_reset_that_came_later_only_closes() {
    let mut bench = Bench::new(&[]);
    bench.add("late", ToxicKind::ResetPeer { timeout_ms: 0 }, 1.0);
    bench.push("a");
    assert!(bench.is_over() && !bench.chain.resets());
    let mut bench = Bench::new(&[]);
    bench.add("none", ToxicKind::ResetPeer { timeout_ms: 0 }, 0.0);
    bench.push("a");
    assert!(!bench.is_over());
}

#[test]
fn slices_vary_around_half_and_pause_after_each() {
    let mut bench = Bench::new(&[slicer(10, 0, 1000)]);
    bench.push("x".repeat(40));
    bench.until(100 * MS);
    let seen: Vec<(u64, usize)> = bench.seen().iter().map(|it| (it.0, it.1.len())).collect();
    assert_eq!(seen, [(0, 10), (1, 10), (2, 10), (3, 10)]);
    let mut bench = Bench::new(&[slicer(1000, 500, 0)]);
    bench.push("x".repeat(30_000));
    let lengths: Vec<usize> = bench.seen().iter().map(|it| it.1.len()).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 30_000);
    assert!(
        lengths.iter().all(|it| (1..=1500).contains(it)),
        "{lengths:?}"
    );
    assert!(lengths.iter().any(|it| *it != lengths[0]));
}

#[test]
fn what_crashes_the_original_slicer_only_slices() {
    for kind in [
        slicer(0, 0, 0),
        slicer(10, 5000, 0),
        slicer(-1, -1, -1),
        slicer(1, i64::MAX, 0),
    ] {
        let mut bench = Bench::new(&[kind]);
        let sent: String = "0123456789".repeat(300);
        bench.push(&sent);
        let got: String = bench.seen().into_iter().map(|it| it.1).collect();
        assert_eq!(got, sent);
    }
}

#[test]
fn limit_data_passes_so_many_bytes_and_counts_on_over_updates() {
    let limit = |bytes| ToxicKind::LimitData { bytes };
    let mut bench = Bench::new(&[limit(5)]);
    bench.push("abc");
    assert!(!bench.is_over());
    bench.update("t0", limit(6));
    bench.push("defgh");
    assert_eq!(at(&bench.seen()), [(0, "abc"), (0, "def")]);
    assert!(bench.is_over());
    assert_eq!(bench.closed_by(), Some("t0"));
    // Exactly so many are enough to end it.
    let mut bench = Bench::new(&[limit(3)]);
    bench.push("abc");
    assert!(bench.is_over());
    // Less than has passed: at the next bytes.
    let mut bench = Bench::new(&[limit(100)]);
    bench.push("abc");
    bench.update("t0", limit(2));
    assert!(!bench.is_over());
    bench.push("d");
    assert_eq!(at(&bench.seen()), [(0, "abc")]);
    assert!(bench.is_over());
    // A neighbour's coming or going does not begin it anew.
    let mut bench = Bench::new(&[limit(5)]);
    bench.push("abc");
    bench.add("later", ToxicKind::Noop, 1.0);
    bench.push("def");
    assert!(bench.is_over());
}

#[test]
fn a_limit_of_nothing_closes_at_the_first_bytes() {
    let mut bench = Bench::new(&[ToxicKind::LimitData { bytes: 0 }]);
    assert!(!bench.is_over());
    bench.push("a");
    assert!(bench.is_over() && bench.seen().is_empty());
}

#[test]
fn an_end_that_a_toxic_makes_passes_the_later_ones() {
    let mut bench = Bench::new(&[ToxicKind::LimitData { bytes: 3 }, latency(100, 0)]);
    bench.push("abcdef");
    assert!(!bench.is_over() && !bench.push("more"));
    // Taken away, it stays closed.
    bench.remove("t0");
    bench.until(100 * MS);
    assert_eq!(at(&bench.seen()), [(100, "abc")]);
    assert!(bench.is_over());
}

#[test]
fn toxicity_is_decided_once_and_anew_with_each_change() {
    let share = |toxicity: f32| {
        let mut acting = 0;
        for connection in 0..2000 {
            let mut bench = Bench::of_connection(connection, &[]);
            bench.add("t", latency(3_600_000, 0), toxicity);
            for _ in 0..3 {
                bench.push("a");
            }
            let passed = bench.seen().len();
            assert!(passed == 0 || passed == 3, "decided in the middle");
            acting += usize::from(passed == 0);
        }
        acting
    };
    assert_eq!((share(0.0), share(-1.0), share(f32::NAN)), (0, 0, 0));
    assert_eq!((share(1.0), share(7.0)), (2000, 2000));
    // 4σ of a binomial with n = 2,000 and p = 0.3 is 82.
    assert!(share(0.3).abs_diff(600) < 82, "{}", share(0.3));

    let mut bench = Bench::new(&[]);
    bench.add("t", latency(0, 0), 0.5);
    let mut acts = Vec::new();
    for _ in 0..64 {
        acts.push(bench.chain.stages[0].acts);
        bench.proxy.update("t", latency(0, 0), 0.5).unwrap();
        bench.refresh();
    }
    assert!(acts.contains(&true) && acts.contains(&false));
}

#[test]
fn a_toxic_added_in_the_middle_leaves_what_has_passed_alone() {
    let mut bench = Bench::new(&[latency(100, 0)]);
    bench.push("a");
    bench.push("b");
    bench.until(10 * MS);
    // It interrupts the one before it, whose first piece leaves at once: into the new one.
    bench.add("limit", ToxicKind::LimitData { bytes: 1 }, 1.0);
    assert_eq!(at(&bench.seen()), [(10, "a")]);
    assert!(bench.is_over());
}
