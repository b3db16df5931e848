//! Rebuilding a catalog's recordings from the footage alone: the bucket's objects, the local store's files.
//!
//! An object's name tells segment, channel, court and club; its final tables tell the rest: where its fragments lie, to
//! the microsecond when it starts and ends, which session it is a part of, the sum of its bytes. Objects from before they
//! told session and end get a session of their own and the end that their ticks tell.
//!
//! What lies in quarantine is taken in as well, torn or whole, and what a node that died left in the spool.
//!
//! Nothing that the catalog has is changed, and what it says was deleted stays deleted: doing it twice is the same as
//! once.

mod leftovers;
mod places;

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use catalog::{Catalog, CatalogError, LocalCopy, MAX_SEGMENT_US, NewSegment, Place, SealedSegment};
use futures_util::{StreamExt as _, TryStreamExt as _};
use media::mp4::{
    init::init_segment,
    reader::{SEALED_HEAD_BYTES, read_moov, sealed_moov_offset},
    seal::SampleTable,
};
use uuid::Uuid;
use world::{Clock, Disk};

pub use self::places::FoundCourt;
use self::places::Places;
use crate::{
    bucket::{Bucket, ObjectMeta},
    error::ArchiveError,
    limits::{MAX_MOOV_BYTES, MAX_REPORTED, REINDEX_CONCURRENCY},
    name::ObjectName,
    objects::{Objects, patiently},
    origin::Origin,
    read::Reader,
    repair::sealed_end_us,
    segment::short_hash,
    store::{FolderStore, Store as _},
};

/// An object that no row can be made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Its name in store or bucket.
    pub object_name: String,
    /// Why.
    pub reason: String,
}

/// What a run has found and done, or, when it was dry, would do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReindexReport {
    /// Objects that were looked at.
    pub objects: u64,
    /// Segments that the catalog knew.
    pub known: u64,
    /// Segments that it knows now.
    pub added: u64,
    /// Those of them that lay in quarantine or in the spool.
    pub recovered: u64,
    /// Their bytes.
    pub added_bytes: u64,
    /// Objects of segments that were deleted and stay so.
    pub deleted: u64,
    /// Objects that are not ours.
    pub foreign: u64,
    /// Local copies that were found of segments that the bucket has.
    pub local_copies: u64,
    /// Objects that no row can be made of, the first [`MAX_REPORTED`] of them.
    pub unreadable: Vec<Unreadable>,
    /// How many there are of those.
    pub unreadable_count: u64,
    /// Clubs that were created, by slug: zone, hours and length of a match are not known.
    pub clubs: Vec<String>,
    /// Courts that were created.
    pub courts: Vec<FoundCourt>,
    /// Channels that were created: their keys are not known to anybody any more.
    pub channels: Vec<Uuid>,
}

/// How far a run is; read it at any time.
#[derive(Debug, Default)]
pub struct ReindexProgress {
    objects: AtomicU64,
    added: AtomicU64,
}

impl ReindexProgress {
    /// Objects that were looked at.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Segments that were added.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }
}

/// Rebuilds a catalog's recordings.
pub struct Reindexer {
    catalog: Catalog,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    bucket: Option<Arc<dyn Bucket>>,
    store: PathBuf,
    spool: PathBuf,
    /// No node works on the spool: what lies in it is taken in.
    takes_spool: bool,
    is_dry: bool,
    reader: Arc<Reader>,
    inits: HashSet<String>,
    places: Places,
    report: ReindexReport,
    progress: Arc<ReindexProgress>,
}

/// A segment that was read back.
struct Found {
    new: NewSegment,
    sealed: SealedSegment,
    init: Bytes,
}

impl Reindexer {
    /// A run that has not begun. `store` and `spool` are the folders of the local store and of what grows. A dry run changes
    /// nothing.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        bucket: Option<Arc<dyn Bucket>>,
        store: PathBuf,
        spool: PathBuf,
        is_dry: bool,
    ) -> Self {
        Self {
            catalog,
            disk,
            clock,
            bucket,
            store,
            spool,
            takes_spool: false,
            is_dry,
            reader: Reader::new(),
            inits: HashSet::new(),
            places: Places::default(),
            report: ReindexReport::default(),
            progress: Arc::default(),
        }
    }

    /// Takes in what lies in the spool, too. Only where no node has this data folder, and none can take it meanwhile: it would
    /// be recording into these files.
    #[must_use]
    pub fn with_spool(self) -> Self {
        Self { takes_spool: true, ..self }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Arc<ReindexProgress> {
        Arc::clone(&self.progress)
    }

    /// Reads the bucket, then the local store, then quarantine and spool: what only this side has goes on its way to the bucket.
    ///
    /// # Errors
    /// What held it up: catalog, disk or bucket do not answer. What was added so far stays; run it again.
    pub async fn run(mut self) -> Result<ReindexReport, ArchiveError> {
        if let Some(bucket) = self.bucket.clone() {
            self.walk(Objects::in_bucket(bucket, ""), true).await?;
        }
        let store = Objects::in_store(Arc::clone(&self.disk), self.store.clone(), "");
        self.walk(store, false).await?;
        self.take_leftovers().await?;
        self.look_at_spool().await?;
        let Places { clubs, courts, channels, .. } = self.places;
        self.report.clubs = clubs.into_iter().collect();
        self.report.courts = courts.into_iter().collect();
        self.report.channels = channels.into_iter().collect();
        Ok(self.report)
    }

    async fn walk(&mut self, mut objects: Objects, is_bucket: bool) -> Result<(), ArchiveError> {
        loop {
            let page = objects.page().await?;
            if page.is_empty() {
                return Ok(());
            }
            let count = page.len() as u64;
            self.report.objects += count;
            let new = self.unknown(page, is_bucket).await?;
            let (read, this) = (futures_util::stream::iter(new), &*self);
            let read = read.map(|(name, meta)| async move {
                let found = this.read(&name, &meta, is_bucket).await?;
                Ok::<_, ArchiveError>((name, meta, found))
            });
            let read: Vec<_> = read.buffered(REINDEX_CONCURRENCY).try_collect().await?;
            let mut rows = Vec::with_capacity(read.len());
            for (name, meta, found) in read {
                match found {
                    Ok(found) => rows.push((name, found)),
                    Err(reason) => self.unreadable(meta.name, reason),
                }
            }
            self.add(rows).await?;
            self.progress.objects.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The objects of a page that no row knows and nobody deleted.
    async fn unknown(
        &mut self,
        page: Vec<ObjectMeta>,
        is_bucket: bool,
    ) -> Result<Vec<(ObjectName, ObjectMeta)>, ArchiveError> {
        let named: Vec<_> = page.into_iter().map(|meta| (ObjectName::parse(&meta.name), meta)).collect();
        let ids: Vec<Uuid> = named.iter().filter_map(|(name, _)| Some(name.as_ref()?.id)).collect();
        let known = self.catalog.known_segments(&ids).await?;
        let mut unknown = Vec::new();
        for (name, meta) in named {
            match name {
                None => self.report.foreign += 1,
                Some(name) if known.contains(&name.id) => {
                    if is_bucket {
                        self.report.known += 1;
                    } else {
                        self.is_local(&name, &meta).await?;
                    }
                }
                Some(name) if self.catalog.is_deleted(name.id).await? => self.report.deleted += 1,
                Some(name) => unknown.push((name, meta)),
            }
        }
        Ok(unknown)
    }

    /// A local file of a segment that is known: a copy that can be counted on again, if its row counts on the bucket's.
    async fn is_local(&mut self, name: &ObjectName, meta: &ObjectMeta) -> Result<(), ArchiveError> {
        let row = self.catalog.segment(name.id).await?;
        if row.as_ref().is_some_and(|row| row.node_id.is_none() && row.local_copy == LocalCopy::Kept)
            && self.catalog.node_id().is_some()
            && !self.is_dry
        {
            // Nobody's so far, and here.
            let is_same =
                row.as_ref().is_some_and(|row| !row.is_whole() || row.size_bytes == meta.size_bytes);
            let ids = if is_same { &[name.id][..] } else { &[] };
            self.catalog.claim_segments(ids, None).await?;
        }
        let is_copy = row.is_some_and(|row| {
            row.is_whole()
                && row.local_copy == LocalCopy::None
                && (&row.object_name, row.size_bytes) == (&meta.name, meta.size_bytes)
        });
        if is_copy {
            self.report.local_copies += 1;
            if !self.is_dry {
                self.catalog.found_local(&[name.id]).await?;
            }
        } else if self.bucket.is_none() {
            self.report.known += 1;
        }
        Ok(())
    }

    /// Reads an object back: its head, and its tables. The inner error is about the object.
    async fn read(
        &self,
        name: &ObjectName,
        meta: &ObjectMeta,
        is_bucket: bool,
    ) -> Result<Result<Found, String>, ArchiveError> {
        let origin = match (&self.bucket, is_bucket) {
            (Some(bucket), true) => Origin::object(Arc::clone(bucket), &meta.name),
            _ => {
                let store = FolderStore::new(Arc::clone(&self.disk), self.store.clone());
                let object_name = meta.name.clone();
                match self.reader.run(move || store.open(&object_name)).await {
                    Ok(file) => Origin::File(file),
                    Err(error) => return Ok(Err(error.to_string())),
                }
            }
        };
        let head_len = SEALED_HEAD_BYTES as u64;
        if meta.size_bytes < head_len {
            return Ok(Err("it is too short".into()));
        }
        let head = match self.bytes(&origin, meta, 0..head_len).await? {
            Ok(head) => head,
            Err(reason) => return Ok(Err(reason)),
        };
        let offset = sealed_moov_offset(&head).filter(|offset| *offset < meta.size_bytes);
        let Some(offset) = offset.filter(|offset| meta.size_bytes - offset <= MAX_MOOV_BYTES) else {
            return Ok(Err("it is not sealed".into()));
        };
        let moov = match self.bytes(&origin, meta, offset..meta.size_bytes).await? {
            Ok(moov) => moov,
            Err(reason) => return Ok(Err(reason)),
        };
        let table = match tokio::task::spawn_blocking(move || read_moov(&moov)).await {
            Ok(Ok(table)) if table.end_offset() == offset => table,
            Ok(Ok(_)) => return Ok(Err("its tables end elsewhere".into())),
            Ok(Err(error)) => return Ok(Err(error.to_string())),
            Err(error) => return Err(ArchiveError::io("reading tables", io::Error::other(error))),
        };
        let place = match (&self.bucket, is_bucket) {
            (Some(bucket), true) => {
                let etag = if meta.etag.is_empty() {
                    let head = patiently(|| bucket.head(&meta.name)).await?;
                    head.map(|head| head.etag).unwrap_or_default()
                } else {
                    meta.etag.clone()
                };
                Place::Bucket { etag, stored_us: self.clock.now_us() }
            }
            (Some(_), false) => Place::ToBucket,
            (None, _) => Place::Local,
        };
        Ok(row_of(name, meta, &table, place))
    }

    /// Bytes of an object; the inner error is about the object, the outer one about what holds up everything.
    async fn bytes(
        &self,
        origin: &Origin,
        meta: &ObjectMeta,
        range: std::ops::Range<u64>,
    ) -> Result<Result<Bytes, String>, ArchiveError> {
        match self.reader.read(origin.clone(), range).await {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err("it is gone by now".into())),
            Err(error) if matches!(origin, Origin::File(_)) => Ok(Err(error.to_string())),
            Err(error) => Err(ArchiveError::io(format!("reading {}", meta.name), error)),
        }
    }

    async fn add(&mut self, found: Vec<(ObjectName, Found)>) -> Result<(), ArchiveError> {
        let mut rows = Vec::with_capacity(found.len());
        for (name, found) in found {
            let ObjectName { prefix, channel_id, .. } = &name;
            let from_us = found.new.start_us;
            self.places.ensure(&self.catalog, prefix, *channel_id, from_us, self.is_dry).await?;
            if !self.is_dry && !self.inits.contains(&found.new.init_hash) {
                self.catalog.put_init(&found.new.init_hash, &found.init).await?;
                self.inits.insert(found.new.init_hash.clone());
            }
            self.report.added_bytes += found.sealed.size_bytes;
            rows.push((found.new, found.sealed));
        }
        let mut count = rows.len() as u64;
        if !self.is_dry {
            count = match self.catalog.insert_sealed_segments(rows.clone()).await {
                // A running node was faster with one of them: those that are left.
                Err(CatalogError::SegmentTaken(_)) => {
                    let ids: Vec<Uuid> = rows.iter().map(|(new, _)| new.id).collect();
                    let known = self.catalog.known_segments(&ids).await?;
                    rows.retain(|(new, _)| !known.contains(&new.id));
                    self.catalog.insert_sealed_segments(rows).await?
                }
                done => done?,
            };
        }
        self.report.added += count;
        self.progress.added.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Channels of which something waits in the spool for the repair of the next start, which needs them to be there.
    async fn look_at_spool(&mut self) -> Result<(), ArchiveError> {
        let (disk, spool) = (Arc::clone(&self.disk), self.spool.clone());
        let listed = tokio::task::spawn_blocking(move || leftovers::first_of_each(disk.as_ref(), &spool));
        let listed = listed.await.map_err(io::Error::other).flatten();
        let listed = listed.map_err(|error| ArchiveError::io("listing the spool", error))?;
        for (channel_id, name) in listed {
            self.places.ensure(&self.catalog, &name.prefix, channel_id, name.start_us, self.is_dry).await?;
        }
        Ok(())
    }

    fn unreadable(&mut self, object_name: String, reason: String) {
        self.report.unreadable_count += 1;
        if self.report.unreadable.len() < MAX_REPORTED {
            self.report.unreadable.push(Unreadable { object_name, reason });
        }
    }
}

/// The row of an object, from its name and its tables.
fn row_of(name: &ObjectName, meta: &ObjectMeta, table: &SampleTable, place: Place) -> Result<Found, String> {
    let start_us = table.start_us().unwrap_or(name.second_us);
    if start_us.div_euclid(1_000_000) != name.second_us.div_euclid(1_000_000) {
        return Err("its name and its tables tell of different times".into());
    }
    let end_us = sealed_end_us(table, start_us);
    if !(1..=MAX_SEGMENT_US).contains(&end_us.saturating_sub(start_us)) {
        return Err("it is longer than a segment can be".into());
    }
    let label = table.label();
    let init = init_segment(table.config());
    let new = NewSegment {
        id: name.id,
        channel_id: name.channel_id,
        session_id: label.map_or(name.id, |label| Uuid::from_bytes(label.session_id)),
        start_us,
        object_name: meta.name.clone(),
        init_hash: short_hash(&init),
    };
    let sealed = SealedSegment {
        end_us,
        size_bytes: meta.size_bytes,
        moov_offset: table.end_offset(),
        index: table.index().encode(),
        crc32: label.and_then(|label| label.crc32),
        place,
    };
    Ok(Found { new, sealed, init })
}
