//! Nodes: who holds which bytes.
//!
//! Belongs here: which nodes there are, what they hold, and rows that change hands. Not here: who a node is (its id comes
//! from its data folder), nor whether its files are there, which `archive` looks at before it claims anything.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{OnConflict, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Select,
};
use uuid::Uuid;

use crate::entity::{growing_segment, node, segment, unstored_segment};
use crate::error::CatalogError;
use crate::segments::{LocalCopy, MAX_SEGMENT_US, SegmentRow, SegmentState, sum_of_sizes};
use crate::{Catalog, validate};

/// Longest name of a node, in characters.
pub const MAX_NODE_NAME_CHARS: usize = 200;

/// A node that has, or had, this catalog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The id in its data folder.
    pub id: Uuid,
    /// What people call it: its host's name, unless it was given one.
    pub name: String,
    /// When it started first, UTC microseconds of its clock.
    pub first_seen_us: i64,
    /// When it said last that it runs, UTC microseconds of its clock.
    pub last_seen_us: i64,
}

impl From<node::Model> for Node {
    fn from(model: node::Model) -> Self {
        let node::Model { id, name, first_seen_us, last_seen_us, .. } = model;
        Self { id, name, first_seen_us, last_seen_us }
    }
}

/// What is on the disk of one node, as far as the catalog knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeHoldings {
    /// Which node; `None`: what no node has claimed.
    pub node_id: Option<Uuid>,
    /// Segments that grow.
    pub growing: u64,
    /// Whole segments that are there alone.
    pub sealed: u64,
    /// Their bytes.
    pub sealed_bytes: u64,
    /// Copies of segments that the bucket has.
    pub copies: u64,
    /// Their bytes.
    pub copy_bytes: u64,
}

/// The rows of a node; for nobody, those that no node has claimed.
pub(crate) fn held_by<C: ColumnTrait>(column: C, node_id: Option<Uuid>) -> SimpleExpr {
    match node_id {
        Some(id) => column.eq(id),
        None => column.is_null(),
    }
}

/// What a node may speak of: its own rows and those that nobody has claimed.
pub(crate) fn free_for<C: ColumnTrait>(column: C, node_id: Option<Uuid>) -> Condition {
    let free = Condition::any().add(column.is_null());
    match node_id {
        Some(id) => free.add(column.eq(id)),
        None => free,
    }
}

/// The rows of other nodes.
pub(crate) fn held_elsewhere<C: ColumnTrait>(column: C, node_id: Option<Uuid>) -> Condition {
    let held = Condition::all().add(column.is_not_null());
    match node_id {
        Some(id) => held.add(column.ne(id)),
        None => held,
    }
}

impl Catalog {
    /// Notes that a run of this handle's node begins. Nothing to note for a handle that speaks for nobody.
    pub async fn begin_run(&self, name: &str, run_id: Uuid) -> Result<(), CatalogError> {
        let Some(id) = self.node_id else { return Ok(()) };
        validate::text("name of a node", name, 4 * MAX_NODE_NAME_CHARS)?;
        let now_us = self.now_us();
        let row = node::ActiveModel {
            id: Set(id),
            name: Set(name.chars().take(MAX_NODE_NAME_CHARS).collect()),
            run_id: Set(run_id),
            first_seen_us: Set(now_us),
            last_seen_us: Set(now_us),
        };
        let mut replace = OnConflict::column(node::Column::Id);
        replace.update_columns([node::Column::Name, node::Column::RunId, node::Column::LastSeenUs]);
        self.write(|| async {
            let transaction = self.begin().await?;
            node::Entity::insert(row.clone())
                .on_conflict(replace.clone())
                .exec_without_returning(&transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Notes that a run goes on; whether it is still the one that began last. Another run of the same node beside it is a
    /// cloned machine: both have the same identity, and each takes the other's rows for its own.
    pub async fn go_on(&self, run_id: Uuid) -> Result<bool, CatalogError> {
        let Some(id) = self.node_id else { return Ok(true) };
        self.write(|| async {
            let transaction = self.begin().await?;
            node::Entity::update_many()
                .set(node::ActiveModel { last_seen_us: Set(self.now_us()), ..Default::default() })
                .filter(node::Column::Id.eq(id))
                .filter(node::Column::RunId.eq(run_id))
                .exec(&transaction)
                .await?;
            // Not the count of changed rows: MySQL does not count one that is as it was.
            let last = node::Entity::find_by_id(id).one(&transaction).await?;
            transaction.commit().await?;
            Ok(last.is_some_and(|last| last.run_id == run_id))
        })
        .await
    }

    /// All nodes, the first to start first.
    pub async fn nodes(&self) -> Result<Vec<Node>, CatalogError> {
        let all = node::Entity::find()
            .order_by_asc(node::Column::FirstSeenUs)
            .order_by_asc(node::Column::Id)
            .all(self.engine.reader());
        Ok(all.await?.into_iter().map(Node::from).collect())
    }

    /// The node with an id.
    pub async fn node(&self, id: Uuid) -> Result<Option<Node>, CatalogError> {
        Ok(node::Entity::find_by_id(id).one(self.engine.reader()).await?.map(Node::from))
    }

    /// What each node holds, those that hold something. Counts every row with local bytes: for people, not for ticks.
    pub async fn node_holdings(&self) -> Result<Vec<NodeHoldings>, CatalogError> {
        let counted: Vec<(Option<Uuid>, String, i64, Option<i64>)> = segment::Entity::find()
            .filter(segment::Column::LocalCopy.is_in([LocalCopy::Kept.number(), LocalCopy::Leaving.number()]))
            .select_only()
            .column(segment::Column::NodeId)
            .column(segment::Column::State)
            .expr(segment::Column::Id.count())
            .expr(sum_of_sizes(self.engine.backend()))
            .group_by(segment::Column::NodeId)
            .group_by(segment::Column::State)
            .into_tuple()
            .all(self.engine.reader())
            .await?;
        let mut all: Vec<NodeHoldings> = Vec::new();
        for (node_id, state, count, bytes) in counted {
            let number = |number: i64| u64::try_from(number).unwrap_or(0);
            let (count, bytes) = (number(count), number(bytes.unwrap_or(0)));
            let at = all.iter().position(|held| held.node_id == node_id).unwrap_or_else(|| {
                all.push(NodeHoldings { node_id, ..NodeHoldings::default() });
                all.len() - 1
            });
            let Some(held) = all.get_mut(at) else { continue };
            match state.as_str() {
                "growing" => held.growing += count,
                "sealed" => {
                    (held.sealed, held.sealed_bytes) = (held.sealed + count, held.sealed_bytes + bytes)
                }
                _ => (held.copies, held.copy_bytes) = (held.copies + count, held.copy_bytes + bytes),
            }
        }
        all.sort_by_key(|held| held.node_id);
        Ok(all)
    }

    /// Segments whose local bytes the catalog says are with a node, or with nobody, from an instant on, the oldest first,
    /// at most `limit`. For who looks whether those bytes are here.
    pub async fn held_segments(
        &self,
        holder: Option<Uuid>,
        from_us: i64,
        limit: u64,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        // One walk along the index for each kind of copy, and the first of both.
        let mut rows = Vec::new();
        for copy in [LocalCopy::Kept, LocalCopy::Leaving] {
            let models = held(holder, copy, from_us).limit(limit).all(self.engine.reader()).await?;
            for model in models {
                rows.push(SegmentRow::try_from(model)?);
            }
        }
        rows.sort_by_key(|row| (row.start_us, row.id));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// Takes over segments that another node, or nobody, holds: whoever asks has seen that their bytes are here. How many
    /// there were to take.
    pub async fn claim_segments(&self, ids: &[Uuid], holder: Option<Uuid>) -> Result<u64, CatalogError> {
        let to = self.node_id;
        self.write(|| async {
            let transaction = self.begin().await?;
            let claimed = segment::Entity::update_many()
                .set(segment::ActiveModel { node_id: Set(to), ..Default::default() })
                .filter(segment::Column::Id.is_in(ids.iter().copied()))
                .filter(held_by(segment::Column::NodeId, holder))
                .exec(&transaction)
                .await?;
            growing_segment::Entity::update_many()
                .set(growing_segment::ActiveModel { node_id: Set(to), ..Default::default() })
                .filter(growing_segment::Column::SegmentId.is_in(ids.iter().copied()))
                .filter(held_by(growing_segment::Column::NodeId, holder))
                .exec(&transaction)
                .await?;
            unstored_segment::Entity::update_many()
                .set(unstored_segment::ActiveModel { node_id: Set(to), ..Default::default() })
                .filter(unstored_segment::Column::SegmentId.is_in(ids.iter().copied()))
                .filter(held_by(unstored_segment::Column::NodeId, holder))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(claimed.rows_affected)
        })
        .await
    }

    /// Segments of a channel that grow on other nodes, with their nodes, in no order. Few rows.
    pub async fn growing_elsewhere(
        &self,
        channel_id: Uuid,
    ) -> Result<Vec<(SegmentRow, Option<Node>)>, CatalogError> {
        let models = elsewhere(channel_id, self.node_id).all(self.engine.reader()).await?;
        let mut found = Vec::with_capacity(models.len());
        for model in models {
            let row = SegmentRow::try_from(model)?;
            let node = match row.node_id {
                Some(id) => self.node(id).await?,
                None => None,
            };
            found.push((row, node));
        }
        Ok(found)
    }
}

/// Along the index `(node_id, local_copy, start_us)`.
fn held(holder: Option<Uuid>, copy: LocalCopy, from_us: i64) -> Select<segment::Entity> {
    segment::Entity::find()
        .filter(held_by(segment::Column::NodeId, holder))
        .filter(segment::Column::LocalCopy.eq(copy.number()))
        .filter(segment::Column::StartUs.gte(from_us))
        .order_by_asc(segment::Column::StartUs)
}

/// From the short list to the rows.
fn elsewhere(channel_id: Uuid, node_id: Option<Uuid>) -> Select<segment::Entity> {
    let listed = growing_segment::Entity::find()
        .filter(held_elsewhere(growing_segment::Column::NodeId, node_id))
        .select_only()
        .column(growing_segment::Column::SegmentId);
    segment::Entity::find()
        .filter(segment::Column::Id.in_subquery(listed.into_query()))
        .filter(segment::Column::ChannelId.eq(channel_id))
}

/// The first segment of another node that a channel has from an instant on, or that holds that instant. One that grows and
/// began longer ago than a segment can last is one that its node left behind.
pub(crate) fn next_elsewhere(channel_id: Uuid, at_us: i64, node_id: Option<Uuid>) -> Select<segment::Entity> {
    let is_whole_after = Condition::all()
        .add(segment::Column::State.ne(SegmentState::Growing.as_str()))
        .add(segment::Column::EndUs.gt(at_us));
    let is_after = Condition::any().add(segment::Column::EndUs.is_null()).add(is_whole_after);
    segment::Entity::find()
        .filter(segment::Column::ChannelId.eq(channel_id))
        .filter(segment::Column::StartUs.gt(at_us.saturating_sub(MAX_SEGMENT_US)))
        .filter(held_elsewhere(segment::Column::NodeId, node_id))
        .filter(is_after)
        .order_by_asc(segment::Column::StartUs)
        .limit(1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn query_held() -> Select<segment::Entity> {
        held(Some(Uuid::nil()), LocalCopy::Kept, 1_000).limit(10)
    }

    pub(crate) fn query_elsewhere(channel_id: Uuid) -> Select<segment::Entity> {
        elsewhere(channel_id, Some(Uuid::nil()))
    }

    pub(crate) fn query_next_elsewhere(channel_id: Uuid) -> Select<segment::Entity> {
        next_elsewhere(channel_id, 1_000, Some(Uuid::nil()))
    }
}
