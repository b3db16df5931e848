//! Who may watch what a club records and broadcasts: its policy. What is decided by it stands in `access`.

use access::Policy;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, JoinType, QueryFilter as _, QuerySelect as _, RelationTrait as _,
    Select,
};
use uuid::Uuid;

use crate::entity::{channel, club, court};
use crate::error::{CatalogError, Kind};
use crate::{Catalog, LiveAccess};

/// Where a channel belongs, and what holds there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelPlace {
    /// Its club and court; none for a channel of a streaming node.
    pub place: access::Place,
    /// The club's policy; none without a club.
    pub policy: Option<Policy>,
    /// Which addresses work live where everybody may watch.
    pub live: LiveAccess,
}

/// The policy that a word in the database stands for.
pub(crate) fn policy_of(word: &str) -> Result<Policy, CatalogError> {
    Policy::of_club(word).map_err(|reason| CatalogError::Corrupt { what: "club's access", reason })
}

/// Channels with their courts and clubs, as [`placed`] reads them.
fn places() -> Select<channel::Entity> {
    channel::Entity::find()
        .join(JoinType::LeftJoin, channel::Relation::Court.def())
        .join(JoinType::LeftJoin, court::Relation::Club.def())
        .select_only()
        .column(channel::Column::Id)
        .column_as(court::Column::Id, "court_id")
        .column_as(club::Column::Id, "club_id")
        .column(club::Column::Access)
        .column(club::Column::LiveAccess)
}

type Row = (Uuid, Option<Uuid>, Option<Uuid>, Option<String>, Option<String>);

fn placed((id, court, club, access, live): Row) -> Result<(Uuid, ChannelPlace), CatalogError> {
    let policy = access.as_deref().map(policy_of).transpose()?;
    let live = live
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|reason| CatalogError::Corrupt { what: "club's live access", reason })?;
    let place = access::Place { club, court };
    Ok((id, ChannelPlace { place, policy, live: live.unwrap_or_default() }))
}

impl Catalog {
    /// Decides who may watch a club. What was handed out before is judged anew when it is used.
    pub async fn set_access(&self, club_id: Uuid, access: Policy) -> Result<(), CatalogError> {
        let row = club::ActiveModel { access: Set(access.as_str().to_owned()), ..Default::default() };
        self.write(|| async {
            let transaction = self.begin().await?;
            let change = club::Entity::update_many().set(row.clone());
            change.filter(club::Column::Id.eq(club_id)).exec(&transaction).await?;
            // Not the count of changed rows: MySQL does not count one that is as it was.
            let club = club::Entity::find_by_id(club_id).one(&transaction).await?;
            transaction.commit().await?;
            club.map(|_| ()).ok_or(CatalogError::NotFound(Kind::Club))
        })
        .await
    }

    /// Where a channel belongs; `None` where there is no such channel.
    pub async fn channel_place(&self, channel_id: Uuid) -> Result<Option<ChannelPlace>, CatalogError> {
        let row = places().filter(channel::Column::Id.eq(channel_id)).into_tuple::<Row>();
        let found = row.one(self.engine.reader()).await?;
        found.map(|row| placed(row).map(|(_, place)| place)).transpose()
    }

    /// Where every channel belongs.
    pub async fn channel_places(&self) -> Result<Vec<(Uuid, ChannelPlace)>, CatalogError> {
        let rows = places().into_tuple::<Row>().all(self.engine.reader()).await?;
        rows.into_iter().map(placed).collect()
    }
}
