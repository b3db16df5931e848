//! What this room asks of others: may this key publish, and where do its samples go.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use media::rtmp::StreamKey;
use media::timeline::TimelineEvent;
use uuid::Uuid;

/// A future on the heap, so that [`Gate`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Judges stream keys.
pub trait Gate: Send + Sync + 'static {
    /// Whether the holder of `key` may publish, and into what.
    ///
    /// It is asked once per publish request and abandoned after
    /// [`AUTHORISE_TIMEOUT`](crate::limits::AUTHORISE_TIMEOUT). It must not open a recording yet: a stale connection
    /// may still be writing to the same channel, and is sent away between this answer and the first
    /// [`Sink::push`].
    fn authorise(&self, key: &StreamKey, peer: SocketAddr) -> BoxFuture<'_, Result<Publication, Refusal>>;
}

/// Permission to publish.
pub struct Publication {
    /// The channel that the key belongs to.
    pub channel_id: Uuid,
    /// Takes everything that is published; dropped when the publication ends.
    pub sink: Box<dyn Sink>,
}

/// Takes a publication's samples.
pub trait Sink: Send {
    /// Takes one event. It must not block: what cannot be taken is the receiver's to count.
    fn push(&mut self, event: TimelineEvent);
}

/// Why a publisher is turned away. The publisher is told [`Refusal::describe`]; the log gets the same words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// No channel has this key.
    #[error("unknown stream key")]
    UnknownKey,
    /// Keys cannot be judged at the moment; worth another try.
    #[error("stream keys cannot be checked at the moment, try again")]
    Unavailable,
}

impl Refusal {
    /// Words for the publisher: what is wrong and nothing that helps to guess.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown stream key",
            Self::Unavailable => "stream keys cannot be checked at the moment, try again",
        }
    }
}
