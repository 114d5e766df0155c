//! What every protocol of the registry must hold to, and what the streams of real servers say.

use hormesis::call::{Call, Description, Field};
use hormesis::effect::{Answer, ErrorKind, ErrorSpec};
use hormesis::protocol::{
    Dialect, Framer, Protocol, RequestHead, ResponseHead, UnitEnd, UnitKind, by_name, fuzz,
    registry,
};
use proptest::prelude::*;
use serde_json::Value;

const STREAMS: &[(&str, &str, &str)] = &[
    // The server, its stream, and its units: `t`oken or `c`ontrol.
    (
        "llama.cpp chat",
        include_str!("data/streams/llama-cpp-chat.sse"),
        "cttttccc",
    ),
    (
        "llama.cpp /completion",
        include_str!("data/streams/llama-cpp-completion.sse"),
        "tttc",
    ),
    (
        "llama-cpp-python",
        include_str!("data/streams/llama-cpp-python-chat.sse"),
        "ccttcc",
    ),
    (
        "OpenAI chat",
        include_str!("data/streams/openai-chat.sse"),
        "ctttttttccc",
    ),
    (
        "OpenAI responses",
        include_str!("data/streams/openai-responses.sse"),
        "cccctttcccc",
    ),
    (
        "OpenAI tool call",
        include_str!("data/streams/openai-tool-call.sse"),
        "ttttttcc",
    ),
    (
        "vLLM completions",
        include_str!("data/streams/vllm-completions.sse"),
        "ttttctc",
    ),
    (
        "vLLM error",
        include_str!("data/streams/vllm-error.sse"),
        "tcc",
    ),
    (
        "vLLM reasoning",
        include_str!("data/streams/vllm-reasoning.sse"),
        "cttttttcccc",
    ),
];

const EVENT_STREAM: &[Field<'static>] = &[Field {
    name: "content-type",
    value: b"text/event-stream",
}];

fn dialects() -> impl Iterator<Item = (&'static str, &'static dyn Dialect)> {
    let with_dialect = registry().iter();
    with_dialect.filter_map(|info| Some((info.name, info.dialect?)))
}

fn framer(dialect: &dyn Dialect) -> Option<Box<dyn Framer>> {
    let head = ResponseHead {
        status: 200,
        fields: EVENT_STREAM,
    };
    dialect.framer(&Description::default(), &head)
}

fn units(framer: &mut dyn Framer, body: &[u8], size: usize) -> Vec<UnitEnd> {
    let mut all = Vec::new();
    for (index, piece) in body.chunks(size).enumerate() {
        let mut ends = Vec::new();
        framer.push(piece, &mut ends);
        all.extend(ends.iter().map(|end| UnitEnd {
            at: index * size + end.at,
            kind: end.kind,
        }));
    }
    all
}

fn letters(units: &[UnitEnd]) -> String {
    let letter = |unit: &UnitEnd| match unit.kind {
        UnitKind::Control => 'c',
        UnitKind::Token => 't',
    };
    units.iter().map(letter).collect()
}

#[test]
fn the_units_of_real_streams_are_told_apart_under_any_split() {
    let openai = by_name("openai").unwrap().dialect.unwrap();
    for (server, body, expected) in STREAMS {
        for size in 1..=body.len() {
            let mut framer = framer(openai).unwrap();
            let units = units(framer.as_mut(), body.as_bytes(), size);
            assert_eq!(letters(&units), *expected, "{server} in pieces of {size}");
            assert_eq!(units.last().unwrap().at, body.len(), "{server}");
            assert_eq!(framer.finish(), None, "{server}");
            assert_eq!(framer.saw_end(), Some(true), "{server}");
            assert_eq!(framer.saw_error(), *server == "vLLM error", "{server}");
        }
        let http = by_name("http").unwrap().dialect.unwrap();
        let units = units(framer(http).unwrap().as_mut(), body.as_bytes(), 50);
        assert_eq!(
            units.len(),
            expected.len(),
            "{server}: `http` sees the same units"
        );
    }
}

#[test]
fn streams_report_their_usage() {
    let openai = by_name("openai").unwrap().dialect.unwrap();
    let usage = |server: &str| {
        let (_, body, _) = STREAMS.iter().find(|(name, ..)| *name == server).unwrap();
        let mut framer = framer(openai).unwrap();
        framer.push(body.as_bytes(), &mut Vec::new());
        framer
            .usage()
            .map(|usage| (usage.prompt_tokens, usage.output_tokens))
    };
    assert_eq!(usage("OpenAI chat"), Some((Some(19), Some(8))));
    assert_eq!(usage("OpenAI responses"), Some((Some(37), Some(11))));
    assert_eq!(usage("llama.cpp chat"), Some((Some(27), Some(5))));
    assert_eq!(usage("llama.cpp /completion"), Some((Some(6), Some(3))));
    assert_eq!(usage("vLLM reasoning"), Some((Some(12), Some(7))));
    assert_eq!(usage("vLLM completions"), None);
}

#[test]
fn the_registry_is_sorted_and_found_by_name() {
    assert!(registry().is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(Protocol::ALL.len(), registry().len());
    for (protocol, info) in Protocol::ALL.iter().zip(registry()) {
        assert_eq!(protocol.name(), info.name);
        assert_eq!(info.name.parse::<Protocol>().unwrap(), *protocol);
        assert_eq!(by_name(info.name).unwrap().summary, info.summary);
        let json = serde_json::to_string(protocol).unwrap();
        assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), *protocol);
    }
    let error = "htttp".parse::<Protocol>().unwrap_err().to_string();
    assert!(
        error.contains("htttp") && error.contains("open-inference"),
        "{error}"
    );
}

#[test]
fn every_entry_is_documented_in_the_same_form() {
    const SECTIONS: [&str; 5] = [
        "What it carries",
        "Operations",
        "Units",
        "Errors",
        "Example",
    ];
    for info in registry() {
        let name = info.name;
        assert!(info.doc.starts_with(&format!("# `{name}`\n")), "{name}");
        let sections: Vec<&str> = info
            .doc
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(sections, SECTIONS, "{name}");
        let (_, example) = info.doc.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let table: toml::Table = example.parse().unwrap();
        let listeners = table["listeners"].as_table().unwrap();
        let (_, listener) = listeners.iter().next().unwrap();
        assert_eq!(listener["protocol"].as_str(), Some(name));
        let rules = table["rules"].as_array().unwrap();
        for operation in rules
            .iter()
            .filter_map(|rule| rule.get("select")?.get("operation"))
        {
            let operation = operation.as_str().unwrap();
            assert!(info.operations.contains(&operation), "{name}: {operation}");
        }
        assert!(!info.summary.is_empty() && !info.summary.contains('\n'));
    }
}

#[test]
fn every_native_error_is_whole_and_in_the_words_of_its_protocol() {
    let statuses = [
        200, 204, 304, 400, 401, 404, 409, 418, 422, 429, 500, 502, 503, 504, 599,
    ];
    let specs = ErrorKind::ALL
        .map(ErrorSpec::Kind)
        .into_iter()
        .chain(statuses.map(ErrorSpec::Status));
    for error in specs {
        for (name, dialect) in dialects() {
            let answer = Answer {
                error: error.clone(),
                headers: vec![("x-test".to_owned(), "1".to_owned())],
                body: None,
            };
            let native = dialect.error(&answer, &Call::default());
            if name == "grpc" {
                let has = |name: &str| native.headers.iter().any(|(it, _)| it == name);
                assert!(has("grpc-status") && has("grpc-message") && native.body.is_empty());
            } else if let ErrorSpec::Status(code) = error {
                assert_eq!(native.status, code, "{name}");
            }
            assert!(native.headers.iter().any(|(name, _)| name == "x-test"));
            let retry = native.headers.iter().any(|(name, _)| name == "retry-after");
            assert_eq!(
                retry,
                matches!(native.status.as_u16(), 429 | 503),
                "{name} {error:?}"
            );
            if matches!(native.status.as_u16(), 204 | 304) {
                assert!(native.body.is_empty());
                continue;
            }
            match name {
                "grpc" => assert_eq!(native.status, 200),
                "openai" => assert_openai_error(&serde_json::from_slice(&native.body).unwrap()),
                "open-inference" => {
                    let body: Value = serde_json::from_slice(&native.body).unwrap();
                    let text = body["error"].as_str().unwrap();
                    assert!(!text.is_empty());
                    assert_eq!(body.as_object().unwrap().len(), 1);
                }
                _ => assert!(native.body.starts_with(native.status.as_str().as_bytes())),
            }
        }
    }
}

/// What the official clients read of an error.
fn assert_openai_error(body: &Value) {
    let error = &body["error"];
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    assert!(error["type"].is_string());
    assert!(error.get("param").is_some() && error.get("code").is_some());
}

#[test]
fn an_error_in_a_stream_is_one_control_unit_that_reports_it() {
    for (name, dialect) in dialects() {
        let head = RequestHead {
            method: "POST",
            path: "/v2/models/llm/generate_stream",
            query: None,
            fields: &[],
        };
        let description = dialect.describe(&head);
        for kind in ErrorKind::ALL {
            let answer = Answer {
                error: ErrorSpec::Kind(kind),
                headers: Vec::new(),
                body: None,
            };
            let Some(event) = dialect.error_in_stream(&answer, &description) else {
                assert!(matches!(name, "grpc" | "http"), "the others can say it");
                continue;
            };
            let mut framer = framer(dialect).unwrap();
            assert_eq!(letters(&units(framer.as_mut(), &event, 7)), "c", "{name}");
            assert!(
                framer.saw_error() && dialect.is_error_unit(&event),
                "{name} {kind:?}"
            );
        }
    }
}

#[test]
fn json_lines_are_units_of_http() {
    let http = by_name("http").unwrap().dialect.unwrap();
    let fields = [Field {
        name: "content-type",
        value: b"application/x-ndjson",
    }];
    let head = ResponseHead {
        status: 200,
        fields: &fields,
    };
    let mut framer = http.framer(&Description::default(), &head).unwrap();
    let ends = units(framer.as_mut(), b"{\"a\":1}\n\n{\"b\":2}\r\n{\"c\"", 3);
    assert_eq!(letters(&ends), "tct");
    assert_eq!(framer.finish(), Some(UnitKind::Token));
}

proptest! {
    #[test]
    fn any_split_of_any_bytes_gives_the_same_units(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz::sse(&bytes);
    }

    #[test]
    fn any_split_of_a_damaged_stream_gives_the_same_units(
        stream in prop::sample::select(STREAMS.to_vec()),
        sizes in any::<u8>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut body = vec![sizes];
        body.extend_from_slice(stream.1.as_bytes());
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        fuzz::sse(&body);
    }

    #[test]
    fn a_look_into_any_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::look(&bytes);
    }

    #[test]
    fn any_request_line_is_described(
        method in "GET|POST|DELETE|[A-Z]{0,3}",
        path in "(/(v1|v2|models|chat|completions|openai|deployments|versions|infer|responses|%2[fF]|%|%zz|é|)){0,8}(\\?.*)?",
    ) {
        fuzz::describe(format!("{method} {path}").as_bytes());
    }
}
