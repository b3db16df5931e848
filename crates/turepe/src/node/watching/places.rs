//! Whether folders and files are still those that the node began with: what was deleted or replaced under it is written to all the
//! same, and is gone with it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, fstat, open, stat};
use rustix::io::Errno;

/// Folders and files, each held from when it was seen first: a number of an inode that is held is given to nobody else.
#[derive(Debug)]
pub(super) struct Places(Vec<(PathBuf, Option<OwnedFd>)>);

impl Places {
    /// What is not there yet counts from when it is.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path, None)).collect())
    }

    /// The first that is gone, or another one, in words. May hang with the disk.
    pub(super) fn look(&mut self) -> io::Result<Option<String>> {
        for (path, held) in &mut self.0 {
            let Some(first) = held else {
                // `O_PATH` (open(2)): it is named, and neither read nor written.
                *held = match open(&*path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
                    Ok(file) => Some(file),
                    Err(Errno::NOENT | Errno::NOTDIR) => None,
                    Err(error) => return Err(error.into()),
                };
                continue;
            };
            let first = fstat(first)?;
            match stat(&*path) {
                Ok(now) if (now.st_dev, now.st_ino) == (first.st_dev, first.st_ino) => {}
                Ok(_) => return Ok(Some(format!("{} is another one than at the start", path.display()))),
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Some(format!("{} is gone", path.display()))),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test works on real files")]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_deleted_or_replaced_is_told() {
        let top = tempfile::tempdir().unwrap();
        for change in [
            &(|data: &Path| std::fs::remove_dir_all(data).unwrap()) as &dyn Fn(&Path),
            &|data| {
                std::fs::remove_dir_all(data).unwrap();
                std::fs::create_dir(data).unwrap();
            },
            &|data| std::fs::remove_file(data.join("turepe.db")).unwrap(),
            &|data| {
                std::fs::write(data.join("new"), "x").unwrap();
                std::fs::rename(data.join("new"), data.join("turepe.db")).unwrap();
            },
        ] {
            let data = top.path().join("data");
            std::fs::create_dir(&data).unwrap();
            std::fs::write(data.join("turepe.db"), "").unwrap();
            let mut places = Places::of([data.clone(), data.join("turepe.db"), data.join("store")]);
            assert_eq!(places.look().unwrap(), None);
            std::fs::create_dir(data.join("store")).unwrap();
            std::fs::write(data.join("turepe.db"), "more").unwrap();
            assert_eq!(places.look().unwrap(), None, "what comes later, and what changes, is no matter");
            change(&data);
            assert!(places.look().unwrap().is_some());
            drop(std::fs::remove_dir_all(&data));
        }
    }
}
