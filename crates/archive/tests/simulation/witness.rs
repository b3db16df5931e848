//! A disk that stands between the archive and the simulated one and remembers what it has promised.
//!
//! What a successful sync promised is written down here from outside, by the rules of `world::Disk` alone: the bytes of a
//! file after its `sync_data`, once its name was synced by its folder, or both by the whole volume. And at each removal
//! it is looked whether the bytes are somewhere else at that instant.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use turepe_archive::bucket::MemoryBucket;
use uuid::Uuid;
use world::{DirEntry, Disk, DiskFile, SimulatedDisk, Volume};

/// What is remembered over all lives.
#[derive(Default)]
pub(crate) struct Notes {
    files: HashMap<PathBuf, FileNote>,
    /// The longest prefix of each segment's file that would outlive a power cut.
    pub(crate) promised: BTreeMap<Uuid, Vec<u8>>,
    /// Objects whose local copy went while the bucket did not have just these bytes, with the length there and here.
    pub(crate) removed: Vec<(String, Option<usize>, usize)>,
    /// What must never happen, as it happened.
    pub(crate) violations: Vec<String>,
}

#[derive(Default)]
struct FileNote {
    /// What its writer counts as written; a torn write may have left more.
    len: u64,
    synced_len: u64,
    is_named: bool,
    /// A sync of it failed: nothing is promised any more.
    is_given_up: bool,
    /// A sync of everything failed: only its own sync says something about it.
    is_suspect: bool,
}

/// One life's view of the disk.
#[derive(Clone)]
pub(crate) struct Witness {
    disk: SimulatedDisk,
    bucket: MemoryBucket,
    notes: Arc<Mutex<Notes>>,
    spool: PathBuf,
    store: PathBuf,
    has_two_volumes: bool,
    life: Arc<Life>,
}

struct Life {
    is_over: AtomicBool,
    /// Held for reading by every operation that runs.
    running: RwLock<()>,
}

pub(crate) fn segment_of(path: &Path) -> Option<Uuid> {
    let name = path.file_name()?.to_str()?;
    if !name.ends_with(".mp4.part") {
        return None;
    }
    name.split('~').next()?.parse().ok()
}

impl Notes {
    /// The machine was started again: what is there now is on the platter, under its name.
    pub(crate) fn power_cut(&mut self, disk: &SimulatedDisk) {
        let named = || FileNote { is_named: true, ..FileNote::default() };
        self.files = disk.files().into_iter().map(|path| (path, named())).collect();
    }
}

impl Witness {
    pub(crate) fn new(
        disk: SimulatedDisk,
        bucket: MemoryBucket,
        notes: Arc<Mutex<Notes>>,
        folders: (&Path, &Path),
        has_two_volumes: bool,
    ) -> Self {
        let life = Arc::new(Life { is_over: AtomicBool::new(false), running: RwLock::new(()) });
        let (spool, store) = (folders.0.to_owned(), folders.1.to_owned());
        Self { disk, bucket, notes, spool, store, has_two_volumes, life }
    }

    /// Ends this life: nothing that was open in it does anything any more, whoever still holds it.
    pub(crate) fn die(&self) {
        self.life.is_over.store(true, Ordering::SeqCst);
        loop {
            if self.life.running.try_write().is_ok() {
                return;
            }
            // What hangs in the kernel ends as the kernel likes.
            if self.disk.held() > 0 {
                self.disk.heal();
            }
            std::thread::yield_now();
        }
    }

    /// Operations of the disk in all lives.
    pub(crate) fn operations(&self) -> u64 {
        self.disk.operations()
    }

    pub(crate) fn bucket_calls(&self) -> u64 {
        self.bucket.all_calls()
    }

    fn run<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _running = self.life.running.read().unwrap_or_else(PoisonError::into_inner);
        if self.life.is_over.load(Ordering::SeqCst) {
            return Err(io::Error::other("this life is over"));
        }
        act()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(WitnessFile { witness: self.clone(), path: path.to_owned(), file })
    }

    fn promise(&self, notes: &mut Notes, path: &Path) {
        let (Some(id), Some(note)) = (segment_of(path), notes.files.get(path)) else { return };
        if !note.is_named || note.is_given_up {
            return;
        }
        let len = usize::try_from(note.synced_len).unwrap();
        if len > notes.promised.get(&id).map_or(0, Vec::len)
            && let Some(mut bytes) = self.disk.bytes(path)
        {
            bytes.truncate(len);
            notes.promised.insert(id, bytes);
        }
    }

    /// Looks at a file that is about to go.
    fn look_before_removal(&self, path: &Path) {
        if let Ok(object) = path.strip_prefix(&self.store) {
            let name = object.to_string_lossy().into_owned();
            // A copy half made is nobody's.
            let remote = self.bucket.bytes(&name).map(Vec::from);
            // Another one may have removed it since it was there.
            let Some(local) = self.disk.bytes(path) else { return };
            if name.ends_with(".mp4") && remote.as_ref() != Some(&local) {
                self.notes().removed.push((name, remote.map(|bytes| bytes.len()), local.len()));
            }
        } else if let Some(id) = segment_of(path)
            && path.starts_with(&self.spool)
        {
            let bytes = self.disk.bytes(path);
            let is_in_store = self.disk.files().iter().any(|file| {
                file.starts_with(&self.store)
                    && file.to_string_lossy().contains(&id.to_string())
                    && self.disk.bytes(file) == bytes
            });
            let mut notes = self.notes();
            if notes.promised.contains_key(&id) && !is_in_store {
                notes.violations.push(format!("the only copy of segment {id} was removed from the spool"));
            }
        }
    }
}

impl Disk for Witness {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.run(|| self.disk.create_dir_all(path))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.run(|| {
            let file = self.disk.create_new(path)?;
            self.notes().files.insert(path.to_owned(), FileNote::default());
            Ok(file)
        })?;
        Ok(self.file(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, self.run(|| self.disk.open(path))?))
    }

    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, self.run(|| self.disk.open_rw(path))?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.has_two_volumes && from.starts_with(&self.spool) != to.starts_with(&self.spool) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        self.run(|| {
            self.disk.rename(from, to)?;
            let mut notes = self.notes();
            let note = notes.files.remove(from).unwrap_or_default();
            notes.files.insert(to.to_owned(), FileNote { is_named: false, ..note });
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(|| {
            if self.disk.exists(path) {
                self.look_before_removal(path);
            }
            self.disk.remove(path)
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.run(|| self.disk.remove_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.run(|| self.disk.list(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.run(|| {
            self.disk.sync_dir(path)?;
            let mut notes = self.notes();
            let inside: Vec<PathBuf> =
                notes.files.keys().filter(|file| file.parent() == Some(path)).cloned().collect();
            for file in inside {
                if let Some(note) = notes.files.get_mut(&file) {
                    note.is_named = true;
                }
                self.promise(&mut notes, &file);
            }
            Ok(())
        })
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.run(|| self.disk.free_bytes(path))
    }

    fn exists(&self, path: &Path) -> bool {
        !self.life.is_over.load(Ordering::SeqCst) && self.disk.exists(path)
    }

    fn volume(&self, path: &Path) -> io::Result<Arc<dyn Volume>> {
        let volume = self.run(|| self.disk.volume(path))?;
        Ok(Arc::new(WitnessVolume { witness: self.clone(), volume }))
    }
}

struct WitnessVolume {
    witness: Witness,
    volume: Arc<dyn Volume>,
}

impl Volume for WitnessVolume {
    fn sync_all(&self) -> io::Result<()> {
        let witness = &self.witness;
        witness.run(|| {
            let lens: Vec<(PathBuf, u64)> =
                witness.notes().files.iter().map(|(path, note)| (path.clone(), note.len)).collect();
            let synced = self.volume.sync_all();
            let mut notes = witness.notes();
            if synced.is_err() {
                notes.files.values_mut().for_each(|note| note.is_suspect = true);
                return synced;
            }
            for (path, len) in lens {
                if let Some(note) = notes.files.get_mut(&path)
                    && !note.is_suspect
                {
                    note.is_named = true;
                    note.synced_len = note.synced_len.max(len);
                    witness.promise(&mut notes, &path);
                }
            }
            Ok(())
        })
    }

    fn holds(&self, path: &Path) -> io::Result<bool> {
        self.witness.run(|| self.volume.holds(path))
    }
}

struct WitnessFile {
    witness: Witness,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl WitnessFile {
    fn note_len(&self) -> io::Result<()> {
        let len = self.file.len()?;
        if let Some(note) = self.witness.notes().files.get_mut(&self.path) {
            note.len = len;
        }
        Ok(())
    }
}

impl DiskFile for WitnessFile {
    fn append_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        self.witness.run(|| self.file.append_vectored(bufs).and_then(|()| self.note_len()))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.witness.run(|| self.file.read_at(buf, offset))
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.witness.run(|| self.file.write_all_at(buf, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.witness.run(|| {
            let len = self.file.len()?;
            let synced = self.file.sync_data();
            let mut notes = self.witness.notes();
            if let Some(note) = notes.files.get_mut(&self.path) {
                match &synced {
                    Ok(()) => {
                        note.is_suspect = false;
                        note.synced_len = note.synced_len.max(len);
                    }
                    Err(_) => note.is_given_up = true,
                }
            }
            self.witness.promise(&mut notes, &self.path);
            synced
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.witness.run(|| self.file.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.witness.run(|| self.file.set_len(len).and_then(|()| self.note_len()))
    }
}
