//! `[log]`: the decision log.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::snapshot::{DecisionLevel, LogSettings};
use crate::units::{ByteSize, Probability};

/// The decision log: JSON Lines, one a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Which calls it tells of.
    pub decisions: Decisions,
    /// Standard output where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The file is rotated at this size.
    pub max_size: ByteSize,
    /// So many rotated files are kept.
    pub keep: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        let settings = LogSettings::default();
        Self {
            decisions: Decisions(settings.decisions),
            file: settings.file,
            max_size: ByteSize::new(settings.max_bytes),
            keep: settings.keep,
        }
    }
}

impl From<&LogConfig> for LogSettings {
    fn from(config: &LogConfig) -> Self {
        Self {
            decisions: config.decisions.0,
            file: config.file.clone(),
            max_bytes: config.max_size.get(),
            keep: config.keep,
        }
    }
}

/// `fired`, `selected`, `all`, `off`, or a share of all calls like `5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decisions(pub DecisionLevel);

const NAMES: [(&str, DecisionLevel); 4] = [
    ("all", DecisionLevel::All),
    ("fired", DecisionLevel::Fired),
    ("off", DecisionLevel::Off),
    ("selected", DecisionLevel::Selected),
];

impl FromStr for Decisions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, level)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*level));
        }
        text.parse::<Probability>()
            .map(|share| Self(DecisionLevel::Sample(share.fraction())))
            .map_err(|_| {
                format!("{text:?} is no choice of calls: give \"fired\", \"selected\", \"all\", \"off\" or a share of all calls like \"5%\"")
            })
    }
}

impl fmt::Display for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let DecisionLevel::Sample(share) = self.0 {
            return write!(f, "{}%", share * 100.0);
        }
        let name = NAMES.iter().find(|(_, level)| *level == self.0);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl<'de> Deserialize<'de> for Decisions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Decisions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Decisions {
    fn schema_name() -> Cow<'static, str> {
        "Decisions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`fired`: calls on which a fault acted or would have; `selected`: calls that a rule selected; `all`; `off`; or a share of all calls like `5%`",
            "type": "string",
            "pattern": r"^(all|fired|off|selected|\s*[0-9.]+\s*%?\s*)$",
            "examples": ["fired", "5%"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_written_alike() {
        for text in ["fired", "selected", "all", "off", "5%"] {
            assert_eq!(text.parse::<Decisions>().unwrap().to_string(), text);
        }
        let error = "some".parse::<Decisions>().unwrap_err();
        assert!(error.contains("\"fired\""), "{error}");
    }
}
