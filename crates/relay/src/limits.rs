//! Every limit of this room, with its reason.

use std::time::Duration;

/// Pairs of a channel and a target that are relayed at once on this node; those beyond are refused, and say so.
pub const MAX_RELAYS: usize = 2_000;

/// Targets that all channels have.
pub const MAX_TARGETS_FOR_ALL: usize = 16;

/// From the name of a target to a connection, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// From the connection to the answer to `publish`.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// A target that takes no byte for this long is given up and tried anew. One that takes some, but too slowly, is taken to the
/// newest keyframe time and again.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a target may take to hear that the publication is over.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// First pause before a target is tried again; doubled each time.
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(1);

/// Longest pause before a target is tried again.
pub const BACK_OFF_LONGEST: Duration = Duration::from_secs(30);

/// A publication that lasted for this long was a success: the next pause is the first one again.
pub const STEADY: Duration = Duration::from_secs(30);

/// What a target may say before anything was sent to it. A whole publish dialogue is under 5 kB.
pub const MAX_REPLY_BYTES: u64 = 256 * 1024;

/// What a target may say beyond: one byte for so many that were sent to it. Acknowledgements are a thousandth of that.
pub const SENT_BYTES_PER_REPLY_BYTE: u64 = 64;

/// Pieces that are written in one system call: a run of tags has about fifty.
pub const MAX_SLICES: usize = 128;

/// How long all relays have to say goodbye when the node stops.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_200);

const _: () = assert!(GOODBYE_TIMEOUT.as_millis() < SHUTDOWN_TIMEOUT.as_millis());
const _: () = assert!(BACK_OFF_FIRST.as_millis() < BACK_OFF_LONGEST.as_millis());
