//! Whose footage is here, by file names alone. It tells whether a catalog is the right one for this folder, and which recordings
//! the catalog does not know.
//!
//! Nothing is opened, moved or made.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::{error, info, warn};
use uuid::Uuid;
use world::Disk;

use crate::{
    alarms::{Alarm, AlarmKind},
    bucket::{Bucket, BucketError},
    core::Core,
    error::ArchiveError,
    limits::{MAX_CHANNELS_LOOKED_FOR, MAX_FOLDERS_LOOKED_AT, MAX_REPORTED, UNKNOWN_LOOK_MS, WALK_PAGE},
    name::{ObjectName, SpoolName},
    objects::Objects,
    quarantine::QUARANTINE,
};

/// A channel that has footage, and one file or object of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FootageOf {
    /// The channel.
    pub channel_id: Uuid,
    /// Where there is some: a path, or an object's name.
    pub example: String,
}

/// The channels that have footage in a local store, a spool or its quarantine, at most [`MAX_CHANNELS_LOOKED_FOR`].
///
/// # Errors
/// A folder that is there and cannot be listed.
pub fn footage_here(disk: &dyn Disk, store: &Path, spool: &Path) -> io::Result<Vec<FootageOf>> {
    let mut found = BTreeMap::new();
    for folder in [spool.to_owned(), spool.join(QUARANTINE)] {
        for (channel_id, below) in channel_folders(disk, &folder)? {
            let files = list(disk, &below)?;
            if let Some(file) = files.iter().find(|file| SpoolName::parse(&file.name).is_some()) {
                found.entry(channel_id).or_insert_with(|| below.join(&file.name));
            }
        }
    }
    // Folders of clubs and courts, then of channels, then of days.
    let mut open = vec![store.to_owned()];
    let mut looked_at = 0;
    while let Some(folder) = open.pop().filter(|_| looked_at < MAX_FOLDERS_LOOKED_AT) {
        looked_at += 1;
        for entry in list(disk, &folder)?.into_iter().filter(|entry| entry.is_dir) {
            let below = folder.join(&entry.name);
            if below == spool || found.len() >= MAX_CHANNELS_LOOKED_FOR {
                continue;
            }
            match entry.name.parse::<Uuid>() {
                Ok(channel_id) if found.contains_key(&channel_id) => {}
                Ok(channel_id) => {
                    if let Some(example) = any_object(disk, store, &below)? {
                        found.insert(channel_id, example);
                    }
                }
                Err(_) if !entry.name.starts_with('.') => open.push(below),
                Err(_) => {}
            }
        }
    }
    let found = found.into_iter();
    Ok(found
        .map(|(channel_id, path)| FootageOf { channel_id, example: path.display().to_string() })
        .collect())
}

/// The channels of the first objects of a bucket, by one call.
///
/// # Errors
/// The bucket's.
pub async fn footage_in_bucket(bucket: &dyn Bucket) -> Result<Vec<FootageOf>, BucketError> {
    let mut found = BTreeMap::new();
    for meta in bucket.list("", None, WALK_PAGE).await? {
        if let Some(name) = ObjectName::parse(&meta.name) {
            found.entry(name.channel_id).or_insert(meta.name);
        }
    }
    Ok(found.into_iter().map(|(channel_id, example)| FootageOf { channel_id, example }).collect())
}

/// What is in a folder; nothing where there is none.
fn list(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<world::DirEntry>> {
    match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// The folders of channels in a folder of the spool.
pub(crate) fn channel_folders(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(Uuid, PathBuf)>> {
    let entries = list(disk, folder)?.into_iter().filter(|entry| entry.is_dir);
    Ok(entries.filter_map(|entry| Some((entry.name.parse().ok()?, folder.join(entry.name)))).collect())
}

/// One object of ours below a channel's folder.
fn any_object(disk: &dyn Disk, store: &Path, folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in list(disk, folder)? {
        let below = folder.join(&entry.name);
        if entry.is_dir {
            if let Some(found) = any_object(disk, store, &below)? {
                return Ok(Some(found));
            }
        } else if below.strip_prefix(store).ok().and_then(Path::to_str).and_then(ObjectName::parse).is_some()
        {
            return Ok(Some(below));
        }
    }
    Ok(None)
}

/// Recordings here that the catalog does not know.
#[derive(Default)]
pub(crate) struct Unknown {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the local store, as it was last looked through.
    in_store: u64,
    /// Segments in the spool whose channel the catalog does not know.
    in_spool: BTreeMap<Uuid, PathBuf>,
    example: String,
    since_us: i64,
}

impl Unknown {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment stays in the spool because its channel is unknown.
    pub(crate) fn stays_in_spool(&self, id: Uuid, path: &Path, now_us: i64) {
        let mut state = self.lock();
        if state.is_empty() {
            (state.since_us, state.example) = (now_us, path.display().to_string());
        }
        if state.in_spool.len() < MAX_REPORTED {
            state.in_spool.insert(id, path.to_owned());
        }
    }

    fn in_store(&self, count: u64, example: Option<String>, now_us: i64) {
        let mut state = self.lock();
        if state.is_empty() {
            state.since_us = now_us;
        }
        state.in_store = count;
        if let Some(example) = example {
            state.example = example;
        }
    }

    /// The alarm that is on while there are some.
    pub(crate) fn alarm(&self) -> Option<Alarm> {
        let state = self.lock();
        let count = state.in_store + state.in_spool.len() as u64;
        (count > 0).then(|| Alarm {
            kind: AlarmKind::FootageUnknown,
            channel_id: None,
            since_us: Some(state.since_us),
            message: format!(
                "the catalog does not know {count} recordings that lie here, such as {}: it may be an old backup. \
                 `turepe reindex` takes them in",
                state.example
            ),
        })
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.in_store == 0 && self.in_spool.is_empty()
    }
}

/// Looks through the names in the local store for segments that no row knows and nobody deleted, as after an old backup of the
/// catalog was put back; again while there are some, as somebody may take them in.
pub(crate) async fn watch(core: Arc<Core>) {
    loop {
        match look(&core).await {
            Ok((0, _)) => {
                core.unknown.in_store(0, None, core.clock.now_us());
                return;
            }
            Ok((count, example)) => {
                if core.unknown.lock().in_store == 0 {
                    error!(
                        count,
                        example,
                        "the catalog does not know recordings that lie here: `turepe reindex` takes them in"
                    );
                }
                core.unknown.in_store(count, Some(example), core.clock.now_us());
            }
            Err(error) => {
                warn!(%error, "whether the catalog knows all recordings here is looked at again later")
            }
        }
        tokio::select! {
            () = core.is_gone.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(UNKNOWN_LOOK_MS)) => {}
        }
    }
}

async fn look(core: &Core) -> Result<(u64, String), ArchiveError> {
    let mut objects = Objects::in_store(Arc::clone(&core.disk), core.config.store.clone(), "");
    let (mut count, mut first) = (0, String::new());
    loop {
        let page = objects.page().await?;
        if page.is_empty() || core.is_gone.is_cancelled() {
            break;
        }
        let named: Vec<_> =
            page.iter().filter_map(|meta| Some((ObjectName::parse(&meta.name)?.id, &meta.name))).collect();
        let ids: Vec<Uuid> = named.iter().map(|(id, _)| *id).collect();
        let known = core.catalog.known_segments(&ids).await?;
        for (id, name) in named {
            if known.contains(&id) || core.catalog.is_deleted(id).await? {
                continue;
            }
            // It may have been deleted for good since its folder was listed.
            if core.disk.exists(&core.config.store.join(name)) {
                if count == 0 {
                    first.clone_from(name);
                }
                count += 1;
            }
        }
        if count >= MAX_REPORTED as u64 {
            info!(count, "the rest of the local store is not looked at");
            break;
        }
    }
    Ok((count, first))
}

#[cfg(test)]
mod tests {
    use world::SimulatedDisk;

    use super::*;
    use crate::name;

    fn place(disk: &SimulatedDisk, path: &str) {
        let path = Path::new(path);
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        disk.create_new(path).unwrap();
    }

    fn channels(disk: &SimulatedDisk) -> Vec<u128> {
        let found = footage_here(disk, Path::new("/data/store"), Path::new("/data/spool")).unwrap();
        found.iter().map(|found| found.channel_id.as_u128()).collect()
    }

    #[test]
    fn footage_is_found_wherever_it_lies_and_nothing_else_counts() {
        let disk = SimulatedDisk::new();
        assert_eq!(channels(&disk), [0; 0], "not even folders");
        let id = |number| Uuid::from_u128(number);
        place(&disk, &format!("/data/store/{}", name::object_name("club/court", id(4), 5, id(9))));
        place(&disk, &format!("/data/store/{}", name::object_name("", id(3), 5, id(9))));
        let spool = SpoolName { id: id(9), session_id: id(9), start_us: 5, prefix: "c/k".into() }.file_name();
        place(&disk, &format!("/data/spool/{}/{spool}", id(2)));
        place(&disk, &format!("/data/spool/quarantine/{}/{spool}", id(1)));
        place(&disk, &format!("/data/spool/{}/notes.txt", id(5)));
        place(&disk, &format!("/data/store/club/court/{}/2025/11/20/readme.txt", id(6)));
        place(&disk, "/data/store/club/court/readme.txt");
        disk.create_dir_all(Path::new("/data/store/club/court").join(id(7).to_string()).as_path()).unwrap();
        assert_eq!(channels(&disk), [1, 2, 3, 4]);
    }
}
