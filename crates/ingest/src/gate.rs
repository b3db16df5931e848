//! What this room asks of others: may this key publish, and where do its samples go; may this be played, and from where.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use media::flv::{FlvTag, TagRun};
use media::rtmp::StreamKey;
use media::timeline::{AudioProblem, TimelineEvent};
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

    /// What a player gets who asks for `name` (query included); `None` when there is nothing, or nothing for this one: the two
    /// are told alike. A name is never a stream key: who takes one for it gets `None`.
    ///
    /// Without an answer of its own a gate lets nobody play.
    fn play(&self, _name: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Option<Box<dyn Feed>>> {
        Box::pin(std::future::ready(None))
    }
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

    /// Takes the publisher's own tags of what was pushed last, for those who pass them on. What is left in the list is thrown
    /// away. It must not block.
    fn tags(&mut self, _tags: &mut Vec<FlvTag>) {}

    /// Hears why the publisher's audio is left out, and [`None`] once it is not any more. It must not block.
    fn audio_problem(&mut self, _problem: Option<&AudioProblem>) {}
}

/// What a player is sent.
pub trait Feed: Send {
    /// The channel that it is of.
    fn channel_id(&self) -> Uuid;

    /// Waits for the next tags; `None` once there will be none. Cancelled, it loses nothing.
    fn next(&mut self) -> BoxFuture<'_, Option<Arc<TagRun>>>;
}

/// Why a publisher is turned away. The publisher is told [`Refusal::describe`]; the log gets the same words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// No channel has this key.
    #[error("unknown stream key")]
    UnknownKey,
    /// No channel has this key, and it does not look as if it had been typed alone. The server says so itself: a gate need not.
    #[error(
        "unknown stream key: the field for it takes the key alone, without a slash, a blank or the rest of the address"
    )]
    OddKey,
    /// Keys cannot be judged at the moment; worth another try.
    #[error("stream keys cannot be checked at the moment, try again")]
    Unavailable,
    /// The node cannot record one more: better not let in than let in and lost.
    #[error("this server has no room for another recording, try again later")]
    NoRoom,
}

impl Refusal {
    /// Words for the publisher: what is wrong and nothing that helps to guess.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown stream key",
            Self::OddKey => {
                "unknown stream key: the field for it takes the key alone, without a slash, a blank or the rest of the address"
            }
            Self::Unavailable => "stream keys cannot be checked at the moment, try again",
            Self::NoRoom => "this server has no room for another recording, try again later",
        }
    }
}
