//! The machine's file systems. The only code of the project that opens files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{DirEntry, Disk, DiskFile, FileFacts};

/// How many slices one system call takes (`IOV_MAX` of Linux, `limits.h`).
const MAX_SLICES_PER_CALL: usize = 1024;

/// Modes of what is made here, whatever the process's `umask` would leave: for its owner alone. [`Disk::share`] opens what another
/// program is to read.
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Folders below folders that [`close_to_others`] goes into: a store has seven.
const MAX_DEPTH: usize = 32;

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let made = match fs::DirBuilder::new().mode(PRIVATE_FOLDER).create(path) {
            // What is above it first, then once more: where all of that is there and nothing can be made in it (/proc, a folder
            // that was deleted under us), the second answer is the last.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().ok_or(error)?;
                self.create_dir_all(parent)?;
                fs::DirBuilder::new().mode(PRIVATE_FOLDER).create(path)
            }
            made => made,
        };
        match made {
            Ok(()) => self.sync_dir(parent_of(path)),
            // Another thread may have been quicker; a file in the way stays an error.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::metadata(path)?.is_dir() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
        Ok(Arc::new(SystemFile::writable(file)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Arc::new(SystemFile { file, end: None, appending: Mutex::new(()) }))
    }

    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(SystemFile::writable(file)?))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that changes names")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn share(&self, path: &Path) -> io::Result<()> {
        let mode = if fs::metadata(path)?.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = match fs::metadata(entry.path()) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_dir = metadata.is_dir();
            entries.push(DirEntry { name, is_dir, len: if is_dir { 0 } else { metadata.len() } });
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        OpenOptions::new().read(true).open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let file_system = rustix::fs::statvfs(path)?;
        // `f_bavail`, not `f_bfree`: blocks reserved for root are not ours. Counted in `f_frsize` (POSIX statvfs.h).
        Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn open_beneath(&self, folder: &Path, name: &Path) -> io::Result<(Arc<dyn DiskFile>, FileFacts)> {
        let on_the_way = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut parts = name.components().peekable();
        let mut at = rustix::fs::open(folder, on_the_way, Mode::empty())?;
        while let Some(part) = parts.next() {
            let Component::Normal(part) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
            if parts.peek().is_some() {
                // `O_NOFOLLOW` with `O_DIRECTORY`: a link to a directory is no directory.
                at = rustix::fs::openat(&at, part, on_the_way | OFlags::NOFOLLOW, Mode::empty())?;
                continue;
            }
            // Without blocking: it may be a pipe that nobody writes to.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let file = File::from(rustix::fs::openat(&at, part, flags, Mode::empty())?);
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let modified_us =
                metadata.mtime().saturating_mul(1_000_000).saturating_add(metadata.mtime_nsec() / 1000);
            let facts = FileFacts { len: metadata.len(), modified_us, number: metadata.ino() };
            return Ok((Arc::new(SystemFile { file, end: None, appending: Mutex::new(()) }), facts));
        }
        Err(io::ErrorKind::InvalidInput.into())
    }

    #[cfg(target_os = "linux")]
    fn volume(&self, path: &Path) -> io::Result<Arc<dyn crate::Volume>> {
        Ok(Arc::new(crate::volume::SystemVolume::open(path)?))
    }
}

/// What [`close_to_others`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Closed {
    /// Files and folders that others could get at, and now cannot.
    pub closed: u64,
    /// Those that could not be changed: somebody else's.
    pub failed: u64,
}

/// Takes from a file or folder what lets others than its owner in; whether there was something to take. Nothing below it is touched, and
/// nothing below a closed folder can be reached.
pub fn close_one_to_others(path: &Path) -> io::Result<bool> {
    let mode = fs::symlink_metadata(path)?.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS))?;
    Ok(true)
}

/// Takes from a folder, and all that is below it, what lets others than the owner in. Links are not
/// followed. What disappears meanwhile is no error.
///
/// An error when the folder itself cannot be looked at. The folder comes first: once it is closed, the rest is out of reach
/// already.
pub fn close_to_others(folder: &Path) -> io::Result<Closed> {
    let mut done = Closed::default();
    let metadata = fs::symlink_metadata(folder)?;
    close_one(folder, &metadata, &mut done);
    if metadata.is_dir() {
        close_below(folder, 0, &mut done);
    }
    Ok(done)
}

fn close_below(folder: &Path, depth: usize, done: &mut Closed) {
    let Ok(entries) = fs::read_dir(folder) else {
        done.failed += 1;
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // `DirEntry::metadata` does not follow links.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_symlink() {
            continue;
        }
        close_one(&path, &metadata, done);
        if metadata.is_dir() && depth < MAX_DEPTH {
            close_below(&path, depth + 1, done);
        }
    }
}

fn close_one(path: &Path, metadata: &fs::Metadata, done: &mut Closed) {
    let mode = metadata.mode() & 0o7777;
    if metadata.is_symlink() || mode & OTHERS == 0 {
        return;
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => done.closed += 1,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) => done.failed += 1,
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An open file and where its next append goes.
#[derive(Debug)]
struct SystemFile {
    file: File,
    /// Where the next append goes; `None` for a reader, which asks the file system.
    end: Option<AtomicU64>,
    /// Held while the end moves, so that appends of two threads do not interleave.
    appending: Mutex<()>,
}

impl SystemFile {
    fn writable(file: File) -> io::Result<Self> {
        let end = file.metadata()?.len();
        Ok(Self { file, end: Some(AtomicU64::new(end)), appending: Mutex::new(()) })
    }

    /// Where the next append goes; an error for a reader.
    fn end(&self) -> io::Result<&AtomicU64> {
        self.end.as_ref().ok_or_else(|| Errno::BADF.into())
    }

    /// Writes all slices at `offset` and returns where they end.
    fn write_slices(&self, bufs: &[IoSlice<'_>], mut offset: u64) -> io::Result<u64> {
        for window in bufs.chunks(MAX_SLICES_PER_CALL) {
            let total: usize = window.iter().map(|buf| buf.len()).sum();
            let mut done = 0;
            while done < total {
                let written = if done == 0 {
                    rustix::io::pwritev(&self.file, window, offset)
                } else {
                    // A short write is rare (a full disk, a signal): what is left is gathered anew.
                    rustix::io::pwritev(&self.file, &rest(window, done), offset)
                };
                match written {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => {
                        done += count;
                        offset += count as u64;
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(offset)
    }
}

/// The slices without their first `skip` bytes.
fn rest<'a>(bufs: &'a [IoSlice<'_>], mut skip: usize) -> Vec<IoSlice<'a>> {
    let mut left = Vec::with_capacity(bufs.len());
    for buf in bufs {
        match buf.get(skip..) {
            Some(tail) => {
                skip = 0;
                left.push(IoSlice::new(tail));
            }
            None => skip -= buf.len(),
        }
    }
    left
}

impl DiskFile for SystemFile {
    fn append_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        let end = self.end()?;
        let _appending = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        let start = end.load(Ordering::Acquire);
        match self.write_slices(bufs, start) {
            Ok(new_end) => {
                end.store(new_end, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                // Gives the torn bytes back to a full disk. If this fails too they stay until they are overwritten;
                // the error worth telling is the first.
                let _ = self.file.set_len(start);
                Err(error)
            }
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let end = self.end()?;
        let _appending = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(buf, offset)?;
        end.fetch_max(offset.saturating_add(buf.len() as u64), Ordering::AcqRel);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        match &self.end {
            Some(end) => Ok(end.load(Ordering::Acquire)),
            None => Ok(self.file.metadata()?.len()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let end = self.end()?;
        let _appending = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.set_len(len)?;
        end.store(len, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_closed_and_no_link_is_followed() {
        let top = tempfile::tempdir().unwrap();
        let (data, outside) = (top.path().join("data"), top.path().join("outside"));
        SystemDisk.create_dir_all(&data.join("store/club")).unwrap();
        SystemDisk.create_dir_all(&data.join("covers")).unwrap();
        SystemDisk.create_new(&outside).unwrap();
        for name in ["store/club/a.mp4", "covers/a.jpg", "turepe.db"] {
            SystemDisk.create_new(&data.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        for name in ["", "store", "store/club", "covers"] {
            assert_eq!(mode(&data.join(name)), 0o700, "made for its owner alone: {name}");
        }
        assert_eq!(mode(&data.join("turepe.db")), 0o600);
        assert_eq!(close_to_others(&data).unwrap(), Closed::default());

        let open = |name: &str, mode| {
            fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        for (name, mode) in
            [("", 0o755), ("store/club", 0o2775), ("store/club/a.mp4", 0o644), ("turepe.db", 0o666)]
        {
            open(name, mode);
        }
        open("covers/a.jpg", 0o644);
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(close_one_to_others(&data).unwrap());
        assert!(!close_one_to_others(&data).unwrap());
        assert_eq!(close_to_others(&data).unwrap(), Closed { closed: 4, failed: 0 });
        assert_eq!((mode(&data), mode(&data.join("turepe.db"))), (0o700, 0o600));
        assert_eq!(mode(&data.join("covers/a.jpg")), 0o600);
        assert_eq!(mode(&outside), 0o644, "no link is followed");
    }

    /// Where nothing can be made, that is an error and not another try: `/proc` (proc(5)), a working folder that was deleted, a
    /// name that leads nowhere, a file in the way.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        let deleted = top.path().join("deleted");
        fs::create_dir(&deleted).unwrap();
        let held = OpenOptions::new().read(true).open(&deleted).unwrap();
        fs::remove_dir(&deleted).unwrap();
        let by_descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
        std::os::unix::fs::symlink("/nowhere/at/all", top.path().join("dangling")).unwrap();
        SystemDisk.create_new(&top.path().join("file")).unwrap();
        for path in ["/proc/nope", "/proc/nope/deeper/still", "/proc/self/fd/nope", &by_descriptor] {
            let path = Path::new(path).join("data");
            let error = SystemDisk.create_dir_all(&path).unwrap_err();
            assert!(!error.to_string().is_empty() && !path.exists(), "{}", path.display());
        }
        for name in ["dangling", "dangling/below", "file", "file/below"] {
            assert!(SystemDisk.create_dir_all(&top.path().join(name)).is_err(), "{name}");
        }
        SystemDisk.create_dir_all(&top.path().join("a/b/c/d")).unwrap();
        assert!(top.path().join("a/b/c/d").is_dir());
    }

    #[test]
    fn what_is_left_of_slices_after_a_short_write() {
        let (a, b, c) = ([1, 2, 3], [], [4, 5]);
        let bufs = [IoSlice::new(&a), IoSlice::new(&b), IoSlice::new(&c)];
        let whole = [1, 2, 3, 4, 5];
        for skip in 0..=5 {
            let left: Vec<u8> = rest(&bufs, skip).iter().flat_map(|buf| buf.to_vec()).collect();
            assert_eq!(left, whole[skip..], "after {skip} bytes");
        }
    }

    #[test]
    fn more_slices_than_one_call_takes() {
        let folder = tempfile::tempdir().unwrap();
        let file = SystemDisk.create_new(&folder.path().join("many")).unwrap();
        let bytes: Vec<u8> = (0..5000_u32).flat_map(|number| number.to_be_bytes()).collect();
        let bufs: Vec<IoSlice<'_>> = bytes.chunks(2).map(IoSlice::new).collect();
        file.append_vectored(&bufs).unwrap();
        let mut back = vec![0; bytes.len()];
        crate::read_exact_at(file.as_ref(), &mut back, 0).unwrap();
        assert_eq!(back, bytes);
    }

    /// `/dev/full` fails every write with ENOSPC (full(4)).
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_and_nothing_counts_as_appended() {
        let file = SystemDisk.open_rw(Path::new("/dev/full")).unwrap();
        let error = file.append_vectored(&[IoSlice::new(b"match")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.len().unwrap(), 0);
    }
}
