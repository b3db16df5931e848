//! The handle everybody holds. Its questions stand with their subjects: clubs, courts, channels, segments, gaps.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sea_orm::DatabaseTransaction;
use uuid::{NoContext, Timestamp, Uuid};
use world::{Clock, SystemClock};

use crate::engine::{self, Engine};
use crate::error::CatalogError;
use crate::migration;

/// What is known, in a database. Cloning it is cheap; all clones share its connections.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) engine: Engine,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens the database of a URL (`sqlite:PATH`, `sqlite::memory:`), creates it where it is missing and brings its
    /// schema up to date. A database of a newer version of this program is refused and left untouched.
    pub async fn open(url: &str) -> Result<Self, CatalogError> {
        Self::open_with_clock(url, Arc::new(SystemClock)).await
    }

    /// As [`Catalog::open`], for an SQLite file at a path, whatever characters that holds.
    pub async fn open_file(path: &Path) -> Result<Self, CatalogError> {
        let url = engine::sqlite::url_of(path);
        Self::open(&url.ok_or_else(|| CatalogError::Url("the path is not UTF-8".into()))?).await
    }

    /// As [`Catalog::open`], with the clock that stamps new rows.
    pub async fn open_with_clock(url: &str, clock: Arc<dyn Clock>) -> Result<Self, CatalogError> {
        let engine = Engine::open(url).await?;
        if let Err(error) = migration::migrate(&engine).await {
            // The first error is the one to tell.
            let _ = engine.close().await;
            return Err(error);
        }
        Ok(Self { engine, clock })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        Ok(self.engine.reader().ping().await?)
    }

    /// Closes all connections of all clones and waits for it; whatever is asked afterwards is an error. Without it they
    /// are closed in the background when the last clone goes.
    pub async fn close(&self) -> Result<(), CatalogError> {
        Ok(self.engine.close().await?)
    }

    /// A new id, in order of the catalog's clock.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let now_us = u64::try_from(self.clock.now_us()).unwrap_or(0);
        let nanos = u32::try_from(now_us % 1_000_000).unwrap_or(0) * 1000;
        Uuid::new_v7(Timestamp::from_unix(NoContext, now_us / 1_000_000, nanos))
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// Begins a write. Dropped without a commit, it is undone.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, CatalogError> {
        Ok(self.engine.begin().await?)
    }
}
