//! `GET /energy`: what was used so far, and by what.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::answer::{Refusal, json};
use crate::admin::ask::Query;
use crate::control::Handle;
use crate::record::{EnergyTotals, OutcomeEnergy};
use crate::units::MicroJoules;

/// What calls are put together by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// How they ended.
    #[default]
    Outcome,
    /// The rule that hit.
    Rule,
    /// The model that they asked for.
    Model,
    /// Where they came in.
    Listener,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(in crate::admin) struct EnergyQuery {
    /// What calls are put together by.
    #[param(inline)]
    by: Grouping,
}

/// The energy used so far. No reading is `null`, never 0.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EnergyAnswer {
    pub by: Grouping,
    /// By name; absent where nothing measures energy.
    pub groups: Option<BTreeMap<String, OutcomeEnergy>>,
    pub totals: Option<EnergyTotals>,
}

/// The energy used so far, in µJ, by what calls have in common.
#[utoipa::path(get, path = "/energy", responses((status = OK, body = EnergyAnswer)))]
pub(in crate::admin) async fn energy(
    State(handle): State<Handle>,
    Query(EnergyQuery { by }): Query<EnergyQuery>,
) -> Result<Response, Refusal> {
    let totals = handle.energy();
    let groups = totals.as_ref().map(|totals| match by {
        Grouping::Outcome => named(totals.by_outcome.iter()),
        Grouping::Rule => named(totals.by_rule.iter()),
        Grouping::Model => named(totals.by_model.iter()),
        Grouping::Listener => by_listener(totals, &handle),
    });
    let answer = EnergyAnswer { by, groups, totals };
    Ok(json(StatusCode::OK, &answer))
}

fn named<'t, N: AsRef<str> + 't>(
    sums: impl Iterator<Item = (&'t N, &'t OutcomeEnergy)>,
) -> BTreeMap<String, OutcomeEnergy> {
    sums.map(|(name, sum)| (name.as_ref().to_owned(), sum.clone()))
        .collect()
}

/// Only the energy above idle is known of a listener: its calls share windows with those of others.
fn by_listener(totals: &EnergyTotals, handle: &Handle) -> BTreeMap<String, OutcomeEnergy> {
    let mut groups: BTreeMap<String, OutcomeEnergy> = BTreeMap::new();
    for call in handle.counters().totals().calls() {
        groups.entry(call.listener.to_owned()).or_default().calls += call.count;
    }
    for class in &totals.classes {
        let sum = groups.entry(class.listener.to_string()).or_default();
        let before = sum.dynamic.unwrap_or(MicroJoules::ZERO);
        sum.dynamic = Some([before, class.energy].into_iter().sum());
    }
    groups
}
