//! What a simulated disk holds, and what of it a crash leaves.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use crate::{Fault, FaultRule, Operation, SimulatedClock};

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Node {
    Directory,
    File(usize),
}

/// A change of a file's bytes that is not on the platter yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
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
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
    /// Names and handles that hold it; at zero the bytes go.
    pub(super) holders: usize,
    /// Times that bytes of it were lost on their way to the platter: `errseq_t` of Linux.
    pub(super) write_errors: u64,
}

impl Inode {
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }
}

/// A change of a name that is not on the platter yet. The halves of a rename carry the same number.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) node: Option<Node>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) inodes: Vec<Inode>,
    pub(super) names: BTreeMap<PathBuf, Node>,
    pub(super) durable_names: BTreeMap<PathBuf, Node>,
    pub(super) pending_names: Vec<NameChange>,
    pub(super) name_changes: u64,
    pub(super) rules: Vec<FaultRule>,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) operations: u64,
    pub(super) power_cut_at: Option<u64>,
    /// Counts crashes; a handle from before the last one is dead.
    pub(super) boots: u64,
    /// Times that bytes of any file were lost on their way to the platter.
    pub(super) write_errors: u64,
    /// Counts [`crate::SimulatedDisk::heal`].
    pub(super) heals: u64,
    /// Operations that hang in [`Fault::Held`].
    pub(super) held: usize,
    /// What [`Fault::Slow`] moves.
    pub(super) clock: Option<Arc<SimulatedClock>>,
}

/// Splitmix64 (Steele, Lea, Flood 2014): enough for dice, and no dependency.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `limit`, or 0 if that is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % (limit.max(1) as u64)).unwrap_or(0)
    }
}

impl State {
    /// See `SimulatedDisk::begin`, which also waits where something is held.
    pub(super) fn begin(&mut self, operation: Operation, path: &Path) -> io::Result<Option<Fault>> {
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
    pub(super) fn is_powerless(&self) -> bool {
        self.power_cut_at.is_some_and(|at| self.operations > at)
    }

    pub(super) fn inode(&mut self, number: usize) -> &mut Inode {
        if self.inodes.len() <= number {
            self.inodes.resize_with(number + 1, Inode::default);
        }
        &mut self.inodes[number]
    }

    /// The root and the empty path are always there.
    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        if is_root(path) { Some(Node::Directory) } else { self.names.get(path).copied() }
    }

    pub(super) fn require_parent(&self, path: &Path) -> io::Result<()> {
        match self.node(path.parent().unwrap_or(Path::new(""))) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(Errno::NOTDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    pub(super) fn set_name(&mut self, number: u64, path: &Path, node: Option<Node>) {
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

    pub(super) fn next_name_change(&mut self) -> u64 {
        self.name_changes += 1;
        self.name_changes
    }

    /// One holder less. The bytes as a program sees them go with the last; what is on the platter may come back with
    /// a crash while an unsynced name change still hides it.
    pub(super) fn release(&mut self, inode: usize) {
        let inode = self.inode(inode);
        inode.holders = inode.holders.saturating_sub(1);
        if inode.holders == 0 {
            inode.bytes = Vec::new();
            inode.pending = Vec::new();
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.inodes.iter().map(|inode| inode.bytes.len() as u64).sum()
    }

    /// How much of a write that ends at `end` fits.
    pub(super) fn room_for(&self, inode: usize, offset: usize, len: usize) -> usize {
        let Some(capacity) = self.capacity_bytes else { return len };
        let current = self.inodes.get(inode).map_or(0, |inode| inode.bytes.len());
        let growth = (offset + len).saturating_sub(current);
        let free = usize::try_from(capacity.saturating_sub(self.used_bytes())).unwrap_or(usize::MAX);
        len - growth.saturating_sub(free).min(len)
    }

    pub(super) fn sync_names(&mut self, directory: &Path) {
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
    pub(super) fn sync_everything(&mut self) {
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
            if matches!(fault, Some(Fault::Io | Fault::NoSpace | Fault::Denied | Fault::ReadOnly)) {
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
    pub(super) fn lose_pending(&mut self, inode: usize) -> u64 {
        self.write_errors += 1;
        let inode = self.inode(inode);
        inode.pending.clear();
        inode.write_errors += 1;
        inode.write_errors
    }

    /// Frees the durable bytes of inodes that nothing can bring back.
    pub(super) fn forget_unreachable(&mut self) {
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

    pub(super) fn crash(&mut self, mut dice: Option<&mut Dice>) {
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
pub(super) fn survive(durable: &mut Vec<u8>, change: Change, dice: &mut Dice) {
    match (dice.below(3), change) {
        (0, _) => {}
        (1, Change::Write { offset, mut bytes }) => {
            bytes.truncate(dice.below(bytes.len() + 1));
            Change::Write { offset, bytes }.apply(durable);
        }
        (_, change) => change.apply(durable),
    }
}

pub(super) fn apply_name(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change.node {
        Some(node) => names.insert(change.path.clone(), node),
        None => {
            // A directory that is removed is empty: what the platter still has in it cannot come back, not even when
            // there is a directory of that name again.
            names.retain(|path, _| path == &change.path || !path.starts_with(&change.path));
            names.remove(&change.path)
        }
    };
}

/// A name in a directory that is not there cannot be reached.
pub(super) fn drop_orphans(names: &mut BTreeMap<PathBuf, Node>) {
    let paths: Vec<PathBuf> = names.keys().cloned().collect();
    for path in paths {
        // Sorted: a directory comes before what it holds.
        let parent = path.parent().unwrap_or(Path::new(""));
        if !is_root(parent) && names.get(parent) != Some(&Node::Directory) {
            names.remove(&path);
        }
    }
}

pub(super) fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

/// The path without `.` components.
pub(super) fn clean(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}
