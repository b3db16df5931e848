//! Every limit of the SRS side, with its reason.

use std::time::Duration;

/// Longest body of a callback, in bytes. SRS's own have less than 1 kB; a long address in `tcUrl` may add to it.
pub(crate) const MAX_CALL_BYTES: usize = 16 * 1024;

/// How long a caller may take to send its body. SRS sends it in one piece.
pub(crate) const CALL_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest id of a server or client. SRS makes them of 7 to 11 characters.
pub(crate) const MAX_ID_BYTES: usize = 64;

/// Longest stream name.
pub(crate) const MAX_STREAM_BYTES: usize = 512;

/// Longest parameters of a stream.
pub(crate) const MAX_PARAM_BYTES: usize = 2048;

/// Longest path in a callback (`PATH_MAX`).
pub(crate) const MAX_PATH_BYTES: usize = 4096;

/// How long a callback may wait for the one look-up of a key that is not remembered. SRS waits 30 s, but its publisher waits
/// with it.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_millis(500);

/// Keys that are looked up at once.
pub(crate) const MAX_LOOKUPS: usize = 32;

/// How long a right key is answered from memory without a look-up: a key that was replaced stops working after it.
pub(crate) const KNOWN_KEY_AGE_US: i64 = 2_000_000;

/// How long a wrong key is answered from memory: a channel that was just made works after it.
pub(crate) const UNKNOWN_KEY_AGE_US: i64 = 1_000_000;

/// How long a key that was right is let in while keys cannot be looked up.
pub(crate) const KNOWN_KEY_AGE_WHILE_AWAY_US: i64 = 12 * 3_600 * 1_000_000;

/// Right keys that are remembered.
pub(crate) const MAX_KNOWN_KEYS: usize = 20_000;

/// Wrong keys that are remembered. Apart from the right ones, so that guesses push none of those out.
pub(crate) const MAX_UNKNOWN_KEYS: usize = 4_000;

/// Publications that are kept. Beyond, the oldest is forgotten.
pub(crate) const MAX_SESSIONS: usize = 20_000;

/// Clients that are remembered after their `on_close`, so that a callback that comes late does not bring them back.
pub(crate) const MAX_CLOSED: usize = 20_000;

/// How long a callback may come late.
pub(crate) const CLOSED_AGE_US: i64 = 10 * 60 * 1_000_000;

/// A publication that SRS does not list is over only if it is older than this: SRS calls before it lists.
pub(crate) const LISTING_GRACE_US: i64 = 10_000_000;

/// How often SRS is asked for its streams.
pub(crate) const RECONCILE_INTERVAL: Duration = Duration::from_secs(60);

/// How long SRS may take for one page.
pub(crate) const LISTING_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams asked for at once.
pub(crate) const LISTING_PAGE: usize = 1000;

/// Pages that are asked for.
pub(crate) const MAX_LISTING_PAGES: usize = 20;

/// Longest page, in bytes: a stream takes about 700.
pub(crate) const MAX_LISTING_BYTES: usize = 4 * 1024 * 1024;

/// Files of SRS's recorder that wait to be imported.
pub(crate) const DVR_QUEUE: usize = 256;

/// How often their folder is looked through.
pub(crate) const DVR_SCAN_INTERVAL: Duration = Duration::from_secs(600);

/// Age of a file before it is asked what of it is missing: what was forwarded is written and known by then.
pub(crate) const DVR_SETTLE_US: i64 = 15_000_000;

/// Files that are looked at in one look through the folder.
pub(crate) const MAX_DVR_FILES: usize = 100_000;

/// Folders inside each other that are looked into.
pub(crate) const MAX_DVR_DEPTH: usize = 8;

const _: () = assert!(KNOWN_KEY_AGE_US < KNOWN_KEY_AGE_WHILE_AWAY_US);
const _: () = assert!(MAX_SESSIONS <= LISTING_PAGE * MAX_LISTING_PAGES);
const _: () = assert!(MAX_STREAM_BYTES + MAX_PARAM_BYTES + 2 * MAX_PATH_BYTES < MAX_CALL_BYTES);
