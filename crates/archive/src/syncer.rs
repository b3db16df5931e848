//! Group commit: everything written since the last tick is synced together, by a few threads of its own, so that a slow
//! disk holds up no write.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::warn;
use world::Disk;

use crate::growing::Growing;

/// The tick and what it has to sync. Both lists hold a growing segment at most once.
pub(crate) struct Syncer {
    interval: Duration,
    state: Mutex<State>,
    wake: Condvar,
    /// Segments whose sync failed.
    failures: AtomicU64,
}

struct State {
    /// Written since the last tick.
    dirty: Vec<Arc<Growing>>,
    /// To be synced in this tick.
    due: VecDeque<Arc<Growing>>,
    next_tick: Instant,
    is_ended: bool,
}

impl Syncer {
    pub(crate) fn new(interval: Duration) -> Self {
        let state = State {
            dirty: Vec::new(),
            due: VecDeque::new(),
            next_tick: Instant::now() + interval,
            is_ended: false,
        };
        Self { interval, state: Mutex::new(state), wake: Condvar::new(), failures: AtomicU64::new(0) }
    }

    /// The segment was written to.
    pub(crate) fn written(&self, growing: &Arc<Growing>) {
        if growing.make_dirty() {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).dirty.push(Arc::clone(growing));
        }
    }

    /// Lets the threads go.
    pub(crate) fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_ended = true;
        self.wake.notify_all();
    }

    /// One thread's work, until the end.
    pub(crate) fn run(&self, disk: &dyn Disk) {
        while let Some(growing) = self.next() {
            if !sync(disk, &growing) {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many segments ended because a sync failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn next(&self) -> Option<Arc<Growing>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.is_ended {
                return None;
            }
            if let Some(growing) = state.due.pop_front() {
                return Some(growing);
            }
            let now = Instant::now();
            if now >= state.next_tick {
                state.next_tick = now + self.interval;
                let dirty = std::mem::take(&mut state.dirty);
                state.due.extend(dirty);
                if state.due.len() > 1 {
                    self.wake.notify_all();
                }
                continue;
            }
            let pause = state.next_tick - now;
            state = self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Syncs one file, and its name the first time; `false` when that failed for the first time.
fn sync(disk: &dyn Disk, growing: &Growing) -> bool {
    // Cleared before: what is written during the sync is due in the next tick.
    growing.is_dirty.store(false, Ordering::Release);
    let synced = growing.file.sync_data().and_then(|()| {
        let folder = growing.spool_file.parent().unwrap_or(Path::new("."));
        if !growing.is_name_synced.load(Ordering::Acquire) {
            disk.sync_dir(folder)?;
            growing.is_name_synced.store(true, Ordering::Release);
        }
        Ok(())
    });
    match synced {
        Err(error) if !growing.is_sync_failed.swap(true, Ordering::AcqRel) => {
            warn!(segment_id = %growing.id, %error, "syncing failed: the segment ends here and is copied to a new file");
            false
        }
        _ => true,
    }
}
