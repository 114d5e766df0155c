//! `GET /decisions`: the decisions as they are made, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::watch as channel;
use tokio::time::timeout;
use utoipa::IntoParams;

use crate::admin::answer::{Refusal, with_type};
use crate::admin::api::Scope;
use crate::admin::ask::Query;
use crate::admin::keeper::Standing;
use crate::admin::peer::Peer;
use crate::call::Outcome;
use crate::control::Handle;
use crate::error::Origin;
use crate::record::{Follower, Next, Record};
use crate::rule::VerdictKind;

/// Something is sent at least this often, so that a peer that is gone is noticed.
const ALIVE: Duration = Duration::from_secs(15);
/// Decisions that go out together, where they have come together.
const TOGETHER: usize = 64;

/// Which calls are told of: those of which all that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionFilter {
    /// A rule that hit the call, or would have but for a limit, a schedule, a dry run or a halt; or
    /// a toxic that acted, as PROXY/TOXIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The listener that the call came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// The kind of a fault that was planned for the call, or of a toxic that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How the call ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub outcome: Option<Outcome>,
    /// Who made the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub origin: Option<Origin>,
}

impl DecisionFilter {
    fn takes(&self, record: &Record) -> bool {
        let hit = |rule: &str| {
            let mut verdicts = record.verdicts.iter();
            verdicts.any(|it| &*it.token.rule == rule && !matches!(it.kind, VerdictKind::Missed))
                || record.toxics.iter().any(|it| &*it.rule == rule)
        };
        let planned = |fault: &str| {
            record.effects.iter().any(|it| it.planned.fault == fault)
                || record.toxics.iter().any(|it| it.toxic.kind.name() == fault)
        };
        self.rule.as_deref().is_none_or(hit)
            && self
                .listener
                .as_deref()
                .is_none_or(|it| it == &*record.listener)
            && self.fault.as_deref().is_none_or(planned)
            && self.outcome.is_none_or(|it| it == record.outcome)
            && self.origin.is_none_or(|it| it == record.origin)
    }
}

/// The decisions as they are made, from now on.
///
/// Events: `decision`, whose data is a line of the decision log; `dropped`, whose data is
/// `{"count": n}`, where so many were lost because they came faster than they were read. Told of
/// are the calls on which a fault acted, and those that `[log] decisions` wants beside. The answer
/// has no end of its own: it ends when the token is taken back that it was asked with.
#[utoipa::path(
    get,
    path = "/decisions",
    responses(
        (status = OK, content_type = "text/event-stream", body = String),
        (status = TOO_MANY_REQUESTS, body = Refusal, description = "Too many follow already, or too many wrong tokens came from there."),
    )
)]
pub(in crate::admin) async fn decisions(
    State(handle): State<Handle>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(standing): Extension<Standing>,
    Query(filter): Query<DecisionFilter>,
) -> Result<Response, Refusal> {
    let Some(follower) = handle.decisions().follow() else {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "32 others follow the decisions already",
            "end one of them, or read the decision log",
        ));
    };
    peer.follow();
    let following = Following {
        follower,
        filter,
        standing,
        changes: handle.admin_access_changes(),
    };
    let body = Body::from_stream(events(following));
    Ok(with_type(StatusCode::OK, "text/event-stream", body))
}

/// One who follows.
struct Following {
    follower: Follower,
    filter: DecisionFilter,
    standing: Standing,
    /// Of who may do what.
    changes: channel::Receiver<()>,
}

fn events(following: Following) -> impl Stream<Item = Result<Bytes, Infallible>> {
    // The head goes out with the first bytes, and whoever reads knows that it follows.
    let begin = Some(Bytes::from_static(b": following\n\n"));
    unfold((following, begin), async |(mut following, begin)| {
        let text = match begin {
            Some(begin) => begin,
            None => Bytes::from(following.some().await?),
        };
        Some((Ok(text), (following, None)))
    })
}

impl Following {
    /// Waits for what comes next; `None` once nothing will, or the caller may not see it any more.
    async fn some(&mut self) -> Option<String> {
        let mut text = String::new();
        while text.is_empty() {
            let next = tokio::select! {
                biased;
                changed = self.changes.changed() => {
                    changed.ok()?;
                    if self.standing.may(Scope::Read) {
                        continue;
                    }
                    return None;
                }
                next = timeout(ALIVE, self.follower.next()) => next,
            };
            let Ok(next) = next else {
                // Once more, should a change have been missed.
                let may = self.standing.may(Scope::Read);
                return may.then(|| ": alive\n\n".to_owned());
            };
            let mut next = Some(next?);
            for _ in 0..TOGETHER {
                let Some(it) = next else { break };
                tell(&mut text, &it, &self.filter);
                next = self.follower.waiting();
            }
            if let Some(it) = next {
                tell(&mut text, &it, &self.filter);
            }
        }
        Some(text)
    }
}

fn tell(text: &mut String, next: &Next, filter: &DecisionFilter) {
    match next {
        Next::Decision(it) if filter.takes(&it.record) => {
            text.push_str("event: decision\ndata: ");
            text.push_str(&it.line);
            text.push_str("\n\n");
        }
        Next::Decision(_) => {}
        Next::Missed(count) => {
            let told = format!("event: dropped\ndata: {{\"count\":{count}}}\n\n");
            text.push_str(&told);
        }
    }
}
