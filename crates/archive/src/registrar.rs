//! A segment's way into the catalog: its row, its seal, its place in the store, its sealed row.
//!
//! One task per segment, off the writers' threads. Whatever fails is tried again for a bounded time; then the segment is
//! set aside as a plain file in the spool, where the next sweep finds it. No step loses bytes: at every instant the file
//! is a valid recording under exactly one name that the repair looks at.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use catalog::{CatalogError, NewSegment, SealedSegment};
use media::SegmentIndex;
use tokio::sync::oneshot;
use tracing::{error, info};
use uuid::Uuid;
use world::{Disk, DiskFile};

use crate::{
    core::Core,
    growing::Growing,
    limits::{CATALOG_ATTEMPTS, MAX_UNREGISTERED_SEGMENTS, SEAL_ATTEMPTS},
    quarantine::quarantine,
    retry::retry,
    store::copy_file,
};

/// Sees a new segment through: its row while it grows, and everything else when it has ended.
pub(crate) async fn run(core: Arc<Core>, growing: Arc<Growing>, finished: oneshot::Receiver<()>) {
    let (registered, finished) = tokio::join!(register(&core, &growing), finished);
    if finished.is_err() {
        // The writer was abandoned, as in a crash: the file stays for the next start.
        return;
    }
    complete(&core, &growing, registered).await;
    core.unregistered.send_modify(|count| *count = count.saturating_sub(1));
}

/// Whether a segment has its row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Registered {
    /// It has.
    Yes,
    /// The catalog did not answer for too long, or was not asked yet.
    NotYet,
    /// The catalog will never take it: its channel is gone.
    Refused,
}

/// Seals a segment that has ended and registers it, or sets it aside.
pub(crate) async fn complete(core: &Arc<Core>, growing: &Arc<Growing>, registered: Registered) {
    let waiting = *core.unregistered.borrow();
    let registered = match registered {
        Registered::NotYet if waiting <= MAX_UNREGISTERED_SEGMENTS => register(core, growing).await,
        known => known,
    };
    growing.registered(registered == Registered::Yes);
    let is_done = match registered {
        Registered::Yes => seal_and_register(core, growing).await,
        Registered::NotYet => false,
        Registered::Refused => {
            quarantine(core, growing.channel_id, &growing.spool_file, "its channel is gone").await
        }
    };
    core.registry.remove(growing.id);
    if !is_done && !core.is_gone.is_cancelled() {
        error!(segment_id = %growing.id, waiting, "a segment is set aside in the spool until the next sweep");
        core.set_aside.notify_one();
    }
}

/// The row `growing`, and the init segment that players need.
async fn register(core: &Core, growing: &Growing) -> Registered {
    let registered = retry("registering a segment", growing.id, CATALOG_ATTEMPTS, &core.is_gone, || async {
        // The catalog may have done it although its answer was lost.
        if core.catalog.segment(growing.id).await?.is_some() {
            return Ok(Registered::Yes);
        }
        core.catalog.put_init(&growing.init_hash, &growing.init).await?;
        let new = NewSegment {
            id: growing.id,
            channel_id: growing.channel_id,
            session_id: growing.session_id,
            start_us: growing.start_us,
            object_name: growing.object_name.clone(),
            init_hash: growing.init_hash.clone(),
        };
        match core.catalog.insert_segment(new).await {
            Ok(()) => Ok(Registered::Yes),
            Err(CatalogError::NotFound(_)) => Ok(Registered::Refused),
            Err(error) => Err(error),
        }
    });
    let registered = registered.await.unwrap_or(Registered::NotYet);
    growing.registered(registered == Registered::Yes);
    registered
}

async fn seal_and_register(core: &Arc<Core>, growing: &Arc<Growing>) -> bool {
    let Some(sealed) =
        blocking(core, growing, "sealing a segment", |core, growing| seal_file(core.disk.as_ref(), growing))
            .await
    else {
        return false;
    };
    let took = blocking(core, growing, "moving a segment into the store", |core, growing| {
        core.store.take(&growing.spool_file, &growing.object_name)
    });
    if took.await.is_none() {
        return false;
    }
    let (id, end_us) = (growing.id, growing.end_us());
    let is_registered = retry("registering a sealed segment", id, CATALOG_ATTEMPTS, &core.is_gone, || {
        register_sealed(
            core,
            id,
            SealedSegment {
                end_us,
                size_bytes: sealed.size_bytes,
                moov_offset: sealed.moov_offset,
                index: sealed.index.encode(),
                crc32: sealed.crc32,
                place: core.place(),
            },
        )
    });
    if is_registered.await.is_none() {
        return false;
    }
    core.upload.wake.notify_one();
    info!(segment_id = %id, size_bytes = sealed.size_bytes, object = growing.object_name, "segment sealed");
    true
}

/// The sealed row. Done already counts as done: the catalog's answer may have been lost.
pub(crate) async fn register_sealed(
    core: &Core,
    id: Uuid,
    sealed: SealedSegment,
) -> Result<(), CatalogError> {
    match core.catalog.seal_segment(id, sealed).await {
        Err(CatalogError::NotGrowing(_)) => Ok(()),
        done => done,
    }
}

/// Runs a step that blocks on a thread that may, with retries; a few of all segments at once.
async fn blocking<T: Send + 'static>(
    core: &Arc<Core>,
    growing: &Arc<Growing>,
    doing: &'static str,
    step: fn(&Core, &Growing) -> io::Result<T>,
) -> Option<T> {
    retry(doing, growing.id, SEAL_ATTEMPTS, &core.is_gone, || async {
        let _permit = core.seal_permits.acquire().await.map_err(io::Error::other)?;
        let (core, growing) = (Arc::clone(core), Arc::clone(growing));
        tokio::task::spawn_blocking(move || step(&core, &growing)).await.map_err(io::Error::other)?
    })
    .await
}

/// What the sealed row says of the file.
pub(crate) struct Sealed {
    pub(crate) size_bytes: u64,
    pub(crate) moov_offset: u64,
    pub(crate) index: SegmentIndex,
    pub(crate) crc32: Option<u32>,
}

/// Turns a file of fragments into a plain MP4: the full tables behind the fragments, durable, and only then the `mdat`
/// header that makes a player look for them. Doing it twice gives the same file.
pub(crate) fn seal_file(disk: &dyn Disk, growing: &Growing) -> io::Result<Sealed> {
    let len = growing.len();
    if let Some(size_bytes) = growing.sealed_len {
        return Ok(Sealed {
            size_bytes: sync_found(disk, growing).map(|()| size_bytes)?,
            moov_offset: len,
            index: growing.with_table(|table| table.index().clone()),
            crc32: growing.with_table(|table| table.label().and_then(|label| label.crc32)),
        });
    }
    growing.label();
    let (moov, patch, index) =
        growing.with_table(|table| (table.moov(), table.mdat_patch(len), table.index().clone()));
    let write = |file: &dyn DiskFile| {
        // Also where it has that length: behind it there may be what a torn write left.
        file.set_len(len)?;
        file.append_vectored(&[IoSlice::new(&moov)])?;
        file.sync_data()?;
        file.write_all_at(&patch.1, patch.0)?;
        file.sync_data()
    };
    if growing.durability.is_failed() {
        rescue(disk, growing, write)?;
    } else {
        write(growing.file.as_ref()).inspect_err(|_| {
            growing.durability.fail();
        })?;
    }
    Ok(Sealed { size_bytes: len + moov.len() as u64, moov_offset: len, index, crc32: growing.crc32() })
}

/// A file that an earlier run had sealed: whole, but perhaps not synced before the crash.
fn sync_found(disk: &dyn Disk, growing: &Growing) -> io::Result<()> {
    if growing.durability.is_failed() {
        return rescue(disk, growing, |copy| copy.sync_data());
    }
    growing.file.sync_data().inspect_err(|_| {
        growing.durability.fail();
    })
}

/// Puts a copy in the place of a spool file whose sync failed: Linux forgets after that that pages were dirty, and only a
/// new file is known to be on the disk.
fn rescue(
    disk: &dyn Disk,
    growing: &Growing,
    finish: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<()> {
    let copy = rescue_name(&growing.spool_file);
    copy_file(disk, &growing.spool_file, &copy)?;
    finish(disk.open_rw(&copy)?.as_ref())?;
    disk.rename(&copy, &growing.spool_file)?;
    disk.sync_dir(growing.spool_file.parent().unwrap_or(Path::new(".")))
}

/// The copy of a spool file whose sync failed. The repair does not take it for a segment.
fn rescue_name(spool_file: &Path) -> PathBuf {
    spool_file.with_extension(RESCUE_EXTENSION)
}

/// The name of the spool file that a file is the copy of, if it is one.
pub(crate) fn rescued(file_name: &str) -> Option<String> {
    let stem = file_name.strip_suffix(RESCUE_EXTENSION)?.strip_suffix('.')?;
    Some(format!("{stem}.part"))
}

/// Replaces `part` in the name of a copy in progress.
const RESCUE_EXTENSION: &str = "rescue";
