//! Where sealed segments live on this side: a folder. With a bucket it holds the copies that are on their way there, and
//! those that stay because there is room.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use world::{Disk, DiskFile};

use crate::limits::READ_BYTES;

/// A place for sealed objects. Calls block and belong on a thread that may.
pub trait Store: Send + Sync + 'static {
    /// Takes a sealed spool file under the object's name. When this returns, the object is durable and the spool file
    /// is gone; when it fails, the spool file is still there. Taking the same file twice is the same as once.
    ///
    /// # Errors
    /// What the system said.
    fn take(&self, spool_file: &Path, object_name: &str) -> io::Result<()>;

    /// Makes an object's name durable that an earlier run may have given it: it was taken, and perhaps no more.
    ///
    /// # Errors
    /// What the system said.
    fn secure(&self, object_name: &str) -> io::Result<()>;

    /// Opens an object for reading.
    ///
    /// # Errors
    /// `NotFound` when there is none; else what the system said.
    fn open(&self, object_name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Whether there is such an object.
    fn exists(&self, object_name: &str) -> bool;

    /// Removes an object for good. Without one it is done already.
    ///
    /// # Errors
    /// What the system said.
    fn remove(&self, object_name: &str) -> io::Result<()>;
}

/// Objects as files below one folder.
pub struct FolderStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl FolderStore {
    /// A store below `root`, which is made when it is first needed.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Self { disk, root }
    }

    /// Spool and store on different file systems: copy, sync, and only then let the spool file go.
    fn copy(&self, spool_file: &Path, object: &Path) -> io::Result<()> {
        let incoming = object.with_extension("incoming");
        copy_file(self.disk.as_ref(), spool_file, &incoming)?;
        self.disk.rename(&incoming, object)
    }
}

/// Copies a file, byte for byte and synced, over whatever an earlier try left at `to`.
pub(crate) fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    if disk.exists(to) {
        disk.remove(to)?;
    }
    let source = disk.open(from)?;
    let copy = disk.create_new(to)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = 0;
    loop {
        let read = source.read_at(&mut buffer, offset)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        copy.append_vectored(&[io::IoSlice::new(bytes)])?;
        offset += read as u64;
    }
    if offset != source.len()? {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file changed while it was copied"));
    }
    copy.sync_data()
}

impl Store for FolderStore {
    fn take(&self, spool_file: &Path, object_name: &str) -> io::Result<()> {
        let object = self.root.join(object_name);
        let folder = object.parent().unwrap_or(&self.root);
        self.disk.create_dir_all(folder)?;
        let is_taken = !self.disk.exists(spool_file) && self.disk.exists(&object);
        let mut is_copied = false;
        if !is_taken {
            match self.disk.rename(spool_file, &object) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    self.copy(spool_file, &object)?;
                    is_copied = true;
                }
                renamed => renamed?,
            }
        }
        // The new name first: between the two a power cut may leave both names, never none.
        self.disk.sync_dir(folder)?;
        if is_copied {
            self.disk.remove(spool_file)?;
        }
        if let Some(spool_folder) = spool_file.parent().filter(|folder| self.disk.exists(folder)) {
            self.disk.sync_dir(spool_folder)?;
        }
        Ok(())
    }

    fn secure(&self, object_name: &str) -> io::Result<()> {
        self.disk.sync_dir(self.root.join(object_name).parent().unwrap_or(&self.root))
    }

    fn open(&self, object_name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.root.join(object_name))
    }

    fn exists(&self, object_name: &str) -> bool {
        self.disk.exists(&self.root.join(object_name))
    }

    fn remove(&self, object_name: &str) -> io::Result<()> {
        let object = self.root.join(object_name);
        match self.disk.remove(&object) {
            // Perhaps by an earlier try, whose removal is not durable yet.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Folders of days that are over go with their last object; one that is not empty stays.
        let folders = object.ancestors().skip(1).take_while(|folder| *folder != self.root);
        for folder in folders {
            if self.disk.remove_dir(folder).is_err() && self.disk.exists(folder) {
                return self.disk.sync_dir(folder);
            }
        }
        if self.disk.exists(&self.root) {
            return self.disk.sync_dir(&self.root);
        }
        Ok(())
    }
}
