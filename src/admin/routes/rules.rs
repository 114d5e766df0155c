//! `/rules`: which calls are hurt, and the changes that live as long as they are told to.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::answer::{Refusal, Told, json, no_content};
use crate::admin::ask::{Object, Path, Whole, on_disk};
use crate::admin::etag::{Preconditions, tagged};
use crate::admin::routes::Nothing;
use crate::config::{Problem, Problems};
use crate::control::{Handle, NoSuchRule, RuleError, RuleView};
use crate::record::{DeniedFigures, rfc3339};
use crate::rule;
use crate::units::Span;

/// All rules: those of the configuration in its order, then those of this API as they were armed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Rules {
    pub rules: Vec<Rule>,
}

/// A rule as it is now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    pub name: String,
    pub source: RuleSource,
    /// The listeners that it watches; `null`: all.
    pub listener: Option<Vec<String>>,
    pub armed: bool,
    /// It decides and counts, and touches nothing.
    pub dry_run: bool,
    /// Seconds until it ends by itself; `null`: it does not.
    pub expires_in_s: Option<f64>,
    /// The same as a time of day: RFC 3339, UTC.
    pub expires_at: Option<String>,
    /// The lease that it ends with.
    pub lease: Option<String>,
    /// The kinds of its faults, in order.
    pub faults: Vec<String>,
    pub figures: Figures,
    /// The rule with the keys that it has in a file; secrets are masked.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// Another after each change but those of figures and time.
    pub etag: String,
    /// What is worth saying of a rule that was put.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Told>,
}

/// Where a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleSource {
    /// The configuration: a reload changes it.
    File,
    /// This API: it does not outlive its time, its lease or the process.
    Api,
}

/// What became of the calls that a rule watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    pub selected: u64,
    /// Selected calls on which the trigger fired.
    pub hit: u64,
    pub denied: DeniedFigures,
    pub applied: u64,
    pub superseded: u64,
    pub not_applicable: u64,
    pub revoked: u64,
    /// Calls on which an effect of the rule acts right now.
    pub active: u64,
}

/// How to arm a rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ArmOrder {
    /// How long; absent: as the rule says.
    #[schema(value_type = Option<String>, example = "5m")]
    pub ttl: Option<Span>,
}

impl From<RuleView> for Rule {
    fn from(view: RuleView) -> Self {
        let figures = view.figures.clone();
        Self {
            name: figures.name.to_string(),
            source: match view.source {
                rule::RuleSource::File => RuleSource::File,
                rule::RuleSource::Api { .. } => RuleSource::Api,
            },
            expires_in_s: view.expires_in.as_ref().map(Duration::as_secs_f64),
            expires_at: view.expires_at().map(rfc3339),
            lease: view.source.lease().map(|it| Arc::clone(it).to_string()),
            listener: view.listeners,
            armed: figures.armed,
            dry_run: view.dry_run,
            faults: view.faults.iter().copied().map(str::to_owned).collect(),
            figures: Figures {
                selected: figures.selected,
                hit: figures.hit,
                denied: figures.denied,
                applied: figures.applied,
                superseded: figures.superseded,
                not_applicable: figures.not_applicable,
                revoked: figures.revoked,
                active: figures.active,
            },
            config: view.config,
            etag: view.etag,
            warnings: Vec::new(),
        }
    }
}

fn shown(status: StatusCode, rule: &Rule) -> Response {
    tagged(json(status, rule), &rule.etag)
}

fn find(handle: &Handle, name: &str) -> Result<Response, Refusal> {
    let view = handle.rule(name);
    let view = view.ok_or_else(|| Refusal::from(RuleError::from(NoSuchRule(name.to_owned()))))?;
    Ok(shown(StatusCode::OK, &view.into()))
}

/// All rules.
#[utoipa::path(get, path = "/rules", responses((status = OK, body = Rules)))]
pub(in crate::admin) async fn rules(State(handle): State<Handle>) -> Response {
    let rules = handle.rules().into_iter().map(Rule::from).collect();
    json(StatusCode::OK, &Rules { rules })
}

/// One rule.
#[utoipa::path(
    get,
    path = "/rules/{name}",
    params(("name" = String, Path,)),
    responses(
        (status = OK, body = Rule, headers(("ETag" = String))),
        (status = NOT_FOUND, description = "There is no rule of that name.", body = Refusal),
    )
)]
pub(in crate::admin) async fn rule(
    State(handle): State<Handle>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    find(&handle, &name)
}

/// Makes a rule be what the body says: with the keys that it has in a file (`name` may be left
/// out), and `lease`.
///
/// It lives for its `ttl`, 10 minutes where it has none, and `[safety] max_ttl` at most. The same
/// body again keeps its state and begins its time anew. Calls under way get nothing of it.
#[utoipa::path(
    put,
    path = "/rules/{name}",
    params(
        ("name" = String, Path,),
        ("If-Match" = Option<String>, Header, description = "The rule's ETag, as it was answered."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only where there is none."),
    ),
    request_body(
        content = Object,
        content_type = "application/json",
        example = json!({ "listener": "chat", "faults": [{ "delay": { "fixed": "250ms" } }], "ttl": "5m" }),
    ),
    responses(
        (status = OK, description = "It was there.", body = Rule, headers(("ETag" = String))),
        (status = CREATED, description = "It is new.", body = Rule, headers(("ETag" = String))),
        (status = CONFLICT, description = "The configuration has a rule of that name, or there is no such lease.", body = Refusal),
        (status = PRECONDITION_FAILED, description = "If-Match or If-None-Match does not hold.", body = Refusal),
        (status = UNPROCESSABLE_ENTITY, description = "All that is wrong with the rule.", body = Refusal),
        (status = INSUFFICIENT_STORAGE, description = "There are too many rules.", body = Refusal),
    )
)]
pub(in crate::admin) async fn put(
    State(handle): State<Handle>,
    Path(name): Path<String>,
    preconditions: Preconditions,
    Whole(body): Whole,
) -> Result<Response, Refusal> {
    let put = on_disk(move || {
        let text = std::str::from_utf8(&body).map_err(|error| not_json(&error.to_string()))?;
        let put = handle.put_rule(&name, text, |tag| preconditions.hold(tag));
        put.map_err(|refusal| {
            if serde_json::from_str::<IgnoredAny>(text).is_err() {
                refusal.with_status(StatusCode::BAD_REQUEST)
            } else {
                refusal
            }
        })
    });
    let put = put.await??;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut rule = Rule::from(put.rule);
    rule.warnings = put.warnings.iter().map(told).collect();
    Ok(shown(status, &rule))
}

/// Takes a rule of this API away: calls that wait under it go on.
#[utoipa::path(
    delete,
    path = "/rules/{name}",
    params(
        ("name" = String, Path,),
        ("If-Match" = Option<String>, Header, description = "The rule's ETag, as it was answered."),
    ),
    responses(
        (status = NO_CONTENT, description = "It is gone."),
        (status = NOT_FOUND, description = "There is no rule of that name.", body = Refusal),
        (status = CONFLICT, description = "The rule stands in the configuration.", body = Refusal),
        (status = PRECONDITION_FAILED, description = "If-Match does not hold.", body = Refusal),
    )
)]
pub(in crate::admin) async fn delete(
    State(handle): State<Handle>,
    Path(name): Path<String>,
    preconditions: Preconditions,
) -> Result<Response, Refusal> {
    // Its faults end on this thread, which waits for nothing; taking it away may have to wait.
    let ended = handle.end_rule(&name, |tag| preconditions.hold(tag))?;
    let remove = move || handle.remove_rule(&name, ended, |tag| preconditions.hold(tag));
    on_disk(remove).await??;
    Ok(no_content())
}

/// Makes a rule live from now on.
#[utoipa::path(
    post,
    path = "/rules/{name}/arm",
    params(("name" = String, Path,)),
    request_body = Option<ArmOrder>,
    responses(
        (status = OK, body = Rule, headers(("ETag" = String))),
        (status = NOT_FOUND, description = "There is no rule of that name.", body = Refusal),
        (status = CONFLICT, description = "The rule's lease is over.", body = Refusal),
        (status = UNPROCESSABLE_ENTITY, description = "It would live too long.", body = Refusal),
    )
)]
pub(in crate::admin) async fn arm(
    State(handle): State<Handle>,
    Path(name): Path<String>,
    Object(order): Object<ArmOrder>,
) -> Result<Response, Refusal> {
    let arm = move || {
        handle.arm(&name, order.ttl.map(Span::get))?;
        find(&handle, &name)
    };
    on_disk(arm).await?
}

/// Ends a rule: calls that wait under it go on, and it stays to be armed again.
#[utoipa::path(
    post,
    path = "/rules/{name}/disarm",
    params(("name" = String, Path,)),
    request_body = Option<Nothing>,
    responses(
        (status = OK, body = Rule, headers(("ETag" = String))),
        (status = NOT_FOUND, description = "There is no rule of that name.", body = Refusal),
    )
)]
pub(in crate::admin) async fn disarm(
    State(handle): State<Handle>,
    Path(name): Path<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Result<Response, Refusal> {
    handle.disarm(&name).map_err(RuleError::from)?;
    find(&handle, &name)
}

fn not_json(why: &str) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        format!("the body cannot be understood: {why}"),
        "send the rule as JSON, with the keys that it has in a file",
    )
}

fn told(problem: &Problem) -> Told {
    Told {
        message: problem.message.clone(),
        help: problem.help.clone(),
        at: problem.place.as_ref().map(|place| {
            let (line, column) = place.position();
            format!("{}:{line}:{column}", place.source.name)
        }),
    }
}

/// Several mistakes as one refusal: the first is told first, all are listed.
pub(super) fn refused(what: &str, problems: &Problems) -> Refusal {
    let all: Vec<Told> = problems.iter().map(told).collect();
    let help = all.first().and_then(|it| it.help.clone());
    let first = all.first().map(|it| it.message.clone()).unwrap_or_default();
    let error = match all.len() {
        1 => format!("{what}: {first}"),
        count => format!("{what}: {first}, and {} more", count.saturating_sub(1)),
    };
    let help = help.unwrap_or_else(|| "put right what `problems` lists, and send it again".into());
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error, help).with_problems(all)
}

impl From<RuleError> for Refusal {
    fn from(error: RuleError) -> Self {
        let said = error.to_string();
        let (status, help) = match error {
            RuleError::Config(problems) => return refused("the rule is wrong", &problems),
            RuleError::NoSuchRule(_) => (StatusCode::NOT_FOUND, "GET /rules lists them"),
            RuleError::OfFile(_) => (
                StatusCode::CONFLICT,
                "disarm it, or change the configuration; name yours otherwise",
            ),
            RuleError::NoSuchLease(_) => (
                StatusCode::CONFLICT,
                "PUT /leases/ID first, and again before it ends",
            ),
            RuleError::TooMany(_) => (
                StatusCode::INSUFFICIENT_STORAGE,
                "delete what is not needed any more",
            ),
            RuleError::NoTime => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "give a time like \"5m\", or leave `ttl` out",
            ),
            RuleError::TooLong { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "arm it again before it ends, or raise `[safety] max_ttl`",
            ),
            RuleError::Change(_) => (StatusCode::CONFLICT, "ask the sidecar that takes its place"),
        };
        Self::new(status, said, help)
    }
}
