//! The list of all kinds: it makes the configuration's enum, the names, the reference and the
//! schema. A line an entry; the macro declares no modules, which would hide files from rustfmt.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{abort, corrupt, delay, disconnect, stall, throttle, truncate};
use crate::fault::{Complaint, Fault, FaultInfo, Kind, Scope};

macro_rules! faults {
    ($($variant:ident($config:ty), $name:literal, $scope:ident;)+) => {
        /// One fault of a rule: a table whose only key names the kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum FaultConfig {
            $($variant($config),)+
        }

        /// The key of such a table. Read by itself, so that an unknown kind is shown in its place.
        #[derive(Clone, Copy)]
        enum Name {
            $($variant,)+
        }

        const NAMES: &[&str] = &[$($name,)+];

        static REGISTRY: [FaultInfo; NAMES.len()] = [$(FaultInfo {
            name: $name,
            scope: Scope::$scope,
            doc: <$config as Kind>::DOC,
            schema: |generator| <$config>::json_schema(generator),
        },)+];

        impl FaultConfig {
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// The fault, or all that makes no sense about its table, named from the table of the
            /// kind.
            fn build_kind(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
                match self {
                    $(Self::$variant(config) => config.build(),)+
                }
            }
        }

        impl Name {
            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn read<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<FaultConfig, A::Error> {
                match self {
                    $(Self::$variant => map.next_value().map(FaultConfig::$variant),)+
                }
            }
        }

        impl Serialize for FaultConfig {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(1))?;
                match self {
                    $(Self::$variant(config) => map.serialize_entry($name, config)?,)+
                }
                map.end()
            }
        }

        impl JsonSchema for FaultConfig {
            fn schema_name() -> Cow<'static, str> {
                "Fault".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut properties = serde_json::Map::new();
                $(properties.insert(
                    $name.to_owned(),
                    generator.subschema_for::<$config>().to_value(),
                );)+
                json_schema!({
                    "description": "a fault: a table whose only key names the kind",
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                })
            }
        }
    };
}

faults! {
    Abort(abort::AbortConfig), "abort", Call;
    Corrupt(corrupt::CorruptConfig), "corrupt", Call;
    Delay(delay::DelayConfig), "delay", Call;
    Disconnect(disconnect::DisconnectConfig), "disconnect", Call;
    Stall(stall::StallConfig), "stall", Call;
    Throttle(throttle::ThrottleConfig), "throttle", Call;
    Truncate(truncate::TruncateConfig), "truncate", Call;
}

/// All kinds of fault, by name.
pub fn registry() -> &'static [FaultInfo] {
    &REGISTRY
}

impl FaultConfig {
    /// The fault, or all that makes no sense about its table, as paths from this table on:
    /// `delay.at`.
    pub fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        self.build_kind().map_err(|complaints| {
            complaints
                .into_iter()
                .map(|it| it.under(self.name()))
                .collect()
        })
    }
}

impl<'de> Deserialize<'de> for FaultConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        impl<'de> Visitor<'de> for Table {
            type Value = FaultConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with the kind of fault as its key, like { delay = { fixed = \"10ms\" } }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultConfig, A::Error> {
                let name: Name = map.next_key()?.ok_or_else(|| {
                    A::Error::custom(format!("an empty fault: name a kind, one of {}", list()))
                })?;
                let fault = name.read(&mut map)?;
                if let Some(second) = map.next_key::<Name>()? {
                    return Err(A::Error::custom(format!(
                        "a fault is of one kind, and this is {:?} and {:?}: give each a [[rules.faults]] of its own",
                        fault.name(),
                        second.read(&mut map)?.name(),
                    )));
                }
                Ok(fault)
            }
        }

        deserializer.deserialize_map(Table)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text).ok_or_else(|| {
            D::Error::custom(format!("unknown fault {text:?}: the kinds are {}", list()))
        })
    }
}

fn list() -> String {
    NAMES.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Faults {
        faults: Vec<FaultConfig>,
    }

    fn error(text: &str) -> toml::de::Error {
        toml::from_str::<Faults>(text).unwrap_err()
    }

    #[test]
    fn a_fault_reads_and_writes_alike() {
        let text = "faults = [{ abort = { status = 503 } }, { delay = { at = \"first-token\", lognormal = { median = \"400ms\", p99 = \"3s\" } } }]";
        let faults = toml::from_str::<Faults>(text).unwrap().faults;
        for fault in &faults {
            let json = serde_json::to_string(fault).unwrap();
            assert_eq!(&serde_json::from_str::<FaultConfig>(&json).unwrap(), fault);
            assert!(fault.build().is_ok(), "{json}");
        }
    }

    #[test]
    fn errors_point_at_the_word_that_is_wrong() {
        for (text, wrong, says) in [
            (
                "faults = [{ dely = { fixed = \"1s\" } }]",
                "dely",
                "the kinds are",
            ),
            ("faults = [{ delay = { fixd = \"1s\" } }]", "fixd", "fixed"),
            ("faults = [{ delay = { fixed = 10 } }]", "10", "10ms"),
            ("faults = [{ abort = { status = 99 } }]", "99", "200"),
            (
                "faults = [{ delay = { at = \"later\" } }]",
                "\"later\"",
                "first-token",
            ),
        ] {
            let error = error(text);
            let span = error.span().unwrap();
            assert_eq!(&text[span], wrong, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn two_kinds_in_one_table_are_told_apart_kindly() {
        let text = "[[faults]]\nabort = {}\nstall = {}";
        let error = error(text).to_string();
        assert!(error.contains("[[rules.faults]] of its own"), "{error}");
        assert!(
            error.contains("abort") && error.contains("stall"),
            "{error}"
        );
    }

    #[test]
    fn the_list_is_sorted_and_its_names_are_unique() {
        assert!(NAMES.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
