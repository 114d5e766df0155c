//! What a real Toxiproxy 2.12 answered, word for word: `tests/data/toxiproxy/record.py` asked it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::server::Server;

const RECORDED: &str = include_str!("../data/toxiproxy/answers.json");

#[test]
fn every_answer_is_that_of_toxiproxy() {
    let server = Server::toxiproxy(&[]);
    let steps: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert!(steps.len() > 150, "{}", steps.len());
    let mut listens = BTreeMap::new();
    let mut complaints = Vec::new();
    for step in &steps {
        let (asked, expected) = (&step["asked"], &step["answered"]);
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        let mut fields = vec![("User-Agent", "test")];
        for (name, value) in asked["fields"].as_object().unwrap() {
            fields.retain(|(it, _)| it != name);
            fields.push((name, value.as_str().unwrap()));
        }
        let body = listens.iter().fold(text("body").to_owned(), named);
        let answer = server.ask(text("method"), text("path"), &fields, &body);
        learn(&answer.body, &mut listens);
        let shown = listens.iter().fold(answer.body.clone(), unnamed);
        let headers = expected["headers"].as_object().unwrap();
        let same = answer.status == expected["status"]
            && shown == expected["body"].as_str().unwrap()
            && answer.header("x-toxiproxy-request-id").is_some() == expected["request_id"]
            && [
                "content-type",
                "x-content-type-options",
                "location",
                "allow",
            ]
            .into_iter()
            .all(|name| answer.header(name) == headers.get(name).and_then(Value::as_str));
        if !same {
            complaints.push(format!(
                "asked {asked}\nexpected {expected}\ngot {answer:?}\n"
            ));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[expect(clippy::needless_pass_by_value, reason = "as `fold` hands it on")]
fn named(text: String, (name, listen): (&String, &String)) -> String {
    text.replace(&format!("${{{name}}}"), listen)
}

#[expect(clippy::needless_pass_by_value, reason = "as `fold` hands it on")]
fn unnamed(text: String, (name, listen): (&String, &String)) -> String {
    text.replace(listen.as_str(), &format!("${{{name}}}"))
}

/// Remembers the addresses that the server chose.
fn learn(body: &str, listens: &mut BTreeMap<String, String>) {
    for part in body.split("\"name\":\"").skip(1) {
        let Some((name, rest)) = part.split_once("\",\"listen\":\"") else {
            continue;
        };
        let listen = rest.split('"').next().unwrap();
        let chosen = listen.starts_with("127.0.0.1:") && !listen.ends_with(":0");
        if chosen && !name.contains('"') {
            listens.insert(name.to_owned(), listen.to_owned());
        }
    }
}
