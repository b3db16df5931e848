//! Segments: which pieces of recording there are, and where their fragments lie.
//!
//! A segment's row is inserted `growing` before its first byte is written, and becomes `sealed` once its bytes are
//! durable. Both in the order that `archive` keeps; here is only remembered what it says.

use std::collections::{HashMap, HashSet};

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Func, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
};
use uuid::Uuid;

use crate::entity::{growing_segment, segment, segment_index, unstored_segment};
use crate::error::{CatalogError, InvalidInput, Kind};
use crate::nodes::{free_for, held_by};
use crate::{Catalog, engine, validate};

/// Longest segment. A range query looks this far back for segments that began before the range, and no further: the
/// configured length is an hour at most, and one segment may overrun it while it waits for a keyframe.
pub const MAX_SEGMENT_US: i64 = 2 * 3600 * 1_000_000;

/// Rows per statement of a bulk insert: 15 values each, of the 32 766 that SQLite takes.
pub const BULK_ROWS_PER_STATEMENT: usize = 500;

/// Rows per transaction of a bulk insert.
const BULK_ROWS_PER_TRANSACTION: usize = 10_000;

/// Ids per statement when indexes are asked for.
const IDS_PER_STATEMENT: usize = 500;

/// Longest object name, in bytes.
const MAX_OBJECT_NAME_BYTES: usize = 512;

/// Longest hash of an init segment, in bytes.
pub(crate) const MAX_HASH_BYTES: usize = 64;

/// What may be expected of a segment's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SegmentState {
    /// It is being written.
    Growing,
    /// It is whole and durable on this side.
    Sealed,
    /// It is whole, and the bucket was seen to have all of it.
    Stored,
}

/// Whether the local store holds a sealed segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LocalCopy {
    /// It does not: the bucket does.
    None,
    /// It does.
    Kept,
    /// Its file is being removed, as the bucket has it. Nobody relies on it any more.
    Leaving,
}

impl LocalCopy {
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Kept => 1,
            Self::Leaving => 2,
        }
    }

    fn from_number(number: i16) -> Option<Self> {
        [Self::None, Self::Kept, Self::Leaving].into_iter().find(|copy| copy.number() == number)
    }
}

impl SegmentState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Growing => "growing",
            Self::Sealed => "sealed",
            Self::Stored => "stored",
        }
    }
}

/// A segment that begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSegment {
    /// Its id.
    pub id: Uuid,
    /// The channel it records.
    pub channel_id: Uuid,
    /// The session it is a part of.
    pub session_id: Uuid,
    /// Its first presented instant, UTC microseconds.
    pub start_us: i64,
    /// The name it will have in the store.
    pub object_name: String,
    /// Hash of its init segment.
    pub init_hash: String,
}

/// What is known of a segment when it is whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedSegment {
    /// End of its last presented instant, exclusive, UTC microseconds.
    pub end_us: i64,
    /// Length of the file in bytes.
    pub size_bytes: u64,
    /// Where its final `moov` begins, in bytes.
    pub moov_offset: u64,
    /// `media::SegmentIndex` in its encoded form.
    pub index: Vec<u8>,
    /// CRC-32 of its fragments, where it was counted while they were written.
    pub crc32: Option<u32>,
    /// Where its bytes are.
    pub place: Place,
}

/// Where the bytes of a segment are when its row becomes sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the local store, and there they stay.
    Local,
    /// In the local store, on their way to the bucket.
    ToBucket,
    /// In the bucket alone, as a rebuilt catalog finds them.
    Bucket {
        /// The bucket's entity tag.
        etag: String,
        /// When it was seen there, UTC microseconds.
        stored_us: i64,
    },
}

/// A segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentRow {
    /// Its id.
    pub id: Uuid,
    /// The channel it records.
    pub channel_id: Uuid,
    /// The session it is a part of.
    pub session_id: Uuid,
    /// Its first presented instant, UTC microseconds.
    pub start_us: i64,
    /// End of its last presented instant, exclusive; `None` while it grows.
    pub end_us: Option<i64>,
    /// What may be expected of its bytes.
    pub state: SegmentState,
    /// Length of the file in bytes; 0 while it grows.
    pub size_bytes: u64,
    /// Where its final `moov` begins, in bytes; 0 while it grows.
    pub moov_offset: u64,
    /// Its name in the store.
    pub object_name: String,
    /// Hash of its init segment.
    pub init_hash: String,
    /// Whether the local store holds it, once it is sealed.
    pub local_copy: LocalCopy,
    /// The bucket's entity tag, once it is stored.
    pub etag: Option<String>,
    /// CRC-32 of its fragments, where it is known.
    pub crc32: Option<u32>,
    /// The node whose disk has its bytes; `None` where none has, or none has claimed them.
    pub node_id: Option<Uuid>,
}

impl SegmentRow {
    /// Whether it is whole, wherever its bytes are.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.state, SegmentState::Sealed | SegmentState::Stored)
    }
}

/// What a channel has recorded in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Footage {
    /// How many segments, the growing one included.
    pub segments: u64,
    /// Bytes of the sealed ones.
    pub size_bytes: u64,
    /// Start of the first, UTC microseconds.
    pub first_start_us: Option<i64>,
    /// End of the last sealed one, UTC microseconds.
    pub last_end_us: Option<i64>,
}

impl TryFrom<segment::Model> for SegmentRow {
    type Error = CatalogError;

    fn try_from(model: segment::Model) -> Result<Self, CatalogError> {
        let corrupt = |reason: &str| CatalogError::Corrupt {
            what: "segment",
            reason: format!("segment {}: {reason}", model.id),
        };
        let state = match (model.state.as_str(), model.end_us) {
            ("growing", _) => SegmentState::Growing,
            ("sealed", Some(_)) => SegmentState::Sealed,
            ("stored", Some(_)) => SegmentState::Stored,
            ("sealed" | "stored", None) => return Err(corrupt("whole without an end")),
            _ => return Err(corrupt("an unknown state")),
        };
        Ok(Self {
            id: model.id,
            channel_id: model.channel_id,
            session_id: model.session_id,
            start_us: model.start_us,
            end_us: model.end_us,
            state,
            size_bytes: u64::try_from(model.size_bytes).map_err(|_| corrupt("a negative size"))?,
            moov_offset: u64::try_from(model.moov_offset).map_err(|_| corrupt("a negative offset"))?,
            local_copy: LocalCopy::from_number(model.local_copy)
                .ok_or_else(|| corrupt("an unknown kind of local copy"))?,
            crc32: model.crc32.and_then(|crc32| u32::try_from(crc32).ok()),
            etag: model.etag,
            object_name: model.object_name,
            init_hash: model.init_hash,
            node_id: model.node_id,
        })
    }
}

impl Catalog {
    /// Notes a segment that begins to grow, here.
    pub async fn insert_segment(&self, new: NewSegment) -> Result<(), CatalogError> {
        let id = new.id;
        let row = row(new, None, self.node_id)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            segment::Entity::insert(row.clone()).exec_without_returning(&transaction).await.map_err(
                |error| CatalogError::from_insert(error, || CatalogError::SegmentTaken(id), Kind::Channel),
            )?;
            let growing = growing_segment::ActiveModel { segment_id: Set(id), node_id: Set(self.node_id) };
            growing_segment::Entity::insert(growing).exec_without_returning(&transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Notes that a growing segment is whole and durable. One that grows on another node is none of ours.
    pub async fn seal_segment(&self, id: Uuid, sealed: SealedSegment) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let model = segment::Entity::find_by_id(id).one(&transaction).await?;
            let model = model.ok_or(CatalogError::NotFound(Kind::Segment))?;
            if model.state != SegmentState::Growing.as_str() {
                return Err(CatalogError::NotGrowing(id));
            }
            if model.node_id.is_some() && model.node_id != self.node_id {
                return Err(CatalogError::HeldElsewhere(id));
            }
            require_duration(model.start_us, sealed.end_us)?;
            let change = segment::ActiveModel {
                end_us: Set(Some(sealed.end_us)),
                state: Set(SegmentState::Sealed.as_str().to_owned()),
                size_bytes: Set(validate::number("size of a segment", sealed.size_bytes)?),
                moov_offset: Set(validate::number("offset of a segment's moov", sealed.moov_offset)?),
                crc32: Set(sealed.crc32.map(i64::from)),
                node_id: Set(self.node_id),
                ..Default::default()
            };
            segment::Entity::update_many()
                .set(change)
                .filter(segment::Column::Id.eq(id))
                .exec(&transaction)
                .await?;
            growing_segment::Entity::delete_by_id(id).exec(&transaction).await?;
            let index =
                segment_index::ActiveModel { segment_id: Set(id), fragments: Set(sealed.index.clone()) };
            segment_index::Entity::insert(index).exec_without_returning(&transaction).await?;
            match &sealed.place {
                Place::Local => {}
                Place::ToBucket => {
                    let unstored =
                        unstored_segment::ActiveModel { segment_id: Set(id), node_id: Set(self.node_id) };
                    unstored_segment::Entity::insert(unstored).exec_without_returning(&transaction).await?;
                }
                Place::Bucket { etag, stored_us } => {
                    let place = in_bucket(etag.clone(), *stored_us, LocalCopy::None);
                    let row = segment::Entity::update_many().set(place).filter(segment::Column::Id.eq(id));
                    row.exec(&transaction).await?;
                }
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Forgets a segment and its index; whether there was one. What another node holds stays.
    pub async fn delete_segment(&self, id: Uuid) -> Result<bool, CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let deleted = segment::Entity::delete_many()
                .filter(segment::Column::Id.eq(id))
                .filter(free_for(segment::Column::NodeId, self.node_id))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(deleted.rows_affected > 0)
        })
        .await
    }

    /// The segments of a channel that overlap `[from_us, to_us)`, growing ones included, in order of time.
    pub async fn segments_in_range(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        if from_us >= to_us {
            return Ok(Vec::new());
        }
        let models = in_range(channel_id, from_us, to_us).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// The recorded time of a channel within `[from_us, to_us)`, of sealed segments alone, clipped to that range, in
    /// order and with what touches or overlaps joined. Answered from the index, without rows or blobs.
    pub async fn spans(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<(i64, i64)>, CatalogError> {
        if from_us >= to_us {
            return Ok(Vec::new());
        }
        let rows = spans_in_range(channel_id, from_us, to_us);
        let rows: Vec<(i64, i64)> = rows.into_tuple().all(self.engine.reader()).await?;
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for (start_us, end_us) in rows {
            let (start_us, end_us) = (start_us.max(from_us), end_us.min(to_us));
            match spans.last_mut() {
                Some((_, last_us)) if start_us <= *last_us => *last_us = end_us.max(*last_us),
                _ => spans.push((start_us, end_us)),
            }
        }
        Ok(spans)
    }

    /// The segment with an id.
    pub async fn segment(&self, id: Uuid) -> Result<Option<SegmentRow>, CatalogError> {
        segment::Entity::find_by_id(id).one(self.engine.reader()).await?.map(SegmentRow::try_from).transpose()
    }

    /// The encoded indexes of sealed segments, in the order of `ids`; those that have none are left out.
    pub async fn segment_indexes(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>, CatalogError> {
        let mut found = HashMap::with_capacity(ids.len());
        for some in ids.chunks(IDS_PER_STATEMENT) {
            let models = indexes_of(some).all(self.engine.reader()).await?;
            found.extend(models.into_iter().map(|model| (model.segment_id, model.fragments)));
        }
        Ok(ids.iter().filter_map(|id| found.remove(id).map(|index| (*id, index))).collect())
    }

    /// All segments that grow here, oldest first: after a crash, those to repair.
    pub async fn growing_segments(&self) -> Result<Vec<SegmentRow>, CatalogError> {
        let models = growing(self.node_id).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// Whole segments in order of their ids, after `after`: a page of a walk over all there are.
    pub async fn whole_segments(
        &self,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        let models = whole_after(after).limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// Whole segments of a channel in order of their starts, after the last one seen: a page of a walk over all it has.
    pub async fn whole_segments_of(
        &self,
        channel_id: Uuid,
        after: Option<&SegmentRow>,
        limit: u64,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        let after = after.map(|row| (row.start_us, row.end_us.unwrap_or(row.start_us), row.id));
        let models = whole_of(channel_id, after).limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// Which of these ids are those of segments, growing ones included.
    pub async fn known_segments(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, CatalogError> {
        let mut known = HashSet::with_capacity(ids.len());
        for some in ids.chunks(IDS_PER_STATEMENT) {
            let found = segment::Entity::find()
                .select_only()
                .column(segment::Column::Id)
                .filter(segment::Column::Id.is_in(some.iter().copied()));
            known.extend(found.into_tuple::<Uuid>().all(self.engine.reader()).await?);
        }
        Ok(known)
    }

    /// What a channel has recorded in all.
    pub async fn footage(&self, channel_id: Uuid) -> Result<Footage, CatalogError> {
        let all = segment::Entity::find().filter(segment::Column::ChannelId.eq(channel_id));
        footage_of(all, &self.engine).await
    }

    /// The segments that were begun last, growing ones included, at most `limit`, the newest first.
    pub async fn newest_segments(&self, limit: u64) -> Result<Vec<SegmentRow>, CatalogError> {
        let models = newest().limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// The segment of a channel that was begun last, growing ones included.
    pub async fn newest_segment_of(&self, channel_id: Uuid) -> Result<Option<SegmentRow>, CatalogError> {
        let newest = segment::Entity::find()
            .filter(segment::Column::ChannelId.eq(channel_id))
            .order_by_desc(segment::Column::StartUs)
            .one(self.engine.reader());
        newest.await?.map(SegmentRow::try_from).transpose()
    }

    /// Inserts sealed segments as fast as the engine takes them, for benchmarks and for rebuilding a catalog; returns
    /// how many. An empty index is not stored. Not atomic: on an error, what came before may be there.
    pub async fn insert_sealed_segments(
        &self,
        segments: impl IntoIterator<Item = (NewSegment, SealedSegment)>,
    ) -> Result<u64, CatalogError> {
        let mut segments = segments.into_iter().peekable();
        let mut count = 0;
        while segments.peek().is_some() {
            let many: Vec<_> = segments.by_ref().take(BULK_ROWS_PER_TRANSACTION).collect();
            count += self
                .write(|| async {
                    let transaction = self.begin().await?;
                    let mut count = 0;
                    for some in many.chunks(BULK_ROWS_PER_STATEMENT) {
                        count += insert_some(&transaction, some.to_vec(), self.node_id).await?;
                    }
                    transaction.commit().await?;
                    Ok(count)
                })
                .await?;
        }
        Ok(count)
    }
}

async fn insert_some<C: ConnectionTrait>(
    connection: &C,
    segments: Vec<(NewSegment, SealedSegment)>,
    node_id: Option<Uuid>,
) -> Result<u64, CatalogError> {
    let mut rows = Vec::with_capacity(segments.len());
    let mut indexes = Vec::new();
    let mut unstored = Vec::new();
    let mut first = None;
    for (new, mut sealed) in segments {
        first.get_or_insert(new.id);
        let fragments = std::mem::take(&mut sealed.index);
        if !fragments.is_empty() {
            indexes.push(segment_index::ActiveModel { segment_id: Set(new.id), fragments: Set(fragments) });
        }
        if sealed.place == Place::ToBucket {
            unstored.push(unstored_segment::ActiveModel { segment_id: Set(new.id), node_id: Set(node_id) });
        }
        rows.push(row(new, Some(sealed), node_id)?);
    }
    let Some(first) = first else { return Ok(0) };
    let count = rows.len() as u64;
    segment::Entity::insert_many(rows).exec_without_returning(connection).await.map_err(|error| {
        CatalogError::from_insert(error, || CatalogError::SegmentTaken(first), Kind::Channel)
    })?;
    if !indexes.is_empty() {
        segment_index::Entity::insert_many(indexes).exec_without_returning(connection).await?;
    }
    if !unstored.is_empty() {
        unstored_segment::Entity::insert_many(unstored).exec_without_returning(connection).await?;
    }
    Ok(count)
}

fn row(
    new: NewSegment,
    sealed: Option<SealedSegment>,
    node_id: Option<Uuid>,
) -> Result<segment::ActiveModel, CatalogError> {
    validate::text("object name", &new.object_name, MAX_OBJECT_NAME_BYTES)?;
    validate::text("hash of an init segment", &new.init_hash, MAX_HASH_BYTES)?;
    if let Some(sealed) = &sealed {
        require_duration(new.start_us, sealed.end_us)?;
    }
    let (size_bytes, moov_offset) =
        sealed.as_ref().map_or((0, 0), |sealed| (sealed.size_bytes, sealed.moov_offset));
    let crc32 = sealed.as_ref().and_then(|sealed| sealed.crc32);
    let end_us = sealed.as_ref().map(|sealed| sealed.end_us);
    let (state, local_copy, etag, stored_us) = match sealed.map(|sealed| sealed.place) {
        None => (SegmentState::Growing, LocalCopy::Kept, None, None),
        Some(Place::Local | Place::ToBucket) => (SegmentState::Sealed, LocalCopy::Kept, None, None),
        Some(Place::Bucket { etag, stored_us }) => {
            (SegmentState::Stored, LocalCopy::None, Some(etag), Some(stored_us))
        }
    };
    Ok(segment::ActiveModel {
        id: Set(new.id),
        channel_id: Set(new.channel_id),
        session_id: Set(new.session_id),
        start_us: Set(new.start_us),
        end_us: Set(end_us),
        state: Set(state.as_str().to_owned()),
        size_bytes: Set(validate::number("size of a segment", size_bytes)?),
        moov_offset: Set(validate::number("offset of a segment's moov", moov_offset)?),
        object_name: Set(new.object_name),
        init_hash: Set(new.init_hash),
        local_copy: Set(local_copy.number()),
        stored_us: Set(stored_us),
        etag: Set(etag),
        crc32: Set(crc32.map(i64::from)),
        // What is in the bucket alone is with no node.
        node_id: Set(node_id.filter(|_| local_copy != LocalCopy::None)),
    })
}

/// What changes in a row when the bucket has its bytes.
pub(crate) fn in_bucket(etag: String, stored_us: i64, local_copy: LocalCopy) -> segment::ActiveModel {
    segment::ActiveModel {
        state: Set(SegmentState::Stored.as_str().to_owned()),
        etag: Set(Some(etag)),
        stored_us: Set(Some(stored_us)),
        local_copy: Set(local_copy.number()),
        ..Default::default()
    }
}

fn require_duration(start_us: i64, end_us: i64) -> Result<(), InvalidInput> {
    let duration_us = end_us.saturating_sub(start_us);
    if (1..=MAX_SEGMENT_US).contains(&duration_us) {
        Ok(())
    } else {
        Err(InvalidInput::SegmentDuration { duration_us })
    }
}

/// A piece of the index `(channel_id, start_us, end_us)`: no segment that overlaps the range can have begun more than
/// [`MAX_SEGMENT_US`] before it.
fn started_around(channel_id: Uuid, from_us: i64, to_us: i64) -> Select<segment::Entity> {
    segment::Entity::find()
        .filter(segment::Column::ChannelId.eq(channel_id))
        .filter(segment::Column::StartUs.gt(from_us.saturating_sub(MAX_SEGMENT_US)))
        .filter(segment::Column::StartUs.lt(to_us))
        .order_by_asc(segment::Column::StartUs)
}

fn in_range(channel_id: Uuid, from_us: i64, to_us: i64) -> Select<segment::Entity> {
    let is_after =
        Condition::any().add(segment::Column::EndUs.is_null()).add(segment::Column::EndUs.gt(from_us));
    started_around(channel_id, from_us, to_us).filter(is_after)
}

/// Touches only columns of the index. A growing segment has no end and is left out.
fn spans_in_range(channel_id: Uuid, from_us: i64, to_us: i64) -> Select<segment::Entity> {
    started_around(channel_id, from_us, to_us)
        .filter(segment::Column::EndUs.gt(from_us))
        .select_only()
        .column(segment::Column::StartUs)
        .column(segment::Column::EndUs)
}

fn whole_after(after: Option<Uuid>) -> Select<segment::Entity> {
    let whole = [SegmentState::Sealed.as_str(), SegmentState::Stored.as_str()];
    segment::Entity::find()
        .filter(segment::Column::State.is_in(whole))
        .filter(segment::Column::Id.gt(after.unwrap_or(Uuid::nil())))
        .order_by_asc(segment::Column::Id)
}

/// Along the index `(channel_id, start_us, end_us)`; only what starts and ends at the same instants is sorted.
fn whole_of(channel_id: Uuid, after: Option<(i64, i64, Uuid)>) -> Select<segment::Entity> {
    let whole = [SegmentState::Sealed.as_str(), SegmentState::Stored.as_str()];
    let all = segment::Entity::find()
        .filter(segment::Column::ChannelId.eq(channel_id))
        .filter(segment::Column::State.is_in(whole))
        .order_by_asc(segment::Column::StartUs)
        .order_by_asc(segment::Column::EndUs)
        .order_by_asc(segment::Column::Id);
    let Some((start_us, end_us, id)) = after else { return all };
    let start = segment::Column::StartUs;
    let end = segment::Column::EndUs;
    let same_end = Condition::all().add(end.eq(end_us)).add(segment::Column::Id.gt(id));
    let later_end = Condition::any().add(end.gt(end_us)).add(same_end);
    let same_start = Condition::all().add(start.eq(start_us)).add(later_end);
    all.filter(start.gte(start_us)).filter(Condition::any().add(start.gt(start_us)).add(same_start))
}

/// From the list to the rows: of a join, a planner that believes the list long makes a walk over all segments.
fn growing(node_id: Option<Uuid>) -> Select<segment::Entity> {
    let listed = growing_segment::Entity::find()
        .filter(held_by(growing_segment::Column::NodeId, node_id))
        .select_only()
        .column(growing_segment::Column::SegmentId);
    segment::Entity::find()
        .filter(segment::Column::Id.in_subquery(listed.into_query()))
        .order_by_asc(segment::Column::Id)
}

fn indexes_of(ids: &[Uuid]) -> Select<segment_index::Entity> {
    segment_index::Entity::find().filter(segment_index::Column::SegmentId.is_in(ids.iter().copied()))
}

/// Ids are in order of time. The bound, which all of them meet, makes it a range of the key for every planner: without one, MariaDB
/// and SQLite call it a walk over the whole index, which only the limit ends.
fn newest() -> Select<segment::Entity> {
    segment::Entity::find().filter(segment::Column::Id.gt(Uuid::nil())).order_by_desc(segment::Column::Id)
}

/// How much some segments are.
pub(crate) async fn footage_of(
    some: Select<segment::Entity>,
    engine: &engine::Engine,
) -> Result<Footage, CatalogError> {
    let row = some
        .select_only()
        .expr(segment::Column::Id.count())
        .expr(sum_of_sizes(engine.backend()))
        .expr(segment::Column::StartUs.min())
        .expr(segment::Column::EndUs.max())
        .into_tuple::<(i64, Option<i64>, Option<i64>, Option<i64>)>()
        .one(engine.reader())
        .await?;
    let (segments, size_bytes, first_start_us, last_end_us) = row.unwrap_or_default();
    Ok(Footage {
        segments: u64::try_from(segments).unwrap_or(0),
        size_bytes: u64::try_from(size_bytes.unwrap_or(0)).unwrap_or(0),
        first_start_us,
        last_end_us,
    })
}

/// As BIGINT: MySQL and PostgreSQL add up to a decimal.
pub(crate) fn sum_of_sizes(backend: DbBackend) -> SimpleExpr {
    use sea_orm::sea_query::ExprTrait as _;

    Func::sum(segment::Column::SizeBytes.into_expr()).cast_as(engine::big_integer(backend))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn query_range(channel_id: Uuid) -> Select<segment::Entity> {
        in_range(channel_id, 1_000, 2_000)
    }

    pub(crate) fn query_spans(channel_id: Uuid) -> Select<segment::Entity> {
        spans_in_range(channel_id, 1_000, 2_000)
    }

    pub(crate) fn query_newest() -> Select<segment::Entity> {
        newest().limit(10)
    }

    pub(crate) fn query_whole() -> Select<segment::Entity> {
        whole_after(Some(Uuid::nil())).limit(100)
    }

    pub(crate) fn query_whole_of() -> Select<segment::Entity> {
        whole_of(Uuid::nil(), Some((1_000, 2_000, Uuid::nil()))).limit(100)
    }

    pub(crate) fn query_growing() -> Select<segment::Entity> {
        growing(Some(Uuid::nil()))
    }

    pub(crate) fn query_indexes(ids: &[Uuid]) -> Select<segment_index::Entity> {
        indexes_of(ids)
    }
}
