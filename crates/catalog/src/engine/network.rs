//! What the two engines on the network share: reading their URLs, finding out why there is no connection, keeping
//! connections that work.

use std::time::Duration;

use sea_orm::sqlx::pool::{PoolConnectionMetadata, PoolOptions};
use sea_orm::sqlx::{ConnectOptions, Connection, Database, Error as SqlxError};
use sea_orm::{DbErr, RuntimeErr};
use tokio::time::{Instant, timeout};
use url::Url;

use super::guarded::Guard;
use super::health::Health;
use super::trouble::trouble;
use crate::error::CatalogError;
use crate::options::DatabaseOptions;

/// A statement that takes longer is logged, without its values.
pub(super) const SLOW_STATEMENT: Duration = Duration::from_secs(1);

/// A connection that was idle for this long is tried before it is used: a server, a proxy or a firewall may have
/// forgotten it.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How long is waited for a sign of life of a pooled connection.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections that nobody needs for so long are closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Connections are replaced after this time, so that a changed address or a failover is noticed by all of them.
const MAX_LIFETIME: Duration = Duration::from_secs(1800);

/// How much longer than the server works on a statement its answer is waited for.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// The server ends a transaction whose client says nothing for so long: a node that froze must not hold up the others.
pub(super) const IDLE_TRANSACTION: Duration = Duration::from_secs(60);

/// How long a migration waits for another node's to end.
pub(super) const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// The URL, if nothing in it would be ignored. No error repeats it: it holds a password.
pub(super) fn checked(url: &str, parameters: &[&str], example: &str) -> Result<Url, CatalogError> {
    let refuse = |reason: String| Err(CatalogError::Url(reason));
    let parsed = match Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => {
            return refuse(format!("{error}; write {example}, with %40 for an @ in a password"));
        }
    };
    if parsed.path().trim_matches('/').is_empty() {
        return refuse(format!("it names no database; write {example}"));
    }
    if parsed.fragment().is_some() {
        return refuse("it holds a #; write %23 for one in a password".into());
    }
    for (name, _) in parsed.query_pairs() {
        let is_known = parameters.iter().any(|known| match known.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => *known == name,
        });
        if !is_known {
            return refuse(format!(
                "it has an unknown parameter `{name}`; known are {}",
                parameters.join(", ")
            ));
        }
    }
    Ok(parsed)
}

/// What the driver found wrong with a URL.
pub(super) fn refused(error: SqlxError) -> CatalogError {
    CatalogError::Url(error.to_string())
}

/// Connects once, and says why that does not work: a pool would only say that it waited.
pub(super) async fn try_out<O>(address: &O, patience: Duration) -> Result<(), CatalogError>
where
    O: ConnectOptions,
    O::Connection: Sized,
{
    let connecting = async {
        let connection = address.connect().await?;
        connection.close().await
    };
    match timeout(patience, connecting).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let text = error.to_string();
            let error = DbErr::Conn(RuntimeErr::SqlxError(error.into()));
            // A refused password or an unknown certificate does not become better by waiting.
            Err(if trouble(&error).is_some() { CatalogError::Away(error) } else { CatalogError::Url(text) })
        }
        Err(_) => {
            let text = format!("no connection within {} ms", patience.as_millis());
            Err(CatalogError::Away(DbErr::Conn(RuntimeErr::Internal(text))))
        }
    }
}

/// Whether bytes to this host leave the machine.
pub(super) fn warn_if_unverified(host: &str, is_socket: bool, is_verified: bool, advice: &'static str) {
    let is_local = is_socket || host == "localhost" || host.starts_with("127.") || host == "[::1]";
    if !is_local && !is_verified {
        tracing::warn!(host, advice, "nothing proves that the database is the right one");
    }
}

/// A pool that tries connections before it trusts them, and lets go of those that hang.
pub(super) fn pool<D>(options: &DatabaseOptions, health: &Health) -> PoolOptions<D>
where
    D: Database,
{
    let health = health.clone();
    PoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.connect_timeout)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .test_before_acquire(false)
        .before_acquire(move |connection, metadata: PoolConnectionMetadata| {
            let is_trusted = metadata.idle_for < TRUSTED_IDLE && !health.is_suspicious(Instant::now());
            Box::pin(async move { Ok(is_trusted || is_alive(connection).await) })
        })
        // What was given up on in the middle may never answer: the pool itself would wait for it without end.
        .after_release(|connection, _| Box::pin(async move { Ok(is_alive(connection).await) }))
}

async fn is_alive<C: Connection>(connection: &mut C) -> bool {
    matches!(timeout(PING_TIMEOUT, connection.ping()).await, Ok(Ok(())))
}

pub(super) fn guard(options: &DatabaseOptions, health: Health) -> Guard {
    Guard { health, answer_timeout: options.statement_timeout + ANSWER_MARGIN }
}
