//! The closed set of things that a fault can ask for. Effects are data: a plan can be printed,
//! logged and replayed, its lengths of time to the microsecond. The driver interprets them and knows neither fault kinds nor protocols.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::call::{Phase, Side};
use crate::law::Law;
use crate::units::micros;

/// The effects that one armed fault asks for; nearly always one.
pub type Effects = SmallVec<[Effect; 1]>;

/// One primitive act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The call is answered by us. Before the upstream: it never sees the call. `AfterUpstream`:
    /// it works, its answer is dropped. At a later position: an error in the middle of the answer.
    Answer { at: Phase, answer: Answer },
    /// Silent and open: nothing is passed on, for a time or until the client leaves.
    Blackhole {
        at: Phase,
        side: Side,
        /// Until the client leaves where there is none.
        #[serde(
            rename = "time_us",
            with = "micros::option",
            default,
            skip_serializing_if = "Option::is_none"
        )]
        time: Option<Duration>,
    },
    /// The connection ends with FIN (on a body: before its announced end).
    Close { at: Phase, side: Side },
    /// The upstream cannot be reached, for a reason that the protocol would show.
    FailConnect { reason: ConnectFailure },
    /// A listener-scope level, computed from time.
    Level { state: ListenerLevel },
    /// Bandwidth or unit rate.
    Pace { side: Side, rate: Rate },
    /// The connection ends with RST: the peer sees ECONNRESET.
    Reset { at: Phase, side: Side },
    /// The head is edited before it is sent.
    RewriteHead { side: Side, edits: Vec<HeadEdit> },
    /// The request is sent again.
    Send {
        times: u32,
        #[serde(rename = "gap_us", with = "micros")]
        gap: Duration,
        cap: u64,
    },
    /// Body bytes are changed as they pass.
    Transform {
        side: Side,
        stage: Stage,
        sub_seed: u64,
    },
    /// The call waits.
    Wait {
        at: Phase,
        side: Side,
        time: WaitTime,
    },
}

impl Effect {
    /// The phase at which the effect acts first.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Answer { at, .. }
            | Self::Blackhole { at, .. }
            | Self::Close { at, .. }
            | Self::Reset { at, .. }
            | Self::Wait { at, .. } => *at,
            Self::Transform {
                stage: Stage::Truncate { at, .. },
                ..
            } => match at {
                Cut::Byte(n) => Phase::Byte(*n),
                Cut::Unit(n) => Phase::Unit(*n),
                Cut::Token(n) => Phase::Token(*n),
                Cut::Share(_) => Phase::Byte(0),
            },
            Self::FailConnect { .. } => Phase::Connect,
            Self::Level { .. } => Phase::Accept,
            Self::Pace { .. } | Self::Transform { .. } => Phase::Byte(0),
            Self::RewriteHead {
                side: Side::Request,
                ..
            }
            | Self::Send { .. } => Phase::BeforeUpstream,
            Self::RewriteHead {
                side: Side::Response,
                ..
            } => Phase::ResponseHead,
        }
    }

    /// Whether it can act only where the units of the answer are told apart.
    pub const fn needs_units(&self) -> bool {
        match self {
            Self::Pace {
                rate: Rate::Tokens { .. } | Rate::Units { .. },
                ..
            }
            | Self::Transform {
                stage:
                    Stage::Truncate {
                        at: Cut::Token(_) | Cut::Unit(_),
                        ..
                    },
                ..
            } => true,
            _ => self.phase().needs_units(),
        }
    }

    /// The direction of bytes on which it acts.
    pub const fn side(&self) -> Side {
        match self {
            Self::Blackhole { side, .. }
            | Self::Close { side, .. }
            | Self::Pace { side, .. }
            | Self::Reset { side, .. }
            | Self::RewriteHead { side, .. }
            | Self::Transform { side, .. }
            | Self::Wait { side, .. } => *side,
            Self::Answer { .. } => Side::Response,
            Self::FailConnect { .. } | Self::Level { .. } | Self::Send { .. } => Side::Request,
        }
    }

    /// Moves what acts at one phase to another one.
    pub fn move_to(&mut self, phase: Phase) {
        match self {
            Self::Answer { at, .. }
            | Self::Blackhole { at, .. }
            | Self::Close { at, .. }
            | Self::Reset { at, .. }
            | Self::Wait { at, .. } => *at = phase,
            Self::FailConnect { .. }
            | Self::Level { .. }
            | Self::Pace { .. }
            | Self::RewriteHead { .. }
            | Self::Send { .. }
            | Self::Transform { .. } => {}
        }
    }

    /// Whether nothing can follow it.
    pub const fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Answer { .. }
                | Self::Close { .. }
                | Self::FailConnect { .. }
                | Self::Reset { .. }
        )
    }
}

/// How long a wait lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitTime {
    /// At each position of a `between-…` phase a new draw, from a stream that starts at `sub_seed`.
    Each { law: Law, sub_seed: u64 },
    #[serde(rename = "once_us", with = "micros")]
    Once(Duration),
}

/// What an injected answer says. The protocol renders it in its own form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub error: ErrorSpec,
    /// Set after the protocol's own headers; an equal name replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// In place of the protocol's own body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// An error in words that all protocols share, or as one protocol says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorSpec {
    Kind(ErrorKind),
    /// An HTTP status, 200 to 599.
    Status(u16),
}

/// One vocabulary of errors for all protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    Cancelled,
    Conflict,
    Internal,
    Invalid,
    Loading,
    Moved,
    NotFound,
    OutOfMemory,
    Overloaded,
    RateLimited,
    ReadOnly,
    Timeout,
    Unauthorized,
    Unavailable,
}

impl ErrorKind {
    pub const ALL: [Self; 14] = [
        Self::Cancelled,
        Self::Conflict,
        Self::Internal,
        Self::Invalid,
        Self::Loading,
        Self::Moved,
        Self::NotFound,
        Self::OutOfMemory,
        Self::Overloaded,
        Self::RateLimited,
        Self::ReadOnly,
        Self::Timeout,
        Self::Unauthorized,
        Self::Unavailable,
    ];
}

/// Why an upstream cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectFailure {
    Blackholed,
    CertificateExpired,
    Dns,
    Refused,
    Tls,
}

/// What a listener does as a whole at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerLevel {
    FullBacklog,
    Open,
    Refused,
    #[serde(rename = "slow_accept_us", with = "micros")]
    SlowAccept(Duration),
}

/// One edit of a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadEdit {
    Add { name: String, value: String },
    Remove { name: String },
    Set { name: String, value: String },
    Status(u16),
}

/// A limit on how fast a body passes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Bytes a second, with a bucket of `burst` bytes that starts full.
    Bytes { per_second: u64, burst: u64 },
    /// A least gap between units with content.
    Tokens {
        #[serde(rename = "gap_us", with = "micros")]
        gap: Duration,
    },
    /// A least gap between units.
    Units {
        #[serde(rename = "gap_us", with = "micros")]
        gap: Duration,
    },
}

/// A change to body bytes. Lengths stay as they are unless the stage says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Bytes are damaged, after a protected prefix of `skip` bytes.
    Corrupt { how: Damage, skip: u64 },
    /// The body ends early.
    Truncate { at: Cut, length: CutLength },
}

/// How bytes are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Exactly this many bits (fewer where the body is shorter), each once; needs a known length.
    BitFlipCount(u32),
    /// Each bit on its own with this chance.
    BitFlipRate(f64),
    /// Each byte with this chance becomes a random one.
    Random(f64),
    /// Each pair of neighbouring bytes with this chance is swapped.
    Swap(f64),
    /// Each byte with this chance becomes zero.
    Zero(f64),
}

/// Where a body is cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// After this many bytes.
    Byte(u64),
    /// After this share of the announced length; needs a known length.
    Share(f64),
    /// After the n-th unit with content.
    Token(u64),
    /// After the n-th unit.
    Unit(u64),
}

/// What the cut body says of its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutLength {
    /// The length is corrected: a shorter but well-formed message.
    Fix,
    /// The announced length stays: the connection ends before the body does.
    #[default]
    Keep,
}

/// Names the arming of a rule that an effect stands under. When the rule is disarmed, deleted,
/// expired or halted, its epoch moves on and the effect is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleToken {
    pub rule: Arc<str>,
    /// The rule's place in its rule set.
    pub index: u32,
    pub epoch: u32,
}

/// One effect of a plan, with the rule and fault it came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planned {
    pub token: RuleToken,
    pub fault: &'static str,
    pub fault_index: u16,
    pub effect: Effect,
}

/// What was decided for one call: all effects of all rules that hit, in the order of the rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FaultPlan {
    pub effects: Vec<Planned>,
}

impl FaultPlan {
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }
}

/// What became of one planned effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Applied,
    /// Cut short by the cap on waits.
    Clamped,
    /// This call cannot carry it: why.
    NotApplicable(NotApplicable),
    /// The call ended before its phase came.
    #[default]
    NotReached,
    /// Its rule was disarmed, or everything was halted, while it acted or before.
    Revoked,
    /// A terminal effect of another rule came first.
    Superseded,
}

impl Fate {
    /// As metrics, logs and traces name it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Clamped => "clamped",
            Self::NotApplicable(_) => "not_applicable",
            Self::NotReached => "not_reached",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
        }
    }
}

/// Why an effect could not act on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotApplicable {
    /// The body is encoded in a way that hides its units.
    Encoding,
    /// More faults than `max_faults_per_call`.
    FaultCap,
    /// The length must be known, and is not.
    Length,
    /// There is no body.
    NoBody,
    /// The answer is no stream of units.
    NoUnits,
    /// The protocol has no such position.
    Phase,
}
