//! One channel's bounded queue between whoever muxes and the thread that writes.
//!
//! Pushing never blocks. What does not fit is dropped up to the next keyframe, and the hole it leaves stands in the
//! queue in its place, so that the writer ends the segment there and the gap gets its cause.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use media::{EndCause, fragmenter::FragmentEvent};
use tokio::sync::Notify;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    gap_log::GapLog,
    limits::{
        ARCHIVE_QUEUE_BYTES, CHANNEL_QUEUE_BYTES, CHANNEL_QUEUE_FRAGMENTS, CHANNEL_QUEUE_SESSIONS,
        ENTRY_OVERHEAD_BYTES,
    },
    recording::Recording,
};

/// The event was not taken: the disk does not keep up, or the archive is closing. It is missing from the recording, and
/// the archive notes that itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the recording queue is full")]
pub struct Full;

/// What waits for the writer.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What was pushed.
    Event(FragmentEvent),
    /// Fragments were dropped here, the first of which starts at this instant.
    Hole {
        /// UTC microseconds; `None` where it was the end of a session that did not fit.
        start_us: Option<i64>,
    },
    /// Nothing more will come.
    Closed,
}

impl Entry {
    /// What it costs in the queue.
    fn cost(&self) -> usize {
        match self {
            Self::Event(FragmentEvent::Fragment(fragment)) => {
                fragment.size_bytes as usize + ENTRY_OVERHEAD_BYTES
            }
            _ => ENTRY_OVERHEAD_BYTES,
        }
    }
}

/// What is refused, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Dropping {
    Nothing,
    UntilKeyFragment,
    UntilSession,
}

struct State {
    entries: VecDeque<Entry>,
    /// Cost of what was pushed and is not yet written, including what the writer has in hand.
    bytes: usize,
    dropping: Dropping,
    dropped_fragments: u64,
    is_scheduled: bool,
    is_closed: bool,
}

/// One recorder's queue, together with the writer's state of its recording.
pub(crate) struct ChannelQueue {
    pub(crate) channel_id: Uuid,
    /// First part of object names, cleaned.
    pub(crate) prefix: String,
    /// What is recorded is of the past: it tells nothing about the gap that is open now.
    pub(crate) is_backfill: bool,
    /// Where the causes of gaps are noted, if they are.
    gap_log: Option<GapLog>,
    state: Mutex<State>,
    /// Told whenever the writer made room.
    room: Notify,
    /// Only the writer that owns the channel takes this lock.
    pub(crate) recording: Mutex<Recording>,
    inbox: Arc<Inbox>,
    /// Cost of all queues of the archive together.
    total_bytes: Arc<AtomicUsize>,
}

impl ChannelQueue {
    pub(crate) fn new(
        channel_id: Uuid,
        prefix: String,
        gap_log: Option<GapLog>,
        inbox: Arc<Inbox>,
        total_bytes: Arc<AtomicUsize>,
    ) -> Arc<Self> {
        let queue = Arc::new(Self {
            channel_id,
            prefix,
            is_backfill: gap_log.is_none(),
            gap_log,
            state: Mutex::new(State {
                entries: VecDeque::new(),
                bytes: 0,
                dropping: Dropping::Nothing,
                dropped_fragments: 0,
                is_scheduled: false,
                is_closed: false,
            }),
            room: Notify::new(),
            recording: Mutex::new(Recording::default()),
            inbox,
            total_bytes,
        });
        if !queue.inbox.adopt(&queue) {
            queue.refuse();
        }
        queue
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event, or drops it.
    pub(crate) fn push(self: &Arc<Self>, event: FragmentEvent) -> Result<(), Full> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Full);
        }
        let taken = self.take(&mut state, event);
        self.schedule(state);
        taken
    }

    fn take(&self, state: &mut State, event: FragmentEvent) -> Result<(), Full> {
        let fits = match &event {
            FragmentEvent::Fragment(fragment) => {
                let wanted = match state.dropping {
                    Dropping::Nothing => true,
                    Dropping::UntilKeyFragment => fragment.is_key,
                    Dropping::UntilSession => false,
                };
                wanted && self.has_room(state, fragment.size_bytes as usize + ENTRY_OVERHEAD_BYTES)
            }
            FragmentEvent::SessionStart(_) | FragmentEvent::SessionEnd { .. } => {
                state.entries.len() < CHANNEL_QUEUE_FRAGMENTS + CHANNEL_QUEUE_SESSIONS
            }
        };
        if fits {
            match event {
                FragmentEvent::Fragment(_) if state.dropping == Dropping::UntilKeyFragment => {
                    self.caught_up(state)
                }
                FragmentEvent::SessionStart(_) if state.dropping != Dropping::Nothing => {
                    self.caught_up(state)
                }
                _ => {}
            }
            self.append(state, Entry::Event(event));
            return Ok(());
        }
        if state.dropping == Dropping::Nothing {
            warn!(
                channel_id = %self.channel_id,
                queued_bytes = state.bytes,
                all_queued_bytes = self.total_bytes.load(Ordering::Relaxed),
                "the disk does not keep up: fragments are dropped up to the next keyframe that fits"
            );
            let start_us = match &event {
                FragmentEvent::Fragment(fragment) => Some(fragment.start_us),
                FragmentEvent::SessionStart(session) => Some(session.start_us),
                FragmentEvent::SessionEnd { .. } => None,
            };
            // Said at once, in case the disk hangs until this process is killed: what waits for it tells nothing by then.
            if let (Some(start_us), Some(gap_log)) = (start_us, &self.gap_log) {
                gap_log.open(self.channel_id, start_us, EndCause::Disk);
            }
            self.append(state, Entry::Hole { start_us });
        }
        match event {
            FragmentEvent::Fragment(_) => {
                state.dropped_fragments += 1;
                if state.dropping == Dropping::Nothing {
                    state.dropping = Dropping::UntilKeyFragment;
                }
            }
            FragmentEvent::SessionStart(_) | FragmentEvent::SessionEnd { .. } => {
                state.dropping = Dropping::UntilSession
            }
        }
        Err(Full)
    }

    fn caught_up(&self, state: &mut State) {
        info!(
            channel_id = %self.channel_id,
            dropped_fragments = state.dropped_fragments,
            "the disk keeps up again: recording goes on"
        );
        state.dropping = Dropping::Nothing;
        state.dropped_fragments = 0;
    }

    /// Whether a fragment of this cost may wait. The first one always may.
    fn has_room(&self, state: &State, cost: usize) -> bool {
        if state.bytes == 0 {
            return true;
        }
        state.entries.len() < CHANNEL_QUEUE_FRAGMENTS
            && state.bytes + cost <= CHANNEL_QUEUE_BYTES
            && self.total_bytes.load(Ordering::Relaxed) + cost <= ARCHIVE_QUEUE_BYTES
    }

    fn append(&self, state: &mut State, entry: Entry) {
        let cost = entry.cost();
        state.bytes += cost;
        self.total_bytes.fetch_add(cost, Ordering::Relaxed);
        state.entries.push_back(entry);
    }

    fn schedule(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let is_new = !state.is_scheduled && !state.entries.is_empty();
        state.is_scheduled |= is_new;
        drop(state);
        if is_new {
            self.inbox.push(Arc::clone(self));
        }
    }

    /// Waits until an event fits, or the archive closes.
    pub(crate) async fn wait_for_room(&self, event: &FragmentEvent) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the look, so that room made in between is not missed.
            room.as_mut().enable();
            {
                let state = self.lock();
                let fits = match event {
                    FragmentEvent::Fragment(fragment) => {
                        self.has_room(&state, fragment.size_bytes as usize + ENTRY_OVERHEAD_BYTES)
                    }
                    _ => state.entries.len() < CHANNEL_QUEUE_FRAGMENTS + CHANNEL_QUEUE_SESSIONS,
                };
                // Full because of other channels, with nothing of its own to wait for: `has_room` has let it in.
                if fits || state.is_closed {
                    return;
                }
            }
            room.await;
        }
    }

    /// Waits until everything pushed before is written.
    pub(crate) async fn wait_until_idle(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let state = self.lock();
                if !state.is_scheduled && state.entries.is_empty() {
                    return;
                }
            }
            room.await;
        }
    }

    /// Nothing more is taken; what waits is still written.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        state.is_closed = true;
        self.append(&mut state, Entry::Closed);
        self.schedule(state);
        self.room.notify_waiters();
    }

    /// Nothing more is taken, and the writer will not be told: it is ending by itself.
    pub(crate) fn refuse(&self) {
        self.lock().is_closed = true;
        self.room.notify_waiters();
    }

    /// Nothing more is taken, and what waits is lost: the writer is gone.
    fn abandon(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.is_scheduled = false;
        let lost = std::mem::take(&mut state.entries);
        let cost: usize = lost.iter().map(Entry::cost).sum();
        state.bytes = state.bytes.saturating_sub(cost);
        drop(state);
        self.total_bytes.fetch_sub(cost, Ordering::Relaxed);
        self.room.notify_waiters();
    }

    /// What waits, moved into `batch` (which is empty); its cost.
    pub(crate) fn drain_into(&self, batch: &mut VecDeque<Entry>) -> usize {
        std::mem::swap(&mut self.lock().entries, batch);
        batch.iter().map(Entry::cost).sum()
    }

    /// The batch is written. Whether more has come meanwhile, in which case the queue stays scheduled.
    pub(crate) fn settle(&self, cost: usize) -> bool {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(cost);
        self.total_bytes.fetch_sub(cost, Ordering::Relaxed);
        state.is_scheduled = !state.entries.is_empty();
        let has_more = state.is_scheduled;
        drop(state);
        self.room.notify_waiters();
        has_more
    }
}

/// What one writer thread is to look at. A queue stands in it at most once, so that it is bounded by their number.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<InboxState>,
    wake: Condvar,
    ended: Notify,
}

#[derive(Default)]
struct InboxState {
    ready: VecDeque<Arc<ChannelQueue>>,
    /// Every queue of this writer; those that are gone are forgotten when the next one comes.
    all: Vec<Weak<ChannelQueue>>,
    end: Option<InboxEnd>,
    has_ended: bool,
}

/// How a writer ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum InboxEnd {
    /// Write what waits, end every segment.
    Finish,
    /// Stop where you are: as after a crash.
    Abandon,
}

/// What a writer does next.
pub(crate) enum Work {
    Queue(Arc<ChannelQueue>),
    End(InboxEnd),
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a queue on; `false` when the writer is ending and would never look at it.
    fn adopt(&self, queue: &Arc<ChannelQueue>) -> bool {
        let mut state = self.lock();
        state.all.retain(|known| known.strong_count() > 0);
        state.all.push(Arc::downgrade(queue));
        state.end.is_none()
    }

    pub(crate) fn push(&self, queue: Arc<ChannelQueue>) {
        self.lock().ready.push_back(queue);
        self.wake.notify_one();
    }

    /// Takes back a queue that got more while it was worked off: behind the others, but never behind a later recorder of
    /// its own channel, whose session comes after what waits here.
    pub(crate) fn push_again(&self, queue: Arc<ChannelQueue>) {
        let mut state = self.lock();
        let later = state.ready.iter().position(|ready| ready.channel_id == queue.channel_id);
        let at = later.unwrap_or(state.ready.len());
        state.ready.insert(at, queue);
    }

    pub(crate) fn end(&self, end: InboxEnd) {
        self.lock().end = Some(end);
        self.wake.notify_all();
    }

    /// The writer has ended: what was pushed after it looked last is lost, and nobody waits for it.
    pub(crate) fn has_ended(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        // Queues and inbox hold each other as long as something is ready.
        let ready = std::mem::take(&mut state.ready);
        drop(state);
        drop(ready);
        self.queues().iter().for_each(|queue| queue.abandon());
        self.ended.notify_waiters();
    }

    /// Waits until the writer has ended.
    pub(crate) async fn wait_ended(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.lock().has_ended {
                return;
            }
            ended.await;
        }
    }

    /// The queues that still live.
    pub(crate) fn queues(&self) -> Vec<Arc<ChannelQueue>> {
        self.lock().all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Blocks until there is something to do.
    pub(crate) fn next(&self) -> Work {
        let mut state = self.lock();
        loop {
            if state.end == Some(InboxEnd::Abandon) {
                return Work::End(InboxEnd::Abandon);
            }
            if let Some(queue) = state.ready.pop_front() {
                return Work::Queue(queue);
            }
            if let Some(end) = state.end {
                return Work::End(end);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(channel: u128, inbox: &Arc<Inbox>) -> Arc<ChannelQueue> {
        ChannelQueue::new(Uuid::from_u128(channel), String::new(), None, Arc::clone(inbox), Arc::default())
    }

    fn next(inbox: &Inbox) -> Arc<ChannelQueue> {
        match inbox.next() {
            Work::Queue(queue) => queue,
            Work::End(_) => panic!("nobody ended it"),
        }
    }

    #[test]
    fn what_a_stale_recorder_left_comes_before_its_successor() {
        let inbox = Arc::new(Inbox::default());
        let [stale, other, successor] = [1, 2, 1].map(|channel| queue(channel, &inbox));
        // The stale one was being worked off when the others came.
        inbox.push(Arc::clone(&other));
        inbox.push(Arc::clone(&successor));
        inbox.push_again(Arc::clone(&stale));
        for expected in [&other, &stale, &successor] {
            assert!(Arc::ptr_eq(&next(&inbox), expected));
        }
        inbox.push(Arc::clone(&other));
        inbox.push_again(Arc::clone(&stale));
        for expected in [&other, &stale] {
            assert!(Arc::ptr_eq(&next(&inbox), expected));
        }
    }
}
