//! What is known: clubs, courts, channels, segments, gaps, secrets. The only room with SQL.
//!
//! - **In**: questions, and facts from the rooms that know them.
//! - **Out**: rows; typed errors that say what is wrong with an input. [`schedule`] turns a club's hours into slots.
//! - **Invariants**: a write that returned `Ok` outlives a power cut; stream keys are stored as their hash only; a row
//!   `sealed` is written by nobody before the bytes are durable; every query of a range is a scan of an index range,
//!   however many rows there are; a database of a newer version is left untouched.
//! - **Never**: the bytes of footage, HTTP, a secret in a log or an error, SQL that only one engine understands outside
//!   `engine`.
//!
//! A handle speaks for one node ([`Catalog::for_node`]): what it records is held there, and lists of local work name what is.
//!
//! Every instant is UTC microseconds (`_us`), every id a UUID v7 and therefore in order of creation.

mod audio;
mod catalog;
mod channels;
mod clubs;
mod code_attempts;
mod copy;
mod courts;
mod engine;
mod entity;
mod error;
mod gaps;
mod inits;
mod keys;
mod live_access;
mod maintenance;
mod migration;
mod nodes;
mod options;
#[cfg(test)]
mod plans;
mod probe;
mod publishers;
mod rebuild;
mod relay_targets;
mod retention;
pub mod schedule;
mod seal;
mod segments;
mod settings;
mod slot_codes;
mod uploads;
mod validate;
mod viewing;
mod viewing_links;

pub use audio::{AudioLeftOut, MAX_AUDIO_STRETCHES};
pub use catalog::Catalog;
pub use channels::{Channel, ChannelRoute, MAX_PULL_URL_BYTES, NewChannel, Source};
pub use clubs::{Club, NewClub};
pub use copy::{CopyProgress, TableCopied, copy};
pub use courts::Court;
pub use error::{CatalogError, InvalidInput, Kind};
pub use gaps::GapRow;
pub use keys::{KEY_BYTES, MAX_KEY_TEXT_BYTES};
pub use live_access::LiveAccess;
pub use maintenance::{Maintenance, SchemaStatus};
pub use nodes::{MAX_NODE_NAME_CHARS, Node, NodeHoldings};
pub use options::{DatabaseOptions, masked_url};
pub use probe::DatabaseTrouble;
pub use publishers::{MAX_KNOWN_PUBLISHERS, Publishers};
pub use rebuild::{FoundChannel, UNKNOWN_APPOINTMENT_DURATION_MIN, UNKNOWN_HOURS, UNKNOWN_ZONE};
pub use relay_targets::{MAX_RELAY_TARGETS_PER_CHANNEL, MAX_RELAY_URL_BYTES, NewRelayTarget, RelayTarget};
pub use retention::{Deletion, DeletionReason, NewProtection, Protection};
pub use schedule::{Schedule, WeekHours};
pub use seal::CatalogKey;
pub use segments::{
    BULK_ROWS_PER_STATEMENT, Footage, LocalCopy, MAX_SEGMENT_US, NewSegment, Place, SealedSegment,
    SegmentRow, SegmentState,
};
pub use slot_codes::{MAX_CODES_LISTED, NewSlotCode, SlotCode};
pub use uploads::{Unstored, Upload};
pub use validate::{MAX_NAME_CHARS, MAX_RETENTION_DAYS, MAX_SLUG_BYTES, RESERVED_CLUB_SLUGS, is_direction};
pub use viewing::ChannelPlace;
pub use viewing_links::{MAX_LINKS_LISTED, NewViewingLink, ViewingLink};
