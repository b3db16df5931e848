//! Every limit of this room, with its reason. What a user notices first when one is too small stands beside it.

use std::time::Duration;

/// Longest address that is read, path and query together, in bytes. Ours stay below 300.
pub const MAX_URI_BYTES: usize = 4 * 1024;

/// Longest request head that is read, in bytes; a longer one is refused by the connection itself (431).
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Most header fields of a request.
pub const MAX_HEADERS: usize = 64;

/// Longest request body that is let in, in bytes. What reads one reads less: [`MAX_JSON_BYTES`], and what SRS sends.
pub const MAX_BODY_BYTES: u64 = 64 * 1024;

/// Connections at once, where so many descriptors are left for viewers; for the next one an idle one is closed, or one whose
/// reader takes nothing, and while there is none it is turned away with 503. Footage is opened for each read and closed after
/// it: what viewers hold open are their connections and nothing else.
pub const MAX_CONNECTIONS: usize = 4_096;

/// Connections at once to the port of `[srs_api] listen`, for monitoring.
pub const MAX_MONITOR_CONNECTIONS: usize = 512;

/// Of [`MAX_CONNECTIONS`], those that only the machine itself can have: health checks, operators, a proxy on it.
pub const LOOPBACK_CONNECTIONS: usize = 64;

/// Connections at once from one address, or one IPv6 /64 network: a club's players behind one router, six for each browser.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 512;

/// Answers that are being worked out at once in each group of routes (not counting bodies that are being sent): the API
/// with its media, pictures, covers, operations.
pub const MAX_REQUESTS_IN_WORK: usize = 128;

/// Requests for live media that are being answered or wait for a part, at once.
pub const MAX_LIVE_REQUESTS: usize = MAX_CONNECTIONS;

/// How long a live playlist or part is waited for. What comes every half second has come by then, or the publisher hangs.
pub const LIVE_WAIT: Duration = Duration::from_secs(6);

/// How long a rewinding reader waits until the archive has what the hub has.
pub const REWIND_POLL: Duration = Duration::from_millis(30);

/// A live viewer may go back this far.
pub const MAX_REWIND_US: i64 = 4 * 3_600 * 1_000_000;

/// A rewind playlist may grow this long; then it is to be opened anew.
pub const MAX_REWIND_AGE_US: i64 = 12 * 3_600 * 1_000_000;

/// Who may watch is asked of the catalog this often; a change of a club's policy and a link or code that was taken back are noticed
/// after it.
pub const ACCESS_CACHE_US: i64 = 2_000_000;

/// While the catalog is away, what it said of access stands if it was used within so long, in microseconds.
pub const MAX_STALE_US: i64 = 10 * 60 * 1_000_000;

/// Channels whose policy is remembered, and links and codes whose state is: those that are being watched.
pub const MAX_ACCESS_CACHED: usize = 4_096;

/// Whoever watches a stream without an end is asked again this often whether he still may.
pub const ACCESS_RECHECK: Duration = Duration::from_secs(2);

/// Links and codes that one visitor's browser remembers of a club; the oldest is forgotten.
pub const MAX_PASSES_CARRIED: usize = 24;

/// Longest JSON body that is read, in bytes.
pub const MAX_JSON_BYTES: usize = 4 * 1024;

/// How long a JSON body may take to come.
pub const JSON_TIMEOUT: Duration = Duration::from_secs(5);

/// Codes and links that are being looked at, at once; a code takes a core for some 20 ms, and those wait for each other.
pub const MAX_ENTRIES_IN_WORK: usize = 32;

/// Pause after a code was looked at: strangers get a fifth of a core at most, whatever they send.
pub const CODE_PAUSE: Duration = Duration::from_millis(80);

/// How long a link opens what it opens where nobody says otherwise, in microseconds: a week.
pub const LINK_LIFE_US: i64 = 7 * 86_400 * 1_000_000;

/// Longest life of a link or code, in microseconds: two years.
pub const MAX_GRANT_LIFE_US: i64 = 2 * 366 * 86_400 * 1_000_000;

/// How long a request may wait for its turn before it is told that the server is busy.
pub const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the head of an answer may take. Bodies have no end time: a download may last an hour.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection may take to send a request's head, and how long it may be idle between two.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a TLS handshake may take: a few round trips, also over a bad mobile network.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests at once on one connection of HTTP/2: a page of start times asks for dozens of pictures.
pub const MAX_STREAMS: u32 = 100;

/// Bytes of one answer that wait for a reader on a connection of HTTP/2, which has [`MAX_STREAMS`] of them.
pub const MAX_STREAM_BUFFER_BYTES: usize = 64 * 1024;

/// How long a connection of HTTP/2 may stay when nobody asks for anything on it.
pub const IDLE_TIMEOUT: Duration = WRITE_STALL_TIMEOUT;

/// How long a reader may take nothing of an answer before that ends: its connection is closed, or with HTTP/2 its stream reset. A
/// paused player comes back with a Range. A piece of a body is at most a megabyte: nobody reads as slowly as that.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a reader may take nothing of an answer before it makes room for a newcomer, where there is none left.
pub const STALLED_AFTER: Duration = Duration::from_secs(20);

/// Bytes that answers may hold for their readers where nobody says otherwise: see `[http] memory`.
pub const MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// One address, or one IPv6 /64 network, gets at most this part of [`MEMORY_BYTES`]: some eighty downloads at once.
pub const MEMORY_SHARE: u64 = 4;

/// What the encoder of a compressed answer is reckoned to hold: `deflate`'s window, its hash chains and its tables.
pub const GZIP_BYTES: u64 = 384 * 1024;

/// Playlists that are made at once: each reads the indexes of all its segments.
pub const MAX_PLAYLISTS_IN_WORK: usize = 8;

/// Memory for playlists of finished ranges, so that equal requests share one.
pub const PLAYLIST_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How long a playlist of a finished range is given out before it is looked whether its segments are still there.
pub const PLAYLIST_CACHE_US: i64 = 60_000_000;

/// How long requests in work may go on after the signal to stop; then their connections are closed.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How long to wait after the listener failed to accept, for example for want of file descriptors.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Longest range that one replay covers.
pub const MAX_REPLAY_US: i64 = 24 * 3_600 * 1_000_000;

/// Longest range of a stranger's own choice where nobody says otherwise: see `[http] free_range`. Slots are as long as the club
/// has them.
pub const FREE_RANGE_US: i64 = 4 * 3_600 * 1_000_000;

/// A stranger's range begins and ends at multiples of this, outwards, so that ranges that hardly differ are the same answer.
pub const FREE_RANGE_STEP_US: i64 = 1_000_000;

/// First year in which a date makes sense.
pub const MIN_YEAR: i16 = 2000;

/// Last year in which a date makes sense.
pub const MAX_YEAR: i16 = 2100;

/// A signed address lives at least this much longer than the match is long.
pub const TOKEN_SPARE_US: i64 = 6 * 3_600 * 1_000_000;

/// Expiry times are multiples of this, so that the same match has the same addresses for hours and can be cached.
pub const TOKEN_STEP_US: i64 = 6 * 3_600 * 1_000_000;

/// Longest time that a redirect to the bucket is remembered.
pub const REDIRECT_AGE: Duration = Duration::from_secs(300);

/// How long a signed address of the bucket lives where nobody says otherwise.
pub const BUCKET_URL_LIFE: Duration = Duration::from_secs(3_600);

/// How far what is recorded may lie behind the clock while a channel is live, before it counts as missing: a fragment
/// being filled, a queue, a sync.
pub const LIVE_LAG_US: i64 = 15 * 1_000_000;

/// ffmpeg processes at once, for pictures.
pub const MAX_FFMPEG: usize = 2;

/// How long a picture may wait for its turn.
pub const FRAME_TURN_TIMEOUT: Duration = Duration::from_secs(8);

/// Pictures that one client (IPv6: /64) may have asked for and not got yet: more than a page shows.
pub const MAX_FRAMES_WAITING_PER_CLIENT: usize = 64;

/// Clients that may wait for pictures at once.
pub const MAX_FRAME_CLIENTS: usize = 1_024;

/// Pictures are of moments that are multiples of the first of these that lies in the range: so a range that differs by a second has the same
/// picture, and one footage has so many pictures at most.
pub const FRAME_STEPS_US: [i64; 2] = [10 * 1_000_000, 1_000_000];

/// A picture that could not be made is not tried again for this long.
pub const FRAME_RETRY: Duration = Duration::from_secs(30);

/// Most pictures of which that is remembered.
pub const MAX_FAILED_FRAMES: usize = 1_024;

/// How long one ffmpeg may run.
pub const FFMPEG_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest picture that is taken from ffmpeg, in bytes.
pub const MAX_FRAME_BYTES: usize = 512 * 1024;

/// Most of ffmpeg's complaint that goes into the log, in bytes.
pub const MAX_FFMPEG_COMPLAINT_BYTES: u64 = 2 * 1024;

/// Width of a picture in pixels; the height follows.
pub const FRAME_WIDTH: u32 = 480;

/// How far into the footage of a match its picture lies: the very first seconds show an empty court.
pub const FRAME_LEAD_US: i64 = 60 * 1_000_000;

/// Disk space for pictures, in bytes.
pub const MAX_FRAME_CACHE_BYTES: u64 = 128 * 1024 * 1024;

/// Most pictures kept on disk.
pub const MAX_FRAME_CACHE_FILES: usize = 8_192;

/// A readiness answer is reused for this long, so that asking often costs nothing.
pub const READY_CACHE_US: i64 = 1_000_000;

/// How long readiness and metrics wait for the database and the disk: what monitors gives up after a few seconds, and has then to know
/// more than that nobody answered.
pub const READY_PATIENCE: Duration = Duration::from_secs(2);

/// Below this much free space the disk does not count as writable, in bytes.
pub const MIN_FREE_BYTES: u64 = 64 * 1024 * 1024;

// The whole shutdown fits into the three seconds that the node promises.
const _: () = assert!(SHUTDOWN_GRACE.as_millis() < 3_000);
const _: () = assert!(FRAME_STEPS_US[0] <= FRAME_LEAD_US && FRAME_STEPS_US[1] < FRAME_STEPS_US[0]);
// A picture is answered before its request runs out of time.
const _: () = assert!(FRAME_TURN_TIMEOUT.as_secs() + FFMPEG_TIMEOUT.as_secs() < ANSWER_TIMEOUT.as_secs());
// A reload that waits is answered before its request runs out of time.
const _: () = assert!(LIVE_WAIT.as_secs() * 2 < ANSWER_TIMEOUT.as_secs());
const _: () = assert!(MAX_REWIND_US < MAX_REWIND_AGE_US && MAX_REWIND_AGE_US <= MAX_REPLAY_US);
const _: () = assert!(LOOPBACK_CONNECTIONS + MAX_CONNECTIONS_PER_ADDRESS < MAX_CONNECTIONS);
const _: () =
    assert!(FREE_RANGE_US <= MAX_REPLAY_US && STALLED_AFTER.as_secs() < WRITE_STALL_TIMEOUT.as_secs());
// A share holds several downloads, and the header of the longest that strangers may ask for.
const _: () = assert!(MEMORY_BYTES / MEMORY_SHARE >= 32 * 1024 * 1024);
// An address that is refused for its length must first be read.
const _: () = assert!(MAX_URI_BYTES * 2 < MAX_HEAD_BYTES);
