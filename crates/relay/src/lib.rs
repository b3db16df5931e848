//! Channels go on to other servers as their publishers sent them.
//!
//! - **In**: the tags of [`live`], who publishes with which key, the targets of all channels and of each.
//! - **Out**: one RTMP publication, or RTMPS, for each pair of a live channel and a target; what state each is in, and why.
//! - **Invariants**: audio, video and metadata arrive byte by byte as they came, from a keyframe on, decoder configurations
//!   first; a target's trouble is its own: it slows no channel and no other target; what fails is tried again, ever more
//!   slowly, for as long as the channel is live; memory per target has limits with names.
//! - **Never**: SQL, HTTP, a transcode, a target's key in a log, an error or a status.
//!
//! [`Relays`] is the handle: [`Relays::run`] starts and ends one task (`task`) for each pair that `plan` names. A task waits
//! until there is something to send, connects (`dial`), publishes (`connection`) and, when that ends, waits (`backoff`).
//! Each reads the channel's tags with a cursor of its own, so that who is slow or away goes on at the newest keyframe.

mod backoff;
mod connection;
mod dial;
pub mod limits;
mod outgoing;
mod plan;
mod relays;
mod state;
mod target;
mod task;
mod trouble;

pub use dial::is_own_ingest;
pub use relays::{Publication, Publishing, Relays, Totals};
pub use state::{State, Status};
pub use target::{Address, BaseUrl, Target, parse_bases};
pub use trouble::Trouble;
