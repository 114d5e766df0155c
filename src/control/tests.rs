use std::fs;
use std::sync::Barrier;
use std::thread;

use tempfile::{TempDir, tempdir};
use tokio::sync::Notify;

use crate::measure::Counting;
use crate::record::DecisionLog;
use crate::record::{DecisionLevel, LogSettings};
use crate::rule::{RuleCell, RuleSet};
use crate::snapshot::{Bind, HeadPolicy, Limits, ListenerSpec, Observe, ProtocolSpec, Safety};
use crate::units::Seed;

use super::*;

fn snapshot(generation: u64, cells: &[&Arc<RuleCell>]) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        generation,
        seed: Seed(7),
        listeners: vec![ListenerSpec {
            name: "chat".into(),
            bind: Bind::Tcp("127.0.0.1:0".parse().unwrap()),
            place: "test:1".to_owned(),
            protocol: ProtocolSpec::Tcp,
            upstream: 0,
            routes: Vec::new(),
            tls: None,
            proxy_protocol: false,
            hide_origin: false,
            heads: HeadPolicy::default(),
            observe: Observe::default(),
            state: Arc::default(),
            toxics: None,
        }],
        upstreams: Vec::new(),
        rules: Arc::new(RuleSet::of_cells(cells.iter().copied().cloned().collect())),
        safety: Safety {
            never: Vec::new(),
            max_delay_per_call: Duration::from_secs(300),
            max_faults_per_call: 8,
            dry_run: false,
            stop_when: Vec::new(),
            counting: Counting::default(),
            max_ttl: Duration::from_secs(3600),
            halt_file: None,
        },
        limits: Limits::default(),
        watched: Vec::new(),
    })
}

fn cell(name: &str) -> Arc<RuleCell> {
    Arc::new(RuleCell::new(name.into(), true))
}

pub(super) fn handle(cells: &[&Arc<RuleCell>], state_dir: Option<&Path>) -> Handle {
    let live = Arc::new(Live::new(snapshot(1, cells)));
    let log = DecisionLog::start(&LogSettings {
        decisions: DecisionLevel::Off,
        ..LogSettings::default()
    })
    .unwrap();
    Handle::new(live, CounterRegistry::default(), log.stats(), state_dir).unwrap()
}

fn state() -> (TempDir, std::path::PathBuf) {
    let dir = tempdir().unwrap();
    let state = dir.path().join("state");
    (dir, state)
}

/// Whether the bell rang since it was last asked.
fn rang(bell: &Notify) -> bool {
    now(bell.notified()).is_some()
}

/// The result of a future that is ready, without a runtime.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn a_halt_revokes_every_rule_rings_every_worker_and_holds() {
    let (slow, broken) = (cell("slow"), cell("broken"));
    let handle = handle(&[&slow, &broken], None);
    let bells = [handle.live().doorbell(), handle.live().doorbell()];
    let epochs = [slow.epoch(), broken.epoch()];
    let changes = handle.live().changes();

    let halt = handle.halt("too many errors").unwrap();
    assert!(handle.live().halted());
    assert!(slow.epoch() > epochs[0] && broken.epoch() > epochs[1]);
    assert!(bells.iter().all(|bell| rang(bell)));
    assert!(handle.live().changes() > changes);
    // Latched: whoever comes second does not change the reason.
    assert_eq!(handle.halt("again").unwrap(), halt);
    assert_eq!(handle.halted().unwrap().reason, "too many errors");
    // Arming a rule does not end a halt.
    handle.arm("slow", None).unwrap();
    assert!(handle.live().halted());

    assert!(handle.resume().unwrap());
    assert!(!handle.live().halted());
    assert!(slow.is_armed() && broken.is_armed());
    assert!(!handle.resume().unwrap());
}

#[test]
fn a_halted_sidecar_starts_halted_until_it_is_resumed() {
    let (_dir, state) = state();
    handle(&[], Some(&state)).halt("kept").unwrap();
    let second = handle(&[], Some(&state));
    assert!(second.live().halted());
    assert_eq!(second.halted().unwrap().reason, "kept");
    second.resume().unwrap();
    assert!(!handle(&[], Some(&state)).live().halted());
}

#[test]
fn a_kept_halt_that_cannot_be_understood_is_a_halt() {
    let (_dir, state) = state();
    fs::create_dir(&state).unwrap();
    fs::write(state.join("halt.json"), "{").unwrap();
    let handle = handle(&[], Some(&state));
    assert!(handle.live().halted());
    assert!(handle.resume().unwrap());
}

#[test]
fn a_halt_holds_even_where_it_cannot_be_kept() {
    let (_dir, state) = state();
    let handle = handle(&[], Some(&state));
    fs::remove_dir(&state).unwrap();
    assert!(handle.halt("no disk").is_err());
    assert!(handle.live().halted());
    assert!(handle.halted().is_some());
}

#[test]
fn a_resume_that_cannot_be_kept_is_none() {
    let (_dir, state) = state();
    let handle = handle(&[], Some(&state));
    handle.halt("why").unwrap();
    // Removing a folder as if it were a file fails even for root.
    fs::remove_file(state.join("halt.json")).unwrap();
    fs::create_dir(state.join("halt.json")).unwrap();
    assert!(handle.resume().is_err());
    assert!(handle.live().halted());
}

#[test]
fn halt_and_resume_from_many_threads_leave_file_and_state_agreeing() {
    let (_dir, state) = state();
    let handle = handle(&[], Some(&state));
    let start = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let (handle, start) = (handle.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                for _ in 0..20 {
                    if number % 2 == 0 {
                        handle.halt("race").unwrap();
                    } else {
                        handle.resume().unwrap();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let kept = state.join("halt.json").exists();
    assert_eq!(handle.halted().is_some(), kept);
    assert_eq!(handle.live().halted(), kept);
}

#[test]
fn a_resume_that_waits_for_the_file_takes_no_later_halt_away() {
    let (_dir, state) = state();
    let handle = handle(&[], Some(&state));
    let path = state.join("halt.json");
    for _ in 0..20 {
        handle.halt("first").unwrap();
        let file = lock(handle.0.halt_file.as_ref().unwrap());
        let waiting = {
            let handle = handle.clone();
            thread::spawn(move || handle.resume().unwrap())
        };
        // Time to come to the lock, on most machines: where it does not, nothing is shown.
        thread::sleep(Duration::from_millis(5));
        let second = handle.halt_now("second", Cause::Order);
        file.write(&second).unwrap();
        drop(file);
        waiting.join().unwrap();
        assert_eq!(handle.halted().is_some(), path.exists());
    }
}

#[test]
fn a_halt_that_was_resumed_meanwhile_leaves_no_file() {
    let (_dir, state) = state();
    let handle = handle(&[], Some(&state));
    handle.halt_now("short", Cause::Order);
    assert!(handle.resume().unwrap());
    handle.keep_halt().unwrap();
    assert!(!state.join("halt.json").exists());
}

#[test]
fn a_halt_acts_while_the_disk_hangs() {
    let (_dir, state) = state();
    let slow = cell("slow");
    let handle = handle(&[&slow], Some(&state));
    let hung = lock(handle.0.halt_file.as_ref().unwrap());
    let epoch = slow.epoch();
    handle.halt_now("at once", Cause::Order);
    assert!(handle.live().halted() && slow.epoch() > epoch);
    drop(hung);
}

#[test]
fn arming_and_disarming_go_by_name() {
    let slow = cell("slow");
    let handle = handle(&[&slow], None);
    let bell = handle.live().doorbell();
    let epoch = slow.epoch();
    handle.disarm("slow").unwrap();
    assert!(!slow.is_armed() && slow.epoch() > epoch && rang(&bell));
    handle.arm("slow", None).unwrap();
    assert!(slow.is_armed() && rang(&bell));
    let none = handle.arm("fast", None);
    assert!(matches!(none, Err(RuleError::NoSuchRule(_))), "{none:?}");
    assert!(!rang(&bell));
}

#[test]
fn a_new_generation_keeps_its_cells_and_ends_the_others() {
    let (kept, gone, new) = (cell("kept"), cell("gone"), cell("new"));
    let handle = handle(&[&kept, &gone], None);
    let bell = handle.live().doorbell();
    handle.swap(&snapshot(2, &[&kept, &new]));
    assert!(kept.is_armed() && new.is_armed() && !gone.is_armed());
    assert_eq!(handle.status().generation, 2);
    assert!(rang(&bell));
}

#[test]
fn ready_means_all_listeners_bound_and_no_drain() {
    let handle = handle(&[], None);
    assert!(!handle.ready());
    handle.listener_bound("chat", "127.0.0.1:4242");
    assert!(handle.ready());
    assert_eq!(handle.status().listeners[0].bind, "127.0.0.1:4242");
    handle.drain();
    assert!(!handle.ready());
}

#[test]
fn a_file_that_is_there_halts_and_keeps_from_resuming() {
    let (dir, _) = state();
    let stop = dir.path().join("stop");
    let mut with_file = Snapshot {
        safety: Safety {
            halt_file: Some(stop.clone()),
            ..snapshot(1, &[]).safety.clone()
        },
        ..Arc::into_inner(snapshot(1, &[])).unwrap()
    };
    let handle = handle(&[], None);
    handle.swap(&Arc::new(with_file));
    handle.heed_halt_file();
    assert!(!handle.live().halted());
    fs::write(&stop, "").unwrap();
    handle.heed_halt_file();
    assert_eq!(handle.halted().unwrap().cause, Cause::File);
    assert!(matches!(handle.resume(), Err(ResumeError::HaltFile(_))));
    fs::remove_file(&stop).unwrap();
    handle.heed_halt_file();
    assert!(handle.live().halted());
    assert!(handle.resume().unwrap());
    // What cannot be looked at counts as there: a name below a file.
    fs::write(&stop, "").unwrap();
    with_file = Snapshot {
        safety: Safety {
            halt_file: Some(stop.join("below")),
            ..snapshot(1, &[]).safety.clone()
        },
        ..Arc::into_inner(snapshot(2, &[])).unwrap()
    };
    handle.swap(&Arc::new(with_file));
    handle.heed_halt_file();
    assert!(handle.live().halted());
}

#[test]
fn a_halt_that_an_earlier_version_kept_is_understood() {
    let (_dir, state) = state();
    fs::create_dir(&state).unwrap();
    let kept = r#"{"reason":"old","since":"2026-01-01T00:00:00Z"}"#;
    fs::write(state.join("halt.json"), kept).unwrap();
    let halt = handle(&[], Some(&state)).halted().unwrap();
    assert_eq!((&*halt.reason, halt.cause), ("old", Cause::Order));
}

#[test]
fn the_last_hundred_notes_are_kept() {
    let handle = handle(&[], None);
    for number in 0..105 {
        handle.note(&format!(" {number}\n")).unwrap();
    }
    let notes = handle.notes();
    assert_eq!(
        (notes.len(), &*notes[0].text, &*notes[99].text),
        (100, "5", "104")
    );
    assert_eq!(handle.note(" \n"), Err(NoteError::Empty));
    assert!(handle.note(&"é".repeat(1000)).is_ok());
    assert_eq!(handle.note(&"é".repeat(1001)), Err(NoteError::TooLong));
}
