//! Keeps what is to be kept and lets go of the rest: local copies that the bucket has, footage past its club's
//! retention, and, when the disk is full, what the declared policy gives up.
//!
//! Belongs here: when what goes, and in which order. A local copy goes only after its row says that the bucket has it, and
//! the row says that the copy leaves before the file does. A deletion is a row first ([`catalog::Deletion`]), so that it is
//! seen at once, survives a crash half-way and is remembered.

mod space;

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use catalog::{CatalogError, Deletion, DeletionReason, SegmentRow};
use media::EndCause;
use tokio::sync::Notify;
use tracing::{error, info, warn};
use uuid::Uuid;

pub use self::space::OnFull;
use self::space::{Action, Facts};
use crate::{
    bucket::{Bucket, BucketError},
    core::Core,
    limits::{
        DELETIONS_PER_ROUND, EVICTIONS_PER_ROUND, KEEPER_TICK_MS, MAX_SPACE_ROUNDS, NEGLECTED_DELETION_US,
        RETENTION_BATCH, RETENTION_TICK_MS,
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
}

impl Default for RetentionConfig {
    /// For ever; 2 GB; the oldest first; until the disk is full.
    fn default() -> Self {
        Self { days: None, min_free_bytes: 2_000_000_000, on_full: OnFull::OldestFirst, keep_local_us: None }
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
}

/// What the keeper shares with the rest of the archive.
#[derive(Default)]
pub(crate) struct KeeperState {
    /// Recording is stopped for want of space: the writers look.
    is_stopped: AtomicBool,
    status: Mutex<KeeperStatus>,
    /// When footage was last given up, UTC microseconds; 0 for never.
    last_loss_us: AtomicU64,
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
        let is_retention_due =
            retention_at.is_none_or(|at| at.elapsed() >= Duration::from_millis(RETENTION_TICK_MS));
        let rounds = async {
            finish_leaving(&core).await?;
            make_room(&core).await?;
            if is_retention_due {
                expire(&core).await?;
            }
            evict_aged(&core).await?;
            finish_deletions(&core).await?;
            finish_neglected(&core).await
        };
        match rounds.await {
            Ok(()) => trouble.is_over(),
            Err(error) => trouble.is_said(&error),
        }
        if is_retention_due {
            retention_at = Some(tokio::time::Instant::now());
        }
        tokio::select! {
            () = core.is_gone.cancelled() => return,
            () = core.keeper.wake.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(KEEPER_TICK_MS)) => {}
        }
    }
}

/// One round of everything, for tests and for who cannot wait for the tick.
pub(crate) async fn round(core: &Arc<Core>) -> Result<(), KeeperError> {
    finish_leaving(core).await?;
    make_room(core).await?;
    expire(core).await?;
    evict_aged(core).await?;
    finish_deletions(core).await?;
    finish_neglected(core).await
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
    // Protected copies are evicted too, so an empty answer is final for this round.
    for _ in 0..MAX_SPACE_ROUNDS {
        let free_bytes = free_bytes(core).await?;
        core.keeper.note(|status| status.free_bytes = Some(free_bytes));
        let is_low = free_bytes < config.min_free_bytes;
        let (mut evictable, mut deletable) = (Vec::new(), Vec::new());
        if is_low || is_evicting {
            evictable = core.catalog.evictable_segments(EVICTIONS_PER_ROUND).await?;
            if is_low && evictable.is_empty() && config.on_full == OnFull::OldestFirst {
                // One at a time: not one more than needed.
                deletable = core.catalog.oldest_local_segments(1).await?;
            }
        }
        let facts = Facts {
            free_bytes,
            floor_bytes: config.min_free_bytes,
            has_evictable: !evictable.is_empty(),
            has_deletable: !deletable.is_empty(),
            on_full: config.on_full,
            is_stopped: core.keeper.is_stopped(),
            is_evicting,
        };
        match space::decide(facts) {
            Action::Rest => return Ok(()),
            Action::Evict => {
                is_evicting = true;
                evict(core, &evictable).await?;
            }
            Action::Delete => lose(core, &deletable, free_bytes).await?,
            Action::Stop => {
                core.keeper.is_stopped.store(true, Ordering::Release);
                error!(
                    free_bytes,
                    min_free_bytes = config.min_free_bytes,
                    "the disk is full and nothing may be given up: RECORDING STOPS until there is room"
                );
                return Ok(());
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

/// Removes local copies of what the bucket has.
async fn evict(core: &Arc<Core>, rows: &[SegmentRow]) -> Result<(), KeeperError> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    core.catalog.leave_local(&ids).await?;
    finish_leaving(core).await?;
    core.keeper.note(|status| status.evicted_segments += ids.len() as u64);
    info!(segments = ids.len(), "local copies that the bucket has are removed");
    Ok(())
}

/// Removes the files of local copies that are leaving, those that a crash left among them.
async fn finish_leaving(core: &Arc<Core>) -> Result<(), KeeperError> {
    loop {
        let rows = core.catalog.leaving_segments(EVICTIONS_PER_ROUND).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        for row in rows {
            remove_local(core, row.object_name).await?;
        }
        core.catalog.left_local(&ids).await?;
    }
}

/// Local copies that the bucket has had for as long as they were to stay.
async fn evict_aged(core: &Arc<Core>) -> Result<(), KeeperError> {
    let Some(keep_us) = core.config.retention.keep_local_us else { return Ok(()) };
    let before_us = core.clock.now_us().saturating_sub(keep_us);
    loop {
        let mut rows = core.catalog.evictable_segments(EVICTIONS_PER_ROUND).await?;
        rows.retain(|row| row.end_us.is_some_and(|end_us| end_us <= before_us));
        if rows.is_empty() || core.is_gone.is_cancelled() {
            return Ok(());
        }
        evict(core, &rows).await?;
    }
}

/// Gives up footage for want of space: its time is a gap, and somebody hears of it.
async fn lose(core: &Arc<Core>, rows: &[SegmentRow], free_bytes: u64) -> Result<(), KeeperError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
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

/// Deletes what is older than its club keeps footage.
async fn expire(core: &Arc<Core>) -> Result<(), KeeperError> {
    let now_us = core.clock.now_us();
    let clubs = core.catalog.clubs().await?;
    let days_of: HashMap<&str, u32> =
        clubs.iter().filter_map(|club| Some((club.slug.as_str(), club.retention_days?))).collect();
    for route in core.catalog.channel_routes().await? {
        let own = route.club_slug.as_deref().and_then(|slug| days_of.get(slug).copied());
        let Some(days) = own.or(core.config.retention.days) else { continue };
        expire_channel(core, route.channel.id, now_us.saturating_sub(i64::from(days) * DAY_US)).await?;
    }
    Ok(())
}

async fn expire_channel(core: &Arc<Core>, channel_id: Uuid, before_us: i64) -> Result<(), KeeperError> {
    loop {
        let rows = core.catalog.expired_segments(channel_id, before_us, RETENTION_BATCH).await?;
        if rows.is_empty() || core.is_gone.is_cancelled() {
            return Ok(());
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let deleted = core.catalog.delete_segments(&ids, DeletionReason::Retention, None).await?;
        info!(%channel_id, segments = deleted.len(), "footage past its retention is deleted");
        core.keeper.note(|status| status.expired_segments += deleted.len() as u64);
        if deleted.is_empty() {
            return Ok(());
        }
    }
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
