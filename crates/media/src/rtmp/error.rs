//! Why a connection ends early.

use super::chunk::ChunkError;
use super::handshake::HandshakeError;
use super::limits;
use crate::amf0::AmfError;

/// A named reason to close a connection. Its text holds no secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RtmpError {
    /// The first bytes are no RTMP handshake.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The chunk stream is broken or goes beyond a limit.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The command message cannot be read.
    #[error("RTMP command: {0}")]
    Amf(#[from] AmfError),
    /// A command lacks what it needs.
    #[error("RTMP command {command}: {lacks}")]
    Command {
        /// The command's name.
        command: &'static str,
        /// What is missing or wrong.
        lacks: &'static str,
    },
    /// More than [`limits::MAX_PRE_PUBLISH_BYTES`] came before a publication was accepted.
    #[error("more than {} bytes of messages before publishing", limits::MAX_PRE_PUBLISH_BYTES)]
    PrePublishBudget,
    /// More than [`limits::MAX_UNREAD_BYTES`] came while the key was being judged.
    #[error("more than {} bytes while waiting for the answer to publish", limits::MAX_UNREAD_BYTES)]
    UnreadBudget,
    /// More than [`limits::MAX_REPLY_BYTES`] of replies wait: the peer asks and does not read.
    #[error("more than {} bytes of replies wait to be read by the peer", limits::MAX_REPLY_BYTES)]
    ReplyBudget,
    /// The peer did not do in time what it had to.
    #[error("{what} within {limit_ms} ms")]
    Timeout {
        /// What did not happen.
        what: TimeoutOf,
        /// How long it was waited for, in milliseconds.
        limit_ms: i64,
    },
    /// Media was to be sent and the server has not accepted the publication (client only).
    #[error("not publishing")]
    NotPublishing,
    /// A frame was to be sent that is longer than [`limits::MAX_MESSAGE_BYTES`] (client only).
    #[error("a message of {0} bytes cannot be sent")]
    TooLong(usize),
}

impl RtmpError {
    /// A short stable name, for logs and counters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Chunk(error) => error.fault.name(),
            Self::Amf(_) => "amf",
            Self::Command { .. } => "command",
            Self::PrePublishBudget => "pre_publish_budget",
            Self::UnreadBudget => "unread_budget",
            Self::ReplyBudget => "reply_budget",
            Self::Timeout { .. } => "timeout",
            Self::NotPublishing => "not_publishing",
            Self::TooLong(_) => "too_long",
        }
    }
}

/// What a peer did not do in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimeoutOf {
    /// The handshake.
    #[error("no RTMP handshake")]
    Handshake,
    /// The `connect` command, or its answer.
    #[error("no connect")]
    Connect,
    /// The `publish` command, or its answer.
    #[error("no publish")]
    Publish,
    /// The first audio or video message of a publication.
    #[error("no audio or video after publish")]
    FirstMedia,
    /// The next audio or video message.
    #[error("no further audio or video")]
    Media,
}
