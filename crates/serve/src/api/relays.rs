//! Where channels are relayed to, for those who run the server.

use super::Instant;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where the channels of this node are relayed to, and how that goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRelays {
    /// Each pair of a channel and a target: those that run, and the targets of single channels that are not live.
    pub relays: Vec<ChannelRelay>,
}

/// One channel at one target.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelRelay {
    /// The channel.
    pub channel_id: Uuid,
    /// The target's id; `all-1`, `all-2` and so on are targets of all channels, which are a setting.
    pub target_id: String,
    /// What people call the target; null where nobody has said.
    #[schema(required)]
    pub name: Option<String>,
    /// The target's address, with `***` in the place of its key.
    pub address: String,
    /// What it does: `waiting` (nothing to send), `connecting`, `live`, `backingOff` (waits to try again), `stopped` (does not try
    /// again), `bySrs` (the SRS node in front serves it); more may come.
    pub state: String,
    /// Since when the target has taken the channel; null while it does not.
    #[schema(required)]
    pub live_since: Option<Instant>,
    /// Why it does not run, in English; null while it does.
    #[schema(required)]
    pub reason: Option<String>,
    /// When it is tried again; null where that is not what it waits for.
    #[schema(required)]
    pub next_try_at: Option<Instant>,
    /// Bytes sent since the channel went live.
    pub sent_bytes: u64,
    /// How often it had to begin anew since then.
    pub reconnects: u64,
    /// How often the target was too slow and was taken to the newest keyframe since then.
    pub skipped: u64,
}
