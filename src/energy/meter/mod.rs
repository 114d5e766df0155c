//! Where joules come from. A new meter is one file here, one `mod` line and one registry line.

pub mod constant;
pub mod cpu_model;
pub mod rapl;

use std::fmt::Debug;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::process::Program;
use super::reading::{Reading, Source, Usage};

/// An open meter. Read by one thread, at times that never decrease.
pub trait Meter: Debug + Send {
    /// Its counters. The list stays the same while the meter is open.
    fn sources(&self) -> &[Source];

    /// Reads one counter (its index in [`Meter::sources`]) at `at` nanoseconds since the epoch.
    ///
    /// # Errors
    /// The counter cannot be read now. It may come back: what passed meanwhile is a gap.
    fn read(&mut self, source: usize, at: u64, usage: &Usage) -> Result<Reading, MeterError>;
}

/// A kind of meter: its configuration, and what `hormesis meters` says of it.
pub trait MeterKind {
    const NAME: &'static str;
    /// What it reads, what it needs, how good it is.
    const DOC: &'static str;
    /// An entry of `[energy] meters`.
    const EXAMPLE: &'static str;

    /// Opens the meter, if this machine has it.
    fn open(&self, place: &Place) -> Result<Box<dyn Meter>, Unavailable>;
}

/// Where meters look.
#[derive(Clone, Debug)]
pub struct Place {
    /// In place of `/sys`.
    pub sysfs: PathBuf,
    /// In place of `/proc`.
    pub procfs: PathBuf,
    /// The upstreams' programs, one a distinct process source.
    pub programs: Vec<Program>,
    /// CPUs that this process may use (its quota or affinity).
    pub vcpus: u64,
    /// Nanoseconds since the epoch.
    pub now: u64,
}

/// Why a meter cannot be used here, and what would make it so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{reason}")]
pub struct Unavailable {
    pub reason: String,
    /// A command or a line of configuration.
    pub hint: Option<String>,
}

/// Why a counter could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeterError {
    #[error("{what} holds no number")]
    Garbage { what: String },
    #[error("the process of {program} is not running, or not to be seen")]
    NoProcess { program: String },
    #[error("{what}: {error}")]
    Read { what: String, error: String },
}

/// One kind of meter as data, for lists and documentation.
#[derive(Clone, Copy, Debug)]
pub struct MeterInfo {
    pub name: &'static str,
    pub doc: &'static str,
    pub example: &'static str,
}

macro_rules! meters {
    ($($variant:ident($kind:ty),)+) => {
        /// A meter as configured: `{ NAME = { … } }`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub enum MeterSpec {
            $($variant($kind),)+
        }

        impl MeterSpec {
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$kind as MeterKind>::NAME,)+
                }
            }

            /// Opens the meter, if this machine has it. To probe is to open and to drop.
            pub fn open(&self, place: &Place) -> Result<Box<dyn Meter>, Unavailable> {
                match self {
                    $(Self::$variant(kind) => kind.open(place),)+
                }
            }
        }

        /// Every kind of meter, by name.
        pub const METERS: &[MeterInfo] = &[
            $(MeterInfo {
                name: <$kind as MeterKind>::NAME,
                doc: <$kind as MeterKind>::DOC,
                example: <$kind as MeterKind>::EXAMPLE,
            },)+
        ];
    };
}

meters! {
    Constant(constant::Constant),
    CpuModel(cpu_model::CpuModel),
    Rapl(rapl::Rapl),
}

impl MeterSpec {
    /// The chain where nothing is configured: hardware first, then the model.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::Rapl(rapl::Rapl::default()),
            Self::CpuModel(cpu_model::CpuModel::default()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Table {
        meters: Vec<MeterSpec>,
    }

    #[test]
    fn every_example_is_an_entry_of_its_own_kind() {
        let mut names = BTreeSet::new();
        for info in METERS {
            assert!(names.insert(info.name), "{} twice", info.name);
            assert!(!info.doc.is_empty());
            let table: Table = toml::from_str(&format!("meters = [{}]", info.example)).unwrap();
            assert_eq!(table.meters[0].name(), info.name);
            let written = serde_json::to_value(&table.meters[0]).unwrap();
            assert!(written.get(info.name).is_some(), "{written}");
        }
    }

    #[test]
    fn unknown_fields_and_impossible_watts_are_refused() {
        for bad in [
            "{ rapl = { zone = 1 } }",
            "{ rappl = {} }",
            "{ constant = {} }",
            "{ constant = { watts = -1 } }",
            "{ constant = { watts = nan } }",
        ] {
            assert!(
                toml::from_str::<Table>(&format!("meters = [{bad}]")).is_err(),
                "{bad}"
            );
        }
    }
}
