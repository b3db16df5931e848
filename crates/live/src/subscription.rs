//! One reader of a channel's fragments, behind a bounded queue.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use media::fragmenter::FragmentEvent;
use tokio::sync::Notify;

/// Fragments that may wait for one subscriber: about half a minute.
pub const SUBSCRIBER_FRAGMENTS: usize = 64;

/// Bytes that may wait for one subscriber. One fragment is always let in, however large.
pub const SUBSCRIBER_BYTES: usize = 16 * 1024 * 1024;

/// Starts and ends of sessions that may wait on top of the fragments.
const SUBSCRIBER_SESSIONS: usize = 16;

/// What a subscriber gets.
#[derive(Clone, Debug)]
pub enum Received {
    /// What was muxed.
    Event(FragmentEvent),
    /// The subscriber was too slow: fragments are missing here, and what follows begins with a key fragment.
    Missed {
        /// How many.
        fragments: u64,
    },
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Received>,
    bytes: usize,
    /// Fragments missed since the last one taken; while it is not 0 only a key fragment or a session is taken.
    missed: u64,
    /// Nothing is taken before the next start of a session: this one's start is lost.
    needs_session: bool,
    /// Nothing is taken before the next key fragment, as nothing could be shown.
    needs_key: bool,
    is_ended: bool,
}

/// The queue between hub and subscriber.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event, or counts it as missed; whether it was taken or not wanted.
    pub(crate) fn offer(&self, event: &FragmentEvent) -> bool {
        let mut state = self.lock();
        let taken = match event {
            FragmentEvent::Fragment(fragment) => {
                if (state.needs_key && !fragment.is_key) || state.needs_session {
                    if state.missed > 0 {
                        state.missed += 1;
                        return false;
                    }
                    // Joined in the middle of a group of pictures: not missed, never wanted.
                    return true;
                }
                let size = fragment.size_bytes as usize;
                let fits = state.bytes == 0
                    || (state.waiting.len() < SUBSCRIBER_FRAGMENTS && state.bytes + size <= SUBSCRIBER_BYTES);
                if fits {
                    state.admit();
                    state.bytes += size;
                    state.needs_key = false;
                } else {
                    state.missed += 1;
                    state.needs_key = true;
                }
                fits
            }
            FragmentEvent::SessionStart(_) | FragmentEvent::SessionEnd { .. } => {
                let is_start = matches!(event, FragmentEvent::SessionStart(_));
                let fits = state.waiting.len() < SUBSCRIBER_FRAGMENTS + SUBSCRIBER_SESSIONS;
                if fits && (is_start || !state.needs_session) {
                    state.admit();
                    state.needs_session = false;
                    state.needs_key = true;
                    true
                } else {
                    state.missed += 1;
                    state.needs_session = true;
                    false
                }
            }
        };
        if taken {
            state.waiting.push_back(Received::Event(event.clone()));
            drop(state);
            self.arrived.notify_one();
        }
        taken
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.lock().is_ended = true;
        self.arrived.notify_one();
    }
}

impl State {
    /// Says first what is missing before the next event.
    fn admit(&mut self) {
        if self.missed > 0 {
            self.waiting.push_back(Received::Missed { fragments: self.missed });
            self.missed = 0;
        }
    }
}

/// One reader of a channel. It begins with the running session's start, if there is one, and its next key fragment. It
/// outlives publishers: who comes next is a new session.
pub struct Subscription {
    queue: Arc<Queue>,
}

impl Subscription {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// Waits for the next event; `None` once the channel is gone.
    pub async fn recv(&mut self) -> Option<Received> {
        loop {
            {
                let mut state = self.queue.lock();
                if let Some(received) = state.waiting.pop_front() {
                    if let Received::Event(FragmentEvent::Fragment(fragment)) = &received {
                        state.bytes = state.bytes.saturating_sub(fragment.size_bytes as usize);
                    }
                    return Some(received);
                }
                if state.is_ended {
                    return None;
                }
            }
            // One waiter: a notice given since the look is kept.
            self.queue.arrived.notified().await;
        }
    }
}
