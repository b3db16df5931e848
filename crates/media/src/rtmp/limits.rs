//! Every limit of an RTMP connection, in one place.

/// Longest media message in bytes: what the 24-bit length field can say. A frame of 16 MB (16 000 000 bytes) passes.
pub const MAX_MESSAGE_BYTES: u32 = 0xff_ffff;

/// Longest data message (`onMetaData`) in bytes.
pub const MAX_DATA_MESSAGE_BYTES: u32 = 256 * 1024;

/// Longest command or control message in bytes.
pub const MAX_COMMAND_MESSAGE_BYTES: u32 = 64 * 1024;

/// Announced bytes of all messages of a connection that have begun and not ended: one largest frame and what may be
/// interleaved with it. Two frames of 16 MB at once on two chunk streams are an error.
pub const MAX_PARTIAL_BYTES: u32 = 20 * 1024 * 1024;

/// Message bytes that a peer may send before its publication is accepted, counted anew after each publication.
pub const MAX_PRE_PUBLISH_BYTES: u64 = 64 * 1024;

/// Bytes that may wait unread while the driver judges a key.
pub const MAX_UNREAD_BYTES: usize = 256 * 1024;

/// Chunk streams of one connection. Publishers in the field use fewer than ten.
pub const MAX_CHUNK_STREAMS: usize = 64;

/// Largest chunk size in bytes (RTMP §5.4.1: the first bit of the field is zero). The smallest is 1.
pub const MAX_CHUNK_SIZE: u32 = 0x7fff_ffff;

/// Chunk size of both ends until one says otherwise (RTMP §5.4.1), in bytes.
pub const DEFAULT_CHUNK_SIZE: u32 = 128;

/// Chunk size that we announce wherever media goes out, in bytes: large, so that most frames go out in one piece, and one for players
/// and relays, so that what is made for one of them does for all.
pub const SEND_CHUNK_SIZE: u32 = 60_000;

/// Message streams that one connection may create.
pub const MAX_MESSAGE_STREAMS: u32 = 16;

/// Longest stream key and application name in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// Replies that may wait to be sent, in bytes: a peer that asks and never reads is cut off.
pub const MAX_REPLY_BYTES: usize = 256 * 1024;

/// Length of the blocks in which payloads of media lie, in bytes: half a second at 4 Mbit/s.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// A payload shorter than this gets memory of its own, so that a small record that is kept (a sequence header) does not keep a block
/// alive: what is counted as kept stands for at most 64 times as much memory.
pub const MIN_BLOCK_PAYLOAD_BYTES: usize = 4096;

/// A payload longer than this gets memory of its own, so that no block is left half empty.
pub const MAX_BLOCK_PAYLOAD_BYTES: usize = BLOCK_BYTES / 2;

/// Blocks of one connection that are kept in mind to be used again: more than the longest live window and the recorder's queue
/// hold.
pub const MAX_BLOCKS: usize = 512;

/// Blocks that may be free at a time: a live window lets go of a whole segment at once.
pub const MAX_IDLE_BLOCKS: usize = 8;

/// From the TCP connection to the `publish` command, in microseconds; also from one publication to the next.
pub const SETUP_LIMIT_US: i64 = 10_000_000;

/// From `NetStream.Publish.Start` to the first audio or video message, in microseconds.
pub const FIRST_MEDIA_LIMIT_US: i64 = 20_000_000;

/// Between two audio or video messages, in microseconds.
pub const IDLE_LIMIT_US: i64 = 30_000_000;

/// Window after which we acknowledge when the peer did not name one, and the window we ask of the peer, in bytes.
pub const WINDOW_BYTES: u32 = 2_500_000;

const _: () = assert!(MAX_PARTIAL_BYTES > MAX_MESSAGE_BYTES);
const _: () = assert!(MAX_DATA_MESSAGE_BYTES <= MAX_MESSAGE_BYTES);
const _: () = assert!(MAX_COMMAND_MESSAGE_BYTES as u64 <= MAX_PRE_PUBLISH_BYTES);
const _: () = assert!(MIN_BLOCK_PAYLOAD_BYTES * 64 == BLOCK_BYTES && MAX_IDLE_BLOCKS < MAX_BLOCKS);
const _: () =
    assert!(MIN_BLOCK_PAYLOAD_BYTES < MAX_BLOCK_PAYLOAD_BYTES && MAX_BLOCK_PAYLOAD_BYTES < BLOCK_BYTES);
const _: () = assert!(MAX_CHUNK_STREAMS < 0xff);
const _: () = assert!(SEND_CHUNK_SIZE > DEFAULT_CHUNK_SIZE && SEND_CHUNK_SIZE <= MAX_CHUNK_SIZE);
