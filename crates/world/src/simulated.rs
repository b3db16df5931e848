//! A disk in memory that can crash, fill up and fail on request. For tests and for simulated time; deterministic.
//!
//! Bytes and names each live twice: as a running program sees them, and as the platter has them. A sync copies from
//! the first to the second; a crash copies back.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::{DirEntry, Disk, DiskFile, Fault, FaultRule, Operation, SimulatedClock, Volume};

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    /// Told when what hangs may go on.
    released: Arc<Condvar>,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Directory,
    File(usize),
}

/// A change of a file's bytes that is not on the platter yet.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes: new } => {
                let end = offset + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                if let Some(place) = bytes.get_mut(*offset..end) {
                    place.copy_from_slice(new);
                }
            }
            Self::Length(len) => bytes.resize(*len, 0),
        }
    }
}

#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Names and handles that hold it; at zero the bytes go.
    holders: usize,
    /// Times that bytes of it were lost on their way to the platter: `errseq_t` of Linux.
    write_errors: u64,
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }
}

/// A change of a name that is not on the platter yet. The halves of a rename carry the same number.
#[derive(Clone, Debug)]
struct NameChange {
    number: u64,
    path: PathBuf,
    node: Option<Node>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending_names: Vec<NameChange>,
    name_changes: u64,
    rules: Vec<FaultRule>,
    capacity_bytes: Option<u64>,
    operations: u64,
    power_cut_at: Option<u64>,
    /// Counts crashes; a handle from before the last one is dead.
    boots: u64,
    /// Times that bytes of any file were lost on their way to the platter.
    write_errors: u64,
    /// Counts [`SimulatedDisk::heal`].
    heals: u64,
    /// Operations that hang in [`Fault::Held`].
    held: usize,
    /// What [`Fault::Slow`] moves.
    clock: Option<Arc<SimulatedClock>>,
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

/// Splitmix64 (Steele, Lea, Flood 2014): enough for dice, and no dependency.
struct Dice(u64);

impl Dice {
    /// A number below `limit`, or 0 if that is 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % (limit.max(1) as u64)).unwrap_or(0)
    }
}

impl State {
    /// See [`SimulatedDisk::begin`], which also waits where something is held.
    fn begin(&mut self, operation: Operation, path: &Path) -> io::Result<Option<Fault>> {
        let number = self.operations;
        self.operations += 1;
        if self.power_cut_at.is_some_and(|at| number >= at) {
            return Err(Errno::IO.into());
        }
        match self.rules.iter_mut().find_map(|rule| rule.strike(operation, path)) {
            None => Ok(None),
            Some(fault @ Fault::TornWrite(_))
                if matches!(operation, Operation::Append | Operation::WriteAt) =>
            {
                Ok(Some(fault))
            }
            Some(fault @ Fault::ShortRead(_)) if operation == Operation::Read => Ok(Some(fault)),
            Some(Fault::Slow(us)) => {
                if let Some(clock) = &self.clock {
                    clock.advance(us);
                }
                Ok(None)
            }
            Some(Fault::Held) => Ok(Some(Fault::Held)),
            Some(fault) => Err(fault.errno().into()),
        }
    }

    /// Whether the power was gone at the last operation.
    fn is_powerless(&self) -> bool {
        self.power_cut_at.is_some_and(|at| self.operations > at)
    }

    fn inode(&mut self, number: usize) -> &mut Inode {
        if self.inodes.len() <= number {
            self.inodes.resize_with(number + 1, Inode::default);
        }
        &mut self.inodes[number]
    }

    /// The root and the empty path are always there.
    fn node(&self, path: &Path) -> Option<Node> {
        if is_root(path) { Some(Node::Directory) } else { self.names.get(path).copied() }
    }

    fn require_parent(&self, path: &Path) -> io::Result<()> {
        match self.node(path.parent().unwrap_or(Path::new(""))) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(Errno::NOTDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    fn set_name(&mut self, number: u64, path: &Path, node: Option<Node>) {
        let old = match node {
            Some(node) => self.names.insert(path.to_owned(), node),
            None => self.names.remove(path),
        };
        if let Some(Node::File(inode)) = node {
            self.inode(inode).holders += 1;
        }
        if let Some(Node::File(inode)) = old {
            self.release(inode);
        }
        self.pending_names.push(NameChange { number, path: path.to_owned(), node });
    }

    fn next_name_change(&mut self) -> u64 {
        self.name_changes += 1;
        self.name_changes
    }

    /// One holder less. The bytes as a program sees them go with the last; what is on the platter may come back with
    /// a crash while an unsynced name change still hides it.
    fn release(&mut self, inode: usize) {
        let inode = self.inode(inode);
        inode.holders = inode.holders.saturating_sub(1);
        if inode.holders == 0 {
            inode.bytes = Vec::new();
            inode.pending = Vec::new();
        }
    }

    fn used_bytes(&self) -> u64 {
        self.inodes.iter().map(|inode| inode.bytes.len() as u64).sum()
    }

    /// How much of a write that ends at `end` fits.
    fn room_for(&self, inode: usize, offset: usize, len: usize) -> usize {
        let Some(capacity) = self.capacity_bytes else { return len };
        let current = self.inodes.get(inode).map_or(0, |inode| inode.bytes.len());
        let growth = (offset + len).saturating_sub(current);
        let free = usize::try_from(capacity.saturating_sub(self.used_bytes())).unwrap_or(usize::MAX);
        len - growth.saturating_sub(free).min(len)
    }

    fn sync_names(&mut self, directory: &Path) {
        let pending = std::mem::take(&mut self.pending_names);
        for change in pending {
            if change.path.parent().unwrap_or(Path::new("")) == directory {
                apply_name(&mut self.durable_names, &change);
            } else {
                self.pending_names.push(change);
            }
        }
        self.forget_unreachable();
    }

    /// Makes all bytes and names durable but those that the rules for [`Operation::SyncData`] lose.
    fn sync_everything(&mut self) {
        let waiting: Vec<(PathBuf, usize)> = self
            .names
            .iter()
            .filter_map(|(path, node)| match node {
                Node::File(inode) if !self.inodes.get(*inode)?.pending.is_empty() => {
                    Some((path.clone(), *inode))
                }
                _ => None,
            })
            .collect();
        for (path, inode) in waiting {
            let fault = self.rules.iter_mut().find_map(|rule| rule.strike(Operation::SyncData, &path));
            if matches!(fault, Some(Fault::Io | Fault::NoSpace | Fault::Denied)) {
                self.lose_pending(inode);
            }
        }
        self.inodes.iter_mut().for_each(Inode::sync);
        for change in std::mem::take(&mut self.pending_names) {
            apply_name(&mut self.durable_names, &change);
        }
        self.forget_unreachable();
    }

    /// A failed write-back: the bytes count as written and are not (`mapping_set_error` of Linux). How many there were of
    /// this file.
    fn lose_pending(&mut self, inode: usize) -> u64 {
        self.write_errors += 1;
        let inode = self.inode(inode);
        inode.pending.clear();
        inode.write_errors += 1;
        inode.write_errors
    }

    /// Frees the durable bytes of inodes that nothing can bring back.
    fn forget_unreachable(&mut self) {
        let State { inodes, durable_names, pending_names, .. } = self;
        let mut is_reachable = vec![false; inodes.len()];
        let nodes =
            durable_names.values().copied().chain(pending_names.iter().filter_map(|change| change.node));
        for node in nodes {
            if let Node::File(inode) = node
                && let Some(flag) = is_reachable.get_mut(inode)
            {
                *flag = true;
            }
        }
        for (inode, is_reachable) in inodes.iter_mut().zip(is_reachable) {
            if !is_reachable && inode.holders == 0 {
                inode.durable = Vec::new();
            }
        }
    }

    fn crash(&mut self, mut dice: Option<&mut Dice>) {
        self.boots += 1;
        self.power_cut_at = None;
        let pending_names = std::mem::take(&mut self.pending_names);
        if let Some(dice) = dice.as_deref_mut() {
            let last = pending_names.iter().map(|change| change.number).max().unwrap_or(0);
            let first = pending_names.iter().map(|change| change.number).min().unwrap_or(0);
            let span = usize::try_from(last - first).unwrap_or(usize::MAX - 2);
            let survives_below = first + dice.below(span + 2) as u64;
            for change in pending_names.iter().filter(|change| change.number < survives_below) {
                apply_name(&mut self.durable_names, change);
            }
        }
        drop_orphans(&mut self.durable_names);
        for inode in &mut self.inodes {
            let pending = std::mem::take(&mut inode.pending);
            if let Some(dice) = dice.as_deref_mut() {
                for change in pending {
                    survive(&mut inode.durable, change, dice);
                }
            }
            inode.bytes.clone_from(&inode.durable);
            inode.holders = 0;
        }
        self.names.clone_from(&self.durable_names);
        for node in self.durable_names.values() {
            if let Node::File(number) = node
                && let Some(inode) = self.inodes.get_mut(*number)
            {
                inode.holders += 1;
            }
        }
        for inode in self.inodes.iter_mut().filter(|inode| inode.holders == 0) {
            *inode = Inode::default();
        }
    }
}

/// A change that was on its way to the platter: whole, torn or lost.
fn survive(durable: &mut Vec<u8>, change: Change, dice: &mut Dice) {
    match (dice.below(3), change) {
        (0, _) => {}
        (1, Change::Write { offset, mut bytes }) => {
            bytes.truncate(dice.below(bytes.len() + 1));
            Change::Write { offset, bytes }.apply(durable);
        }
        (_, change) => change.apply(durable),
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change.node {
        Some(node) => names.insert(change.path.clone(), node),
        None => names.remove(&change.path),
    };
}

/// A name in a directory that is not there cannot be reached.
fn drop_orphans(names: &mut BTreeMap<PathBuf, Node>) {
    let paths: Vec<PathBuf> = names.keys().cloned().collect();
    for path in paths {
        // Sorted: a directory comes before what it holds.
        let parent = path.parent().unwrap_or(Path::new(""));
        if !is_root(parent) && names.get(parent) != Some(&Node::Directory) {
            names.remove(&path);
        }
    }
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

/// The path without `.` components.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
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
                    // Durable at once, as the trait promises, whatever was waiting for a sync.
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

/// The whole disk.
#[derive(Debug)]
struct SimulatedVolume {
    disk: SimulatedDisk,
    /// The name it was taken by, for the fault rules.
    path: PathBuf,
    boot: u64,
    /// How many of the disk's write errors it has told of.
    told_errors: AtomicU64,
}

impl Volume for SimulatedVolume {
    fn sync_all(&self) -> io::Result<()> {
        let (mut state, _) = self.disk.begin_since(self.boot, Operation::SyncAll, &self.path)?;
        state.sync_everything();
        // As errseq_t does: each holder hears once of what went wrong since it last asked.
        let errors = state.write_errors;
        if self.told_errors.swap(errors, Ordering::AcqRel) != errors {
            return Err(Errno::IO.into());
        }
        Ok(())
    }

    fn holds(&self, path: &Path) -> io::Result<bool> {
        if self.disk.exists(path) { Ok(true) } else { Err(Errno::NOENT.into()) }
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    /// The name it was opened by, for the fault rules.
    path: PathBuf,
    inode: usize,
    boot: u64,
    /// Where the next append goes; `None` for a reader.
    end: Option<AtomicU64>,
    /// How many of its file's write errors it has told of.
    told_errors: AtomicU64,
}

impl SimulatedFile {
    fn begin(&self, operation: Operation) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        self.disk.begin_since(self.boot, operation, &self.path)
    }

    fn end(&self) -> io::Result<&AtomicU64> {
        self.end.as_ref().ok_or_else(|| Errno::BADF.into())
    }

    /// Writes as much of `bytes` as fault and capacity let through, and fails if that is not all of it.
    fn write(
        &self,
        state: &mut State,
        fault: Option<Fault>,
        mut bytes: Vec<u8>,
        offset: u64,
    ) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
        let wanted = bytes.len();
        let mut fits = state.room_for(self.inode, offset, wanted);
        if let Some(Fault::TornWrite(count)) = fault {
            fits = fits.min(count);
        }
        bytes.truncate(fits);
        if !bytes.is_empty() {
            state.inode(self.inode).change(Change::Write { offset, bytes });
        }
        if fits < wanted || matches!(fault, Some(Fault::TornWrite(_))) {
            Err(Errno::NOSPC.into())
        } else {
            Ok(())
        }
    }
}

impl DiskFile for SimulatedFile {
    fn append_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        let end = self.end()?;
        let (mut state, fault) = self.begin(Operation::Append)?;
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let (start, count) = (end.load(Ordering::Acquire), bytes.len() as u64);
        // On an error the torn bytes stay behind the end, as they may on a real disk.
        self.write(&mut state, fault, bytes, start)?;
        end.store(start + count, Ordering::Release);
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, fault) = self.begin(Operation::Read)?;
        let bytes = &state.inode(self.inode).bytes;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let available = bytes.get(offset..).unwrap_or_default();
        let mut count = available.len().min(buf.len());
        if let Some(Fault::ShortRead(limit)) = fault {
            count = count.min(limit.max(1));
        }
        if let (Some(to), Some(from)) = (buf.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let end = self.end()?;
        let (mut state, fault) = self.begin(Operation::WriteAt)?;
        self.write(&mut state, fault, buf.to_vec(), offset)?;
        end.fetch_max(offset.saturating_add(buf.len() as u64), Ordering::AcqRel);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let begun = self.begin(Operation::SyncData);
        let Ok((mut state, _)) = begun else {
            let mut state = self.disk.lock();
            if state.boots == self.boot && !state.is_powerless() {
                let errors = state.lose_pending(self.inode);
                self.told_errors.store(errors, Ordering::Release);
            }
            drop(state);
            return begun.map(|_| ());
        };
        let inode = state.inode(self.inode);
        inode.sync();
        if self.told_errors.swap(inode.write_errors, Ordering::AcqRel) != inode.write_errors {
            return Err(Errno::IO.into());
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        if state.boots != self.boot {
            return Err(io::Error::other("opened before the simulated crash"));
        }
        Ok(match &self.end {
            Some(end) => end.load(Ordering::Acquire),
            None => state.inode(self.inode).bytes.len() as u64,
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let end = self.end()?;
        let (mut state, _) = self.begin(Operation::SetLen)?;
        let len_usize = usize::try_from(len).map_err(|_| Errno::FBIG)?;
        let current = state.inode(self.inode).bytes.len();
        if state.room_for(self.inode, current, len_usize.saturating_sub(current))
            < len_usize.saturating_sub(current)
        {
            return Err(Errno::NOSPC.into());
        }
        state.inode(self.inode).change(Change::Length(len_usize));
        end.store(len, Ordering::Release);
        Ok(())
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.boots == self.boot {
            state.release(self.inode);
        }
    }
}
