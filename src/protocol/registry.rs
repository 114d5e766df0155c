//! The list of protocols. It feeds the configuration, `hormesis protocols`, the generated
//! reference and the tests that loop over all entries.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Dialect, grpc, http, open_inference, openai, tcp};

/// What is known of a protocol without a call.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolInfo {
    /// As configurations write it.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Markdown in a fixed form: what it carries, operations, units, errors, example.
    pub doc: &'static str,
    /// All operations that calls can have; empty where the protocol has none.
    pub operations: &'static [&'static str],
    /// What a unit is on the wire; empty where answers have none.
    pub units: &'static str,
    /// `None` where bytes are carried as they are, without messages.
    pub dialect: Option<&'static dyn Dialect>,
}

/// Declares the protocols: one line each.
macro_rules! protocols {
    ($($variant:ident => $info:path),+ $(,)?) => {
        /// A protocol of the registry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Protocol {
            $($variant),+
        }

        static REGISTRY: &[ProtocolInfo] = &[$($info),+];

        impl Protocol {
            /// In the order of the registry.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
}

protocols! {
    Grpc => grpc::INFO,
    Http => http::INFO,
    OpenInference => open_inference::INFO,
    Openai => openai::INFO,
    Tcp => tcp::INFO,
}

/// All protocols, sorted by name.
pub fn registry() -> &'static [ProtocolInfo] {
    REGISTRY
}

/// The protocol of a name.
pub fn by_name(name: &str) -> Option<&'static ProtocolInfo> {
    REGISTRY.iter().find(|info| info.name == name)
}

impl Protocol {
    pub fn info(self) -> &'static ProtocolInfo {
        &REGISTRY[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// `None` where bytes are carried as they are.
    pub fn dialect(self) -> Option<&'static dyn Dialect> {
        self.info().dialect
    }
}

/// No protocol has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no protocol is called {name:?}: there are {}", names())]
pub struct UnknownProtocol {
    pub name: String,
}

fn names() -> String {
    let names: Vec<&str> = REGISTRY.iter().map(|info| info.name).collect();
    names.join(", ")
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .find(|protocol| protocol.name() == name)
            .copied()
            .ok_or_else(|| UnknownProtocol {
                name: name.to_owned(),
            })
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl JsonSchema for Protocol {
    fn schema_name() -> Cow<'static, str> {
        "Protocol".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = REGISTRY.iter().map(|info| info.name).collect();
        json_schema!({
            "type": "string",
            "enum": names,
            "description": "The protocol of the calls on a listener.",
        })
    }
}
