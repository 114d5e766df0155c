//! What the sidecar tells of itself on its admin listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use super::error::DemoError;
use crate::admin::client::{Address, Client};

const PATIENCE: Duration = Duration::from_secs(2);

/// The part of `GET /status` that the demo reads.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub(super) uptime_s: f64,
    pub(super) listeners: Vec<ListenerStatus>,
    pub(super) rules: Vec<RuleStatus>,
    pub(super) calls: Vec<CallStatus>,
    pub(super) energy: Option<EnergyStatus>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ListenerStatus {
    pub(super) name: String,
    pub(super) bind: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RuleStatus {
    pub(super) name: String,
    pub(super) selected: u64,
    pub(super) hit: u64,
    pub(super) denied: DeniedStatus,
    pub(super) applied: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct DeniedStatus {
    pub(super) schedule: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CallStatus {
    pub(super) outcome: String,
    pub(super) origin: String,
    pub(super) count: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct EnergyStatus {
    /// `None`: no meter gives readings.
    pub(super) tier: Option<String>,
    pub(super) meters: Vec<String>,
    pub(super) by_outcome: BTreeMap<String, OutcomeStatus>,
    pub(super) total: OutcomeStatus,
    pub(super) self_uj: Option<u64>,
    pub(super) others_uj: Option<u64>,
    pub(super) unattributed_uj: Option<u64>,
    pub(super) idle_uj: Option<u64>,
    pub(super) gap_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct OutcomeStatus {
    pub(super) dyn_uj: Option<u64>,
    pub(super) lo_uj: Option<u64>,
    pub(super) hi_uj: Option<u64>,
    pub(super) calls: u64,
}

impl Status {
    pub(super) async fn read(admin: SocketAddr) -> Result<Self, DemoError> {
        let body = get(admin, "/status").await.map_err(DemoError::Status)?;
        serde_json::from_slice(&body).map_err(|error| DemoError::Status(error.to_string()))
    }

    /// The address that a listener is bound to.
    pub(super) fn address(&self, listener: &str) -> Result<SocketAddr, DemoError> {
        self.listeners
            .iter()
            .find(|it| it.name == listener)
            .and_then(|it| it.bind.parse().ok())
            .ok_or_else(|| DemoError::Status(format!("it tells no address of {listener:?}")))
    }
}

/// Whether the sidecar serves.
pub(super) async fn is_ready(admin: SocketAddr) -> bool {
    get(admin, "/readyz").await.is_ok()
}

async fn get(admin: SocketAddr, path: &str) -> Result<Bytes, String> {
    let client = Client::new(Address::from(admin), PATIENCE);
    let answer = client.raw(path).await.map_err(|error| error.to_string())?;
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        status => Err(format!("{path} answers {status}")),
    }
}
