//! Who is live, and one hub per channel that muxes each sample once for everyone.
//!
//! - **In**: timeline events of one publisher per channel.
//! - **Out**: the same fragments to every subscriber and outlet; who is live since when, and how much came; [`covers`].
//! - **Invariants**: a sample is muxed once; a slow subscriber loses fragments up to the next keyframe and is told so,
//!   and never slows the channel; memory per subscriber has a limit with a name; a publisher that was replaced does not
//!   take the channel down when it goes.
//! - **Never**: a socket, SQL, a wait for a subscriber, a file (but for the folder of covers).

mod channel;
pub mod covers;
mod live;
mod subscription;

pub use channel::{Missed, Outlet, Publisher};
pub use live::{ChannelStatus, Live};
pub use subscription::{Received, SUBSCRIBER_BYTES, SUBSCRIBER_FRAGMENTS, Subscription};
