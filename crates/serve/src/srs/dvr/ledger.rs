//! Which files were imported: one hash a line, in a file of its own.

use crate::srs::limits::MAX_DVR_FILES;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};
use world::{Disk, FileFacts, read_whole, write_whole};

/// A file as it was when it was imported: a hash of its name, file number, length and time. The name itself may hold a key and
/// is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Identity([u8; 16]);

impl Identity {
    pub(super) fn of(name: &str, facts: &FileFacts) -> Self {
        let mut hash = Sha256::new();
        for number in [facts.number, facts.len, facts.modified_us.unsigned_abs()] {
            hash.update(number.to_be_bytes());
        }
        hash.update(name.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let mut identity = [0; 16];
        identity.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self(identity)
    }

    fn line(self) -> String {
        format!("{:032x}\n", u128::from_be_bytes(self.0))
    }
}

/// Bytes of a line.
const LINE_BYTES: usize = 33;

/// What was imported of the files that are still there.
pub(super) struct Ledger {
    path: PathBuf,
    known: HashSet<Identity>,
}

impl Ledger {
    /// Reads it; without one nothing was imported. One that cannot be read costs a look at each file, no more, unless footage
    /// was deleted since.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Self {
        let known = match read_whole(disk, path, 2 * MAX_DVR_FILES * LINE_BYTES) {
            Ok(bytes) => parse(&String::from_utf8_lossy(&bytes)),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(file = %path.display(), %error, "it is not known which recordings of SRS were imported");
                }
                HashSet::new()
            }
        };
        Self { path: path.to_owned(), known }
    }

    pub(super) fn holds(&self, identity: &Identity) -> bool {
        self.known.contains(identity)
    }

    pub(super) fn add(&mut self, disk: &dyn Disk, identity: Identity) {
        if self.known.len() < 2 * MAX_DVR_FILES && self.known.insert(identity) {
            self.write(disk);
        }
    }

    /// Forgets files that are gone.
    pub(super) fn retain(&mut self, disk: &dyn Disk, there: &HashSet<Identity>) {
        let before = self.known.len();
        self.known.retain(|identity| there.contains(identity));
        if self.known.len() < before {
            self.write(disk);
        }
    }

    fn write(&self, disk: &dyn Disk) {
        let text: String = self.known.iter().map(|identity| identity.line()).collect();
        if let Err(error) = write_whole(disk, &self.path, text.as_bytes()) {
            tracing::warn!(file = %self.path.display(), %error, "cannot note which recordings of SRS were imported");
        }
    }
}

fn parse(text: &str) -> HashSet<Identity> {
    let numbers = text.lines().filter_map(|line| u128::from_str_radix(line, 16).ok());
    numbers.map(|number| Identity(number.to_be_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Identity, Ledger};
    use std::{collections::HashSet, path::Path};
    use world::{Disk as _, FileFacts, SimulatedDisk};

    #[test]
    fn what_was_imported_is_known_after_a_restart_until_the_file_is_gone() {
        let disk = SimulatedDisk::new();
        disk.create_dir_all(Path::new("/data")).unwrap();
        let path = Path::new("/data/srs_dvr");
        let facts = FileFacts { len: 5, modified_us: 7, number: 9 };
        let (one, other) =
            (Identity::of("a.flv", &facts), Identity::of("a.flv", &FileFacts { len: 6, ..facts }));
        assert_ne!(one, other);
        let mut ledger = Ledger::open(&disk, path);
        ledger.add(&disk, one);
        ledger.add(&disk, other);
        let mut ledger = Ledger::open(&disk, path);
        assert!(ledger.holds(&one) && ledger.holds(&other));
        ledger.retain(&disk, &HashSet::from([other]));
        let ledger = Ledger::open(&disk, path);
        assert!(!ledger.holds(&one) && ledger.holds(&other));
    }
}
