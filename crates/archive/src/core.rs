//! What the threads and tasks of one archive share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use catalog::{Catalog, Place};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, oneshot, watch},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::{Clock, Disk};

use crate::{
    bucket::Bucket,
    clock_watch::ClockState,
    config::ArchiveConfig,
    footage::Unknown,
    gap_log::GapLog,
    growing::{Growing, Registry},
    keeper::KeeperState,
    ledger::Written,
    registrar,
    store::Store,
    syncer::Syncer,
    upload::UploadState,
};

/// What the threads and tasks of one archive share.
pub(crate) struct Core {
    pub(crate) config: ArchiveConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_state: ClockState,
    pub(crate) catalog: Catalog,
    /// What is on this side.
    pub(crate) store: Arc<dyn Store>,
    /// Where sealed segments are brought to, if anywhere.
    pub(crate) bucket: Option<Arc<dyn Bucket>>,
    pub(crate) upload: UploadState,
    pub(crate) keeper: KeeperState,
    pub(crate) written: Written,
    /// Segments of earlier runs that were recovered.
    pub(crate) repaired: AtomicU64,
    pub(crate) runtime: Handle,
    pub(crate) registry: Registry,
    pub(crate) syncer: Syncer,
    pub(crate) gap_log: GapLog,
    /// Where the gap of each channel began that is not recorded now: a clock that is set back must not leave one open in what
    /// is the future then.
    pub(crate) gap_starts: Mutex<HashMap<Uuid, i64>>,
    /// Recordings here that the catalog does not know.
    pub(crate) unknown: Unknown,
    pub(crate) seal_permits: Semaphore,
    /// Segments that have ended and are neither sealed rows nor set aside.
    pub(crate) unregistered: watch::Sender<usize>,
    /// Whether what nobody held, or this folder under another id, was looked for: before that the rows of this node are not
    /// all of those it has.
    pub(crate) is_claimed: watch::Sender<bool>,
    /// Told when a segment was set aside.
    pub(crate) set_aside: Notify,
    /// Cancelled when the archive goes: tasks stop where they are.
    pub(crate) is_gone: CancellationToken,
}

impl Core {
    /// Where a segment that is sealed now has its bytes.
    pub(crate) fn place(&self) -> Place {
        if self.bucket.is_some() { Place::ToBucket } else { Place::Local }
    }

    /// A segment has its first fragment: readers see it from now on, and its row is on the way. The sender tells that
    /// nothing more is appended.
    pub(crate) fn begin(self: &Arc<Self>, growing: &Arc<Growing>) -> oneshot::Sender<()> {
        self.registry.insert(Arc::clone(growing));
        let (finish, finished) = oneshot::channel();
        self.runtime.spawn(registrar::run(Arc::clone(self), Arc::clone(growing), finished));
        finish
    }

    /// Nothing more is appended to a segment.
    pub(crate) fn finish(&self, finish: oneshot::Sender<()>) {
        self.unregistered.send_modify(|count| *count += 1);
        if finish.send(()).is_err() {
            // Its registrar is gone with the runtime: the next start repairs the file.
            self.unregistered.send_modify(|count| *count = count.saturating_sub(1));
        }
    }
}
