//! The causes of gaps, on their way to the catalog: in order, off the writers' threads, bounded, and in a journal on the
//! disk until they are there, however long the catalog is away and whatever becomes of this process.
//!
//! First come the notes that the last run left, then what the repair finds out about its end, and only then those of this
//! run: a cause that came out of order would be taken for what came before it.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use catalog::{Catalog, CatalogError};
use media::EndCause;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;
use world::Disk;

use crate::{
    gap_journal::{Journal, Note},
    limits::{
        CATALOG_ATTEMPTS, GAP_JOURNAL_PATIENCE_MS, GAP_JOURNAL_READ_ATTEMPTS, GAP_QUEUE, RETRY_CEILING_MS,
        RETRY_FLOOR_MS,
    },
};

/// What the writing end says.
enum Word {
    Note(Note),
    /// Answered when everything before it is in the catalog.
    Barrier(oneshot::Sender<()>),
}

/// The writing end. Clones write into the same log.
#[derive(Clone)]
pub(crate) struct GapLog {
    words: mpsc::Sender<Word>,
    /// Whether what the last run left is in the catalog.
    is_left_noted: watch::Receiver<bool>,
}

impl GapLog {
    /// The log, and the work that brings it to the catalog, beginning with what the last run left in the spool. The notes
    /// of this run wait until the repair has looked at everything.
    pub(crate) fn new(
        catalog: Catalog,
        disk: Arc<dyn Disk>,
        spool: &Path,
        is_repaired: watch::Receiver<bool>,
        is_gone: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (words, incoming) = mpsc::channel(GAP_QUEUE);
        let (left_noted, is_left_noted) = watch::channel(false);
        let worker = Worker {
            catalog,
            journal: Arc::new(Mutex::new(Journal::new(disk, spool))),
            is_opened: false,
            doing: None,
            disk: Retry::new(),
            unwritten: VecDeque::new(),
            next_number: 0,
            noted_bytes: 0,
            window: VecDeque::new(),
            read_to: 0,
            unread_bytes: 0,
            left_bytes: 0,
            left_noted,
            is_repaired,
            barriers: Vec::new(),
            noting: Retry::new(),
        };
        (Self { words, is_left_noted }, worker.run(incoming, is_gone))
    }

    /// A gap begins.
    pub(crate) fn open(&self, channel_id: Uuid, start_us: i64, cause: EndCause) {
        self.note(Note::Open { channel_id, start_us, cause });
    }

    /// The channel is recorded again.
    pub(crate) fn close(&self, channel_id: Uuid, end_us: i64) {
        self.note(Note::Close { channel_id, end_us });
    }

    fn note(&self, note: Note) {
        // A lost note costs a cause, never a gap: gaps are what is missing, whatever is noted.
        if self.words.try_send(Word::Note(note)).is_err() {
            warn!(limit = GAP_QUEUE, "the cause of a gap is lost: the spool's disk takes none");
        }
    }

    /// Waits until the catalog has what the last run noted.
    pub(crate) async fn wait_left(&self) {
        // An error means that the work is gone, and with it all there was to wait for.
        let _ = self.is_left_noted.clone().wait_for(|is_noted| *is_noted).await;
    }

    /// Waits until everything noted so far has reached the catalog.
    pub(crate) async fn settle(&self) {
        let (done, wait) = oneshot::channel();
        if self.words.send(Word::Barrier(done)).await.is_ok() {
            // An error means that the work is gone, and with it all there was to wait for.
            let _ = wait.await;
        }
    }
}

/// Failures in a row of one thing, and when it is tried again.
struct Retry {
    attempts: u32,
    pause: Duration,
    not_before: Option<Instant>,
}

impl Retry {
    fn new() -> Self {
        Self { attempts: 0, pause: Duration::from_millis(RETRY_FLOOR_MS), not_before: None }
    }

    fn failed(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(Duration::from_millis(RETRY_CEILING_MS));
    }

    fn is_due(&self) -> bool {
        self.not_before.is_none_or(|at| at <= Instant::now())
    }
}

/// What the journal's disk is asked to do. One thing at a time, off the loop: a disk that hangs holds up nothing but itself.
enum Doing {
    Open(JoinHandle<io::Result<u64>>),
    /// Up to the note of this number, which come first in `unwritten`. Answers with the journal's length.
    Append {
        up_to: u64,
        since: Instant,
        work: JoinHandle<io::Result<u64>>,
    },
    Read(JoinHandle<io::Result<(Vec<Note>, u64)>>),
    Clear(JoinHandle<io::Result<()>>),
}

/// What became of it.
enum Done {
    Opened(io::Result<u64>),
    Appended { up_to: u64, result: io::Result<u64> },
    Read(io::Result<(Vec<Note>, u64)>),
    Cleared(io::Result<()>),
}

/// A note on its way to the catalog, and whether it comes from the journal.
struct Noting {
    note: Note,
    /// `None` for one out of the journal.
    number: Option<u64>,
    result: Pin<Box<dyn Future<Output = Result<(), CatalogError>> + Send>>,
}

/// The reading end. The order is that of the notes: first what stands in the journal, of which `window` is the next part, and
/// then `unwritten`. A note is told to the catalog once it is in the journal; where the disk does not take it in time, without
/// that, so that what happened to the disk is known however this process ends.
struct Worker {
    catalog: Catalog,
    journal: Arc<Mutex<Journal>>,
    /// Whether the journal was looked at, or could not be.
    is_opened: bool,
    /// What the disk does now.
    doing: Option<Doing>,
    /// Failures of the journal.
    disk: Retry,
    /// Notes that are not in the journal, with their numbers.
    unwritten: VecDeque<(u64, Note)>,
    next_number: u64,
    /// Bytes of those that are being written and that the catalog has by now.
    noted_bytes: u64,
    /// The next notes, read ahead.
    window: VecDeque<Note>,
    /// How far the journal is read ahead.
    read_to: u64,
    /// Bytes of the journal that are not.
    unread_bytes: u64,
    /// Bytes of the journal that the last run left.
    left_bytes: u64,
    /// Whether what the last run left is in the catalog.
    left_noted: watch::Sender<bool>,
    is_repaired: watch::Receiver<bool>,
    /// Who waits until all is noted.
    barriers: Vec<oneshot::Sender<()>>,
    /// Failures of the first note.
    noting: Retry,
}

impl Worker {
    async fn run(mut self, mut incoming: mpsc::Receiver<Word>, is_gone: CancellationToken) {
        let mut words = Vec::with_capacity(GAP_QUEUE);
        let mut noting: Option<Noting> = None;
        loop {
            self.look_at_the_past();
            self.ask_disk(noting.is_some());
            let may_note = !*self.left_noted.borrow() || *self.is_repaired.borrow();
            if may_note && noting.is_none() {
                noting = self.next_note();
                if noting.is_none() && self.is_all_noted() {
                    self.answer();
                }
            }
            let wake_at = self.wake_at();
            tokio::select! {
                () = is_gone.cancelled() => return,
                count = incoming.recv_many(&mut words, GAP_QUEUE) => {
                    if count == 0 { return }
                    self.take(&mut words);
                }
                done = finished(&mut self.doing) => self.disk_did(done),
                result = put_in(&mut noting) => {
                    if let Some(noted) = noting.take() {
                        self.noted(&noted, result);
                    }
                }
                repaired = self.is_repaired.changed(), if !may_note => if repaired.is_err() { return },
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
            }
        }
    }

    /// What the last run left is noted once none of it is at hand and none is to be read.
    fn look_at_the_past(&mut self) {
        let is_read = self.is_opened && self.read_to >= self.left_bytes && self.window.is_empty();
        if is_read && !*self.left_noted.borrow() && !matches!(self.doing, Some(Doing::Read(_))) {
            self.left_noted.send_replace(true);
        }
    }

    /// Has the disk do the next thing, if there is one and it does nothing.
    fn ask_disk(&mut self, is_noting: bool) {
        if self.doing.is_some() || !self.disk.is_due() {
            return;
        }
        let journal = Arc::clone(&self.journal);
        let is_left_noted = *self.left_noted.borrow();
        let read_end = if is_left_noted { u64::MAX } else { self.left_bytes };
        self.doing = if !self.is_opened {
            Some(Doing::Open(spawn_blocking(move || lock(&journal).open())))
        } else if let Some((up_to, _)) = self.unwritten.back() {
            let up_to = *up_to;
            let notes: Vec<Note> = self.unwritten.iter().map(|(_, note)| *note).collect();
            let work = spawn_blocking(move || {
                let mut journal = lock(&journal);
                journal.append(&notes)?;
                Ok(journal.len())
            });
            Some(Doing::Append { up_to, since: Instant::now(), work })
        } else if self.window.is_empty() && self.unread_bytes > 0 && self.read_to < read_end {
            let from = self.read_to;
            Some(Doing::Read(spawn_blocking(move || lock(&journal).read(from, read_end))))
        } else if is_left_noted && *self.is_repaired.borrow() && !is_noting && self.read_to > 0 {
            let is_all_read = self.window.is_empty() && self.unread_bytes == 0;
            is_all_read.then(|| Doing::Clear(spawn_blocking(move || lock(&journal).clear())))
        } else {
            None
        };
    }

    /// What became of what the disk was asked to do.
    fn disk_did(&mut self, done: Done) {
        let error = match done {
            Done::Opened(Ok(len)) => {
                (self.left_bytes, self.unread_bytes, self.is_opened) = (len, len, true);
                None
            }
            Done::Opened(Err(error)) if self.disk.attempts + 1 < GAP_JOURNAL_READ_ATTEMPTS => Some(error),
            Done::Opened(Err(error)) => {
                error!(%error, "the causes of gaps that the last run left cannot be read yet");
                // Looked at again with the next note: what waits for them has waited long enough.
                self.is_opened = true;
                Some(error)
            }
            Done::Appended { up_to, result: Ok(len) } => {
                while self.unwritten.front().is_some_and(|(number, _)| *number <= up_to) {
                    self.unwritten.pop_front();
                }
                // What the catalog was told meanwhile comes first in what was written: all before it was read.
                self.read_to += std::mem::take(&mut self.noted_bytes);
                self.unread_bytes = len.saturating_sub(self.read_to);
                if self.disk.attempts > 0 {
                    info!(attempts = self.disk.attempts, "the journal takes the causes of gaps again");
                }
                None
            }
            Done::Appended { result: Err(error), .. } => {
                self.noted_bytes = 0;
                if self.disk.attempts == 0 {
                    warn!(%error, "the journal does not take the causes of gaps: they go to the catalog without it");
                }
                Some(error)
            }
            Done::Read(Ok((notes, next))) if next > self.read_to => {
                self.window.extend(notes);
                self.unread_bytes = self.unread_bytes.saturating_sub(next - self.read_to);
                self.read_to = next;
                None
            }
            Done::Read(Err(error)) if self.disk.attempts + 1 < GAP_JOURNAL_READ_ATTEMPTS => Some(error),
            Done::Read(result) => {
                let reason = result.err().map(|error| error.to_string());
                error!(reason, bytes = self.unread_bytes, "causes of gaps in the journal cannot be read");
                self.read_to += self.unread_bytes;
                self.unread_bytes = 0;
                None
            }
            Done::Cleared(result) => {
                // Read again by the next run it would change nothing.
                if let Err(error) = result {
                    warn!(%error, "the journal of gaps cannot be removed");
                }
                self.read_to = 0;
                None
            }
        };
        match error {
            Some(_) => self.disk.failed(),
            None => self.disk = Retry::new(),
        }
    }

    /// The next note for the catalog.
    fn next_note(&self) -> Option<Noting> {
        let (note, number) = match (self.window.front(), self.unwritten.front()) {
            (Some(note), _) => (*note, None),
            (None, Some((number, note)))
                if *self.left_noted.borrow() && self.unread_bytes == 0 && self.is_journal_late() =>
            {
                (*note, Some(*number))
            }
            _ => return None,
        };
        let (catalog, not_before) = (self.catalog.clone(), self.noting.not_before);
        let result = Box::pin(async move {
            if let Some(not_before) = not_before {
                sleep_until(not_before).await;
            }
            put(&catalog, note).await
        });
        Some(Noting { note, number, result })
    }

    /// Whether notes are to go to the catalog without the journal: it failed, or takes too long.
    fn is_journal_late(&self) -> bool {
        let patience = Duration::from_millis(GAP_JOURNAL_PATIENCE_MS);
        match &self.doing {
            Some(Doing::Append { since, .. }) => self.disk.attempts > 0 || since.elapsed() >= patience,
            // What is read or cleared may hang as well, and is asked for where all before it is noted.
            Some(Doing::Clear(_)) => true,
            Some(Doing::Open(_) | Doing::Read(_)) => false,
            None => self.disk.attempts > 0,
        }
    }

    /// When there is something to do although nothing is said.
    fn wake_at(&self) -> Option<Instant> {
        let patience = Duration::from_millis(GAP_JOURNAL_PATIENCE_MS);
        match &self.doing {
            Some(Doing::Append { since, .. }) => Some(*since + patience).filter(|at| *at > Instant::now()),
            Some(_) => None,
            None => self.disk.not_before.filter(|at| *at > Instant::now()),
        }
    }

    /// Takes what was said.
    fn take(&mut self, words: &mut Vec<Word>) {
        let mut lost = 0;
        for word in words.drain(..) {
            match word {
                Word::Note(note) if self.unwritten.len() < GAP_QUEUE => {
                    self.unwritten.push_back((self.next_number, note));
                    self.next_number += 1;
                }
                Word::Note(_) => lost += 1,
                Word::Barrier(done) => self.barriers.push(done),
            }
        }
        if lost > 0 {
            warn!(lost, limit = GAP_QUEUE, "causes of gaps are lost: neither disk nor catalog takes them");
        }
    }

    /// What became of a note.
    fn noted(&mut self, noted: &Noting, result: Result<(), CatalogError>) {
        let note = noted.note;
        let channel_id = note.channel_id();
        match result {
            Ok(()) => {
                if self.noting.attempts > 0 {
                    info!(attempts = self.noting.attempts, "the causes of gaps are noted again");
                }
            }
            Err(error) if error.is_temporary() || self.noting.attempts < CATALOG_ATTEMPTS => {
                if self.noting.attempts == 0 {
                    warn!(%channel_id, %error, "the cause of a gap waits for the catalog");
                }
                self.noting.failed();
                return;
            }
            Err(error) => error!(%channel_id, %error, ?note, "the catalog does not take the cause of a gap"),
        }
        match noted.number {
            None => drop(self.window.pop_front()),
            // The journal may have taken it meanwhile: then it is read from there, which changes nothing.
            Some(number) if self.unwritten.front().is_some_and(|(first, _)| *first == number) => {
                self.unwritten.pop_front();
                if matches!(self.doing, Some(Doing::Append { up_to, .. }) if number <= up_to) {
                    self.noted_bytes += note.line().len() as u64;
                }
            }
            Some(_) => {}
        }
        self.noting = Retry::new();
    }

    /// Nothing waits any more, and the journal is cleared away.
    fn is_all_noted(&self) -> bool {
        let is_read = self.window.is_empty() && self.unread_bytes == 0 && self.read_to == 0;
        is_read && self.unwritten.is_empty() && *self.left_noted.borrow()
    }

    fn answer(&mut self) {
        for done in self.barriers.drain(..) {
            // Nobody waits any more: nothing to tell.
            let _ = done.send(());
        }
    }
}

/// Waits for what the disk does; for ever where it does nothing.
async fn finished(doing: &mut Option<Doing>) -> Done {
    fn flat<T>(result: Result<io::Result<T>, JoinError>) -> io::Result<T> {
        result.map_err(io::Error::other)?
    }
    let done = match doing {
        None => return std::future::pending().await,
        Some(Doing::Open(work)) => Done::Opened(flat(work.await)),
        Some(Doing::Append { up_to, work, .. }) => Done::Appended { up_to: *up_to, result: flat(work.await) },
        Some(Doing::Read(work)) => Done::Read(flat(work.await)),
        Some(Doing::Clear(work)) => Done::Cleared(flat(work.await)),
    };
    *doing = None;
    done
}

/// Waits for a note to reach the catalog; for ever where none is on its way.
async fn put_in(noting: &mut Option<Noting>) -> Result<(), CatalogError> {
    match noting {
        Some(noting) => noting.result.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Opens a gap. A channel that is gone misses nothing: trying again would hold up the causes of others.
pub(crate) async fn open(
    catalog: &Catalog,
    channel_id: Uuid,
    start_us: i64,
    cause: EndCause,
) -> Result<bool, CatalogError> {
    match catalog.open_gap(channel_id, start_us, cause).await {
        Err(CatalogError::NotFound(_)) => Ok(false),
        opened => opened,
    }
}

async fn put(catalog: &Catalog, note: Note) -> Result<(), CatalogError> {
    match note {
        Note::Open { channel_id, start_us, cause } => {
            open(catalog, channel_id, start_us, cause).await.map(drop)
        }
        Note::Close { channel_id, end_us } => catalog.close_gap(channel_id, end_us).await.map(drop),
    }
}

fn lock(journal: &Mutex<Journal>) -> std::sync::MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}
