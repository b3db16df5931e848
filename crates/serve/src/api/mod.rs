//! What the public API says: its JSON types, and nothing of how they are made.
//!
//! Everything here is part of `docs/openapi.json`, from which the UI's client is generated. A field is added, never
//! renamed. Names are camelCase, instants are RFC 3339 in UTC with milliseconds, local dates and times are the club's.

mod access;
mod club;
mod instant;
mod ledger;
mod relays;
mod replay;
mod slots;

pub(crate) use access::opens;
pub use access::{
    AccessOpened, AccessRequest, ChannelLive, CodeList, CodesRequest, LinkList, LinkMade, LinkRequest,
    LinkSummary, SlotCodeSummary,
};
pub use club::{
    AccessPolicy, AudioLeftOut, ChannelSummary, ClubList, ClubProfile, ClubSummary, CourtSummary,
    OpeningHours, Weekday,
};
pub use instant::Instant;
pub use ledger::{LedgerAlarm, LedgerKeeper, LedgerTrouble, LedgerUpload, NodeLedger};
pub use relays::{ChannelRelay, NodeRelays};
pub use replay::{ClubName, CourtName, GapCause, Replay, ReplayFragment, ReplayGap};
pub use slots::{DayCoverage, DaySlots, MonthDays, SlotState, SlotSummary};

use serde::Serialize;
use utoipa::ToSchema;

/// Whether the process, or a part it needs, works.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Whether everything below is well.
    pub ok: bool,
    /// What was looked at, in words; empty for the plain liveness answer.
    pub checks: Vec<HealthCheck>,
    /// The alarms that are on, by their words; none of them for the plain liveness answer. What is behind them stands in the
    /// ledger.
    pub alarms: Vec<String>,
}

/// One thing that readiness depends on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// What was looked at: `catalog`, `disk`, `archive`, `recording`.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
}

/// Bytes of a media file or picture.
#[derive(Clone, Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Binary(pub Vec<u8>);
