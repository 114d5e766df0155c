use std::time::Duration;

use super::*;

fn finish() -> Finish {
    Finish {
        outcome: Outcome::Ok,
        listener: "chat".into(),
        protocol: "http",
        model: None,
        rule: None,
        abort_injected: false,
        output_tokens: None,
        output_units: 0,
        whole: false,
        told: true,
    }
}

fn drained(rings: &mut Rings) -> Vec<(u64, &'static str)> {
    let mut seen = Vec::new();
    rings.drain(|activity| {
        let event = match activity.event {
            Event::Begin { .. } => "begin",
            Event::Done => "done",
            Event::End(_) => "end",
            Event::Hold => "hold",
            Event::Release => "release",
        };
        seen.push((activity.call, event));
    });
    seen
}

#[test]
fn a_full_ring_loses_no_end_and_folds_the_rest() {
    let (mut senders, mut rings) = ledger(1, 1, 12);
    let epoch = rings.epoch();
    let at = |ms| epoch + Duration::from_millis(ms);
    let sender = &mut senders[0];
    for call in 0..10 {
        sender.begin(call, 0, at(10));
    }
    for call in 0..10 {
        sender.end(call, at(30), finish());
    }
    let seen = drained(&mut rings);
    let begun: Vec<u64> = seen
        .iter()
        .filter(|it| it.1 == "begin")
        .map(|it| it.0)
        .collect();
    let ended: Vec<u64> = seen
        .iter()
        .filter(|it| it.1 == "end")
        .map(|it| it.0)
        .collect();
    assert_eq!(begun, [0, 1, 2, 3]);
    assert_eq!(ended, begun);
    let work = rings.folded(0, since(epoch, at(1000)));
    assert_eq!(work.calls, 6);
    assert_eq!(work.active_ns, 6 * 20_000_000);
}

#[test]
fn folded_work_leaves_out_what_was_held() {
    let (mut senders, rings) = ledger(1, 2, 2);
    let epoch = rings.epoch();
    let at = |ms| epoch + Duration::from_millis(ms);
    let sender = &mut senders[0];
    sender.begin(1, 0, at(0));
    sender.begin(2, 1, at(10));
    sender.hold(2, at(20));
    sender.hold(2, at(25));
    assert_eq!(rings.folded(1, since(epoch, at(500))).active_ns, 10_000_000);
    sender.release(2, at(520));
    sender.end(2, at(530), finish());
    let work = rings.folded(1, since(epoch, at(900)));
    assert_eq!((work.calls, work.active_ns), (1, 20_000_000));
    assert_eq!(rings.folded(0, since(epoch, at(900))).calls, 0);
}

#[test]
fn a_hold_keeps_a_place_for_its_release() {
    let (mut senders, mut rings) = ledger(1, 1, 5);
    let now = rings.epoch();
    let sender = &mut senders[0];
    sender.begin(1, 0, now);
    sender.hold(1, now);
    // Two entries in, three owed: no place for another call.
    sender.begin(2, 0, now);
    sender.release(1, now);
    sender.done(1, now);
    sender.end(1, now, finish());
    sender.end(2, now, finish());
    assert_eq!(
        drained(&mut rings),
        [
            (1, "begin"),
            (1, "hold"),
            (1, "release"),
            (1, "done"),
            (1, "end")
        ]
    );
    assert_eq!(rings.folded(0, 0).calls, 1);
}

#[test]
fn what_is_done_is_neither_held_nor_at_work() {
    // The second call finds no place.
    let (mut senders, mut rings) = ledger(1, 1, 4);
    let epoch = rings.epoch();
    let at = |ms| epoch + Duration::from_millis(ms);
    let sender = &mut senders[0];
    for call in [1, 2] {
        sender.begin(call, 0, at(0));
        sender.done(call, at(10));
        sender.done(call, at(11));
        sender.hold(call, at(20));
        sender.release(call, at(30));
        sender.end(call, at(50), finish());
    }
    assert_eq!(drained(&mut rings), [(1, "begin"), (1, "done"), (1, "end")]);
    let work = rings.folded(0, since(epoch, at(900)));
    assert_eq!((work.calls, work.active_ns), (1, 10_000_000));
    // Nothing is owed any more.
    sender.begin(3, 0, at(60));
    sender.end(3, at(70), finish());
    assert_eq!(drained(&mut rings), [(3, "begin"), (3, "end")]);
}

#[test]
fn a_disabled_sender_is_one() {
    let mut sender = ActivitySender::disabled();
    assert!(!sender.is_enabled());
    sender.begin(1, 0, Instant::now());
    sender.end(1, Instant::now(), finish());
    assert!(ledger(1, 1, 8).0[0].is_enabled());
}
