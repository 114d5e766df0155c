//! What can be asked: one file a resource, entered in [`all`].

mod config;
mod decisions;
mod effect;
mod energy;
mod halt;
mod health;
mod leases;
mod metrics;
mod notes;
mod openapi;
mod probes;
mod rules;
mod status;

// What the routes take and give, for clients.
pub use config::{ReloadAnswer, ShownConfig};
pub use decisions::DecisionFilter;
pub use effect::{EffectAnswer, EffectFigures, EffectQuery};
pub use energy::{EnergyAnswer, Grouping};
pub use halt::{HaltAnswer, HaltOrder, Nothing};
pub use health::{Condition, Health};
pub use leases::{Lease, LeaseOrder, Leases};
pub use notes::{NoteOrder, Notes};
pub use probes::{Probe, ProbeQuery, ProbeStatus, ProbeValue};
pub use rules::{ArmOrder, Rule, RuleSource, Rules};

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::routing::get;
use axum::{Extension, Router, middleware};
use http::{Method, StatusCode, Uri};
use tower::{ServiceExt, service_fn};
use utoipa_axum::routes;

use crate::admin::answer::Refusal;
use crate::admin::api::{Api, Scope};
use crate::admin::guard::guard_health;
use crate::admin::keeper::{Keeper, keep};
use crate::control::Handle;

/// Every route of the admin listener, and the scope that each needs.
pub(super) fn all() -> Api {
    Api::new()
        .route(Scope::Read, routes!(config::config))
        .route(Scope::Config, routes!(config::reload))
        .route(Scope::Read, routes!(decisions::decisions))
        .route(Scope::Read, routes!(energy::energy))
        .route(Scope::Halt, routes!(halt::halt))
        .route(Scope::Write, routes!(halt::resume))
        .route(Scope::Open, routes!(health::healthz))
        .route(Scope::Open, routes!(health::readyz))
        .route(Scope::Read, routes!(leases::leases))
        .route(Scope::Write, routes!(leases::keep))
        .route(Scope::Write, routes!(leases::end))
        .route(Scope::Read, routes!(metrics::metrics))
        .route(Scope::Read, routes!(notes::notes))
        .route(Scope::Write, routes!(notes::note))
        .route(Scope::Read, routes!(openapi::document))
        .route(Scope::Read, routes!(rules::rules))
        .route(Scope::Read, routes!(rules::rule))
        .route(Scope::Write, routes!(rules::put))
        .route(Scope::Write, routes!(rules::delete))
        .route(Scope::Write, routes!(rules::arm))
        .route(Scope::Write, routes!(rules::disarm))
        .route(Scope::Read, routes!(probes::probe))
        .route(Scope::Read, routes!(effect::effect))
        .route(Scope::Read, routes!(status::status))
}

/// The routes of the admin listener, entered when the first request comes: their descriptions take
/// two megabytes, which a start need not wait for, nor keep.
pub(super) fn admin(handle: Handle, keeper: Arc<Keeper>) -> Router {
    let entered = Arc::new(OnceLock::new());
    Router::new().fallback_service(service_fn(move |request: Request| {
        let enter = || kept(handle.clone(), Arc::clone(&keeper));
        entered.get_or_init(enter).clone().oneshot(request)
    }))
}

fn kept(handle: Handle, keeper: Arc<Keeper>) -> Router {
    // The keeper comes last, so that it stands before every route and both fallbacks.
    whole(all().router(handle)).layer(middleware::from_fn_with_state(keeper, keep))
}

/// The routes of the health listener, which anybody may ask: nothing of rules and faults.
pub(super) fn health(handle: Handle) -> Router {
    let routes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(metrics::without_faults))
        .route("/readyz", get(health::readyz));
    let routes = routes.layer(Extension(Arc::<metrics::Kept>::default()));
    whole(routes.with_state(handle)).layer(middleware::from_fn(guard_health))
}

fn whole(routes: Router) -> Router {
    routes
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
}

async fn no_such_route(uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("there is no {}", uri.path()),
        "there are /healthz, /readyz, /metrics, and on the admin listener all that /openapi.json lists",
    )
}

async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
        "the header Allow and /openapi.json say what it takes",
    )
}
