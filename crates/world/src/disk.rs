//! What a disk can do, whichever it is. No path is chosen here and no error is swallowed.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// Its last path component. Names that are not UTF-8 are not ours and are left out of a listing.
    pub name: String,
    /// Whether it is a directory; symbolic links are followed.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// What a file system knows of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Length in bytes.
    pub len: u64,
    /// UTC microseconds of its last change.
    pub modified_us: i64,
    /// Its number on its file system; another file of the same name has another.
    pub number: u64,
}

/// Names and the files behind them. Paths are taken as they come.
///
/// What survives a power cut: the bytes of a file after [`DiskFile::sync_data`], and the name of a file after
/// [`Disk::sync_dir`] of the directory that holds it. Neither implies the other.
pub trait Disk: Send + Sync + 'static {
    /// Creates a directory and those above it that are missing. Those it created outlive a power cut.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Creates a file for reading and writing; [`io::ErrorKind::AlreadyExists`] if the name is taken.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading and writing; appending goes on at its end.
    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name on the same file system, replacing a file that has it. Who reads the new name sees
    /// the whole old or the whole new file. Not durable before the *new* directory is synced; where the directories
    /// differ, sync the new one first and the old one after it, or a power cut may leave neither name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Who has it open goes on reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Lets everybody on the machine read a file, or enter a directory and list it, whatever the process's `umask` says: for
    /// what another program serves. The owner may write it.
    fn share(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Ok(())
    }

    /// The names in a directory, sorted. A name that disappears meanwhile is left out.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes the names created, changed and removed in a directory outlive a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Bytes that may still be written by an unprivileged program on the file system of `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Whether there is a file or directory of that name that can be asked about.
    fn exists(&self, path: &Path) -> bool;

    /// Opens a file below a directory for reading, and nothing else: no link on the way below `folder` is followed, nothing climbs
    /// out of it, and what is no regular file is refused. For names that strangers have a say in.
    ///
    /// [`io::ErrorKind::Unsupported`] where that cannot be promised.
    fn open_beneath(&self, folder: &Path, name: &Path) -> io::Result<(Arc<dyn DiskFile>, FileFacts)> {
        let _ = (folder, name);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The file system of a directory, to sync as one. Take it before anything is written that it shall answer for: it
    /// tells of writes that failed since.
    ///
    /// [`io::ErrorKind::Unsupported`] where one sync of all is not known to be as good as one of each file: the caller
    /// then syncs each.
    fn volume(&self, path: &Path) -> io::Result<Arc<dyn Volume>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A whole file system.
pub trait Volume: Send + Sync {
    /// Returns once everything written on it so far, bytes and names, would outlive a power cut (`syncfs(2)`). That
    /// includes what others have written on it.
    ///
    /// An error means that something is lost, not what: [`DiskFile::sync_data`] of each file then says whether it is that
    /// one, as each open file tells of its own failed writes, once. Let one thread at a time call it.
    fn sync_all(&self) -> io::Result<()>;

    /// Whether a file or directory lies on it, and not on another one that is mounted or linked below.
    fn holds(&self, path: &Path) -> io::Result<bool>;
}

/// An open file. Any number of threads may read while one appends.
///
/// A file closes when its last owner goes. Closing can report that earlier writes were lost (on network file systems,
/// `close(2)`), and nobody would hear it then: whoever needs the bytes calls [`DiskFile::sync_data`] first, after
/// which closing has nothing left to report.
pub trait DiskFile: Send + Sync {
    /// Writes the slices, one after the other, at the end of the file: all of them, or an error.
    ///
    /// After an error nothing counts as appended: [`DiskFile::len`] is what it was, and the next append starts there,
    /// over whatever a torn write may have left.
    fn append_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<()>;

    /// Reads up to `buf.len()` bytes at `offset`; fewer at the end of the file or by the kernel's whim, 0 past the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes the whole of `buf` at `offset`. After an error any part of it may have been written.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Returns once everything written so far would outlive a power cut (`fdatasync(2)`).
    ///
    /// After an error, bytes may be lost for good although they can still be read, and a second call that succeeds
    /// does not bring them back (Linux forgets that the pages were dirty): give the file up.
    fn sync_data(&self) -> io::Result<()>;

    /// Length in bytes: for a file opened for writing, what was appended; for a reader, what is there now.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file off, or extends it with zeros. Appending goes on there.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// Fills `buf` from `offset`; [`io::ErrorKind::UnexpectedEof`] if the file ends before.
pub fn read_exact_at(file: &dyn DiskFile, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buf = buf.get_mut(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The bytes of a small file; [`io::ErrorKind::FileTooLarge`] if it is longer than `limit`.
pub fn read_whole(disk: &dyn Disk, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if len > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; len];
    read_exact_at(file.as_ref(), &mut bytes, 0)?;
    Ok(bytes)
}

/// Writes a small file so that its name always stands for a whole one, before and after a power cut: a file beside it
/// is written, synced and renamed over it. One writer per path at a time.
pub fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    match disk.remove(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = (|| {
        let file = disk.create_new(&beside)?;
        file.append_vectored(&[IoSlice::new(bytes)])?;
        file.sync_data()?;
        disk.rename(&beside, path)
    })();
    if written.is_err() && disk.exists(&beside) {
        // The first error is the one that matters; what could not be removed is removed by the next call.
        let _ = disk.remove(&beside);
    }
    written?;
    disk.sync_dir(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}
