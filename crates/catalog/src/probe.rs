//! Whether the database can do what a node needs of it: asked now and then, so that a node says so before footage has waited for
//! hours for its rows.

use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _, Statement};

use crate::Catalog;
use crate::copy::table_names;
use crate::engine::{Trouble, trouble};
use crate::entity::setting;

/// What is wrong with the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseTrouble {
    /// Whether it does not answer; otherwise it answers and does not do what it is asked.
    pub is_away: bool,
    /// In its own words.
    pub reason: String,
}

impl DatabaseTrouble {
    /// What an error means for a node; nothing where others only wrote at the same time.
    fn of(error: &DbErr, doing: &str) -> Option<Self> {
        let is_away = match trouble(error) {
            Some(Trouble::Conflict) => return None,
            Some(Trouble::Away | Trouble::Lost) => true,
            Some(Trouble::Unable) | None => false,
        };
        Some(Self { is_away, reason: format!("{doing}: {error}") })
    }
}

impl Catalog {
    /// Whether every table can be read and rows can be written; changes nothing. A few dozen statements that the engine answers from
    /// memory, so: every few seconds. How long it takes is for the caller to bound.
    ///
    /// # Errors
    /// What is wrong, with the table's name where it is one.
    pub async fn probe(&self) -> Result<(), DatabaseTrouble> {
        let reader = self.engine.reader();
        for table in table_names() {
            let look =
                Statement::from_string(self.engine.backend(), format!("SELECT 1 FROM {table} LIMIT 1"));
            if let Err(error) = reader.query_one_raw(look).await
                && let Some(found) = DatabaseTrouble::of(&error, &format!("reading the table {table}"))
            {
                return Err(found);
            }
        }
        match self.try_write().await {
            Err(error) => DatabaseTrouble::of(&error, "writing").map_or(Ok(()), Err),
            Ok(()) => Ok(()),
        }
    }

    /// A write that matches no row: a database that is read-only refuses it all the same.
    async fn try_write(&self) -> Result<(), DbErr> {
        let transaction = self.engine.begin().await?;
        let nothing = setting::ActiveModel { content: Set(Vec::new()), ..Default::default() };
        let written = setting::Entity::update_many()
            .set(nothing)
            .filter(setting::Column::Name.eq(NO_SETTING))
            .exec(&transaction)
            .await;
        written?;
        // Nothing was changed: no engine writes for it.
        transaction.commit().await
    }
}

/// No setting has this name: notes and secrets have prefixes.
const NO_SETTING: &str = "";
