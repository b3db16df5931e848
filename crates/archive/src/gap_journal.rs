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
    pub(crate) fn line(&self) -> String {
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

/// The journal on its disk. Whatever fails once is done again by the next call: no failure is remembered but in what has to
/// be cut off first.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// What the last run left has been looked at.
    is_opened: bool,
    /// `None` until there is something to write.
    file: Option<Arc<dyn DiskFile>>,
    /// Bytes of whole notes that are there for good.
    len: u64,
    /// Behind these there may be bytes that are no notes: of a write that failed, or of a removal that did.
    is_torn: bool,
}

impl Journal {
    /// A journal that has not been looked at.
    pub(crate) fn new(disk: Arc<dyn Disk>, spool: &Path) -> Self {
        let path = spool.join(FILE_NAME);
        Self { disk, path, is_opened: false, file: None, len: 0, is_torn: false }
    }

    /// Looks at what the last run left, up to its last whole note; its length. Done once, however often it is asked for.
    pub(crate) fn open(&mut self) -> io::Result<u64> {
        if self.is_opened {
            return Ok(self.len);
        }
        let file = match self.disk.open_rw(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.is_opened = true;
                return Ok(0);
            }
            file => file?,
        };
        let len = file.len()?;
        let mut at = 0;
        while at < len {
            let (notes, next) = read(file.as_ref(), at, len)?;
            if notes.is_empty() {
                break;
            }
            at = next;
        }
        (self.file, self.len, self.is_torn, self.is_opened) = (Some(file), at, at < len, true);
        Ok(self.len)
    }

    /// Bytes of notes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Appends notes for good; none of them after an error.
    pub(crate) fn append(&mut self, notes: &[Note]) -> io::Result<()> {
        self.open()?;
        let text: String = notes.iter().map(Note::line).collect();
        if self.len + text.len() as u64 > MAX_GAP_JOURNAL_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file = self.file()?;
        if self.is_torn {
            file.set_len(self.len)?;
        }
        // Until it is synced it may be there or not: it must not be read as noted.
        self.is_torn = true;
        file.append_vectored(&[IoSlice::new(text.as_bytes())])?;
        file.sync_data()?;
        self.is_torn = false;
        self.len += text.len() as u64;
        Ok(())
    }

    /// The file, made where there is none. One that is there is what an earlier try made and could not finish, or could not
    /// remove: none of its notes counts any more.
    fn file(&mut self) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = match self.disk.create_new(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.is_torn = true;
                self.disk.open_rw(&self.path)?
            }
            file => file?,
        };
        self.disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(Arc::clone(self.file.insert(file)))
    }

    /// The next notes between two offsets, and the offset behind them. None where a line is torn.
    pub(crate) fn read(&self, from: u64, to: u64) -> io::Result<(Vec<Note>, u64)> {
        match &self.file {
            Some(file) => read(file.as_ref(), from, to.min(self.len)),
            None => Ok((Vec::new(), from)),
        }
    }

    /// All notes have reached the catalog. Where the file cannot be removed, the next append overwrites it; a run that finds
    /// it before notes the same again, which changes nothing.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.len = 0;
        match self.file.take() {
            Some(_) => self.disk.remove(&self.path),
            None => Ok(()),
        }
    }
}

/// See [`Journal::read`].
fn read(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<(Vec<Note>, u64)> {
    let len = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX).min(READ_BYTES);
    let mut bytes = vec![0; len];
    world::read_exact_at(file, &mut bytes, from)?;
    let (mut notes, mut next) = (Vec::new(), from);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(note) = line.strip_suffix(b"\n").and_then(Note::parse) else { break };
        notes.push(note);
        next += line.len() as u64;
    }
    Ok((notes, next))
}

const _: () = assert!(MAX_GAP_NOTE_BYTES < READ_BYTES, "a read holds a whole note");

#[cfg(test)]
mod tests {
    use world::{Fault, FaultRule, Operation, SimulatedDisk};

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
        let mut journal = Journal::new(Arc::new(disk.clone()), Path::new("/spool"));
        journal.open().unwrap();
        journal
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

    /// Every operation that a journal asks of its disk.
    const OPERATIONS: [Operation; 7] = [
        Operation::Open,
        Operation::Create,
        Operation::SyncDir,
        Operation::Append,
        Operation::SyncData,
        Operation::SetLen,
        Operation::Remove,
    ];

    /// What a disk may say once: full, broken, remounted read-only, torn.
    const FAULTS: [Fault; 4] = [Fault::NoSpace, Fault::Io, Fault::ReadOnly, Fault::TornWrite(37)];

    #[test]
    fn a_first_append_that_fails_at_any_step_is_made_again() {
        for operation in OPERATIONS {
            for fault in FAULTS {
                let what = format!("{operation:?} {fault:?}");
                let disk = disk();
                let mut journal = Journal::new(Arc::new(disk.clone()), Path::new("/spool"));
                disk.inject(FaultRule::on(operation, fault).times(1));
                let is_appended = journal.append(&notes()[..2]).is_ok();
                if !is_appended {
                    journal.append(&notes()[..2]).unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                journal.append(&notes()[2..]).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(journal.read(0, u64::MAX).unwrap().0, notes(), "{what}");
                disk.crash();
                assert_eq!(open(&disk).read(0, u64::MAX).unwrap().0, notes(), "{what}");
            }
        }
    }

    #[test]
    fn a_later_append_that_fails_leaves_what_was_noted_and_nothing_else() {
        for operation in OPERATIONS {
            for fault in FAULTS {
                let what = format!("{operation:?} {fault:?}");
                let disk = disk();
                let mut journal = open(&disk);
                journal.append(&notes()[..1]).unwrap();
                // Once for the append, and once for what the one after it puts right.
                disk.inject(FaultRule::on(operation, fault).times(1));
                disk.inject(FaultRule::on(Operation::SetLen, fault).times(1));
                let (mut is_appended, mut tries) = (false, 0);
                while !is_appended {
                    is_appended = journal.append(&notes()[1..2]).is_ok();
                    tries += 1;
                    assert!(tries < 5, "{what}");
                    let seen = journal.read(0, u64::MAX).unwrap().0;
                    assert_eq!(seen, notes()[..1 + usize::from(is_appended)], "{what}");
                }
                disk.heal();
                journal.append(&notes()[2..]).unwrap();
                disk.crash();
                assert_eq!(open(&disk).read(0, u64::MAX).unwrap().0, notes(), "{what}");
            }
        }
    }

    #[test]
    fn a_removal_that_fails_costs_nothing_that_comes_after_it() {
        for fault in FAULTS {
            let disk = disk();
            let mut journal = open(&disk);
            journal.append(&notes()[..2]).unwrap();
            disk.inject(FaultRule::on(Operation::Remove, fault).times(1));
            journal.clear().unwrap_err();
            assert_eq!(journal.len(), 0);
            journal.append(&notes()[2..]).unwrap();
            assert_eq!(journal.read(0, u64::MAX).unwrap().0, notes()[2..]);
            disk.crash();
            assert_eq!(open(&disk).read(0, u64::MAX).unwrap().0, notes()[2..], "{fault:?}");
        }
    }

    #[test]
    fn what_the_last_run_left_is_looked_at_again_where_that_failed() {
        for operation in [Operation::Open, Operation::Read] {
            let disk = disk();
            open(&disk).append(&notes()[..2]).unwrap();
            let mut journal = Journal::new(Arc::new(disk.clone()), Path::new("/spool"));
            disk.inject(FaultRule::on(operation, Fault::Io).times(2));
            assert!(journal.open().is_err());
            assert!(journal.append(&notes()[2..]).is_err(), "nothing is written over what was not read");
            journal.append(&notes()[2..]).unwrap();
            assert_eq!(journal.read(0, u64::MAX).unwrap().0, notes(), "{operation:?}");
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
