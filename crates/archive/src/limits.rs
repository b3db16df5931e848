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

/// How long after its time a segment waits for a keyframe to begin the next one with: longer than the timeline lets pass
/// without a place to start, so that this is for what comes from elsewhere.
pub const KEY_WAIT_US: i64 = 90_000_000;

/// As [`KEY_WAIT_US`], in bytes beyond [`MAX_SEGMENT_BYTES`].
pub const KEY_WAIT_BYTES: u64 = 1024 * 1024 * 1024;

/// How much shorter than what the catalog finds again a segment stays, so that rounding and drift never exceed it.
pub const SEGMENT_MARGIN_US: i64 = 10_000_000;

// The longest configured segment is an hour; the catalog finds again what is twice as long.
const _: () = assert!(3_600_000_000 + KEY_WAIT_US < catalog::MAX_SEGMENT_US - SEGMENT_MARGIN_US);

/// How long after a failed write a new segment is tried: long enough not to hammer a full disk.
pub const DISK_RETRY_US: i64 = 5_000_000;

/// Times closer together than this belong together: less than one frame at 25 frames a second, plus rounding.
pub const JOIN_TOLERANCE_US: i64 = 50_000;

/// Missing time shorter than this is not imported from another recorder's file: clocks and keyframes differ by that much.
pub const SHORTEST_IMPORT_US: i64 = 2_000_000;

/// Longest file that is imported.
pub const MAX_IMPORT_US: i64 = 48 * 3_600_000_000;

/// Longest frame of a file that is imported: what RTMP can carry.
pub const MAX_IMPORT_FRAME_BYTES: u32 = 16 * 1024 * 1024;

/// An import waits so long for a keyframe, in microseconds: twice the longest usual group of pictures. Some cameras send none.
pub const IMPORT_KEYLESS_US: i64 = 10_000_000;

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

/// Openings and closings of gaps that may wait in memory for their journal.
pub const GAP_QUEUE: usize = 1024;

/// Bytes of openings and closings of gaps that may wait on the disk for the catalog: some 700 000.
pub const MAX_GAP_JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

/// Longest line of that journal.
pub const MAX_GAP_NOTE_BYTES: usize = 96;

/// How long the journal may take to write a note down before the note goes to the catalog without it, in milliseconds.
pub const GAP_JOURNAL_PATIENCE_MS: u64 = 500;

/// Times that reading the journal is tried before its notes are given up.
pub const GAP_JOURNAL_READ_ATTEMPTS: u32 = 8;

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

/// Bytes read from the bucket at once: each read is a request, which costs a round trip and money. A reader holds
/// [`READ_PIECES`] of them, also when it takes nothing.
pub const OBJECT_READ_BYTES: u64 = 1024 * 1024;

/// Pieces that a reader holds at most: one that the socket takes, one that is nearly gone, and one read ahead.
pub const READ_PIECES: u64 = 3;

/// Tries to read the same bytes from the bucket.
pub const OBJECT_READ_ATTEMPTS: u32 = 4;

/// Answers that one read may be pieced together from where each breaks off: every one of them is a call that is paid for.
pub const OBJECT_READ_PIECES: usize = 32;

/// Reads that run at once, over all downloads and players.
pub const READ_CONCURRENCY: usize = 32;

/// Reads from the bucket that run at once, over all downloads and players; each has a connection to it meanwhile.
pub const OBJECT_READ_CONCURRENCY: usize = 32;

/// Cuts that are worked out at once: each walks the tables of all its segments, and holds its header twice meanwhile. Who asks
/// for the same cut waits for the one that is being made.
pub const CUT_CONCURRENCY: usize = 2;

/// Read buffers kept for reuse.
pub const READ_BUFFERS_KEPT: usize = 64;

/// Pictures of a segment build up where they are whole only this long after a keyframe, in ticks of 1/90 000 s; less are pictures
/// that lead a keyframe, which itself is whole.
pub const BUILD_UP_90K: u64 = 2 * 90_000 / 3;

/// Longest final `moov` that is read back from a sealed segment.
pub const MAX_MOOV_BYTES: u64 = 64 * 1024 * 1024;

/// Memory for sample tables of sealed segments, so that the next download of the same match reads nothing.
pub const TABLE_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Memory for headers of cuts, so that each HTTP range of one download does not make them anew.
pub const CUT_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// What the header of a cut has beside the tables of its segments, in bytes: boxes, configurations, edits, a block of silence.
pub const CUT_HEADER_BASE_BYTES: u64 = 64 * 1024;

/// What joining one more segment adds to the header of a cut beside that segment's own tables, in bytes: sound that is put
/// back beside its picture, a configuration of its own.
pub const CUT_HEADER_SEGMENT_BYTES: u64 = 4 * 1024;

/// Memory for the start of each channel's first segment.
pub const FIRST_RECORDED_CACHE_BYTES: usize = 64 * 1024;

/// Segments that one cut may touch: a day in quarter hours, with some sessions to spare.
pub const MAX_CUT_SEGMENTS: usize = 4096;

/// Longest name of an object in a bucket, with the bucket's prefix (S3, B2).
pub const MAX_OBJECT_NAME_BYTES: usize = 1024;

/// Least size of every part but the last (S3 and B2: 5 MiB is safe for both, B2 itself says 5 MB).
pub const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// Highest number of a part (S3 and B2).
pub const MAX_UPLOAD_PARTS: u32 = 10_000;

/// Longest file in which a bucket in a folder keeps what it knows of an object or an upload.
pub const MAX_FOLDER_RECORD_BYTES: usize = 4096;

/// How long a call to a bucket may take however few its bytes are.
pub const BUCKET_CALL_MS: u64 = 30_000;

/// The slowest line on which a call to a bucket is still waited for: its bytes at this rate, on top of
/// [`BUCKET_CALL_MS`]. A club's uplink may be slow; a time-out that does not grow with the body would never let a part
/// through there.
pub const BUCKET_MIN_BYTES_PER_SECOND: u64 = 32 * 1024;

/// How long a connection to a bucket may take to open.
pub const BUCKET_CONNECT_MS: u64 = 10_000;

/// How long a connection to a bucket is kept for the next call: less than services keep theirs.
pub const BUCKET_IDLE_MS: u64 = 15_000;

/// How long a bucket's `Date` tells its clock, carried on by the time that has passed.
pub const BUCKET_DATE_FRESH_MS: u64 = 600_000;

/// Longest answer of a bucket that is not an object's bytes: a page of a listing.
pub const MAX_BUCKET_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// Pages that one listing of a bucket may take.
pub const MAX_BUCKET_PAGES: usize = 10_000;

/// Entries in one page of a listing (S3 and B2).
pub const BUCKET_PAGE_ENTRIES: usize = 1000;

/// Bodies longer than this are hashed on a thread that may block.
pub const HASH_INLINE_BYTES: usize = 256 * 1024;

/// Longest text of a bucket's that is handed on in an error.
pub const MAX_BUCKET_MESSAGE_CHARS: usize = 300;

/// Longest life of a presigned URL (Signature Version 4).
pub const MAX_PRESIGNED_SECONDS: u64 = 604_800;

/// Days after which a bucket forgets an upload that was neither completed nor aborted.
pub const LIFECYCLE_ABORT_UPLOADS_DAYS: u32 = 7;

/// Days after which a bucket deletes versions of objects that were deleted or overwritten.
pub const LIFECYCLE_OLD_VERSIONS_DAYS: u32 = 1;

/// How far our clock may be from the bucket's before it is worth a warning. At 15 minutes S3 refuses every signature.
pub const CLOCK_SKEW_WARNING_SECONDS: i64 = 60;

/// How far our clock may be from the bucket's before uploads are in danger.
pub const CLOCK_SKEW_DANGER_SECONDS: i64 = 300;

/// Letters of origins in one CORS rule: B2 takes less than 1,000 bytes a rule.
pub const MAX_CORS_ORIGIN_CHARS: usize = 400;

/// How long a browser may remember what CORS allows (B2: at most a day).
pub const CORS_MAX_AGE_SECONDS: u32 = 3600;

/// Longest wait at the end for queues, seals and rows.
pub const SHUTDOWN_MS: u64 = 1_900;

/// Longest prefix of an object name: it has to fit into the name of the spool file.
pub const MAX_PREFIX_BYTES: usize = 140;

/// Segments on their way to the bucket that are remembered at once; the catalog remembers the rest.
pub const MAX_UPLOAD_JOBS: u64 = 1024;

/// Answers in a row that a part was not taken before its whole object is begun anew.
pub const PART_ATTEMPTS: u32 = 8;

/// First pause after a call to the bucket failed, doubled each time.
pub const UPLOAD_PAUSE_FLOOR_MS: u64 = 500;

/// Longest pause between two calls to a bucket that is away: how late it is noticed that it is back.
pub const UPLOAD_PAUSE_CEILING_MS: u64 = 30_000;

/// Pause after the bucket refused: somebody has to do something first. Also the longest pause it may ask for.
pub const UPLOAD_REFUSED_PAUSE_MS: u64 = 60_000;

/// How often it is looked whether a growing segment has another part to send.
pub const UPLOAD_TICK_MS: u64 = 1_000;

/// Longest step of an upload: more than the time-out of any part on any line.
pub const UPLOAD_STEP_MS: u64 = 4 * 3_600_000;

/// How often the catalog is asked what there is to upload, beside at each seal.
pub const UPLOAD_REFRESH_MS: u64 = 15_000;

/// Pause of one segment's upload after catalog or disk failed it.
pub const LOCAL_RETRY_MS: u64 = 5_000;

/// Pause of one segment's upload whose file cannot be read: it may be another node's.
pub const UNREADABLE_RETRY_MS: u64 = 60_000;

/// How often uploads that nobody will complete are looked for.
pub const ORPHAN_SWEEP_MS: u64 = 3_600_000;

/// From which age on an upload that the catalog does not know is an orphan: no segment grows for that long.
pub const ORPHAN_UPLOAD_AGE_US: i64 = 24 * 3_600_000_000;

/// How often free space is looked at, and what the last round left is gone on with.
pub const KEEPER_TICK_MS: u64 = 5_000;

/// How often it is looked for footage past its retention.
pub const RETENTION_TICK_MS: u64 = 600_000;

/// Local copies that are removed together.
pub const EVICTIONS_PER_ROUND: u64 = 16;

/// Times that one round looks at the free space again after it has freed some.
pub const MAX_SPACE_ROUNDS: u32 = 1_000;

/// Segments past their retention that are deleted in one transaction.
pub const RETENTION_BATCH: u64 = 100;

/// Deletions that are worked off before the catalog is asked for more.
pub const DELETIONS_PER_ROUND: u64 = 100;

/// How far another clock may be from ours before it contradicts it: less than S3 lets a signature be off, more than any
/// clock that NTP keeps.
pub const CLOCK_TOLERANCE_US: i64 = 600_000_000;

/// How far the clock may be ahead of everything that is known to have been, with nobody to confirm it: a node that was off
/// over night is no reason to keep footage.
pub const MAX_UNCONFIRMED_LEAD_US: i64 = 24 * 3_600_000_000;

/// 2020-01-01T00:00:00Z. Nothing was recorded before: what is dated so had a wrong clock, and is not old.
pub const EARLIEST_FOOTAGE_US: i64 = 1_577_836_800_000_000;

/// Segments of one channel that may expire at once whatever share of its club's footage they are: an hour.
pub const EXPIRY_FLOOR_SEGMENTS: u64 = 4;

/// Newest segments that are looked at for what time it was when the last run ended; more than a node has growing is no use.
pub const NEWEST_SEGMENTS: u64 = 64;

/// How long it is believed what was told of NTP: the question may start a process.
pub const SYNCHRONISED_FRESH_MS: u64 = 60_000;

/// How often footage that waits for a person is looked at again.
pub const RETENTION_WAITING_TICK_MS: u64 = 60_000;

/// How often it is looked whether a person has let it go: within two seconds is promised.
pub const CONFIRMATION_TICK_MS: u64 = 1_000;

/// How long an answer of the bucket's counts that it has a segment, before the local copy goes on account of it.
pub const ASKED_FRESH_MS: u64 = 120_000;

/// Longest question for a segment: more than the time-out of a call.
pub const ASK_MS: u64 = BUCKET_CALL_MS + BUCKET_CONNECT_MS;

/// Segments that the bucket is asked for at once before their local copies go. Each is asked for once in its life, as a
/// rule: with the HEAD that confirmed it, two calls of class B at B2.
pub const ASKING_CONCURRENCY: usize = 4;

/// Answers of the bucket's that are remembered; also segments that are remembered to be asked for.
pub const MAX_ASKED: usize = 4_096;

/// How long a bucket may not answer before a full disk gives up local copies without asking it, where the policy allows.
pub const SILENT_BUCKET_MS: u64 = 300_000;

/// Over how long the rate of recording is measured.
pub const RATE_WINDOW_US: i64 = 3_600_000_000;

/// How long after a node was last seen it counts as running: three of its signs of life.
pub const NODE_ALIVE_US: i64 = 3 * NODE_SIGN_MS.cast_signed() * 1000;

/// How often a node that runs says so in the catalog.
pub const NODE_SIGN_MS: u64 = 20_000;

/// Segments of somebody else whose bytes are looked for at once.
pub const CLAIM_PAGE: u64 = 500;

/// How old a deletion is before another node than the one that held it sees to the bucket's part of it.
pub const NEGLECTED_DELETION_US: i64 = 3_600_000_000;

/// Objects, or rows, that a walk over all of them holds at once: a page of a listing.
pub const WALK_PAGE: usize = BUCKET_PAGE_ENTRIES;

/// Segments that are looked at closely at once while catalog, store and bucket are compared.
pub const VERIFY_CONCURRENCY: usize = 4;

/// Bytes read from a file at once while all of it is checked.
pub const VERIFY_READ_BYTES: usize = 1024 * 1024;

/// Bytes read from the bucket at once while all of an object is checked: each read is a call that is paid for.
pub const VERIFY_OBJECT_READ_BYTES: u64 = 16 * 1024 * 1024;

/// Faults, or problems, that one report names; the rest is counted.
pub const MAX_REPORTED: usize = 10_000;

/// From which age on an object that no row names is an orphan: everything that is on its way has long arrived by then.
pub const ORPHAN_OBJECT_AGE_US: i64 = 3_600_000_000;

/// Objects whose tables are read at once when a catalog is rebuilt: each is two short reads, and a round trip each.
pub const REINDEX_CONCURRENCY: usize = 16;

const _: () = {
    assert!(CHANNEL_QUEUE_BYTES <= ARCHIVE_QUEUE_BYTES);
    assert!(MAX_SLICES_PER_WRITE <= 1024, "IOV_MAX");
    assert!(SHUTDOWN_MS < 2_000, "a stop is promised within two seconds");
    assert!(RETRY_FLOOR_MS < RETRY_CEILING_MS);
    assert!(UPLOAD_PAUSE_FLOOR_MS < UPLOAD_PAUSE_CEILING_MS);
    assert!(ORPHAN_UPLOAD_AGE_US > 2 * catalog::MAX_SEGMENT_US);
    assert!(CONFIRMATION_TICK_MS < 2_000, "a confirmation is promised to be seen within two seconds");
    assert!(MAX_PREFIX_BYTES + 3 + 36 + 36 + 20 + 9 <= 255, "NAME_MAX");
};

/// Channels that are looked for in a data folder before its catalog is believed.
pub const MAX_CHANNELS_LOOKED_FOR: usize = 10_000;

/// Folders of clubs and courts that are looked through for them: a store may lie among a stranger's files.
pub const MAX_FOLDERS_LOOKED_AT: usize = 100_000;

/// Pause between two looks for recordings that the catalog does not know, while there are some, in milliseconds.
pub const UNKNOWN_LOOK_MS: u64 = 600_000;
