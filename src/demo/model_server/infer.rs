//! The Open Inference Protocol, version 2, over HTTP with JSON tensors: health, metadata, infer.

use std::cell::RefCell;

use http::{Method, Response, StatusCode};
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{AnswerBody, Dialect, empty, json_answer};
use super::digits::{CLASSES, Classifier, PIXELS};
use super::network::best;

/// The name of the classifier.
pub(super) const MODEL: &str = "digits";
const VERSION: &str = "1";
const MOST_ROWS: usize = 1024;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Option<String>,
    inputs: Vec<Tensor>,
    #[serde(default)]
    outputs: Option<Vec<Wanted>>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    data: Value,
}

#[derive(Deserialize)]
struct Wanted {
    name: String,
}

pub(super) fn answer(
    method: &Method,
    path: &str,
    body: &Bytes,
    classifier: &RefCell<Classifier>,
) -> Response<AnswerBody> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method, segments.as_slice()) {
        (&Method::GET, ["v2"]) => server_metadata(),
        (&Method::GET, ["v2", "health", "live" | "ready"]) => empty(StatusCode::OK),
        (method, ["v2", "models", name, rest @ ..]) => {
            let rest = match rest {
                ["versions", VERSION, rest @ ..] => rest,
                ["versions", version, ..] => return unknown(&format!("{name}, version {version}")),
                rest => rest,
            };
            if *name != MODEL {
                return unknown(name);
            }
            match (method, rest) {
                (&Method::GET, []) => model_metadata(),
                (&Method::GET, ["ready"]) => empty(StatusCode::OK),
                (&Method::POST, ["infer"]) => match infer(body, &mut classifier.borrow_mut()) {
                    Ok(answer) => json_answer(StatusCode::OK, &answer),
                    Err(message) => error(StatusCode::BAD_REQUEST, &message),
                },
                _ => not_here(method, path),
            }
        }
        _ => not_here(method, path),
    }
}

fn error(status: StatusCode, message: &str) -> Response<AnswerBody> {
    Dialect::OpenInference.error(status, message)
}

fn unknown(name: &str) -> Response<AnswerBody> {
    error(StatusCode::NOT_FOUND, &format!("unknown model {name}"))
}

fn not_here(method: &Method, path: &str) -> Response<AnswerBody> {
    error(
        StatusCode::NOT_FOUND,
        &format!("nothing answers {method} {path}"),
    )
}

fn server_metadata() -> Response<AnswerBody> {
    let metadata = json!({
        "name": "hormesis demo model server",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": [],
    });
    json_answer(StatusCode::OK, &metadata)
}

fn model_metadata() -> Response<AnswerBody> {
    let metadata = json!({
        "name": MODEL,
        "versions": [VERSION],
        "platform": "hormesis_perceptron",
        "inputs": [{ "name": "pixels", "datatype": "FP32", "shape": [-1, PIXELS] }],
        "outputs": [
            { "name": "label", "datatype": "INT64", "shape": [-1] },
            { "name": "scores", "datatype": "FP32", "shape": [-1, CLASSES] },
        ],
    });
    json_answer(StatusCode::OK, &metadata)
}

fn infer(body: &[u8], classifier: &mut Classifier) -> Result<Value, String> {
    let request: Request = serde_json::from_slice(body)
        .map_err(|error| format!("the body is no inference request: {error}"))?;
    let [input] = request.inputs.as_slice() else {
        let count = request.inputs.len();
        return Err(format!("{MODEL} takes one input, not {count}"));
    };
    let pixels = input.pixels()?;
    let mut labels = Vec::new();
    let mut scores = Vec::new();
    for picture in pixels.chunks_exact(PIXELS) {
        let row = classifier.scores(picture);
        labels.push(best(row));
        scores.extend_from_slice(row);
    }
    let rows = labels.len();
    let outputs = vec![
        json!({ "name": "label", "datatype": "INT64", "shape": [rows], "data": labels }),
        json!({ "name": "scores", "datatype": "FP32", "shape": [rows, CLASSES], "data": scores }),
    ];
    let mut answer = json!({
        "model_name": MODEL,
        "model_version": VERSION,
        "outputs": select(outputs, request.outputs.as_deref())?,
    });
    if let Some(id) = request.id {
        answer["id"] = Value::String(id);
    }
    Ok(answer)
}

/// The outputs that were asked for, in that order; all where none was named.
fn select(outputs: Vec<Value>, wanted: Option<&[Wanted]>) -> Result<Vec<Value>, String> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        return Ok(outputs);
    };
    wanted
        .iter()
        .map(|want| {
            outputs
                .iter()
                .find(|output| output["name"] == want.name.as_str())
                .cloned()
                .ok_or_else(|| format!("{MODEL} has no output {:?}", want.name))
        })
        .collect()
}

impl Tensor {
    fn pixels(&self) -> Result<Vec<f32>, String> {
        if self.name != "pixels" {
            return Err(format!("{MODEL} has no input {:?}", self.name));
        }
        if self.datatype != "FP32" {
            return Err(format!("pixels must be FP32, not {}", self.datatype));
        }
        let rows = match self.shape.as_slice() {
            [rows, PIXELS] if (1..=MOST_ROWS).contains(rows) => *rows,
            shape => {
                let message = format!("[1 to {MOST_ROWS}, {PIXELS}], not {shape:?}");
                return Err(format!("the shape of pixels must be {message}"));
            }
        };
        let mut pixels = Vec::with_capacity(rows * PIXELS);
        flatten(&self.data, &mut pixels)?;
        if pixels.len() == rows * PIXELS {
            Ok(pixels)
        } else {
            Err(format!(
                "the shape {:?} wants {} values, the data has {}",
                self.shape,
                rows * PIXELS,
                pixels.len()
            ))
        }
    }
}

/// Tensor data may be flat or nested by row; both read alike.
fn flatten(data: &Value, into: &mut Vec<f32>) -> Result<(), String> {
    match data {
        Value::Array(values) => values.iter().try_for_each(|value| flatten(value, into)),
        Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "FP32 is what is asked for")]
            let value = number.as_f64().unwrap_or(f64::NAN) as f32;
            into.push(value);
            Ok(())
        }
        other => Err(format!("{other} is no number")),
    }
}
