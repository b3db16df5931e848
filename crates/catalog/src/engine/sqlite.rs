//! SQLite: one file, one writer at a time, readers that never wait.
//!
//! - **WAL**: readers see the last commit and are never blocked by a writer, of this process or of another (`admin`
//!   beside a running node).
//! - **`synchronous = FULL`**, not NORMAL: in WAL mode NORMAL keeps the file sound but may lose the last commits in a
//!   power cut. A row that said "sealed" lets others act on it (a local copy goes, a key was shown once): it has to be
//!   there tomorrow. It costs one sync of the log per commit, and a node commits a few times a minute per channel.
//! - **One writing connection** per process, and every transaction that writes begins with `BEGIN IMMEDIATE`. A
//!   transaction that begins by reading (the default, DEFERRED) cannot be made a writer while another one writes: it
//!   fails at once, whatever the timeout says (<https://www.sqlite.org/lang_transaction.html>). IMMEDIATE waits its turn.
//! - **`busy_timeout`**: how long that turn is waited for.

use std::path::Path;
use std::time::Duration;

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions,
};
use tracing::log::LevelFilter;

use super::Engine;
use super::guarded::Guarded;
use super::trouble::Trouble;
use crate::error::CatalogError;
use crate::options::DatabaseOptions;

/// How long a write waits for the writer of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a query waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// Page cache of one connection, in KiB (negative means KiB to SQLite).
const CACHE_SIZE: &str = "-8192";

/// To this size the log is cut back after a checkpoint: a long reader may have let it grow.
const JOURNAL_SIZE_LIMIT_BYTES: &str = "67108864";

/// A statement that takes longer is logged, without its values.
const SLOW_STATEMENT: Duration = Duration::from_secs(1);

/// How often switching a new file to WAL is tried while other processes open it too.
const MAX_OPEN_ATTEMPTS: u32 = 100;

/// Pause between those attempts.
const OPEN_RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Takes its turn before it reads anything.
const WRITE: TransactionOptions = TransactionOptions {
    sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
    isolation_level: None,
    access_mode: None,
};

/// Sees what was there when it read first.
pub(super) const SNAPSHOT: TransactionOptions = TransactionOptions {
    sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
    isolation_level: None,
    access_mode: None,
};

pub(super) async fn open(database: &DatabaseOptions) -> Result<Engine, CatalogError> {
    let url = database.url.as_str();
    if is_in_memory(url) {
        // Such a database lives in its one connection: it must never be closed for idling, and it serves everybody.
        let mut options = options(url);
        options.min_connections(1).max_connections(1);
        options.map_sqlx_sqlite_opts(|options| options.busy_timeout(BUSY_TIMEOUT));
        let only = connect(options).await?;
        let reader = Guarded { inner: only.clone(), guard: None };
        return Ok(Engine { reader, writer: only, write_options: WRITE });
    }
    require_folder(url)?;
    // The writer comes first: it creates the file and makes it WAL, which stays with the file.
    let mut writing = options(url);
    writing.min_connections(1).max_connections(1);
    writing.map_sqlx_sqlite_opts(|options| {
        options
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL")
            .pragma("cache_size", CACHE_SIZE)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)
    });
    let writer = connect_patiently(writing).await?;
    let mut reading = options(url);
    reading.min_connections(1).max_connections(database.max_connections);
    reading.map_sqlx_sqlite_opts(|options| {
        options
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("synchronous", "FULL")
            .pragma("cache_size", CACHE_SIZE)
            // A write that took the wrong door fails here instead of meeting the writer.
            .pragma("query_only", "ON")
    });
    let reader = Guarded { inner: connect(reading).await?, guard: None };
    Ok(Engine { reader, writer, write_options: WRITE })
}

fn options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A connection is a thread of this process: there is no network that could have lost it.
        .test_before_acquire(false)
        .record_stmt_in_spans(false)
        .sqlx_logging_level(LevelFilter::Off)
        .sqlx_slow_statements_logging_settings(LevelFilter::Warn, SLOW_STATEMENT);
    options
}

async fn connect(options: ConnectOptions) -> Result<DatabaseConnection, CatalogError> {
    Database::connect(options).await.map_err(|error| match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause)) => CatalogError::Url(cause.to_string()),
        other => CatalogError::Database(other),
    })
}

/// Switching a file to WAL needs it alone and does not wait (<https://www.sqlite.org/wal.html>): when two processes
/// open a new database at once, one of them has to ask again.
async fn connect_patiently(options: ConnectOptions) -> Result<DatabaseConnection, CatalogError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match connect(options.clone()).await {
            Err(CatalogError::Url(cause)) if cause.contains("locked") && attempts < MAX_OPEN_ATTEMPTS => {
                tokio::time::sleep(OPEN_RETRY_PAUSE).await;
            }
            result => return result,
        }
    }
}

/// The URL of a file, whatever its path holds; `None` for a path that is not UTF-8.
pub(crate) fn url_of(path: &Path) -> Option<String> {
    let mut url = String::from("sqlite:");
    for c in path.to_str()?.chars() {
        match c {
            '%' => url.push_str("%25"),
            '?' => url.push_str("%3F"),
            '#' => url.push_str("%23"),
            other => url.push(other),
        }
    }
    Some(url)
}

/// By extended result code, of which the last byte is the plain one (<https://www.sqlite.org/rescode.html>).
pub(super) fn trouble(code: &str) -> Option<Trouble> {
    match code.parse::<u32>().ok()? & 0xff {
        // Busy and locked: another process writes for longer than is waited. Read-only, I/O error, full, cannot open: its disk
        // is in trouble, as the server's may be of another engine, and what waits for it is not to be given up.
        5 | 6 | 8 | 10 | 13 | 14 => Some(Trouble::Unable),
        _ => None,
    }
}

/// Whether there is a database to look at.
pub(crate) fn exists(url: &str) -> bool {
    let path = path_of(url);
    is_in_memory(url) || path.contains('%') || Path::new(path).is_file()
}

/// The file that a URL names, still encoded.
fn path_of(url: &str) -> &str {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn is_in_memory(url: &str) -> bool {
    url.starts_with("sqlite::memory:") || url.starts_with("sqlite://:memory:") || url.contains("mode=memory")
}

/// SQLite would only say that it is "unable to open database file".
fn require_folder(url: &str) -> Result<(), CatalogError> {
    let path = path_of(url);
    if path.is_empty() {
        return Err(CatalogError::Url("it names no file; write sqlite:PATH".into()));
    }
    match Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty() && !path.contains('%')) {
        Some(folder) if !folder.is_dir() => {
            Err(CatalogError::Url(format!("the folder {} does not exist", folder.display())))
        }
        _ => Ok(()),
    }
}
