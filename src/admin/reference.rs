//! Holds docs/admin-api.md to the routes that there are.

use std::fmt::Write;

use serde_json::Value;

use crate::admin::routes;
use crate::record::reference::hold_section;

#[test]
fn the_document_lists_every_route() {
    let (_, openapi) = routes::all().split();
    let document = serde_json::to_value(openapi).unwrap();
    let mut table =
        "| route | scope | what it does | answers of its own |\n|---|---|---|---|\n".to_owned();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap();
            let line = format!(
                "| `{} {path}` | {} | {} | {} |",
                method.to_uppercase(),
                scope(operation),
                summary.replace('|', "\\|").replace('\n', " "),
                answers(operation),
            );
            writeln!(table, "{line}").unwrap();
        }
    }
    hold_section("admin-api.md", "routes", &table);
}

fn scope(operation: &Value) -> String {
    let requirements = operation["security"].as_array();
    let named = requirements.and_then(|it| it.last()?["bearer"][0].as_str());
    named.map_or_else(|| "none".to_owned(), |it| format!("`{it}`"))
}

/// Those that not every route gives.
fn answers(operation: &Value) -> String {
    let shared = ["400", "401", "403", "408", "413", "415", "429", "500"];
    let answers = operation["responses"].as_object().unwrap().keys();
    let own: Vec<&str> = answers
        .map(String::as_str)
        .filter(|it| !shared.contains(it))
        .collect();
    own.join(", ")
}
