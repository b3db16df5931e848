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
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use catalog::{Catalog, CatalogError};
use media::EndCause;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;
use world::Disk;

use crate::{
    gap_journal::{Journal, Note},
    limits::{CATALOG_ATTEMPTS, GAP_QUEUE, RETRY_CEILING_MS, RETRY_FLOOR_MS},
};

/// What the writing end says.
enum Word {
    Note(Note),
    /// Answered when everything before it is in the catalog.
    Barrier(oneshot::Sender<()>),
}

/// The writing end.
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
        let spool = spool.to_owned();
        let work = async move {
            let opened = blocking(move || Journal::open(disk, &spool)).await;
            let journal = opened
                .inspect_err(|error| {
                    error!(%error, "the causes of gaps that the last run left cannot be read; new ones are kept in memory")
                })
                .ok()
                .map(|journal| Arc::new(Mutex::new(journal)));
            let left_bytes = journal.as_ref().map_or(0, |journal| lock(journal).len());
            let worker = Worker {
                catalog,
                journal,
                window: VecDeque::new(),
                read_to: 0,
                unread_bytes: left_bytes,
                left_bytes,
                left_noted,
                is_repaired,
                barriers: Vec::new(),
                attempts: 0,
                pause: Duration::from_millis(RETRY_FLOOR_MS),
                not_before: None,
            };
            worker.run(incoming, is_gone).await;
        };
        (Self { words, is_left_noted }, work)
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

/// The reading end.
struct Worker {
    catalog: Catalog,
    /// `None` where the disk does not give it.
    journal: Option<Arc<Mutex<Journal>>>,
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
    attempts: u32,
    pause: Duration,
    /// After a failure: when it is tried again.
    not_before: Option<Instant>,
}

impl Worker {
    async fn run(mut self, mut incoming: mpsc::Receiver<Word>, is_gone: CancellationToken) {
        let mut words = Vec::with_capacity(GAP_QUEUE);
        loop {
            if !*self.left_noted.borrow() {
                self.look_ahead(self.left_bytes).await;
                if self.window.is_empty() {
                    self.left_noted.send_replace(true);
                }
            }
            // What the journal does not take waits for nothing: a kill would lose it.
            if *self.left_noted.borrow() && !*self.is_repaired.borrow() && self.window.is_empty() {
                tokio::select! {
                    () = is_gone.cancelled() => return,
                    repaired = self.is_repaired.changed() => if repaired.is_err() { return },
                    count = incoming.recv_many(&mut words, GAP_QUEUE) => {
                        if count == 0 { return }
                        self.take(&mut words).await;
                    }
                }
                continue;
            }
            if *self.left_noted.borrow() {
                self.look_ahead(u64::MAX).await;
            }
            let Some(note) = self.window.front().copied() else {
                self.all_noted().await;
                tokio::select! {
                    () = is_gone.cancelled() => return,
                    count = incoming.recv_many(&mut words, GAP_QUEUE) => if count == 0 { return },
                }
                self.take(&mut words).await;
                continue;
            };
            let catalog = self.catalog.clone();
            let not_before = self.not_before;
            let noting = async {
                if let Some(not_before) = not_before {
                    sleep_until(not_before).await;
                }
                put(&catalog, note).await
            };
            tokio::pin!(noting);
            // The journal takes what comes while the catalog takes its time.
            let result = loop {
                tokio::select! {
                    () = is_gone.cancelled() => return,
                    result = &mut noting => break result,
                    count = incoming.recv_many(&mut words, GAP_QUEUE) => {
                        if count == 0 { return }
                        self.take(&mut words).await;
                    }
                }
            };
            self.noted(note, result);
        }
    }

    /// Takes what was said: notes into the journal, for good.
    async fn take(&mut self, words: &mut Vec<Word>) {
        let mut notes = Vec::with_capacity(words.len());
        for word in words.drain(..) {
            match word {
                Word::Note(note) => notes.push(note),
                Word::Barrier(done) => self.barriers.push(done),
            }
        }
        if notes.is_empty() {
            return;
        }
        let appended = match &self.journal {
            Some(journal) => {
                let (journal, notes) = (Arc::clone(journal), notes.clone());
                blocking(move || {
                    let mut journal = lock(&journal);
                    let before = journal.len();
                    journal.append(&notes)?;
                    Ok(journal.len() - before)
                })
                .await
            }
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        match appended {
            Ok(bytes) => self.unread_bytes += bytes,
            Err(error) => {
                let room = GAP_QUEUE.saturating_sub(self.window.len());
                if self.journal.is_some() {
                    warn!(%error, lost = notes.len().saturating_sub(room), "the causes of gaps are kept in memory only");
                }
                self.window.extend(notes.into_iter().take(room));
            }
        }
    }

    /// Reads the next notes from the journal, up to an offset, when none is at hand.
    async fn look_ahead(&mut self, to: u64) {
        if !self.window.is_empty() || self.unread_bytes == 0 || self.read_to >= to {
            return;
        }
        let Some(journal) = self.journal.clone() else { return };
        let from = self.read_to;
        match blocking(move || lock(&journal).read(from, to)).await {
            Ok((notes, next)) if next > from => {
                self.window.extend(notes);
                self.read_to = next;
                self.unread_bytes = self.unread_bytes.saturating_sub(next - from);
            }
            other => {
                let reason = other.err().map(|error| error.to_string());
                error!(reason, bytes = self.unread_bytes, "causes of gaps in the journal cannot be read");
                self.unread_bytes = 0;
            }
        }
    }

    /// What became of the first note.
    fn noted(&mut self, note: Note, result: Result<(), CatalogError>) {
        let channel_id = note.channel_id();
        match result {
            Ok(()) => {
                if self.attempts > 0 {
                    info!(attempts = self.attempts, "the causes of gaps are noted again");
                }
            }
            Err(error) if error.is_temporary() || self.attempts < CATALOG_ATTEMPTS => {
                if self.attempts == 0 {
                    warn!(%channel_id, %error, "the cause of a gap waits for the catalog");
                }
                self.attempts = self.attempts.saturating_add(1);
                self.not_before = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(Duration::from_millis(RETRY_CEILING_MS));
                return;
            }
            Err(error) => error!(%channel_id, %error, ?note, "the catalog does not take the cause of a gap"),
        }
        self.window.pop_front();
        self.attempts = 0;
        self.pause = Duration::from_millis(RETRY_FLOOR_MS);
        self.not_before = None;
    }

    /// Nothing waits any more.
    async fn all_noted(&mut self) {
        if self.read_to > 0
            && let Some(journal) = self.journal.clone()
        {
            // Read again by the next run it would change nothing.
            if let Err(error) = blocking(move || lock(&journal).clear()).await {
                warn!(%error, "the journal of gaps cannot be removed");
                return self.answer();
            }
            self.read_to = 0;
        }
        self.answer();
    }

    fn answer(&mut self) {
        for done in self.barriers.drain(..) {
            // Nobody waits any more: nothing to tell.
            let _ = done.send(());
        }
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

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
