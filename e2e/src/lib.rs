//! The program as its users meet it: the real binary, real publishers, real players, a real browser.
//!
//! - **In**: nothing but what `cargo xtask setup` installed; every server is started by the test that needs it, on a free
//!   port, in a folder of its own.
//! - **Out**: a [`Node`] to talk to, clips with a burnt-in frame counter, and readers of what was recorded.
//! - **Never**: a sleep where a condition can be waited for.

#![expect(clippy::missing_panics_doc, reason = "a test harness stops at what it did not expect")]
#![expect(clippy::expect_used, reason = "a test harness stops at what it did not expect")]

mod bucket;
mod clip;
mod demo;
mod exact;
mod hostile;
mod kill;
mod media;
mod nginx;
mod node;
mod publisher;

pub use bucket::BucketService;
pub use clip::{Clip, clip, tool};
pub use demo::{Demo, browser, browser_live, browser_with_bucket, browser_with_code, browser_without_idr};
pub use exact::{assert_increasing, recorded, replay_is_exact, save, us};
pub use hostile::{HostilePlan, HostileReport, attack};
pub use kill::{KillPlan, KillReport, kill_at_random};
pub use media::{
    Frame, Probe, SEVERAL_HOSTS, counters, decode_warnings, holes, is_cut_of, missing_before_hole, packets,
    payloads, probe,
};
pub use nginx::Nginx;
pub use node::{Court, Node, NodeOptions, get, now_us, program, rfc3339, wait_until};
pub use publisher::Publisher;
