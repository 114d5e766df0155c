//! Rules of the API at the handle: what each change does, and in which order all of them stand.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;

use crate::config::{Inputs, Source, resolve};
use crate::control::{Handle, LeaseError, RuleError, lock};
use crate::live::Live;
use crate::record::{CounterRegistry, DecisionLevel, DecisionLog, LogSettings};

const FILE: &str = r#"
    seed = 7
    [upstreams.up]
    endpoints = ["http://127.0.0.1:9"]
    [listeners.chat]
    bind = "127.0.0.1:0"
    upstream = "up"
    [listeners.bytes]
    bind = "127.0.0.1:0"
    upstream = "up"
    protocol = "tcp"
"#;
const RULE: &str = r#"{"listener": "chat", "faults": [{"delay": {"fixed": "10ms"}}]}"#;
const SLOWER: &str = r#"{"listener": "chat", "faults": [{"delay": {"fixed": "20ms"}}]}"#;

fn read(text: &str) -> crate::config::Resolved {
    let source = Arc::new(Source::new("t", text));
    resolve(&[source], &Inputs::new(&|_| None)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn handle_of(text: &str) -> Handle {
    let log = DecisionLog::start(&LogSettings {
        decisions: DecisionLevel::Off,
        ..LogSettings::default()
    })
    .unwrap();
    let live = Arc::new(Live::new(Arc::new(read(text).snapshot)));
    Handle::new(live, CounterRegistry::default(), log.stats(), None).unwrap()
}

fn handle() -> Handle {
    handle_of(FILE)
}

fn put(handle: &Handle, name: &str, text: &str) -> Result<bool, RuleError> {
    let put = handle.put_rule(name, text, |_| Ok::<_, RuleError>(()))?;
    Ok(put.created)
}

fn delete(handle: &Handle, name: &str) -> Result<(), RuleError> {
    handle.delete_rule(name, |_| Ok::<_, RuleError>(()))
}

fn names(handle: &Handle) -> Vec<String> {
    let rules = handle.rules();
    rules.iter().map(|it| it.figures.name.to_string()).collect()
}

fn etag(handle: &Handle, name: &str) -> String {
    handle.rule(name).unwrap().etag
}

#[tokio::test(start_paused = true)]
async fn the_same_text_keeps_its_state_and_begins_its_time_anew() {
    let handle = handle();
    assert!(put(&handle, "a", RULE).unwrap());
    let cell = |handle: &Handle| Arc::clone(&handle.live().current().rules.cells()[0]);
    let (first, tag) = (cell(&handle), etag(&handle, "a"));
    first.next_ordinal();
    advance(Duration::from_secs(500)).await;
    assert!(!put(&handle, "a", RULE).unwrap());
    assert!(Arc::ptr_eq(&first, &cell(&handle)));
    assert_eq!(etag(&handle, "a"), tag);
    // Nine minutes after the first time's end, which no longer counts.
    advance(Duration::from_secs(590)).await;
    handle.expire();
    assert!(handle.rule("a").unwrap().figures.armed);
    // Another text is another rule.
    assert!(!put(&handle, "a", SLOWER).unwrap());
    assert!(!Arc::ptr_eq(&first, &cell(&handle)) && !first.is_armed());
    assert_ne!(etag(&handle, "a"), tag);
    advance(Duration::from_secs(600)).await;
    handle.expire();
    assert!(handle.rule("a").is_none());
}

#[test]
fn rules_act_in_the_order_of_their_arming_after_those_of_files() {
    let handle = handle_of(&format!(
        "{FILE}\n[[rules]]\nname = \"z\"\nfaults = [{{ stall = {{}} }}]"
    ));
    for name in ["b", "a", "c"] {
        put(&handle, name, RULE).unwrap();
    }
    assert_eq!(names(&handle), ["z", "b", "a", "c"]);
    put(&handle, "b", RULE).unwrap();
    assert_eq!(names(&handle), ["z", "b", "a", "c"]);
    put(&handle, "b", SLOWER).unwrap();
    assert_eq!(names(&handle), ["z", "a", "c", "b"]);
    handle.disarm("a").unwrap();
    handle.arm("a", None).unwrap();
    assert_eq!(names(&handle), ["z", "c", "b", "a"]);
    handle.arm("c", None).unwrap();
    assert_eq!(names(&handle), ["z", "c", "b", "a"]);
    delete(&handle, "b").unwrap();
    assert_eq!(names(&handle), ["z", "c", "a"]);
    assert!(matches!(delete(&handle, "z"), Err(RuleError::OfFile(_))));
    assert!(matches!(put(&handle, "z", RULE), Err(RuleError::OfFile(_))));
    assert!(matches!(
        delete(&handle, "b"),
        Err(RuleError::NoSuchRule(_))
    ));
}

#[test]
fn a_disarmed_rule_that_is_put_again_acts_again() {
    let handle = handle();
    put(&handle, "a", RULE).unwrap();
    let tag = etag(&handle, "a");
    handle.disarm("a").unwrap();
    assert_ne!(etag(&handle, "a"), tag);
    put(&handle, "a", RULE).unwrap();
    assert!(handle.rule("a").unwrap().figures.armed);
    let unarmed = r#"{"armed": false, "faults": [{"stall": {}}]}"#;
    put(&handle, "b", unarmed).unwrap();
    assert!(!handle.rule("b").unwrap().figures.armed);
    handle.arm("b", Some(Duration::from_secs(5))).unwrap();
    let rule = handle.rule("b").unwrap();
    assert!(rule.figures.armed && rule.expires_in.unwrap() <= Duration::from_secs(5));
    put(&handle, "b", unarmed).unwrap();
    assert!(!handle.rule("b").unwrap().figures.armed);
}

#[test]
fn a_reload_keeps_what_was_put_and_gives_way_to_what_it_brings() {
    let handle = handle();
    put(&handle, "a", RULE).unwrap();
    put(&handle, "b", RULE).unwrap();
    let tag = etag(&handle, "a");
    let text = format!("{FILE}\n[[rules]]\nname = \"b\"\nfaults = [{{ stall = {{}} }}]");
    let (snapshot, _, told) = handle.replace_files(read(&text).snapshot, false).unwrap();
    assert_eq!(names(&handle), ["b", "a"]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(etag(&handle, "a"), tag);
    assert_eq!(snapshot.generation, handle.live().current().generation);
    // A listener that is gone is no reason to forget the rule.
    let without = FILE.replace("chat", "talk");
    let (_, _, told) = handle
        .replace_files(read(&without).snapshot, false)
        .unwrap();
    assert_eq!(names(&handle), ["a"]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_rule_that_is_taken_away_ends_while_another_change_is_under_way() {
    let handle = handle();
    put(&handle, "a", RULE).unwrap();
    let busy = lock(&handle.0.parts);
    let ended = handle.end_rule("a", |_| Ok::<_, RuleError>(())).unwrap();
    assert!(!handle.rule("a").unwrap().figures.armed);
    drop(busy);
    let agree = |_: Option<&str>| Ok::<_, RuleError>(());
    handle.remove_rule("a", ended, agree).unwrap();
    assert!(handle.rule("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_a_file_inherits_no_end_of_one_of_the_api() {
    let handle = handle();
    // In the one form that both have.
    put(&handle, "b", RULE).unwrap();
    let file = format!(
        "{FILE}\n[[rules]]\nname = \"b\"\nlistener = \"chat\"\nfaults = [{{ delay = {{ fixed = \"10ms\" }} }}]\n"
    );
    let api = handle.rule("b").unwrap();
    handle.replace_files(read(&file).snapshot, true).unwrap();
    let rule = handle.rule("b").unwrap();
    assert_eq!((api.config, api.source.is_api()), (rule.config, true));
    assert!(rule.figures.armed && !rule.source.is_api());
    assert_eq!(rule.expires_in, None);
    advance(Duration::from_secs(3601)).await;
    handle.expire();
    assert!(handle.rule("b").unwrap().figures.armed);
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_lowers_the_longest_time_lowers_that_of_what_was_put() {
    let handle = handle();
    let long = RULE.replacen('{', r#"{"ttl": "30m", "#, 1);
    put(&handle, "armed", &long).unwrap();
    put(&handle, "disarmed", &long).unwrap();
    handle.disarm("disarmed").unwrap();
    let lower = format!("{FILE}\n[safety]\nmax_ttl = \"1m\"\n");
    handle.replace_files(read(&lower).snapshot, true).unwrap();
    let left = |name: &str| handle.rule(name).unwrap().expires_in.unwrap();
    assert!(left("armed") <= Duration::from_secs(60));
    advance(Duration::from_secs(50)).await;
    handle.arm("disarmed", None).unwrap();
    assert!((59..=60).contains(&left("disarmed").as_secs()));
    advance(Duration::from_secs(20)).await;
    handle.expire();
    assert!(handle.rule("armed").is_none());
    assert!(handle.rule("disarmed").unwrap().figures.armed);
}

#[test]
fn all_that_is_wrong_with_a_rule_is_told_with_its_place() {
    let handle = handle();
    let text = r#"{
  "name": "other",
  "listener": ["chatt", "bytes"],
  "probabilty": "5%",
  "ttl": "2h",
  "select": {"headers": {"authorization": "***"}},
  "lease": 5,
  "faults": [{"delay": {"fixed": 250}}, {"stall": {"at": "first-token"}}]
}"#;
    let Err(RuleError::Config(problems)) = put(&handle, "a", text) else {
        panic!("taken");
    };
    let said: Vec<_> = problems
        .iter()
        .map(|it| {
            let (line, _) = it.place.as_ref().unwrap().position();
            format!("{line}: {}", it.message)
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    2: the path names the rule `a`, and the body `other`
    3: unknown listener `chatt`
    4: unknown key `probabilty`
    5: a rule of the admin API lives 1h at most
    6: `***` is a mask
    7: a lease's id is a text
    8: 250 has no unit
    ");
    assert!(names(&handle).is_empty());
    assert_eq!(handle.live().current().generation, 1);
    let on_bytes = r#"{"listener": "bytes", "faults": [{"abort": {}}]}"#;
    assert!(matches!(
        put(&handle, "a", on_bytes),
        Err(RuleError::Config(_))
    ));
    // What was read says nothing of absent keys but `null`.
    put(
        &handle,
        "a",
        r#"{"listener": null, "lease": null, "faults": [{"stall": {}}]}"#,
    )
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_hangs_on_a_lease_ends_with_it() {
    let handle = handle();
    let leased = r#"{"lease": "me", "faults": [{"stall": {}}]}"#;
    assert!(matches!(
        put(&handle, "a", leased),
        Err(RuleError::NoSuchLease(_))
    ));
    let (lease, created) = handle.lease("me", None).unwrap();
    assert!(created && lease.expires_in == Duration::from_millis(600));
    put(&handle, "a", leased).unwrap();
    put(&handle, "free", RULE).unwrap();
    for _ in 0..10 {
        advance(Duration::from_millis(500)).await;
        handle.expire();
        let (lease, created) = handle.lease("me", None).unwrap();
        assert!(!created && lease.rules.len() == 1);
    }
    advance(Duration::from_millis(601)).await;
    // A sign of life that comes too late makes another lease, and saves nothing.
    let (lease, created) = handle.lease("me", None).unwrap();
    assert!(created && lease.rules.is_empty());
    handle.expire();
    assert_eq!(names(&handle), ["free"]);
    put(&handle, "a", leased).unwrap();
    handle.end_lease("me").unwrap();
    assert_eq!(names(&handle), ["free"]);
    assert!(handle.end_lease("me").is_err());
    let long = handle.lease("me", Some(Duration::from_secs(7200)));
    assert!(matches!(long, Err(LeaseError::Time { .. })));
    assert_eq!(handle.lease("a b", None), Err(LeaseError::Id));
}

#[tokio::test(start_paused = true)]
async fn time_is_kept_to_the_moment() {
    let handle = handle();
    let start = tokio::time::Instant::now();
    let soon_gone = async {
        // The time is kept already when they come.
        tokio::task::yield_now().await;
        put(
            &handle,
            "late",
            r#"{"ttl": "9s", "faults": [{"stall": {}}]}"#,
        )
        .unwrap();
        put(
            &handle,
            "soon",
            r#"{"ttl": "1500ms", "faults": [{"stall": {}}]}"#,
        )
        .unwrap();
        while handle.rule("soon").is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = handle.keep_time() => {}
        () = soon_gone => {}
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    assert!(took < Duration::from_millis(1510), "{took:?}");
    assert_eq!(names(&handle), ["late"]);
}

#[test]
fn who_agrees_to_a_change_sees_what_it_changes() {
    let handle = handle();
    let only = |wanted: Option<String>| {
        move |tag: Option<&str>| {
            let same = tag == wanted.as_deref();
            same.then_some(()).ok_or(RuleError::NoTime)
        }
    };
    handle.put_rule("a", RULE, only(None)).unwrap();
    let refused = handle.put_rule("a", SLOWER, only(None));
    assert!(matches!(refused, Err(RuleError::NoTime)));
    let tag = Some(etag(&handle, "a"));
    handle.put_rule("a", SLOWER, only(tag.clone())).unwrap();
    assert!(handle.delete_rule("a", only(tag)).is_err());
    assert!(handle.rule("a").unwrap().figures.armed);
    let tag = Some(etag(&handle, "a"));
    handle.delete_rule("a", only(tag)).unwrap();
    assert!(handle.rule("a").is_none());
}

#[test]
fn of_a_hundred_that_change_the_same_rule_none_is_lost() {
    let handle = handle();
    let rule = |count: u64| {
        format!(
            r#"{{"select": {{"headers": {{"x-count": "{count}"}}}}, "faults": [{{"stall": {{}}}}]}}"#
        )
    };
    put(&handle, "count", &rule(0)).unwrap();
    let count = |handle: &Handle| {
        let rule = handle.rule("count").unwrap();
        let config = &rule.config["select"]["headers"]["x-count"];
        (config.as_str().unwrap().parse::<u64>().unwrap(), rule.etag)
    };
    let accepted: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..100)
            .map(|number| {
                let (handle, rule) = (&handle, &rule);
                scope.spawn(move || {
                    let mut accepted = 0;
                    for _ in 0..10 {
                        let (now, etag) = count(handle);
                        let agree = |tag: Option<&str>| {
                            let same = tag == Some(&etag);
                            same.then_some(()).ok_or(RuleError::NoTime)
                        };
                        if handle.put_rule("count", &rule(now + 1), agree).is_ok() {
                            accepted += 1;
                        }
                        let mine = format!("mine-{number}");
                        put(handle, &mine, RULE).unwrap();
                        handle.disarm(&mine).unwrap();
                        handle.arm(&mine, None).unwrap();
                        handle.expire();
                        delete(handle, &mine).unwrap();
                    }
                    accepted
                })
            })
            .collect();
        writers.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(count(&handle).0, accepted);
    assert!(accepted > 0);
    assert_eq!(names(&handle), ["count"]);
}
