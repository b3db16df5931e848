//! Brings sealed segments into the bucket, part by part while they still grow.
//!
//! One task decides (`plan`: what is next; `confirm`: whether the bucket has what was sent; `health`: whether the bucket is
//! to be asked; `pace`: the bandwidth cap), a bounded number of steps run at once (`steps`). The catalog's short list of
//! unstored segments is what there is to do; what is remembered here can be lost at any instant and is found again: parts
//! that have arrived stand in the catalog and in the bucket. Nothing is given up: a segment stays on the list, and its local
//! copy in the store, until the bucket was seen to have all of it.

mod confirm;
mod health;
mod pace;
mod plan;
mod steps;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use catalog::{Catalog, CatalogError, SegmentRow};
use tokio::{sync::Notify, task::JoinSet};
use tracing::{error, info, warn};
use uuid::Uuid;

pub use self::health::{Pauses, Trouble};
use self::{
    confirm::Arrived,
    health::Health,
    pace::Pace,
    plan::{Facts, Progress, Step},
    steps::{Failure, Order, Outcome},
};
use crate::{
    bucket::{Bucket, BucketError},
    core::Core,
    limits::{
        LOCAL_RETRY_MS, MAX_UPLOAD_JOBS, ORPHAN_SWEEP_MS, ORPHAN_UPLOAD_AGE_US, PART_ATTEMPTS,
        UNREADABLE_RETRY_MS, UPLOAD_REFRESH_MS, UPLOAD_STEP_MS,
    },
    name::ObjectName,
    retry::retry,
};

/// How uploads share the uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadConfig {
    /// Length of every part but the last: at most [`UploadConfig::MAX_PART_BYTES`], and at least what the bucket takes,
    /// [`crate::limits::MIN_PART_BYTES`] for S3 and B2.
    pub part_bytes: u64,
    /// Parts that are sent at once, 1 to [`UploadConfig::MAX_CONCURRENCY`]. Each is held in memory.
    pub concurrency: usize,
    /// Bytes a second that are sent at most, on average.
    pub bytes_per_s: Option<u64>,
    /// How patiently a bucket that fails is tried again.
    pub pauses: Pauses,
}

impl UploadConfig {
    /// What is still reasonable to hold in memory several times.
    pub const MAX_PART_BYTES: u64 = 256 * 1024 * 1024;
    /// More than any uplink is filled with.
    pub const MAX_CONCURRENCY: usize = 64;
}

impl Default for UploadConfig {
    /// 16 MiB, four at once, no cap.
    fn default() -> Self {
        Self { part_bytes: 16 * 1024 * 1024, concurrency: 4, bytes_per_s: None, pauses: Pauses::default() }
    }
}

/// What the uploader has done and is at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UploadStatus {
    /// Bytes that the bucket has taken since the start.
    pub sent_bytes: u64,
    /// Segments that the bucket was seen to have since the start.
    pub stored_segments: u64,
    /// Calls that failed since the start.
    pub failed_calls: u64,
    /// Objects that were begun anew since the start.
    pub restarts: u64,
    /// Steps that run now.
    pub in_flight: usize,
    /// What is wrong with the bucket, if anything.
    pub trouble: Option<Trouble>,
}

/// What the uploader shares with the rest of the archive.
#[derive(Default)]
pub(crate) struct UploadState {
    status: Mutex<UploadStatus>,
    hands: Mutex<Hands>,
    /// Told when there is something new to upload.
    pub(crate) wake: Notify,
}

/// Who has a segment in hand: the uploader, or the one who deletes it.
#[derive(Default)]
struct Hands {
    /// Steps that run, by segment.
    busy: HashMap<Uuid, usize>,
    /// Deleted segments, of which no step begins any more. They stay in here until a list that was read after their
    /// deletion does not name them.
    given_up: HashSet<Uuid>,
}

impl UploadState {
    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment was deleted: whether nothing is sent of it any more, now and later. What a running step puts into the
    /// bucket would otherwise come after its removal from there, and stay.
    pub(crate) fn give_up(&self, id: Uuid) -> bool {
        let mut hands = self.hands();
        hands.given_up.insert(id);
        !hands.busy.contains_key(&id)
    }

    /// Takes a segment in hand for one step; `false` if it was deleted.
    fn take_in_hand(&self, id: Uuid) -> bool {
        let mut hands = self.hands();
        if hands.given_up.contains(&id) {
            return false;
        }
        *hands.busy.entry(id).or_default() += 1;
        true
    }

    /// A step is over, whichever way.
    fn let_go(&self, id: Uuid) {
        let mut hands = self.hands();
        if let Some(steps) = hands.busy.get_mut(&id) {
            *steps -= 1;
            if *steps == 0 {
                hands.busy.remove(&id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, UploadStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> UploadStatus {
        self.lock().clone()
    }
}

/// Uploads until the archive goes.
pub(crate) async fn run(core: Arc<Core>, bucket: Arc<dyn Bucket>) {
    tokio::select! {
        () = core.is_gone.cancelled() => return,
        () = take_up_the_past(&core, bucket.as_ref()) => {}
    }
    let mut uploader = Uploader::new(&core);
    let mut running: JoinSet<(Done, Result<Outcome, Failure>)> = JoinSet::new();
    loop {
        uploader.refresh(&core).await;
        uploader.sweep_orphans(&core, bucket.as_ref()).await;
        while let Some(order) = uploader.select(&core, running.len()) {
            let (core, bucket) = (Arc::clone(&core), Arc::clone(&bucket));
            let hand = Hand { core: Arc::clone(&core), id: order.id };
            running.spawn(async move {
                let _hand = hand;
                let step = steps::run(&core, bucket.as_ref(), &order);
                // Every call has a time-out of its own: this one keeps a mistake there from holding up a segment for good.
                let limit = Duration::from_millis(UPLOAD_STEP_MS);
                let result = tokio::time::timeout(limit, step).await.unwrap_or(Err(Failure::Stalled));
                (
                    Done { id: order.id, step: order.step, upload_id: order.upload_id().map(str::to_owned) },
                    result,
                )
            });
        }
        core.upload.lock().in_flight = running.len();
        tokio::select! {
            () = core.is_gone.cancelled() => return,
            Some(done) = running.join_next() => match done {
                Ok((done, result)) => uploader.apply(&core, done, result),
                // A step that panicked has left its job busy for good: all that is known of jobs is found again.
                Err(_) => uploader.forget_all(),
            },
            () = core.upload.wake.notified() => uploader.is_stale = true,
            () = tokio::time::sleep(uploader.rest()) => {}
        }
    }
}

/// The bucket that this node filled last, as it was noted; before nodes were told apart, that of whoever it was.
pub(crate) async fn filled_bucket(catalog: &Catalog) -> Result<Option<String>, CatalogError> {
    match catalog.note(&bucket_note(catalog)).await? {
        Some(filled) => Ok(Some(filled)),
        None => catalog.note(BUCKET_NOTE).await,
    }
}

/// Name of the note that says which bucket this node filled last: another one may be given it earlier or later.
fn bucket_note(catalog: &Catalog) -> String {
    catalog.node_id().map_or_else(|| BUCKET_NOTE.to_owned(), |id| format!("{BUCKET_NOTE}.{}", id.simple()))
}

/// Name of the note of a node without an id.
const BUCKET_NOTE: &str = "bucket";

/// What was recorded before there was a bucket, or with another one, is to be brought into this one as far as there are
/// local copies.
async fn take_up_the_past(core: &Core, bucket: &dyn Bucket) {
    let here = bucket.describe();
    let done = retry("looking for footage that is in no bucket", &here, u32::MAX, &core.is_gone, || async {
        let note = bucket_note(&core.catalog);
        let before = core.catalog.note(&note).await?;
        if before.as_deref() == Some(here.as_str()) {
            return Ok(());
        }
        let queued = core.catalog.queue_for_bucket().await?;
        let before = filled_bucket(&core.catalog).await?.filter(|before| *before != here);
        match before {
            None => {
                info!(bucket = here, segments = queued, "what was recorded so far is brought into the bucket")
            }
            Some(before) => warn!(
                bucket = here,
                before,
                segments = queued,
                "the bucket is another one than before: what only that one has cannot be played from here"
            ),
        }
        core.catalog.put_note(&note, &here).await
    });
    done.await;
}

/// Lets go of a segment when its step ends, be it by a panic.
struct Hand {
    core: Arc<Core>,
    id: Uuid,
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.core.upload.let_go(self.id);
    }
}

/// A step that has ended, and the upload it belonged to: that may have been given up meanwhile.
struct Done {
    id: Uuid,
    step: Step,
    upload_id: Option<String>,
}

/// One segment on its way.
struct Job {
    start_us: i64,
    object_name: String,
    sealed_bytes: Option<u64>,
    part_bytes: u64,
    progress: Progress,
    /// A step other than a part runs.
    is_busy: bool,
    is_unnoted: bool,
    stale_upload: Option<String>,
    /// Answers in a row that a part or its object was not taken.
    attempts: u32,
    /// Failures in a row of whatever kind: others have their turn meanwhile.
    failures: u32,
    /// Its file could not be read; said once.
    is_unreadable: bool,
    not_before: Option<Instant>,
}

struct Uploader {
    jobs: HashMap<Uuid, Job>,
    health: Health,
    pauses: Pauses,
    pace: Pace,
    part_bytes: u64,
    concurrency: usize,
    /// The catalog may know of more than was last seen.
    is_stale: bool,
    refreshed: Option<Instant>,
    swept: Option<Instant>,
    /// A catalog that does not answer is said once.
    is_catalog_away: bool,
}

impl Uploader {
    fn new(core: &Core) -> Self {
        let UploadConfig { part_bytes, concurrency, bytes_per_s, pauses } = core.config.upload;
        Self {
            jobs: HashMap::new(),
            health: Health::new(pauses),
            pauses,
            pace: Pace::new(bytes_per_s, now()),
            part_bytes,
            concurrency,
            is_stale: true,
            refreshed: None,
            swept: None,
            is_catalog_away: false,
        }
    }

    fn forget_all(&mut self) {
        error!("a step of an upload panicked: uploads begin anew from what catalog and bucket say");
        self.jobs.clear();
        self.is_stale = true;
    }

    /// Until it is looked again whatever happens: a segment may have grown, a pause may be over.
    fn rest(&self) -> Duration {
        let tick = self.pauses.tick;
        let until = self.health.paused_until().into_iter().chain([self.pace.ready_at()]);
        until
            .map(|at| at.saturating_duration_since(now()))
            .filter(|rest| !rest.is_zero())
            .fold(tick, Duration::min)
    }

    /// Takes up what the catalog lists, and forgets what it does not list any more.
    async fn refresh(&mut self, core: &Core) {
        self.take_growing(core);
        let is_due = self.refreshed.is_none_or(|at| now() - at >= Duration::from_millis(UPLOAD_REFRESH_MS));
        if !self.is_stale && !is_due {
            return;
        }
        self.refreshed = Some(now());
        let given_up = core.upload.hands().given_up.clone();
        let rows = match core.catalog.unstored_segments(MAX_UPLOAD_JOBS).await {
            Ok(rows) => rows,
            Err(error) => {
                if !std::mem::replace(&mut self.is_catalog_away, true) {
                    warn!(%error, "the catalog does not tell what to upload: what is known goes on");
                }
                return;
            }
        };
        self.is_catalog_away = false;
        self.is_stale = false;
        let is_all = (rows.len() as u64) < MAX_UPLOAD_JOBS;
        let listed: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
        self.jobs.retain(|id, job| {
            // What was noted a moment ago is not listed any more: its step tells of it yet.
            let is_wanted = listed.contains(id) || job.is_busy || core.registry.has(*id);
            !given_up.contains(id) && (is_wanted || (job.sealed_bytes.is_some() && !is_all))
        });
        for row in rows {
            self.take_sealed(row);
        }
        // Read after they were deleted, this list cannot have brought them back.
        core.upload.hands().given_up.retain(|id| !given_up.contains(id));
    }

    fn take_sealed(&mut self, row: SegmentRow) {
        let job = self
            .jobs
            .entry(row.id)
            .or_insert_with(|| Job::new(row.start_us, row.object_name, self.part_bytes, Progress::Unknown));
        if job.sealed_bytes.is_none() {
            job.sealed_bytes = Some(row.size_bytes);
            if let Progress::Parts(parts) = &mut job.progress {
                // Only what was durable was sent; should a repair have cut off more, it is sent again.
                parts.tags.retain(|number, _| u64::from(*number) * job.part_bytes <= row.size_bytes);
            }
        }
    }

    /// Segments that grow have parts to send before they are sealed.
    fn take_growing(&mut self, core: &Core) {
        for growing in core.registry.all() {
            if growing.synced_len() >= 2 * self.part_bytes && growing.is_registered() {
                self.jobs.entry(growing.id).or_insert_with(|| {
                    let name = growing.object_name.clone();
                    Job::new(growing.start_us, name, self.part_bytes, Progress::Unknown)
                });
            }
        }
    }

    /// The next step, of the oldest segment that has one; sealed segments come first.
    fn select(&mut self, core: &Core, running: usize) -> Option<Order> {
        let at = now();
        if running >= self.health.allowance(self.concurrency, at) {
            return None;
        }
        let may_send = self.pace.ready_at() <= at;
        let best = self
            .jobs
            .iter()
            .filter(|(_, job)| !job.is_busy && job.not_before.is_none_or(|not_before| not_before <= at))
            .filter_map(|(id, job)| {
                let durable_bytes = match job.sealed_bytes {
                    Some(len) => len,
                    None => core.registry.get(*id).map_or(0, |growing| growing.synced_len()),
                };
                let facts = Facts {
                    durable_bytes,
                    sealed_bytes: job.sealed_bytes,
                    part_bytes: job.part_bytes,
                    progress: &job.progress,
                };
                let step = plan::next(facts)?;
                (may_send || !step.is_sending()).then_some((*id, step, job))
            })
            .min_by_key(|(id, _, job)| (job.sealed_bytes.is_none(), job.start_us, *id));
        let (id, step, job) = best?;
        if !core.upload.take_in_hand(id) {
            self.jobs.remove(&id);
            // The next look is at the others.
            return self.select(core, running);
        }
        let order = Order {
            id,
            object_name: job.object_name.clone(),
            step,
            part_bytes: job.part_bytes,
            sealed_bytes: job.sealed_bytes,
            progress: job.progress.clone(),
            stale_upload: job.stale_upload.clone(),
            is_unnoted: job.is_unnoted,
        };
        let job = self.jobs.get_mut(&id)?;
        match (&mut job.progress, step) {
            (Progress::Parts(parts), Step::Part(number)) => {
                parts.in_flight.insert(number);
                let range = plan::part_range(number, job.part_bytes, job.sealed_bytes);
                self.pace.spend(range.end - range.start, at);
            }
            (_, Step::Put) => {
                job.is_busy = true;
                self.pace.spend(job.sealed_bytes.unwrap_or(0), at);
            }
            _ => job.is_busy = true,
        }
        Some(order)
    }

    fn apply(&mut self, core: &Core, done: Done, result: Result<Outcome, Failure>) {
        if let Some(job) = self.jobs.get_mut(&done.id) {
            match (&mut job.progress, done.step) {
                (Progress::Parts(parts), Step::Part(number))
                    if done.upload_id == Some(parts.upload_id.clone()) =>
                {
                    parts.in_flight.remove(&number);
                }
                // A part of an upload that was given up: whatever came of it is of no use.
                (_, Step::Part(_)) => return,
                _ => job.is_busy = false,
            }
        }
        match result {
            Ok(outcome) => self.succeeded(core, done.id, done.step, outcome),
            Err(failure) => self.failed(core, done.id, failure),
        }
        core.upload.lock().trouble = self.health.trouble().cloned();
    }

    fn succeeded(&mut self, core: &Core, id: Uuid, step: Step, outcome: Outcome) {
        if let Some(trouble) = self.health.succeeded() {
            let away_s = (core.clock.now_us() - trouble.since_us) / 1_000_000;
            info!(away_s, failures = trouble.failures, "the bucket answers again: uploads go on");
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let sent = match step {
            Step::Put => job.sealed_bytes.unwrap_or(0),
            Step::Part(number) => {
                let range = plan::part_range(number, job.part_bytes, job.sealed_bytes);
                range.end - range.start
            }
            _ => 0,
        };
        core.upload.lock().sent_bytes += sent;
        job.failures = 0;
        if step.is_sending() {
            job.attempts = 0;
        }
        match outcome {
            Outcome::Progress { progress, part_bytes, is_noted } => {
                job.progress = progress;
                job.part_bytes = part_bytes;
                if step == Step::Begin {
                    job.stale_upload = None;
                    job.is_unnoted = !is_noted;
                }
            }
            Outcome::Part { number, etag, is_noted } => {
                if let Progress::Parts(parts) = &mut job.progress {
                    parts.tags.insert(number, etag);
                }
                job.is_unnoted = !is_noted;
            }
            Outcome::NotThere { reason } => {
                warn!(segment_id = %id, reason, "an upload is not confirmed: it begins anew");
                job.restart(self.pauses.after(1, seed_of(id)));
                core.upload.lock().restarts += 1;
            }
            Outcome::Noted => {
                info!(segment_id = %id, object = job.object_name, size_bytes = job.sealed_bytes, "segment stored in the bucket");
                self.jobs.remove(&id);
                core.upload.lock().stored_segments += 1;
                core.keeper.wake.notify_one();
            }
            Outcome::Gone => {
                self.jobs.remove(&id);
            }
        }
    }

    fn failed(&mut self, core: &Core, id: Uuid, failure: Failure) {
        core.upload.lock().failed_calls += 1;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match failure {
            Failure::Catalog(error) => {
                if !std::mem::replace(&mut self.is_catalog_away, true) {
                    warn!(%error, "the catalog does not answer: uploads are noted when it does");
                }
                job.not_before = Some(now() + Duration::from_millis(LOCAL_RETRY_MS));
            }
            Failure::Local(error) => {
                if !std::mem::replace(&mut job.is_unreadable, true) {
                    error!(segment_id = %id, object = job.object_name, %error, "a segment cannot be read for its upload");
                }
                job.not_before = Some(now() + Duration::from_millis(UNREADABLE_RETRY_MS));
            }
            Failure::Stalled | Failure::Bucket(_) => {
                let error = match failure {
                    Failure::Bucket(error) => error,
                    _ => BucketError::Unreachable { reason: "a call did not end".into() },
                };
                let is_news = self.health.trouble().is_none();
                job.failures = job.failures.saturating_add(1);
                job.not_before = Some(now() + self.pauses.after(job.failures, seed_of(id)));
                match &error {
                    // Of this object alone: the bucket itself is well.
                    BucketError::NoSuchUpload | BucketError::InvalidPart { .. } => {
                        warn!(segment_id = %id, %error, "an upload begins anew");
                        job.restart(self.pauses.after(1, seed_of(id)));
                        core.upload.lock().restarts += 1;
                        return;
                    }
                    BucketError::Busy { .. } | BucketError::Checksum { .. } => job.attempts += 1,
                    _ => {}
                }
                if job.attempts >= PART_ATTEMPTS && matches!(job.progress, Progress::Parts(_)) {
                    // B2 documents that some large files only go through when they are begun anew.
                    warn!(segment_id = %id, attempts = job.attempts, %error, "a part is not taken: its object begins anew");
                    job.restart(self.pauses.after(1, seed_of(id)));
                    core.upload.lock().restarts += 1;
                }
                if is_news {
                    warn!(%error, "the bucket does not take uploads: they wait and are tried again");
                }
                self.health.failed(&error, now(), core.clock.now_us(), seed_of(id));
            }
        }
    }

    /// Aborts uploads that nobody will complete: begun long ago, and neither in the catalog nor here. With a shared bucket
    /// they may be another node's, hence the age.
    async fn sweep_orphans(&mut self, core: &Core, bucket: &dyn Bucket) {
        if self.swept.is_some_and(|at| now() - at < Duration::from_millis(ORPHAN_SWEEP_MS)) {
            return;
        }
        self.swept = Some(now());
        // By the bucket's clock, which has dated them, where ours is ahead of it.
        let theirs_us = bucket.clock().await.map_or(i64::MAX, |clock| clock.now_us);
        let before_us = core.clock.now_us().min(theirs_us).saturating_sub(ORPHAN_UPLOAD_AGE_US);
        let Ok(known) = core.catalog.upload_ids().await else { return };
        let uploads = match bucket.uploads("").await {
            Ok(uploads) => uploads,
            Err(error) => {
                warn!(%error, "the bucket does not list its uploads: orphans are looked for later");
                return;
            }
        };
        for upload in uploads.into_iter().filter(|upload| upload.started_us < before_us) {
            let is_here = self.jobs.values().any(|job| match &job.progress {
                Progress::Parts(parts) => parts.upload_id == upload.upload_id,
                _ => false,
            });
            if is_here || known.contains(&upload.upload_id) || !is_ours(core, &upload.name).await {
                continue;
            }
            match bucket.abort_upload(&upload.name, &upload.upload_id).await {
                Ok(()) => info!(object = upload.name, "an orphaned upload is aborted"),
                Err(error) => warn!(object = upload.name, %error, "an orphaned upload cannot be aborted"),
            }
        }
    }
}

impl Job {
    fn new(start_us: i64, object_name: String, part_bytes: u64, progress: Progress) -> Self {
        Self {
            start_us,
            object_name,
            sealed_bytes: None,
            part_bytes,
            progress,
            is_busy: false,
            is_unnoted: false,
            stale_upload: None,
            attempts: 0,
            failures: 0,
            is_unreadable: false,
            not_before: None,
        }
    }

    /// Begins the object anew, after a pause.
    fn restart(&mut self, pause: Duration) {
        match std::mem::replace(&mut self.progress, Progress::Idle) {
            Progress::Parts(parts) => self.stale_upload = Some(parts.upload_id),
            // The bucket said that it knows no such upload, or that it made the object: neither needs be so.
            Progress::Arrived(Arrived { upload_id: Some(id), .. }) => self.stale_upload = Some(id),
            _ => {}
        }
        self.attempts = 0;
        self.not_before = Some(now() + pause);
    }
}

/// Whether an object is of a channel that this catalog knows. Others may be another catalog's, or that of a catalog that was
/// lost: the bucket's rules clear those away.
async fn is_ours(core: &Core, object_name: &str) -> bool {
    match ObjectName::parse(object_name) {
        Some(name) => matches!(core.catalog.channel(name.channel_id).await, Ok(Some(_))),
        None => false,
    }
}

fn seed_of(id: Uuid) -> u64 {
    id.as_u64_pair().1
}

/// Tokio's clock, which tests may let run faster than the wall's.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
