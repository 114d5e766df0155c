//! `disconnect`: the connection ends.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Effect, Effects};
use crate::fault::complaint::unless;
use crate::fault::place::{WITH_AFTER_UPSTREAM, place};
use crate::fault::{Complaint, Doc, Fault, Kind};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DisconnectConfig {
    /// where the connection ends; "response-head" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Phase>,
    /// for `{ byte = N }` and "end": in which direction; "response" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// "rst" (the client sees ECONNRESET), the default, or "fin" (it sees the end of the stream)
    pub how: How,
}

/// What ends the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    Fin,
    #[default]
    Rst,
}

#[derive(Debug)]
struct Disconnect {
    at: Phase,
    side: Side,
    how: How,
}

impl Fault for Disconnect {
    fn arm(&self, _call: &Call<'_>, _draws: &mut Draws) -> Effects {
        let (at, side) = (self.at, self.side);
        smallvec![match self.how {
            How::Fin => Effect::Close { at, side },
            How::Rst => Effect::Reset { at, side },
        }]
    }

    fn place(&self) -> (Phase, Side) {
        (self.at, self.side)
    }
}

impl Kind for DisconnectConfig {
    const DOC: Doc = Doc {
        summary: "ends the connection",
        does: "The connection to the client ends at one place, with a reset or with an orderly end that leaves the answer \
               unfinished: `end` with \"fin\" sends the whole body but not the mark that it is whole. A body that has neither \
               a length nor chunks ends with its connection: cut by \"fin\" it looks whole to the client, so use \"rst\" to \
               be seen. Upstream the call is given up as if the client had left.",
        stands_for: "A crashed or killed server, a load balancer's idle time-out, a network that drops state.",
        examples: &[
            r#"[[rules]]
name = "crash-before-the-answer"
probability = "1%"
[[rules.faults]]
disconnect = { how = "rst" }
"#,
            r#"[[rules]]
name = "cut-stream"
[[rules.faults]]
disconnect = { at = { unit = 5 }, how = "fin" }
"#,
        ],
        phases: WITH_AFTER_UPSTREAM,
        views: &[],
        usual: "",
        cost: "None. Chosen, at a position of units: the answer is framed as it passes.",
    };

    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let at = self.at.unwrap_or(Phase::ResponseHead);
        let (at, side) = place(at, self.side, WITH_AFTER_UPSTREAM, &mut complaints);
        let how = self.how;
        unless(
            complaints,
            Arc::new(Disconnect { at, side, how }) as Arc<dyn Fault>,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(text: &str) -> Effect {
        let config: DisconnectConfig = toml::from_str(text).unwrap();
        let mut draws = Draws::from_sub_seed(1);
        let fault = config.build().unwrap();
        fault.arm(&Call::default(), &mut draws).remove(0)
    }

    #[test]
    fn rst_resets_and_fin_closes() {
        assert_eq!(
            effect(""),
            Effect::Reset {
                at: Phase::ResponseHead,
                side: Side::Response,
            }
        );
        assert_eq!(
            effect("how = \"fin\"\nat = { byte = 100 }\nside = \"request\""),
            Effect::Close {
                at: Phase::Byte(100),
                side: Side::Request,
            }
        );
    }

    #[test]
    fn it_ends_a_call_once() {
        let config: DisconnectConfig = toml::from_str("at = \"between-units\"").unwrap();
        assert_eq!(config.build().unwrap_err()[0].field, "at");
    }
}
