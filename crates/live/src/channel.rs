//! The hub of one channel.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use media::{
    SessionConfig,
    flv::{FlvTag, Retagger},
    fragmenter::{FragmentEvent, Fragmenter, Session},
    timeline::{AudioProblem, TimelineEvent},
};
use uuid::Uuid;

use crate::{
    live::Live,
    subscription::{Queue, Subscription},
    tags::TagRing,
    window::Window,
};

/// An outlet did not take an event, and it is missing there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the outlet did not take the event")]
pub struct Missed;

/// Where a publisher's fragments go without a queue in between, such as the recorder, which has its own.
pub trait Outlet: Send {
    /// Takes an event at once, or not at all. Must not block.
    ///
    /// # Errors
    /// [`Missed`] when it was not taken; the outlet itself makes good or says what is missing.
    fn push(&mut self, event: &FragmentEvent) -> Result<(), Missed>;
}

/// What a channel's publisher, subscribers and observers share.
pub(crate) struct Hub {
    pub(crate) channel_id: Uuid,
    listeners: Mutex<Listeners>,
    /// Number of the publisher that has the channel; 0 for none.
    pub(crate) publisher: AtomicU64,
    /// Number of the last publisher, for as long as players wait for another one after it; 0 for none.
    pub(crate) lasting: AtomicU64,
    pub(crate) is_live: AtomicBool,
    pub(crate) since_us: AtomicI64,
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) fragments: AtomicU64,
    pub(crate) missed: AtomicU64,
    /// For players and relays.
    pub(crate) tags: TagRing,
    /// For HLS.
    pub(crate) window: Window,
    /// Why the publisher's audio is left out.
    audio_problem: Mutex<Option<AudioProblem>>,
}

#[derive(Default)]
struct Listeners {
    queues: Vec<Weak<Queue>>,
    /// For those who come in the middle.
    session: Option<Arc<Session>>,
}

impl Hub {
    pub(crate) fn new(channel_id: Uuid, window_us: i64) -> Self {
        Self {
            channel_id,
            listeners: Mutex::default(),
            publisher: AtomicU64::new(0),
            lasting: AtomicU64::new(0),
            is_live: AtomicBool::new(false),
            since_us: AtomicI64::new(0),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            fragments: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            tags: TagRing::default(),
            window: Window::new(window_us),
            audio_problem: Mutex::default(),
        }
    }

    /// Why the publisher's audio is left out, if it is.
    pub(crate) fn audio_problem(&self) -> Option<AudioProblem> {
        self.audio_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_audio_problem(&self, problem: Option<&AudioProblem>) {
        *self.audio_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem.cloned();
    }

    /// Whether players may come: somebody publishes, or did until a moment ago.
    pub(crate) fn has_players_channel(&self) -> bool {
        self.lasting.load(Ordering::Acquire) != 0
    }

    /// Whether somebody publishes or listens.
    pub(crate) fn is_in_use(&self) -> bool {
        self.publisher.load(Ordering::Acquire) != 0 || self.has_subscribers()
    }

    /// Nobody has published since this one: players are sent away, and what was kept for them goes. Whether it was so.
    pub(crate) fn end_players(&self, number: u64) -> bool {
        let is_last = self.lasting.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_last {
            self.tags.end();
            self.window.end();
        }
        is_last
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        let queue = Arc::new(Queue::default());
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.queues.retain(|queue| queue.strong_count() > 0);
        if let Some(session) = &listeners.session {
            queue.offer(&FragmentEvent::SessionStart(Arc::clone(session)));
        }
        listeners.queues.push(Arc::downgrade(&queue));
        Subscription::new(queue)
    }

    /// Whether somebody listens.
    pub(crate) fn has_subscribers(&self) -> bool {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.queues.iter().any(|queue| queue.strong_count() > 0)
    }

    /// The tracks of the session that runs.
    pub(crate) fn config(&self) -> Option<Arc<SessionConfig>> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.session.as_ref().map(|session| Arc::clone(&session.config))
    }

    fn publish(&self, event: &FragmentEvent) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            FragmentEvent::SessionStart(session) => listeners.session = Some(Arc::clone(session)),
            FragmentEvent::SessionEnd { .. } => listeners.session = None,
            FragmentEvent::Fragment(_) => {}
        }
        let mut missed = 0;
        listeners.queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            missed += u64::from(!queue.offer(event));
            true
        });
        drop(listeners);
        if missed > 0 {
            self.missed.fetch_add(missed, Ordering::Relaxed);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let listeners = self.listeners.get_mut().unwrap_or_else(PoisonError::into_inner);
        listeners.queues.iter().filter_map(Weak::upgrade).for_each(|queue| queue.end());
    }
}

/// A channel's publisher: takes its timeline, muxes it once and hands it on. Dropped, it leaves the channel, unless
/// another publisher has taken it over.
pub struct Publisher {
    live: Live,
    hub: Arc<Hub>,
    number: u64,
    fragmenter: Fragmenter,
    /// Makes tags, where the publisher does not bring its own.
    retagger: Option<Retagger>,
    retagged: Vec<FlvTag>,
    outlets: Vec<Box<dyn Outlet>>,
}

impl Publisher {
    pub(crate) fn new(live: Live, hub: Arc<Hub>, number: u64, outlets: Vec<Box<dyn Outlet>>) -> Self {
        Self {
            live,
            hub,
            number,
            fragmenter: Fragmenter::new(),
            retagger: Some(Retagger::new()),
            retagged: Vec::new(),
            outlets,
        }
    }

    /// A publisher whose own tags are passed on by [`Self::push_tags`], instead of tags made of its samples.
    #[must_use]
    pub fn with_own_tags(mut self) -> Self {
        self.retagger = None;
        self
    }

    /// The channel.
    #[must_use]
    pub fn channel_id(&self) -> Uuid {
        self.hub.channel_id
    }

    /// Takes one event of the timeline. Never blocks.
    pub fn push(&mut self, event: TimelineEvent) {
        self.mark(&event);
        if let Some(retagger) = &mut self.retagger {
            retagger.push(&event, &mut self.retagged);
            if self.hub.publisher.load(Ordering::Acquire) == self.number {
                self.hub.tags.push(self.number, self.retagged.drain(..));
            }
            self.retagged.clear();
        }
        self.fragmenter.push(event);
        while let Some(event) = self.fragmenter.poll() {
            if matches!(event, FragmentEvent::Fragment(_)) {
                self.hub.fragments.fetch_add(1, Ordering::Relaxed);
            }
            for outlet in &mut self.outlets {
                if outlet.push(&event).is_err() {
                    self.hub.missed.fetch_add(1, Ordering::Relaxed);
                }
            }
            if self.has_channel() {
                self.hub.window.push(&event);
            }
            self.hub.publish(&event);
        }
    }

    /// Passes on what the publisher sent at once, as it came, and leaves the list empty. Never blocks.
    pub fn push_tags(&mut self, tags: &mut Vec<FlvTag>) {
        if self.has_channel() {
            self.hub.tags.push(self.number, tags.drain(..));
        }
        tags.clear();
    }

    /// Says why the audio of what is pushed is left out, or that it is not any more.
    pub fn audio_problem(&self, problem: Option<&AudioProblem>) {
        if self.has_channel() {
            self.hub.set_audio_problem(problem);
        }
    }

    fn mark(&self, event: &TimelineEvent) {
        match event {
            TimelineEvent::SessionStart { start_us, .. } => {
                if self.has_channel() && !self.hub.is_live.swap(true, Ordering::AcqRel) {
                    self.hub.since_us.store(*start_us, Ordering::Release);
                }
            }
            TimelineEvent::Sample { sample, .. } => {
                if sample.track == media::TrackKind::Video {
                    self.hub.frames.fetch_add(1, Ordering::Relaxed);
                }
                self.hub.bytes.fetch_add(sample.data.len() as u64, Ordering::Relaxed);
            }
            TimelineEvent::SessionEnd { .. } => {
                if self.has_channel() {
                    self.hub.is_live.store(false, Ordering::Release);
                }
            }
        }
    }

    /// Whether nobody has taken the channel over.
    fn has_channel(&self) -> bool {
        self.hub.publisher.load(Ordering::Acquire) == self.number
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.live.leave(&self.hub, self.number);
    }
}
