//! The causes of gaps, on their way to the catalog: in order, off the writers' threads, bounded.

use std::sync::Arc;

use catalog::{Catalog, CatalogError};
use media::EndCause;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::{
    limits::{CATALOG_ATTEMPTS, GAP_QUEUE},
    retry::retry,
};

/// What is to be noted.
enum Note {
    Open {
        channel_id: Uuid,
        start_us: i64,
        cause: EndCause,
    },
    Close {
        channel_id: Uuid,
        end_us: i64,
    },
    /// Answered when everything before it is noted.
    Barrier(oneshot::Sender<()>),
}

/// The writing end.
pub(crate) struct GapLog {
    notes: mpsc::Sender<Note>,
}

impl GapLog {
    /// The log, and the work that brings it to the catalog.
    pub(crate) fn new(
        catalog: Catalog,
        is_gone: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (notes, incoming) = mpsc::channel(GAP_QUEUE);
        (Self { notes }, work(catalog, incoming, is_gone))
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
        if self.notes.try_send(note).is_err() {
            warn!(limit = GAP_QUEUE, "the cause of a gap is lost: the catalog is away for too long");
        }
    }

    /// Waits until everything noted so far has reached the catalog.
    pub(crate) async fn settle(&self) {
        let (done, wait) = oneshot::channel();
        if self.notes.send(Note::Barrier(done)).await.is_ok() {
            // An error means that the work is gone, and with it all there was to wait for.
            let _ = wait.await;
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

async fn work(catalog: Catalog, mut incoming: mpsc::Receiver<Note>, is_gone: CancellationToken) {
    let catalog = Arc::new(catalog);
    loop {
        let note = tokio::select! {
            () = is_gone.cancelled() => return,
            note = incoming.recv() => note,
        };
        match note {
            None => return,
            Some(Note::Barrier(done)) => {
                // Nobody waits any more: nothing to tell.
                let _ = done.send(());
            }
            Some(Note::Open { channel_id, start_us, cause }) => {
                retry("noting a gap", channel_id, CATALOG_ATTEMPTS, &is_gone, || {
                    open(&catalog, channel_id, start_us, cause)
                })
                .await;
            }
            Some(Note::Close { channel_id, end_us }) => {
                retry("noting the end of a gap", channel_id, CATALOG_ATTEMPTS, &is_gone, || {
                    catalog.close_gap(channel_id, end_us)
                })
                .await;
            }
        }
    }
}
