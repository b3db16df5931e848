//! PostgreSQL.
//!
//! - **Isolation**: writes are SERIALIZABLE, so that a write that reads first means the same as on SQLite, where there is
//!   one writer. What the server undoes because of it (40001, 40P01) is done again.
//! - **DDL is transactional**: a migration is whole or never was. Nodes that start together take turns by an advisory
//!   lock of that transaction.
//! - **TLS** by rustls: `sslmode=disable|allow|prefer|require|verify-ca|verify-full`, `sslrootcert`, `sslcert`, `sslkey`.

use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use sea_orm::{
    AccessMode, ConnectionTrait as _, DatabaseTransaction, DbErr, IsolationLevel, SqlxPostgresConnector,
    TransactionOptions,
};
use tracing::log::LevelFilter;

use super::health::Health;
use super::trouble::Trouble;
use super::{Engine, network};
use crate::error::CatalogError;
use crate::options::DatabaseOptions;

const EXAMPLE: &str = "postgres://user:password@host/database";

/// What the driver understands; it would ignore the rest.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
    "options[*",
];

/// The advisory lock of migrations: "turepe" in ASCII.
const MIGRATION_LOCK: i64 = 0x7475_7265_7065;

pub(super) async fn open(options: &DatabaseOptions) -> Result<Engine, CatalogError> {
    let address = address(options, Some(options.statement_timeout))?;
    let is_verified = matches!(address.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let is_socket = address.get_socket().is_some() || address.get_host().starts_with('/');
    network::warn_if_unverified(address.get_host(), is_socket, is_verified, "use sslmode=verify-full");
    network::try_out(&address, options.connect_timeout).await?;
    let health = Health::default();
    let pool = network::pool(options, &health).connect_lazy_with(address);
    Ok(Engine::pooled(
        SqlxPostgresConnector::from_sqlx_postgres_pool(pool),
        WRITE,
        network::guard(options, health),
    ))
}

/// One connection without limits of time, for migrations and copies.
pub(super) async fn open_for_maintenance(options: &DatabaseOptions) -> Result<Engine, CatalogError> {
    let address = address(options, None)?;
    network::try_out(&address, options.connect_timeout).await?;
    let one = DatabaseOptions { max_connections: 1, ..options.clone() };
    let pool = network::pool(&one, &Health::default()).connect_lazy_with(address);
    Ok(Engine::unlimited(SqlxPostgresConnector::from_sqlx_postgres_pool(pool), MIGRATE))
}

/// Of everything that the catalog knows of itself.
pub(super) const WRITE: TransactionOptions = TransactionOptions {
    isolation_level: Some(IsolationLevel::Serializable),
    access_mode: Some(AccessMode::ReadWrite),
    sqlite_transaction_mode: None,
};

/// Whoever waited for the lock has to see what was done meanwhile: a snapshot from before would not.
pub(super) const MIGRATE: TransactionOptions = TransactionOptions {
    isolation_level: Some(IsolationLevel::ReadCommitted),
    access_mode: Some(AccessMode::ReadWrite),
    sqlite_transaction_mode: None,
};

/// A whole table as it was at one instant.
pub(super) const SNAPSHOT: TransactionOptions = TransactionOptions {
    isolation_level: Some(IsolationLevel::RepeatableRead),
    access_mode: Some(AccessMode::ReadOnly),
    sqlite_transaction_mode: None,
};

fn address(
    options: &DatabaseOptions,
    statement_timeout: Option<Duration>,
) -> Result<PgConnectOptions, CatalogError> {
    network::checked(&options.url, &PARAMETERS, EXAMPLE)?;
    let mut address = PgConnectOptions::from_str(&options.url).map_err(network::refused)?;
    let idle_ms = network::IDLE_TRANSACTION.as_millis().to_string();
    if let Some(limit) = statement_timeout {
        address = address.options([
            ("statement_timeout", limit.as_millis().to_string()),
            ("idle_in_transaction_session_timeout", idle_ms),
        ]);
    }
    Ok(address
        .application_name("turepe")
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Warn, network::SLOW_STATEMENT))
}

/// Waits until this migration is the only one; the end of the transaction lets the next one in.
pub(super) async fn lock_migrations(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let limit_ms = network::MIGRATION_LOCK_TIMEOUT.as_millis();
    let sql = format!("SET LOCAL lock_timeout = {limit_ms}; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    transaction.execute_unprepared(&sql).await.map(drop)
}

/// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn trouble(code: &str) -> Option<Trouble> {
    match code {
        // Serialisation failure, deadlock.
        "40001" | "40P01" => Some(Trouble::Conflict),
        // Shut down by the administrator, by a crash; idle for too long.
        "57P01" | "57P02" | "57P05" | "25P03" => Some(Trouble::Lost),
        // Starting up or shutting down; too many connections.
        "57P03" | "53300" => Some(Trouble::Away),
        // Cancelled for its time; a lock that was not given; a standby.
        "57014" | "55P03" | "25006" => Some(Trouble::Unable),
        code if code.starts_with("08") => Some(Trouble::Lost),
        // Out of memory, disk and the like.
        code if code.starts_with("53") => Some(Trouble::Unable),
        _ => None,
    }
}

/// `IS NULL` finds rows by an index, but the planner does not take it for an equality.
pub(super) const SORTS_BY_NULL: bool = true;

/// What a sum of BIGINTs is cast to, to be one again.
pub(super) const BIG_INTEGER: &str = "bigint";

/// The server's clock, not that of the transaction's begin.
pub(super) const NOW_US: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        address(&DatabaseOptions::new(url), None).unwrap_err().to_string()
    }

    #[test]
    fn nothing_in_a_url_is_ignored_and_no_password_is_repeated() {
        for url in [
            "postgres://u:hunter2@h/db?sslmode=verify-full&sslrootcert=/ca.pem",
            "postgresql://u@h:5433/db?options[search_path]=turepe",
            "postgres:///db?host=/run/postgresql&user=u",
        ] {
            address(&DatabaseOptions::new(url), None).unwrap();
        }
        assert!(refusal("postgres://u:hunter2@h/db?sslmod=require").contains("unknown parameter `sslmod`"));
        assert!(refusal("postgres://u:hunter2@h").contains("names no database"));
        assert!(refusal("postgres://u:hunter2@h/db?sslmode=sometimes").contains("sometimes"));
        for url in
            ["postgres://u:hun#ter2@h/db", "postgres://u:hun/ter2@h/db", "postgres://u:hunter2@h:port/db"]
        {
            let refusal = refusal(url);
            assert!(!refusal.contains("ter2"), "{refusal}");
        }
    }
}
