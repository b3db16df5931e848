//! Codes of slots. How they look and what is kept of them is said in `access::code`.

use access::{Grant, Pass, PassKind, Range, Scope, code};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::Catalog;
use crate::entity::{court, slot_code};
use crate::error::{CatalogError, InvalidInput, Kind};

/// Codes of a court that are listed of a range of time.
pub const MAX_CODES_LISTED: u64 = 1_500;

/// Name of the secret that codes are keyed with.
const SECRET: &str = "codes";

/// The code of a slot, without the code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotCode {
    /// Its id; another one each time that a slot gets a code.
    pub id: Uuid,
    /// The court.
    pub court_id: Uuid,
    /// The match, UTC microseconds.
    pub start_us: i64,
    /// Its end, exclusive.
    pub end_us: i64,
    /// What a code is compared with.
    pub verifier: String,
    /// When it was made, UTC microseconds.
    pub created_us: i64,
    /// Until when it opens anything, UTC microseconds.
    pub expires_us: i64,
}

impl SlotCode {
    /// What it is good for, at a court of this club.
    #[must_use]
    pub fn grant(&self, club: Uuid) -> Grant {
        Grant {
            pass: Pass { kind: PassKind::Code, id: self.id },
            club,
            court: Some(self.court_id),
            scope: Scope::Match(Range { from_us: self.start_us, to_us: self.end_us }),
            until_us: self.expires_us,
            is_revoked: false,
        }
    }
}

impl From<slot_code::Model> for SlotCode {
    fn from(model: slot_code::Model) -> Self {
        let slot_code::Model { id, court_id, start_us, end_us, verifier, created_us, expires_us } = model;
        Self { id, court_id, start_us, end_us, verifier, created_us, expires_us }
    }
}

/// A code to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSlotCode {
    /// The court.
    pub court_id: Uuid,
    /// The match, UTC microseconds.
    pub start_us: i64,
    /// Its end, exclusive.
    pub end_us: i64,
    /// Until when, UTC microseconds.
    pub expires_us: i64,
}

impl Catalog {
    /// Gives a slot a code in the place of the one it has: that one opens nothing any more, and neither does what was opened
    /// with it. The code is told this once.
    pub async fn create_slot_code(&self, new: NewSlotCode) -> Result<(SlotCode, String), CatalogError> {
        let now_us = self.now_us();
        if new.start_us >= new.end_us || new.expires_us <= now_us {
            return Err(InvalidInput::LinkRange.into());
        }
        let NewSlotCode { court_id, start_us, end_us, expires_us } = new;
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let (id, code) = (self.new_id(), code::from_random(random));
        let verifier = self.verifier(&code, id).await?;
        let model =
            slot_code::Model { id, court_id, start_us, end_us, verifier, created_us: now_us, expires_us };
        self.write(|| async {
            let transaction = self.begin().await?;
            slot_code::Entity::delete_many()
                .filter(slot_code::Column::CourtId.eq(court_id))
                .filter(slot_code::Column::StartUs.eq(start_us))
                .exec(&transaction)
                .await?;
            slot_code::Entity::insert(slot_code::ActiveModel::from(model.clone()))
                .exec_without_returning(&transaction)
                .await
                .map_err(|error| CatalogError::from_parent(error, Kind::Court))?;
            Ok(transaction.commit().await?)
        })
        .await?;
        Ok((model.into(), code))
    }

    /// The code of a slot, expired or not, if it is the one that somebody typed. Takes some 20 ms of a core: ask it in turn, and
    /// count attempts before ([`Catalog::count_attempt`]).
    pub async fn match_slot_code(
        &self,
        court_id: Uuid,
        start_us: i64,
        typed: &str,
    ) -> Result<Option<SlotCode>, CatalogError> {
        if code::normalised(typed).is_none() {
            return Ok(None);
        }
        let Some(kept) = self.slot_code(court_id, start_us).await? else { return Ok(None) };
        let verifier = self.verifier(typed, kept.id).await?;
        // How long a comparison takes tells of what is compared, which is worth nothing without the secret.
        Ok((verifier == kept.verifier).then_some(kept))
    }

    /// What is kept of a code.
    async fn verifier(&self, code: &str, id: Uuid) -> Result<String, CatalogError> {
        let secret = self.secret(SECRET).await?;
        let code = code::normalised(code).ok_or(InvalidInput::Text("code"))?;
        let made = tokio::task::spawn_blocking(move || code::verifier(&code, &secret, id)).await;
        made.ok().and_then(Result::ok).ok_or_else(|| InvalidInput::Text("code").into())
    }

    /// The code of a slot, expired ones too.
    pub async fn slot_code(&self, court_id: Uuid, start_us: i64) -> Result<Option<SlotCode>, CatalogError> {
        Ok(of_slot(court_id, start_us).one(self.engine.reader()).await?.map(SlotCode::from))
    }

    /// The code with an id, and the club of its court.
    pub async fn slot_code_by_id(&self, id: Uuid) -> Result<Option<(SlotCode, Uuid)>, CatalogError> {
        let found =
            slot_code::Entity::find_by_id(id).find_also_related(court::Entity).one(self.engine.reader());
        Ok(found.await?.and_then(|(code, court)| Some((code.into(), court?.club_id))))
    }

    /// The codes of a court's slots that begin in `[from_us, to_us)`, in order of time; [`MAX_CODES_LISTED`] at most.
    pub async fn slot_codes(
        &self,
        court_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<SlotCode>, CatalogError> {
        let models = of_court(court_id, from_us, to_us).all(self.engine.reader()).await?;
        Ok(models.into_iter().map(SlotCode::from).collect())
    }

    /// Takes a code back: it opens nothing any more, and neither does what was opened with it.
    pub async fn revoke_slot_code(&self, id: Uuid) -> Result<(), CatalogError> {
        self.write(|| async {
            let transaction = self.begin().await?;
            let removed = slot_code::Entity::delete_by_id(id).exec(&transaction).await?;
            transaction.commit().await?;
            if removed.rows_affected == 0 { Err(CatalogError::NotFound(Kind::SlotCode)) } else { Ok(()) }
        })
        .await
    }
}

fn of_slot(court_id: Uuid, start_us: i64) -> Select<slot_code::Entity> {
    slot_code::Entity::find()
        .filter(slot_code::Column::CourtId.eq(court_id))
        .filter(slot_code::Column::StartUs.eq(start_us))
}

fn of_court(court_id: Uuid, from_us: i64, to_us: i64) -> Select<slot_code::Entity> {
    slot_code::Entity::find()
        .filter(slot_code::Column::CourtId.eq(court_id))
        .filter(slot_code::Column::StartUs.gte(from_us))
        .filter(slot_code::Column::StartUs.lt(to_us))
        .order_by_asc(slot_code::Column::StartUs)
        .limit(MAX_CODES_LISTED)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn queries(court_id: Uuid) -> [Select<slot_code::Entity>; 2] {
        [of_slot(court_id, 7), of_court(court_id, 7, 9)]
    }
}
