//! A database without regard to its schema: what state that is in, and bringing it up to date by hand.

use std::sync::Arc;

use sea_orm::DbBackend;

use crate::engine::{self, Engine};
use crate::error::CatalogError;
use crate::migration;
use crate::options::DatabaseOptions;

/// A database whose schema is looked at or changed; nothing else can be asked of it.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// `None` for a file that is not there.
    engine: Option<Engine>,
    options: Arc<DatabaseOptions>,
}

/// Where a schema stands in its history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaStatus {
    /// Migrations that were applied, in order.
    pub applied: Vec<String>,
    /// Migrations of this program that were not, in order.
    pub pending: Vec<&'static str>,
    /// Migrations of a newer version of this program.
    pub unknown: Vec<String>,
}

impl Maintenance {
    /// Opens a database and changes nothing. A missing SQLite file is no error: it is a schema without migrations.
    pub async fn open(options: &DatabaseOptions) -> Result<Self, CatalogError> {
        let is_missing =
            engine::kind(&options.url)? == DbBackend::Sqlite && !engine::sqlite::exists(&options.url);
        let engine = if is_missing { None } else { Some(Engine::open_for_maintenance(options).await?) };
        Ok(Self { engine, options: Arc::new(options.clone()) })
    }

    /// Where its schema stands.
    pub async fn status(&self) -> Result<SchemaStatus, CatalogError> {
        let applied = self.applied().await?;
        let unknown: Vec<String> = migration::unknown(&applied).cloned().collect();
        let pending =
            migration::names().filter(|name| !applied.iter().any(|applied| applied == name)).collect();
        let mut known: Vec<String> = migration::names()
            .filter(|name| applied.iter().any(|one| one == name))
            .map(str::to_owned)
            .collect();
        known.extend(unknown.iter().cloned());
        Ok(SchemaStatus { applied: known, pending, unknown })
    }

    /// The statements that [`Maintenance::up`] would run.
    pub async fn pending_sql(&self) -> Result<Vec<String>, CatalogError> {
        migration::pending_sql(engine::kind(&self.options.url)?, &self.applied().await?)
    }

    /// Brings the schema up to date; makes a missing SQLite file.
    pub async fn up(&mut self) -> Result<(), CatalogError> {
        let engine = match &self.engine {
            Some(engine) => engine,
            None => self.engine.insert(Engine::open_for_maintenance(&self.options).await?),
        };
        if migration::pending(&migration::applied(engine).await?)?.is_empty() {
            return Ok(());
        }
        migration::up(engine).await
    }

    /// Closes its connections.
    pub async fn close(&self) -> Result<(), CatalogError> {
        match &self.engine {
            Some(engine) => Ok(engine.close().await?),
            None => Ok(()),
        }
    }

    async fn applied(&self) -> Result<Vec<String>, CatalogError> {
        match &self.engine {
            Some(engine) => migration::applied(engine).await,
            None => Ok(Vec::new()),
        }
    }
}

/// The engine of a database that is there.
pub(crate) async fn open_existing(options: &DatabaseOptions) -> Result<Engine, CatalogError> {
    Maintenance::open(options).await?.engine.ok_or(CatalogError::NoDatabase)
}
