//! What footage itself tells of clubs, courts and channels, for a catalog that is rebuilt from it.
//!
//! Nothing that is there is changed: what somebody has set is worth more than what a name says.

use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::OnConflict;
use uuid::Uuid;

use crate::entity::channel;
use crate::error::{CatalogError, Kind};
use crate::{Catalog, Club, Court, NewClub, WeekHours, keys, validate};

/// Where a club lies whose zone nobody knows.
pub const UNKNOWN_ZONE: &str = "UTC";

/// When a club is open whose hours nobody knows.
pub const UNKNOWN_HOURS: &str = "00:00-24:00";

/// How long a match is in a club of which nobody knows, in minutes.
pub const UNKNOWN_APPOINTMENT_DURATION_MIN: u32 = 90;

/// A channel that footage names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundChannel {
    /// Its id.
    pub id: Uuid,
    /// The court it shows.
    pub court_id: Option<Uuid>,
    /// 1 to 200 characters.
    pub name: String,
    /// When it recorded first, UTC microseconds.
    pub created_us: i64,
}

impl Catalog {
    /// The club with a slug, and whether it had to be created: with its slug as its name, always open, in UTC, and matches
    /// of 90 minutes, all of which somebody has to set.
    pub async fn ensure_club(&self, slug: &str) -> Result<(Club, bool), CatalogError> {
        if let Some(club) = self.club_by_slug(slug).await? {
            return Ok((club, false));
        }
        let new = NewClub {
            slug: slug.to_owned(),
            name: slug.to_owned(),
            zone: UNKNOWN_ZONE.to_owned(),
            hours: WeekHours::parse(UNKNOWN_HOURS).map_err(crate::InvalidInput::from)?,
            appointment_duration_min: UNKNOWN_APPOINTMENT_DURATION_MIN,
        };
        match self.create_club(new).await {
            Ok(club) => Ok((club, true)),
            // Somebody was faster.
            Err(error @ CatalogError::SlugTaken { .. }) => match self.club_by_slug(slug).await? {
                Some(club) => Ok((club, false)),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The court of a club with a slug, and whether it had to be created, with its slug as its name.
    pub async fn ensure_court(&self, club_id: Uuid, slug: &str) -> Result<(Court, bool), CatalogError> {
        if let Some(court) = self.court_by_slug(club_id, slug).await? {
            return Ok((court, false));
        }
        match self.create_court(club_id, slug, slug).await {
            Ok(court) => Ok((court, true)),
            Err(error @ CatalogError::SlugTaken { .. }) => match self.court_by_slug(club_id, slug).await? {
                Some(court) => Ok((court, false)),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether a channel had to be created. Its key, or its camera's address, is not known any more: it is one that is
    /// pushed to with a key that nobody has, until it is given a new one.
    pub async fn ensure_channel(&self, found: FoundChannel) -> Result<bool, CatalogError> {
        let name = validate::name(&found.name)?;
        let row = channel::ActiveModel {
            id: Set(found.id),
            court_id: Set(found.court_id),
            name: Set(name),
            source: Set("push".to_owned()),
            pull_url: Set(None),
            key_hash: Set(keys::hash(&keys::new_key()?)),
            created_us: Set(found.created_us),
        };
        let transaction = self.begin().await?;
        if channel::Entity::find_by_id(found.id).one(&transaction).await?.is_some() {
            return Ok(false);
        }
        let keep = OnConflict::column(channel::Column::Id).do_nothing_on([channel::Column::Id]).to_owned();
        channel::Entity::insert(row)
            .on_conflict(keep)
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| CatalogError::from_parent(error, Kind::Court))?;
        transaction.commit().await?;
        Ok(true)
    }
}
