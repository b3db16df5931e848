//! The file in which the causes of gaps wait for the catalog: append-only, one note a line, removed when all are noted.
//!
//! A note that was appended outlives a crash and a power cut. A torn line at the end is no note. The same notes twice in
//! the catalog, in order, come to the same as once: a crash between noting and removing costs nothing.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use media::EndCause;
use uuid::Uuid;
use world::{Disk, DiskFile};

use crate::limits::{MAX_GAP_JOURNAL_BYTES, MAX_GAP_NOTE_BYTES, READ_BYTES};

/// Its name in the spool folder.
const FILE_NAME: &str = "gaps.journal";

/// What is to be noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Note {
    /// A gap begins.
    Open { channel_id: Uuid, start_us: i64, cause: EndCause },
    /// The channel is recorded again.
    Close { channel_id: Uuid, end_us: i64 },
}

impl Note {
    /// Whose gap it is.
    pub(crate) fn channel_id(&self) -> Uuid {
        match self {
            Self::Open { channel_id, .. } | Self::Close { channel_id, .. } => *channel_id,
        }
    }

    /// Its line. The full stop tells that nothing is missing.
    fn line(&self) -> String {
        match self {
            Self::Open { channel_id, start_us, cause } => {
                format!("open {channel_id} {start_us} {} .\n", cause.as_str())
            }
            Self::Close { channel_id, end_us } => format!("close {channel_id} {end_us} .\n"),
        }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.strip_suffix(" .")?.split(' ');
        let kind = words.next()?;
        let channel_id = words.next()?.parse().ok()?;
        let at_us = words.next()?.parse().ok()?;
        let note = match kind {
            "open" => Self::Open { channel_id, start_us: at_us, cause: EndCause::from_word(words.next()?) },
            "close" => Self::Close { channel_id, end_us: at_us },
            _ => return None,
        };
        words.next().is_none().then_some(note)
    }
}

/// The journal on its disk.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// `None` until there is something to write.
    file: Option<Arc<dyn DiskFile>>,
    len: u64,
}

impl Journal {
    /// What the last run left, cut off behind its last whole note.
    pub(crate) fn open(disk: Arc<dyn Disk>, spool: &Path) -> io::Result<Self> {
        let mut journal = Self { disk, path: spool.join(FILE_NAME), file: None, len: 0 };
        let file = match journal.disk.open_rw(&journal.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(journal),
            file => file?,
        };
        journal.len = file.len()?;
        journal.file = Some(Arc::clone(&file));
        let mut at = 0;
        while at < journal.len {
            let (notes, next) = journal.read(at, journal.len)?;
            if notes.is_empty() {
                break;
            }
            at = next;
        }
        if at < journal.len {
            file.set_len(at)?;
            journal.len = at;
        }
        Ok(journal)
    }

    /// Bytes of notes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Appends notes for good; none of them after an error.
    pub(crate) fn append(&mut self, notes: &[Note]) -> io::Result<()> {
        let text: String = notes.iter().map(Note::line).collect();
        if self.len + text.len() as u64 > MAX_GAP_JOURNAL_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = self.disk.create_new(&self.path)?;
                self.disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
                Arc::clone(self.file.insert(file))
            }
        };
        let written = file.append_vectored(&[IoSlice::new(text.as_bytes())]).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What was not synced may be there or not: it must not be read as noted.
            file.set_len(self.len)?;
            return Err(error);
        }
        self.len += text.len() as u64;
        Ok(())
    }

    /// The next notes between two offsets, and the offset behind them. None where a line is torn.
    pub(crate) fn read(&self, from: u64, to: u64) -> io::Result<(Vec<Note>, u64)> {
        let Some(file) = &self.file else { return Ok((Vec::new(), from)) };
        let len =
            usize::try_from(to.min(self.len).saturating_sub(from)).unwrap_or(usize::MAX).min(READ_BYTES);
        let mut bytes = vec![0; len];
        world::read_exact_at(file.as_ref(), &mut bytes, from)?;
        let (mut notes, mut next) = (Vec::new(), from);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(note) = line.strip_suffix(b"\n").and_then(Note::parse) else { break };
            notes.push(note);
            next += line.len() as u64;
        }
        Ok((notes, next))
    }

    /// All notes have reached the catalog.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            self.disk.remove(&self.path)?;
            self.file = None;
            self.len = 0;
        }
        Ok(())
    }
}

const _: () = assert!(MAX_GAP_NOTE_BYTES < READ_BYTES, "a read holds a whole note");

#[cfg(test)]
mod tests {
    use world::SimulatedDisk;

    use super::*;

    fn notes() -> Vec<Note> {
        let channel_id = Uuid::from_u128(7);
        vec![
            Note::Open { channel_id, start_us: 1_763_985_600_000_000, cause: EndCause::Network },
            Note::Close { channel_id, end_us: 1_763_985_600_000_001 },
            Note::Open { channel_id: Uuid::max(), start_us: i64::MIN, cause: EndCause::Process },
        ]
    }

    fn open(disk: &SimulatedDisk) -> Journal {
        Journal::open(Arc::new(disk.clone()), Path::new("/spool")).unwrap()
    }

    fn disk() -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        disk.create_dir_all(Path::new("/spool")).unwrap();
        disk
    }

    #[test]
    fn what_was_appended_is_read_back_by_the_next_run() {
        let disk = disk();
        let mut journal = open(&disk);
        assert_eq!(journal.read(0, u64::MAX).unwrap(), (Vec::new(), 0));
        journal.append(&notes()[..2]).unwrap();
        journal.append(&notes()[2..]).unwrap();
        let mut again = open(&disk);
        assert_eq!(again.read(0, u64::MAX).unwrap(), (notes(), again.len()));
        again.clear().unwrap();
        assert!(disk.list(Path::new("/spool")).unwrap().is_empty(), "nothing waits");
        assert_eq!(open(&disk).len(), 0);
        again.append(&notes()).unwrap();
        assert_eq!(open(&disk).read(0, u64::MAX).unwrap().0, notes());
    }

    #[test]
    fn a_torn_end_is_no_note() {
        let whole: String = notes().iter().map(Note::line).collect();
        let last = notes()[2].line().len();
        for cut in 0..last {
            let disk = disk();
            let file = disk.create_new(&Path::new("/spool").join(FILE_NAME)).unwrap();
            file.append_vectored(&[IoSlice::new(&whole.as_bytes()[..whole.len() - last + cut])]).unwrap();
            let mut journal = open(&disk);
            assert_eq!(journal.read(0, u64::MAX).unwrap().0, notes()[..2], "{cut}");
            journal.append(&notes()[2..]).unwrap();
            assert_eq!(open(&disk).read(0, u64::MAX).unwrap().0, notes(), "{cut}");
        }
    }

    #[test]
    fn it_does_not_grow_without_end_and_no_line_is_longer_than_said() {
        for note in notes() {
            assert!(note.line().len() <= MAX_GAP_NOTE_BYTES);
        }
        let mut journal = open(&disk());
        journal.append(&notes()).unwrap();
        journal.len = MAX_GAP_JOURNAL_BYTES;
        assert_eq!(journal.append(&notes()).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
