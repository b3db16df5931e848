//! Who is live, and one hub per channel that muxes each sample once for everyone.
//!
//! - **In**: timeline events of one publisher per channel, and its own FLV tags where it has any.
//! - **Out**: the same fragments to every subscriber and outlet; the same tags to every player and relay; the live window for
//!   HLS; who is live since when, and how much came; [`covers`]; the [`sandbox`] in which ffmpeg decodes.
//! - **Invariants**: a sample is muxed once; a slow reader loses what lies before the next keyframe and is counted, and never
//!   slows the channel; memory per channel has limits with names; a publisher that was replaced does not take the channel down
//!   when it goes; asking for a channel that nobody publishes makes nothing.
//! - **Never**: a socket, SQL, a wait for a subscriber, a file (but for the folder of covers).
//!
//! Three ways to read a channel, by what is needed:
//!
//! | way | gives | for |
//! |-|-|-|
//! | [`Live::subscribe`] | fragments, through a queue of one's own; also before and between publishers | whatever follows a channel for ever |
//! | [`Live::tags`] | runs of tags as the publisher sent them, some 50 ms after they came | RTMP and HTTP-FLV players, relays |
//! | [`Live::window`] | the newest fragments as HLS segments and parts | LL-HLS |
//!
//! **Tags.** [`TagReader::next`] gives [`TagRun`](media::flv::TagRun)s: first metadata and decoder configurations, then from the
//! newest keyframe on everything, with a timeline that does not jump when publishers change. Bodies are the publisher's own
//! bytes, whatever the codec; [`TagRun::rtmp`](media::flv::TagRun::rtmp) and [`TagRun::flv`](media::flv::TagRun::flv) are made once
//! for all readers. After a lag the reader goes on at the newest keyframe, headers first ([`TagReader::skipped`] counts). It
//! outlives a change of publisher and ends [`limits::GRACE`] after the last one; [`Live::changes`] tells when to ask again.

mod channel;
pub mod covers;
pub mod limits;
mod live;
pub mod sandbox;
mod subscription;
mod tags;
mod window;

pub use channel::{Missed, Outlet, Publisher};
pub use live::{ChannelStatus, Live, WindowReader};
pub use subscription::{Received, SUBSCRIBER_BYTES, SUBSCRIBER_FRAGMENTS, Subscription};
pub use tags::{Next, TagReader};
pub use window::{LiveSegment, Snapshot};
