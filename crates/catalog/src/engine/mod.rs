//! The database behind the catalog: how it is opened, how a write begins, what its errors mean. What only one engine
//! needs stands in its own file here and nowhere else.

use sea_orm::sea_query::TableCreateStatement;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement,
    TransactionOptions, TransactionTrait as _,
};
use tokio::time::Instant;

use crate::error::CatalogError;
use crate::options::DatabaseOptions;

mod guarded;
mod health;
mod mysql;
mod network;
mod postgres;
pub(crate) mod sqlite;
mod trouble;

use guarded::{Guard, Guarded};
pub(crate) use guarded::{Reader, Write};
pub(crate) use trouble::{Trouble, trouble};

/// Connections that a write tries before it gives up: after a restart of the server several may be dead.
const BEGIN_ATTEMPTS: u32 = 3;

/// Connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    reader: Reader,
    writer: DatabaseConnection,
    write_options: TransactionOptions,
}

impl Engine {
    /// Opens the database a URL names; creates it where the engine can.
    pub(crate) async fn open(options: &DatabaseOptions) -> Result<Self, CatalogError> {
        match kind(&options.url)? {
            DbBackend::Sqlite => sqlite::open(options).await,
            DbBackend::MySql => mysql::open(options).await,
            _ => postgres::open(options).await,
        }
    }

    /// As [`Engine::open`] with one connection that waits for as long as it takes, for migrations and copies.
    pub(crate) async fn open_for_maintenance(options: &DatabaseOptions) -> Result<Self, CatalogError> {
        match kind(&options.url)? {
            DbBackend::Sqlite => sqlite::open(options).await,
            DbBackend::MySql => mysql::open_for_maintenance(options).await,
            _ => postgres::open_for_maintenance(options).await,
        }
    }

    fn unlimited(pool: DatabaseConnection, write_options: TransactionOptions) -> Self {
        Self { reader: Guarded { inner: pool.clone(), guard: None }, writer: pool, write_options }
    }

    fn pooled(pool: DatabaseConnection, write_options: TransactionOptions, guard: Guard) -> Self {
        Self { reader: Guarded { inner: pool.clone(), guard: Some(guard) }, writer: pool, write_options }
    }

    /// Which engine it is.
    pub(crate) fn backend(&self) -> DbBackend {
        self.writer.get_database_backend()
    }

    /// For single statements that change nothing.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// For the tools that look at the schema.
    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.reader.inner
    }

    /// Begins a transaction that may write. Never hold one while asking [`Engine::reader`] or beginning another.
    pub(crate) async fn begin(&self) -> Result<Write, DbErr> {
        let begin = || self.writer.begin_with_options(self.write_options);
        let Some(guard) = self.reader.guard.clone() else {
            return Ok(Guarded { inner: begin().await?, guard: None });
        };
        guard.health.admit(Instant::now())?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match guard.watch(begin()).await {
                Err(error) if trouble(&error) == Some(Trouble::Lost) && attempts < BEGIN_ATTEMPTS => {}
                begun => return Ok(Guarded { inner: begun?, guard: Some(guard) }),
            }
        }
    }

    /// A transaction that sees everything as it was at one instant, and changes nothing.
    pub(crate) async fn snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        self.reader
            .inner
            .begin_with_options(match self.backend() {
                DbBackend::Sqlite => sqlite::SNAPSHOT,
                DbBackend::MySql => mysql::SNAPSHOT,
                _ => postgres::SNAPSHOT,
            })
            .await
    }

    /// Begins the only migration of this database; waits for another one to end.
    pub(crate) async fn begin_migration(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.writer.begin_with_options(self.write_options).await?;
        match self.backend() {
            // The transaction is the lock.
            DbBackend::Sqlite => {}
            DbBackend::MySql => mysql::lock_migrations(&transaction).await?,
            _ => postgres::lock_migrations(&transaction).await?,
        }
        Ok(transaction)
    }

    /// Ends it.
    pub(crate) async fn end_migration(&self, transaction: DatabaseTransaction) -> Result<(), DbErr> {
        if self.backend() == DbBackend::MySql {
            mysql::unlock_migrations(&transaction).await?;
        }
        transaction.commit().await
    }

    /// The clock of the database's server, UTC microseconds; `None` where the database is in this process.
    pub(crate) async fn now_us(&self) -> Result<Option<i64>, DbErr> {
        let sql = match self.backend() {
            DbBackend::Sqlite => return Ok(None),
            DbBackend::MySql => mysql::NOW_US,
            _ => postgres::NOW_US,
        };
        let row = self.reader.query_one_raw(Statement::from_string(self.backend(), sql)).await?;
        row.map(|row| row.try_get_by_index(0)).transpose()
    }

    /// Empties the log of an SQLite file, which holds what pages were before. Where another process reads, it is emptied when that
    /// one has closed.
    pub(crate) async fn forget_log(&self) -> Result<(), DbErr> {
        if self.backend() == DbBackend::Sqlite {
            self.writer.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }

    /// Closes all connections and waits until they are closed.
    pub(crate) async fn close(&self) -> Result<(), DbErr> {
        self.reader.inner.close_by_ref().await?;
        self.writer.close_by_ref().await
    }
}

/// The engine a URL names.
pub(crate) fn kind(url: &str) -> Result<DbBackend, CatalogError> {
    match url.split_once(':') {
        Some(("sqlite", _)) => Ok(DbBackend::Sqlite),
        Some(("mysql" | "mariadb", _)) => Ok(DbBackend::MySql),
        Some(("postgres" | "postgresql", _)) => Ok(DbBackend::Postgres),
        // The rest of the URL may hold a password.
        Some((scheme, _)) => Err(CatalogError::UnsupportedDatabase(scheme.chars().take(32).collect())),
        None => {
            Err(CatalogError::Url("it has no scheme; write sqlite:PATH, mysql://… or postgres://…".into()))
        }
    }
}

/// A new table with what its engine has to be told about it.
pub(crate) fn shaped(table: TableCreateStatement, backend: DbBackend) -> TableCreateStatement {
    match backend {
        DbBackend::MySql => mysql::shaped(table),
        _ => table,
    }
}

/// Whether an index is in order for those rows of it that have NULL in its first column only when that column is named
/// first in the order, too.
pub(crate) fn sorts_by_null(backend: DbBackend) -> bool {
    match backend {
        DbBackend::Postgres => postgres::SORTS_BY_NULL,
        _ => false,
    }
}

/// What a sum of BIGINTs is cast to, to be one again.
pub(crate) fn big_integer(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::MySql => mysql::BIG_INTEGER,
        _ => postgres::BIG_INTEGER,
    }
}
