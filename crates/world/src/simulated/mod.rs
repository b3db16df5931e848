//! A disk in memory that can crash, fill up and fail on request. For tests and for simulated time; deterministic.
//!
//! Bytes and names each live twice: as a running program sees them, and as the platter has them. A sync copies from
//! the first to the second; a crash copies back.

mod file;
mod platter;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use self::file::{SimulatedFile, SimulatedVolume};
use self::platter::{Dice, Node, State, clean, is_root};
use crate::{DirEntry, Disk, DiskFile, Fault, FaultRule, Operation, SimulatedClock, Volume};

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    /// Told when what hangs may go on.
    released: Arc<Condvar>,
}

impl SimulatedDisk {
    /// An empty disk without limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule; earlier rules are asked first.
    pub fn inject(&self, rule: FaultRule) {
        self.lock().rules.push(rule);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.heals += 1;
        drop(state);
        self.released.notify_all();
    }

    /// How many operations hang at this instant, in [`Fault::Held`].
    #[must_use]
    pub fn held(&self) -> usize {
        self.lock().held
    }

    /// The clock that moves while [`Fault::Slow`] strikes.
    pub fn set_clock(&self, clock: Arc<SimulatedClock>) {
        self.lock().clock = Some(clock);
    }

    /// How many bytes fit in all; `None` for no limit. Writes past it are torn and fail with `ENOSPC`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity_bytes = bytes;
    }

    /// How many operations were asked for so far. With [`SimulatedDisk::cut_power_at`]: a crash at every step.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Operation number `operation` (the first is 0) and all after it fail with `EIO`, undone, until
    /// [`SimulatedDisk::crash`] starts the machine again.
    pub fn cut_power_at(&self, operation: u64) {
        self.lock().power_cut_at = Some(operation);
    }

    /// Whether an operation has met the end of the power.
    #[must_use]
    pub fn is_powerless(&self) -> bool {
        self.lock().is_powerless()
    }

    /// Operations are answered again, and nothing is lost: it was the program that died, not the machine.
    pub fn restore_power(&self) {
        self.lock().power_cut_at = None;
    }

    /// A power cut and a restart: bytes and names that were not synced are gone, files open before are dead.
    pub fn crash(&self) {
        self.lock().crash(None);
        self.released.notify_all();
    }

    /// As [`SimulatedDisk::crash`], but the kernel had begun to write back: of what was not synced some changes
    /// survive, whole or torn, in any order, as `seed` has it. Names survive up to some point of their history.
    pub fn crash_torn(&self, seed: u64) {
        self.lock().crash(Some(&mut Dice(seed)));
        self.released.notify_all();
    }

    /// The paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.lock();
        state
            .names
            .iter()
            .filter(|(_, node)| **node != Node::Directory)
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// The bytes of a file as a running program sees them.
    #[must_use]
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        match state.names.get(&clean(path))? {
            Node::File(inode) => Some(state.inodes.get(*inode)?.bytes.clone()),
            Node::Directory => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the operation and says whether and how it fails. A fault in the answer is no error by itself.
    fn begin(&self, operation: Operation, path: &Path) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.lock();
        match state.begin(operation, path)? {
            Some(Fault::Held) => {
                let (heals, boots) = (state.heals, state.boots);
                state.held += 1;
                let is_held = |state: &mut State| state.heals == heals && state.boots == boots;
                let mut state =
                    self.released.wait_while(state, is_held).unwrap_or_else(PoisonError::into_inner);
                state.held -= 1;
                if state.boots == boots { Ok((state, None)) } else { Err(Errno::IO.into()) }
            }
            fault => Ok((state, fault)),
        }
    }

    /// The same for what was opened in a boot of the machine and is dead after it.
    fn begin_since(
        &self,
        boot: u64,
        operation: Operation,
        path: &Path,
    ) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let is_alive = |state: &State| {
            if state.boots == boot {
                Ok(())
            } else {
                Err(io::Error::other("opened before the simulated crash"))
            }
        };
        is_alive(&self.lock())?;
        let begun = self.begin(operation, path)?;
        // A crash may have come in between.
        is_alive(&begun.0)?;
        Ok(begun)
    }

    fn handle(
        &self,
        mut state: MutexGuard<'_, State>,
        path: PathBuf,
        inode: usize,
        is_writable: bool,
    ) -> Arc<SimulatedFile> {
        let end = state.inode(inode).bytes.len() as u64;
        state.inode(inode).holders += 1;
        let write_errors = state.inode(inode).write_errors;
        let boot = state.boots;
        drop(state);
        Arc::new(SimulatedFile {
            disk: self.clone(),
            path,
            inode,
            boot,
            end: is_writable.then(|| AtomicU64::new(end)),
            told_errors: AtomicU64::new(write_errors),
        })
    }
}

impl Disk for SimulatedDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = clean(path);
        let (mut state, _) = self.begin(Operation::CreateDir, &path)?;
        let levels: Vec<&Path> = path.ancestors().filter(|level| !is_root(level)).collect();
        for level in levels.into_iter().rev() {
            match state.node(level) {
                Some(Node::Directory) => {}
                Some(Node::File(_)) => return Err(Errno::EXIST.into()),
                None => {
                    // Durable at once, as the trait promises, and with it that one of that name was removed before.
                    if state.pending_names.iter().any(|change| change.path == level) {
                        state.durable_names.retain(|path, _| !path.starts_with(level));
                    }
                    state.pending_names.retain(|change| change.path != level);
                    state.names.insert(level.to_owned(), Node::Directory);
                    state.durable_names.insert(level.to_owned(), Node::Directory);
                }
            }
        }
        Ok(())
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let path = clean(path);
        let (mut state, _) = self.begin(Operation::Create, &path)?;
        state.require_parent(&path)?;
        if state.node(&path).is_some() {
            return Err(Errno::EXIST.into());
        }
        let inode = state.inodes.len();
        let number = state.next_name_change();
        state.set_name(number, &path, Some(Node::File(inode)));
        Ok(self.handle(state, path, inode, true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open_existing(path, false)
    }

    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open_existing(path, true)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (clean(from), clean(to));
        let (mut state, _) = self.begin(Operation::Rename, &from)?;
        let node @ Node::File(_) = state.node(&from).ok_or(Errno::NOENT)? else {
            // Nobody needs it, and the names below would have to move too.
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the simulated disk renames no directories",
            ));
        };
        state.require_parent(&to)?;
        if state.node(&to) == Some(Node::Directory) {
            return Err(Errno::ISDIR.into());
        }
        if from != to {
            let number = state.next_name_change();
            state.set_name(number, &to, Some(node));
            state.set_name(number, &from, None);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = clean(path);
        let (mut state, _) = self.begin(Operation::Remove, &path)?;
        match state.node(&path) {
            None => Err(Errno::NOENT.into()),
            Some(Node::Directory) => Err(Errno::ISDIR.into()),
            Some(Node::File(_)) => {
                let number = state.next_name_change();
                state.set_name(number, &path, None);
                Ok(())
            }
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let path = clean(path);
        let (mut state, _) = self.begin(Operation::Remove, &path)?;
        match state.node(&path) {
            None => return Err(Errno::NOENT.into()),
            Some(Node::File(_)) => return Err(Errno::NOTDIR.into()),
            Some(Node::Directory) => {}
        }
        if state.names.keys().any(|name| name.parent() == Some(&path)) {
            return Err(Errno::NOTEMPTY.into());
        }
        let number = state.next_name_change();
        state.set_name(number, &path, None);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let path = clean(path);
        let (state, _) = self.begin(Operation::List, &path)?;
        match state.node(&path) {
            None => return Err(Errno::NOENT.into()),
            Some(Node::File(_)) => return Err(Errno::NOTDIR.into()),
            Some(Node::Directory) => {}
        }
        let mut entries: Vec<DirEntry> = state
            .names
            .iter()
            .filter(|(name, _)| name.parent() == Some(&path))
            .filter_map(|(name, node)| {
                let name = name.file_name()?.to_str()?.to_owned();
                Some(match node {
                    Node::Directory => DirEntry { name, is_dir: true, len: 0 },
                    Node::File(inode) => {
                        DirEntry { name, is_dir: false, len: state.inodes.get(*inode)?.bytes.len() as u64 }
                    }
                })
            })
            .collect();
        entries.sort_unstable();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = clean(path);
        let (mut state, _) = self.begin(Operation::SyncDir, &path)?;
        match state.node(&path) {
            None => Err(Errno::NOENT.into()),
            Some(Node::File(_)) => Err(Errno::NOTDIR.into()),
            Some(Node::Directory) => {
                state.sync_names(&path);
                Ok(())
            }
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let (state, _) = self.begin(Operation::FreeBytes, &clean(path))?;
        Ok(state.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used_bytes())))
    }

    fn exists(&self, path: &Path) -> bool {
        self.lock().node(&clean(path)).is_some()
    }

    fn volume(&self, path: &Path) -> io::Result<Arc<dyn Volume>> {
        let path = clean(path);
        let (state, _) = self.begin(Operation::Open, &path)?;
        if state.node(&path).is_none() {
            return Err(Errno::NOENT.into());
        }
        let (boot, told_errors) = (state.boots, AtomicU64::new(state.write_errors));
        drop(state);
        Ok(Arc::new(SimulatedVolume { disk: self.clone(), path, boot, told_errors }))
    }
}

impl SimulatedDisk {
    fn open_existing(&self, path: &Path, is_writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        let path = clean(path);
        let (state, _) = self.begin(Operation::Open, &path)?;
        match state.node(&path) {
            None => Err(Errno::NOENT.into()),
            Some(Node::Directory) => Err(Errno::ISDIR.into()),
            Some(Node::File(inode)) => Ok(self.handle(state, path, inode, is_writable)),
        }
    }
}
