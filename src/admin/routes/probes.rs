//! `GET /probes?expr=…`: one value of the present, or whether a condition is true.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::answer::{Refusal, Told, json};
use crate::admin::ask::{Query, Turns};
use crate::control::Handle;
use crate::measure::{Evaluation, Expression, Mistake};

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ProbeQuery {
    /// An expression, as docs/expressions.md tells: `error_rate(chat) over 30s`,
    /// `latency.p99(chat) <= 300ms`.
    #[param(example = "error_rate over 10s")]
    pub expr: String,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Probe {
    pub status: ProbeStatus,
    /// `null` where there is no verdict.
    pub value: Option<ProbeValue>,
    /// The expression in its one form, its window included.
    pub expr: String,
    /// Of the number that is measured: `share` (0 to 1), `seconds` or `per_second`.
    pub unit: String,
    /// The number that is measured, also where the value is whether a condition is true.
    pub measured: Option<f64>,
    /// So many calls were looked at (tokens, for what lies between them).
    pub of: u64,
}

/// Whether there was enough to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeStatus {
    Ok,
    /// Fewer than 20 calls, or a rate whose window is longer than the sidecar has run.
    NoVerdict,
}

/// A number, or of a condition whether it is true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ProbeValue {
    Holds(bool),
    Number(f64),
}

/// Measures one thing now.
#[utoipa::path(get, path = "/probes", responses((status = OK, body = Probe)))]
pub(in crate::admin) async fn probe(
    State(handle): State<Handle>,
    State(turns): State<Turns>,
    Query(query): Query<ProbeQuery>,
) -> Result<Response, Refusal> {
    let text = query.expr.as_str();
    let parsed: Result<Expression, Mistake> = text.parse();
    let expression = parsed.map_err(|mistake| refused(&mistake, text))?;
    // Hundreds of windows may have to be summed: not on the thread that answers a halt.
    let probe = move || (handle.probe(&expression), expression);
    let (said, expression) = turns.probes.on_disk(probe).await?;
    let said = said.map_err(|mistake| refused(&mistake, text))?;
    Ok(json(StatusCode::OK, &answer(&expression, said)))
}

fn answer(expression: &Expression, said: Evaluation) -> Probe {
    let value = match expression.test {
        Some(_) => said.holds.map(ProbeValue::Holds),
        None => said.value.map(ProbeValue::Number),
    };
    Probe {
        status: if value.is_some() {
            ProbeStatus::Ok
        } else {
            ProbeStatus::NoVerdict
        },
        value,
        expr: expression.to_string(),
        unit: expression.measurement.measure.unit.name().to_owned(),
        measured: said.value,
        of: said.of,
    }
}

fn refused(mistake: &Mistake, text: &str) -> Refusal {
    let column = mistake.column(text);
    let message = format!("expr:{column}: {mistake}\n{}", mistake.pointed(text));
    Refusal::new(StatusCode::BAD_REQUEST, message, mistake.help.clone()).with_problems(vec![Told {
        message: mistake.message.clone(),
        help: Some(mistake.help.clone()),
        at: Some(format!("expr:1:{column}")),
    }])
}
