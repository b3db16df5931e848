//! Tags for players and relays: kept once per channel, read by any number of cursors.
//!
//! Nothing is queued per reader: each has a number that says what it gets next, and takes it when it is ready. A reader that
//! lags behind what is kept goes on at the newest keyframe. What a publisher does is the same whether nobody reads or a
//! thousand do, but for waking those who wait; who is slow does not wait.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use media::flv::{FlvTag, TagRole, TagRun};
use tokio::sync::Notify;

use crate::{
    channel::Hub,
    limits::{
        MERGE_FREE_READERS, MERGE_MAX_BYTES, MERGE_MAX_MS, TAG_AHEAD_MS, TAG_BACK_MS, TAG_CACHE_BYTES,
        TAG_CACHE_RUNS, TAG_KEPT_MS, TAG_STEP_MS,
    },
};

/// The tags of one channel.
#[derive(Default)]
pub(crate) struct TagRing {
    state: Mutex<State>,
    arrived: Notify,
    readers: AtomicUsize,
    skipped: AtomicU64,
}

#[derive(Default)]
struct State {
    /// What is kept, oldest first.
    kept: VecDeque<Kept>,
    /// Number of the first of them.
    first: u64,
    /// Numbers of those with which a reader may begin.
    entries: VecDeque<u64>,
    bytes: usize,
    open: Vec<FlvTag>,
    open_bytes: usize,
    open_headers: Option<Arc<TagRun>>,
    headers: Headers,
    /// Whether the publisher sends pictures: without, a reader may begin anywhere.
    has_video: bool,
    publisher: u64,
    clock: TagClock,
    is_ended: bool,
}

struct Kept {
    run: Arc<TagRun>,
    /// What a reader needs who begins here.
    headers: Option<Arc<TagRun>>,
    start_ms: u32,
}

/// What a newcomer needs before everything else.
#[derive(Default)]
struct Headers {
    metadata: Option<FlvTag>,
    video: Option<FlvTag>,
    audio: Option<FlvTag>,
}

impl Headers {
    /// All of them, on the time of what follows.
    fn at(&self, timestamp_ms: u32) -> TagRun {
        let all = [&self.metadata, &self.video, &self.audio];
        TagRun::new(all.into_iter().flatten().map(|tag| FlvTag { timestamp_ms, ..tag.clone() }).collect())
    }
}

/// One timeline for players out of the clocks of several publishers: the first one's own, and no jumps after it.
#[derive(Default)]
struct TagClock {
    newest: Option<Newest>,
    offset_ms: u32,
}

struct Newest {
    raw_ms: u32,
    out_ms: u32,
}

impl TagClock {
    /// Another publisher: its first time follows the last one.
    fn detach(&mut self) {
        if let Some(newest) = &mut self.newest {
            // No distance fits: the next time is another clock's.
            newest.raw_ms = newest.raw_ms.wrapping_add(u32::MAX / 2);
        }
    }

    fn map(&mut self, raw_ms: u32) -> u32 {
        let Some(newest) = &mut self.newest else {
            self.newest = Some(Newest { raw_ms, out_ms: raw_ms });
            return raw_ms;
        };
        let ahead = raw_ms.wrapping_sub(newest.raw_ms);
        let back = newest.raw_ms.wrapping_sub(raw_ms);
        if ahead > TAG_AHEAD_MS && back > TAG_BACK_MS {
            self.offset_ms = newest.out_ms.wrapping_add(TAG_STEP_MS).wrapping_sub(raw_ms);
        }
        let out_ms = raw_ms.wrapping_add(self.offset_ms);
        if ahead <= back || ahead > TAG_AHEAD_MS && back > TAG_BACK_MS {
            *newest = Newest { raw_ms, out_ms };
        }
        out_ms
    }
}

impl State {
    fn take(&mut self, mut tag: FlvTag) {
        tag.timestamp_ms = self.clock.map(tag.timestamp_ms);
        match tag.role {
            TagRole::Metadata => self.headers.metadata = Some(tag.clone()),
            TagRole::VideoHeader => self.headers.video = Some(tag.clone()),
            TagRole::AudioHeader => self.headers.audio = Some(tag.clone()),
            TagRole::KeyFrame => self.close(),
            TagRole::Video | TagRole::Audio => {}
        }
        self.has_video |= matches!(tag.role, TagRole::VideoHeader | TagRole::KeyFrame);
        if self.open.is_empty() && (tag.role == TagRole::KeyFrame || !self.has_video) {
            self.open_headers = Some(Arc::new(self.headers.at(tag.timestamp_ms)));
        }
        self.open_bytes += tag.size_bytes();
        self.open.push(tag);
        if self.open_bytes >= MERGE_MAX_BYTES {
            self.close();
        }
    }

    /// How long the tags are that are being gathered.
    fn open_ms(&self) -> u32 {
        let start = self.open.first().map_or(0, |tag| tag.timestamp_ms);
        let end = self.open.last().map_or(0, |tag| tag.timestamp_ms);
        let length = end.wrapping_sub(start);
        // Sound may lie a little before the picture that came first.
        if length > u32::MAX / 2 { 0 } else { length }
    }

    /// Hands on what was gathered.
    fn close(&mut self) {
        let Some(first) = self.open.first() else { return };
        let start_ms = first.timestamp_ms;
        let number = self.first + self.kept.len() as u64;
        // The next run is about as long.
        let next = Vec::with_capacity(self.open.len());
        let run = Arc::new(TagRun::new(std::mem::replace(&mut self.open, next)));
        let headers = self.open_headers.take();
        if headers.is_some() {
            self.entries.push_back(number);
        }
        self.bytes += run.size_bytes();
        self.open_bytes = 0;
        self.kept.push_back(Kept { run, headers, start_ms });
        self.evict(start_ms);
    }

    /// Lets go what nobody can need who is not too slow: everything before the last but one entry.
    fn evict(&mut self, newest_ms: u32) {
        while let Some(front) = self.kept.front()
            && self.kept.len() > 1
        {
            let is_over = self.bytes > TAG_CACHE_BYTES || self.kept.len() > TAG_CACHE_RUNS;
            let entry = self.entries.len().checked_sub(2).and_then(|at| self.entries.get(at));
            let is_stale = entry.is_some_and(|entry| *entry > self.first)
                && newest_ms.wrapping_sub(front.start_ms) > TAG_KEPT_MS;
            if !is_over && !is_stale {
                break;
            }
            self.bytes -= front.run.size_bytes();
            self.kept.pop_front();
            if self.entries.front() == Some(&self.first) {
                self.entries.pop_front();
            }
            self.first += 1;
        }
    }

    fn get(&self, number: u64) -> Option<&Kept> {
        self.kept.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

impl TagRing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what one publisher brought at once, and wakes the readers if there is something for them.
    pub(crate) fn push(&self, publisher: u64, tags: impl Iterator<Item = FlvTag>) {
        let merge_ms = merge_ms(self.readers.load(Ordering::Relaxed));
        let mut state = self.lock();
        let before = state.first + state.kept.len() as u64;
        if state.publisher != publisher {
            state.close();
            state.publisher = publisher;
            state.headers = Headers::default();
            state.has_video = false;
            state.clock.detach();
            state.is_ended = false;
        }
        for tag in tags {
            state.take(tag);
        }
        if !state.open.is_empty() && state.open_ms() >= merge_ms {
            state.close();
        }
        let has_news = state.first + state.kept.len() as u64 > before;
        drop(state);
        if has_news {
            self.arrived.notify_waiters();
        }
    }

    /// Nobody publishes any more: readers end, and what is kept goes.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.close();
        state.first += state.kept.len() as u64;
        state.kept = VecDeque::new();
        state.entries = VecDeque::new();
        state.bytes = 0;
        state.headers = Headers::default();
        state.is_ended = true;
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Readers at the moment.
    pub(crate) fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// How often readers were too slow.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Bytes of bodies that are kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        let state = self.lock();
        state.bytes + state.open_bytes
    }
}

/// For how long tags are gathered for so many readers.
fn merge_ms(readers: usize) -> u32 {
    if readers <= MERGE_FREE_READERS {
        return 0;
    }
    // All of it from a hundred readers on.
    u32::try_from(readers.saturating_mul(7) / 2).unwrap_or(u32::MAX).min(MERGE_MAX_MS)
}

/// One reader of a channel's tags. It begins at the newest keyframe, with metadata and decoder configurations before it, and ends
/// when the channel has had no publisher for [`GRACE`](crate::limits::GRACE).
pub struct TagReader {
    hub: Arc<Hub>,
    /// What comes next; `None`: the newest entry.
    next: Option<u64>,
    /// Taken already, and to be given after its headers.
    pending: Option<Arc<TagRun>>,
    skipped: u64,
}

impl TagReader {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        hub.tags.readers.fetch_add(1, Ordering::Relaxed);
        Self { hub, next: None, pending: None, skipped: 0 }
    }

    /// Waits for the next tags; `None` once the channel has ended. Cancelled, it loses nothing.
    pub async fn next(&mut self) -> Option<Arc<TagRun>> {
        loop {
            let hub = Arc::clone(&self.hub);
            let mut arrived = std::pin::pin!(hub.tags.arrived.notified());
            // Before the look, so that what comes between look and wait is heard.
            arrived.as_mut().enable();
            match self.try_next() {
                Next::Tags(run) => return Some(run),
                Next::Ended => return None,
                Next::Nothing => {}
            }
            arrived.await;
        }
    }

    /// The next tags, if they are there.
    pub fn try_next(&mut self) -> Next {
        if let Some(run) = self.pending.take() {
            return Next::Tags(run);
        }
        let ring = &self.hub.tags;
        let state = ring.lock();
        if self.next.is_some_and(|next| next < state.first) {
            self.next = None;
            if !state.is_ended {
                self.skipped += 1;
                ring.skipped.fetch_add(1, Ordering::Relaxed);
            }
        }
        let number = match self.next {
            Some(number) => Some(number),
            None => state.entries.back().copied(),
        };
        let found = number.and_then(|number| Some((number, state.get(number)?)));
        let Some((number, kept)) = found else {
            return if state.is_ended { Next::Ended } else { Next::Nothing };
        };
        let run = Arc::clone(&kept.run);
        let headers = if self.next.is_none() { kept.headers.clone() } else { None };
        self.next = Some(number + 1);
        match headers.filter(|headers| !headers.tags().is_empty()) {
            Some(headers) => {
                self.pending = Some(run);
                Next::Tags(headers)
            }
            None => Next::Tags(run),
        }
    }

    /// How often it was too slow and was taken to the newest keyframe.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl Drop for TagReader {
    fn drop(&mut self) {
        self.hub.tags.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What there is for a reader.
#[derive(Clone, Debug)]
pub enum Next {
    /// The next tags.
    Tags(Arc<TagRun>),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clock_is_kept_and_no_other_one_jumps() {
        let mut clock = TagClock::default();
        assert_eq!([1000, 1040, 1020, 1080].map(|raw| clock.map(raw)), [1000, 1040, 1020, 1080]);
        // A publisher that begins anew, hours ahead, and across the wrap.
        clock.detach();
        assert_eq!([0, 40].map(|raw| clock.map(raw)), [1120, 1160]);
        assert_eq!([90_000_000, 90_000_040].map(|raw| clock.map(raw)), [1200, 1240]);
        assert_eq!([u32::MAX - 10, 29].map(|raw| clock.map(raw)), [1280, 1320]);
        // A takeover by a clock that happens to fit is a takeover all the same.
        clock.detach();
        assert_eq!(clock.map(500), 1360);
    }

    #[test]
    fn few_readers_are_served_at_once_and_many_together() {
        assert_eq!([0, 8, 9, 60, 100, 100_000].map(merge_ms), [0, 0, 31, 210, 350, 350]);
    }
}
