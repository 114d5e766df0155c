//! `stall`: silent, and the connection stays open.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Effect, Effects};
use crate::fault::complaint::unless;
use crate::fault::place::{HEAD_TO_END, place};
use crate::fault::{Complaint, Doc, Fault, Kind};
use crate::units::Span;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StallConfig {
    /// where it falls silent; "response-head" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Phase>,
    /// for `{ byte = N }` and "end": in which direction; "response" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// how long; until the client leaves where absent
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub time: Option<Span>,
}

#[derive(Debug)]
struct Stall {
    at: Phase,
    side: Side,
    time: Option<Duration>,
}

impl Fault for Stall {
    fn arm(&self, _call: &Call<'_>, _draws: &mut Draws) -> Effects {
        smallvec![Effect::Blackhole {
            at: self.at,
            side: self.side,
            time: self.time,
        }]
    }

    fn place(&self) -> (Phase, Side) {
        (self.at, self.side)
    }
}

impl Kind for StallConfig {
    const DOC: Doc = Doc {
        summary: "falls silent and stays open",
        does: "At one place nothing is passed on any more, in either direction, while the connection stays open: for \
               a time, after which the call goes on, or until the client leaves. `max_delay_per_call` ends it in any \
               case.",
        stands_for: "A hung worker, a GPU that stopped answering, a dead peer behind a firewall: what only \
                     time-outs find.",
        examples: &[
            r#"[[rules]]
name = "hung-worker"
limits = { concurrent = 2 }
[[rules.faults]]
stall = { at = { token = 10 } }
"#,
            r#"[[rules]]
name = "pause"
[[rules.faults]]
stall = { at = "response-head", for = "30s" }
"#,
        ],
        phases: HEAD_TO_END,
        views: &[],
        usual: "",
        cost: "None. Chosen, it holds a connection open: limit it with `limits.concurrent`.",
    };

    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let at = self.at.unwrap_or(Phase::ResponseHead);
        let (at, side) = place(at, self.side, HEAD_TO_END, &mut complaints);
        if self.time == Some(Span::ZERO) {
            complaints.push(Complaint::new(
                "for",
                "a stall of 0 does nothing",
                "give a time like \"30s\", or leave `for` out to stall until the client leaves",
            ));
        }
        let time = self.time.map(Span::get);
        unless(
            complaints,
            Arc::new(Stall { at, side, time }) as Arc<dyn Fault>,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> StallConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn silent_at_a_place_for_a_time_or_for_good() {
        let mut draws = Draws::from_sub_seed(1);
        for (text, at, time) in [
            ("", Phase::ResponseHead, None),
            (
                "at = { token = 10 }\nfor = \"30s\"",
                Phase::Token(10),
                Some(Duration::from_secs(30)),
            ),
        ] {
            let fault = read(text).build().unwrap();
            let side = Side::Response;
            assert_eq!(
                fault.arm(&Call::default(), &mut draws)[..],
                [Effect::Blackhole { at, side, time }]
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (text, field) in [("for = \"0\"", "for"), ("at = \"between-units\"", "at")] {
            assert_eq!(read(text).build().unwrap_err()[0].field, field);
        }
    }
}
