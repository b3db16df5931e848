//! What a server session tells its driver.

use bytes::Bytes;

use crate::rtmp::key::StreamKey;

/// Something a publisher did. Media events come only between accepting a publication and [`ServerEvent::Unpublished`].
#[derive(Clone, PartialEq, Debug)]
pub enum ServerEvent {
    /// `connect` was answered.
    Connected {
        /// First part of the application, fit for a log.
        app: String,
        /// `tcUrl` fit for a log: without user, password, query, control characters and all but the first part of its path.
        tc_url: String,
        /// The peer's name for itself, fit for a log.
        flash_ver: String,
    },
    /// `publish`: nothing is read until the driver calls `accept_publish` or `refuse_publish`.
    PublishRequested {
        /// Application, without a query.
        app: String,
        /// The stream name as the publisher gave it, query included.
        key: StreamKey,
        /// Other ways to read it, see [`StreamKey::readings`].
        otherwise: Vec<StreamKey>,
    },
    /// `play`: nothing is read until the driver calls `accept_play` or `refuse_play`.
    PlayRequested {
        /// Application, without a query.
        app: String,
        /// The name asked for, query included. Somebody may take a stream key for it, so it is treated as one.
        name: StreamKey,
        /// Other ways to read it, see [`StreamKey::readings`].
        otherwise: Vec<StreamKey>,
    },
    /// The player said that it ends: `deleteStream` or `closeStream`. It may play again.
    PlayStopped,
    /// `onMetaData`.
    Metadata {
        /// Verbatim from the string `onMetaData` on: the body of an FLV script tag.
        body: Bytes,
        /// Its `framerate`, where it has a plausible one: frames per second.
        frame_rate: Option<f64>,
    },
    /// A video message: the body of an FLV video tag.
    Video {
        /// Milliseconds on the publisher's clock, modulo 2³².
        timestamp_ms: u32,
        /// The body.
        body: Bytes,
    },
    /// An audio message: the body of an FLV audio tag.
    Audio {
        /// Milliseconds on the publisher's clock, modulo 2³².
        timestamp_ms: u32,
        /// The body.
        body: Bytes,
    },
    /// A message could not be used and was passed over: data that is too long, a command that cannot be read. Told once for a
    /// publication; see [`ServerSession::skipped`](super::ServerSession::skipped) for their number.
    Skipped {
        /// One of [`message_type`](crate::rtmp::message_type).
        type_id: u8,
        /// Its length in bytes.
        length: u32,
    },
    /// The publisher said that it ends: `FCUnpublish`, `deleteStream` or `closeStream`. It may publish again.
    Unpublished,
}
