//! What state a relay is in.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// What a relay does now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// There is nothing to send: nobody publishes the channel, or its first keyframe has not come.
    Waiting,
    /// It is on its way to the target's consent.
    Connecting,
    /// The target takes the channel.
    Live {
        /// UTC microseconds since when.
        since_us: i64,
    },
    /// It failed and waits to try again.
    BackingOff {
        /// Why, without a secret.
        reason: String,
        /// UTC microseconds of the next try.
        next_us: i64,
    },
    /// It does not try again while the channel is published as it is.
    Stopped {
        /// Why, without a secret.
        reason: String,
    },
    /// The SRS node in front was told to do it.
    BySrs,
}

impl State {
    /// All words for states.
    pub const WORDS: [&str; 6] = ["waiting", "connecting", "live", "backingOff", "stopped", "bySrs"];

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Live { .. } => "live",
            Self::BackingOff { .. } => "backingOff",
            Self::Stopped { .. } => "stopped",
            Self::BySrs => "bySrs",
        }
    }
}

/// One pair of a channel and a target at one instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The channel.
    pub channel_id: Uuid,
    /// The target's id.
    pub target_id: String,
    /// The target's name.
    pub name: Option<String>,
    /// The target's address without its secrets.
    pub address: String,
    /// What it does.
    pub state: State,
    /// Bytes sent since it began with this publication of the channel.
    pub sent_bytes: u64,
    /// How often it had to begin anew.
    pub reconnects: u64,
    /// How often the target was too slow and was taken to the newest keyframe.
    pub skipped: u64,
}

/// What a relay's task writes and others read.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) skipped: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::Waiting),
            sent_bytes: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }
}

impl Progress {
    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
