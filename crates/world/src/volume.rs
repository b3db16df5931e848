//! Syncing a whole file system of the machine, where that can be trusted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::Volume;

/// Since this kernel `syncfs(2)` tells of everything that went wrong. Failed writes of files are reported since 5.8
/// (commit 735e4ae5ba28, "vfs: track per-sb writeback errors"); what the file system itself answered, such as a journal
/// that could not be committed, since 5.17 (commit 5679897eb104, "vfs: make `sync_filesystem` return errors").
const HONEST_SYNCFS: (u32, u32) = (5, 17);

/// File systems whose `syncfs` writes bytes, sizes and names and then empties the device's cache (`sync_fs` of the kernel's
/// `fs/ext4/super.c`, `fs/xfs/xfs_super.c`, `fs/btrfs/super.c`, `fs/f2fs/super.c`), by `f_type` of `statfs(2)`; and tmpfs,
/// which outlives nothing either way. Elsewhere it may mean less than `fdatasync` of each file: FUSE for one hands the
/// pages over and does not ask its server to sync them.
const TRUSTED: [u64; 5] = [EXT4_SUPER_MAGIC, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];

/// The same for ext2, ext3 and ext4, which one driver serves.
const EXT4_SUPER_MAGIC: u64 = 0xef53;

/// One file system, held by a directory on it.
///
/// The same open file serves every sync: a failed write is told to files that were open when it happened, whoever else
/// has asked meanwhile (`errseq_t`, Documentation/core-api/errseq.rst).
#[derive(Debug)]
pub(crate) struct SystemVolume {
    directory: File,
    device: u64,
}

impl SystemVolume {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let directory = OpenOptions::new().read(true).open(path)?;
        let kernel = rustix::system::uname();
        let release = kernel.release().to_string_lossy();
        if version(&release).is_none_or(|version| version < HONEST_SYNCFS) {
            return Err(unsupported(format!("syncfs of Linux {release} does not tell all errors")));
        }
        // Signed and of a machine's own width in libc; the numbers are 32 bits.
        let kind = u64::from(rustix::fs::fstatfs(&directory)?.f_type as u32);
        if !TRUSTED.contains(&kind) {
            return Err(unsupported(format!("a file system of type {kind:#x}")));
        }
        let device = directory.metadata()?.dev();
        Ok(Self { directory, device })
    }
}

fn unsupported(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

impl Volume for SystemVolume {
    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.directory)?)
    }

    fn holds(&self, path: &Path) -> io::Result<bool> {
        Ok(std::fs::metadata(path)?.dev() == self.device)
    }
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_number() {
        assert_eq!(version("6.1.0-28-amd64"), Some((6, 1)));
        assert_eq!(version("5.15.0-1051-aws"), Some((5, 15)));
        assert_eq!(version("10.2"), Some((10, 2)));
        assert_eq!(version("mainline"), None);
        assert!(version("5.4.0").unwrap() < HONEST_SYNCFS);
        assert!(version("5.17.1").unwrap() >= HONEST_SYNCFS);
    }

    #[test]
    fn a_file_system_that_is_not_known_is_synced_file_by_file() {
        let error = SystemVolume::open(Path::new("/proc")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn what_is_mounted_below_is_not_held() {
        let directory = OpenOptions::new().read(true).open("/").unwrap();
        let device = directory.metadata().unwrap().dev();
        let volume = SystemVolume { directory, device };
        assert!(!volume.holds(Path::new("/proc")).unwrap());
        assert!(volume.holds(Path::new("/")).unwrap());
    }
}
