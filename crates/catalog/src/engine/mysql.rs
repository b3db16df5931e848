//! MySQL and MariaDB.
//!
//! - **Isolation**: writes are SERIALIZABLE, so that a write that reads first means the same as on SQLite, where there is
//!   one writer. What the server undoes because of it (a deadlock, 1213) is done again.
//! - **DDL commits by itself**: a migration that is cut off stays half done. Therefore every step looks first whether it
//!   was done, and nodes that start together take turns by a named lock of their connection.
//! - **Words are compared byte by byte** (`utf8mb4_bin`): by default `Central` would be `central`.
//! - **Common ground**: what MySQL 8 and MariaDB 10.6 and later both understand. What only one of them has stands in
//!   comments that the other skips.
//! - **TLS** by rustls: `ssl-mode=DISABLED|PREFERRED|REQUIRED|VERIFY_CA|VERIFY_IDENTITY`, `ssl-ca`, `ssl-cert`, `ssl-key`.

use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::sea_query::TableCreateStatement;
use sea_orm::sqlx::mysql::{MySql, MySqlConnectOptions, MySqlSslMode};
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use sea_orm::{
    AccessMode, ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    SqlxMySqlConnector, Statement, TransactionOptions,
};
use tracing::log::LevelFilter;

use super::health::Health;
use super::trouble::Trouble;
use super::{Engine, network};
use crate::error::CatalogError;
use crate::options::DatabaseOptions;

const EXAMPLE: &str = "mysql://user:password@host/database";

/// What the driver understands and the catalog does not depend on; it would ignore the rest.
const PARAMETERS: [&str; 10] = [
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "socket",
    "statement-cache-capacity",
];

pub(super) async fn open(options: &DatabaseOptions) -> Result<Engine, CatalogError> {
    let address = address(options)?;
    let is_verified = matches!(address.get_ssl_mode(), MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity);
    let is_socket = address.get_socket().is_some();
    network::warn_if_unverified(address.get_host(), is_socket, is_verified, "use ssl-mode=VERIFY_IDENTITY");
    network::try_out(&address, options.connect_timeout).await?;
    let health = Health::default();
    let pool = prepared(network::pool(options, &health), Some(options.statement_timeout));
    Ok(Engine::pooled(
        SqlxMySqlConnector::from_sqlx_mysql_pool(pool.connect_lazy_with(address)),
        WRITE,
        network::guard(options, health),
    ))
}

/// One connection without limits of time, for migrations and copies.
pub(super) async fn open_for_maintenance(options: &DatabaseOptions) -> Result<Engine, CatalogError> {
    let address = address(options)?;
    network::try_out(&address, options.connect_timeout).await?;
    let one = DatabaseOptions { max_connections: 1, ..options.clone() };
    let pool = prepared(network::pool(&one, &Health::default()), None).connect_lazy_with(address);
    Ok(Engine::unlimited(SqlxMySqlConnector::from_sqlx_mysql_pool(pool), WRITE))
}

/// Of everything that the catalog knows of itself.
pub(super) const WRITE: TransactionOptions = TransactionOptions {
    isolation_level: Some(IsolationLevel::Serializable),
    access_mode: Some(AccessMode::ReadWrite),
    sqlite_transaction_mode: None,
};

/// Whole tables as they were at one instant.
pub(super) const SNAPSHOT: TransactionOptions = TransactionOptions {
    isolation_level: Some(IsolationLevel::RepeatableRead),
    access_mode: Some(AccessMode::ReadOnly),
    sqlite_transaction_mode: None,
};

fn address(options: &DatabaseOptions) -> Result<MySqlConnectOptions, CatalogError> {
    // The driver knows one of the two names.
    let url = match options.url.strip_prefix("mariadb:") {
        Some(rest) => format!("mysql:{rest}"),
        None => options.url.clone(),
    };
    network::checked(&url, &PARAMETERS, EXAMPLE)?;
    let address = MySqlConnectOptions::from_str(&url).map_err(network::refused)?;
    Ok(address
        .charset("utf8mb4")
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Warn, network::SLOW_STATEMENT))
}

/// Tells every new connection what it needs to know. A text that is too long is an error and never cut.
fn prepared(pool: PoolOptions<MySql>, statement_timeout: Option<Duration>) -> PoolOptions<MySql> {
    let mut sql = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')".to_owned();
    if let Some(limit) = statement_timeout {
        let lock_s = limit.as_secs().max(1);
        let (limit_ms, limit_s) = (limit.as_millis(), limit.as_secs_f64());
        let idle_s = network::IDLE_TRANSACTION.as_secs();
        sql.push_str(&format!(", SESSION innodb_lock_wait_timeout = {lock_s}"));
        sql.push_str(&format!(
            " /*M!100106 , SESSION max_statement_time = {limit_s}, SESSION idle_transaction_timeout = {idle_s} */"
        ));
        sql.push_str(&format!(" /*!80000 , SESSION max_execution_time = {limit_ms} */"));
    }
    pool.after_connect(move |connection, _| {
        let sql = sql.clone();
        Box::pin(async move { connection.execute(AssertSqlSafe(sql)).await.map(drop) })
    })
}

/// Waits until this migration is the only one of its database. The connection keeps the lock through the commits of DDL.
pub(super) async fn lock_migrations(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let limit_s = network::MIGRATION_LOCK_TIMEOUT.as_secs();
    let sql = format!("SELECT CAST(GET_LOCK({LOCK_NAME}, {limit_s}) AS SIGNED)");
    let row = transaction.query_one_raw(Statement::from_string(DbBackend::MySql, sql)).await?;
    match row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?.flatten() {
        Some(1) => Ok(()),
        _ => Err(DbErr::Migration(format!("another node has been migrating for more than {limit_s} s"))),
    }
}

/// Lets the next one in.
pub(super) async fn unlock_migrations(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    transaction.execute_unprepared(&format!("DO RELEASE_LOCK({LOCK_NAME})")).await.map(drop)
}

/// Locks are the server's, not the database's, and their names at most 64 characters.
const LOCK_NAME: &str = "CONCAT('turepe.migrate.', MD5(DATABASE()))";

/// What the engine has to be told about a new table.
pub(crate) fn shaped(mut table: TableCreateStatement) -> TableCreateStatement {
    table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin").take()
}

/// By number (<https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>,
/// <https://mariadb.com/kb/en/mariadb-error-codes/>).
pub(super) fn trouble(number: u16) -> Option<Trouble> {
    match number {
        // Deadlock; a row that has changed since it was read.
        1213 | 1020 => Some(Trouble::Conflict),
        // Shutting down; killed; idle for too long.
        1053 | 1927 | 4031 => Some(Trouble::Lost),
        // Too many connections, of all or of this user.
        1040 | 1203 | 1226 => Some(Trouble::Away),
        // A lock that was not given; interrupted for its time; read-only; disk or table full.
        1205 | 1317 | 1969 | 3024 | 1290 | 1792 | 1836 | 1021 | 1114 => Some(Trouble::Unable),
        _ => None,
    }
}

/// What a sum of BIGINTs is cast to, to be one again.
pub(super) const BIG_INTEGER: &str = "signed";

/// The server's clock, without a time zone in between: to the second.
pub(super) const NOW_US: &str = "SELECT CAST(UNIX_TIMESTAMP() * 1000000 AS SIGNED)";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        address(&DatabaseOptions::new(url)).unwrap_err().to_string()
    }

    #[test]
    fn nothing_in_a_url_is_ignored_and_no_password_is_repeated() {
        for url in [
            "mysql://u:hunter2@h/db?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem",
            "mariadb://u@h:3307/db",
            "mysql://u@localhost/db?socket=/run/mysqld/mysqld.sock",
        ] {
            address(&DatabaseOptions::new(url)).unwrap();
        }
        assert!(refusal("mysql://u:hunter2@h/db?tls=on").contains("unknown parameter `tls`"));
        assert!(refusal("mysql://u:hunter2@h/").contains("names no database"));
        assert!(refusal("mysql://u:hunter2@h/db?ssl-mode=MAYBE").contains("MAYBE"));
        for url in ["mysql://u:hun#ter2@h/db", "mysql://u:hun/ter2@h/db", "mysql://u:hunter2@h:port/db"] {
            let refusal = refusal(url);
            assert!(!refusal.contains("ter2"), "{refusal}");
        }
    }
}
