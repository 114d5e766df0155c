//! Whole configurations: what they resolve to, and what is said of wrong ones.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{Inputs, Problems, Resolved, Source, resolve};
use crate::rule::is_never;
use crate::snapshot::{AdminBind, Bind, DecisionLevel, HeadPolicy};
use crate::units::Seed;
use crate::upstream::{Endpoint, HttpVersion};

const BASE: &str = "[upstreams.one]\nendpoints = [\"tcp://127.0.0.1:1\"]\n\
                    [listeners.front]\nbind = \"127.0.0.1:0\"\nupstream = \"one\"\n";

fn read(files: &[(&str, &str)]) -> Result<Resolved, Problems> {
    let sources: Vec<_> = files
        .iter()
        .map(|(name, text)| Arc::new(Source::new(*name, *text)))
        .collect();
    let environment = |name: &str| (name == "SET").then(|| "127.0.0.1:0".into());
    resolve(&sources, &Inputs::new(&environment))
}

/// `LINE:COLUMN MESSAGE | HELP` of each error.
fn errors(text: &str) -> Vec<String> {
    let problems = read(&[("f", text)]).expect_err("a configuration with mistakes");
    lines(&problems)
}

fn lines(problems: &Problems) -> Vec<String> {
    let errors = problems
        .iter()
        .filter(|it| it.severity == super::Severity::Error);
    errors
        .map(|it| {
            let place = it.place.as_ref().map_or("-".into(), |place| {
                let (line, column) = place.position();
                format!("{line}:{column}")
            });
            format!(
                "{place} {} | {}",
                it.message,
                it.help.as_deref().unwrap_or("")
            )
        })
        .collect()
}

/// The errors of the base with more text after it, whose first line is 6.
fn with(text: &str) -> Vec<String> {
    errors(&format!("{BASE}{text}"))
}

#[test]
fn a_small_file_resolves_with_all_defaults() {
    let resolved = read(&[("f", BASE)]).unwrap();
    let listener = &resolved.snapshot.listeners[0];
    assert_eq!(&*listener.name, "front");
    assert_eq!(listener.bind, Bind::Tcp("127.0.0.1:0".parse().unwrap()));
    assert_eq!(listener.place, "f:4");
    assert_eq!(listener.protocol.name(), "tcp");
    let upstream = &resolved.snapshot.upstreams[listener.upstream];
    let endpoint = Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port: 1,
    };
    assert_eq!(upstream.endpoints, [endpoint]);
    assert_eq!(upstream.connect_timeout, Duration::from_secs(5));
    assert_eq!(upstream.idle_timeout, Duration::from_secs(4));
    assert_eq!(upstream.max_age, Duration::from_secs(600));
    assert!(is_never(
        &resolved.snapshot.safety.never,
        "/v2/health/ready"
    ));
    assert!(!is_never(&resolved.snapshot.safety.never, "/v1/models"));
    assert_eq!(resolved.snapshot.safety.max_faults_per_call, 8);
    let admin = AdminBind::Tcp("127.0.0.1:9901".parse().unwrap());
    assert_eq!(resolved.settings.admin.bind, admin);
    assert_eq!(resolved.settings.health, None);
    assert_eq!(resolved.settings.log.decisions, DecisionLevel::Fired);
    assert!(resolved.seed_drawn);
}

#[test]
fn the_environment_is_read_where_the_value_says_so() {
    let text = BASE.replace("127.0.0.1:0", "${SET}");
    let resolved = read(&[("f", &text)]).unwrap();
    let bind = Bind::Tcp("127.0.0.1:0".parse().unwrap());
    assert_eq!(resolved.snapshot.listeners[0].bind, bind);
    // Its absence is told once, not again as a wrong address.
    assert_eq!(
        errors(&BASE.replace("127.0.0.1:0", "${UNSET}")),
        [
            "4:8 the environment variable `UNSET` is not set | set it before the start: `UNSET=… hormesis run …`"
        ]
    );
}

#[test]
fn files_are_one_configuration() {
    let upstreams = "seed = 7\n[upstreams.one]\nendpoints = [\"tcp://127.0.0.1:1\"]\n";
    let listeners = "[listeners.front]\nbind = \"127.0.0.1:0\"\nupstream = \"one\"\n";
    let resolved = read(&[("a", upstreams), ("b", listeners)]).unwrap();
    assert_eq!(resolved.snapshot.seed, Seed(7));
    assert!(!resolved.seed_drawn);
    let problems = read(&[("a", upstreams), ("b", listeners), ("c", upstreams)]).unwrap_err();
    assert_eq!(
        lines(&problems),
        [
            "1:1 `seed` is set in two files | first at a:1",
            "2:12 a upstream named `one` is in two files | first at a:2"
        ]
    );
}

#[test]
fn names_that_nobody_has_are_told_with_those_that_are_there() {
    assert_eq!(
        errors(&BASE.replace("upstream = \"one\"", "upstream = \"onee\"")),
        ["5:12 unknown upstream `onee` | did you mean `one`?"]
    );
    assert_eq!(
        errors("[listeners.a]\nbind = \":0\"\nupstream = \"x\""),
        ["3:12 unknown upstream `x` | there is none yet: add `[upstreams.x]`"]
    );
    assert_eq!(
        with("protocol = \"redis\""),
        [
            "6:12 unknown protocol `redis` | this version carries redis as plain bytes: write `protocol = \"tcp\"`"
        ]
    );
    assert_eq!(
        with("[listners.x]\n"),
        ["6:2 unknown section `listners` | did you mean `listeners`?"]
    );
}

#[test]
fn addresses_that_clash_are_refused() {
    let other = "[listeners.other]\nbind = \"0.0.0.0:9902\"\nupstream = \"one\"\n";
    assert_eq!(
        with(&format!("{other}[health]\nbind = \"127.0.0.1:9902\"")),
        [
            "10:8 the health listener and listener `other` have the same address | listener `other` has it at f:7"
        ]
    );
    assert_eq!(
        with(&other.replace("9902", "9901")),
        [
            "7:8 listener `other` has the address of the admin listener | give the admin listener another: `[admin] bind = …`, or `off`"
        ]
    );
}

#[test]
fn the_admin_listener_stays_on_this_machine() {
    let said = with("[admin]\nbind = \"0.0.0.0:9901\"");
    assert!(
        said[0].starts_with("7:8 the admin listener would be reachable"),
        "{said:?}"
    );
}

#[test]
fn a_configuration_without_a_listener_does_nothing_and_says_so() {
    assert_eq!(
        errors("seed = 1"),
        [
            "- there is no listener, so there is nothing to do | add `[upstreams.NAME]` and `[listeners.NAME]`; `hormesis init` writes an example"
        ]
    );
}

#[test]
fn slips_of_syntax_are_told_and_a_doubled_key_hides_nothing() {
    let said = errors("seed = \n[listeners.front]\nbind = 1 2\n");
    assert!(said.len() >= 2, "{said:?}");
    assert!(said[0].starts_with("1:"), "{said:?}");
    let said = with("upstream = \"two\"\nhide_origins = true\n");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("6:1 duplicate key"), "{said:?}");
    assert!(said[1].starts_with("7:1 unknown key"), "{said:?}");
}

#[test]
fn an_exposed_toxiproxy_api_without_its_upstreams_is_warned_of() {
    let warned = |keys: &str| {
        let text = format!("[toxiproxy]\nbind = \"127.0.0.1:0\"\n{keys}");
        let resolved = read(&[("f", &text)]).unwrap();
        let mut warnings = resolved.warnings.iter();
        let about = |it: &&super::Problem| it.message.contains("Toxiproxy API");
        let place = warnings.find(about).and_then(|it| it.place.clone());
        place.map(|it| it.position())
    };
    assert_eq!(warned("expose = true\n"), Some((3, 10)));
    assert_eq!(warned("expose = true\nallow_upstreams = [\"*\"]\n"), None);
    assert_eq!(warned("expose = false\n"), None);
}

#[test]
fn what_is_carried_as_bytes_is_warned_of() {
    let resolved = read(&[("f", &BASE.replace("tcp:", "redis:"))]).unwrap();
    let warning = resolved.warnings.iter().find(|it| it.place.is_some());
    let warning = warning.expect("a warning with its place");
    assert_eq!(warning.place.as_ref().unwrap().position(), (2, 14));
    assert!(warning.message.contains("redis is carried as plain bytes"));
}

#[test]
fn numbers_without_sense_are_refused() {
    let said =
        with("[safety]\nmax_faults_per_call = 0\nnever = [\"/a[\"]\n[energy]\ninterval = \"1ms\"");
    let places: Vec<_> = said.iter().filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(places, ["7:23", "8:10", "10:12"], "{said:?}");
    assert_eq!(
        errors(&format!("workers = 0\n{BASE}")),
        ["1:1 0 workers cannot be run | 1 to 256; leave it out for as many as there are cores"]
    );
}

#[test]
fn limits_that_nobody_could_keep_are_refused() {
    let said = with(
        "[limits]\nheader_fields = 257\nheader_size = \"17MiB\"\nconnections = 0\n\
         header_timeout = \"0s\"\nbody_idle = \"0s\"",
    );
    let places: Vec<_> = said.iter().filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(
        places,
        ["7:17", "8:15", "9:15", "10:18", "11:13"],
        "{said:?}"
    );
    read(&[(
        "f",
        &format!("{BASE}[limits]\nheader_fields = 256\nheader_size = \"1MiB\""),
    )])
    .unwrap();
}

#[test]
fn heads_are_told_of_their_way_only_where_heads_are_read() {
    let keys = "profile = \"strict\"\nforwarded = [\"via\", \"x-forwarded\"]\n";
    let said = with(keys);
    assert_eq!(
        said,
        [
            "6:11 a listener that carries bytes reads no heads | leave `profile` out, or name an HTTP protocol",
            "7:13 a listener that carries bytes reads no heads | leave `forwarded` out, or name an HTTP protocol",
        ]
    );
    let resolved = read(&[("f", &format!("{BASE}{keys}").replace("tcp:", "http:"))]).unwrap();
    let heads = resolved.snapshot.listeners[0].heads;
    assert!(heads.strict && heads.via && heads.x_forwarded);
    let plain = read(&[("f", &BASE.replace("tcp:", "http:"))]).unwrap();
    assert_eq!(plain.snapshot.listeners[0].heads, HeadPolicy::default());
}

/// The base with an HTTP listener beside the one of bytes, and rules.
fn with_rules(rules: &str) -> Result<Resolved, Problems> {
    let web = "[upstreams.web]\nendpoints = [\"http://127.0.0.1:2\"]\n\
               [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"openai\"\nupstream = \"web\"\n";
    read(&[("base", BASE), ("web", web), ("rules", rules)])
}

fn rule_errors(rules: &str) -> Vec<String> {
    lines(&with_rules(rules).expect_err("rules with mistakes"))
}

#[test]
fn rules_are_compiled_for_the_listeners_they_watch() {
    let rules = "[[rules]]\nname = \"a\"\nlistener = \"web\"\nfaults = [{ stall = {} }]\n\
                 [[rules]]\nname = \"b\"\nfaults = [{ stall = {} }]\n";
    let resolved = with_rules(rules).unwrap();
    let names = |listener: usize| -> Vec<u32> {
        let rules = resolved.snapshot.rules.listener(listener).unwrap();
        let call = crate::call::Call::default();
        rules.select(&rules.candidates(&call), &call).to_vec()
    };
    assert_eq!(names(0), [1], "front");
    assert_eq!(names(1), [0, 1], "web");
}

#[test]
fn rules_are_held_against_their_listeners() {
    assert_eq!(
        rule_errors(
            "[[rules]]\nname = \"a\"\nlistener = [\"web\", \"fron\"]\nfaults = [{ stall = {} }]\n\
             [[rules]]\nname = \"a\"\nfaults = []\n"
        ),
        [
            "3:20 unknown listener `fron` | did you mean `front`?",
            "6:8 two rules are named `a` | first at rules:2",
            "7:10 a rule has 1 to 64 faults, and this one has 0 | `hormesis faults` lists the kinds: [[rules.faults]] delay = { fixed = \"10ms\" }",
        ]
    );
}

#[test]
fn bytes_have_no_tokens_and_no_errors() {
    let said = rule_errors(
        "[[rules]]\nname = \"a\"\nlistener = \"front\"\nfaults = [\n\
         { delay = { at = \"first-token\", fixed = \"1s\" } },\n\
         { abort = { status = 503 } },\n\
         { stall = { at = { byte = 5 } } },\n]\n",
    );
    assert_eq!(said.len(), 2, "{said:?}");
    let places: Vec<_> = said.iter().filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(places, ["5:18", "6:11"]);
    assert!(said[0].contains("`front` carries bytes, which have no tokens"));
    // A rule for all listeners acts where it can.
    let all =
        "[[rules]]\nname = \"a\"\nfaults = [{ delay = { at = \"first-token\", fixed = \"1s\" } }]";
    with_rules(all).unwrap();
}

#[test]
fn a_selector_that_nothing_meets_is_warned_of() {
    let warned = |rule: &str| -> Vec<String> {
        let faults = "faults = [{ stall = {} }]";
        let text = format!("[[rules]]\nname = \"a\"\n{rule}\n{faults}");
        let warnings = with_rules(&text).unwrap().warnings;
        let placed = warnings.into_iter().filter(|it| it.place.is_some());
        placed.map(|it| it.message).collect()
    };
    assert_eq!(
        warned("listener = \"front\"\nselect = { path = \"/v1/**\" }"),
        ["rule `a` never selects a call: bytes tell of none of this"]
    );
    assert_eq!(
        warned("listener = \"web\"\nselect = { operation = \"chat.completion\" }"),
        ["rule `a` never selects a call: openai has no such operation"]
    );
    assert_eq!(
        warned("select = { operation = \"chat.*\" }"),
        Vec::<String>::new()
    );
    assert_eq!(
        warned("listener = \"front\"\nselect = { peer = \"10.0.0.0/8\" }"),
        Vec::<String>::new()
    );
}

#[test]
fn a_file_of_four_megabytes_of_mistakes_is_read_in_bounded_time() {
    // Each is far beyond what stands in a configuration; a hang would fail the test run.
    let one_table = format!("[listeners.a]\n{}", numbered(|n| format!("k{n} = {n}\n")));
    let many_tables = numbered(|n| format!("[upstreams.u{n}]\nendpoint = 1\n"));
    let deep = format!("a = {}", "[".repeat(4 << 20));
    let dotted = format!("{}a = 1", "a.".repeat(2 << 20));
    for text in [one_table, many_tables, deep, dotted] {
        assert!(!errors(&text).is_empty());
    }
    let rules =
        numbered(|n| format!("[[rules]]\nname = \"r{n}\"\nfaults = [{{ stall = {{}} }}]\n"));
    assert!(read(&[("f", &format!("{BASE}{rules}"))]).is_ok());
}

/// Four megabytes of lines.
fn numbered(line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < 4 << 20 {
        text.push_str(&line(number));
        number += 1;
    }
    text
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,400}") {
        drop(read(&[("f", &text)]));
    }

    #[test]
    fn any_cut_and_splice_of_a_configuration_is_read_without_a_panic(
        cut in 0..FULL.len(),
        splice in "[\\[\\]{}=\"'#\\.,\n a-z0-9$]{0,12}",
        skip in 0..40_usize,
    ) {
        let head: String = FULL.chars().take(cut).collect();
        let tail: String = FULL.chars().skip(cut + skip).collect();
        if let Err(problems) = read(&[("f", &format!("{head}{splice}{tail}"))]) {
            for problem in &problems {
                // Every place is one that can be shown.
                if let Some(place) = &problem.place {
                    prop_assert!(place.source.text.get(place.span.clone()).is_some());
                }
                prop_assert!(!problem.to_string().is_empty());
            }
        }
    }
}

const FULL: &str = include_str!("../../config/hormesis.toml");

#[test]
fn the_http_of_an_upstream_is_what_scheme_and_key_say() {
    let spoken = |endpoint: &str, keys: &str| {
        let text = format!(
            "[upstreams.u]\nendpoints = [\"{endpoint}\"]\n{keys}\n[listeners.l]\nbind = \"127.0.0.1:0\"\nupstream = \"u\"\n"
        );
        let environment = |_: &str| None;
        let source = Arc::new(Source::new("t.toml", text));
        let resolved = resolve(&[source], &Inputs::new(&environment));
        resolved.map(|it| it.snapshot.upstreams[0].http)
    };
    assert_eq!(spoken("http://a:1", "").unwrap(), HttpVersion::One);
    assert_eq!(
        spoken("http://a:1", "http = \"2\"").unwrap(),
        HttpVersion::Two
    );
    assert_eq!(spoken("https://a:1", "").unwrap(), HttpVersion::Negotiated);
    assert_eq!(
        spoken("https://a:1", "http = \"1.1\"").unwrap(),
        HttpVersion::One
    );
    assert_eq!(spoken("h2c://a:1", "").unwrap(), HttpVersion::Two);
    assert_eq!(
        spoken("grpcs://a:1", "http = \"2\"").unwrap(),
        HttpVersion::Two
    );
    for (endpoint, keys) in [
        ("h2c://a:1", "http = \"1.1\""),
        ("tcp://a:1", "http = \"2\""),
        ("https://a:1", "http = \"3\""),
    ] {
        assert!(spoken(endpoint, keys).is_err(), "{endpoint} {keys}");
    }
}
