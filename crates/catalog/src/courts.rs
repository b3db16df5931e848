//! Courts.

use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::entity::court;
use crate::error::{CatalogError, Kind};
use crate::{Catalog, validate};

/// A playing area of one club.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Court {
    /// Its id.
    pub id: Uuid,
    /// The club it belongs to.
    pub club_id: Uuid,
    /// Its name in web addresses, unique within the club.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Its place in the club's list, from 0.
    pub position: u32,
}

impl From<court::Model> for Court {
    fn from(model: court::Model) -> Self {
        let court::Model { id, club_id, slug, name, position } = model;
        Self { id, club_id, slug, name, position: u32::try_from(position).unwrap_or(0) }
    }
}

impl Catalog {
    /// Creates a court at the end of the club's list.
    pub async fn create_court(&self, club_id: Uuid, slug: &str, name: &str) -> Result<Court, CatalogError> {
        validate::slug(slug)?;
        let name = validate::name(name)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let last = court::Entity::find()
                .filter(court::Column::ClubId.eq(club_id))
                .order_by_desc(court::Column::Position)
                .one(&transaction)
                .await?;
            let position = last.map_or(0, |last| last.position.saturating_add(1));
            let model = court::Model {
                id: self.new_id(),
                club_id,
                slug: slug.to_owned(),
                name: name.clone(),
                position,
            };
            court::Entity::insert(court::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| {
                    let taken = || CatalogError::SlugTaken { kind: Kind::Court, slug: slug.to_owned() };
                    CatalogError::from_insert(error, taken, Kind::Club)
                })?;
            transaction.commit().await?;
            Ok(model.into())
        })
        .await
    }

    /// The courts of a club in the club's order.
    pub async fn courts(&self, club_id: Uuid) -> Result<Vec<Court>, CatalogError> {
        let models = court::Entity::find()
            .filter(court::Column::ClubId.eq(club_id))
            .order_by_asc(court::Column::Position)
            .order_by_asc(court::Column::Id)
            .all(self.engine.reader())
            .await?;
        Ok(models.into_iter().map(Court::from).collect())
    }

    /// The court with an id.
    pub async fn court(&self, id: Uuid) -> Result<Option<Court>, CatalogError> {
        Ok(court::Entity::find_by_id(id).one(self.engine.reader()).await?.map(Court::from))
    }

    /// The court of a club with a slug.
    pub async fn court_by_slug(&self, club_id: Uuid, slug: &str) -> Result<Option<Court>, CatalogError> {
        // MySQL overlooks spaces at the end of a word.
        if validate::slug(slug).is_err() {
            return Ok(None);
        }
        let model = court::Entity::find()
            .filter(court::Column::ClubId.eq(club_id))
            .filter(court::Column::Slug.eq(slug))
            .one(self.engine.reader())
            .await?;
        Ok(model.map(Court::from))
    }

    /// Gives a court another name.
    pub async fn rename_court(&self, court_id: Uuid, name: &str) -> Result<(), CatalogError> {
        let name = validate::name(name)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let changed = court::Entity::update_many()
                .set(court::ActiveModel { name: Set(name.clone()), ..Default::default() })
                .filter(court::Column::Id.eq(court_id))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            if changed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Court)) } else { Ok(()) }
        })
        .await
    }

    /// Removes a court that has no channels.
    pub async fn remove_court(&self, court_id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let removed = court::Entity::delete_by_id(court_id)
                .exec(&transaction)
                .await
                .map_err(|error| CatalogError::from_delete(error, Kind::Court, "channels"))?;
            transaction.commit().await?;
            if removed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::Court)) } else { Ok(()) }
        })
        .await
    }
}
