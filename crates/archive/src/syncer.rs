//! Group commit: everything written since the last tick is synced together, by a few threads of its own, so that a slow
//! disk holds up no write.
//!
//! A few files are synced one by one. More are synced by one call for the whole file system of the spool, whatever their
//! number: one journal commit and one flush of the device's cache instead of hundreds. When that call fails, something on
//! the file system is lost, ours or a stranger's: from then on a file counts as durable only after a sync of its own, which
//! tells of its own failed writes.
//!
//! A tick begins when the one before it is done: a sync that takes longer than the interval delays the next tick, and what
//! is written meanwhile is due in that one.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{info, warn};
use world::{Disk, Volume};

use crate::{growing::Growing, limits::MAX_FILE_SYNCS};

/// How often the ticks have asked the disk for durability since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncCounts {
    /// Syncs of one file.
    pub files: u64,
    /// Syncs of the names in one folder.
    pub folders: u64,
    /// Syncs of the whole file system of the spool.
    pub volumes: u64,
    /// How long they took together, in microseconds; several run at once.
    pub total_us: u64,
    /// The longest of them all, in microseconds.
    pub slowest_us: u64,
}

/// The tick and what it has to sync. Both lists hold a growing segment at most once.
pub(crate) struct Syncer {
    interval: Duration,
    /// The file system of the spool, where it can be synced as one.
    volume: Option<Arc<dyn Volume>>,
    state: Mutex<State>,
    wake: Condvar,
    /// Segments whose sync failed.
    failures: AtomicU64,
    /// Syncs of the whole volume that failed.
    volume_failures: AtomicU64,
    /// The last sync of the whole volume failed; said once.
    is_volume_failing: AtomicBool,
    /// The last sync of the whole volume took longer than a tick; said once.
    is_volume_slow: AtomicBool,
    files: AtomicU64,
    folders: AtomicU64,
    volumes: AtomicU64,
    total_us: AtomicU64,
    slowest_us: AtomicU64,
}

struct State {
    /// Written since the last tick.
    dirty: Vec<Arc<Growing>>,
    /// To be synced one by one in this tick.
    due: VecDeque<Arc<Growing>>,
    /// A thread syncs the whole volume: no tick begins meanwhile.
    is_volume_busy: bool,
    next_tick: Instant,
    is_ended: bool,
}

/// What a thread does next.
enum Work {
    /// Sync one file.
    One(Arc<Growing>),
    /// Sync the volume for all of these.
    All(Vec<Arc<Growing>>, Arc<dyn Volume>),
}

impl Syncer {
    pub(crate) fn new(interval: Duration, volume: Option<Arc<dyn Volume>>) -> Self {
        let state = State {
            dirty: Vec::new(),
            due: VecDeque::new(),
            is_volume_busy: false,
            next_tick: Instant::now() + interval,
            is_ended: false,
        };
        Self {
            interval,
            volume,
            state: Mutex::new(state),
            wake: Condvar::new(),
            failures: AtomicU64::new(0),
            volume_failures: AtomicU64::new(0),
            is_volume_failing: AtomicBool::new(false),
            is_volume_slow: AtomicBool::new(false),
            files: AtomicU64::new(0),
            folders: AtomicU64::new(0),
            volumes: AtomicU64::new(0),
            total_us: AtomicU64::new(0),
            slowest_us: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment was written to.
    pub(crate) fn written(&self, growing: &Arc<Growing>) {
        if growing.durability.make_dirty() {
            self.lock().dirty.push(Arc::clone(growing));
        }
    }

    /// Lets the threads go.
    pub(crate) fn end(&self) {
        self.lock().is_ended = true;
        self.wake.notify_all();
    }

    /// One thread's work, until the end.
    pub(crate) fn run(&self, disk: &dyn Disk) {
        while let Some(work) = self.next() {
            match work {
                Work::One(growing) => self.sync_one(disk, &growing),
                Work::All(group, volume) => self.sync_all(volume.as_ref(), group),
            }
        }
    }

    /// How many segments ended because a sync failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// What was asked of the disk so far.
    pub(crate) fn counts(&self) -> SyncCounts {
        SyncCounts {
            files: self.files.load(Ordering::Relaxed),
            folders: self.folders.load(Ordering::Relaxed),
            volumes: self.volumes.load(Ordering::Relaxed),
            total_us: self.total_us.load(Ordering::Relaxed),
            slowest_us: self.slowest_us.load(Ordering::Relaxed),
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.is_ended {
                return None;
            }
            if let Some(growing) = state.due.pop_front() {
                return Some(Work::One(growing));
            }
            if state.is_volume_busy {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            if now >= state.next_tick {
                state.next_tick = now + self.interval;
                let dirty = std::mem::take(&mut state.dirty);
                match &self.volume {
                    Some(volume) if dirty.len() > MAX_FILE_SYNCS => {
                        state.is_volume_busy = true;
                        return Some(Work::All(dirty, Arc::clone(volume)));
                    }
                    _ => state.due.extend(dirty),
                }
                if state.due.len() > 1 {
                    self.wake.notify_all();
                }
                continue;
            }
            let pause = state.next_tick - now;
            state = self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Syncs everything by one call, and leaves to `due` what that says nothing about.
    fn sync_all(&self, volume: &dyn Volume, group: Vec<Arc<Growing>>) {
        let failures = self.volume_failures.load(Ordering::Acquire);
        let mut apart = Vec::new();
        let mut together = Vec::with_capacity(group.len());
        for growing in group {
            if !is_with_the_volume(volume, &growing, failures) {
                apart.push(growing);
            } else if growing.durability.begin() {
                let len = growing.len();
                together.push((growing, len));
            } else {
                self.put_back(growing);
            }
        }
        let started = Instant::now();
        let synced =
            if together.is_empty() { Ok(()) } else { self.measured(&self.volumes, || volume.sync_all()) };
        self.note_slowness(started.elapsed());
        if let Err(error) = &synced {
            self.volume_failures.fetch_add(1, Ordering::AcqRel);
            if !self.is_volume_failing.swap(true, Ordering::AcqRel) {
                warn!(%error, "syncing the spool's file system failed: each file is asked whether it is hit");
            }
        } else if !together.is_empty() && self.is_volume_failing.swap(false, Ordering::AcqRel) {
            info!("the spool's file system can be synced again");
        }
        for (growing, len) in together {
            if synced.is_ok() {
                growing.durability.name_synced();
                growing.durability.end(Some(len));
            } else {
                growing.durability.end(None);
                // Where it was written to meanwhile it is listed for the next tick, which asks it by itself.
                if growing.durability.make_dirty() {
                    apart.push(growing);
                }
            }
        }
        let mut state = self.lock();
        state.due.extend(apart);
        state.is_volume_busy = false;
        drop(state);
        self.wake.notify_all();
    }

    /// Says when a power cut begins to cost more than one tick, and when it ends.
    fn note_slowness(&self, took: Duration) {
        let is_slow = took > self.interval;
        if self.is_volume_slow.swap(is_slow, Ordering::AcqRel) == is_slow {
            return;
        }
        let (took_ms, tick_ms) = (took.as_millis() as u64, self.interval.as_millis() as u64);
        if is_slow {
            warn!(took_ms, tick_ms, "a sync took longer than a tick: a power cut now costs as much");
        } else {
            info!(took_ms, tick_ms, "syncs are done within a tick again");
        }
    }

    /// Syncs one file, and its name the first time.
    fn sync_one(&self, disk: &dyn Disk, growing: &Arc<Growing>) {
        let durability = &growing.durability;
        let failures = self.volume_failures.load(Ordering::Acquire);
        if !durability.begin() {
            self.put_back(Arc::clone(growing));
            return;
        }
        let len = growing.len();
        let synced = self.measured(&self.files, || growing.file.sync_data()).and_then(|()| {
            if !durability.is_name_synced() {
                let folder = growing.spool_file.parent().unwrap_or(Path::new("."));
                self.measured(&self.folders, || disk.sync_dir(folder))?;
                durability.name_synced();
            }
            Ok(())
        });
        match synced {
            Ok(()) => {
                durability.clear_of(failures);
                durability.end(Some(len));
            }
            Err(error) => {
                if durability.fail() {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    warn!(segment_id = %growing.id, %error, "syncing failed: the segment ends here and is copied to a new file");
                }
                durability.end(None);
            }
        }
    }

    /// Another thread still syncs it, on a disk that hangs: the next tick looks again.
    fn put_back(&self, growing: Arc<Growing>) {
        // It is dirty, and stood in the list that it was taken from.
        self.lock().dirty.push(growing);
    }

    fn measured(&self, count: &AtomicU64, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let started = Instant::now();
        let synced = sync();
        count.fetch_add(1, Ordering::Relaxed);
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.total_us.fetch_add(took_us, Ordering::Relaxed);
        self.slowest_us.fetch_max(took_us, Ordering::Relaxed);
        synced
    }
}

/// Whether a sync of the volume is one of this segment; where it lies is looked at until its name is durable.
fn is_with_the_volume(volume: &dyn Volume, growing: &Growing, failures: u64) -> bool {
    let durability = &growing.durability;
    if !durability.is_name_synced() {
        match volume.holds(&growing.spool_file) {
            Ok(true) => {}
            Ok(false) => durability.is_elsewhere(),
            // Sealed and moved meanwhile, or a disk that fails: its own sync tells.
            Err(_) => return false,
        }
    }
    durability.is_with_the_volume(failures)
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;
    use media::{Fragment, SessionConfig, TrackRun, mp4::seal::SampleTable};
    use uuid::Uuid;
    use world::{Fault, FaultRule, Operation, SimulatedDisk};

    use super::*;
    use crate::growing::Identity;

    const FILES: usize = 3 * MAX_FILE_SYNCS;

    /// Splitmix64.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % limit
        }
    }

    fn growing(disk: &SimulatedDisk, number: usize) -> Arc<Growing> {
        let spool_file = Path::new("/spool").join(format!("file-{number}-"));
        let file = disk.create_new(&spool_file).unwrap();
        let identity = Identity {
            id: Uuid::from_u128(number as u128),
            channel_id: Uuid::nil(),
            session_id: Uuid::nil(),
            start_us: 0,
            object_name: String::new(),
            init_hash: String::new(),
            init: Bytes::new(),
            spool_file,
        };
        let table = SampleTable::new(Arc::new(SessionConfig { video: None, audio: None }), 0);
        Arc::new(Growing::new(identity, file, table, 0))
    }

    fn write(syncer: &Syncer, growing: &Arc<Growing>, bytes: Vec<u8>) {
        if growing.file.append_vectored(&[IoSlice::new(&bytes)]).is_err() {
            return;
        }
        let fragment = Fragment {
            start_us: 0,
            duration_90k: 1,
            is_key: true,
            size_bytes: u32::try_from(bytes.len()).unwrap(),
            head: bytes.into(),
            payload: Vec::new(),
            video: TrackRun::default(),
            audio: TrackRun::default(),
        };
        growing.appended(std::iter::once(&fragment));
        syncer.written(growing);
    }

    /// Does one thing that is to do, if there is any.
    fn step(syncer: &Syncer, disk: &SimulatedDisk) -> bool {
        {
            let state = syncer.lock();
            if state.dirty.is_empty() && state.due.is_empty() {
                return false;
            }
        }
        match syncer.next().unwrap() {
            Work::One(growing) => syncer.sync_one(disk, &growing),
            Work::All(group, volume) => syncer.sync_all(volume.as_ref(), group),
        }
        true
    }

    /// Whatever fails in whatever order: the synced length never promises a byte that a power cut takes, no file is given
    /// up that was not hit, and in the end everything that was not hit is durable.
    #[test]
    fn the_synced_length_promises_only_what_outlives_a_power_cut() {
        let (mut hits, mut volumes) = (0, 0);
        for seed in 0..400 {
            let mut dice = Dice(seed);
            let disk = SimulatedDisk::new();
            disk.create_dir_all(Path::new("/spool")).unwrap();
            let volume = disk.volume(Path::new("/spool")).unwrap();
            // An interval of nothing: each look is a tick.
            let syncer = Syncer::new(Duration::ZERO, Some(volume));
            let files: Vec<_> = (0..FILES).map(|number| growing(&disk, number)).collect();
            let mut hit = [false; FILES];
            for _ in 0..dice.below(200) {
                match dice.below(40) {
                    0 => {
                        let number = usize::try_from(dice.below(FILES as u64)).unwrap();
                        hit[number] = true;
                        let rule = FaultRule::on(Operation::SyncData, Fault::Io).times(1);
                        disk.inject(rule.path(&format!("file-{number}-")));
                    }
                    1 => disk.inject(FaultRule::on(Operation::SyncAll, Fault::Io).times(1)),
                    2..10 => {
                        step(&syncer, &disk);
                    }
                    _ => {
                        let number = usize::try_from(dice.below(FILES as u64)).unwrap();
                        let byte = u8::try_from(dice.below(256)).unwrap();
                        let len = usize::try_from(1 + dice.below(50)).unwrap();
                        write(&syncer, &files[number], vec![byte; len]);
                    }
                }
            }
            let is_finished = dice.below(2) == 0;
            while is_finished && step(&syncer, &disk) {}
            let written: Vec<_> = files.iter().map(|file| disk.bytes(&file.spool_file).unwrap()).collect();
            if seed % 2 == 0 {
                disk.crash()
            } else {
                disk.crash_torn(seed)
            }
            for (number, file) in files.iter().enumerate() {
                let synced = usize::try_from(file.synced_len()).unwrap();
                let kept = disk.bytes(&file.spool_file).unwrap_or_default();
                assert!(kept.starts_with(&written[number][..synced]), "seed {seed}, file {number}");
                if !hit[number] {
                    assert!(!file.durability.is_failed(), "seed {seed}, file {number}");
                    assert!(!is_finished || synced == written[number].len(), "seed {seed}, file {number}");
                }
                hits += u32::from(file.durability.is_failed());
            }
            volumes += syncer.counts().volumes;
        }
        assert!(hits > 100 && volumes > 400, "the schedules do something: {hits} {volumes}");
    }
}
