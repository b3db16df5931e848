//! Gaps: since when a channel is not being recorded, until when it was not, and why. Gaps of a channel never overlap,
//! and at most the last one is open.

use media::EndCause;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, Select,
};
use uuid::Uuid;

use crate::Catalog;
use crate::entity::gap;
use crate::error::{CatalogError, Kind};
use crate::nodes::next_elsewhere;

/// Time that should have been recorded and was not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GapRow {
    /// First instant without a picture, UTC microseconds.
    pub start_us: i64,
    /// First instant with a picture again; `None` while it lasts.
    pub end_us: Option<i64>,
    /// Why.
    pub cause: EndCause,
}

impl From<gap::Model> for GapRow {
    fn from(model: gap::Model) -> Self {
        Self { start_us: model.start_us, end_us: model.end_us, cause: EndCause::from_word(&model.cause) }
    }
}

impl Catalog {
    /// Notes that a channel's recording stopped; whether that is news. While a gap is open it keeps its start and its
    /// cause: what came first is why there is no picture. What lies before gaps that are noted already is noted up to
    /// the first of them: a power cut takes what came before it. A gap that is known by its start is not noted again: who
    /// comes back from a crash may tell everything twice.
    ///
    /// What another node recorded of the channel is no gap of it: where one records it, nothing begins, and where one took
    /// it over later, the gap ends there. A node that comes back late would else open a gap that nobody closes.
    pub async fn open_gap(
        &self,
        channel_id: Uuid,
        start_us: i64,
        cause: EndCause,
    ) -> Result<bool, CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            if last_gap(&transaction, channel_id, start_us).await?.is_some_and(|gap| gap.start_us == start_us)
            {
                return Ok(false);
            }
            let next = next_elsewhere(channel_id, start_us, self.node_id).one(&transaction).await?;
            if let Some(next) = next {
                let is_noted = next.start_us > start_us
                    && fill_gap(&transaction, channel_id, start_us, next.start_us, cause).await?;
                transaction.commit().await?;
                return Ok(is_noted);
            }
            let last = last_gap(&transaction, channel_id, i64::MAX).await?;
            let is_early = last.as_ref().is_some_and(|last| start_us < last.start_us);
            let is_filled = is_early && fill_gap(&transaction, channel_id, start_us, i64::MAX, cause).await?;
            let start_us = match last {
                Some(gap::Model { end_us: None, .. }) => {
                    transaction.commit().await?;
                    return Ok(is_filled);
                }
                // Recording resumed and stopped again before a picture came, or the clock was set back.
                Some(gap::Model { end_us: Some(end_us), .. }) => start_us.max(end_us),
                None => start_us,
            };
            let row = gap::ActiveModel {
                channel_id: Set(channel_id),
                start_us: Set(start_us),
                end_us: Set(None),
                cause: Set(cause.as_str().to_owned()),
            };
            gap::Entity::insert(row)
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Channel))?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Notes that a channel is recorded again; whether a gap was open. One that lasted no time is forgotten. One that began
    /// after `end_us` stays: whoever tells of an earlier end is late.
    pub async fn close_gap(&self, channel_id: Uuid, end_us: i64) -> Result<bool, CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let last = last_gap(&transaction, channel_id, i64::MAX).await?;
            let Some(open) = last.filter(|gap| gap.end_us.is_none() && gap.start_us <= end_us) else {
                return Ok(false);
            };
            let key = (open.channel_id, open.start_us);
            if open.start_us == end_us {
                gap::Entity::delete_by_id(key).exec(&transaction).await?;
            } else {
                gap::Entity::update_many()
                    .set(gap::ActiveModel { end_us: Set(Some(end_us)), ..Default::default() })
                    .filter(gap::Column::ChannelId.eq(open.channel_id))
                    .filter(gap::Column::StartUs.eq(open.start_us))
                    .exec(&transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// The gaps of a channel that overlap `[from_us, to_us)`, in order, not clipped to it.
    pub async fn gaps_in_range(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<GapRow>, CatalogError> {
        if from_us >= to_us {
            return Ok(Vec::new());
        }
        let reader = self.engine.reader();
        // As they never overlap, only the last one that began by `from_us` can reach into the range.
        let reaching_in = last_gap(reader, channel_id, from_us).await?;
        let reaching_in = reaching_in.filter(|gap| gap.end_us.is_none_or(|end_us| end_us > from_us));
        let began_within = began_within(channel_id, from_us, to_us).all(reader).await?;
        Ok(reaching_in.into_iter().chain(began_within).map(GapRow::from).collect())
    }
}

fn began_by(channel_id: Uuid, at_us: i64) -> Select<gap::Entity> {
    gap::Entity::find()
        .filter(gap::Column::ChannelId.eq(channel_id))
        .filter(gap::Column::StartUs.lte(at_us))
        .order_by_desc(gap::Column::StartUs)
}

fn began_within(channel_id: Uuid, from_us: i64, to_us: i64) -> Select<gap::Entity> {
    gap::Entity::find()
        .filter(gap::Column::ChannelId.eq(channel_id))
        .filter(gap::Column::StartUs.gt(from_us))
        .filter(gap::Column::StartUs.lt(to_us))
        .order_by_asc(gap::Column::StartUs)
}

/// Notes a gap from an instant, or from the end of the one that covers it, up to the next one or another instant, whichever
/// comes first; whether there was room. Without either there is none.
async fn fill_gap<C: ConnectionTrait>(
    connection: &C,
    channel_id: Uuid,
    start_us: i64,
    until_us: i64,
    cause: EndCause,
) -> Result<bool, DbErr> {
    let covering = last_gap(connection, channel_id, start_us).await?;
    let from_us =
        covering.as_ref().and_then(|gap| gap.end_us).map_or(start_us, |end_us| start_us.max(end_us));
    if covering.is_some_and(|gap| gap.end_us.is_none()) {
        return Ok(false);
    }
    let next = began_within(channel_id, start_us, i64::MAX).one(connection).await?;
    let to_us = next.map_or(until_us, |next| next.start_us.min(until_us));
    if to_us == i64::MAX || from_us >= to_us {
        return Ok(false);
    }
    let row = gap::ActiveModel {
        channel_id: Set(channel_id),
        start_us: Set(from_us),
        end_us: Set(Some(to_us)),
        cause: Set(cause.as_str().to_owned()),
    };
    gap::Entity::insert(row).exec_without_returning(connection).await?;
    Ok(true)
}

/// The last gap that began by an instant.
async fn last_gap<C: ConnectionTrait>(
    connection: &C,
    channel_id: Uuid,
    at_us: i64,
) -> Result<Option<gap::Model>, DbErr> {
    began_by(channel_id, at_us).one(connection).await
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn queries(channel_id: Uuid) -> [Select<gap::Entity>; 2] {
        [began_by(channel_id, 1_000), began_within(channel_id, 1_000, 2_000)]
    }
}
