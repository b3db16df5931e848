//! The schema's history. A migration that was released is never changed: a new one follows it.
//!
//! Column types that mean the same on every engine: instants and sizes are BIGINT, ids the engine's UUID (16 bytes on
//! SQLite and MySQL), words and JSON are text, bytes are BLOBs in tables of their own.

use sea_orm::{DbErr, EntityName as _, EntityTrait as _};
use sea_orm_migration::{
    IntoSchemaManagerConnection, MigrationTrait, MigratorTrait, SchemaManager, async_trait, seaql_migrations,
};

use crate::engine::Engine;
use crate::error::CatalogError;

mod m0001_first;
mod m0003_live_access;

/// All migrations in order.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_first::Migration), Box::new(m0003_live_access::Migration)]
    }
}

/// Brings the schema up to date, or refuses a newer one before anything is changed.
///
/// Looks first without a lock, so that opening an up-to-date database waits for nobody. Everything else happens in one
/// write transaction: of two processes that open a database at once, one migrates and the other finds it done.
pub(crate) async fn migrate(engine: &Engine) -> Result<(), CatalogError> {
    if is_current(engine.reader()).await? {
        return Ok(());
    }
    let transaction = engine.begin().await?;
    if !is_current(&transaction).await? {
        Migrator::up(&transaction, None).await?;
    }
    transaction.commit().await?;
    tracing::info!("database schema brought up to date");
    Ok(())
}

/// Whether every migration was applied; an error if there are some this program does not have.
async fn is_current<'c>(connection: impl IntoSchemaManagerConnection<'c>) -> Result<bool, CatalogError> {
    let applied = applied(connection).await?;
    let known: Vec<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    if let Some(newest) = applied.iter().filter(|version| !known.contains(version)).max() {
        return Err(CatalogError::NewerSchema { newest: newest.clone() });
    }
    Ok(known.iter().all(|version| applied.contains(version)))
}

/// The names of the migrations that were applied; none where there is no schema yet.
async fn applied<'c>(connection: impl IntoSchemaManagerConnection<'c>) -> Result<Vec<String>, DbErr> {
    let manager = SchemaManager::new(connection);
    let table = seaql_migrations::Entity;
    if !manager.has_table(table.table_name()).await? {
        return Ok(Vec::new());
    }
    let models = seaql_migrations::Entity::find().all(manager.get_connection()).await?;
    Ok(models.into_iter().map(|model| model.version).collect())
}
