//! `corrupt`: bytes that are not those that were sent.

use std::num::NonZeroU32;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Damage, Effect, Effects, Stage};
use crate::fault::complaint::unless;
use crate::fault::{Complaint, Doc, Fault, Kind};
use crate::units::{ByteSize, Probability};

/// Exactly one of `bit_flip`, `random`, `zero`, `swap`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CorruptConfig {
    /// bits are turned over: `{ rate = "0.01%" }` of all, or `{ count = 3 }` in a body of known length
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_flip: Option<BitFlip>,
    /// this share of the bytes becomes random
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<Probability>,
    /// this share of the bytes becomes zero
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero: Option<Probability>,
    /// this share of the pairs of neighbouring bytes is swapped
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Probability>,
    /// direction of the body that is damaged; "response" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// so many bytes at the start of the body stay whole
    pub skip: ByteSize,
}

/// How many bits are turned over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BitFlip {
    /// exactly so many; a body of unknown length is left alone
    Count(NonZeroU32),
    /// each bit on its own with this chance
    Rate(Probability),
}

#[derive(Debug)]
struct Corrupt {
    side: Side,
    how: Damage,
    skip: u64,
}

impl Fault for Corrupt {
    fn arm(&self, _call: &Call<'_>, draws: &mut Draws) -> Effects {
        smallvec![Effect::Transform {
            side: self.side,
            stage: Stage::Corrupt {
                how: self.how,
                skip: self.skip,
            },
            sub_seed: draws.sub_seed(),
        }]
    }

    fn place(&self) -> (Phase, Side) {
        (Phase::Byte(0), self.side)
    }
}

const ONE_DAMAGE: &str =
    "give one of bit_flip, random, zero, swap: corrupt = { bit_flip = { rate = \"0.01%\" } }";

impl Kind for CorruptConfig {
    const DOC: Doc = Doc {
        summary: "damages bytes of a body",
        does: "Bytes of a body are changed as they pass; its length stays right. Each byte or bit is drawn by itself, so \
               what is hit does not depend on how the bytes were cut into packets.",
        stands_for: "Memory and disks that flip bits, a broken proxy or client library, a wrong byte order: damage that \
                     checksums should find and parsers must survive.",
        examples: &[
            r#"[[rules]]
name = "flipped-bits"
[[rules.faults]]
corrupt = { bit_flip = { count = 3 }, skip = "16B" }
"#,
            r#"[[rules]]
name = "noise-in-requests"
probability = "1%"
[[rules.faults]]
corrupt = { random = "0.1%", side = "request" }
"#,
        ],
        phases: &["body"],
        views: &[],
        usual: "bit_flip = { rate = \"0.1%\" }",
        cost: "None.",
    };

    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let how = self.damage(&mut complaints);
        let (side, skip) = (self.side.unwrap_or_default(), self.skip.get());
        unless(complaints, how)?
            .map(|how| Arc::new(Corrupt { side, how, skip }) as Arc<dyn Fault>)
            .ok_or_else(Vec::new)
    }
}

impl CorruptConfig {
    /// The damage; `None` only where there was a complaint.
    fn damage(&self, complaints: &mut Vec<Complaint>) -> Option<Damage> {
        let bit_flip = self.bit_flip.map(|flip| match flip {
            BitFlip::Count(count) => ("bit_flip", 1.0, Damage::BitFlipCount(count.get())),
            BitFlip::Rate(rate) => (
                "bit_flip",
                rate.fraction(),
                Damage::BitFlipRate(rate.fraction()),
            ),
        });
        let share = |field, share: Option<Probability>, damage: fn(f64) -> Damage| {
            share.map(|share| (field, share.fraction(), damage(share.fraction())))
        };
        let given: Vec<_> = [
            bit_flip,
            share("random", self.random, Damage::Random),
            share("zero", self.zero, Damage::Zero),
            share("swap", self.swap, Damage::Swap),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (field, message, help) = match given[..] {
            [(_, rate, damage)] if rate > 0.0 => return Some(damage),
            [(field, ..)] => (
                field,
                "a chance of 0 damages nothing",
                "give more, or leave the fault out",
            ),
            [] => ("", "how is the body damaged?", ONE_DAMAGE),
            [_, (field, ..), ..] => (field, "a body is damaged in one way", ONE_DAMAGE),
        };
        complaints.push(Complaint::new(field, message, help));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> CorruptConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn each_way_of_damage_is_carried_over() {
        for (text, how, skip) in [
            (
                "bit_flip = { count = 3 }\nskip = \"16B\"",
                Damage::BitFlipCount(3),
                16,
            ),
            ("bit_flip = { rate = \"1%\" }", Damage::BitFlipRate(0.01), 0),
            ("random = 0.5", Damage::Random(0.5), 0),
            ("zero = \"100%\"", Damage::Zero(1.0), 0),
            ("swap = \"2%\"", Damage::Swap(0.02), 0),
        ] {
            let mut draws = Draws::from_sub_seed(1);
            let sub_seed = Draws::from_sub_seed(1).sub_seed();
            assert_eq!(
                read(text)
                    .build()
                    .unwrap()
                    .arm(&Call::default(), &mut draws)[..],
                [Effect::Transform {
                    side: Side::Response,
                    stage: Stage::Corrupt { how, skip },
                    sub_seed,
                }]
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (text, field) in [
            ("", ""),
            ("random = 0", "random"),
            ("bit_flip = { rate = 0 }", "bit_flip"),
            ("random = 0.1\nswap = 0.1", "swap"),
        ] {
            assert_eq!(read(text).build().unwrap_err()[0].field, field, "{text}");
        }
        assert!(toml::from_str::<CorruptConfig>("bit_flip = { count = 0 }").is_err());
    }
}
