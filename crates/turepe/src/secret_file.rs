//! Files that hold one secret for this node's user alone: read within a limit, made whole or not at all.
//!
//! Belongs here: the file. Not here: what the secret is for (`operators`, `catalog_key`).

use std::io::{self, IoSlice};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, linkat, stat};
use rustix::io::Errno;
use world::{Disk as _, SystemDisk};

/// Longest file that is read, in bytes.
const MAX_FILE_BYTES: usize = 4096;

/// Bits of a mode that let others than the owner in.
pub(crate) const OTHERS: u32 = 0o077;

/// The text in it without the blanks around it; `None` where there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match SystemDisk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; MAX_FILE_BYTES + 1];
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, len as u64)? {
            0 => break,
            count => len += count,
        }
    }
    if len > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than one of ours"));
    }
    bytes.truncate(len);
    let text =
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))?;
    Ok(Some(text.trim().to_owned()))
}

/// Makes the file with a text and a line break, for its owner alone, durable; false where somebody else was quicker, whose file
/// stays.
pub(crate) fn make(path: &Path, text: &str) -> io::Result<bool> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    SystemDisk.create_dir_all(folder)?;
    let new = folder.join(format!(".turepe-secret-{}", uuid::Uuid::now_v7()));
    let file = SystemDisk.create_new(&new)?;
    let written = file
        .append_vectored(&[IoSlice::new(text.as_bytes()), IoSlice::new(b"\n")])
        .and_then(|()| file.sync_data());
    // A link is made or is not, and never over a file that is there.
    let linked = written.and_then(|()| match linkat(CWD, &new, CWD, path, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    });
    let removed = SystemDisk.remove(&new);
    let is_made = linked?;
    removed?;
    SystemDisk.sync_dir(folder)?;
    Ok(is_made)
}

/// Removes it, durably.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    SystemDisk.remove(path)?;
    SystemDisk
        .sync_dir(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// The mode of a file or folder, without its kind.
pub(crate) fn mode(path: &Path) -> io::Result<u32> {
    Ok(stat(path)?.st_mode & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_make_it_one_does_and_it_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/secret");
        assert_eq!(read(&path).unwrap(), None);
        let made: Vec<bool> = std::thread::scope(|scope| {
            let make = |number: usize| make(&path, &format!("secret {number}")).unwrap();
            let all: Vec<_> = (0..8).map(|number| scope.spawn(move || make(number))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|is_made| **is_made).count(), 1);
        let winner = made.iter().position(|is_made| *is_made).unwrap();
        assert_eq!(read(&path).unwrap(), Some(format!("secret {winner}")));
        assert_eq!(mode(&path).unwrap() & OTHERS, 0);
        assert_eq!(SystemDisk.list(path.parent().unwrap()).unwrap().len(), 1, "nothing is left behind");
    }
}
