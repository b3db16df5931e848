//! What is on its way to the bucket: which segments, and which of their parts have arrived.
//!
//! A segment stands in the short list from its seal until the bucket was seen to have all of it. An upload that runs is
//! noted with its parts, so that the next start goes on where this one stopped.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, OnConflict};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    Select,
};
use uuid::Uuid;

use crate::entity::{segment, unstored_segment, upload, upload_part};
use crate::error::{CatalogError, Kind};
use crate::nodes::{free_for, held_by};
use crate::segments::{LocalCopy, SegmentRow, SegmentState, in_bucket};
use crate::{Catalog, engine, validate};

/// Longest id that a bucket may give an upload, in bytes.
const MAX_UPLOAD_ID_BYTES: usize = 1024;

/// Longest entity tag, in bytes.
const MAX_ETAG_BYTES: usize = 128;

/// Segments per page when all of them are walked through.
const WALK_PAGE: u64 = 5_000;

/// Ids per statement.
const IDS_PER_STATEMENT: usize = 500;

/// A multipart upload that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// The bucket's name for it.
    pub upload_id: String,
    /// Length of each part but the last.
    pub part_bytes: u64,
    /// Numbers, from 1, and entity tags of the parts that have arrived, in order.
    pub parts: Vec<(u32, String)>,
}

/// What the bucket has not confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unstored {
    /// How many sealed segments.
    pub segments: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Their recorded time, microseconds.
    pub duration_us: i64,
    /// Start of the oldest, UTC microseconds.
    pub oldest_start_us: Option<i64>,
}

impl Catalog {
    /// Notes that an upload of a segment began. One that was noted before is forgotten with its parts.
    pub async fn begin_upload(
        &self,
        segment_id: Uuid,
        upload_id: &str,
        part_bytes: u64,
    ) -> Result<(), CatalogError> {
        validate::text("id of an upload", upload_id, MAX_UPLOAD_ID_BYTES)?;
        let row = upload::ActiveModel {
            segment_id: Set(segment_id),
            upload_id: Set(upload_id.to_owned()),
            part_bytes: Set(validate::number("length of a part", part_bytes)?),
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            upload::Entity::delete_by_id(segment_id).exec(&transaction).await?;
            upload::Entity::insert(row.clone())
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Segment))?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Notes that a part has arrived.
    pub async fn put_upload_part(
        &self,
        segment_id: Uuid,
        number: u32,
        etag: &str,
    ) -> Result<(), CatalogError> {
        validate::text("entity tag", etag, MAX_ETAG_BYTES)?;
        let row = upload_part::ActiveModel {
            segment_id: Set(segment_id),
            number: Set(i32::try_from(number).unwrap_or(i32::MAX)),
            etag: Set(etag.to_owned()),
        };
        let mut replace = OnConflict::columns([upload_part::Column::SegmentId, upload_part::Column::Number]);
        replace.update_column(upload_part::Column::Etag);
        self.write(|| async {
            let transaction = self.begin().await?;
            upload_part::Entity::insert(row.clone())
                .on_conflict(replace.clone())
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Segment))?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// The upload of a segment that was noted last.
    pub async fn upload(&self, segment_id: Uuid) -> Result<Option<Upload>, CatalogError> {
        let reader = self.engine.reader();
        let Some(model) = upload::Entity::find_by_id(segment_id).one(reader).await? else { return Ok(None) };
        let parts = parts_of(segment_id).all(reader).await?;
        let corrupt = |reason: &str| CatalogError::Corrupt { what: "upload", reason: reason.to_owned() };
        Ok(Some(Upload {
            upload_id: model.upload_id,
            part_bytes: u64::try_from(model.part_bytes).map_err(|_| corrupt("parts of negative length"))?,
            parts: parts
                .into_iter()
                .map(|part| u32::try_from(part.number).map(|number| (number, part.etag)))
                .collect::<Result<_, _>>()
                .map_err(|_| corrupt("a part with a negative number"))?,
        }))
    }

    /// The bucket's names for all uploads that run: a few per channel.
    pub async fn upload_ids(&self) -> Result<Vec<String>, CatalogError> {
        let ids = upload::Entity::find().select_only().column(upload::Column::UploadId);
        Ok(ids.into_tuple().all(self.engine.reader()).await?)
    }

    /// The oldest sealed segments of this node that the bucket has not confirmed, at most `limit`.
    pub async fn unstored_segments(&self, limit: u64) -> Result<Vec<SegmentRow>, CatalogError> {
        let models = oldest_first(unstored(self.node_id)).limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// How much of this node's the bucket has not confirmed.
    pub async fn unstored(&self) -> Result<Unstored, CatalogError> {
        let duration = Expr::col((segment::Entity, segment::Column::EndUs))
            .sub(Expr::col((segment::Entity, segment::Column::StartUs)));
        let big = engine::big_integer(self.engine.backend());
        let row = unstored(self.node_id)
            .select_only()
            .expr(segment::Column::Id.count())
            .expr(Func::sum(Expr::col((segment::Entity, segment::Column::SizeBytes))).cast_as(big))
            .expr(Func::sum(duration).cast_as(big))
            .expr(segment::Column::StartUs.min())
            .into_tuple::<(i64, Option<i64>, Option<i64>, Option<i64>)>();
        let (segments, size_bytes, duration_us, oldest_start_us) =
            row.one(self.engine.reader()).await?.unwrap_or_default();
        Ok(Unstored {
            segments: u64::try_from(segments).unwrap_or(0),
            size_bytes: u64::try_from(size_bytes.unwrap_or(0)).unwrap_or(0),
            duration_us: duration_us.unwrap_or(0),
            oldest_start_us,
        })
    }

    /// Notes that the bucket was seen to have all of a sealed segment; whether that is news. From here on its local copy
    /// may go.
    pub async fn store_segment(&self, id: Uuid, etag: &str, stored_us: i64) -> Result<bool, CatalogError> {
        validate::text("entity tag", etag, MAX_ETAG_BYTES)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let changed = segment::Entity::update_many()
                .set(in_bucket(etag.to_owned(), stored_us, LocalCopy::Kept))
                .filter(segment::Column::Id.eq(id))
                .filter(segment::Column::State.eq(SegmentState::Sealed.as_str()))
                .exec(&transaction)
                .await?;
            unstored_segment::Entity::delete_by_id(id).exec(&transaction).await?;
            upload::Entity::delete_by_id(id).exec(&transaction).await?;
            transaction.commit().await?;
            Ok(changed.rows_affected > 0)
        })
        .await
    }

    /// The bucket does not have a segment after all: it is to be taken from its local copy again, by the node that has that and
    /// even if it was leaving;
    /// whether there is one.
    pub async fn unstore_segment(&self, id: Uuid) -> Result<bool, CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let change = segment::ActiveModel {
                state: Set(SegmentState::Sealed.as_str().to_owned()),
                stored_us: Set(None),
                etag: Set(None),
                local_copy: Set(LocalCopy::Kept.number()),
                ..Default::default()
            };
            let changed = segment::Entity::update_many()
                .set(change)
                .filter(segment::Column::Id.eq(id))
                .filter(segment::Column::State.eq(SegmentState::Stored.as_str()))
                .filter(segment::Column::LocalCopy.ne(LocalCopy::None.number()))
                .exec(&transaction)
                .await?;
            if changed.rows_affected > 0 {
                let holder = segment::Entity::find_by_id(id).one(&transaction).await?;
                let node_id = holder.and_then(|row| row.node_id);
                let row = unstored_segment::ActiveModel { segment_id: Set(id), node_id: Set(node_id) };
                unstored_segment::Entity::insert(row).exec_without_returning(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(changed.rows_affected > 0)
        })
        .await
    }

    /// Puts every sealed segment of this node that is in no bucket on the list, for a node that is given a bucket after it
    /// has recorded without one; how many. Walks through the whole table, a page at a time: others write between the pages.
    pub async fn queue_for_bucket(&self) -> Result<u64, CatalogError> {
        let mut count = 0;
        let mut after = Uuid::nil();
        loop {
            let page: Vec<(Uuid, String)> = walk(after).into_tuple().all(self.engine.reader()).await?;
            let Some((last, _)) = page.last() else { return Ok(count) };
            after = *last;
            let sealed: Vec<Uuid> = page
                .iter()
                .filter(|(_, state)| state == SegmentState::Sealed.as_str())
                .map(|(id, _)| *id)
                .collect();
            for ids in sealed.chunks(IDS_PER_STATEMENT) {
                count += self.queue_some(ids).await?;
            }
        }
    }

    /// Puts those of these segments on the list that are still sealed and not on it; how many.
    async fn queue_some(&self, ids: &[Uuid]) -> Result<u64, CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let still = segment::Entity::find()
                .filter(segment::Column::Id.is_in(ids.iter().copied()))
                .filter(segment::Column::State.eq(SegmentState::Sealed.as_str()))
                .filter(free_for(segment::Column::NodeId, self.node_id))
                .select_only()
                .column(segment::Column::Id)
                .column(segment::Column::NodeId);
            let still: Vec<(Uuid, Option<Uuid>)> = still.into_tuple().all(&transaction).await?;
            let listed = unstored_segment::Entity::find()
                .filter(unstored_segment::Column::SegmentId.is_in(ids.iter().copied()));
            let listed = listed.all(&transaction).await?;
            let new: Vec<_> = still
                .into_iter()
                .filter(|(id, _)| !listed.iter().any(|row| row.segment_id == *id))
                .map(|(id, node_id)| unstored_segment::ActiveModel {
                    segment_id: Set(id),
                    node_id: Set(node_id),
                })
                .collect();
            let count = new.len() as u64;
            if count > 0 {
                unstored_segment::Entity::insert_many(new).exec_without_returning(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(count)
        })
        .await
    }
}

/// A page of all segments by id, after one.
fn walk(after: Uuid) -> Select<segment::Entity> {
    segment::Entity::find()
        .filter(segment::Column::Id.gt(after))
        .order_by_asc(segment::Column::Id)
        .limit(WALK_PAGE)
        .select_only()
        .column(segment::Column::Id)
        .column(segment::Column::State)
}

fn parts_of(segment_id: Uuid) -> Select<upload_part::Entity> {
    upload_part::Entity::find()
        .filter(upload_part::Column::SegmentId.eq(segment_id))
        .order_by_asc(upload_part::Column::Number)
}

/// From the list to the rows: of a join, a planner that believes the list long makes a walk over all segments.
fn unstored(node_id: Option<Uuid>) -> Select<segment::Entity> {
    let listed = unstored_segment::Entity::find()
        .filter(held_by(unstored_segment::Column::NodeId, node_id))
        .select_only()
        .column(unstored_segment::Column::SegmentId);
    segment::Entity::find().filter(segment::Column::Id.in_subquery(listed.into_query()))
}

/// Ids are in order of time.
fn oldest_first(unstored: Select<segment::Entity>) -> Select<segment::Entity> {
    unstored.order_by_asc(segment::Column::Id)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn query_unstored() -> Select<segment::Entity> {
        oldest_first(unstored(Some(Uuid::nil()))).limit(10)
    }

    pub(crate) fn query_walk() -> Select<segment::Entity> {
        walk(Uuid::nil())
    }

    pub(crate) fn query_parts() -> Select<upload_part::Entity> {
        parts_of(Uuid::nil())
    }
}
