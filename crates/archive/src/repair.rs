//! Taking up what the last run left: torn spool files, files without rows, rows without files.
//!
//! Runs in the background while new recording goes on, a few files at once, and again whenever a segment was set aside.
//! Nothing that holds a recording is deleted: what cannot be read goes to quarantine with the reason in the log.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use catalog::{SealedSegment, SegmentRow, SegmentState};
use futures_util::StreamExt;
use media::{
    EndCause,
    mp4::{
        init::init_segment,
        reader::{SEALED_HEAD_BYTES, Scan, TailScanner, read_moov, sealed_moov_offset},
        seal::SampleTable,
    },
};
use tokio::sync::watch;
use tracing::{error, info, warn};
use uuid::Uuid;
use world::{Disk, DiskFile, read_exact_at};

use crate::{
    claim::claim,
    core::Core,
    footage, gap_log,
    growing::{Growing, Identity},
    limits::{
        CATALOG_ATTEMPTS, MAX_MOOV_BYTES, MAX_SPOOL_FILES, MAX_TORN_FIRST_FRAGMENT_BYTES, REPAIR_CONCURRENCY,
        SWEEP_PAUSE_MS,
    },
    name::{self, SpoolName},
    quarantine::quarantine,
    registrar::{self, Registered},
    retry::retry,
    segment::short_hash,
};

/// Repairs once, and again after segments were set aside, until the archive goes.
pub(crate) async fn run(core: Arc<Core>, repaired: watch::Sender<bool>) {
    // What the last run noted comes before what is found out about its end.
    core.gap_log.wait_left().await;
    claim_own(&core).await;
    loop {
        let is_first = !*repaired.borrow();
        if sweep(&core, is_first).await {
            repaired.send_replace(true);
            if is_first {
                core.runtime.spawn(footage::watch(Arc::clone(&core)));
            }
            tokio::select! {
                () = core.is_gone.cancelled() => return,
                () = core.set_aside.notified() => {}
            }
        }
        tokio::select! {
            () = core.is_gone.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(SWEEP_PAUSE_MS)) => {}
        }
    }
}

/// Takes over what is here and held by nobody, or by what this folder was before.
async fn claim_own(core: &Arc<Core>) {
    let holders = core.config.former_nodes.iter().copied().map(Some);
    for holder in [None].into_iter().chain(holders) {
        let subject = holder.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
        let claimed = retry("looking for segments that are here", &subject, u32::MAX, &core.is_gone, || {
            claim(&core.catalog, &core.disk, &core.config.spool, &core.config.store, holder)
        });
        match claimed.await {
            Some(claimed) if claimed.segments > 0 => {
                info!(
                    segments = claimed.segments,
                    holder = subject,
                    "segments that are here are this node's from now on"
                );
            }
            Some(_) => {}
            None => return,
        }
    }
    core.is_claimed.send_replace(true);
}

/// A spool file that nobody works on.
pub(crate) struct Lost {
    pub(crate) channel_id: Uuid,
    pub(crate) name: SpoolName,
    pub(crate) path: PathBuf,
}

/// Looks at everything once; `false` when not even that could be done.
async fn sweep(core: &Arc<Core>, is_first: bool) -> bool {
    let rows = retry("listing growing segments", "catalog", CATALOG_ATTEMPTS, &core.is_gone, || {
        core.catalog.growing_segments()
    });
    let Some(mut rows) = rows.await else { return false };
    let spool = Arc::clone(core);
    let files = match tokio::task::spawn_blocking(move || list_spool(&spool)).await {
        Ok(Ok(files)) => files,
        Ok(Err(error)) => {
            error!(%error, "the spool cannot be listed: what the last run left stays as it is for now");
            return false;
        }
        Err(_) => return false,
    };
    // A row whose segment is begun, sealed or repaired by somebody else is looked at again before anything is done.
    rows.retain(|row| !core.registry.has(row.id) && !files.iter().any(|file| file.name.id == row.id));
    let started = core.clock.monotonic_us();
    let count = files.len() + rows.len();
    futures_util::stream::iter(files)
        .for_each_concurrent(REPAIR_CONCURRENCY, |lost| repair_file(core, lost, is_first))
        .await;
    futures_util::stream::iter(rows)
        .for_each_concurrent(REPAIR_CONCURRENCY, |row| repair_row(core, row, is_first))
        .await;
    if count > 0 {
        info!(
            segments = count,
            took_ms = (core.clock.monotonic_us() - started) / 1000,
            "what was left in the spool is taken up"
        );
    }
    true
}

/// A channel that was recorded when the last run died is missing from there on because of it. Noted before the segment's
/// row is sealed: who dies in between finds it growing again, and the cause is not lost. What this run notes comes after
/// it (see `gap_log`), so the first segment of this run ends the gap.
///
/// Of several segments of one channel the first that comes opens the gap, and what they hold is no gap whatever is noted.
async fn note_process_gap(core: &Core, channel_id: Uuid, start_us: i64, end_us: i64) {
    retry("noting a gap", channel_id, CATALOG_ATTEMPTS, &core.is_gone, || async {
        if start_us == end_us {
            // Nothing came of it. Where the disk had failed before, that was why, however the process ended.
            let gaps = core.catalog.gaps_in_range(channel_id, start_us, start_us + 1).await?;
            if gaps.iter().any(|gap| gap.end_us.is_none() && gap.cause == EndCause::Disk) {
                return Ok(false);
            }
        }
        // The gap before it may not be closed yet: that is noted once the segment's first bytes are durable.
        core.catalog.close_gap(channel_id, start_us).await?;
        gap_log::open(&core.catalog, channel_id, end_us, EndCause::Process).await
    })
    .await;
}

/// The spool files that nobody works on. Leftovers of copies are removed on the way: their originals stand.
fn list_spool(core: &Core) -> io::Result<Vec<Lost>> {
    let mut lost = Vec::new();
    for folder in core.disk.list(&core.config.spool)?.into_iter().filter(|entry| entry.is_dir) {
        let Ok(channel_id) = folder.name.parse::<Uuid>() else { continue };
        let folder = core.config.spool.join(&folder.name);
        for file in core.disk.list(&folder)?.into_iter().filter(|entry| !entry.is_dir) {
            let path = folder.join(&file.name);
            if let Some(original) = registrar::rescued(&file.name) {
                let is_running = SpoolName::parse(&original).is_some_and(|name| core.registry.has(name.id));
                if !is_running && let Err(error) = core.disk.remove(&path) {
                    warn!(file = file.name, %error, "a leftover copy cannot be removed");
                }
                continue;
            }
            match SpoolName::parse(&file.name) {
                Some(name) if core.registry.has(name.id) => {}
                Some(name) if lost.len() < MAX_SPOOL_FILES => lost.push(Lost { channel_id, name, path }),
                Some(_) => {}
                None => warn!(file = file.name, "a file in the spool is not ours and is left alone"),
            }
        }
    }
    lost.sort_by_key(|lost| lost.name.start_us);
    Ok(lost)
}

/// What a spool file turned out to be.
pub(crate) enum Found {
    /// Somebody has it in hand, or it is in the store by now.
    Gone,
    /// Not one whole fragment.
    Nothing,
    /// A recording, cut off behind its last whole fragment.
    Recording { file: Arc<dyn DiskFile>, table: Box<SampleTable>, sealed_len: Option<u64> },
    /// Nothing that can be read, but too much to throw away.
    Damaged(String),
}

async fn repair_file(core: &Arc<Core>, lost: Lost, is_first: bool) {
    let id = lost.name.id;
    let row =
        retry("looking up a segment", id, CATALOG_ATTEMPTS, &core.is_gone, || core.catalog.segment(id)).await;
    let Some(row) = row else {
        core.set_aside.notify_one();
        return;
    };
    if core.registry.has(id) {
        return;
    }
    if let Some(row) = row.as_ref().filter(|row| core.is_held_elsewhere(row)) {
        let holder = row.node_id.map(tracing::field::display);
        warn!(segment_id = %id, holder, file = %lost.path.display(), "a copy of what another node records is left alone");
        return;
    }
    // What a catalog does not know is no garbage: it may be another one, or one that lost its newest rows. It stays where it
    // is until somebody says.
    let looking = retry("looking up a channel", lost.channel_id, CATALOG_ATTEMPTS, &core.is_gone, || {
        core.catalog.channel(lost.channel_id)
    });
    match looking.await {
        Some(Some(_)) => {}
        Some(None) => {
            error!(
                segment_id = %id,
                channel_id = %lost.channel_id,
                file = %lost.path.display(),
                "a recording stays in the spool: the catalog does not know its channel. `turepe reindex` takes it in"
            );
            core.unknown.stays_in_spool(id, &lost.path, core.clock.now_us());
            return;
        }
        None => {
            core.set_aside.notify_one();
            return;
        }
    }
    let lost = Arc::new(lost);
    let look = (Arc::clone(core), Arc::clone(&lost));
    let found =
        match tokio::task::spawn_blocking(move || inspect(look.0.disk.as_ref(), &look.1.path, false)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                error!(segment_id = %id, %error, "a spool file cannot be read and stays for the next start");
                return;
            }
            Err(_) => return,
        };
    let is_sealed_row = row.as_ref().is_some_and(SegmentRow::is_whole);
    let note_end = async |end_us| {
        if is_first {
            note_process_gap(core, lost.channel_id, lost.name.start_us, end_us).await;
        }
    };
    match found {
        Found::Gone => {}
        Found::Nothing => {
            note_end(lost.name.start_us).await;
            info!(segment_id = %id, "a segment without a whole fragment is forgotten");
            remove(core, &lost).await;
            if row.is_some() && !is_sealed_row {
                forget_row(core, id).await;
            }
        }
        _ if is_sealed_row => {
            quarantine(core, lost.channel_id, &lost.path, "its row says that it is in the store already")
                .await;
        }
        Found::Damaged(reason) => {
            note_end(lost.name.start_us).await;
            if quarantine(core, lost.channel_id, &lost.path, &reason).await && row.is_some() {
                forget_row(core, id).await;
            }
        }
        Found::Recording { file, table, sealed_len } => {
            let growing = recovered(&lost, row.as_ref(), file, *table, sealed_len);
            let end_us = growing.end_us();
            note_end(end_us).await;
            info!(
                segment_id = %id,
                channel_id = %lost.channel_id,
                duration_ms = (end_us - growing.start_us) / 1000,
                size_bytes = growing.len(),
                "a segment of the last run is recovered"
            );
            core.repaired.fetch_add(1, Ordering::Relaxed);
            let growing = Arc::new(growing);
            core.registry.insert(Arc::clone(&growing));
            let registered = if row.is_some() { Registered::Yes } else { Registered::NotYet };
            registrar::complete(core, &growing, registered).await;
        }
    }
}

/// Looks into a spool file, and cuts off what is torn; a dry run only looks.
pub(crate) fn inspect(disk: &dyn Disk, path: &Path, is_dry: bool) -> io::Result<Found> {
    let file = match if is_dry { disk.open(path) } else { disk.open_rw(path) } {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        Err(error) => return Err(error),
    };
    let file_len = file.len()?;
    let scan = TailScanner::run(file_len, |want| read_up_to(file.as_ref(), want.offset, want.len))?;
    let Scan { table, valid_len, is_sealed } = match scan {
        Ok(scan) => scan,
        Err(_) if file_len <= MAX_TORN_FIRST_FRAGMENT_BYTES => return Ok(Found::Nothing),
        Err(error) => return Ok(Found::Damaged(error.to_string())),
    };
    if table.index().fragments.is_empty() {
        return Ok(if file_len <= MAX_TORN_FIRST_FRAGMENT_BYTES {
            Found::Nothing
        } else {
            Found::Damaged("no whole fragment behind its header".into())
        });
    }
    if is_sealed && file_len - valid_len <= MAX_MOOV_BYTES {
        // The crash came between the seal and the store: if the tables are as they should be, nothing is left to write.
        let moov = Bytes::from(read_up_to(file.as_ref(), valid_len, file_len - valid_len)?);
        if let Ok(sealed) = read_moov(&moov)
            && sealed.end_offset() == valid_len
        {
            return Ok(Found::Recording { file, table: Box::new(sealed), sealed_len: Some(file_len) });
        }
    }
    if file_len > valid_len && !is_dry {
        file.set_len(valid_len)?;
    }
    Ok(Found::Recording { file, table: Box::new(table), sealed_len: None })
}

fn read_up_to(file: &dyn DiskFile, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// A recovered file as the segment it was.
pub(crate) fn recovered(
    lost: &Lost,
    row: Option<&SegmentRow>,
    file: Arc<dyn DiskFile>,
    mut table: SampleTable,
    sealed_len: Option<u64>,
) -> Growing {
    let SpoolName { id, session_id, start_us, prefix } = &lost.name;
    table.set_start_us(*start_us);
    let init = init_segment(table.config());
    let identity = Identity {
        id: *id,
        channel_id: lost.channel_id,
        session_id: *session_id,
        start_us: *start_us,
        object_name: row.map_or_else(
            || name::object_name(prefix, lost.channel_id, *start_us, *id),
            |row| row.object_name.clone(),
        ),
        init_hash: row.map_or_else(|| short_hash(&init), |row| row.init_hash.clone()),
        init,
        spool_file: lost.path.clone(),
    };
    Growing::recovered(identity, file, table, sealed_len)
}

/// A row that grows, without a file in the spool: its file is in the store already, or never was.
async fn repair_row(core: &Arc<Core>, row: SegmentRow, is_first: bool) {
    let id = row.id;
    let current =
        retry("looking up a segment", id, CATALOG_ATTEMPTS, &core.is_gone, || core.catalog.segment(id)).await;
    let is_still_growing = current
        .flatten()
        .is_some_and(|row| row.state == SegmentState::Growing && !core.is_held_elsewhere(&row));
    if !is_still_growing || core.registry.has(id) {
        return;
    }
    let note_end = async |end_us| {
        if is_first {
            note_process_gap(core, row.channel_id, row.start_us, end_us).await;
        }
    };
    let (look, name) = (Arc::clone(core), row.object_name.clone());
    match tokio::task::spawn_blocking(move || inspect_object(&look, &name)).await {
        Ok(Ok(Some((table, size_bytes)))) => {
            let end_us = sealed_end_us(&table, row.start_us);
            note_end(end_us).await;
            let sealed = SealedSegment {
                end_us,
                size_bytes,
                moov_offset: table.end_offset(),
                index: table.index().encode(),
                crc32: table.label().and_then(|label| label.crc32),
                place: core.place(),
            };
            let done = retry("registering a sealed segment", id, CATALOG_ATTEMPTS, &core.is_gone, || {
                registrar::register_sealed(core, id, sealed.clone())
            });
            if done.await.is_some() {
                info!(segment_id = %id, "a segment that had reached the store is registered");
            }
        }
        Ok(Ok(None)) => {
            note_end(row.start_us).await;
            warn!(segment_id = %id, "a row without a file is forgotten");
            forget_row(core, id).await;
        }
        Ok(Err(error)) => {
            error!(segment_id = %id, object = row.object_name, %error, "an object cannot be read; its row stays as it is");
        }
        Err(_) => {}
    }
}

/// Where a sealed segment ends: its file says so, or its ticks tell it.
pub(crate) fn sealed_end_us(table: &SampleTable, start_us: i64) -> i64 {
    let labelled = table.label().map(|label| label.end_us).filter(|end_us| *end_us > start_us);
    labelled.unwrap_or_else(|| start_us + table.index().duration_us().max(1))
}

/// The tables and the length of an object that is sealed; `None` when there is no such object.
fn inspect_object(core: &Core, object_name: &str) -> io::Result<Option<(SampleTable, u64)>> {
    let file = match core.store.open(object_name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    let mut head = [0; SEALED_HEAD_BYTES];
    read_exact_at(file.as_ref(), &mut head, 0)?;
    let offset = sealed_moov_offset(&head).filter(|offset| *offset < len && len - offset <= MAX_MOOV_BYTES);
    let offset = offset.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not sealed"))?;
    let moov = Bytes::from(read_up_to(file.as_ref(), offset, len - offset)?);
    let table = read_moov(&moov).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    // Its bytes were synced before it got this name; the name itself perhaps not.
    core.store.secure(object_name)?;
    Ok(Some((table, len)))
}

async fn forget_row(core: &Core, id: Uuid) {
    retry("forgetting a segment", id, CATALOG_ATTEMPTS, &core.is_gone, || core.catalog.delete_segment(id))
        .await;
}

async fn remove(core: &Arc<Core>, lost: &Arc<Lost>) {
    let (core, lost) = (Arc::clone(core), Arc::clone(lost));
    let done = tokio::task::spawn_blocking(move || core.disk.remove(&lost.path)).await;
    if let Ok(Err(error)) = done {
        warn!(%error, "an empty spool file cannot be removed");
    }
}
