//! The file of what the table may believe live because of this node: small, written whole, synced, and without keys.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use world::{Disk, read_whole, write_whole};

use crate::lifecycle::Entry;
use crate::limits::MAX_JOURNAL_BYTES;

/// The only form there has been.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    channels: Vec<Entry>,
}

/// Reads and writes it. Both block.
#[derive(Clone)]
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Journal {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path }
    }

    /// What an earlier run left; nothing where there is no file. An unreadable file is an error the caller may go on from:
    /// the reconciliation finds what it held.
    pub(crate) fn load(&self) -> io::Result<Vec<Entry>> {
        let bytes = match read_whole(self.disk.as_ref(), &self.path, MAX_JOURNAL_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let file: File = serde_json::from_slice(&bytes)?;
        if file.version == VERSION { Ok(file.channels) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Replaces it. One call at a time.
    pub(crate) fn save(&self, channels: Vec<Entry>) -> io::Result<()> {
        let bytes = serde_json::to_vec(&File { version: VERSION, channels })?;
        if let Some(folder) = self.path.parent() {
            self.disk.create_dir_all(folder)?;
        }
        write_whole(self.disk.as_ref(), &self.path, &bytes)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use world::SimulatedDisk;

    use super::*;

    #[test]
    fn what_is_saved_outlives_a_power_cut_whole() {
        let disk = Arc::new(SimulatedDisk::new());
        let journal = Journal::new(disk.clone(), "/data/directory.json".into());
        assert!(journal.load().unwrap().is_empty());
        let entries = |count: u128| -> Vec<Entry> {
            (0..count).map(|n| Entry { channel: Uuid::from_u128(n), stamps_us: vec![5, 4] }).collect()
        };
        journal.save(entries(3)).unwrap();
        disk.crash();
        assert_eq!(journal.load().unwrap(), entries(3));
        // However a power cut falls, one of the two stands.
        let operations = disk.operations();
        for step in 0..12 {
            disk.cut_power_at(operations + step);
            let is_saved = journal.save(entries(4)).is_ok();
            disk.crash();
            let found = journal.load().unwrap();
            assert!(found == entries(4) || (!is_saved && found == entries(3)), "{found:?}");
            disk.cut_power_at(u64::MAX);
            journal.save(entries(3)).unwrap();
        }
    }

    #[test]
    fn the_fullest_file_fits_and_a_broken_one_is_an_error() {
        let disk = Arc::new(SimulatedDisk::new());
        let journal = Journal::new(disk.clone(), "/directory.json".into());
        let stamps_us = vec![1_900_000_000_000_000; crate::limits::MAX_STAMPS];
        let entries = (0..crate::limits::MAX_CHANNELS as u128)
            .map(|n| Entry { channel: Uuid::from_u128(u128::MAX - n), stamps_us: stamps_us.clone() })
            .collect();
        journal.save(entries).unwrap();
        assert_eq!(journal.load().unwrap().len(), crate::limits::MAX_CHANNELS);
        write_whole(disk.as_ref(), Path::new("/directory.json"), b"{\"version\":1,\"chan").unwrap();
        assert!(journal.load().is_err());
    }
}
