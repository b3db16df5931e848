//! What a program in a sandbox may take.

use std::time::Duration;

/// Memory that one ffmpeg may take, in bytes: sixteen pictures of 4K, or one of 8K, and room to spare.
pub const FFMPEG_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;

/// Stack of each of its threads, in bytes: newer versions run several for each input, and their stacks count as its memory.
pub const FFMPEG_STACK_BYTES: u64 = 2 * 1024 * 1024;

/// CPU time of one ffmpeg, in seconds, should nobody be left to end it.
pub const FFMPEG_CPU_S: u64 = 20;

/// Files that one ffmpeg may have open: its libraries are closed again once they are mapped.
pub const FFMPEG_FILES: usize = 128;

/// Longest file that it may write, in bytes.
pub const FFMPEG_FILE_BYTES: usize = 512 * 1024;

/// How much ffmpeg yields to everything else.
pub const NICENESS: u32 = 10;

/// How long the check may take whether ffmpeg can be run.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before an ffmpeg that could not be run is tried again.
pub const PROBE_RETRY: Duration = Duration::from_secs(60);

/// Folders that are looked into where something private lies within what a program may read; beyond that nothing of it is shown.
pub const MAX_SPLIT_FOLDERS: usize = 64;
