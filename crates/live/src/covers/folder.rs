//! The folder of covers: what is in it is whole at every instant, whoever reads it.
//!
//! `{MD5 of the channel}.jpg` is a channel's cover or a slate, `slate.jpg` the slate for a web server that finds nothing else.
//! What is being made lies in a folder below and is renamed. Nothing is synced: a cover is old after ten seconds anyway.

use std::{
    collections::HashSet,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use world::Disk;

use super::{
    CoverId,
    ffmpeg::is_whole_jpeg,
    limits::{MAX_COVER_BYTES, MIN_FREE_BYTES},
};

/// The folder of what is being made, below that of covers.
const WORK: &str = ".work";

/// The slate by itself.
const SLATE_NAME: &str = "slate.jpg";

/// Everything here blocks.
pub(super) struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    work: PathBuf,
    /// Whether others may read it.
    is_shared: bool,
    slate: Bytes,
    numbers: AtomicU64,
}

impl Folder {
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path, is_shared: bool, slate: Bytes) -> Self {
        // ffmpeg has another working folder than this process.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let work = path.join(WORK);
        Self { disk, path, work, is_shared, slate, numbers: AtomicU64::new(0) }
    }

    /// Where ffmpeg works.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// The slate.
    pub(super) fn slate(&self) -> Bytes {
        self.slate.clone()
    }

    /// A number that no file being made has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes the folder where it is missing, and clears away what a process before this one was making.
    pub(super) fn open(&self) -> io::Result<()> {
        self.ensure()?;
        for entry in self.disk.list(&self.work)? {
            if !entry.is_dir {
                self.disk.remove(&self.work.join(entry.name))?;
            }
        }
        self.put(SLATE_NAME, &self.slate)
    }

    /// Makes the folder where it is missing, also in mid-flight; an error when covers cannot be written.
    pub(super) fn ensure(&self) -> io::Result<()> {
        let is_new = !self.disk.exists(&self.work);
        if is_new {
            self.disk.create_dir_all(&self.work)?;
            self.share(&self.path)?;
        }
        let free = self.disk.free_bytes(&self.work)?;
        if free < MIN_FREE_BYTES {
            let problem = format!("only {free} bytes are free; covers are made from {MIN_FREE_BYTES} on");
            return Err(io::Error::new(io::ErrorKind::StorageFull, problem));
        }
        if is_new { self.put(SLATE_NAME, &self.slate) } else { Ok(()) }
    }

    /// Lets others read what they may.
    fn share(&self, path: &Path) -> io::Result<()> {
        if self.is_shared { self.disk.share(path) } else { Ok(()) }
    }

    /// Writes a file to work with.
    pub(super) fn write(&self, name: &str, parts: &[Bytes]) -> io::Result<()> {
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        self.disk.create_new(&self.work.join(name))?.append_vectored(&slices)
    }

    /// Makes a file of the work folder the channel's cover, if it is a whole picture; whether it is.
    pub(super) fn publish(&self, name: &str, id: CoverId) -> io::Result<bool> {
        let from = self.work.join(name);
        let bytes = match world::read_whole(self.disk.as_ref(), &from, MAX_COVER_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if !is_whole_jpeg(&bytes) {
            return Ok(false);
        }
        self.share(&from)?;
        self.disk.rename(&from, &self.path.join(id.file_name()))?;
        Ok(true)
    }

    /// Whether a file of the work folder is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.disk.exists(&self.work.join(name))
    }

    /// Removes files of the work folder that are there.
    pub(super) fn clear<'a>(&self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            match self.disk.remove(&self.work.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(%error, name, "a file of covers stays behind");
                }
                _ => {}
            }
        }
    }

    /// Puts the slate in the place of a cover.
    pub(super) fn put_slate(&self, id: CoverId) -> io::Result<()> {
        self.ensure()?;
        self.put(&id.file_name(), &self.slate)
    }

    fn put(&self, name: &str, bytes: &Bytes) -> io::Result<()> {
        let part = format!("{}.part", self.number());
        let put = (|| {
            self.write(&part, std::slice::from_ref(bytes))?;
            self.share(&self.work.join(&part))?;
            self.disk.rename(&self.work.join(&part), &self.path.join(name))
        })();
        if put.is_err() {
            self.clear([&part]);
        }
        put
    }

    /// What stands in the place of a cover; nothing where it cannot be read or was torn by a power cut.
    pub(super) fn read(&self, id: CoverId) -> Option<Bytes> {
        let path = self.path.join(id.file_name());
        let bytes = world::read_whole(self.disk.as_ref(), &path, MAX_COVER_BYTES).ok()?;
        is_whole_jpeg(&bytes).then(|| bytes.into())
    }

    /// Removes the covers of channels that are not known; gives those that stay.
    pub(super) fn sweep(&self, known: &HashSet<CoverId>) -> io::Result<HashSet<CoverId>> {
        let mut stay = HashSet::new();
        for entry in self.disk.list(&self.path)? {
            let Some(id) = CoverId::from_file_name(&entry.name).filter(|_| !entry.is_dir) else { continue };
            if known.contains(&id) {
                stay.insert(id);
            } else {
                self.disk.remove(&self.path.join(entry.name))?;
            }
        }
        Ok(stay)
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, MIN_FREE_BYTES, SLATE_NAME};
    use crate::covers::{CoverId, SLATE};
    use bytes::Bytes;
    use std::{collections::HashSet, io, path::Path, sync::Arc};
    use uuid::Uuid;
    use world::{Disk, SimulatedDisk};

    fn id(number: u128) -> CoverId {
        CoverId::of(Uuid::from_u128(number))
    }

    fn folder(disk: &SimulatedDisk) -> Folder {
        Folder::new(Arc::new(disk.clone()), Path::new("/data/covers"), true, Bytes::from_static(SLATE))
    }

    #[test]
    fn only_whole_pictures_become_covers() {
        let disk = SimulatedDisk::new();
        let covers = folder(&disk);
        covers.open().unwrap();
        let half = Bytes::from_static(&SLATE[..SLATE.len() / 2]);
        for (name, parts) in
            [("half", vec![half]), ("empty", vec![]), ("long", vec![Bytes::from(vec![0xff; 600_000])])]
        {
            covers.write(name, &parts).unwrap();
            assert!(!covers.publish(name, id(1)).unwrap(), "{name}");
        }
        assert!(!covers.publish("missing", id(1)).unwrap());
        assert_eq!(covers.read(id(1)), None);
        covers.write("whole", &[Bytes::from_static(&SLATE[..9]), Bytes::from_static(&SLATE[9..])]).unwrap();
        assert!(covers.publish("whole", id(1)).unwrap());
        assert_eq!(covers.read(id(1)).unwrap(), SLATE);
        // Another process begins: what this one was making goes, what it made stays.
        let covers = folder(&disk);
        covers.open().unwrap();
        let left: Vec<String> =
            disk.list(covers.work()).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(covers.read(id(1)).unwrap(), SLATE);
    }

    #[test]
    fn covers_of_removed_channels_go_and_nothing_else() {
        let disk = SimulatedDisk::new();
        let covers = folder(&disk);
        covers.open().unwrap();
        (1..4).for_each(|number| covers.put_slate(id(number)).unwrap());
        disk.create_dir_all(Path::new("/data/covers/frames")).unwrap();
        let stay = covers.sweep(&HashSet::from([id(2), id(9)])).unwrap();
        assert_eq!(stay, HashSet::from([id(2)]));
        let names: Vec<String> =
            disk.list(Path::new("/data/covers")).unwrap().into_iter().map(|entry| entry.name).collect();
        let mut wanted =
            vec![".work".to_owned(), "frames".to_owned(), SLATE_NAME.to_owned(), id(2).file_name()];
        wanted.sort();
        assert_eq!(names, wanted);
    }

    #[test]
    fn a_folder_that_is_gone_is_made_again_and_a_full_disk_is_left_alone() {
        let disk = SimulatedDisk::new();
        let covers = folder(&disk);
        covers.ensure().unwrap();
        disk.remove(Path::new("/data/covers/slate.jpg")).unwrap();
        disk.remove_dir(Path::new("/data/covers/.work")).unwrap();
        disk.remove_dir(Path::new("/data/covers")).unwrap();
        covers.put_slate(id(1)).unwrap();
        assert_eq!(covers.read(id(1)).unwrap(), SLATE);
        assert!(disk.exists(Path::new("/data/covers/slate.jpg")));
        disk.set_capacity(Some(MIN_FREE_BYTES));
        assert_eq!(covers.ensure().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(covers.put_slate(id(2)).is_err());
        assert_eq!(covers.read(id(2)), None);
    }
}
