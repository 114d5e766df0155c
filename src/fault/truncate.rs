//! `truncate`: a body that ends early.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Cut, CutLength, Effect, Effects, Stage};
use crate::fault::complaint::unless;
use crate::fault::{Complaint, Doc, Fault, Kind};
use crate::units::{ByteSize, Probability};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TruncateConfig {
    /// after how much the body ends; half of its announced length where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<CutAt>,
    /// "keep" (the announced length stays, so the body breaks off), the default, or "fix" (a shorter but
    /// well-formed message)
    pub length: CutLength,
    /// direction of the body that is cut; "response" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// Where a body is cut: what is passed on before the cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutAt {
    /// so many bytes
    Byte(ByteSize),
    /// this share of the announced length; an answer without one is left alone
    Share(Probability),
    /// so many units with content
    Token(u64),
    /// so many units
    Unit(u64),
}

#[derive(Debug)]
struct Truncate {
    at: Cut,
    length: CutLength,
    side: Side,
}

impl Truncate {
    const fn stage(&self) -> Stage {
        Stage::Truncate {
            at: self.at,
            length: self.length,
        }
    }
}

impl Fault for Truncate {
    fn arm(&self, _call: &Call<'_>, _draws: &mut Draws) -> Effects {
        smallvec![Effect::Transform {
            side: self.side,
            stage: self.stage(),
            // It draws nothing.
            sub_seed: 0,
        }]
    }

    fn place(&self) -> (Phase, Side) {
        let phase = match self.at {
            Cut::Byte(n) => Phase::Byte(n),
            Cut::Share(_) => Phase::Byte(0),
            Cut::Token(n) => Phase::Token(n),
            Cut::Unit(n) => Phase::Unit(n),
        };
        (phase, self.side)
    }
}

impl Kind for TruncateConfig {
    const DOC: Doc = Doc {
        summary: "cuts a body short",
        does: "The body ends after so many bytes, units or tokens, or after a share of its length. With \
               length = \"keep\" it breaks off before its announced end; with \"fix\" it is a whole message that has \
               less in it. Where nothing announces an end, neither a length nor chunks, a body cut with \"keep\" looks \
               whole to the client, too. A body that ends before the cut is left alone.",
        stands_for: "A proxy with too small a buffer, a server killed while it writes, a generation that stops early \
                     without saying so (\"fix\").",
        examples: &[
            r#"[[rules]]
name = "half-an-answer"
probability = "2%"
[[rules.faults]]
truncate = { at = { share = "50%" } }
"#,
            r#"[[rules]]
name = "stops-early"
select = { stream = true }
[[rules.faults]]
truncate = { at = { token = 5 }, length = "fix" }
"#,
        ],
        phases: &[
            "{ byte = N }",
            "{ unit = N }",
            "{ token = N }",
            "{ share = P }",
        ],
        views: &[],
        usual: "",
        cost: "None. Chosen, at a unit or token: the answer is framed as it passes.",
    };

    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let side = self.side.unwrap_or_default();
        let at = match self.at {
            None => Cut::Share(0.5),
            Some(CutAt::Byte(n)) => Cut::Byte(n.get()),
            Some(CutAt::Share(share)) => Cut::Share(share.fraction()),
            Some(CutAt::Token(n)) => Cut::Token(n),
            Some(CutAt::Unit(n)) => Cut::Unit(n),
        };
        let wrong = match at {
            Cut::Share(share) if share >= 1.0 => {
                Some(("a cut at 100% cuts nothing", "give less, like \"50%\""))
            }
            Cut::Token(0) | Cut::Unit(0) => Some((
                "units and tokens are counted from 1",
                "write { byte = 0 } for an empty body",
            )),
            Cut::Token(_) | Cut::Unit(_) if side == Side::Request => {
                Some(("only answers have units", "cut a request at { byte = N }"))
            }
            _ => None,
        };
        complaints.extend(wrong.map(|(message, help)| Complaint::new("at", message, help)));
        let length = self.length;
        unless(
            complaints,
            Arc::new(Truncate { at, length, side }) as Arc<dyn Fault>,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TruncateConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn cuts_where_it_is_told() {
        let mut draws = Draws::from_sub_seed(1);
        for (text, at, length) in [
            ("", Cut::Share(0.5), CutLength::Keep),
            ("at = { byte = \"1KiB\" }", Cut::Byte(1024), CutLength::Keep),
            (
                "at = { token = 5 }\nlength = \"fix\"",
                Cut::Token(5),
                CutLength::Fix,
            ),
        ] {
            let effects = read(text)
                .build()
                .unwrap()
                .arm(&Call::default(), &mut draws);
            assert_eq!(
                effects[..],
                [Effect::Transform {
                    side: Side::Response,
                    stage: Stage::Truncate { at, length },
                    sub_seed: 0,
                }]
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "at = { share = \"100%\" }",
            "at = { unit = 0 }",
            "at = { unit = 1 }\nside = \"request\"",
        ] {
            assert_eq!(read(text).build().unwrap_err()[0].field, "at", "{text}");
        }
    }
}
