//! Keeps what is to be kept and lets go of the rest: local copies that the bucket has, footage past its club's
//! retention, and, when the disk is full, what the declared policy gives up.
//!
//! Belongs here: when what goes, and in which order. A local copy goes only after the bucket was asked and has it as the row
//! says (`asking`), and the row says that the copy leaves before the file does. Footage expires by a clock that nobody
//! contradicts, and never most of a club's at once without a person (`expiry`). A deletion is a row first
//! ([`catalog::Deletion`]), so that it is seen at once, survives a crash half-way and is remembered.

mod asking;
mod expiry;
mod share;
mod space;
mod waiting;
mod witness;

use std::{
    collections::{HashSet, VecDeque},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use catalog::{CatalogError, Deletion, DeletionReason, SegmentRow, SegmentState};
use media::EndCause;
use tokio::sync::{Notify, Semaphore};
use tracing::{error, info, warn};
use uuid::Uuid;

use self::{
    asking::Asked,
    expiry::ExpiryState,
    space::{Action, Facts, Silence},
};
pub use self::{
    expiry::TimeKeeping,
    space::OnFull,
    waiting::{RetentionWaiting, WaitReason, WaitingItem},
};
use crate::{
    bucket::{Bucket, BucketError},
    core::Core,
    limits::{
        CONFIRMATION_TICK_MS, DELETIONS_PER_ROUND, EVICTIONS_PER_ROUND, KEEPER_TICK_MS, MAX_ASKED,
        MAX_SPACE_ROUNDS, NEGLECTED_DELETION_US, RETENTION_TICK_MS, RETENTION_WAITING_TICK_MS,
        SILENT_BUCKET_MS,
    },
};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// How long footage is kept, and how full the disk may get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionConfig {
    /// Days that footage of clubs is kept which do not say themselves; `None`: for ever.
    pub days: Option<u32>,
    /// Free bytes of the disk below which something has to go.
    pub min_free_bytes: u64,
    /// What, when nothing that the bucket has can go.
    pub on_full: OnFull,
    /// How long a local copy stays after the bucket has it, in microseconds; `None`: until the disk is full.
    pub keep_local_us: Option<i64>,
    /// How much of a club's footage may expire at once without a person, in percent, 0 to 100.
    pub max_share_percent: u8,
}

impl Default for RetentionConfig {
    /// For ever; 2 GB; the oldest first; until the disk is full; a quarter.
    fn default() -> Self {
        Self {
            days: None,
            min_free_bytes: 2_000_000_000,
            on_full: OnFull::OldestFirst,
            keep_local_us: None,
            max_share_percent: 25,
        }
    }
}

/// What the keeper has done and is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeeperStatus {
    /// Bytes free on the disk of spool and store, as last seen; the smaller one where they are two.
    pub free_bytes: Option<u64>,
    /// Whether recording is stopped for want of space.
    pub is_stopped: bool,
    /// Local copies removed since the start, as the bucket has them.
    pub evicted_segments: u64,
    /// Segments deleted since the start because they were too old.
    pub expired_segments: u64,
    /// Segments given up since the start because the disk was full.
    pub lost_segments: u64,
    /// Deletions whose bytes are still somewhere, as far as the last round saw.
    pub pending_deletions: u64,
    /// Segments past their retention that wait for a person.
    pub waiting_segments: u64,
    /// Segments that the bucket was to have and had not when it was asked, since the start.
    pub missing_segments: u64,
}

/// Segments that the bucket was to have and had not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Missing {
    /// When that was seen last, UTC microseconds.
    pub(crate) last_us: i64,
    /// How many are uploaded again from their local copies.
    pub(crate) again: u64,
    /// How many have no local copy either.
    pub(crate) gone: u64,
}

/// One round at a time: two that find the same would do and count it twice.
struct Turn(Semaphore);

impl Default for Turn {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

/// What the keeper shares with the rest of the archive.
#[derive(Default)]
pub(crate) struct KeeperState {
    /// Recording is stopped for want of space: the writers look.
    is_stopped: AtomicBool,
    status: Mutex<KeeperStatus>,
    /// When footage was last given up, UTC microseconds; 0 for never.
    last_loss_us: AtomicU64,
    missing: Mutex<Option<Missing>>,
    turn: Turn,
    /// Segments whose copies were given up while the bucket did not answer, to be looked for.
    unconfirmed: Mutex<VecDeque<Uuid>>,
    pub(crate) asked: Asked,
    pub(crate) expiry: ExpiryState,
    /// Told when there may be something to let go of.
    pub(crate) wake: Notify,
}

impl KeeperState {
    /// Whether nothing may be written.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    pub(crate) fn status(&self) -> KeeperStatus {
        let mut status = *self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.is_stopped = self.is_stopped();
        status
    }

    /// When footage was last given up for want of space.
    pub(crate) fn last_loss_us(&self) -> Option<i64> {
        i64::try_from(self.last_loss_us.load(Ordering::Relaxed)).ok().filter(|at_us| *at_us > 0)
    }

    /// What the bucket was to have and had not, since the start.
    pub(crate) fn missing(&self) -> Option<Missing> {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_missing(&self, now_us: i64, has_copy: bool) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = missing.get_or_insert(Missing { last_us: now_us, again: 0, gone: 0 });
        known.last_us = now_us;
        if has_copy {
            known.again += 1;
        } else {
            known.gone += 1;
        }
        drop(missing);
        self.note(|status| status.missing_segments += 1);
    }

    /// Segments whose copies went unseen, the first ones.
    fn unconfirmed(&self) -> Vec<Uuid> {
        let unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        unconfirmed.iter().take(usize::try_from(EVICTIONS_PER_ROUND).unwrap_or(0)).copied().collect()
    }

    /// How many copies were given up unseen and not looked for yet.
    pub(crate) fn unconfirmed_count(&self) -> usize {
        self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn is_unconfirmed(&self, id: Uuid) {
        let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if unconfirmed.len() < MAX_ASKED {
            unconfirmed.push_back(id);
        }
    }

    fn is_confirmed(&self, id: Uuid) {
        self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != id);
    }

    fn note(&self, change: impl FnOnce(&mut KeeperStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Keeps until the archive goes.
pub(crate) async fn run(core: Arc<Core>) {
    // Before that the oldest footage here need not be among this node's rows. An error cannot be: `core` holds the sender.
    let mut claimed = core.is_claimed.subscribe();
    tokio::select! {
        () = core.is_gone.cancelled() => return,
        _ = claimed.wait_for(|is_claimed| *is_claimed) => {}
    }
    let mut retention_at: Option<tokio::time::Instant> = None;
    let mut trouble = Trouble::default();
    loop {
        let is_waiting = core.keeper.expiry.waiting().is_some();
        // What waits is looked at more often: a clock may have been put right, a person may have spoken.
        let pause_ms = if is_waiting { RETENTION_WAITING_TICK_MS } else { RETENTION_TICK_MS };
        let is_retention_due = retention_at.is_none_or(|at| at.elapsed() >= Duration::from_millis(pause_ms))
            || (is_waiting && expiry::is_confirmed(&core).await);
        match steps(&core, is_retention_due).await {
            Ok(()) => trouble.is_over(),
            Err(error) => trouble.is_said(&error),
        }
        if is_retention_due {
            retention_at = Some(tokio::time::Instant::now());
        }
        let is_waiting = core.keeper.expiry.waiting().is_some();
        let tick_ms = if is_waiting { CONFIRMATION_TICK_MS } else { KEEPER_TICK_MS };
        tokio::select! {
            () = core.is_gone.cancelled() => return,
            () = core.keeper.wake.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(tick_ms)) => {}
        }
    }
}

/// One round of everything, for tests and for who cannot wait for the tick.
pub(crate) async fn round(core: &Arc<Core>) -> Result<(), KeeperError> {
    steps(core, true).await
}

/// Every step, whatever became of the one before: a bucket that does not answer holds up no retention. The first error.
async fn steps(core: &Arc<Core>, is_retention_due: bool) -> Result<(), KeeperError> {
    // An error is that it was closed, which nobody does.
    let _turn = core.keeper.turn.0.acquire().await;
    let left = finish_leaving(core).await;
    let made = make_room(core).await;
    let expired = if is_retention_due { expiry::expire(core).await } else { Ok(()) };
    let aged = evict_aged(core).await;
    let deleted = finish_deletions(core).await;
    let neglected = finish_neglected(core).await;
    let looked = asking::look_after_unconfirmed(core).await;
    let is_unasked = |result: &Result<(), KeeperError>| matches!(result, Err(KeeperError::Unasked(_)));
    if ![&left, &made, &aged].into_iter().any(is_unasked) {
        // Nothing is to go on account of the bucket: whether it would have answered is nobody's worry.
        core.keeper.asked.answers();
    }
    left.and(made).and(expired).and(aged).and(deleted).and(neglected).and(looked)
}

/// Why a round ended early. The next one begins where it was.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The catalog did not answer.
    #[error("catalog: {0}")]
    Catalog(#[from] CatalogError),
    /// The local store could not be worked with.
    #[error("local store: {0}")]
    Local(#[from] io::Error),
    /// The bucket could not be worked with.
    #[error("{0}")]
    Bucket(#[from] BucketError),
    /// The bucket does not tell whether it has what local copies are to go on account of.
    #[error("local copies stay, as the bucket cannot be asked for them: {0}")]
    Unasked(String),
}

/// Says trouble once, and its end.
#[derive(Default)]
struct Trouble {
    said: Option<String>,
}

impl Trouble {
    fn is_said(&mut self, error: &KeeperError) {
        let text = error.to_string();
        if self.said.as_deref() != Some(text.as_str()) {
            warn!(error = text, "housekeeping is held up and goes on with the next round");
            self.said = Some(text);
        }
    }

    fn is_over(&mut self) {
        if self.said.take().is_some() {
            info!("housekeeping goes on");
        }
    }
}

/// Frees the disk as far as it has to be and may be.
async fn make_room(core: &Arc<Core>) -> Result<(), KeeperError> {
    let config = core.config.retention;
    let mut is_evicting = false;
    // Why the bucket could not be asked for what it has, in this round.
    let mut unasked: Option<String> = None;
    // Protected copies are evicted too, so an empty answer is final for this round.
    for _ in 0..MAX_SPACE_ROUNDS {
        let free_bytes = free_bytes(core).await?;
        core.keeper.note(|status| status.free_bytes = Some(free_bytes));
        let is_low = free_bytes < config.min_free_bytes;
        let (mut evictable, mut deletable) = (Vec::new(), Vec::new());
        let is_stopped = core.keeper.is_stopped();
        if is_low || is_evicting || is_stopped {
            evictable = core.catalog.evictable_segments(EVICTIONS_PER_ROUND).await?;
            let is_stuck = evictable.is_empty() || unasked.is_some();
            if (is_low || is_stopped) && is_stuck && config.on_full == OnFull::OldestFirst {
                // One at a time: not one more than needed.
                deletable = core.catalog.oldest_local_segments(1).await?;
            }
        }
        let facts = Facts {
            free_bytes,
            floor_bytes: config.min_free_bytes,
            has_evictable: !evictable.is_empty() && unasked.is_none(),
            has_deletable: !deletable.is_empty(),
            on_full: config.on_full,
            is_stopped,
            is_evicting,
            silence: silence(core, unasked.is_some()),
        };
        match space::decide(facts) {
            Action::Rest => return unasked.map_or(Ok(()), |reason| Err(KeeperError::Unasked(reason))),
            Action::Evict => {
                is_evicting = true;
                unasked = evict(core, evictable).await?;
            }
            Action::Delete => lose(core, &deletable, free_bytes).await?,
            Action::Stop => {
                core.keeper.is_stopped.store(true, Ordering::Release);
                error!(
                    free_bytes,
                    min_free_bytes = config.min_free_bytes,
                    "the disk is full and nothing may be given up: RECORDING STOPS until there is room"
                );
                return unasked.map_or(Ok(()), |reason| Err(KeeperError::Unasked(reason)));
            }
            Action::Resume => {
                core.keeper.is_stopped.store(false, Ordering::Release);
                info!(free_bytes, "there is room again: recording goes on");
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn free_bytes(core: &Arc<Core>) -> Result<u64, KeeperError> {
    let core = Arc::clone(core);
    let free = tokio::task::spawn_blocking(move || {
        let spool = core.disk.free_bytes(&core.config.spool)?;
        // The folder of the store is made with the first segment.
        let store = core.disk.free_bytes(&core.config.store).unwrap_or(u64::MAX);
        Ok::<_, io::Error>(spool.min(store))
    });
    Ok(free.await.map_err(io::Error::other)??)
}

/// How the bucket answers for the copies that are there. What it had lost and is sent again is as good as unanswered: it may
/// go in a while, and footage that is given up meanwhile would be given up for nothing.
fn silence(core: &Arc<Core>, is_unasked: bool) -> Silence {
    match core.keeper.asked.silence().filter(|_| is_unasked) {
        None if core.keeper.asked.is_taking_up() => Silence::Short,
        None => Silence::No,
        Some((since, _)) if since < Duration::from_millis(SILENT_BUCKET_MS) => Silence::Short,
        Some(_) => Silence::Long,
    }
}

/// Removes local copies of what the bucket has, as it says when it is asked. Returns why it could not be asked for the rest.
async fn evict(core: &Arc<Core>, rows: Vec<SegmentRow>) -> Result<Option<String>, KeeperError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let answers = asking::ask(core, rows).await?;
    if !answers.there.is_empty() {
        let ids: Vec<Uuid> = answers.there.iter().map(|row| row.id).collect();
        core.catalog.leave_local(&ids).await?;
        remove_leaving(core, answers.there).await?;
        core.keeper.note(|status| status.evicted_segments += ids.len() as u64);
        info!(
            segments = ids.len(),
            missing = answers.missing,
            "local copies that the bucket has are removed"
        );
    }
    Ok(answers.silence)
}

/// Removes the files of local copies whose rows say that they leave.
async fn remove_leaving(core: &Arc<Core>, rows: Vec<SegmentRow>) -> Result<(), KeeperError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    for row in rows {
        remove_local(core, row.object_name).await?;
    }
    Ok(core.catalog.left_local(&ids).await?)
}

/// Removes the files of local copies that a crash, or an error, has left leaving. The bucket is asked again: what it had
/// then it may have lost since.
async fn finish_leaving(core: &Arc<Core>) -> Result<(), KeeperError> {
    loop {
        let rows = core.catalog.leaving_segments(EVICTIONS_PER_ROUND).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let (mut going, stale): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| core.keeper.asked.is_fresh(row.id));
        let mut silence = None;
        if !stale.is_empty() {
            let answers = asking::ask(core, stale).await?;
            going.extend(answers.there);
            silence = answers.silence;
        }
        remove_leaving(core, going).await?;
        if let Some(reason) = silence {
            return Err(KeeperError::Unasked(reason));
        }
    }
}

/// Local copies that the bucket has had for as long as they were to stay.
async fn evict_aged(core: &Arc<Core>) -> Result<(), KeeperError> {
    let Some(keep_us) = core.config.retention.keep_local_us else { return Ok(()) };
    let is_aged = |row: &SegmentRow, now_us: i64| {
        row.end_us.is_some_and(|end_us| end_us <= now_us.saturating_sub(keep_us))
    };
    loop {
        let now_us = core.clock.now_us();
        let mut rows = core.catalog.evictable_segments(EVICTIONS_PER_ROUND).await?;
        rows.retain(|row| is_aged(row, now_us));
        if rows.is_empty() || core.is_gone.is_cancelled() {
            return Ok(());
        }
        // Copies that wait for a right clock cost nothing but space.
        let (judged_us, doubt) = expiry::judged(core, true).await?;
        rows.retain(|row| is_aged(row, judged_us));
        if doubt.is_some() || rows.is_empty() {
            return Ok(());
        }
        if let Some(reason) = evict(core, rows).await? {
            return Err(KeeperError::Unasked(reason));
        }
    }
}

/// Gives up footage for want of space: its time is a gap, and somebody hears of it. Of what the bucket has by its row, and
/// does not say now, only the copy is given up: that is less than the policy allows, and all of it is looked for later.
async fn lose(core: &Arc<Core>, rows: &[SegmentRow], free_bytes: u64) -> Result<(), KeeperError> {
    let (stored, sealed): (Vec<_>, Vec<_>) =
        rows.iter().cloned().partition(|row| row.state == SegmentState::Stored);
    if !stored.is_empty() {
        let ids: Vec<Uuid> = stored.iter().map(|row| row.id).collect();
        core.catalog.leave_local(&ids).await?;
        for row in &stored {
            core.keeper.is_unconfirmed(row.id);
            error!(
                segment_id = %row.id,
                object = row.object_name,
                free_bytes,
                "the disk is full and the bucket does not answer: A LOCAL COPY IS GIVEN UP that the bucket had when it was last seen"
            );
        }
        remove_leaving(core, stored).await?;
    }
    let ids: Vec<Uuid> = sealed.iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let lost = core.catalog.delete_segments(&ids, DeletionReason::Space, Some(EndCause::Disk)).await?;
    for deletion in &lost {
        error!(
            channel_id = %deletion.channel_id,
            segment_id = %deletion.segment_id,
            start_us = deletion.start_us,
            size_bytes = deletion.size_bytes,
            free_bytes,
            "the disk is full: FOOTAGE IS GIVEN UP, the oldest first"
        );
    }
    let now_us = u64::try_from(core.clock.now_us()).unwrap_or(0);
    core.keeper.last_loss_us.store(now_us, Ordering::Relaxed);
    core.keeper.note(|status| status.lost_segments += lost.len() as u64);
    // The local bytes at once: they are what is needed. What the bucket has of them goes with the deletions.
    for deletion in lost {
        remove_local(core, deletion.object_name).await?;
    }
    Ok(())
}

/// Removes the bytes of what was deleted: first here, then in the bucket, where it is tried until it is done.
async fn finish_deletions(core: &Arc<Core>) -> Result<(), KeeperError> {
    let mut failed: HashSet<Uuid> = HashSet::new();
    loop {
        let pending = core.catalog.pending_deletions(DELETIONS_PER_ROUND).await?;
        core.keeper.note(|status| status.pending_deletions = pending.len() as u64);
        let pending: Vec<Deletion> =
            pending.into_iter().filter(|deletion| !failed.contains(&deletion.segment_id)).collect();
        if pending.is_empty() || core.is_gone.is_cancelled() {
            return Ok(());
        }
        for deletion in pending {
            if core.bucket.is_none() && deletion.was_stored && deletion.node_id != core.catalog.node_id() {
                // Only a bucket has it, and that is another node's.
                failed.insert(deletion.segment_id);
                continue;
            }
            remove_local(core, deletion.object_name.clone()).await?;
            if core.bucket.is_some() && !core.upload.give_up(deletion.segment_id) {
                // A step of its upload runs and may put something into the bucket yet.
                failed.insert(deletion.segment_id);
                continue;
            }
            if let Some(bucket) = &core.bucket
                && let Err(error) = remove_remote(bucket.as_ref(), &deletion).await
            {
                if error.is_transient() {
                    return Err(error.into());
                }
                warn!(object = deletion.object_name, %error, "a deletion in the bucket is refused and tried again later");
                failed.insert(deletion.segment_id);
                continue;
            }
            core.catalog.deletion_done(deletion.segment_id).await?;
        }
        if !failed.is_empty() {
            return Ok(());
        }
    }
}

/// What other nodes held and have not removed from the bucket for long: their files wait for them, the bucket need not.
async fn finish_neglected(core: &Arc<Core>) -> Result<(), KeeperError> {
    let Some(bucket) = &core.bucket else { return Ok(()) };
    let before_us = core.clock.now_us().saturating_sub(NEGLECTED_DELETION_US);
    for deletion in core.catalog.neglected_deletions(before_us, DELETIONS_PER_ROUND).await? {
        match remove_remote(bucket.as_ref(), &deletion).await {
            Ok(()) => core.catalog.deletion_left_bucket(deletion.segment_id).await?,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                warn!(object = deletion.object_name, %error, "a deletion in the bucket is refused and tried again later");
            }
        }
    }
    Ok(())
}

async fn remove_remote(bucket: &dyn Bucket, deletion: &Deletion) -> Result<(), BucketError> {
    if !deletion.was_stored {
        // It may have been on its way.
        for upload in bucket.uploads(&deletion.object_name).await? {
            bucket.abort_upload(&upload.name, &upload.upload_id).await?;
        }
    }
    bucket.delete(&deletion.object_name).await
}

async fn remove_local(core: &Arc<Core>, object_name: String) -> Result<(), KeeperError> {
    let core = Arc::clone(core);
    let removed = tokio::task::spawn_blocking(move || core.store.remove(&object_name));
    Ok(removed.await.map_err(io::Error::other)??)
}

/// Whether the local store has a segment, whole.
async fn store_has(core: &Arc<Core>, row: &SegmentRow) -> Result<bool, KeeperError> {
    let (core, name, size_bytes) = (Arc::clone(core), row.object_name.clone(), row.size_bytes);
    let found = tokio::task::spawn_blocking(move || match core.store.open(&name) {
        Ok(file) => Ok(file.len()? == size_bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    });
    Ok(found.await.map_err(io::Error::other)??)
}
