//! The handle everybody holds. Its questions stand with their subjects: clubs, courts, channels, segments, gaps.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::{NoContext, Timestamp, Uuid};
use world::{Clock, SystemClock};

use crate::engine::{self, Engine, Write};
use crate::error::CatalogError;
use crate::options::DatabaseOptions;
use crate::seal::{self, Seal};
use crate::{copy, migration};

/// How often a write is done again that others got in the way of.
const WRITE_ATTEMPTS: u32 = 10;

/// First pause before a write is done again; doubled each time, plus as much by chance, so that two that met do not meet
/// again.
const WRITE_PAUSE_MS: u64 = 2;

/// What is known, in a database. Cloning it is cheap; all clones share its connections.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    /// The node that this handle speaks for.
    pub(crate) node_id: Option<Uuid>,
    /// How it stands to the catalog's secrets.
    pub(crate) seal: Seal,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens the database of a URL (`sqlite:PATH`, `sqlite::memory:`, `mysql://…`, `postgres://…`) and brings its schema
    /// up to date; a missing SQLite file is made. A database of a newer version of this program is refused and left
    /// untouched.
    pub async fn open(url: &str) -> Result<Self, CatalogError> {
        Self::open_with(&DatabaseOptions::new(url), Arc::new(SystemClock)).await
    }

    /// As [`Catalog::open`], for an SQLite file at a path, whatever characters that holds.
    pub async fn open_file(path: &Path) -> Result<Self, CatalogError> {
        let url = engine::sqlite::url_of(path);
        Self::open(&url.ok_or_else(|| CatalogError::Url("the path is not UTF-8".into()))?).await
    }

    /// As [`Catalog::open`], with the clock that stamps new rows.
    pub async fn open_with_clock(url: &str, clock: Arc<dyn Clock>) -> Result<Self, CatalogError> {
        Self::open_with(&DatabaseOptions::new(url), clock).await
    }

    /// As [`Catalog::open`], with everything that can be said about it.
    pub async fn open_with(options: &DatabaseOptions, clock: Arc<dyn Clock>) -> Result<Self, CatalogError> {
        let engine = Engine::open(options).await?;
        let prepared = async {
            migration::migrate(&engine, options).await?;
            copy::refuse_unfinished(&engine).await?;
            seal::look(&engine).await
        };
        match prepared.await {
            Ok(seal) => Ok(Self { engine, clock, node_id: None, seal }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = engine.close().await;
                Err(error)
            }
        }
    }

    /// The same catalog, spoken to by a node: what it inserts from here on is held by it, and what a list of local work
    /// names (segments that grow, copies that may go, uploads, deletions) is its own. A handle that speaks for nobody sees
    /// of such work what no node has claimed.
    #[must_use]
    pub fn for_node(&self, node_id: Uuid) -> Self {
        Self { node_id: Some(node_id), ..self.clone() }
    }

    /// The node that this handle speaks for.
    #[must_use]
    pub fn node_id(&self) -> Option<Uuid> {
        self.node_id
    }

    /// As [`Catalog::open_with`], where there is a catalog: `None` for a missing SQLite file and for a database without a
    /// schema of ours, which are left as they are.
    pub async fn open_existing(
        options: &DatabaseOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, CatalogError> {
        let is_file = engine::kind(&options.url)? == sea_orm::DbBackend::Sqlite;
        if is_file && !engine::sqlite::exists(&options.url) {
            return Ok(None);
        }
        let engine = Engine::open(options).await?;
        let looked = async {
            if migration::applied(&engine).await?.is_empty() {
                return Ok(None);
            }
            migration::migrate(&engine, options).await?;
            copy::refuse_unfinished(&engine).await?;
            Ok(Some(seal::look(&engine).await?))
        };
        match looked.await {
            Ok(Some(seal)) => Ok(Some(Self { engine, clock, node_id: None, seal })),
            other => {
                // The first error is the one to tell.
                let _ = engine.close().await;
                other.map(|_| None)
            }
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        Ok(self.engine.reader().ping().await?)
    }

    /// What the clock of the database's server shows, UTC microseconds, as a witness of ours; `None` where the database is
    /// in this process.
    pub async fn database_now_us(&self) -> Result<Option<i64>, CatalogError> {
        Ok(self.engine.now_us().await?)
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

    /// Begins a write, inside [`Catalog::write`]. Dropped without a commit, it is undone.
    pub(crate) async fn begin(&self) -> Result<Write, CatalogError> {
        Ok(self.engine.begin().await?)
    }

    /// Runs a write, from its `begin` to its `commit`, and runs it again when it was undone because others wrote the same
    /// at the same time. Every write of the catalog goes through here.
    pub(crate) async fn write<T, F>(&self, mut work: impl FnMut() -> F) -> Result<T, CatalogError>
    where
        F: Future<Output = Result<T, CatalogError>>,
    {
        let mut pause_ms = WRITE_PAUSE_MS;
        for _ in 1..WRITE_ATTEMPTS {
            match work().await {
                Err(CatalogError::Conflict(error)) => tracing::debug!(%error, "a write is done again"),
                done => return done,
            }
            let chance_ms = u64::from(Uuid::now_v7().as_bytes()[15]) * pause_ms / 256;
            tokio::time::sleep(Duration::from_millis(pause_ms + chance_ms)).await;
            pause_ms *= 2;
        }
        work().await
    }
}
