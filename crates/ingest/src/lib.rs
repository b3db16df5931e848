//! Where cameras arrive: sockets in, samples on one timeline out; and where RTMP players are served.
//!
//! - **In**: TCP connections of publishers ([`RtmpServer`]), judged by a [`Gate`] that is handed in.
//! - **Out**: [`TimelineEvent`](media::timeline::TimelineEvent)s and the publisher's own tags, pushed into the [`Sink`] of the
//!   publication; to players of the same port, what the [`Feed`] of the gate gives.
//! - **Invariants**: a channel has one session at any moment; a newcomer with the same channel replaces the stale
//!   connection at once; nothing is pushed before the gate agreed; what one connection sends never delays another
//!   beyond the limits in [`limits`].
//! - **Never**: SQL, a file, a key in a log or an error, a queue without a limit.

mod gate;
pub mod limits;
mod rtmp;

pub use gate::{BoxFuture, Feed, Gate, Publication, Refusal, Sink};
pub use rtmp::{ConnectionStatus, Connections, Publishers, Role, RtmpConfig, RtmpServer};
