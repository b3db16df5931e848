//! Who is live on this node.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use media::SessionConfig;
use uuid::Uuid;

use crate::{
    channel::{Hub, Outlet, Publisher},
    subscription::Subscription,
};

/// The channels that are published or listened to on this node. Clones are the same.
#[derive(Clone, Default)]
pub struct Live {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    hubs: RwLock<HashMap<Uuid, Arc<Hub>>>,
    publishers: AtomicU64,
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
}

impl Live {
    /// Nobody is live.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a publisher the channel's; one that has it is replaced, and what it still pushes is its own session's end.
    #[must_use]
    pub fn publish(&self, channel_id: Uuid, outlets: Vec<Box<dyn Outlet>>) -> Publisher {
        let number = self.inner.publishers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut hubs = self.inner.hubs.write().unwrap_or_else(PoisonError::into_inner);
        let hub = Arc::clone(hubs.entry(channel_id).or_insert_with(|| Arc::new(Hub::new(channel_id))));
        // Under the lock, so that the one replaced cannot remove the hub in between.
        hub.publisher.store(number, Ordering::Release);
        hub.is_live.store(false, Ordering::Release);
        drop(hubs);
        Publisher::new(self.clone(), hub, number, outlets)
    }

    /// Listens to a channel, live or not.
    #[must_use]
    pub fn subscribe(&self, channel_id: Uuid) -> Subscription {
        let mut hubs = self.inner.hubs.write().unwrap_or_else(PoisonError::into_inner);
        // Hubs without anybody are forgotten here, as subscribers go without a word.
        hubs.retain(|id, hub| {
            *id == channel_id || hub.publisher.load(Ordering::Acquire) != 0 || hub.has_subscribers()
        });
        hubs.entry(channel_id).or_insert_with(|| Arc::new(Hub::new(channel_id))).subscribe()
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
        hubs.get(&channel_id).map(|hub| status(hub))
    }

    /// All channels that are published or listened to, by their id.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        let mut channels: Vec<_> = hubs.values().map(|hub| status(hub)).collect();
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

    /// A publisher goes.
    pub(crate) fn leave(&self, hub: &Arc<Hub>, number: u64) {
        let mut hubs = self.inner.hubs.write().unwrap_or_else(PoisonError::into_inner);
        if hub.publisher.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        hub.is_live.store(false, Ordering::Release);
        if !hub.has_subscribers() {
            hubs.remove(&hub.channel_id);
        }
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
    }
}
