//! The house that a schedule happens to, and the checks of what must hold in it at every instant and in the end.
//!
//! A life is one run of the archive, on a runtime of its own whose timers stand still until the schedule moves them; disk,
//! bucket, database and clock outlive it. Actions come one at a time, and after each it is waited until nothing moves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use bytes::Bytes;
use catalog::{
    Catalog, DeletionReason, LocalCopy, NewChannel, NewProtection, Protection, SegmentRow, SegmentState,
    Source,
};
use media::{
    EndCause, SegmentIndex,
    fragmenter::FragmentEvent,
    mp4::reader::{SEALED_HEAD_BYTES, Scan, TailScanner, read_moov, sealed_moov_offset},
};
use tokio::runtime::{Builder, Runtime};
use turepe_archive::{
    Archive, ArchiveConfig, OnFull, Pauses, Recorder, RecorderTarget, UploadConfig,
    bucket::{BucketFaultRule, MemoryBucket},
};
use uuid::Uuid;
use world::{Clock, FaultRule, SimulatedClock, SimulatedDisk};

use super::{
    schedule::{Action, Schedule, Setup},
    witness::{Notes, Witness, segment_of},
};
use crate::support::{Camera, NOON_US, S, collect};

/// What is wrong, in words.
pub(crate) type Verdict = Result<(), String>;

/// Rounds of settling before something counts as never settling.
const PATIENCE: usize = 400;

/// Looks in a row that have to see the same before nothing moves.
const STILL_LOOKS: usize = 4;

/// Looks before what moves all the time, such as a bucket that is away, is let be.
const MAX_LOOKS: usize = 60;

/// Looks for what ends for certain, only not at once on a busy machine.
const MANY_LOOKS: usize = 1_000;

/// How far one segment's end and the next one's start may be apart and still join.
const TOLERANCE_US: i64 = 50_000;

pub(crate) struct Town {
    setup: Setup,
    disk: SimulatedDisk,
    clock: Arc<SimulatedClock>,
    bucket: MemoryBucket,
    notes: Arc<Mutex<Notes>>,
    database: tempfile::TempDir,
    config: ArchiveConfig,
    channels: Vec<Uuid>,
    /// `[start, end)` of each fragment that was pushed, by channel.
    filmed: Vec<Vec<(i64, i64)>>,
    /// What every row that was once seen whole promised: length and sum.
    seen: HashMap<Uuid, (u64, u32)>,
    /// Deletions that were seen.
    deleted: BTreeSet<Uuid>,
    protections: Vec<Protection>,
    /// What a killed life left in the spool, until a power cut takes it.
    left: BTreeMap<Uuid, Vec<u8>>,
    had: Had,
    /// In this life.
    is_catalog_away: bool,
    pub(crate) tally: Tally,
}

/// What has happened, to judge causes by.
#[derive(Default)]
struct Had {
    death: bool,
    disk_trouble: bool,
    catalog_away: bool,
}

/// What a schedule did, so that a test that does nothing is seen.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) schedules: u64,
    pub(crate) lives: u64,
    pub(crate) kills: u64,
    pub(crate) power_cuts: u64,
    pub(crate) segments: u64,
    pub(crate) promised_segments: u64,
    pub(crate) evicted: u64,
    pub(crate) deletions: u64,
    pub(crate) gaps: u64,
    pub(crate) bucket_calls: u64,
    pub(crate) disk_operations: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.lives += other.lives;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.segments += other.segments;
        self.promised_segments += other.promised_segments;
        self.evicted += other.evicted;
        self.deletions += other.deletions;
        self.gaps += other.gaps;
        self.bucket_calls += other.bucket_calls;
        self.disk_operations += other.disk_operations;
    }
}

/// One run of the archive.
struct Life {
    /// While it is held no timer runs by itself. First, as the runtime waits at its end for whoever waits for this.
    hold: mpsc::SyncSender<()>,
    streams: Vec<Option<Stream>>,
    archive: Archive,
    catalog: Catalog,
    witness: Witness,
    runtime: Runtime,
}

struct Stream {
    recorder: Recorder,
    camera: Camera,
}

/// Runs a whole schedule.
pub(crate) fn run(schedule: &Schedule) -> Result<Tally, String> {
    let mut town = Town::build(&schedule.setup);
    let mut life = town.be_born()?;
    let mut protected = Vec::new();
    for (number, action) in schedule.actions.iter().enumerate() {
        let at = |what: String| format!("at action {number}: {what}");
        life = town.act(life, action).map_err(at)?;
        let looked = town.look(&life, &protected);
        protected.clone_from(&town.protections);
        if let Err(what) = looked {
            town.kill(life);
            return Err(format!("after action {number}: {what}"));
        }
    }
    town.end(life).map_err(|what| format!("in the end: {what}"))?;
    town.tally.schedules = 1;
    town.tally.bucket_calls = town.bucket.all_calls();
    town.tally.disk_operations = town.disk.operations();
    Ok(town.tally)
}

impl Town {
    fn build(setup: &Setup) -> Self {
        let memory = Path::new("/dev/shm");
        let database =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let clock = Arc::new(SimulatedClock::new(NOON_US));
        let disk = SimulatedDisk::new();
        disk.set_clock(Arc::clone(&clock));
        let mut config = ArchiveConfig {
            segment_us: 5 * S,
            sync_us: ArchiveConfig::MIN_SYNC_US,
            upload: UploadConfig {
                part_bytes: setup.part_bytes,
                pauses: Pauses {
                    floor: Duration::from_millis(2),
                    ceiling: Duration::from_millis(40),
                    refused: Duration::from_millis(40),
                    tick: Duration::from_millis(5),
                },
                ..UploadConfig::default()
            },
            ..ArchiveConfig::new("/data/spool", "/data/store")
        };
        config.retention.days = setup.retention_days;
        config.retention.keep_local_us = setup.keep_local_us;
        // Nobody is there to be asked.
        config.retention.max_share_percent = 100;
        config.retention.on_full = setup.on_full;
        config.retention.min_free_bytes = setup.min_free_bytes;
        let bucket = MemoryBucket::new(Arc::clone(&clock) as Arc<dyn Clock>).with_min_part_bytes(1);
        bucket.show_clock(Some(0));
        Self {
            setup: setup.clone(),
            bucket,
            disk,
            clock,
            notes: Arc::default(),
            database,
            config,
            channels: Vec::new(),
            filmed: vec![Vec::new(); setup.channels],
            seen: HashMap::new(),
            deleted: BTreeSet::new(),
            protections: Vec::new(),
            left: BTreeMap::new(),
            had: Had::default(),
            is_catalog_away: false,
            tally: Tally::default(),
        }
    }

    fn be_born(&mut self) -> Result<Life, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .max_blocking_threads(64)
            .build()
            .map_err(|error| error.to_string())?;
        // Timers of a paused runtime run ahead when nothing else is to be done, but not while a blocking call runs.
        let (hold, held) = mpsc::sync_channel::<()>(0);
        runtime.spawn_blocking(move || held.recv());
        let witness = Witness::new(
            self.disk.clone(),
            self.bucket.clone(),
            Arc::clone(&self.notes),
            (&self.config.spool, &self.config.store),
            self.setup.has_two_volumes,
        );
        let url = format!("sqlite:{}", self.database.path().join("turepe.db").display());
        let (catalog, archive) = runtime.block_on(async {
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            let catalog = Catalog::open_with_clock(&url, Arc::clone(&clock)).await;
            let catalog = catalog.map_err(|error| format!("the catalog does not open: {error}"))?;
            for number in self.channels.len()..self.setup.channels {
                let channel =
                    NewChannel { court_id: None, name: format!("camera {number}"), source: Source::Push };
                self.channels.push(catalog.create_channel(channel).await.unwrap().0.id);
            }
            let open = || {
                Archive::open_with_bucket(
                    self.config.clone(),
                    Arc::new(witness.clone()),
                    Arc::clone(&clock),
                    catalog.clone(),
                    Some(Arc::new(self.bucket.clone())),
                )
            };
            // A disk that refuses to let anything begin is healed by somebody.
            let archive = open().or_else(|_| {
                self.disk.heal();
                self.disk.restore_power();
                open()
            });
            Ok::<_, String>((catalog, archive.map_err(|error| format!("it does not open: {error}"))?))
        })?;
        self.tally.lives += 1;
        self.is_catalog_away = false;
        let streams = self.channels.iter().map(|_| None).collect();
        Ok(Life { hold, streams, archive, catalog, witness, runtime })
    }

    /// `kill -9`.
    fn kill(&mut self, life: Life) {
        life.witness.die();
        let Life { runtime, hold, archive, streams, catalog, .. } = life;
        {
            let _guard = runtime.enter();
            drop((archive, streams, catalog));
        }
        drop(hold);
        runtime.shutdown_timeout(Duration::from_secs(20));
        self.had.death = true;
    }

    /// The machine after a power cut.
    fn start_machine(&mut self, torn: Option<u64>) -> Verdict {
        match torn {
            Some(seed) => self.disk.crash_torn(seed),
            None => self.disk.crash(),
        }
        self.left.clear();
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).power_cut(&self.disk);
        self.tally.power_cuts += 1;
        Ok(())
    }

    fn note_what_is_left(&mut self) {
        for file in self.disk.files() {
            if let Some(id) = segment_of(&file).filter(|_| file.starts_with(&self.config.spool))
                && let Some(bytes) = self.disk.bytes(&file)
            {
                self.left.insert(id, bytes);
            }
        }
    }

    fn act(&mut self, mut life: Life, action: &Action) -> Result<Life, String> {
        match action {
            Action::Film { channel, ms } => self.film(&mut life, *channel, *ms),
            Action::Stop { channel, cause } => self.stop(&mut life, *channel, *cause),
            Action::Sync => life.sync(),
            Action::Wait { ms } => life.wait(*ms),
            Action::Jump { us } => {
                for channel in 0..self.channels.len() {
                    self.stop(&mut life, channel, EndCause::Network);
                }
                self.clock.advance(*us);
            }
            Action::DiskFault { operation, fault, path, after, times } => {
                self.had.disk_trouble = true;
                let rule = FaultRule::on(*operation, *fault).path(path).after(*after).times(*times);
                self.disk.inject(rule);
            }
            Action::HealDisk => self.disk.heal(),
            Action::Full { spare_bytes } => {
                self.had.disk_trouble = true;
                let used: u64 = self
                    .disk
                    .files()
                    .iter()
                    .filter_map(|file| self.disk.bytes(file))
                    .map(|bytes| bytes.len() as u64)
                    .sum();
                self.disk.set_capacity(Some(used + spare_bytes));
            }
            Action::Roomy => self.disk.set_capacity(None),
            Action::BucketFault { operation, fault, after, times } => {
                let rule = match operation {
                    Some(operation) => BucketFaultRule::on(*operation, *fault),
                    None => BucketFaultRule::always(*fault),
                };
                self.bucket.inject(rule.after(*after).times(*times));
            }
            Action::HealBucket => self.bucket.heal(),
            Action::BucketAway(is_away) => self.bucket.set_away(*is_away),
            Action::CutPowerIn { operations } => {
                self.had.disk_trouble = true;
                self.disk.cut_power_at(self.disk.operations() + operations);
            }
            Action::PowerCut { torn } => {
                self.kill(life);
                self.start_machine(*torn)?;
                self.check_rows_after_power_cut()?;
                return self.be_born();
            }
            Action::Kill => {
                let was_powerless = self.disk.is_powerless();
                self.kill(life);
                self.tally.kills += 1;
                if was_powerless {
                    self.start_machine(None)?;
                    self.check_rows_after_power_cut()?;
                } else {
                    self.disk.restore_power();
                    self.note_what_is_left();
                }
                return self.be_born();
            }
            Action::Restart => {
                life.streams.iter_mut().for_each(|stream| drop(stream.take()));
                life.shutdown();
                self.kill(life);
                self.disk.restore_power();
                return self.be_born();
            }
            Action::CatalogAway => {
                self.had.catalog_away = true;
                self.is_catalog_away = true;
                let _ = life.runtime.block_on(life.catalog.close());
            }
            Action::KeepHouse => life.keep_house(),
            Action::Protect { segment } => self.protect(&life, *segment),
            Action::Unprotect => {
                if let Some(protection) = self.protections.last().cloned()
                    && life.runtime.block_on(life.catalog.unprotect(protection.id)).is_ok()
                {
                    self.protections.pop();
                }
            }
            Action::Delete { segment, reason } => {
                if let Some(row) = self.nth(&life, *segment) {
                    let ids = [row.id];
                    let _ = life.runtime.block_on(life.catalog.delete_segments(&ids, *reason, None));
                }
            }
            Action::Play { channel } => self.play(&life, *channel)?,
        }
        life.until_still(self.is_catalog_away || self.disk.held() > 0);
        Ok(life)
    }

    fn film(&mut self, life: &mut Life, channel: usize, ms: i64) {
        let channel_id = self.channels[channel];
        let mut events = Vec::new();
        let stream = life.streams[channel].get_or_insert_with(|| {
            let target = RecorderTarget { channel_id, prefix: "club/court".into() };
            let filmed_until = self.filmed[channel].last().map_or(0, |last| last.1);
            let (mut camera, start) = Camera::start(self.clock.now_us().max(filmed_until));
            camera.frame_bytes = self.setup.frame_bytes;
            events = start;
            Stream { recorder: life.archive.recorder(target), camera }
        });
        let until_us = stream.camera.now_us() + ms * 1000;
        events.extend(stream.camera.film_until(until_us));
        for event in events {
            self.filmed[channel].extend(span(&event));
            // A full queue is a gap with the cause disk, which the archive notes.
            let _ = stream.recorder.push(event);
        }
        if self.clock.now_us() < until_us {
            self.clock.set(until_us);
        }
    }

    fn stop(&mut self, life: &mut Life, channel: usize, cause: EndCause) {
        if let Some(stream) = life.streams[channel].take() {
            for event in stream.camera.stop(cause) {
                self.filmed[channel].extend(span(&event));
                let _ = stream.recorder.push(event);
            }
        }
    }

    /// The number-th whole segment, counted round.
    fn nth(&self, life: &Life, number: u64) -> Option<SegmentRow> {
        let rows = life.rows().ok()?;
        let number = usize::try_from(number).unwrap_or(0).checked_rem(rows.len())?;
        rows.into_iter().nth(number)
    }

    fn protect(&mut self, life: &Life, number: u64) {
        let Some(row) = self.nth(life, number) else { return };
        let new = NewProtection {
            channel_id: row.channel_id,
            from_us: row.start_us,
            to_us: row.start_us + S,
            reason: "a clip".into(),
        };
        if let Ok(protection) = life.runtime.block_on(life.catalog.protect(new)) {
            // It may have been deleted just before.
            if life.rows().is_ok_and(|rows| rows.iter().any(|other| other.id == row.id)) {
                self.protections.push(protection);
            }
        }
    }

    /// Plays a channel. While there is trouble it may fail, but what it gives has its length.
    fn play(&self, life: &Life, channel: usize) -> Verdict {
        let Some(first) = self.filmed[channel].first() else { return Ok(()) };
        let (channel_id, now_us) = (self.channels[channel], self.clock.now_us());
        let playing = async {
            let download = life.archive.cut(channel_id, first.0, now_us).await.ok()?;
            use futures_util::StreamExt as _;
            let mut stream = download.stream(0..download.len());
            let mut len = 0;
            while let Some(piece) = stream.next().await {
                len += piece.ok()?.len() as u64;
            }
            Some((len, download.len()))
        };
        match life.drive(playing).flatten() {
            Some((len, promised)) if len != promised => {
                Err(format!("a download of {promised} bytes ended after {len}"))
            }
            _ => Ok(()),
        }
    }

    /// What must hold at every instant.
    fn look(&mut self, life: &Life, protected_before: &[Protection]) -> Verdict {
        let (removed, violation) = {
            let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut notes.removed), notes.violations.pop())
        };
        if let Some(violation) = violation {
            return Err(violation);
        }
        // Where the catalog does not answer in this life, the next one tells.
        let Ok(deletions) = life.runtime.block_on(life.catalog.deletions(None, 10_000)) else {
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).removed.extend(removed);
            return Ok(());
        };
        for (name, remote_len, local_len) in removed {
            if !deletions.iter().any(|deletion| deletion.object_name == name) {
                let row = life.rows().unwrap_or_default().into_iter().find(|row| row.object_name == name);
                return Err(format!(
                    "the local copy of {name} ({local_len} bytes) went before the bucket had it ({remote_len:?}): {row:?}"
                ));
            }
        }
        for deletion in &deletions {
            if !self.deleted.insert(deletion.segment_id) || deletion.reason == DeletionReason::Admin.as_str()
            {
                continue;
            }
            let protects = |protection: &&Protection| {
                protection.channel_id == deletion.channel_id
                    && protection.from_us < deletion.end_us
                    && deletion.start_us < protection.to_us
            };
            if let Some(protection) = protected_before.iter().find(protects) {
                return Err(format!("{} was deleted in spite of {protection:?}", deletion.object_name));
            }
            if deletion.reason == DeletionReason::Space.as_str()
                && self.setup.on_full == OnFull::StopRecording
            {
                return Err(format!("{} was given up although recording is to stop", deletion.object_name));
            }
        }
        let rows = life.rows().map_err(|error| format!("the catalog does not answer: {error}"))?;
        for row in rows {
            let mut row = row;
            // It may have left or have been deleted between the look at its row and the look at its bytes.
            while let Err(what) = self.look_at(&row) {
                let again =
                    life.runtime.block_on(life.catalog.segment(row.id)).map_err(|error| error.to_string())?;
                match again {
                    Some(again) if again != row => row = again,
                    Some(_) => return Err(format!("{} ({:?}): {what}", row.object_name, row.state)),
                    None => break,
                }
            }
        }
        for (id, (len, _)) in &self.seen {
            let known =
                life.runtime.block_on(life.catalog.segment(*id)).map_err(|error| error.to_string())?;
            let is_known = known.is_some_and(|row| row.is_whole() && row.size_bytes == *len);
            if !is_known && !self.deleted.contains(id) {
                let is_deleted = life.runtime.block_on(life.catalog.is_deleted(*id));
                if !is_deleted.map_err(|error| error.to_string())? {
                    return Err(format!("segment {id} was whole and is not any more"));
                }
            }
        }
        Ok(())
    }

    /// The bytes that a whole row promises are where it says, and the same as ever.
    fn look_at(&mut self, row: &SegmentRow) -> Verdict {
        let remote = self.bucket.bytes(&row.object_name);
        let local = self.disk.bytes(&self.config.store.join(&row.object_name)).map(Bytes::from);
        let bytes = match (row.state, row.local_copy, remote, local) {
            (SegmentState::Stored, LocalCopy::Kept, Some(remote), Some(local)) => {
                if remote != local {
                    return Err("here and in the bucket are different bytes".into());
                }
                local
            }
            // A copy that leaves may be gone before the row says so.
            (SegmentState::Stored, LocalCopy::None | LocalCopy::Leaving, Some(remote), _) => remote,
            (SegmentState::Stored, _, None, _) => return Err("the bucket does not have it".into()),
            // Read again: it may have been deleted or have left since.
            (_, LocalCopy::Kept, _, None) => return Err("the local store does not have it".into()),
            (_, _, _, Some(local)) => local,
            (_, _, _, None) => return Err("nobody has it".into()),
        };
        let sum = (bytes.len() as u64, crc32fast::hash(&bytes));
        if sum.0 != row.size_bytes {
            return Err(format!("it has {} bytes, and its row says {}", sum.0, row.size_bytes));
        }
        match self.seen.insert(row.id, sum) {
            Some(before) if before != sum => Err("its bytes are others than before".into()),
            _ => Ok(()),
        }
    }

    /// Before anybody repairs anything: what a row promised is on the platter.
    fn check_rows_after_power_cut(&mut self) -> Verdict {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let url = format!("sqlite:{}", self.database.path().join("turepe.db").display());
        let rows = runtime.block_on(async {
            let catalog = Catalog::open(&url).await.map_err(|error| error.to_string())?;
            let rows = catalog.whole_segments(None, 10_000).await.map_err(|error| error.to_string());
            let _ = catalog.close().await;
            rows
        })?;
        for row in rows {
            self.look_at(&row).map_err(|what| {
                format!("after a power cut: {} ({:?}): {what}", row.object_name, row.state)
            })?;
        }
        Ok(())
    }

    /// Everything is healed, and the archive is started once more and left alone until all is done.
    fn end(&mut self, life: Life) -> Verdict {
        let was_powerless = self.disk.is_powerless();
        self.kill(life);
        if was_powerless {
            self.start_machine(None)?;
            self.check_rows_after_power_cut()?;
        } else {
            self.note_what_is_left();
        }
        self.disk.heal();
        self.disk.restore_power();
        self.disk.set_capacity(None);
        self.bucket.heal();
        self.bucket.set_away(false);
        let life = self.be_born()?;
        let judged = self.judge(&life);
        self.kill(life);
        judged
    }

    fn judge(&mut self, life: &Life) -> Verdict {
        let _ = life.drive(life.archive.wait_repaired());
        self.settle(life)?;
        // Uploads whose beginning nobody heard of are looked for after a day.
        self.clock.advance(25 * 3600 * S);
        life.wait(3_700_000);
        self.settle(life)?;
        let protected = self.protections.clone();
        self.look(life, &protected)?;
        self.check_whole(life)?;
        self.check_promises(life)?;
        self.check_leftovers(life)?;
        self.check_gaps(life)
    }

    fn settle(&self, life: &Life) -> Verdict {
        for round in 0..PATIENCE {
            let pause = [20, 200, 6_000, 61_000][round % 4];
            life.wait(if round == PATIENCE / 2 { 5 * 3_600_000 } else { pause });
            life.keep_house();
            if life.is_settled() {
                return Ok(());
            }
        }
        let ledger = life.runtime.block_on(life.archive.ledger());
        Err(format!(
            "it never settles: {:?}, {ledger:?}, growing {:?}",
            life.archive.status(),
            life.runtime.block_on(life.catalog.growing_segments())
        ))
    }

    /// Every row's bytes are a sealed segment with the tables that its row tells of.
    fn check_whole(&mut self, life: &Life) -> Verdict {
        let rows = life.rows().map_err(|error| error.to_string())?;
        self.tally.segments += rows.len() as u64;
        for row in rows {
            let name = row.object_name.clone();
            let fails = |what: String| format!("{name}: {what}");
            if row.state != SegmentState::Stored {
                return Err(fails("it never reached the bucket".into()));
            }
            self.tally.evicted += u64::from(row.local_copy == LocalCopy::None);
            let object = life.drive(async {
                let object = life.archive.open_segment(row.id).await.map_err(|error| error.to_string())?;
                Ok::<_, String>(collect(object.stream(0..object.len)).await)
            });
            let object = object.unwrap_or_else(|| Err("its bytes never come".into())).map_err(fails)?;
            if self.bucket.bytes(&row.object_name).map(Vec::from).as_ref() != Some(&object) {
                return Err(fails("a reader gets other bytes than the bucket has".into()));
            }
            if sealed_moov_offset(&object) != Some(row.moov_offset) {
                return Err(fails("it is not sealed".into()));
            }
            let moov = usize::try_from(row.moov_offset).unwrap();
            let table = read_moov(&Bytes::copy_from_slice(&object[moov..]))
                .map_err(|error| fails(error.to_string()))?;
            let stored = life.runtime.block_on(life.catalog.segment_indexes(&[row.id])).unwrap();
            if stored.first().map(|(_, index)| index) != Some(&table.index().encode()) {
                return Err(fails("its index is not that of its tables".into()));
            }
            let scan = scan(&object).ok_or_else(|| fails("its fragments cannot be read".into()))?;
            if scan.table.index() != table.index() || scan.valid_len != row.moov_offset {
                return Err(fails("its fragments are not those of its tables".into()));
            }
            if let Some(crc32) = row.crc32 {
                let fragments = &object[first_fragment(table.index())..moov];
                if crc32fast::hash(fragments) != crc32 {
                    return Err(fails("its fragments have another sum".into()));
                }
            }
        }
        Ok(())
    }

    /// Every fragment that was ever durable, and all that the last life left, is in its segment, byte for byte, or its
    /// segment was deleted by somebody who says so.
    fn check_promises(&mut self, life: &Life) -> Verdict {
        let promised = self.notes.lock().unwrap_or_else(PoisonError::into_inner).promised.clone();
        self.tally.promised_segments += promised.len() as u64;
        let left = std::mem::take(&mut self.left);
        for (what, id, bytes) in promised
            .iter()
            .map(|(id, bytes)| ("synced", id, bytes))
            .chain(left.iter().map(|(id, bytes)| ("left by a killed program", id, bytes)))
        {
            let Some(scan) = scan(bytes) else { continue };
            let index = scan.table.index();
            if index.fragments.is_empty() {
                continue;
            }
            let row = life.runtime.block_on(life.catalog.segment(*id)).map_err(|error| error.to_string())?;
            let Some(row) = row.filter(SegmentRow::is_whole) else {
                let is_deleted = life.runtime.block_on(life.catalog.is_deleted(*id));
                if is_deleted.map_err(|error| error.to_string())? {
                    continue;
                }
                return Err(format!("{} fragments of segment {id}, {what}, are gone", index.fragments.len()));
            };
            let object = self.bucket.bytes(&row.object_name).unwrap_or_default();
            let (first, end) = (first_fragment(index), usize::try_from(scan.valid_len).unwrap());
            if object.get(first..end) != bytes.get(first..end) || scan.valid_len > row.moov_offset {
                return Err(format!("fragments of segment {id}, {what}, are not in {}", row.object_name));
            }
        }
        Ok(())
    }

    /// Nothing is left that nobody answers for.
    fn check_leftovers(&mut self, life: &Life) -> Verdict {
        let rows = life.rows().map_err(|error| error.to_string())?;
        let remote: BTreeSet<String> = rows.iter().map(|row| row.object_name.clone()).collect();
        let there: BTreeSet<String> = self.bucket.names().into_iter().collect();
        if let Some(orphan) = there.difference(&remote).next() {
            return Err(format!("the bucket has {orphan}, which nobody knows of"));
        }
        if self.bucket.pending_uploads() > 0 {
            return Err(format!("{} uploads are left in the bucket", self.bucket.pending_uploads()));
        }
        let kept: BTreeSet<PathBuf> = rows
            .iter()
            .filter(|row| row.local_copy == LocalCopy::Kept)
            .map(|row| self.config.store.join(&row.object_name))
            .collect();
        let quarantine = self.config.spool.join("quarantine");
        // Kept open for the next gap whose cause the catalog cannot be told at once.
        let journal = self.config.spool.join("gaps.journal");
        for file in self.disk.files() {
            if !kept.contains(&file) && !file.starts_with(&quarantine) && file != journal {
                let known: Vec<_> = rows.iter().filter(|row| file.ends_with(&row.object_name)).collect();
                return Err(format!("{} is left on the disk; its rows: {known:?}", file.display()));
            }
        }
        let deletions = life.runtime.block_on(life.catalog.deletions(None, 10_000)).unwrap();
        self.tally.deletions += deletions.len() as u64;
        match deletions.iter().find(|deletion| deletion.done_us.is_none()) {
            Some(deletion) => Err(format!("the deletion of {} is never done", deletion.object_name)),
            None => Ok(()),
        }
    }

    /// What was filmed and is not there was deleted, or is a gap whose cause is what has happened.
    fn check_gaps(&mut self, life: &Life) -> Verdict {
        let deletions = life.runtime.block_on(life.catalog.deletions(None, 10_000)).unwrap();
        for (channel_id, filmed) in self.channels.iter().zip(&self.filmed) {
            let (Some(first), Some(last)) = (filmed.first(), filmed.last()) else { continue };
            let (from_us, to_us, now_us) = (first.0, last.1, self.clock.now_us());
            let asked = async {
                let spans = life.archive.spans(*channel_id, from_us, to_us).await;
                let gaps = life.archive.gaps(*channel_id, from_us, to_us, now_us).await;
                (spans, gaps)
            };
            let (spans, gaps) = life.runtime.block_on(asked);
            let (spans, gaps) =
                (spans.map_err(|error| error.to_string())?, gaps.map_err(|error| error.to_string())?);
            self.tally.gaps += gaps.len() as u64;
            for &(start_us, end_us) in filmed {
                let at_us = start_us + (end_us - start_us) / 2;
                let covers = |&(from_us, to_us): &(i64, i64)| from_us <= at_us && at_us < to_us;
                let is_deleted = deletions.iter().any(|deletion| {
                    deletion.channel_id == *channel_id && covers(&(deletion.start_us, deletion.end_us))
                });
                // Less than a frame is no gap.
                if end_us - start_us <= TOLERANCE_US || spans.iter().any(covers) {
                    continue;
                }
                let gap = gaps.iter().find(|gap| covers(&(gap.start_us, gap.end_us)));
                let Some(gap) = gap else {
                    return Err(format!("{}: neither recorded nor a gap", at(at_us)));
                };
                let is_explained = match gap.cause {
                    EndCause::Disk => self.had.disk_trouble || self.had.death || is_deleted,
                    EndCause::Process => self.had.death,
                    _ => is_deleted || self.had.catalog_away,
                };
                if !is_explained {
                    let noted = life.runtime.block_on(life.catalog.gaps_in_range(*channel_id, 0, i64::MAX));
                    return Err(format!(
                        "{}: not recorded, and the cause is said to be {:?}\nspans {}\nnoted {}",
                        at(at_us),
                        gap.cause,
                        spans
                            .iter()
                            .map(|(start_us, end_us)| range(*start_us, Some(*end_us)))
                            .collect::<String>(),
                        noted
                            .unwrap_or_default()
                            .iter()
                            .map(|row| format!("{}{:?} ", range(row.start_us, row.end_us), row.cause))
                            .collect::<String>(),
                    ));
                }
            }
            for deletion in &deletions {
                let is_ours =
                    deletion.channel_id == *channel_id && deletion.reason == DeletionReason::Space.as_str();
                let middle_us = deletion.start_us + (deletion.end_us - deletion.start_us) / 2;
                let gap = gaps.iter().find(|gap| gap.start_us <= middle_us && middle_us < gap.end_us);
                if is_ours && gap.is_some_and(|gap| !matches!(gap.cause, EndCause::Disk | EndCause::Process))
                {
                    return Err(format!("{} was given up, and its gap says {gap:?}", deletion.object_name));
                }
            }
            let holes = spans.windows(2).any(|pair| pair[1].0 - pair[0].1 < TOLERANCE_US);
            if holes {
                return Err(format!("spans that touch are not joined: {spans:?}"));
            }
        }
        Ok(())
    }
}

impl Life {
    fn rows(&self) -> Result<Vec<SegmentRow>, catalog::CatalogError> {
        self.runtime.block_on(self.catalog.whole_segments(None, 10_000))
    }

    /// Lets everything that runs do a bit.
    async fn pump() {
        let turn = tokio::task::spawn_blocking(|| std::thread::park_timeout(Duration::from_micros(120)));
        let _ = turn.await;
    }

    /// Runs something to its end while all else goes on; `None` if it does not end.
    fn drive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async {
            tokio::pin!(work);
            for round in 0..2_000_u64 {
                tokio::select! {
                    biased;
                    done = &mut work => return Some(done),
                    () = Self::pump() => {}
                }
                tokio::time::advance(Duration::from_millis(if round < 200 { 2 } else { 200 })).await;
            }
            None
        })
    }

    fn fingerprint(&self) -> [u64; 6] {
        let status = self.archive.status();
        [
            self.witness.operations(),
            self.witness.bucket_calls(),
            status.queued_bytes as u64,
            status.open_segments as u64,
            status.unregistered_segments as u64,
            status.syncs.files + status.syncs.volumes,
        ]
    }

    /// Until nothing moves, with the timers standing.
    async fn still(&self) {
        let mut last = self.fingerprint();
        let mut same = 0;
        for _ in 0..MAX_LOOKS {
            Self::pump().await;
            let now = self.fingerprint();
            same = if now == last { same + 1 } else { 0 };
            if same == STILL_LOOKS {
                return;
            }
            last = now;
        }
    }

    /// Until nothing moves and the causes of gaps are noted, as far as disk and catalog let them.
    fn until_still(&self, is_obstructed: bool) {
        self.runtime.block_on(async {
            self.still().await;
            // A cause that has not reached the journal goes with a kill.
            let looks = if is_obstructed { MAX_LOOKS } else { MANY_LOOKS };
            let enough = async {
                for _ in 0..looks {
                    Self::pump().await;
                }
            };
            tokio::select! { () = self.archive.settle() => {} () = enough => {} }
        });
    }

    fn wait(&self, ms: u64) {
        self.runtime.block_on(async {
            let steps = 12;
            for _ in 0..steps {
                tokio::time::advance(Duration::from_micros(ms * 1000 / steps)).await;
                self.still().await;
            }
        });
    }

    /// Until everything written is durable, or does not become so.
    fn sync(&self) {
        self.runtime.block_on(async {
            for _ in 0..300 {
                if self.archive.status().unsynced_bytes == 0 {
                    return;
                }
                Self::pump().await;
            }
        });
    }

    fn keep_house(&self) {
        // What holds it up is gone in the end.
        let _ = self.drive(self.archive.keep_house());
    }

    fn shutdown(&self) {
        let _ = self.drive(self.archive.shutdown());
    }

    fn is_settled(&self) -> bool {
        let status = self.archive.status();
        let asked = self.runtime.block_on(async {
            let ledger = self.archive.ledger().await.ok()?;
            let pending = self.catalog.pending_deletions(1).await.ok()?;
            let leaving = self.catalog.leaving_segments(1).await.ok()?;
            let growing = self.catalog.growing_segments().await.ok()?;
            Some(
                ledger.unstored_segments == 0
                    && ledger.upload.in_flight == 0
                    && pending.is_empty()
                    && leaving.is_empty()
                    && growing.is_empty(),
            )
        });
        status.is_repaired
            && status.unregistered_segments == 0
            && status.open_segments == 0
            && asked == Some(true)
    }
}

fn span(event: &FragmentEvent) -> Option<(i64, i64)> {
    match event {
        FragmentEvent::Fragment(fragment) => {
            Some((fragment.start_us, fragment.start_us + i64::from(fragment.duration_90k) * 100 / 9))
        }
        _ => None,
    }
}

fn scan(bytes: &[u8]) -> Option<Scan> {
    let scanned = TailScanner::run(bytes.len() as u64, |want| {
        let start = usize::try_from(want.offset).unwrap().min(bytes.len());
        let end = (start + usize::try_from(want.len).unwrap()).min(bytes.len());
        Ok::<_, std::convert::Infallible>(bytes[start..end].to_vec())
    });
    scanned.unwrap_or_else(|never| match never {}).ok()
}

/// Where the fragments begin: behind what sealing patches.
fn first_fragment(index: &SegmentIndex) -> usize {
    usize::try_from(index.first_fragment_offset).unwrap().max(SEALED_HEAD_BYTES)
}

fn range(start_us: i64, end_us: Option<i64>) -> String {
    let second = |us: i64| format!("{:.2}", (us - NOON_US) as f64 / 1e6);
    format!("[{} {}) ", second(start_us), end_us.map(second).unwrap_or_default())
}

fn at(us: i64) -> String {
    format!("{:.3} s after noon", (us - NOON_US) as f64 / 1e6)
}
