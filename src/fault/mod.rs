//! Kinds of harm. A fault turns its configuration and a call into effects; it sees views, never
//! protocols, sockets, clocks or other faults.
//!
//! A new kind is one file here, one `mod` line and one registry line.

mod abort;
mod complaint;
mod corrupt;
mod delay;
mod disconnect;
mod doc;
mod place;
mod registry;
mod stall;
mod throttle;
mod truncate;

use std::fmt::Debug;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::Effects;

pub use complaint::Complaint;
pub(crate) use doc::wrap;
pub use doc::{Doc, FaultInfo, Parameter, Scope, render_markdown};
pub use registry::{FaultConfig, registry};

/// A configured fault, valid by construction.
pub trait Fault: Debug + Send + Sync {
    /// The effects of this fault on this call. Pure: all chance comes from `draws`.
    fn arm(&self, call: &Call<'_>, draws: &mut Draws) -> Effects;

    /// Where it acts, so that the configuration can be refused where a protocol has no such place.
    fn place(&self) -> (Phase, Side);
}

/// A kind of fault: the table that configures it, and what is told of it. Each file here holds one.
trait Kind: Serialize + DeserializeOwned + JsonSchema {
    const DOC: Doc;

    /// The fault, or all that makes no sense about the table. Fields are named from the table.
    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>>;
}
