//! Every limit of this room, with its name and its reason.

/// Bytes of fragments that may wait for the disk in one channel: about 16 s of a 4 Mbit/s court. One fragment is always
/// let in, however large, so that the true bound is this and one fragment.
pub const CHANNEL_QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of fragments that may wait for the disk in all channels together, so that a stalled disk costs a known amount
/// of memory and not one that grows with the number of courts.
pub const ARCHIVE_QUEUE_BYTES: usize = 256 * 1024 * 1024;

/// What an entry of a queue is reckoned to cost beside its payload.
pub const ENTRY_OVERHEAD_BYTES: usize = 1024;

/// Fragments that may wait in one channel's queue, however small they are.
pub const CHANNEL_QUEUE_FRAGMENTS: usize = 2048;

/// Starts and ends of sessions that may wait in one channel's queue on top of its fragments.
pub const CHANNEL_QUEUE_SESSIONS: usize = 64;

/// Threads that append fragments to spool files. Two, so that one slow file system call does not hold up every court.
pub const WRITER_THREADS: usize = 2;

/// Threads that sync spool files: enough for a journalling file system to commit several files at once.
pub const SYNC_THREADS: usize = 4;

/// Dirty files that a tick syncs one by one, as many at once as there are threads; more are synced by one call for their
/// whole file system, which also flushes what strangers have written on it.
pub const MAX_FILE_SYNCS: usize = SYNC_THREADS;

/// Buffers handed to the kernel in one write; Linux takes at most 1024 (`IOV_MAX`).
pub const MAX_SLICES_PER_WRITE: usize = 1000;

/// Largest spool file before a new segment is begun at the next keyframe, whatever the wall clock says.
pub const MAX_SEGMENT_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// How much shorter than what the catalog finds again a segment stays, so that rounding and drift never exceed it.
pub const SEGMENT_MARGIN_US: i64 = 10_000_000;

/// How long after a failed write a new segment is tried: long enough not to hammer a full disk.
pub const DISK_RETRY_US: i64 = 5_000_000;

/// Times closer together than this belong together: less than one frame at 25 frames a second, plus rounding.
pub const JOIN_TOLERANCE_US: i64 = 50_000;

/// Segments that are sealed at once: at the quarter hour all courts come together. A seal waits for the disk most of its
/// time, and a journal commits what waits together.
pub const SEAL_CONCURRENCY: usize = 8;

/// Tries to seal a file or to hand it to the store before it is set aside for the next sweep.
pub const SEAL_ATTEMPTS: u32 = 8;

/// Pause between two sweeps of the spool while segments are set aside.
pub const SWEEP_PAUSE_MS: u64 = 60_000;

/// Tries of one catalog statement before its segment is set aside for the next sweep: about two minutes.
pub const CATALOG_ATTEMPTS: u32 = 30;

/// First pause between two tries, doubled each time.
pub const RETRY_FLOOR_MS: u64 = 50;

/// Longest pause between two tries.
pub const RETRY_CEILING_MS: u64 = 5_000;

/// Ended segments that may wait in memory for their seal or their row, with about a megabyte of tables each; more than
/// these are set aside for the next sweep.
pub const MAX_UNREGISTERED_SEGMENTS: usize = 512;

/// Openings and closings of gaps that may wait for the catalog.
pub const GAP_QUEUE: usize = 1024;

/// Spool files repaired at once, while recording runs: as many as can be sealed at once. With more, the catalog's commits,
/// one after the other, are what they wait for.
pub const REPAIR_CONCURRENCY: usize = SEAL_CONCURRENCY;

/// Spool files looked at in one repair.
pub const MAX_SPOOL_FILES: usize = 1_000_000;

/// A spool file with no whole fragment is thrown away only below this size: it is a torn first fragment. A larger one
/// is damaged in its beginning and goes to quarantine.
pub const MAX_TORN_FIRST_FRAGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes read from a file at once.
pub const READ_BYTES: usize = 256 * 1024;

/// Reads that run at once, over all downloads and players.
pub const READ_CONCURRENCY: usize = 32;

/// Read buffers kept for reuse.
pub const READ_BUFFERS_KEPT: usize = 64;

/// Longest final `moov` that is read back from a sealed segment.
pub const MAX_MOOV_BYTES: u64 = 64 * 1024 * 1024;

/// Memory for sample tables of sealed segments, so that the next download of the same match reads nothing.
pub const TABLE_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Memory for headers of cuts, so that each HTTP range of one download does not make them anew.
pub const CUT_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Memory for the start of each channel's first segment.
pub const FIRST_RECORDED_CACHE_BYTES: usize = 64 * 1024;

/// Segments that one cut may touch: a day in quarter hours, with some sessions to spare.
pub const MAX_CUT_SEGMENTS: usize = 4096;

/// Longest wait at the end for queues, seals and rows.
pub const SHUTDOWN_MS: u64 = 1_900;

/// Longest prefix of an object name: it has to fit into the name of the spool file.
pub const MAX_PREFIX_BYTES: usize = 140;

const _: () = {
    assert!(CHANNEL_QUEUE_BYTES <= ARCHIVE_QUEUE_BYTES);
    assert!(MAX_SLICES_PER_WRITE <= 1024, "IOV_MAX");
    assert!(SHUTDOWN_MS < 2_000, "a stop is promised within two seconds");
    assert!(RETRY_FLOOR_MS < RETRY_CEILING_MS);
    assert!(MAX_PREFIX_BYTES + 3 + 36 + 36 + 20 + 9 <= 255, "NAME_MAX");
};
