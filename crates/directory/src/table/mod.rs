//! The outside table, whatever it is reached by. Each kind has a file; what they share is here.

mod mysql;
mod postgres;
mod postgrest;
mod sql;
mod supabase;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::condition::{Condition, Seen};
use crate::config::{DirectoryConfig, Kind};
use crate::error::{ConfigError, TableError};
use crate::finding::{Finding, Severity};

/// What a request to the table comes to.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, TableError>>;

/// Somebody else's table of channels. Nothing is ever inserted or deleted, and no write goes without a row's id.
pub(crate) trait Table: Send + Sync + 'static {
    /// The rows with exactly this `stream_id`: none, one, or two where there are more than one.
    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Vec<KeyRow>>;

    /// The rows of these channels with their keys; at most
    /// [`MAX_IDS_PER_REQUEST`](crate::limits::MAX_IDS_PER_REQUEST).
    fn keys<'a>(&'a self, channels: &'a [Uuid]) -> Answer<'a, Vec<KeyRow>>;

    /// Writes one row and tells how many it was: 0 or 1.
    fn update<'a>(&'a self, update: &'a Update) -> Answer<'a, u64>;

    /// Writes that these channels are live.
    fn refresh<'a>(&'a self, channels: &'a [Uuid], modified_us: i64) -> Answer<'a, u64>;

    /// The next rows that claim to be live, by id; at most [`PAGE_ROWS`](crate::limits::PAGE_ROWS).
    fn live_page(&self, after: Option<Uuid>) -> Answer<'_, Vec<LiveRow>>;

    /// What is right and wrong with it, at an instant of UTC microseconds. Changes nothing.
    fn check(&self, now_us: i64) -> BoxFuture<'_, Vec<Finding>>;
}

/// A row as a look-up sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeyRow {
    pub(crate) id: Uuid,
    pub(crate) stream_id: StreamId,
}

/// A key that came out of the table. It has no print.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StreamId(pub(crate) String);

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A row that claims to be live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LiveRow {
    pub(crate) id: Uuid,
    pub(crate) seen: Seen,
}

/// One row's new state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Update {
    pub(crate) channel: Uuid,
    pub(crate) is_live: bool,
    pub(crate) last_status: String,
    /// Written with a channel that goes live; otherwise the row keeps what it has.
    pub(crate) cover: Option<String>,
    pub(crate) modified_us: i64,
    pub(crate) condition: Condition,
}

/// Reaches the configured table. Connects later: a directory that is away must not stop a node from starting.
pub(crate) fn open(config: &DirectoryConfig) -> Result<Arc<dyn Table>, ConfigError> {
    Ok(match &config.kind {
        Kind::Supabase { url, key } => Arc::new(supabase::Supabase::new(url, key, config)?),
        Kind::Postgres { url } => Arc::new(postgres::Postgres::new(url, config)?),
        Kind::Mysql { url } => Arc::new(mysql::Mysql::new(url, config)?),
    })
}

/// Ends a request that takes too long.
async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, TableError>>,
) -> Result<T, TableError> {
    tokio::time::timeout(limit, request).await.unwrap_or_else(|_| Err(TableError::timeout()))
}

/// A client's error that did not come from the database.
fn sql_unavailable(error: &sqlx::Error) -> TableError {
    match error {
        sqlx::Error::PoolTimedOut => TableError::timeout(),
        sqlx::Error::Io(error) => TableError::Unavailable(error.kind().to_string()),
        sqlx::Error::Tls(_) => TableError::Answer("TLS failed".to_owned()),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            TableError::Answer("a column of another type".to_owned())
        }
        // Their words may repeat what was sent.
        _ => TableError::Unavailable("the connection failed".to_owned()),
    }
}

fn uuid(text: Option<String>) -> Result<Uuid, TableError> {
    text.and_then(|text| Uuid::parse_str(&text).ok()).ok_or(TableError::NotUuid)
}

/// What it means that one row was asked for.
fn read_finding(is_empty: bool) -> Finding {
    if is_empty {
        let message =
            "no row can be seen: the table is empty, or row-level security hides its rows from this user";
        Finding::new(Severity::Warning, "read", message)
    } else {
        Finding::new(Severity::Good, "read", "rows can be read")
    }
}

/// An instant as RFC 3339 with microseconds, in UTC.
fn rfc3339(us: i64) -> String {
    // Out of jiff's range only with a clock that is thousands of years wrong.
    format!("{:.6}", Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_six_places() {
        assert_eq!(rfc3339(1_700_000_000_000_001), "2023-11-14T22:13:20.000001Z");
        assert_eq!(rfc3339(1_700_000_000_000_000), "2023-11-14T22:13:20.000000Z");
    }

    #[test]
    fn a_key_has_no_print() {
        let row = KeyRow { id: Uuid::nil(), stream_id: StreamId("court1".into()) };
        assert!(!format!("{row:?}").contains("court1"));
    }
}
