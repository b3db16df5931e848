//! Why a connection ended, for the log.

use std::io;
use std::time::Duration;

use media::EndCause;
use media::framing::FramingError;
use media::rtmp::RtmpError;
use media::timeline::TimelineError;

use super::admission::NoSeat;
use super::registry::Dismissed;
use crate::gate::Refusal;

/// What ended a connection against somebody's will. Contains no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// The peer breaks the protocol or one of its time limits.
    #[error(transparent)]
    Rtmp(#[from] RtmpError),
    /// The peer's media cannot be understood.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The peer's media cannot be put on a timeline.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// The socket failed.
    #[error("the connection was lost: {0}")]
    Socket(io::Error),
    /// What the peer sent is no TLS, or not what we speak.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// The peer closed the connection in the middle of a publication.
    #[error("the publisher closed the connection without a goodbye")]
    Closed,
    /// The peer does not read.
    #[error("the publisher did not read its replies for {limit:?}")]
    WriteTimeout {
        /// [`crate::limits::WRITE_TIMEOUT`]
        limit: Duration,
    },
    /// A player does not read.
    #[error("the player took nothing for {limit:?}")]
    PlayerStalled {
        /// [`crate::limits::PLAYER_WRITE_TIMEOUT`]
        limit: Duration,
    },
    /// The peer asks for more replies than it reads.
    #[error("more than {limit_bytes} bytes of replies wait for the publisher")]
    TransmitFull {
        /// [`crate::limits::MAX_TRANSMIT_BYTES`]
        limit_bytes: usize,
    },
    /// The gate said no.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The gate said nothing.
    #[error("stream keys could not be checked within {limit:?}")]
    AuthoriseTimeout {
        /// [`crate::limits::AUTHORISE_TIMEOUT`]
        limit: Duration,
    },
    /// Every place for what it wants is taken, or it had to make room.
    #[error("refused: {0}")]
    NoSeat(#[from] NoSeat),
    /// A newer connection publishes the channel.
    #[error("a newer connection publishes this channel")]
    Replaced,
    /// The gate's owner took its word back: [`Publishers::drop_publisher`](crate::Publishers::drop_publisher).
    #[error("the stream key is no longer valid")]
    Revoked,
    /// Somebody ended it: [`Connections::drop_connection`](crate::Connections::drop_connection).
    #[error("an operator has ended this connection")]
    Dropped,
    /// The connection that was to be replaced did not end.
    #[error("the previous connection of this channel did not end within {limit:?}")]
    TakeoverTimeout {
        /// [`crate::limits::TAKEOVER_TIMEOUT`]
        limit: Duration,
    },
}

impl From<Dismissed> for ConnectionError {
    fn from(dismissed: Dismissed) -> Self {
        match dismissed {
            Dismissed::Replaced => Self::Replaced,
            Dismissed::Revoked => Self::Revoked,
            Dismissed::Dropped => Self::Dropped,
        }
    }
}

impl ConnectionError {
    /// What a link could not read: the layer that failed has a name.
    pub(super) fn of_link(error: io::Error) -> Self {
        match error.get_ref() {
            Some(inner) if inner.is::<rustls::Error>() => Self::Tls(error),
            _ => Self::Socket(error),
        }
    }

    /// The cause of the gap that follows.
    pub(super) fn end_cause(&self) -> EndCause {
        match self {
            // What it sends is what the camera or encoder made.
            Self::Framing(_) | Self::Timeline(_) => EndCause::Camera,
            // The network did its part, and so did we: who publishes has no right to any more.
            Self::Revoked => EndCause::Camera,
            // Camera and network were willing.
            Self::Dropped => EndCause::Process,
            Self::Rtmp(error) if !matches!(error, RtmpError::Timeout { .. }) => EndCause::Camera,
            _ => EndCause::Network,
        }
    }
}
