//! A segment from its first byte until its sealed row is in the catalog, shared by the writer, the syncer, the sealer
//! and readers.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use media::{
    Fragment, SegmentIndex,
    mp4::seal::{Label, SampleTable},
};
use tokio::sync::watch;
use uuid::Uuid;
use world::DiskFile;

use crate::{
    cutter::{Current, duration_us},
    durability::Durability,
};

/// One segment that the catalog does not know as sealed yet.
pub(crate) struct Growing {
    pub(crate) id: Uuid,
    pub(crate) channel_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) start_us: i64,
    pub(crate) object_name: String,
    pub(crate) init_hash: String,
    /// The session's init segment, for readers and for the catalog.
    pub(crate) init: Bytes,
    pub(crate) spool_file: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    body: RwLock<Body>,
    /// How much of it would outlive a power cut. After a sync failed nothing more is appended.
    pub(crate) durability: Durability,
    /// Its row was asked for, and whether the catalog has it: before that no answer may name the segment.
    registration: watch::Sender<Option<bool>>,
    /// Length of the whole file where it was found sealed already, tables and all.
    pub(crate) sealed_len: Option<u64>,
}

/// What changes while it grows.
struct Body {
    table: SampleTable,
    /// Bytes that are written and will stay as they are.
    len: u64,
    end: End,
    is_finished: bool,
    /// The index as readers last asked for it.
    index: Option<Arc<SegmentIndex>>,
    /// Over all fragments, in order; `None` for what an earlier run began.
    crc32: Option<crc32fast::Hasher>,
}

/// Where the segment ends so far: counted in ticks from the last keyframe, as a fragment's own start moves with the
/// reorder depth of its B-frames.
#[derive(Clone, Copy)]
struct End {
    key_start_us: i64,
    since_key_us: i64,
}

/// What readers see of a growing segment at one instant.
pub(crate) struct Snapshot {
    pub(crate) end_us: i64,
    pub(crate) len: u64,
    pub(crate) is_finished: bool,
    pub(crate) index: Arc<SegmentIndex>,
}

/// What names a new segment.
pub(crate) struct Identity {
    pub(crate) id: Uuid,
    pub(crate) channel_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) start_us: i64,
    pub(crate) object_name: String,
    pub(crate) init_hash: String,
    pub(crate) init: Bytes,
    pub(crate) spool_file: PathBuf,
}

impl Growing {
    /// A segment whose file has its header and nothing else.
    pub(crate) fn new(
        identity: Identity,
        file: Arc<dyn DiskFile>,
        table: SampleTable,
        header_bytes: u64,
    ) -> Self {
        let start_us = identity.start_us;
        let body = Body {
            table,
            len: header_bytes,
            end: End { key_start_us: start_us, since_key_us: 0 },
            is_finished: false,
            index: None,
            crc32: Some(crc32fast::Hasher::new()),
        };
        Self::with_body(identity, file, body, None)
    }

    /// A segment that the last run left: nothing more is appended.
    pub(crate) fn recovered(
        identity: Identity,
        file: Arc<dyn DiskFile>,
        table: SampleTable,
        sealed_len: Option<u64>,
    ) -> Self {
        let body = Body {
            len: table.end_offset(),
            end: End::of_recovered(identity.start_us, &table),
            is_finished: true,
            index: None,
            crc32: None,
            table,
        };
        Self::with_body(identity, file, body, sealed_len)
    }

    fn with_body(identity: Identity, file: Arc<dyn DiskFile>, body: Body, sealed_len: Option<u64>) -> Self {
        let Identity { id, channel_id, session_id, start_us, object_name, init_hash, init, spool_file } =
            identity;
        Self {
            id,
            channel_id,
            session_id,
            start_us,
            object_name,
            init_hash,
            init,
            spool_file,
            file,
            body: RwLock::new(body),
            registration: watch::Sender::new(None),
            sealed_len,
            durability: Durability::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Body> {
        self.body.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Body> {
        self.body.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes fragments into the tables, after their bytes were written.
    pub(crate) fn appended<'a>(&self, fragments: impl Iterator<Item = &'a Fragment>) {
        let mut body = self.write();
        for fragment in fragments {
            body.table.push(fragment);
            body.len += u64::from(fragment.size_bytes);
            if let Some(crc32) = &mut body.crc32 {
                crc32.update(&fragment.head);
                fragment.payload.iter().for_each(|payload| crc32.update(payload));
            }
            if fragment.is_key {
                body.end = End { key_start_us: fragment.start_us, since_key_us: 0 };
            }
            body.end.since_key_us += duration_us(fragment);
        }
        body.index = None;
    }

    /// Nothing more is appended. Where it ended, when that is known better than from its ticks.
    pub(crate) fn finished(&self, end_us: Option<i64>) {
        let mut body = self.write();
        body.is_finished = true;
        if let Some(end_us) = end_us {
            body.end = End { key_start_us: end_us.max(self.start_us + 1), since_key_us: 0 };
        }
    }

    /// Whether the catalog has its row and its init segment, so that others may hear of it.
    pub(crate) fn is_registered(&self) -> bool {
        *self.registration.borrow() == Some(true)
    }

    /// The catalog was asked to take it.
    pub(crate) fn registered(&self, is_registered: bool) {
        self.registration.send_replace(Some(is_registered));
    }

    /// Waits until the catalog was asked, however that went.
    pub(crate) async fn wait_registered(&self) {
        // An error cannot be: this holds the sender.
        let _ = self.registration.subscribe().wait_for(Option::is_some).await;
    }

    /// What the cutter needs to know.
    pub(crate) fn current(&self) -> Current {
        let body = self.read();
        Current { start_us: self.start_us, end_us: body.end.us(), size_bytes: body.len }
    }

    pub(crate) fn end_us(&self) -> i64 {
        self.read().end.us()
    }

    pub(crate) fn len(&self) -> u64 {
        self.read().len
    }

    /// Bytes at its beginning that would outlive a power cut; see [`Durability::synced_len`].
    pub(crate) fn synced_len(&self) -> u64 {
        self.durability.synced_len()
    }

    /// CRC-32 of its fragments, where this run wrote all of them.
    pub(crate) fn crc32(&self) -> Option<u32> {
        self.read().crc32.clone().map(crc32fast::Hasher::finalize)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.read().is_finished
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        {
            let body = self.read();
            if let Some(index) = &body.index {
                return body.snapshot(Arc::clone(index));
            }
        }
        let mut body = self.write();
        let index = Arc::new(body.table.index().clone());
        body.index = Some(Arc::clone(&index));
        body.snapshot(index)
    }

    /// A copy of the tables with the length and end that belong to them.
    pub(crate) fn frozen(&self) -> (SampleTable, u64, i64) {
        let body = self.read();
        (body.table.clone(), body.len, body.end.us())
    }

    /// What the sealed file is to say of the segment beside its samples. Before it is sealed.
    pub(crate) fn label(&self) {
        let mut body = self.write();
        let label = Label {
            session_id: self.session_id.into_bytes(),
            end_us: body.end.us(),
            crc32: body.crc32.clone().map(crc32fast::Hasher::finalize),
        };
        body.table.set_label(label);
    }

    /// Looks at the sample table; the writer waits meanwhile, so make it short.
    pub(crate) fn with_table<T>(&self, look: impl FnOnce(&SampleTable) -> T) -> T {
        look(&self.read().table)
    }
}

impl Body {
    fn snapshot(&self, index: Arc<SegmentIndex>) -> Snapshot {
        Snapshot { end_us: self.end.us(), len: self.len, is_finished: self.is_finished, index }
    }
}

impl End {
    /// A file that was sealed says where it ends; of another one its ticks do.
    fn of_recovered(start_us: i64, table: &SampleTable) -> Self {
        let counted_us = table.index().duration_us().max(1);
        match table.label().filter(|label| label.end_us > start_us) {
            Some(label) => Self { key_start_us: label.end_us, since_key_us: 0 },
            None => Self { key_start_us: start_us, since_key_us: counted_us },
        }
    }

    fn us(self) -> i64 {
        self.key_start_us + self.since_key_us
    }
}

/// The segments of this node that are not sealed rows yet: a few per channel.
#[derive(Default)]
pub(crate) struct Registry {
    state: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    segments: HashMap<Uuid, Arc<Growing>>,
    /// Named, but their first bytes are still being written.
    reserved: HashSet<Uuid>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims an id before its file exists, so that the repair never takes a file that is being begun for a lost one.
    pub(crate) fn reserve(&self, id: Uuid) {
        self.write().reserved.insert(id);
    }

    /// The file was not begun after all.
    pub(crate) fn release(&self, id: Uuid) {
        self.write().reserved.remove(&id);
    }

    pub(crate) fn insert(&self, segment: Arc<Growing>) {
        let mut known = self.write();
        known.reserved.remove(&segment.id);
        known.segments.insert(segment.id, segment);
    }

    pub(crate) fn remove(&self, id: Uuid) {
        self.write().segments.remove(&id);
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<Growing>> {
        self.read().segments.get(&id).cloned()
    }

    /// Whether somebody here still works on the segment.
    pub(crate) fn has(&self, id: Uuid) -> bool {
        let known = self.read();
        known.segments.contains_key(&id) || known.reserved.contains(&id)
    }

    /// The channel's segments, in time order.
    pub(crate) fn of_channel(&self, channel_id: Uuid) -> Vec<Arc<Growing>> {
        let known = self.read();
        let mut found: Vec<_> =
            known.segments.values().filter(|segment| segment.channel_id == channel_id).cloned().collect();
        drop(known);
        found.sort_by_key(|segment| (segment.start_us, segment.id));
        found
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Growing>> {
        self.read().segments.values().cloned().collect()
    }

    /// Bytes of all of them that would not outlive a power cut.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.read().segments.values().map(|segment| segment.len().saturating_sub(segment.synced_len())).sum()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.read().segments.len()
    }
}
