//! `GET /rules/{name}/effect`: what a rule does to calls, beside those that no fault touched.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::answer::{Refusal, json};
use crate::admin::ask::{Path, Query};
use crate::control::Handle;
use crate::measure::{LONGEST, Population};
use crate::units::Span;

/// How far back to look.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EffectQuery {
    /// A length of time up to 5 min, `10s` where absent.
    #[param(example = "10s")]
    pub over: Option<String>,
}

/// Two groups of calls beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectAnswer {
    /// Calls that ended, on which a fault of the rule acted.
    pub treated: EffectFigures,
    /// Calls that ended on the rule's listeners, and that no fault of any rule touched.
    pub untouched: EffectFigures,
    pub over_s: f64,
}

/// What calls were like to their clients. `null` where there were none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectFigures {
    pub calls: u64,
    /// Calls whose client got an error, injected ones included.
    pub errors: u64,
    pub error_rate: Option<f64>,
    pub p50_s: Option<f64>,
    pub p90_s: Option<f64>,
    pub p99_s: Option<f64>,
}

impl From<Population> for EffectFigures {
    fn from(population: Population) -> Self {
        Self {
            calls: population.calls,
            errors: population.errors,
            error_rate: population.error_rate,
            p50_s: population.p50,
            p90_s: population.p90,
            p99_s: population.p99,
        }
    }
}

/// What a rule does to calls, beside calls that no fault touched.
#[utoipa::path(
    get,
    path = "/rules/{name}/effect",
    params(("name" = String, Path, description = "A rule of `GET /rules`.")),
    responses(
        (status = OK, body = EffectAnswer),
        (status = NOT_FOUND, body = Refusal, description = "There is no such rule."),
    )
)]
pub(in crate::admin) async fn effect(
    State(handle): State<Handle>,
    Path(name): Path<String>,
    Query(query): Query<EffectQuery>,
) -> Result<Response, Refusal> {
    let over = window(query.over.as_deref())?;
    let effect = handle.effect(&name, over).map_err(|error| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            error.to_string(),
            "GET /rules lists them",
        )
    })?;
    let answer = EffectAnswer {
        treated: effect.treated.into(),
        untouched: effect.untouched.into(),
        over_s: over.as_secs_f64(),
    };
    Ok(json(StatusCode::OK, &answer))
}

fn window(text: Option<&str>) -> Result<Duration, Refusal> {
    let Some(text) = text else {
        return Ok(Duration::from_secs(10));
    };
    let over = text.parse::<Span>().ok().map(Span::get);
    let over = over.filter(|over| (Duration::from_secs(1)..=LONGEST).contains(over));
    over.ok_or_else(|| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("over = {text:?} is no time between 1s and 5m"),
            "write it like over=10s or over=2m",
        )
    })
}
