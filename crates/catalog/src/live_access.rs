//! Which addresses open a club's courts live. Who is given one is decided by the club's policy (`viewing`).

use std::fmt;
use std::str::FromStr;

use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::Catalog;
use crate::entity::club;
use crate::error::{CatalogError, Kind};

/// A club's policy for live viewing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LiveAccess {
    /// Whoever knows a channel's id may watch it, for ever and in any player.
    #[default]
    Open,
    /// Only signed addresses work, which the API hands out and which expire.
    Signed,
}

impl LiveAccess {
    /// The word in the database, the API and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Signed => "signed",
        }
    }
}

impl fmt::Display for LiveAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LiveAccess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "signed" => Ok(Self::Signed),
            other => Err(format!("`{other}` is neither `open` nor `signed`")),
        }
    }
}

fn parsed(word: &str) -> Result<LiveAccess, CatalogError> {
    word.parse().map_err(|reason| CatalogError::Corrupt { what: "club's live access", reason })
}

impl Catalog {
    /// Who may watch a club's courts live.
    pub async fn live_access(&self, club_id: Uuid) -> Result<LiveAccess, CatalogError> {
        let row = club::Entity::find_by_id(club_id).one(self.engine.reader()).await?;
        parsed(&row.ok_or(CatalogError::NotFound(Kind::Club))?.live_access)
    }

    /// Decides who may watch a club's courts live. Addresses that were signed before stay good.
    pub async fn set_live_access(&self, club_id: Uuid, access: LiveAccess) -> Result<(), CatalogError> {
        let row = club::ActiveModel { live_access: Set(access.as_str().to_owned()), ..Default::default() };
        let changed = self
            .write(|| async {
                let transaction = self.begin().await?;
                let change = club::Entity::update_many().set(row.clone());
                let changed = change.filter(club::Column::Id.eq(club_id)).exec(&transaction).await?;
                transaction.commit().await?;
                Ok(changed)
            })
            .await?;
        if changed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Club)) } else { Ok(()) }
    }
}
