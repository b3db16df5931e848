//! One RTMP message, whole.

use bytes::Bytes;

/// Message type ids (RTMP §5.4 and §7.1).
pub mod message_type {
    /// Protocol control: chunk size of the sender.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Protocol control: drop a partly sent message.
    pub const ABORT: u8 = 2;
    /// Protocol control: bytes received so far.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User control: stream begin, ping and the like.
    pub const USER_CONTROL: u8 = 4;
    /// Protocol control: acknowledge after so many bytes.
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Protocol control: send no more than this unacknowledged.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio: the body of an FLV audio tag.
    pub const AUDIO: u8 = 8;
    /// Video: the body of an FLV video tag.
    pub const VIDEO: u8 = 9;
    /// Data in AMF3 framing.
    pub const DATA_AMF3: u8 = 15;
    /// Command in AMF3 framing.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0.
    pub const DATA: u8 = 18;
    /// Command in AMF0.
    pub const COMMAND: u8 = 20;
    /// Several FLV tags in one message.
    pub const AGGREGATE: u8 = 22;
}

/// A whole message as it came off the chunk stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Milliseconds on the peer's clock, modulo 2³².
    pub timestamp_ms: u32,
    /// One of [`message_type`].
    pub type_id: u8,
    /// Message stream id; 0 for control.
    pub stream_id: u32,
    /// The body.
    pub payload: Bytes,
}

/// Everything of a message to be sent but its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageHeader {
    /// Chunk stream id, 2 to 65 599.
    pub chunk_stream_id: u32,
    /// Milliseconds, modulo 2³².
    pub timestamp_ms: u32,
    /// One of [`message_type`].
    pub type_id: u8,
    /// Message stream id.
    pub stream_id: u32,
}
