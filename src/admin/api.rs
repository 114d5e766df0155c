//! The API as a whole: each route is entered with the scope that it needs, and described in
//! `OpenAPI` with the answers that it may give, those that all routes share included.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::{self, Next};
use bytes::Bytes;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::admin::answer::{Refusal, Told};
use crate::admin::ask::Turns;
use crate::admin::keeper::gate;
use crate::control::Handle;
pub(super) use crate::snapshot::Scope;

/// What every route may use.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    handle: Handle,
    document: Document,
    turns: Turns,
}

/// The `OpenAPI` document as JSON, written when it is first asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Document(Arc<OnceLock<Bytes>>);

impl Document {
    pub(super) fn text(&self, api: impl FnOnce() -> Api) -> Bytes {
        let write = || match api().split().1.to_json() {
            Ok(text) => text.into(),
            Err(error) => {
                tracing::error!(%error, "the OpenAPI document could not be written");
                Bytes::new()
            }
        };
        self.0.get_or_init(write).clone()
    }
}

impl FromRef<Shared> for Handle {
    fn from_ref(shared: &Shared) -> Self {
        shared.handle.clone()
    }
}

impl FromRef<Shared> for Turns {
    fn from_ref(shared: &Shared) -> Self {
        shared.turns.clone()
    }
}

impl FromRef<Shared> for Document {
    fn from_ref(shared: &Shared) -> Self {
        shared.document.clone()
    }
}

/// The routes entered so far.
pub(super) struct Api(OpenApiRouter<Shared>);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "hormesis admin API",
        description = "What runs, what it did, and how to stop it. Errors are \
            `{\"error\": \"what is wrong\", \"help\": \"what to do\"}`. Changes are never made by \
            GET; bodies are `application/json` and at most 1 MiB."
    ),
    components(schemas(Refusal, Told)),
    modifiers(&Bearer)
)]
struct Described;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of [admin] in the configuration, or the one that was made at start. On \
             loopback, reads and POST /halt need none; a unix socket is the credential itself.",
            ));
        if let Some(components) = &mut openapi.components {
            components.add_security_scheme(BEARER, SecurityScheme::Http(scheme.build()));
        }
    }
}

const BEARER: &str = "bearer";

impl Api {
    pub(super) fn new() -> Self {
        Self(OpenApiRouter::with_openapi(Described::openapi()))
    }

    /// Enters what `routes!` gives, each with this scope.
    pub(super) fn route(self, scope: Scope, routes: UtoipaMethodRouter<Shared>) -> Self {
        let (schemas, mut paths, methods) = routes;
        let gated = move |request: Request, next: Next| gate(scope, request, next);
        let methods = methods.route_layer(middleware::from_fn(gated));
        for item in paths.paths.values_mut() {
            for (operation, changes) in operations(item) {
                describe(operation, scope, changes);
            }
        }
        Self(self.0.routes((schemas, paths, methods)))
    }

    /// The router, and the document that describes it.
    pub(super) fn split(self) -> (Router<Shared>, utoipa::openapi::OpenApi) {
        self.0.split_for_parts()
    }

    /// All of it, served for `handle`.
    pub(super) fn router(self, handle: Handle) -> Router {
        let document = Document::default();
        let (router, _) = self.split();
        router.with_state(Shared {
            handle,
            document,
            turns: Turns::default(),
        })
    }
}

/// Each operation of a path, and whether it changes anything.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&mut Operation, bool)> {
    let reads = [item.get.as_mut()];
    let changes = [
        item.put.as_mut(),
        item.post.as_mut(),
        item.delete.as_mut(),
        item.patch.as_mut(),
    ];
    let reads = reads.into_iter().flatten().map(|it| (it, false));
    reads.chain(changes.into_iter().flatten().map(|it| (it, true)))
}

/// Adds what the frame answers for every route, where the route does not say it itself.
fn describe(operation: &mut Operation, scope: Scope, changes: bool) {
    let mut may = |status: &str, description: &str| {
        let answers = &mut operation.responses.responses;
        let answer = || RefOr::T(refusal(description));
        answers.entry(status.to_owned()).or_insert_with(answer);
    };
    may("400", "The request cannot be understood.");
    may(
        "403",
        "A web page asks, the Host is not ours, or the token lacks the scope.",
    );
    may("500", "A bug in hormesis.");
    if changes {
        may("408", "The body took too long.");
        may("413", "The body is larger than 1 MiB.");
        may("415", "The body is not application/json.");
    }
    if scope == Scope::Open {
        return;
    }
    may("401", "No token, or a wrong one.");
    may(
        "429",
        "Too many wrong tokens from there: wait as long as Retry-After says.",
    );
    let needs = SecurityRequirement::new(BEARER, [scope.name()]);
    operation.security = Some(match scope {
        Scope::Read | Scope::Halt => vec![SecurityRequirement::default(), needs],
        _ => vec![needs],
    });
}

fn refusal(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content.build())
        .build()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::admin::routes;

    fn document() -> Value {
        let (_, openapi) = routes::all().split();
        serde_json::to_value(openapi).unwrap()
    }

    #[test]
    fn every_operation_says_what_it_does_and_what_it_may_answer() {
        let document = document();
        let mut seen = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                seen += 1;
                let at = format!("{method} {path}");
                assert!(operation["summary"].is_string(), "{at} has no summary");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.keys().any(|it| it.starts_with('2')), "{at}");
                for status in ["400", "403", "500"] {
                    assert!(answers.contains_key(status), "{at} lacks {status}");
                }
                if method != "get" {
                    let needs = operation["security"].as_array();
                    assert!(
                        needs.is_some_and(|it| !it.is_empty()),
                        "{at} is for anybody"
                    );
                    assert!(answers.contains_key("415"), "{at}");
                }
            }
        }
        assert!(seen >= 6, "{document}");
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in text.split("#/components/schemas/").skip(1) {
            let name = name.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "no schema {name}");
        }
    }
}
