//! What an installation keeps about itself: its secrets, and notes of what it was set up with.

use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::OnConflict;

use crate::entity::setting;
use crate::error::CatalogError;
use crate::seal::{SECRET_PREFIX, of_setting};
use crate::{Catalog, validate};

/// Bytes in a secret.
const SECRET_BYTES: usize = 32;

/// Longest name of a setting, in bytes; of these, seven are the prefix of secrets.
const MAX_SETTING_NAME_BYTES: usize = 57;

impl Catalog {
    /// The secret of a name, made of random bytes when it is first asked for. The same for every process that has this
    /// database, for ever.
    pub async fn secret(&self, name: &str) -> Result<[u8; SECRET_BYTES], CatalogError> {
        validate::text("name of a secret", name, MAX_SETTING_NAME_BYTES)?;
        let name = format!("{SECRET_PREFIX}{name}");
        if let Some(known) = setting::Entity::find_by_id(name.as_str()).one(self.engine.reader()).await? {
            return self.secret_of(known);
        }
        let mut fresh = [0; SECRET_BYTES];
        getrandom::fill(&mut fresh)?;
        let sealed = self.seal.close_bytes(&of_setting(&name), &fresh)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let row = setting::ActiveModel { name: Set(name.clone()), content: Set(sealed.clone()) };
            let keep =
                OnConflict::column(setting::Column::Name).do_nothing_on([setting::Column::Name]).to_owned();
            setting::Entity::insert(row).on_conflict(keep).exec_without_returning(&transaction).await?;
            // Another process may have been quicker: what is stored is the secret.
            let stored = setting::Entity::find_by_id(name.as_str()).one(&transaction).await?;
            transaction.commit().await?;
            stored.map_or(Ok(fresh), |stored| self.secret_of(stored))
        })
        .await
    }

    fn secret_of(&self, model: setting::Model) -> Result<[u8; SECRET_BYTES], CatalogError> {
        let bytes = self.seal.open_bytes(&of_setting(&model.name), &model.content)?;
        bytes.try_into().map_err(|_| CatalogError::Corrupt {
            what: "secret",
            reason: format!("`{}` has the wrong length", model.name),
        })
    }

    /// A text that was noted under a name.
    pub async fn note(&self, name: &str) -> Result<Option<String>, CatalogError> {
        let found = setting::Entity::find_by_id(note_name(name)?).one(self.engine.reader()).await?;
        Ok(found.map(|model| String::from_utf8_lossy(&model.content).into_owned()))
    }

    /// Notes a text under a name where none was noted yet; what is noted there now. Of several processes that do it at once,
    /// one is heard by all.
    pub async fn note_once(&self, name: &str, text: &str) -> Result<String, CatalogError> {
        let name = note_name(name)?;
        self.write(|| async {
            let transaction = self.begin().await?;
            let row =
                setting::ActiveModel { name: Set(name.clone()), content: Set(text.as_bytes().to_vec()) };
            let keep =
                OnConflict::column(setting::Column::Name).do_nothing_on([setting::Column::Name]).to_owned();
            setting::Entity::insert(row).on_conflict(keep).exec_without_returning(&transaction).await?;
            let stored = setting::Entity::find_by_id(name.as_str()).one(&transaction).await?;
            transaction.commit().await?;
            Ok(stored.map_or_else(
                || text.to_owned(),
                |stored| String::from_utf8_lossy(&stored.content).into_owned(),
            ))
        })
        .await
    }

    /// Notes a text under a name, over what was noted before.
    pub async fn put_note(&self, name: &str, text: &str) -> Result<(), CatalogError> {
        let row =
            setting::ActiveModel { name: Set(note_name(name)?), content: Set(text.as_bytes().to_vec()) };
        let mut replace = OnConflict::column(setting::Column::Name);
        replace.update_column(setting::Column::Content);
        self.write(|| async {
            let transaction = self.begin().await?;
            setting::Entity::insert(row.clone())
                .on_conflict(replace.clone())
                .exec_without_returning(&transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }
}

fn note_name(name: &str) -> Result<String, CatalogError> {
    validate::text("name of a note", name, MAX_SETTING_NAME_BYTES)?;
    Ok(format!("note.{name}"))
}
