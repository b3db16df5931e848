//! Who is live on this node.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use media::{SessionConfig, timeline::AudioProblem};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    channel::{Hub, Outlet, Publisher},
    limits::{GRACE, WINDOW_DEFAULT_US},
    subscription::Subscription,
    tags::TagReader,
    window::Snapshot,
};

/// The channels that are published or listened to on this node. Clones are the same.
#[derive(Clone, Default)]
pub struct Live {
    inner: Arc<Inner>,
}

struct Inner {
    hubs: RwLock<HashMap<Uuid, Arc<Hub>>>,
    publishers: AtomicU64,
    /// Counts publishers that came and went, and channels that ended.
    changes: watch::Sender<u64>,
    window_us: i64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            hubs: RwLock::default(),
            publishers: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            window_us: WINDOW_DEFAULT_US,
        }
    }
}

/// One channel at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelStatus {
    /// The channel.
    pub channel_id: Uuid,
    /// Whether a session runs: frames come.
    pub is_live: bool,
    /// UTC microseconds since when it has been live without a break; `None` when it is not.
    pub since_us: Option<i64>,
    /// Video frames since the hub was made.
    pub frames: u64,
    /// Bytes of samples since the hub was made.
    pub bytes: u64,
    /// Fragments muxed since the hub was made.
    pub fragments: u64,
    /// Events that an outlet or subscriber was too slow for.
    pub missed: u64,
    /// Players and relays that read tags at the moment.
    pub readers: usize,
    /// How often one of them was too slow and was taken to the newest keyframe.
    pub skipped: u64,
    /// Bytes of tag bodies kept for them; most are shared with the live window.
    pub kept_bytes: usize,
}

impl Live {
    /// Nobody is live.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nobody is live; windows are that long, in microseconds.
    #[must_use]
    pub fn with_window(window_us: i64) -> Self {
        Self { inner: Arc::new(Inner { window_us, ..Inner::default() }) }
    }

    /// Makes a publisher the channel's; one that has it is replaced, and what it still pushes is its own session's end.
    #[must_use]
    pub fn publish(&self, channel_id: Uuid, outlets: Vec<Box<dyn Outlet>>) -> Publisher {
        let number = self.inner.publishers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut hubs = self.inner.hubs.write().unwrap_or_else(PoisonError::into_inner);
        let hub = Arc::clone(hubs.entry(channel_id).or_insert_with(|| self.new_hub(channel_id)));
        // Under the lock, so that the one replaced cannot remove the hub in between.
        hub.publisher.store(number, Ordering::Release);
        hub.lasting.store(number, Ordering::Release);
        hub.is_live.store(false, Ordering::Release);
        hub.set_audio_problem(None);
        drop(hubs);
        self.inner.changes.send_modify(|changes| *changes += 1);
        Publisher::new(self.clone(), hub, number, outlets)
    }

    fn new_hub(&self, channel_id: Uuid) -> Arc<Hub> {
        Arc::new(Hub::new(channel_id, self.inner.window_us))
    }

    /// Reads a channel's tags, from its newest keyframe on. `None` when nobody publishes it: a reader never makes a channel, so
    /// that asking for what does not exist costs nothing.
    #[must_use]
    pub fn tags(&self, channel_id: Uuid) -> Option<TagReader> {
        self.hub(channel_id).map(TagReader::new)
    }

    /// A channel's live window; `None` when nobody publishes it.
    #[must_use]
    pub fn window(&self, channel_id: Uuid) -> Option<WindowReader> {
        self.hub(channel_id).map(WindowReader)
    }

    /// Changes whenever a publisher comes or goes, and when a channel ends after its last one: who waits for either asks again
    /// then.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// The hub of a channel that is published, or was until a moment ago.
    fn hub(&self, channel_id: Uuid) -> Option<Arc<Hub>> {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.get(&channel_id).filter(|hub| hub.has_players_channel()).cloned()
    }

    /// Listens to a channel, live or not.
    #[must_use]
    pub fn subscribe(&self, channel_id: Uuid) -> Subscription {
        let mut hubs = self.inner.hubs.write().unwrap_or_else(PoisonError::into_inner);
        // Hubs without anybody are forgotten here, as subscribers go without a word.
        hubs.retain(|id, hub| *id == channel_id || hub.has_players_channel() || hub.has_subscribers());
        hubs.entry(channel_id).or_insert_with(|| self.new_hub(channel_id)).subscribe()
    }

    /// Whether frames of the channel come.
    #[must_use]
    pub fn is_live(&self, channel_id: Uuid) -> bool {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.get(&channel_id).is_some_and(|hub| hub.is_live.load(Ordering::Acquire))
    }

    /// What is known of one channel; `None` when it is neither published nor listened to.
    #[must_use]
    pub fn channel(&self, channel_id: Uuid) -> Option<ChannelStatus> {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.get(&channel_id).filter(|hub| hub.is_in_use()).map(|hub| status(hub))
    }

    /// All channels that are published or listened to, by their id.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        let mut channels: Vec<_> =
            hubs.values().filter(|hub| hub.is_in_use()).map(|hub| status(hub)).collect();
        drop(hubs);
        channels.sort_by_key(|channel| channel.channel_id);
        channels
    }

    /// The tracks of a channel, while a session of it runs.
    #[must_use]
    pub fn config(&self, channel_id: Uuid) -> Option<Arc<SessionConfig>> {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.get(&channel_id)?.config()
    }

    /// Why the audio of a channel's publisher is left out, while one is there and it is.
    #[must_use]
    pub fn audio_problem(&self, channel_id: Uuid) -> Option<AudioProblem> {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.get(&channel_id)?.audio_problem()
    }

    /// A publisher goes. Players wait for the next one for [`GRACE`].
    pub(crate) fn leave(&self, hub: &Arc<Hub>, number: u64) {
        let hubs = self.inner.hubs.write().unwrap_or_else(PoisonError::into_inner);
        if hub.publisher.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        hub.is_live.store(false, Ordering::Release);
        hub.set_audio_problem(None);
        drop(hubs);
        self.inner.changes.send_modify(|changes| *changes += 1);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let inner = Arc::downgrade(&self.inner);
                let hub = Arc::clone(hub);
                runtime.spawn(async move {
                    tokio::time::sleep(GRACE).await;
                    if let Some(inner) = inner.upgrade() {
                        inner.forget(&hub, number);
                    }
                });
            }
            // Nothing to wait with: the program ends, or a test has no time.
            Err(_) => self.inner.forget(hub, number),
        }
    }
}

impl Inner {
    /// Ends a channel's players, unless somebody has published since.
    fn forget(&self, hub: &Arc<Hub>, number: u64) {
        let mut hubs = self.hubs.write().unwrap_or_else(PoisonError::into_inner);
        if !hub.end_players(number) {
            return;
        }
        self.changes.send_modify(|changes| *changes += 1);
        if !hub.has_subscribers() && hubs.get(&hub.channel_id).is_some_and(|known| Arc::ptr_eq(known, hub)) {
            hubs.remove(&hub.channel_id);
        }
    }
}

/// A reader of a channel's live window. It keeps the channel's hub, not its window.
pub struct WindowReader(Arc<Hub>);

impl WindowReader {
    /// The window as it is; `None` before its first keyframe and after its end.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.0.window.snapshot()
    }

    /// Waits until the window is as `is_there` wants it, or has ended. The caller bounds the time.
    pub async fn wait(&self, is_there: impl Fn(Option<&Snapshot>) -> bool) -> Option<Arc<Snapshot>> {
        self.0.window.wait(is_there).await
    }

    /// Waits for the next fragment, or change of session, after this is called.
    pub async fn changed(&self) {
        self.0.window.changed().await;
    }
}

fn status(hub: &Hub) -> ChannelStatus {
    let is_live = hub.is_live.load(Ordering::Acquire);
    ChannelStatus {
        channel_id: hub.channel_id,
        is_live,
        since_us: is_live.then(|| hub.since_us.load(Ordering::Acquire)),
        frames: hub.frames.load(Ordering::Relaxed),
        bytes: hub.bytes.load(Ordering::Relaxed),
        fragments: hub.fragments.load(Ordering::Relaxed),
        missed: hub.missed.load(Ordering::Relaxed),
        readers: hub.tags.readers(),
        skipped: hub.tags.skipped(),
        kept_bytes: hub.tags.kept_bytes(),
    }
}
