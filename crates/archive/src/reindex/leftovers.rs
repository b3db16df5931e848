//! What lies in the spool and its quarantine: recordings that were never sealed, or that nobody could place. Torn ones are cut
//! off behind their last whole fragment and sealed, as the repair of a start does.
//!
//! A recording is in the store, whole and durable, before its row is written: a run that dies in between leaves it to the next.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use catalog::{NewSegment, Place, SealedSegment};
use tokio::task::spawn_blocking;
use tracing::debug;
use uuid::Uuid;
use world::Disk;

use super::{Found, Reindexer};
use crate::{
    error::ArchiveError,
    footage::channel_folders,
    growing::Growing,
    name::{ObjectName, SpoolName},
    quarantine::QUARANTINE,
    registrar::{Sealed, seal_file},
    repair::{self, Lost},
    store::{FolderStore, Store as _},
};

/// What a leftover turned out to be.
enum Left {
    /// It is in the store now, or would be.
    Taken(Box<(ObjectName, Found)>),
    /// Not one whole fragment: the next start clears it away where it is in the spool.
    Nothing,
    /// Nothing can be made of it.
    Unreadable(String),
    /// Somebody took it meanwhile.
    Gone,
}

impl Reindexer {
    /// Takes in what lies in quarantine, and in the spool where no node works on it.
    pub(super) async fn take_leftovers(&mut self) -> Result<(), ArchiveError> {
        let quarantine = self.spool.join(QUARANTINE);
        self.take_folder(&quarantine, true).await?;
        if self.takes_spool {
            let spool = self.spool.clone();
            self.take_folder(&spool, false).await?;
        }
        Ok(())
    }

    async fn take_folder(&mut self, folder: &Path, is_quarantine: bool) -> Result<(), ArchiveError> {
        let (disk, listed) = (Arc::clone(&self.disk), folder.to_owned());
        let left = on_disk("listing the spool", move || list(disk.as_ref(), &listed)).await?;
        for lost in left {
            self.report.objects += 1;
            self.progress.objects.fetch_add(1, Ordering::Relaxed);
            if self.catalog.segment(lost.name.id).await?.is_some() {
                self.report.known += 1;
                continue;
            }
            if self.catalog.is_deleted(lost.name.id).await? {
                self.report.deleted += 1;
                continue;
            }
            self.take_one(lost, is_quarantine).await?;
        }
        Ok(())
    }

    async fn take_one(&mut self, lost: Lost, is_quarantine: bool) -> Result<(), ArchiveError> {
        let path = lost.path.clone();
        let place = if self.bucket.is_some() { Place::ToBucket } else { Place::Local };
        let (disk, store, is_dry) = (Arc::clone(&self.disk), self.store.clone(), self.is_dry);
        let taken = on_disk("taking up a recording", move || take(&disk, store, &lost, place, is_dry)).await;
        let taken = match taken {
            Ok(taken) => taken,
            // Of this file alone: the others have their turn.
            Err(error) => Left::Unreadable(error.to_string()),
        };
        match taken {
            Left::Taken(found) => {
                self.report.recovered += 1;
                self.add(vec![*found]).await?;
                if is_quarantine && !self.is_dry {
                    self.remove_folder(path).await;
                }
            }
            Left::Unreadable(reason) => self.unreadable(path.display().to_string(), reason),
            Left::Nothing if is_quarantine => {
                self.unreadable(path.display().to_string(), "it holds not one whole fragment".into());
            }
            Left::Nothing | Left::Gone => {}
        }
        Ok(())
    }

    /// A channel's folder in quarantine goes with the last file in it.
    async fn remove_folder(&self, file: PathBuf) {
        let disk = Arc::clone(&self.disk);
        let removed = on_disk("removing a folder", move || match file.parent() {
            Some(folder) => disk.remove_dir(folder),
            None => Ok(()),
        });
        if let Err(error) = removed.await {
            debug!(%error, "a folder in quarantine stays");
        }
    }
}

/// The recordings below a folder, in the order of their starts.
fn list(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<Lost>> {
    let mut left = Vec::new();
    for (channel_id, below) in channel_folders(disk, folder)? {
        for file in disk.list(&below)?.into_iter().filter(|file| !file.is_dir) {
            if let Some(name) = SpoolName::parse(&file.name) {
                left.push(Lost { channel_id, name, path: below.join(file.name) });
            }
        }
    }
    left.sort_by_key(|lost| (lost.name.start_us, lost.name.id));
    Ok(left)
}

/// Cuts off what is torn, seals, and moves into the store; a dry run only looks.
fn take(disk: &Arc<dyn Disk>, store: PathBuf, lost: &Lost, place: Place, is_dry: bool) -> io::Result<Left> {
    let (file, table, sealed_len) = match repair::inspect(disk.as_ref(), &lost.path, is_dry)? {
        repair::Found::Gone => return Ok(Left::Gone),
        repair::Found::Nothing => return Ok(Left::Nothing),
        repair::Found::Damaged(reason) => return Ok(Left::Unreadable(reason)),
        repair::Found::Recording { file, table, sealed_len } => (file, *table, sealed_len),
    };
    let growing = repair::recovered(lost, None, file, table, sealed_len);
    let Some(name) = ObjectName::parse(&growing.object_name) else {
        return Ok(Left::Unreadable("its name tells no object".into()));
    };
    let store = FolderStore::new(Arc::clone(disk), store);
    if store.exists(&growing.object_name) {
        // The walk over the store came before: no row was made of that file.
        return Ok(Left::Unreadable(
            "the store has another file under its name, which is no recording".into(),
        ));
    }
    let sealed = if is_dry {
        Sealed {
            size_bytes: sealed_len.unwrap_or_else(|| growing.len()),
            moov_offset: growing.len(),
            index: growing.with_table(|table| table.index().clone()),
            crc32: None,
        }
    } else {
        let sealed = seal_file(disk.as_ref(), &growing)?;
        store.take(&growing.spool_file, &growing.object_name)?;
        sealed
    };
    Ok(Left::Taken(Box::new((name, row_of(growing, sealed, place)))))
}

fn row_of(growing: Growing, sealed: Sealed, place: Place) -> Found {
    let end_us = growing.end_us();
    Found {
        new: NewSegment {
            id: growing.id,
            channel_id: growing.channel_id,
            session_id: growing.session_id,
            start_us: growing.start_us,
            object_name: growing.object_name,
            init_hash: growing.init_hash,
        },
        sealed: SealedSegment {
            end_us,
            size_bytes: sealed.size_bytes,
            moov_offset: sealed.moov_offset,
            index: sealed.index.encode(),
            crc32: sealed.crc32,
            place,
        },
        init: growing.init,
    }
}

async fn on_disk<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ArchiveError> {
    let done = spawn_blocking(work).await.map_err(io::Error::other).flatten();
    done.map_err(|error| ArchiveError::io(doing, error))
}

/// The first segment of each channel in the spool.
pub(super) fn first_of_each(disk: &dyn Disk, spool: &Path) -> io::Result<Vec<(Uuid, SpoolName)>> {
    let mut found = Vec::new();
    for (channel_id, folder) in channel_folders(disk, spool)? {
        let files = disk.list(&folder)?;
        let names = files.iter().filter_map(|file| SpoolName::parse(&file.name));
        found.extend(names.min_by_key(|name| name.start_us).map(|name| (channel_id, name)));
    }
    Ok(found)
}
