//! Whether catalog, local store and bucket agree, and mending what can be mended without losing anything.
//!
//! Belongs here: what is compared with what (`merge`), what each difference means, looking again before it is called a
//! fault, reading copies through (`reading`), mending (`mend`). A running archive goes on beside it: what is deleted,
//! evicted or stored meanwhile is no fault, since a row is changed before the bytes go and after they have come. So
//! whatever is missing is looked for first, and then the row is read again: only if that still promises it, it is gone.

mod mend;
mod merge;
mod reading;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use catalog::{Catalog, LocalCopy, MAX_SEGMENT_US, SegmentRow, SegmentState};
use futures_util::TryStreamExt as _;
use media::mp4::reader::{SEALED_HEAD_BYTES, sealed_moov_offset};
use uuid::Uuid;
use world::{Clock, Disk};

use self::{
    merge::{Merge, Pair},
    reading::{Copy, Sums},
};
use crate::{
    bucket::{Bucket, ObjectMeta},
    error::ArchiveError,
    limits::{MAX_REPORTED, ORPHAN_OBJECT_AGE_US, VERIFY_CONCURRENCY},
    name::ObjectName,
    objects::{Objects, local_len, patiently},
    origin::Origin,
    read::Reader,
    store::{FolderStore, Store as _},
    upload::filled_bucket,
};

/// What is looked at, and what is done about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyConfig {
    /// Folder of the local store.
    pub store: PathBuf,
    /// Length of the parts that were uploaded, where entity tags are MD5s: then they are computed again.
    pub etag_part_bytes: Option<u64>,
    /// Read and check every byte of every copy.
    pub is_deep: bool,
    /// Only this club.
    pub club: Option<String>,
    /// Mend what can be mended without losing anything.
    pub mends: bool,
    /// Remove objects that no row names.
    pub removes_orphans: bool,
}

/// Where a copy is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// In the local store.
    Local,
    /// In the bucket.
    Bucket,
}

/// What is wrong with a copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultKind {
    /// A row promises it, and it is not there.
    Missing,
    /// It is shorter than its row says.
    Short,
    /// It is longer than its row says.
    Long,
    /// The bucket has other bytes under its name than those that were stored.
    Etag,
    /// It was read, and is not what it should be.
    Corrupted,
    /// It is there, and no row names it.
    Orphan,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub side: Side,
    /// What.
    pub kind: FaultKind,
    /// The segment.
    pub segment_id: Uuid,
    /// Its channel.
    pub channel_id: Uuid,
    /// UTC microseconds of its start; of an orphan to the second.
    pub start_us: i64,
    /// Its name in store and bucket.
    pub object_name: String,
    /// What was found, for people.
    pub says: String,
    /// Whether it was mended, or removed, as asked.
    pub is_mended: bool,
}

/// What a run has found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// Rows that were compared with the local store, and with the bucket.
    pub rows: u64,
    /// Copies that are there as their rows promise, over both sides.
    pub good_copies: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Segments that grow, or wait for the repair of the next start: they promise nothing yet.
    pub growing: u64,
    /// Objects that are not ours.
    pub foreign: u64,
    /// Copies that are on the disks of other nodes: they are looked at there.
    pub elsewhere: Vec<HeldElsewhere>,
    /// What is wrong, the first [`MAX_REPORTED`] of it.
    pub faults: Vec<Fault>,
    /// How many faults there are in all.
    pub fault_count: u64,
    /// How many of them are not mended.
    pub unmended: u64,
    /// The bucket that was filled last, where that is another one than this.
    pub other_bucket: Option<String>,
}

/// Copies on the disk of another node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldElsewhere {
    /// Which node; `None` for rows that no node has claimed.
    pub node_id: Option<Uuid>,
    /// What it is called, where that is known.
    pub name: Option<String>,
    /// How many whole segments it holds.
    pub segments: u64,
}

/// How far a run is; read it at any time.
#[derive(Debug, Default)]
pub struct VerifyProgress {
    total: AtomicU64,
    done: AtomicU64,
    read_bytes: AtomicU64,
    faults: AtomicU64,
}

impl VerifyProgress {
    /// Rows that will be compared, about.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Rows that were compared.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Bytes that were read.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Faults so far.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    fn read(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Compares what is recorded in the catalog with what is there. Works beside a running archive and without one.
pub struct Verifier {
    catalog: Catalog,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    bucket: Option<Arc<dyn Bucket>>,
    store: Arc<FolderStore>,
    config: VerifyConfig,
    progress: Arc<VerifyProgress>,
    report: Mutex<VerifyReport>,
    /// Whole segments that are not this node's to look at, by their holders.
    elsewhere: Mutex<BTreeMap<Option<Uuid>, u64>>,
    /// Whether another node than this one may have what no node has claimed.
    has_others: AtomicBool,
}

impl Verifier {
    /// A comparison that has not begun.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        bucket: Option<Arc<dyn Bucket>>,
        config: VerifyConfig,
    ) -> Self {
        let store = Arc::new(FolderStore::new(Arc::clone(&disk), config.store.clone()));
        let (progress, report) = (Arc::default(), Mutex::default());
        let (elsewhere, has_others) = (Mutex::default(), AtomicBool::new(false));
        Self { catalog, disk, clock, bucket, store, config, progress, report, elsewhere, has_others }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Arc<VerifyProgress> {
        Arc::clone(&self.progress)
    }

    /// Compares everything once.
    ///
    /// # Errors
    /// What kept it from looking: catalog, local store or bucket do not answer. A fault is no error.
    pub async fn run(self) -> Result<VerifyReport, ArchiveError> {
        let sides = if self.bucket.is_some() { &[Side::Local, Side::Bucket][..] } else { &[Side::Local] };
        let routes = self.catalog.channel_routes().await?;
        let is_meant = |club: &Option<String>| self.config.club.is_none() || *club == self.config.club;
        let mut channels = Vec::new();
        for route in routes.into_iter().filter(|route| is_meant(&route.club_slug)) {
            let footage = self.catalog.footage(route.channel.id).await?;
            self.progress.total.fetch_add(footage.segments * sides.len() as u64, Ordering::Relaxed);
            channels.push(route.channel.id);
        }
        let nodes = self.catalog.nodes().await?;
        let me = self.catalog.node_id();
        self.has_others.store(nodes.iter().any(|node| Some(node.id) != me), Ordering::Relaxed);
        let growing = self.catalog.growing_segments().await?;
        let growing = growing.iter().filter(|row| channels.contains(&row.channel_id)).count();
        self.note(|report| report.growing = growing as u64);
        for side in sides {
            self.walk(*side, channels.clone()).await?;
        }
        let other_bucket = self.other_bucket().await?;
        let mut report = self.report.into_inner().unwrap_or_else(PoisonError::into_inner);
        let elsewhere = self.elsewhere.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.elsewhere = elsewhere
            .into_iter()
            .map(|(node_id, segments)| HeldElsewhere {
                node_id,
                name: nodes.iter().find(|node| Some(node.id) == node_id).map(|node| node.name.clone()),
                segments,
            })
            .collect();
        report.faults.sort_by(|a, b| (&a.object_name, a.side as u8).cmp(&(&b.object_name, b.side as u8)));
        report.read_bytes = self.progress.read_bytes();
        report.other_bucket = other_bucket;
        Ok(report)
    }

    async fn other_bucket(&self) -> Result<Option<String>, ArchiveError> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        let filled = filled_bucket(&self.catalog).await?;
        Ok(filled.filter(|filled| *filled != bucket.describe()))
    }

    async fn walk(&self, side: Side, channels: Vec<Uuid>) -> Result<(), ArchiveError> {
        let prefix = self.config.club.as_ref().map_or(String::new(), |club| format!("{club}/"));
        let objects = match (side, &self.bucket) {
            (Side::Bucket, Some(bucket)) => Objects::in_bucket(Arc::clone(bucket), &prefix),
            (Side::Bucket, None) => return Ok(()),
            (Side::Local, _) => Objects::in_store(Arc::clone(&self.disk), self.config.store.clone(), &prefix),
        };
        let mut merge = Merge::new(&self.catalog, objects, channels);
        loop {
            let pairs = merge.page().await?;
            if pairs.is_empty() {
                return Ok(());
            }
            futures_util::stream::iter(pairs.into_iter().map(Ok))
                .try_for_each_concurrent(VERIFY_CONCURRENCY, |pair| self.look(side, pair))
                .await?;
        }
    }

    async fn look(&self, side: Side, pair: Pair) -> Result<(), ArchiveError> {
        match pair {
            Pair::Foreign => self.note(|report| report.foreign += 1),
            Pair::Object(name, meta) => self.look_at_object(side, name, meta).await?,
            Pair::Both(row, meta) => {
                self.look_at_copy(side, *row, meta).await?;
                self.compared();
            }
            Pair::Row(row) if self.is_elsewhere(side, &row) => {
                // A folder that was copied has the file as well, under a name that no walk of it need show.
                if row.node_id.is_none() && self.present(side, &row.object_name).await?.is_some() {
                    self.note(|report| report.good_copies += 1);
                } else {
                    self.counts_elsewhere(&row);
                }
                self.compared();
            }
            Pair::Row(row) => {
                if is_promised(side, &row) {
                    match self.present(side, &row.object_name).await? {
                        Some(meta) => self.look_at_copy(side, *row, meta).await?,
                        None => self.is_missing(side, &row).await?,
                    }
                }
                self.compared();
            }
        }
        Ok(())
    }

    /// A copy that is where its row says, or is not promised by it.
    async fn look_at_copy(&self, side: Side, row: SegmentRow, meta: ObjectMeta) -> Result<(), ArchiveError> {
        if side == Side::Local && row.node_id.is_some() && self.is_elsewhere(side, &row) {
            // A copy of what that node holds, in a folder that was copied: nothing is promised of it.
            self.counts_elsewhere(&row);
            return Ok(());
        }
        if !is_promised(side, &row) {
            // On its way in or out; but a file whose row says that it is gone was forgotten on its way.
            if side == Side::Local && row.local_copy == LocalCopy::None {
                self.is_forgotten(row).await?;
            }
            return Ok(());
        }
        if meta.size_bytes != row.size_bytes || !is_same_tag(side, &row, &meta) {
            return self.is_other(side, &row).await;
        }
        if self.config.is_deep {
            match self.read(side, &row).await? {
                Some(Copy::Bad(says)) => return self.fault(side, FaultKind::Corrupted, &row, says).await,
                Some(Copy::Gone) => return self.is_missing(side, &row).await,
                Some(Copy::Good) | None => {}
            }
        }
        self.note(|report| report.good_copies += 1);
        Ok(())
    }

    /// A copy that was not there: what does its row say now?
    async fn is_missing(&self, side: Side, row: &SegmentRow) -> Result<(), ArchiveError> {
        match self.still_promised(side, row.id).await? {
            Some(row) => {
                let says = "the catalog promises it, and it is not there";
                self.fault(side, FaultKind::Missing, &row, says.to_owned()).await
            }
            None => Ok(()),
        }
    }

    /// A copy that differs from its row: is it still so?
    async fn is_other(&self, side: Side, row: &SegmentRow) -> Result<(), ArchiveError> {
        let Some(meta) = self.present(side, &row.object_name).await? else {
            return self.is_missing(side, row).await;
        };
        let Some(row) = self.still_promised(side, row.id).await? else { return Ok(()) };
        let (is, should) = (meta.size_bytes, row.size_bytes);
        let (kind, says) = match is.cmp(&should) {
            std::cmp::Ordering::Less => (FaultKind::Short, format!("it has {is} bytes of {should}")),
            std::cmp::Ordering::Greater => (FaultKind::Long, format!("it has {is} bytes, not {should}")),
            std::cmp::Ordering::Equal if is_same_tag(side, &row, &meta) => return Ok(()),
            std::cmp::Ordering::Equal => {
                let known = row.etag.as_deref().unwrap_or_default();
                (FaultKind::Etag, format!("its entity tag is {}, and was {known}", meta.etag))
            }
        };
        self.fault(side, kind, &row, says).await
    }

    /// A local file that its row gave up: its bytes are nobody's.
    async fn is_forgotten(&self, row: SegmentRow) -> Result<(), ArchiveError> {
        if self.present(Side::Local, &row.object_name).await?.is_none() {
            return Ok(());
        }
        let again = self.catalog.segment(row.id).await?;
        let Some(row) = again.filter(|row| row.local_copy == LocalCopy::None) else { return Ok(()) };
        let says = "the catalog counts on the bucket's copy alone";
        self.fault(Side::Local, FaultKind::Orphan, &row, says.to_owned()).await
    }

    /// An object without a row beside it.
    async fn look_at_object(
        &self,
        side: Side,
        name: ObjectName,
        meta: ObjectMeta,
    ) -> Result<(), ArchiveError> {
        let known_us = Some(meta.modified_us).filter(|at_us| *at_us > 0);
        let since_us = known_us.unwrap_or(name.second_us.saturating_add(MAX_SEGMENT_US));
        if self.now_us(side).await.saturating_sub(since_us) < ORPHAN_OBJECT_AGE_US {
            return Ok(());
        }
        let claim = self.claimed(&name, &meta.name).await?;
        let says = match claim {
            Claim::Yes => return Ok(()),
            Claim::Elsewhere => "its segment has another name in the catalog",
            Claim::Deleted => "its segment was deleted, and this was left",
            Claim::No => "the catalog knows no such segment",
        };
        // Removed meanwhile, by a deletion that is done by now?
        if self.present(side, &meta.name).await?.is_none() {
            return Ok(());
        }
        let mut fault = Fault {
            side,
            kind: FaultKind::Orphan,
            segment_id: name.id,
            channel_id: name.channel_id,
            start_us: name.second_us,
            object_name: meta.name,
            says: says.to_owned(),
            is_mended: false,
        };
        // An old backup of the catalog does not know its newest segments: they are not removed on its word.
        let is_kept = self.config.removes_orphans
            && matches!(claim, Claim::No)
            && self.is_recording(side, &fault.object_name, meta.size_bytes).await?;
        if is_kept {
            fault.says = format!("{}; it is kept, as it is a recording that reindex takes in", fault.says);
        } else {
            self.remove_orphan(&mut fault).await?;
        }
        self.found(fault);
        Ok(())
    }

    /// What time it is, by the clock that is behind: the bucket's has dated its objects, and one that is ahead makes orphans
    /// of what came a moment ago.
    async fn now_us(&self, side: Side) -> i64 {
        let theirs = match &self.bucket {
            Some(bucket) if side == Side::Bucket => bucket.clock().await,
            _ => None,
        };
        theirs.map_or(i64::MAX, |clock| clock.now_us).min(self.clock.now_us())
    }

    /// Whether an object begins as a sealed segment of its length does.
    async fn is_recording(&self, side: Side, name: &str, size_bytes: u64) -> Result<bool, ArchiveError> {
        let head_len = SEALED_HEAD_BYTES as u64;
        if size_bytes < head_len {
            return Ok(false);
        }
        let origin = match (side, &self.bucket) {
            (Side::Bucket, Some(bucket)) => Origin::object(Arc::clone(bucket), name),
            _ => {
                let (store, name) = (Arc::clone(&self.store), name.to_owned());
                match tokio::task::spawn_blocking(move || store.open(&name)).await {
                    Ok(Ok(file)) => Origin::File(file),
                    // What cannot be looked at is not removed.
                    Ok(Err(error)) => return Ok(error.kind() != std::io::ErrorKind::NotFound),
                    Err(error) => {
                        return Err(ArchiveError::io("reading", std::io::Error::other(error)));
                    }
                }
            }
        };
        match Reader::new().read(origin, 0..head_len).await {
            Ok(head) => Ok(sealed_moov_offset(&head).is_some_and(|offset| offset < size_bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ArchiveError::io(format!("reading {name}"), error)),
        }
    }

    /// Whether somebody has a use for an object.
    async fn claimed(&self, name: &ObjectName, object_name: &str) -> Result<Claim, ArchiveError> {
        if let Some(row) = self.catalog.segment(name.id).await? {
            return Ok(if row.object_name == object_name { Claim::Yes } else { Claim::Elsewhere });
        }
        Ok(match self.catalog.deletion(name.id).await? {
            // Its bytes go as soon as they can.
            Some(deletion) if deletion.done_us.is_none() => Claim::Yes,
            Some(_) => Claim::Deleted,
            None => Claim::No,
        })
    }

    /// Whether a row promises bytes on another disk than this node's. What no node has claimed is here, unless others than
    /// this one have had the catalog.
    fn is_elsewhere(&self, side: Side, row: &SegmentRow) -> bool {
        let is_promised = side == Side::Local && row.is_whole() && row.local_copy != LocalCopy::None;
        is_promised
            && match row.node_id {
                Some(id) => Some(id) != self.catalog.node_id(),
                None => self.catalog.node_id().is_some() && self.has_others.load(Ordering::Relaxed),
            }
    }

    fn counts_elsewhere(&self, row: &SegmentRow) {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        *elsewhere.entry(row.node_id).or_default() += 1;
    }

    /// What is there under a name.
    async fn present(&self, side: Side, name: &str) -> Result<Option<ObjectMeta>, ArchiveError> {
        match (side, &self.bucket) {
            (Side::Bucket, Some(bucket)) => Ok(patiently(|| bucket.head(name)).await?),
            (Side::Bucket, None) => Ok(None),
            (Side::Local, _) => {
                let len = local_len(&self.disk, &self.config.store, name).await?;
                Ok(len.map(|size_bytes| ObjectMeta {
                    name: name.to_owned(),
                    size_bytes,
                    etag: String::new(),
                    modified_us: 0,
                }))
            }
        }
    }

    /// A row as it is now, if it still promises a copy.
    async fn still_promised(&self, side: Side, id: Uuid) -> Result<Option<SegmentRow>, ArchiveError> {
        Ok(self.catalog.segment(id).await?.filter(|row| is_promised(side, row)))
    }

    /// Reads a copy through; `None` when its segment is gone.
    async fn read(&self, side: Side, row: &SegmentRow) -> Result<Option<Copy>, ArchiveError> {
        let index = self.catalog.segment_indexes(&[row.id]).await?.pop();
        let Some((_, index)) = index else {
            let is_gone = self.catalog.segment(row.id).await?.is_none();
            return Ok((!is_gone).then(|| Copy::Bad("the catalog has no index of it".into())));
        };
        let sums = match Sums::new(row, &index, self.config.etag_part_bytes) {
            Ok(sums) => sums,
            Err(says) => return Ok(Some(Copy::Bad(says))),
        };
        match (side, &self.bucket) {
            (Side::Bucket, Some(bucket)) => {
                sums.read_object(bucket, &row.object_name, &self.progress).await.map(Some)
            }
            (Side::Bucket, None) => Ok(None),
            (Side::Local, _) => {
                let (disk, progress) = (Arc::clone(&self.disk), self.progress());
                let path = self.config.store.join(&row.object_name);
                let read =
                    tokio::task::spawn_blocking(move || sums.read_file(disk.as_ref(), &path, &progress));
                let read =
                    read.await.map_err(|error| ArchiveError::io("checking", std::io::Error::other(error)));
                read.map(Some)
            }
        }
    }

    async fn fault(
        &self,
        side: Side,
        kind: FaultKind,
        row: &SegmentRow,
        says: String,
    ) -> Result<(), ArchiveError> {
        let mut fault = Fault {
            side,
            kind,
            segment_id: row.id,
            channel_id: row.channel_id,
            start_us: row.start_us,
            object_name: row.object_name.clone(),
            says,
            is_mended: false,
        };
        match kind {
            FaultKind::Orphan => self.remove_orphan(&mut fault).await?,
            _ => self.mend(&mut fault, row).await?,
        }
        self.found(fault);
        Ok(())
    }

    fn found(&self, fault: Fault) {
        self.progress.faults.fetch_add(1, Ordering::Relaxed);
        self.note(|report| {
            report.fault_count += 1;
            report.unmended += u64::from(!fault.is_mended);
            if report.faults.len() < MAX_REPORTED {
                report.faults.push(fault);
            }
        });
    }

    fn compared(&self) {
        self.progress.done.fetch_add(1, Ordering::Relaxed);
        self.note(|report| report.rows += 1);
    }

    fn note(&self, change: impl FnOnce(&mut VerifyReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Who has a use for an object.
enum Claim {
    Yes,
    Elsewhere,
    Deleted,
    No,
}

/// Whether a row says that a copy is there.
fn is_promised(side: Side, row: &SegmentRow) -> bool {
    match side {
        Side::Local => row.is_whole() && row.local_copy == LocalCopy::Kept,
        Side::Bucket => row.state == SegmentState::Stored,
    }
}

/// Whether a tag tells of other bytes. A listing that tells none tells nothing.
fn is_same_tag(side: Side, row: &SegmentRow, meta: &ObjectMeta) -> bool {
    match &row.etag {
        Some(etag) if side == Side::Bucket && !meta.etag.is_empty() => *etag == meta.etag,
        _ => true,
    }
}
