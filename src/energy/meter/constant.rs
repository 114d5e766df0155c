//! `constant`: watts from the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Meter, MeterError, MeterKind, Place, Unavailable};
use crate::energy::reading::{Domain, Quiet, Reach, Reading, Source, Spread, Tier, Usage};
use crate::energy::settings::Watts;

/// A machine that is taken to draw the same power all the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// Power of the machine.
    pub watts: Watts,
    /// The part of it that it would draw without work; 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<Watts>,
}

impl MeterKind for Constant {
    const NAME: &'static str = "constant";
    const DOC: &'static str = "Watts that somebody assumes, for machines without any sensor. \
        Needs nothing; says nothing about what the hardware really did.";
    const EXAMPLE: &'static str = "{ constant = { watts = 65 } }";

    fn open(&self, place: &Place) -> Result<Box<dyn Meter>, Unavailable> {
        Ok(Box::new(OpenConstant {
            microwatts: self.watts.microwatts(),
            opened: place.now,
            sources: [Source {
                id: "constant".to_owned(),
                domain: Domain::Node,
                tier: Tier::Assumed,
                reach: Reach::Machine,
                idle_uw: Some(self.idle_watts.map_or(0, Watts::microwatts)),
                quantum_uj: 1,
                lag_ns: 0,
                quiet: Quiet::Zero(0),
                spread: Spread::NONE,
            }],
        }))
    }
}

#[derive(Debug)]
struct OpenConstant {
    microwatts: u64,
    opened: u64,
    sources: [Source; 1],
}

impl Meter for OpenConstant {
    fn sources(&self) -> &[Source] {
        &self.sources
    }

    fn read(&mut self, _source: usize, at: u64, _usage: &Usage) -> Result<Reading, MeterError> {
        let elapsed = u128::from(at.saturating_sub(self.opened));
        Ok(Reading::Total(
            u128::from(self.microwatts) * elapsed / 1_000_000_000,
        ))
    }
}
