//! What is open on a simulated disk: files and the disk as a whole.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::SimulatedDisk;
use super::platter::{Change, State};
use crate::{Disk as _, DiskFile, Fault, Operation, Volume};

/// The whole disk.
#[derive(Debug)]
pub(super) struct SimulatedVolume {
    pub(super) disk: SimulatedDisk,
    /// The name it was taken by, for the fault rules.
    pub(super) path: PathBuf,
    pub(super) boot: u64,
    /// How many of the disk's write errors it has told of.
    pub(super) told_errors: AtomicU64,
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
pub(super) struct SimulatedFile {
    pub(super) disk: SimulatedDisk,
    /// The name it was opened by, for the fault rules.
    pub(super) path: PathBuf,
    pub(super) inode: usize,
    pub(super) boot: u64,
    /// Where the next append goes; `None` for a reader.
    pub(super) end: Option<AtomicU64>,
    /// How many of its file's write errors it has told of.
    pub(super) told_errors: AtomicU64,
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
