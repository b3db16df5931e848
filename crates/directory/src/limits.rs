//! Every limit of this room, with its reason.

use std::time::Duration;

/// How often the node is asked who is live. Half of it is the mean delay from a publisher's first frame to the update
/// that tells of it; asking costs a lock and a short list.
pub const FACTS_INTERVAL: Duration = Duration::from_millis(100);

/// A channel must have been off for this long before the table hears of it: a camera that reconnects, or changes its
/// settings, writes nothing.
pub const OFFLINE_SETTLE: Duration = Duration::from_secs(1);

/// Between two updates of one channel, however it flaps.
pub const MIN_UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// After a restart, cameras have this long to come back before their channels are told to be off.
pub const RESTART_GRACE: Duration = Duration::from_secs(5);

/// First pause after an update that failed because the table is away; doubles up to [`MAX_BACKOFF`].
pub const MIN_BACKOFF: Duration = Duration::from_millis(500);

/// Longest pause between tries of one channel.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// First pause after the table said no: somebody has to mend something, so there is no hurry.
pub const MIN_REFUSED_BACKOFF: Duration = Duration::from_secs(10);

/// Longest pause between tries after the table said no.
pub const MAX_REFUSED_BACKOFF: Duration = Duration::from_secs(120);

/// Channels whose state is remembered: live ones and those with an update to come. A node bears no more publishers
/// than `rtmp.max_connections` allows; what is beyond this is counted and logged.
pub const MAX_CHANNELS: usize = 10_000;

/// Stamps of one channel that are remembered while no answer comes: more changes of state than this during one outage
/// leave the row to the reconciliation, should the program restart before it ends.
pub const MAX_STAMPS: usize = 16;

/// Updates on their way at the same time. Each is one small request; the table is usually shared with a website.
pub const MAX_IN_FLIGHT: usize = 8;

/// Channels named in one request: 100 UUIDs make an address of 4 kB, which every proxy takes.
pub const MAX_IDS_PER_REQUEST: usize = 100;

/// Rows in one page of a reconciliation.
pub const PAGE_ROWS: usize = 500;

/// Rows that a reconciliation looks at: twenty pages.
pub const MAX_RECONCILED_ROWS: usize = 10_000;

/// An update or a page may take this long.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A look-up may take this long, waiting for its turn included: below what `ingest` grants a gate (5 s), so that the
/// publisher hears "try again" from us.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection must stand by then.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Look-ups at the same time: a flood of wrong keys must not become a flood of queries.
pub const MAX_LOOKUPS: usize = 16;

/// Connections to a PostgreSQL or MySQL directory.
pub const MAX_CONNECTIONS: u32 = 4;

/// Longer texts are no `stream_id`: Django's widest usual column has 255 characters. They are refused unasked.
pub const MAX_KEY_BYTES: usize = 512;

/// Right keys that are remembered.
pub const MAX_KNOWN_KEYS: usize = 10_000;

/// Wrong keys that are remembered, apart from the right ones: no flood of guesses can push those out.
pub const MAX_UNKNOWN_KEYS: usize = 10_000;

/// Bytes of one answer over HTTP. A page of 500 rows is 50 kB; a hundred keys of the longest kind are 60 kB.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Bytes of the file of pending states: 80 a channel and 18 a stamp.
pub const MAX_JOURNAL_BYTES: usize = 4 << 20;

/// An authorised publisher's key is checked on from the start; when nothing of it is live after this, it is forgotten.
pub const WATCH_WITHOUT_MEDIA: Duration = Duration::from_secs(120);

/// When the node stops, the last states get this long to be told; the rest is told after the next start.
pub const FINISH_TIMEOUT: Duration = Duration::from_millis(1000);

/// How often the log repeats that the table cannot be written.
pub const LOG_INTERVAL: Duration = Duration::from_secs(30);

const _: () = assert!(MIN_BACKOFF.as_millis() < MAX_BACKOFF.as_millis());
const _: () = assert!(MAX_CHANNELS * (80 + 18 * MAX_STAMPS) < MAX_JOURNAL_BYTES);
const _: () = assert!(CONNECT_TIMEOUT.as_millis() <= LOOKUP_TIMEOUT.as_millis());
const _: () = assert!(MAX_RECONCILED_ROWS.is_multiple_of(PAGE_ROWS));
