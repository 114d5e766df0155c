use serde_json::json;

use serde_json::Value;

use super::*;

/// A sidecar after so many seconds of 10 calls a second, each fifth of which a rule made fail.
#[expect(clippy::too_many_lines, reason = "it is plain data that is long")]
fn told(seconds: u64) -> (Status, Vec<Rule>, String) {
    let (ok, injected, upstream) = (seconds * 8, seconds * 2, 1);
    let call = |outcome: &str, origin: &str, count: u64| json!({ "listener": "chat", "protocol": "openai", "outcome": outcome, "origin": origin, "count": count });
    let status = json!({
        "version": "0.1.0", "uptime_s": 100.0 + Duration::from_secs(seconds).as_secs_f64(),
        "ready": true, "draining": false, "generation": 2, "seed": 7, "halted": null,
        "listeners": [{
            "name": "chat", "bind": "127.0.0.1:9000", "protocol": "openai", "upstream": "llm",
            "connections": 3, "active": 2,
        }],
        "rules": [],
        "calls": [
            call("ok", "upstream", ok),
            call("injected_fault", "injected", injected),
            call("upstream_error", "upstream", upstream),
        ],
        "decisions": { "written": 0, "dropped": 0 },
        "energy": {
            "tier": "cpu-model", "meters": ["cpu-model"],
            "by_outcome": {
                "ok": { "dyn_uj": ok * 500_000, "calls": ok },
                "injected_fault": { "dyn_uj": injected * 100_000, "calls": injected },
                "upstream_error": { "dyn_uj": null, "calls": upstream },
            },
            "total": { "dyn_uj": ok * 500_000 + injected * 100_000, "calls": ok + injected },
            "joules_per_success": 0.525,
        },
    });
    let rules = json!([
        {
            "name": "overloaded", "source": "file", "listener": null, "armed": true, "dry_run": false,
            "expires_in_s": null, "expires_at": null, "lease": null, "faults": ["abort"],
            "figures": { "selected": seconds * 10, "hit": injected, "applied": injected, "active": 0,
                         "denied": { "limit": 1, "halt": 0 } },
            "config": {},
        },
        {
            "name": "delay-chat", "source": "api", "listener": ["chat"], "armed": true,
            "dry_run": false, "expires_in_s": 27.4, "expires_at": "2026-11-27T11:05:12Z",
            "lease": null, "faults": ["delay"],
            "figures": { "selected": 12, "hit": 12, "applied": 10, "active": 2 },
            "config": {},
        },
        {
            "name": "later", "source": "file", "listener": ["chat"], "armed": false,
            "dry_run": false, "expires_in_s": null, "expires_at": null, "lease": null,
            "faults": ["stall"], "figures": {}, "config": {},
        },
    ]);
    let bucket = |name: &str, le: &str, count: u64| {
        format!("{name}_bucket{{listener=\"chat\",protocol=\"openai\",le=\"{le}\"}} {count}\n")
    };
    let all = ok + injected + upstream;
    let duration = "hormesis_call_duration_seconds";
    let token = "hormesis_time_to_first_token_seconds";
    let metrics = [
        bucket(duration, "0.025", all / 2),
        bucket(duration, "1.0", all * 98 / 100),
        bucket(duration, "2.5", all),
        bucket(duration, "+Inf", all),
        bucket(token, "0.01", ok),
        bucket(token, "+Inf", ok),
    ]
    .concat();
    let rules: Vec<Value> = serde_json::from_value(rules).unwrap();
    let rules = rules
        .into_iter()
        .map(|it| serde_json::from_value(it).unwrap());
    (
        serde_json::from_value(status).unwrap(),
        rules.collect(),
        metrics,
    )
}

/// After a minute of it, a sample a second.
pub(in crate::cli::top) fn view(halted: bool) -> View {
    let start = Instant::now();
    let mut history = History::default();
    for second in 1..=60 {
        let (mut status, rules, metrics) = told(second);
        if halted {
            let halt =
                json!({ "reason": "too hot", "since": "2026-11-27T11:04:00Z", "cause": "order" });
            status.halted = serde_json::from_value(halt).unwrap();
        }
        let at = start + Duration::from_secs(second);
        history.push(Sample::of(at, status, rules, &metrics));
    }
    history.view().unwrap()
}

fn near(one: Option<f64>, other: f64) -> bool {
    one.is_some_and(|one| (one - other).abs() < 1e-6)
}

#[tokio::test(start_paused = true)]
async fn rates_and_shares_are_of_the_window() {
    let view = view(false);
    assert!(near(Some(view.window_s), 10.0), "{}", view.window_s);
    let chat = &view.listeners[0];
    assert!(near(Some(chat.calls_per_s), 10.0), "{chat:?}");
    assert!(near(chat.injected_share, 0.2), "{chat:?}");
    assert_eq!(chat.error_share, Some(0.0));
    assert!(near(chat.p50_s, 0.025), "{chat:?}");
    assert!(chat.p99_s.unwrap() > 1.0, "{chat:?}");
    assert!(chat.first_token_p50_s.unwrap() < 0.01, "{chat:?}");
    let injected = view.errors.last().unwrap();
    assert_eq!((injected.origin, injected.total), ("injected", 120));
    assert!(near(Some(injected.per_s), 2.0));
    assert_eq!(view.errors[0].outcomes, [("upstream_error".to_owned(), 1)]);
    let rule = &view.rules[0];
    assert!(near(Some(rule.hits_per_s), 2.0), "{rule:?}");
    assert_eq!((rule.denied, rule.on.as_str()), (1, "all"));
    let energy = view.energy.as_ref().unwrap();
    assert!(near(energy.watts_of_calls, 4.2), "{energy:?}");
    assert_eq!(energy.by_outcome[0].0, "ok");
    assert_eq!(view.lines.len(), 59);
    assert!(near(Some(view.lines[0].calls_per_s), 10.0));
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_started_anew_is_counted_anew() {
    let start = Instant::now();
    let mut history = History::default();
    let (status, rules, metrics) = told(60);
    history.push(Sample::of(start, status, rules, &metrics));
    let (status, rules, metrics) = told(1);
    let later = start + Duration::from_secs(1);
    history.push(Sample::of(later, status, rules, &metrics));
    let view = history.view().unwrap();
    assert!(near(Some(view.listeners[0].calls_per_s), 0.0));
    assert!(view.lines.is_empty());
}
