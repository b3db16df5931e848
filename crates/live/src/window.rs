//! The live window of a channel: its newest fragments as HLS media segments and parts.
//!
//! A part is a fragment, the same that the recorder writes. A segment begins with a key fragment and ends at the first one after
//! [`SEGMENT_MIN_US`], or with its session; where none comes for [`SEGMENT_MAX_US`], what follows begins one, and plays on. Its number counts from the wall clock's second in which the window began, so that it
//! only ever rises, also across publishers and restarts of the node, and nothing has to be remembered for that. Discontinuities
//! are counted from 0: hls.js keeps a list of all before it, and who comes from another window begins anew anyway.
//!
//! Readers get a snapshot that does not change. What is made of one (the text of a playlist) is made once for all of them.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use media::{
    Fragment,
    fragmenter::{FragmentEvent, Session},
    index::ticks_to_us,
};
use tokio::sync::Notify;

use crate::limits::{
    SEGMENT_MAX_US, SEGMENT_MIN_US, WINDOW_MAX_BYTES, WINDOW_MAX_SEGMENTS, WINDOW_MIN_SEGMENTS,
};

/// One HLS media segment, whole or being filled.
#[derive(Clone, Debug)]
pub struct LiveSegment {
    /// Its media sequence number.
    pub number: u64,
    /// What it was encoded with.
    pub session: Arc<Session>,
    /// Whether another session, or missing time, lies before it.
    pub is_discontinuous: bool,
    /// Whether nothing will be added.
    pub is_closed: bool,
    /// Its parts; the first one is a key fragment, unless none came for [`SEGMENT_MAX_US`]. Not empty.
    pub parts: Vec<Arc<Fragment>>,
}

impl LiveSegment {
    /// UTC microseconds of its first instant.
    #[must_use]
    pub fn start_us(&self) -> i64 {
        self.parts.first().map_or(0, |part| part.start_us)
    }

    /// Length in microseconds.
    #[must_use]
    pub fn duration_us(&self) -> i64 {
        ticks_to_us(self.parts.iter().map(|part| u64::from(part.duration_90k)).sum())
    }

    /// Length in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.size_bytes as usize).sum()
    }
}

/// A window at one instant. It has at least one segment.
#[derive(Debug)]
pub struct Snapshot {
    /// Oldest first; only the last one can be open.
    pub segments: Vec<Arc<LiveSegment>>,
    /// Discontinuities before the first segment.
    pub discontinuity_sequence: u64,
    /// Longest part so far, in microseconds.
    pub longest_part_us: i64,
    /// Longest segment so far, in microseconds.
    pub longest_segment_us: i64,
    /// Text that a reader has made of this snapshot, for the next one.
    pub text: OnceLock<Bytes>,
}

impl Snapshot {
    /// The segment with a number.
    #[must_use]
    pub fn segment(&self, number: u64) -> Option<&Arc<LiveSegment>> {
        let first = self.segments.first()?.number;
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// The number of the newest segment, and how many parts it has.
    #[must_use]
    pub fn newest(&self) -> (u64, usize) {
        self.segments.last().map_or((0, 0), |segment| (segment.number, segment.parts.len()))
    }

    /// The segment and part that will come next: in the open segment, or the first one of the segment after a closed one.
    #[must_use]
    pub fn next(&self) -> (u64, usize) {
        match self.segments.last() {
            Some(segment) if segment.is_closed => (segment.number + 1, 0),
            Some(segment) => (segment.number, segment.parts.len()),
            None => (0, 0),
        }
    }

    /// Whether a part is there, or the whole segment where no part is named: what a blocking reload waits for (RFC 8216bis
    /// §6.2.5.2).
    #[must_use]
    pub fn has(&self, number: u64, part: Option<usize>) -> bool {
        let Some(segment) = self.segments.last() else { return false };
        if number < segment.number {
            return true;
        }
        let here = number == segment.number;
        match part {
            Some(part) => here && (segment.is_closed || part < segment.parts.len()),
            None => here && segment.is_closed,
        }
    }
}

/// See the module.
pub(crate) struct Window {
    state: Mutex<State>,
    changed: Notify,
    length_us: i64,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// Set at the start of a session, and where fragments of the publisher are missing.
    is_discontinuous: bool,
    discontinuity_sequence: u64,
    longest_part_us: i64,
    longest_segment_us: i64,
    /// Of the segments in the snapshot.
    bytes: usize,
    duration_us: i64,
    snapshot: Option<Arc<Snapshot>>,
    is_ended: bool,
}

impl Window {
    pub(crate) fn new(length_us: i64) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), length_us }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a publisher muxed.
    pub(crate) fn push(&self, event: &FragmentEvent) {
        let mut state = self.lock();
        match event {
            FragmentEvent::SessionStart(session) => {
                state.close();
                state.session = Some(Arc::clone(session));
                state.is_discontinuous = true;
                state.is_ended = false;
            }
            FragmentEvent::Fragment(fragment) => state.add(fragment, self.length_us),
            FragmentEvent::SessionEnd { .. } => {
                state.close();
                state.session = None;
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Lets everything go.
    pub(crate) fn end(&self) {
        *self.lock() = State { is_ended: true, ..State::default() };
        self.changed.notify_waiters();
    }

    /// The window as it is; `None` before its first key fragment and after its end.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.lock().snapshot.clone()
    }

    /// Waits until the window is as `is_there` wants it, or has ended.
    pub(crate) async fn wait(&self, is_there: impl Fn(Option<&Snapshot>) -> bool) -> Option<Arc<Snapshot>> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.lock();
                if state.is_ended || is_there(state.snapshot.as_deref()) {
                    return state.snapshot.clone();
                }
            }
            changed.await;
        }
    }

    /// The next change.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }
}

impl State {
    fn add(&mut self, fragment: &Arc<Fragment>, length_us: i64) {
        let Some(session) = self.session.clone() else { return };
        let mut segments = self.snapshot.as_ref().map(|old| old.segments.clone()).unwrap_or_default();
        let open = segments.last().filter(|last| !last.is_closed);
        let open_us = open.map_or(0, |open| open.duration_us());
        let has_open = open.is_some();
        let ends = open_us >= SEGMENT_MIN_US && fragment.is_key || open_us >= SEGMENT_MAX_US;
        if has_open && !ends {
            if let Some(last) = segments.last_mut() {
                Arc::make_mut(last).parts.push(Arc::clone(fragment));
            }
        } else {
            if let Some(last) = segments.last_mut()
                && has_open
            {
                Arc::make_mut(last).is_closed = true;
            }
            if !fragment.is_key && !has_open {
                // Nothing that could be shown: the window begins, or goes on, at the next keyframe, and says that time is missing.
                self.is_discontinuous = true;
                self.publish(segments);
                return;
            }
            let is_discontinuous = std::mem::take(&mut self.is_discontinuous);
            let number = match segments.last() {
                Some(last) => last.number + 1,
                None => u64::try_from(fragment.start_us / 1_000_000).unwrap_or(0),
            };
            segments.push(Arc::new(LiveSegment {
                number,
                session,
                // The first of a window has nothing before it in the playlist.
                is_discontinuous: is_discontinuous && !segments.is_empty(),
                is_closed: false,
                parts: vec![Arc::clone(fragment)],
            }));
        }
        let part_us = ticks_to_us(u64::from(fragment.duration_90k));
        self.longest_part_us = self.longest_part_us.max(part_us);
        self.bytes += fragment.size_bytes as usize;
        self.duration_us += part_us;
        self.evict(&mut segments, length_us);
        self.publish(segments);
    }

    fn close(&mut self) {
        let Some(old) = &self.snapshot else { return };
        if old.segments.last().is_some_and(|last| !last.is_closed) {
            let mut segments = old.segments.clone();
            if let Some(last) = segments.last_mut() {
                Arc::make_mut(last).is_closed = true;
            }
            self.publish(segments);
        }
    }

    /// Lets the oldest segments go.
    fn evict(&mut self, segments: &mut Vec<Arc<LiveSegment>>, length_us: i64) {
        let mut gone = 0;
        while let Some(first) = segments.get(gone)
            && gone + 1 < segments.len()
        {
            let left = segments.len() - gone - 1;
            let is_over = self.bytes > WINDOW_MAX_BYTES || left >= WINDOW_MAX_SEGMENTS;
            let first_us = first.duration_us();
            // The open one does not count: a player may not need it.
            let is_long = self.duration_us - first_us >= length_us && left > WINDOW_MIN_SEGMENTS;
            if !is_over && !is_long {
                break;
            }
            self.bytes -= first.size_bytes();
            self.duration_us -= first_us;
            gone += 1;
            // The discontinuity before the segment that is now the first one stands before the playlist.
            let leads = segments.get(gone).is_some_and(|next| next.is_discontinuous);
            self.discontinuity_sequence += u64::from(leads);
        }
        segments.drain(..gone);
        if gone > 0
            && let Some(first) = segments.first_mut()
            && first.is_discontinuous
        {
            Arc::make_mut(first).is_discontinuous = false;
        }
    }

    fn publish(&mut self, segments: Vec<Arc<LiveSegment>>) {
        if segments.is_empty() {
            return;
        }
        let longest = segments.iter().rev().take(2).map(|segment| segment.duration_us()).max();
        self.longest_segment_us = self.longest_segment_us.max(longest.unwrap_or(0));
        self.snapshot = Some(Arc::new(Snapshot {
            segments,
            discontinuity_sequence: self.discontinuity_sequence,
            longest_part_us: self.longest_part_us,
            longest_segment_us: self.longest_segment_us,
            text: OnceLock::new(),
        }));
    }
}
