//! What may go, what must stay, and what went.
//!
//! A segment that is deleted leaves the table of segments at once, so that no answer names it any more, and stands among
//! the deletions from then on: until its bytes are gone as work to do, and afterwards as the record of why.

use media::EndCause;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, DbBackend, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::entity::{deletion, gap, protection, segment};
use crate::error::{CatalogError, InvalidInput, Kind};
use crate::nodes::{held_by, held_elsewhere};
use crate::segments::{Footage, LocalCopy, SegmentRow, SegmentState};
use crate::{Catalog, engine, validate};

/// Longest reason for a protection, in characters.
const MAX_REASON_CHARS: usize = 200;

/// Why footage was deleted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DeletionReason {
    /// It was older than its club keeps footage.
    Retention,
    /// The disk was full, and the policy gives up the oldest.
    Space,
    /// Somebody asked for it.
    Admin,
}

impl DeletionReason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Space => "space",
            Self::Admin => "admin",
        }
    }
}

/// A deleted segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deletion {
    /// The segment that was.
    pub segment_id: Uuid,
    /// Its channel.
    pub channel_id: Uuid,
    /// Its first instant, UTC microseconds.
    pub start_us: i64,
    /// The instant after its last, UTC microseconds.
    pub end_us: i64,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its name in store and bucket.
    pub object_name: String,
    /// Why: [`DeletionReason::as_str`].
    pub reason: String,
    /// Whether the bucket had it.
    pub was_stored: bool,
    /// When it was decided, UTC microseconds.
    pub requested_us: i64,
    /// When its bytes were gone everywhere; `None` while that is to be done.
    pub done_us: Option<i64>,
    /// The node whose disk had its bytes, if one did.
    pub node_id: Option<Uuid>,
}

impl TryFrom<deletion::Model> for Deletion {
    type Error = CatalogError;

    fn try_from(model: deletion::Model) -> Result<Self, CatalogError> {
        let size_bytes = u64::try_from(model.size_bytes)
            .map_err(|_| CatalogError::Corrupt { what: "deletion", reason: "a negative size".to_owned() })?;
        Ok(Self {
            segment_id: model.segment_id,
            channel_id: model.channel_id,
            start_us: model.start_us,
            end_us: model.end_us,
            size_bytes,
            object_name: model.object_name,
            reason: model.reason,
            was_stored: model.was_stored,
            requested_us: model.requested_us,
            done_us: model.done_us,
            node_id: model.node_id,
        })
    }
}

/// A range that outlives retention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Its id.
    pub id: Uuid,
    /// The channel.
    pub channel_id: Uuid,
    /// First instant, UTC microseconds.
    pub from_us: i64,
    /// Instant after the last, UTC microseconds.
    pub to_us: i64,
    /// Why it stays.
    pub reason: String,
    /// Since when, UTC microseconds.
    pub created_us: i64,
}

/// A range to protect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProtection {
    /// The channel.
    pub channel_id: Uuid,
    /// First instant, UTC microseconds.
    pub from_us: i64,
    /// Instant after the last, UTC microseconds.
    pub to_us: i64,
    /// Why it stays: 1 to 200 characters.
    pub reason: String,
}

impl From<protection::Model> for Protection {
    fn from(model: protection::Model) -> Self {
        let protection::Model { id, channel_id, from_us, to_us, reason, created_us } = model;
        Self { id, channel_id, from_us, to_us, reason, created_us }
    }
}

impl Catalog {
    /// Protects a range: segments that overlap it are deleted by nobody but whoever asks for just that.
    pub async fn protect(&self, new: NewProtection) -> Result<Protection, CatalogError> {
        if new.from_us >= new.to_us {
            return Err(InvalidInput::ProtectedRange.into());
        }
        validate::text("reason of a protection", &new.reason, 4 * MAX_REASON_CHARS)?;
        let model = protection::Model {
            id: self.new_id(),
            channel_id: new.channel_id,
            from_us: new.from_us,
            to_us: new.to_us,
            reason: new.reason.chars().take(MAX_REASON_CHARS).collect(),
            created_us: self.now_us(),
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            protection::Entity::insert(protection::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Channel))?;
            Ok(transaction.commit().await?)
        })
        .await?;
        Ok(model.into())
    }

    /// Ends a protection.
    pub async fn unprotect(&self, id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let removed = protection::Entity::delete_by_id(id).exec(&transaction).await?;
            transaction.commit().await?;
            if removed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Protection)) } else { Ok(()) }
        })
        .await
    }

    /// The protected ranges of a channel that end after `after_us`, the first to end first, at most `limit`.
    pub async fn protections(
        &self,
        channel_id: Uuid,
        after_us: i64,
        limit: u64,
    ) -> Result<Vec<Protection>, CatalogError> {
        let models = protections_after(channel_id, after_us).limit(limit).all(self.engine.reader()).await?;
        Ok(models.into_iter().map(Protection::from).collect())
    }

    /// Whole segments of a channel that began at `from_us` or later, ended by `before_us` and are not protected, oldest
    /// first, at most `limit`.
    pub async fn expired_segments(
        &self,
        channel_id: Uuid,
        from_us: i64,
        before_us: i64,
        limit: u64,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        let models = expired(channel_id, from_us, before_us).limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// How much [`Catalog::expired_segments`] without a limit would be.
    pub async fn expired_footage(
        &self,
        channel_id: Uuid,
        from_us: i64,
        before_us: i64,
    ) -> Result<Footage, CatalogError> {
        crate::segments::footage_of(unordered(channel_id, from_us, before_us), &self.engine).await
    }

    /// The oldest whole segments that this node's store holds and nothing protects, at most `limit`.
    pub async fn oldest_local_segments(&self, limit: u64) -> Result<Vec<SegmentRow>, CatalogError> {
        let models = oldest_first(deletable(self.node_id)).limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// The oldest segments that the bucket has and that this node's store still holds, at most `limit`. Protected ones are
    /// among them: the bucket keeps those.
    pub async fn evictable_segments(&self, limit: u64) -> Result<Vec<SegmentRow>, CatalogError> {
        let models = oldest_first(evictable(self.node_id)).limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(SegmentRow::try_from).collect()
    }

    /// Bytes of the segments that the bucket has and that this node's store still holds.
    pub async fn evictable_bytes(&self) -> Result<u64, CatalogError> {
        let sum =
            evictable(self.node_id).select_only().expr(crate::segments::sum_of_sizes(self.engine.backend()));
        let bytes: Option<Option<i64>> = sum.into_tuple().one(self.engine.reader()).await?;
        Ok(u64::try_from(bytes.flatten().unwrap_or(0)).unwrap_or(0))
    }

    /// Segments whose file on this node is being removed, at most `limit`.
    pub async fn leaving_segments(&self, limit: u64) -> Result<Vec<SegmentRow>, CatalogError> {
        let leaving = segment::Entity::find()
            .filter(held_by(segment::Column::NodeId, self.node_id))
            .filter(segment::Column::LocalCopy.eq(LocalCopy::Leaving.number()))
            .order_by_asc(segment::Column::StartUs)
            .limit(limit);
        leaving.all(self.engine.reader()).await?.into_iter().map(SegmentRow::try_from).collect()
    }

    /// Notes that the local copies of stored segments are being removed; from now on nobody relies on them.
    pub async fn leave_local(&self, ids: &[Uuid]) -> Result<(), CatalogError> {
        self.move_local(ids, LocalCopy::Kept, LocalCopy::Leaving, Some(self.node_id)).await
    }

    /// Notes that local copies are gone.
    pub async fn left_local(&self, ids: &[Uuid]) -> Result<(), CatalogError> {
        self.move_local(ids, LocalCopy::Leaving, LocalCopy::None, Some(self.node_id)).await
    }

    /// Notes that this node's store holds copies of stored segments after all.
    pub async fn found_local(&self, ids: &[Uuid]) -> Result<(), CatalogError> {
        self.move_local(ids, LocalCopy::None, LocalCopy::Kept, None).await
    }

    /// Moves copies of a holder's, if one is named, and makes them this node's for as long as they are there.
    async fn move_local(
        &self,
        ids: &[Uuid],
        from: LocalCopy,
        to: LocalCopy,
        holder: Option<Option<Uuid>>,
    ) -> Result<(), CatalogError> {
        let change = segment::ActiveModel {
            local_copy: Set(to.number()),
            node_id: Set(self.node_id.filter(|_| to != LocalCopy::None)),
            ..Default::default()
        };
        let of_holder = match holder {
            Some(holder) => Condition::all().add(held_by(segment::Column::NodeId, holder)),
            None => Condition::all(),
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            segment::Entity::update_many()
                .set(change.clone())
                .filter(of_holder.clone())
                .filter(segment::Column::Id.is_in(ids.iter().copied()))
                .filter(segment::Column::State.eq(SegmentState::Stored.as_str()))
                .filter(segment::Column::LocalCopy.eq(from.number()))
                .exec(&transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Deletes whole segments: they are gone from every answer, and their bytes are to be removed. With a cause, their
    /// time becomes a gap. Returns what was deleted; ids that are unknown or still grow are passed over.
    pub async fn delete_segments(
        &self,
        ids: &[Uuid],
        reason: DeletionReason,
        gap_cause: Option<EndCause>,
    ) -> Result<Vec<Deletion>, CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let models = segment::Entity::find()
                .filter(segment::Column::Id.is_in(ids.iter().copied()))
                .all(&transaction);
            let rows: Vec<SegmentRow> =
                models.await?.into_iter().map(SegmentRow::try_from).collect::<Result<_, _>>()?;
            let now_us = self.now_us();
            let mut deletions = Vec::with_capacity(rows.len());
            for row in rows.into_iter().filter(SegmentRow::is_whole) {
                let end_us = row.end_us.unwrap_or(row.start_us);
                let model = deletion::Model {
                    segment_id: row.id,
                    channel_id: row.channel_id,
                    start_us: row.start_us,
                    end_us,
                    size_bytes: validate::number("size of a segment", row.size_bytes)?,
                    object_name: row.object_name,
                    reason: reason.as_str().to_owned(),
                    was_stored: row.state == SegmentState::Stored,
                    requested_us: now_us,
                    done_us: None,
                    node_id: row.node_id,
                    // Of what was not stored there may be parts in the bucket: its own node knows of them.
                    bucket_us: (row.state != SegmentState::Stored).then_some(now_us),
                };
                deletion::Entity::insert(deletion::ActiveModel::from(model.clone()))
                    .exec_without_returning(&transaction)
                    .await?;
                segment::Entity::delete_by_id(row.id).exec(&transaction).await?;
                if let Some(cause) = gap_cause {
                    let row = gap::ActiveModel {
                        channel_id: Set(row.channel_id),
                        start_us: Set(row.start_us),
                        end_us: Set(Some(end_us)),
                        cause: Set(cause.as_str().to_owned()),
                    };
                    let mut keep = OnConflict::columns([gap::Column::ChannelId, gap::Column::StartUs]);
                    // What is there already tells of the same time.
                    keep.update_column(gap::Column::EndUs);
                    gap::Entity::insert(row).on_conflict(keep).exec_without_returning(&transaction).await?;
                }
                deletions.push(Deletion::try_from(model)?);
            }
            transaction.commit().await?;
            Ok(deletions)
        })
        .await
    }

    /// Deletions whose bytes are still somewhere, and this node's to remove: of what it held, and of what nobody did. The
    /// first decided first, at most `limit`.
    pub async fn pending_deletions(&self, limit: u64) -> Result<Vec<Deletion>, CatalogError> {
        let backend = self.engine.backend();
        let mut models = pending(backend, self.node_id).limit(limit).all(self.engine.reader()).await?;
        let room = limit.saturating_sub(models.len() as u64);
        if self.node_id.is_some() && room > 0 {
            models.extend(pending(backend, None).limit(room).all(self.engine.reader()).await?);
        }
        models.into_iter().map(Deletion::try_from).collect()
    }

    /// Deletions of what other nodes held and the bucket may still have, decided by `before_us`: their nodes would have seen
    /// to that by then, if they ran. The first decided first, at most `limit`.
    pub async fn neglected_deletions(
        &self,
        before_us: i64,
        limit: u64,
    ) -> Result<Vec<Deletion>, CatalogError> {
        let models = neglected(self.engine.backend(), self.node_id, before_us).limit(limit);
        models.all(self.engine.reader()).await?.into_iter().map(Deletion::try_from).collect()
    }

    /// Notes that the bucket has let go of a deleted segment, which its node still may have on its disk.
    pub async fn deletion_left_bucket(&self, segment_id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            deletion::Entity::update_many()
                .set(deletion::ActiveModel { bucket_us: Set(Some(self.now_us())), ..Default::default() })
                .filter(deletion::Column::SegmentId.eq(segment_id))
                .exec(&transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Notes that a deleted segment's bytes are gone everywhere.
    pub async fn deletion_done(&self, segment_id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            deletion::Entity::update_many()
                .set(deletion::ActiveModel { done_us: Set(Some(self.now_us())), ..Default::default() })
                .filter(deletion::Column::SegmentId.eq(segment_id))
                .exec(&transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// What was deleted, the last decided first: a page of at most `limit` before what `before` names.
    pub async fn deletions(
        &self,
        before: Option<(i64, Uuid)>,
        limit: u64,
    ) -> Result<Vec<Deletion>, CatalogError> {
        let models = deletions_before(before).limit(limit).all(self.engine.reader()).await?;
        models.into_iter().map(Deletion::try_from).collect()
    }

    /// The deletion of a segment, if it was deleted.
    pub async fn deletion(&self, segment_id: Uuid) -> Result<Option<Deletion>, CatalogError> {
        let model = deletion::Entity::find_by_id(segment_id).one(self.engine.reader()).await?;
        model.map(Deletion::try_from).transpose()
    }

    /// Whether a segment of this id was deleted.
    pub async fn is_deleted(&self, segment_id: Uuid) -> Result<bool, CatalogError> {
        Ok(deletion::Entity::find_by_id(segment_id).one(self.engine.reader()).await?.is_some())
    }
}

fn protections_after(channel_id: Uuid, after_us: i64) -> Select<protection::Entity> {
    protection::Entity::find()
        .filter(protection::Column::ChannelId.eq(channel_id))
        .filter(protection::Column::ToUs.gt(after_us))
        .order_by_asc(protection::Column::ToUs)
}

fn whole() -> Condition {
    let states = [SegmentState::Sealed.as_str(), SegmentState::Stored.as_str()];
    Condition::all().add(segment::Column::State.is_in(states))
}

/// A protected range that overlaps the segment of the query around it.
fn protecting() -> SelectStatement {
    let outer = |column: segment::Column| Expr::col((segment::Entity, column));
    let inner = |column: protection::Column| Expr::col((protection::Entity, column));
    Query::select()
        .expr(Expr::val(1))
        .from(protection::Entity)
        .and_where(inner(protection::Column::ChannelId).equals((segment::Entity, segment::Column::ChannelId)))
        .and_where(inner(protection::Column::ToUs).gt(outer(segment::Column::StartUs)))
        .and_where(inner(protection::Column::FromUs).lt(outer(segment::Column::EndUs)))
        .take()
}

fn unordered(channel_id: Uuid, from_us: i64, before_us: i64) -> Select<segment::Entity> {
    segment::Entity::find()
        .filter(segment::Column::ChannelId.eq(channel_id))
        .filter(segment::Column::StartUs.gte(from_us))
        .filter(segment::Column::StartUs.lt(before_us))
        .filter(segment::Column::EndUs.lte(before_us))
        .filter(whole())
        .filter(Expr::exists(protecting()).not())
}

fn expired(channel_id: Uuid, from_us: i64, before_us: i64) -> Select<segment::Entity> {
    unordered(channel_id, from_us, before_us).order_by_asc(segment::Column::StartUs)
}

/// Along the index `(node_id, local_copy, start_us)`.
fn oldest_first(local: Select<segment::Entity>) -> Select<segment::Entity> {
    local.order_by_asc(segment::Column::StartUs)
}

fn local(node_id: Option<Uuid>) -> Select<segment::Entity> {
    segment::Entity::find()
        .filter(held_by(segment::Column::NodeId, node_id))
        .filter(segment::Column::LocalCopy.eq(LocalCopy::Kept.number()))
}

fn deletable(node_id: Option<Uuid>) -> Select<segment::Entity> {
    local(node_id).filter(whole()).filter(Expr::exists(protecting()).not())
}

fn evictable(node_id: Option<Uuid>) -> Select<segment::Entity> {
    local(node_id).filter(segment::Column::State.eq(SegmentState::Stored.as_str()))
}

/// Along the index `(node_id, done_us, requested_us)`.
fn pending(backend: DbBackend, node_id: Option<Uuid>) -> Select<deletion::Entity> {
    let mut pending = deletion::Entity::find()
        .filter(held_by(deletion::Column::NodeId, node_id))
        .filter(deletion::Column::DoneUs.is_null());
    if engine::sorts_by_null(backend) {
        if node_id.is_none() {
            pending = pending.order_by_asc(deletion::Column::NodeId);
        }
        pending = pending.order_by_asc(deletion::Column::DoneUs);
    }
    pending.order_by_asc(deletion::Column::RequestedUs)
}

/// Along the index `(done_us, bucket_us, requested_us)`.
fn neglected(backend: DbBackend, node_id: Option<Uuid>, before_us: i64) -> Select<deletion::Entity> {
    let mut neglected = deletion::Entity::find()
        .filter(deletion::Column::DoneUs.is_null())
        .filter(deletion::Column::BucketUs.is_null())
        .filter(deletion::Column::RequestedUs.lte(before_us))
        .filter(held_elsewhere(deletion::Column::NodeId, node_id));
    if engine::sorts_by_null(backend) {
        neglected = neglected.order_by_asc(deletion::Column::DoneUs).order_by_asc(deletion::Column::BucketUs);
    }
    neglected.order_by_asc(deletion::Column::RequestedUs)
}

fn deletions_before(before: Option<(i64, Uuid)>) -> Select<deletion::Entity> {
    let all = deletion::Entity::find()
        .order_by_desc(deletion::Column::RequestedUs)
        .order_by_desc(deletion::Column::SegmentId);
    let Some((requested_us, segment_id)) = before else { return all };
    let same = Condition::all()
        .add(deletion::Column::RequestedUs.eq(requested_us))
        .add(deletion::Column::SegmentId.lt(segment_id));
    all.filter(deletion::Column::RequestedUs.lte(requested_us))
        .filter(Condition::any().add(deletion::Column::RequestedUs.lt(requested_us)).add(same))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn query_expired() -> Select<segment::Entity> {
        expired(Uuid::nil(), 10, 1_000).limit(10)
    }

    pub(crate) fn queries_local() -> [Select<segment::Entity>; 2] {
        let node_id = Some(Uuid::nil());
        [oldest_first(deletable(node_id)).limit(10), oldest_first(evictable(node_id)).limit(10)]
    }

    pub(crate) fn queries_deletions(backend: DbBackend) -> [Select<deletion::Entity>; 4] {
        let node_id = Some(Uuid::nil());
        [
            pending(backend, node_id).limit(10),
            pending(backend, None).limit(10),
            neglected(backend, node_id, 1_000).limit(10),
            deletions_before(Some((1_000, Uuid::nil()))).limit(10),
        ]
    }
}
