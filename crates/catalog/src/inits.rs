//! Init segments by their hash: immutable, and few.

use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::OnConflict;

use crate::entity::init;
use crate::error::CatalogError;
use crate::segments::MAX_HASH_BYTES;
use crate::{Catalog, validate};

impl Catalog {
    /// Keeps an init segment. A hash that is known already costs no write.
    pub async fn put_init(&self, hash: &str, content: &[u8]) -> Result<(), CatalogError> {
        validate::text("hash of an init segment", hash, MAX_HASH_BYTES)?;
        if self.init(hash).await?.is_some() {
            return Ok(());
        }
        self.write(|| async {
            let transaction = self.begin().await?;
            let row = init::ActiveModel { hash: Set(hash.to_owned()), content: Set(content.to_vec()) };
            let keep = OnConflict::column(init::Column::Hash).do_nothing_on([init::Column::Hash]).to_owned();
            init::Entity::insert(row).on_conflict(keep).exec_without_returning(&transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// The init segment of a hash.
    pub async fn init(&self, hash: &str) -> Result<Option<bytes::Bytes>, CatalogError> {
        let model = init::Entity::find_by_id(hash).one(self.engine.reader()).await?;
        Ok(model.map(|model| model.content.into()))
    }
}
