//! Links that a club's staff hand out: what they open, until when, and whether they were taken back.

use std::fmt;

use access::{Grant, Pass, PassKind, Range, Scope};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::entity::viewing_link;
use crate::error::{CatalogError, InvalidInput, Kind};
use crate::{Catalog, keys, validate};

/// Links of a club that are listed, the newest.
pub const MAX_LINKS_LISTED: u64 = 1_000;

/// A link that was handed out. Its token is known to whoever got it, and to nobody else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewingLink {
    /// Its id.
    pub id: Uuid,
    /// The club.
    pub club_id: Uuid,
    /// The court; `None` for all of the club's.
    pub court_id: Option<Uuid>,
    /// What it opens: everything, a range, or what is broadcast.
    pub scope: Scope,
    /// What staff wrote down about it.
    pub note: Option<String>,
    /// When it was made, UTC microseconds.
    pub created_us: i64,
    /// Until when it opens anything, UTC microseconds.
    pub expires_us: i64,
    /// When it was taken back, UTC microseconds.
    pub revoked_us: Option<i64>,
}

impl ViewingLink {
    /// What it is good for.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant {
            pass: Pass { kind: PassKind::Link, id: self.id },
            club: self.club_id,
            court: self.court_id,
            scope: self.scope,
            until_us: self.expires_us,
            is_revoked: self.revoked_us.is_some(),
        }
    }
}

/// A link to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewViewingLink {
    /// The club.
    pub club_id: Uuid,
    /// The court; `None` for all of the club's.
    pub court_id: Option<Uuid>,
    /// What it opens. A match is a range.
    pub scope: Scope,
    /// 1 to 200 characters.
    pub note: Option<String>,
    /// Until when, UTC microseconds.
    pub expires_us: i64,
}

/// Word and bounds of a scope, as the database has them.
fn columns_of(scope: Scope) -> (&'static str, Option<i64>, Option<i64>) {
    match scope {
        Scope::All => ("all", None, None),
        Scope::Live { from_us } => ("live", Some(from_us), None),
        Scope::Range(range) | Scope::Match(range) => ("range", Some(range.from_us), Some(range.to_us)),
    }
}

fn scope_of(model: &viewing_link::Model) -> Result<Scope, CatalogError> {
    match (model.scope.as_str(), model.from_us, model.to_us) {
        ("all", _, _) => Ok(Scope::All),
        ("live", Some(from_us), _) => Ok(Scope::Live { from_us }),
        ("range", Some(from_us), Some(to_us)) => Ok(Scope::Range(Range { from_us, to_us })),
        (word, _, _) => {
            Err(CatalogError::Corrupt { what: "link", reason: format!("{}: the scope `{word}`", model.id) })
        }
    }
}

impl TryFrom<viewing_link::Model> for ViewingLink {
    type Error = CatalogError;

    fn try_from(model: viewing_link::Model) -> Result<Self, CatalogError> {
        let scope = scope_of(&model)?;
        let viewing_link::Model { id, club_id, court_id, note, created_us, expires_us, revoked_us, .. } =
            model;
        Ok(Self { id, club_id, court_id, scope, note, created_us, expires_us, revoked_us })
    }
}

impl Catalog {
    /// Makes a link, and its token: what is kept of that is a hash, so this is the only time that it is told.
    pub async fn create_link(&self, new: NewViewingLink) -> Result<(ViewingLink, String), CatalogError> {
        let now_us = self.now_us();
        let (scope, from_us, to_us) = columns_of(new.scope);
        let is_upside_down = matches!((from_us, to_us), (Some(from_us), Some(to_us)) if from_us >= to_us);
        if is_upside_down || new.expires_us <= now_us {
            return Err(InvalidInput::LinkRange.into());
        }
        let token = keys::new_key()?;
        let token_hash = keys::hash(&token).ok_or(InvalidInput::Text("token"))?;
        let model = viewing_link::Model {
            id: self.new_id(),
            club_id: new.club_id,
            court_id: new.court_id,
            scope: scope.to_owned(),
            from_us,
            to_us,
            token_hash,
            note: new.note.as_deref().map(validate::name).transpose()?,
            created_us: now_us,
            expires_us: new.expires_us,
            revoked_us: None,
        };
        self.write(|| async {
            let transaction = self.begin().await?;
            viewing_link::Entity::insert(viewing_link::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Club))?;
            Ok(transaction.commit().await?)
        })
        .await?;
        Ok((model.try_into()?, token))
    }

    /// The link with an id.
    pub async fn link(&self, id: Uuid) -> Result<Option<ViewingLink>, CatalogError> {
        let found = viewing_link::Entity::find_by_id(id).one(self.engine.reader()).await?;
        found.map(ViewingLink::try_from).transpose()
    }

    /// The link of a token, expired and revoked ones too.
    pub async fn link_by_token(&self, token: &str) -> Result<Option<ViewingLink>, CatalogError> {
        let Some(hash) = keys::hash(token) else { return Ok(None) };
        let found = by_hash(&hash).one(self.engine.reader()).await?;
        found.map(ViewingLink::try_from).transpose()
    }

    /// The newest [`MAX_LINKS_LISTED`] links of a club, newest first.
    pub async fn links(&self, club_id: Uuid) -> Result<Vec<ViewingLink>, CatalogError> {
        let models = of_club(club_id).all(self.engine.reader()).await?;
        models.into_iter().map(ViewingLink::try_from).collect()
    }

    /// Takes a link back. One that was taken back stays so, from when it was.
    pub async fn revoke_link(&self, id: Uuid) -> Result<ViewingLink, CatalogError> {
        let now_us = self.now_us();
        self.write(|| async {
            let transaction = self.begin().await?;
            viewing_link::Entity::update_many()
                .set(viewing_link::ActiveModel { revoked_us: Set(Some(now_us)), ..Default::default() })
                .filter(viewing_link::Column::Id.eq(id))
                .filter(viewing_link::Column::RevokedUs.is_null())
                .exec(&transaction)
                .await?;
            let link = viewing_link::Entity::find_by_id(id).one(&transaction).await?;
            transaction.commit().await?;
            link.ok_or(CatalogError::NotFound(Kind::ViewingLink))?.try_into()
        })
        .await
    }
}

fn by_hash(hash: &str) -> Select<viewing_link::Entity> {
    viewing_link::Entity::find().filter(viewing_link::Column::TokenHash.eq(hash))
}

fn of_club(club_id: Uuid) -> Select<viewing_link::Entity> {
    viewing_link::Entity::find()
        .filter(viewing_link::Column::ClubId.eq(club_id))
        .order_by_desc(viewing_link::Column::Id)
        .limit(MAX_LINKS_LISTED)
}

impl fmt::Display for ViewingLink {
    /// What it opens, in words for people, instants in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = |us| jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        match self.scope {
            Scope::All => f.write_str("every match, and live"),
            Scope::Live { .. } => f.write_str("live"),
            Scope::Range(Range { from_us, to_us }) | Scope::Match(Range { from_us, to_us }) => {
                write!(f, "{} to {}", instant(from_us), instant(to_us))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn queries(club_id: Uuid) -> [Select<viewing_link::Entity>; 2] {
        [by_hash("ab"), of_club(club_id)]
    }
}
