//! What the model server answers.

use serde_json::{Value, json};

use crate::server::{Answer, ModelServer};

const CHAT: &str = "/v1/chat/completions";
const INFER: &str = "/v2/models/digits/infer";

fn chat(stream: bool) -> Value {
    json!({
        "model": "river-letters",
        "messages": [{ "role": "user", "content": "who lives by the river" }],
        "temperature": 0,
        "max_tokens": 9,
        "stream": stream,
    })
}

fn events(answer: &Answer) -> Vec<&str> {
    assert!(answer.head.contains("text/event-stream"), "{}", answer.head);
    let events = answer.body.strip_suffix("\n\n").unwrap().split("\n\n");
    events
        .map(|it| it.strip_prefix("data: ").unwrap())
        .collect()
}

#[test]
fn streamed_and_whole_answers_are_the_same_text() {
    let server = ModelServer::start();
    let whole = server.post(CHAT, &chat(false)).json();
    let choice = &whole["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap();
    assert!(!text.is_empty());

    let streamed = server.post(CHAT, &chat(true));
    let events = events(&streamed);
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    let chunks: Vec<Value> = chunks
        .iter()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let deltas: Vec<&Value> = chunks.iter().map(|it| &it["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0]["role"], "assistant");
    let written: String = deltas
        .iter()
        .filter_map(|delta| delta["content"].as_str())
        .collect();
    assert_eq!(written, text);
    let last = &chunks.last().unwrap()["choices"][0];
    assert_eq!(last["finish_reason"], choice["finish_reason"]);
    // Role, words, finish.
    let tokens = whole["usage"]["completion_tokens"].as_u64().unwrap();
    assert_eq!(chunks.len() as u64, tokens + 2);
}

#[test]
fn usage_comes_where_it_is_asked_for() {
    let server = ModelServer::start();
    let mut request = chat(true);
    request["stream_options"] = json!({ "include_usage": true });
    let answer = server.post(CHAT, &request);
    let events = events(&answer);
    let usage: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    assert_eq!(usage["choices"], json!([]));
    let tokens = usage["usage"]["completion_tokens"].as_u64().unwrap();
    assert_eq!(events.len() as u64, tokens + 4);
}

#[test]
fn chat_errors_are_those_of_the_api() {
    let server = ModelServer::start();
    let mut unknown = chat(false);
    unknown["model"] = json!("gpt-9");
    let answer = server.post(CHAT, &unknown);
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    for (method, path, body, status) in [
        ("POST", CHAT, "{", 400),
        ("GET", CHAT, "", 405),
        ("GET", "/v1/nothing", "", 404),
    ] {
        let answer = server.exchange(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    let models = server.get("/v1/models").json();
    assert_eq!(models["data"][0]["id"], "river-letters");
}

#[test]
fn inference_gives_probabilities_for_each_row() {
    let server = ModelServer::start();
    for path in [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/digits/ready",
        "/v2/models/digits/versions/1/ready",
    ] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let input = &server.get("/v2/models/digits").json()["inputs"][0];
    assert_eq!(input["shape"], json!([-1, 64]));
    let rows = vec![vec![0.25; 64]; 3];
    let request = json!({
        "id": "a",
        "inputs": [{ "name": "pixels", "datatype": "FP32", "shape": [3, 64], "data": rows }],
        "outputs": [{ "name": "scores" }],
    });
    let answer = server.post(INFER, &request).json();
    assert_eq!(answer["id"], "a");
    let scores = &answer["outputs"][0];
    assert_eq!(scores["shape"], json!([3, 10]));
    let row: f64 = scores["data"].as_array().unwrap()[..10]
        .iter()
        .map(|it| it.as_f64().unwrap())
        .sum();
    assert!((row - 1.0).abs() < 1e-4, "{row}");
}

#[test]
fn inference_refuses_what_does_not_fit() {
    let server = ModelServer::start();
    let good =
        json!({ "name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": vec![0.0; 64] });
    let with = |field: &str, value: Value| {
        let mut input = good.clone();
        input[field] = value;
        json!({ "inputs": [input] })
    };
    for (request, hint) in [
        (with("name", json!("x")), "no input"),
        (with("datatype", json!("INT8")), "FP32"),
        (with("shape", json!([1, 63])), "shape"),
        (with("shape", json!([2, 64])), "128 values"),
        (with("data", json!(["a"])), "no number"),
        (json!({ "inputs": [] }), "one input"),
        (
            json!({ "inputs": [good], "outputs": [{ "name": "x" }] }),
            "no output",
        ),
    ] {
        let answer = server.post(INFER, &request);
        assert_eq!(answer.status, 400);
        let message = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(message.contains(hint), "{message}");
    }
    assert_eq!(server.get("/v2/models/letters").status, 404);
    assert_eq!(server.get("/v2/models/digits/versions/2").status, 404);
    assert_eq!(server.get("/nothing").status, 404);
}
