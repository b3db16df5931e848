//! The archive's door: opening, recording, and ending in order. Reading is in `reading`.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use catalog::Catalog;
use media::mp4::{cut::Cut, seal::SampleTable};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;
use world::{Clock, Disk};

use crate::{
    bucket::Bucket,
    cache::ByteCache,
    clock_watch::{self, ClockState},
    config::ArchiveConfig,
    core::Core,
    cutting::Cutting,
    error::ArchiveError,
    footage::Unknown,
    gap_log::GapLog,
    growing::Registry,
    keeper::{self, KeeperError, KeeperState, TimeKeeping},
    ledger::Written,
    limits::{
        CUT_CACHE_BYTES, CUT_CONCURRENCY, FIRST_RECORDED_CACHE_BYTES, SEAL_CONCURRENCY, SHUTDOWN_MS,
        SYNC_THREADS, TABLE_CACHE_BYTES, WRITER_THREADS,
    },
    name::clean_prefix,
    queue::{ChannelQueue, Inbox, InboxEnd},
    read::Reader,
    recorder::{Recorder, RecorderTarget},
    repair,
    store::{FolderStore, Store},
    syncer::{SyncCounts, Syncer},
    upload::{self, UploadState},
    writer,
};

/// Records channels and gives ranges of them back. Clones are the same archive; when the last one goes without
/// [`Archive::shutdown`], everything stops where it is, as in a crash, and the next start repairs it.
#[derive(Clone)]
pub struct Archive {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) core: Arc<Core>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) tables: ByteCache<Uuid, Arc<SampleTable>>,
    pub(crate) cuts: ByteCache<String, Arc<Cut>>,
    pub(crate) cutting: Cutting,
    pub(crate) first_recorded: ByteCache<Uuid, i64>,
    inboxes: Vec<Arc<Inbox>>,
    queued_bytes: Arc<AtomicUsize>,
    is_repaired: watch::Receiver<bool>,
}

/// What the archive has to do at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArchiveStatus {
    /// Bytes of fragments that wait for the disk.
    pub queued_bytes: usize,
    /// Segments that grow or wait for their seal.
    pub open_segments: usize,
    /// Segments that have ended and wait for their seal or their row.
    pub unregistered_segments: usize,
    /// Bytes that are written and would not outlive a power cut yet; what the last run left counts until it is sealed.
    pub unsynced_bytes: u64,
    /// What the ticks have asked of the disk.
    pub syncs: SyncCounts,
    /// Segments that ended because the disk failed to sync them, since the start.
    pub sync_failures: u64,
    /// Bytes of fragments written since the start.
    pub recorded_bytes: u64,
    /// Segments that a crash had left and that were recovered since the start.
    pub repaired_segments: u64,
    /// Whether everything the last run left behind has been looked at.
    pub is_repaired: bool,
}

impl Archive {
    /// Opens the archive with its local store. What the last run left unsealed is repaired in the background; recording
    /// may begin at once.
    ///
    /// # Errors
    /// A setting that cannot be worked with; a spool folder that cannot be made; no tokio runtime.
    pub fn open(
        config: ArchiveConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        catalog: Catalog,
    ) -> Result<Self, ArchiveError> {
        let store = Arc::new(FolderStore::new(Arc::clone(&disk), config.store.clone()));
        Self::open_with_stores(config, disk, clock, catalog, store, None)
    }

    /// [`Archive::open`] with a bucket that sealed segments are brought to. The local store then holds the copies that are on
    /// their way, and those that stay because there is room.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_with_bucket(
        config: ArchiveConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        catalog: Catalog,
        bucket: Option<Arc<dyn Bucket>>,
    ) -> Result<Self, ArchiveError> {
        let store = Arc::new(FolderStore::new(Arc::clone(&disk), config.store.clone()));
        Self::open_with_stores(config, disk, clock, catalog, store, bucket)
    }

    /// [`Archive::open_with_bucket`] with another store on this side than a folder.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_with_stores(
        config: ArchiveConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        catalog: Catalog,
        store: Arc<dyn Store>,
        bucket: Option<Arc<dyn Bucket>>,
    ) -> Result<Self, ArchiveError> {
        config.validate()?;
        let runtime = Handle::try_current().map_err(|_| ArchiveError::NoRuntime)?;
        disk.create_dir_all(&config.spool).map_err(|error| {
            ArchiveError::io(format!("making the spool folder {}", config.spool.display()), error)
        })?;
        // Before anything is written, so that it tells of every write that fails.
        let volume = disk.volume(&config.spool).inspect_err(|error| {
            info!(%error, "the spool's file system cannot be synced as one: each file is synced by itself");
        });
        let is_gone = CancellationToken::new();
        let (repaired, is_repaired) = watch::channel(false);
        let (gap_log, gap_work) = GapLog::new(
            catalog.clone(),
            Arc::clone(&disk),
            &config.spool,
            is_repaired.clone(),
            is_gone.clone(),
        );
        runtime.spawn(gap_work);
        let sync_interval = Duration::from_micros(u64::try_from(config.sync_us).unwrap_or_default());
        let core = Arc::new(Core {
            config,
            disk,
            clock,
            clock_state: ClockState::default(),
            catalog,
            store,
            bucket: bucket.clone(),
            upload: UploadState::default(),
            keeper: KeeperState::default(),
            written: Written::default(),
            repaired: AtomicU64::default(),
            runtime: runtime.clone(),
            registry: Registry::default(),
            syncer: Syncer::new(sync_interval, volume.ok()),
            gap_log,
            gap_starts: Mutex::default(),
            unknown: Unknown::default(),
            seal_permits: Semaphore::new(SEAL_CONCURRENCY),
            unregistered: watch::Sender::new(0),
            is_claimed: watch::Sender::new(false),
            set_aside: Notify::new(),
            is_gone,
        });
        core.keeper.expiry.opened(core.clock.now_us());
        runtime.spawn(repair::run(Arc::clone(&core), repaired));
        runtime.spawn(keeper::run(Arc::clone(&core)));
        runtime.spawn(clock_watch::run(Arc::clone(&core)));
        if let Some(bucket) = bucket {
            runtime.spawn(upload::run(Arc::clone(&core), bucket));
        }
        let inboxes: Vec<_> = (0..WRITER_THREADS).map(|_| Arc::new(Inbox::default())).collect();
        let (cutting, cut_work) = Cutting::new();
        let archive = Self {
            inner: Arc::new(Inner {
                core,
                reader: Reader::new(),
                tables: ByteCache::new(TABLE_CACHE_BYTES),
                cuts: ByteCache::new(CUT_CACHE_BYTES),
                cutting,
                first_recorded: ByteCache::new(FIRST_RECORDED_CACHE_BYTES),
                inboxes,
                queued_bytes: Arc::default(),
                is_repaired,
            }),
        };
        archive.start_threads()?;
        for number in 0..CUT_CONCURRENCY {
            start_thread(format!("archive-cut-{number}"), cut_work.clone())?;
        }
        Ok(archive)
    }

    fn start_threads(&self) -> Result<(), ArchiveError> {
        let inner = &self.inner;
        for (number, inbox) in inner.inboxes.iter().enumerate() {
            let (core, inbox) = (Arc::clone(&inner.core), Arc::clone(inbox));
            start_thread(format!("archive-write-{number}"), move || writer::run(&core, &inbox))?;
        }
        for number in 0..SYNC_THREADS {
            let core = Arc::clone(&inner.core);
            start_thread(format!("archive-sync-{number}"), move || core.syncer.run(core.disk.as_ref()))?;
        }
        Ok(())
    }

    /// A recorder for one publisher of a channel.
    #[must_use]
    pub fn recorder(&self, target: RecorderTarget) -> Recorder {
        self.new_recorder(&target, false)
    }

    /// A recorder of what is past.
    pub(crate) fn backfill_recorder(&self, target: &RecorderTarget) -> Recorder {
        self.new_recorder(target, true)
    }

    fn new_recorder(&self, target: &RecorderTarget, is_backfill: bool) -> Recorder {
        // One writer per channel, so that what two recorders of it push is written in the order of their ends.
        let number = target.channel_id.as_u128() % self.inner.inboxes.len() as u128;
        let inbox = usize::try_from(number).ok().and_then(|number| self.inner.inboxes.get(number));
        let inbox = inbox.map(Arc::clone).unwrap_or_default();
        let prefix = clean_prefix(&target.prefix);
        Recorder::new(ChannelQueue::new(
            target.channel_id,
            prefix,
            (!is_backfill).then(|| self.inner.core.gap_log.clone()),
            inbox,
            Arc::clone(&self.inner.queued_bytes),
        ))
    }

    /// Waits until everything pushed so far is written to its file and can be read. Sealing goes on; see
    /// [`Archive::settle`].
    pub async fn flush(&self) {
        for queue in self.inner.inboxes.iter().flat_map(|inbox| inbox.queues()) {
            queue.wait_until_idle().await;
        }
        for segment in self.inner.core.registry.all() {
            segment.wait_registered().await;
        }
    }

    /// Waits until everything pushed so far is written, every segment that ended is a sealed row or set aside, and the
    /// causes of gaps are noted: the catalog then tells all that happened.
    pub async fn settle(&self) {
        self.flush().await;
        let mut unregistered = self.inner.core.unregistered.subscribe();
        // An error means that the archive is gone, and this call holds it.
        let _ = unregistered.wait_for(|count| *count == 0).await;
        self.inner.core.gap_log.settle().await;
    }

    /// Waits until everything the last run left behind has been looked at once.
    pub async fn wait_repaired(&self) {
        // An error means that the repair is gone with its runtime.
        let _ = self.inner.is_repaired.clone().wait_for(|is_repaired| *is_repaired).await;
    }

    /// Names who knows how this machine's clock is kept, as a witness of it before footage expires. Once, after opening.
    pub fn set_time_keeping(&self, keeping: Arc<dyn TimeKeeping>) {
        self.inner.core.keeper.expiry.set_time_keeping(keeping);
    }

    /// One round of housekeeping now: free space, retention, deletions. It also runs by itself.
    ///
    /// # Errors
    /// What held it up; the next round goes on there.
    pub async fn keep_house(&self) -> Result<(), KeeperError> {
        keeper::round(&self.inner.core).await
    }

    /// What there is to do at this instant.
    #[must_use]
    pub fn status(&self) -> ArchiveStatus {
        ArchiveStatus {
            queued_bytes: self.inner.queued_bytes.load(Ordering::Relaxed),
            open_segments: self.inner.core.registry.count(),
            unregistered_segments: *self.inner.core.unregistered.borrow(),
            unsynced_bytes: self.inner.core.registry.unsynced_bytes(),
            syncs: self.inner.core.syncer.counts(),
            sync_failures: self.inner.core.syncer.failures(),
            recorded_bytes: self.inner.core.written.total_bytes(),
            repaired_segments: self.inner.core.repaired.load(Ordering::Relaxed),
            is_repaired: *self.inner.is_repaired.borrow(),
        }
    }

    /// Writes what waits, seals every segment, and ends, within two seconds. What is not done by then is done by the
    /// repair of the next start. Afterwards recorders refuse everything; reading still works.
    pub async fn shutdown(&self) {
        let in_time = tokio::time::timeout(Duration::from_millis(SHUTDOWN_MS), self.finish()).await.is_ok();
        self.inner.abandon();
        let left = self.inner.core.registry.count();
        if in_time && left == 0 {
            info!("archive closed: every segment is sealed");
        } else {
            warn!(
                left,
                limit_ms = SHUTDOWN_MS,
                "archive closed in a hurry: the next start seals what is left"
            );
        }
    }

    fn finish(&self) -> impl Future<Output = ()> + use<> {
        let inner = Arc::clone(&self.inner);
        async move {
            inner.inboxes.iter().for_each(|inbox| inbox.end(InboxEnd::Finish));
            // The writers end by themselves; only then is it known what is to be sealed.
            for inbox in &inner.inboxes {
                inbox.wait_ended().await;
            }
            let mut unregistered = inner.core.unregistered.subscribe();
            let _ = unregistered.wait_for(|count| *count == 0).await;
            inner.core.gap_log.settle().await;
        }
    }
}

impl Inner {
    /// Stops everything where it is.
    fn abandon(&self) {
        self.inboxes.iter().for_each(|inbox| inbox.end(InboxEnd::Abandon));
        self.core.syncer.end();
        self.core.is_gone.cancel();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Starts a thread that ends when it is told to; nobody joins it, as a disk that hangs would hang the end too.
fn start_thread(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), ArchiveError> {
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map(drop)
        .map_err(|error| ArchiveError::io("starting a thread of the archive", error))
}
