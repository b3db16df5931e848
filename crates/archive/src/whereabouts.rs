//! Where the bytes of a segment are at this moment. It is looked up at each read, so that a reader holds nothing open between
//! two of them: a viewer who takes nothing costs no descriptor, and a file that goes gives its space back at once.
//!
//! A segment moves while it is read: it is sealed, brought to the bucket, its local copy leaves. The reader goes on where it is
//! then. Only what is deleted, or given up for damaged, ends him.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use catalog::{LocalCopy, SegmentRow, SegmentState};
use tracing::{debug, warn};
use uuid::Uuid;

use crate::{
    core::Core,
    origin::Object,
    read::{ReadInto, Reader},
};

/// A segment that is read piece by piece.
pub(crate) struct Whereabouts {
    core: Arc<Core>,
    id: Uuid,
    /// As the catalog last said; nothing while it grows.
    known: Mutex<Option<Facts>>,
}

/// What the catalog says of the bytes of a whole segment.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Facts {
    object_name: Arc<str>,
    is_local: bool,
    in_bucket: bool,
}

impl Facts {
    fn of(core: &Core, row: &SegmentRow) -> Self {
        Self {
            object_name: row.object_name.as_str().into(),
            is_local: row.local_copy == LocalCopy::Kept && !core.is_held_elsewhere(row),
            in_bucket: row.state == SegmentState::Stored && core.bucket.is_some(),
        }
    }
}

impl Whereabouts {
    /// Of a segment that grows here.
    pub(crate) fn growing(core: &Arc<Core>, id: Uuid) -> Self {
        Self { core: Arc::clone(core), id, known: Mutex::new(None) }
    }

    /// Of a whole segment.
    pub(crate) fn sealed(core: &Arc<Core>, row: &SegmentRow) -> Self {
        let facts = Facts::of(core, row);
        Self { core: Arc::clone(core), id: row.id, known: Mutex::new(Some(facts)) }
    }

    /// Whether its bytes are there to be read, as far as that can be told without asking the bucket.
    ///
    /// # Errors
    /// What the local store said, where nobody else has them.
    pub(crate) async fn look(&self, reader: &Reader) -> io::Result<()> {
        let Some(facts) = self.facts() else { return Ok(()) };
        if !facts.is_local && facts.in_bucket {
            return Ok(());
        }
        let (store, name) = (Arc::clone(&self.core.store), Arc::clone(&facts.object_name));
        match reader.run(move || store.open(&name).map(drop)).await {
            Err(error) if facts.in_bucket => {
                warn!(segment_id = %self.id, %error, "a local copy cannot be opened: the bucket's is read");
                self.know(Facts { is_local: false, ..facts });
                Ok(())
            }
            looked => looked,
        }
    }

    /// A range of its bytes, from where they are now.
    ///
    /// # Errors
    /// `NotFound` when it was deleted meanwhile; else what the disk or the bucket said.
    pub(crate) async fn read(&self, reader: &Reader, range: Range<u64>, into: ReadInto) -> io::Result<Bytes> {
        // Memory first: what is not found there any more has its sealed row.
        if let Some(growing) = self.core.registry.get(self.id) {
            let file = Arc::clone(&growing.file);
            return reader.read_file(move || Ok(file), range, into).await;
        }
        let facts = match self.facts() {
            Some(facts) => facts,
            None => self.ask().await?,
        };
        match self.read_at(reader, &facts, range.clone(), into).await {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                // It may be elsewhere than the catalog said when the reader came.
                let now = self.ask().await?;
                if now == facts { Err(error) } else { self.read_at(reader, &now, range, into).await }
            }
        }
    }

    /// The local copy where there is one, else the bucket's.
    async fn read_at(
        &self,
        reader: &Reader,
        facts: &Facts,
        range: Range<u64>,
        into: ReadInto,
    ) -> io::Result<Bytes> {
        if facts.is_local || !facts.in_bucket {
            let (store, name) = (Arc::clone(&self.core.store), Arc::clone(&facts.object_name));
            match reader.read_file(move || store.open(&name), range.clone(), into).await {
                Err(error) if facts.in_bucket => {
                    if error.kind() == io::ErrorKind::NotFound {
                        debug!(segment_id = %self.id, "a local copy has left: the bucket's is read");
                    } else {
                        warn!(segment_id = %self.id, %error, "a local copy cannot be read: the bucket's is");
                    }
                    self.know(Facts { is_local: false, ..facts.clone() });
                }
                read => return read,
            }
        }
        match &self.core.bucket {
            Some(bucket) => {
                reader.read_object(&Object::new(Arc::clone(bucket), &facts.object_name), range).await
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Asks the catalog anew.
    async fn ask(&self) -> io::Result<Facts> {
        let row = self.core.catalog.segment(self.id).await.map_err(io::Error::other)?;
        let Some(row) = row.filter(SegmentRow::is_whole) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it is kept no longer"));
        };
        let facts = Facts::of(&self.core, &row);
        self.know(facts.clone());
        Ok(facts)
    }

    fn facts(&self) -> Option<Facts> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn know(&self, facts: Facts) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(facts);
    }

    /// Whether the bucket alone has it, as far as is known.
    pub(crate) fn is_remote(&self) -> bool {
        self.facts().is_some_and(|facts| facts.in_bucket && !facts.is_local)
    }

    /// Which segment it is, for errors.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }
}
