//! Which operations of a simulated disk fail, and how.

use std::path::Path;

use rustix::io::Errno;

/// What can fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// `create_dir_all`
    CreateDir,
    /// `create_new`
    Create,
    /// `open` and `open_rw`
    Open,
    /// `append_vectored`
    Append,
    /// `write_all_at`
    WriteAt,
    /// `read_at`
    Read,
    /// `sync_data`
    SyncData,
    /// `set_len`
    SetLen,
    /// `rename`, seen with the old path
    Rename,
    /// `remove` and `remove_dir`
    Remove,
    /// `list`
    List,
    /// `sync_dir`
    SyncDir,
    /// `free_bytes`
    FreeBytes,
    /// `sync_all` of a volume, seen with the path it was taken by
    SyncAll,
}

/// How it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// `ENOSPC`, nothing done.
    NoSpace,
    /// `EIO`, nothing done. On [`Operation::SyncData`] the bytes that were waiting are lost to the next crash for
    /// good, as on Linux, though they can still be read before it; the sync of a whole volume meets such a rule too,
    /// with the path of each file that waits, and every file open at the time tells of it once.
    Io,
    /// `EACCES`, nothing done.
    Denied,
    /// `EROFS`, nothing done: the file system was remounted read-only, as ext4 does after an error of its own.
    ReadOnly,
    /// A write stores this many bytes and then fails with `ENOSPC`.
    TornWrite(usize),
    /// A read returns at most this many bytes (at least one, where there are any), successfully.
    ShortRead(usize),
    /// It takes this many microseconds on the clock of [`crate::SimulatedDisk::set_clock`], and succeeds. Nobody waits:
    /// the clock moves.
    Slow(i64),
    /// It hangs, and goes on successfully after [`crate::SimulatedDisk::heal`]. Other operations go on meanwhile.
    Held,
}

impl Fault {
    pub(crate) fn errno(self) -> Errno {
        match self {
            Self::NoSpace | Self::TornWrite(_) => Errno::NOSPC,
            Self::Io | Self::ShortRead(_) | Self::Slow(_) | Self::Held => Errno::IO,
            Self::Denied => Errno::ACCESS,
            Self::ReadOnly => Errno::ROFS,
        }
    }
}

/// When something fails: the first rule that applies decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultRule {
    operation: Option<Operation>,
    path_part: Option<String>,
    skip: u32,
    times: Option<u32>,
    fault: Fault,
}

impl FaultRule {
    /// Every operation of a kind fails.
    #[must_use]
    pub fn on(operation: Operation, fault: Fault) -> Self {
        Self { operation: Some(operation), path_part: None, skip: 0, times: None, fault }
    }

    /// Everything fails.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self { operation: None, path_part: None, skip: 0, times: None, fault }
    }

    /// Only where the path contains `part`.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.path_part = Some(part.to_owned());
        self
    }

    /// The first `count` times still succeed.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// It fails `count` times and heals.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    /// The fault, if this rule strikes now; counts the attempt.
    pub(crate) fn strike(&mut self, operation: Operation, path: &Path) -> Option<Fault> {
        let applies = self.operation.is_none_or(|wanted| wanted == operation)
            && self.path_part.as_ref().is_none_or(|part| path.to_string_lossy().contains(part.as_str()));
        if !applies {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        match &mut self.times {
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(self.fault)
            }
            None => Some(self.fault),
        }
    }
}
