//! What is played: the phases, the sidecar's configuration, the load.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use crate::draw::Draws;
use crate::load::{Arrivals, Flow, LoadOptions, PhaseSpec};

use super::model_server::digits::{CLASSES, PIXELS, picture};

/// Nothing is sent for so long after the sidecar's start: its meters learn what idle is.
pub(super) const QUIET_S: u64 = 2;
const BASELINE_S: u64 = 8;
const FAULT_S: u64 = 10;
const RECOVERY_S: u64 = 8;
/// With `--keep` the rules come back this often.
pub(super) const EVERY_S: u64 = 20;

const CHAT_PER_SECOND: f64 = 6.0;
const INFER_PER_SECOND: f64 = 15.0;
const MAX_TOKENS: u32 = 32;
const PICTURES: usize = 32;

/// A part of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PhasePlan {
    pub(super) name: &'static str,
    pub(super) start_s: u64,
    pub(super) end_s: u64,
    pub(super) fault: bool,
}

/// The phases, in seconds of the load.
pub(super) const PHASES: [PhasePlan; 3] = [
    PhasePlan {
        name: "baseline",
        start_s: 0,
        end_s: BASELINE_S,
        fault: false,
    },
    PhasePlan {
        name: "fault",
        start_s: BASELINE_S,
        end_s: BASELINE_S + FAULT_S,
        fault: true,
    },
    PhasePlan {
        name: "recovery",
        start_s: BASELINE_S + FAULT_S,
        end_s: END_S,
        fault: false,
    },
];

pub(super) const END_S: u64 = BASELINE_S + FAULT_S + RECOVERY_S;

/// A rule of the demo.
pub(super) struct RulePlan {
    pub(super) name: &'static str,
    /// What a reader is told of it.
    pub(super) does: &'static str,
    listener: &'static str,
    probability: &'static str,
    fault: &'static str,
}

pub(super) const RULES: [RulePlan; 4] = [
    RulePlan {
        name: "slow-first-token",
        does: "30 % of chat answers: the first token waits (lognormal, median 250 ms, p99 1.5 s)",
        listener: "chat",
        probability: "30%",
        fault: r#"delay = { at = "first-token", lognormal = { median = "250ms", p99 = "1.5s" } }"#,
    },
    RulePlan {
        name: "overloaded",
        does: "10 % of chat calls: the error of an overloaded server, before any work is done",
        listener: "chat",
        probability: "10%",
        fault: r#"abort = { error = "overloaded" }"#,
    },
    RulePlan {
        name: "cut-stream",
        does: "12 % of chat answers: the connection is reset at the 12th token",
        listener: "chat",
        probability: "12%",
        fault: r#"disconnect = { at = { token = 12 }, how = "rst" }"#,
    },
    RulePlan {
        name: "lost-answer",
        does: "15 % of inferences: the model computes, then a time-out takes the answer's place",
        listener: "infer",
        probability: "15%",
        fault: r#"abort = { at = "after-upstream", error = "timeout" }"#,
    },
];

/// Addresses and files that the configuration names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    pub(super) model_server: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) decision_log: &'a Path,
}

/// The sidecar's configuration.
pub(super) fn config(seed: u64, keep: bool, places: Places<'_>) -> String {
    let log = toml::Value::String(places.decision_log.display().to_string());
    let mut text = format!(
        "# What `hormesis demo` ran.\n\
         seed = {seed}\n\
         workers = 1\n\n\
         [admin]\n\
         bind = \"{admin}\"\n\n\
         [upstreams.model]\n\
         endpoints = [\"http://{model}\"]\n\
         [upstreams.model.energy]\n\
         process = {{ port = {port} }}\n\n\
         [listeners.chat]\n\
         bind = \"127.0.0.1:0\"\n\
         protocol = \"openai\"\n\
         upstream = \"model\"\n\n\
         [listeners.infer]\n\
         bind = \"127.0.0.1:0\"\n\
         protocol = \"open-inference\"\n\
         upstream = \"model\"\n\n\
         [energy]\n\
         meters = [{{ rapl = {{}} }}, {{ cpu-model = {{}} }}]\n\n\
         [log]\n\
         decisions = \"all\"\n\
         file = {log}\n",
        admin = places.admin,
        model = places.model_server,
        port = places.model_server.port(),
    );
    let start = QUIET_S + BASELINE_S;
    let every = if keep {
        format!(", every = \"{EVERY_S}s\"")
    } else {
        String::new()
    };
    for rule in &RULES {
        // Writing to a string cannot fail.
        let written = write!(
            text,
            "\n[[rules]]\n\
             name = \"{}\"\n\
             listener = \"{}\"\n\
             probability = \"{}\"\n\
             schedule = {{ start = \"{start}s\", for = \"{FAULT_S}s\"{every} }}\n\
             [[rules.faults]]\n\
             {}\n",
            rule.name, rule.listener, rule.probability, rule.fault,
        );
        debug_assert!(written.is_ok(), "a string takes what is written to it");
    }
    text
}

/// The load on both listeners.
pub(super) fn load(seed: u64, chat: SocketAddr, infer: SocketAddr) -> LoadOptions {
    LoadOptions {
        seed,
        arrivals: Arrivals::Poisson,
        flows: vec![
            Flow {
                name: "chat".to_owned(),
                address: chat,
                path: "/v1/chat/completions".to_owned(),
                bodies: QUESTIONS.iter().map(|it| chat_body(it)).collect(),
                per_second: CHAT_PER_SECOND,
                stream: true,
            },
            Flow {
                name: "infer".to_owned(),
                address: infer,
                path: "/v2/models/digits/infer".to_owned(),
                bodies: (0..8).map(|n| infer_body(seed ^ n, PICTURES)).collect(),
                per_second: INFER_PER_SECOND,
                stream: false,
            },
        ],
        duration_ms: END_S * 1000,
        phases: PHASES
            .iter()
            .map(|phase| PhaseSpec {
                name: phase.name.to_owned(),
                start_ms: phase.start_s * 1000,
                end_ms: phase.end_s * 1000,
            })
            .collect(),
        in_flight: 64,
        timeout_ms: 5000,
    }
}

const QUESTIONS: [&str; 6] = [
    "what happens when a storm comes over the hill",
    "who lives by the river",
    "what do the people learn to ask",
    "why do they make a little storm",
    "what is the light for",
    "when does the rope hold",
];

fn chat_body(question: &str) -> String {
    json!({
        "model": "river-letters",
        "messages": [{ "role": "user", "content": question }],
        "stream": true,
        "max_tokens": MAX_TOKENS,
        "temperature": 0.7,
        "seed": 1,
    })
    .to_string()
}

/// `rows` pictures of digits, to be told apart.
pub(super) fn infer_body(seed: u64, rows: usize) -> String {
    let mut draws = Draws::from_sub_seed(seed);
    let pixels: Vec<f32> = (0..rows)
        .flat_map(|row| picture(row % CLASSES, &mut draws))
        // Three digits are what a pixel needs; the body stays small.
        .map(|pixel| (pixel * 1000.0).round() / 1000.0)
        .collect();
    json!({
        "inputs": [{
            "name": "pixels",
            "datatype": "FP32",
            "shape": [rows, PIXELS],
            "data": pixels,
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_and_quotes_its_paths() {
        let places = Places {
            model_server: SocketAddr::from(([127, 0, 0, 1], 8000)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9901)),
            decision_log: Path::new("/tmp/a \"quoted\" folder/decisions.jsonl"),
        };
        let table: toml::Table = config(7, true, places).parse().unwrap();
        assert_eq!(table["rules"].as_array().unwrap().len(), RULES.len());
        assert_eq!(
            table["log"]["file"].as_str().unwrap(),
            "/tmp/a \"quoted\" folder/decisions.jsonl"
        );
        assert_eq!(table["rules"][0]["schedule"]["start"].as_str(), Some("10s"));
    }

    #[test]
    fn phases_follow_each_other_and_the_load_is_sound() {
        assert!(
            PHASES
                .windows(2)
                .all(|pair| pair[0].end_s == pair[1].start_s)
        );
        // The rules must not come back before the recovery is over.
        const { assert!(BASELINE_S + EVERY_S >= END_S) };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(load(7, address, address).check(), Ok(()));
    }
}
