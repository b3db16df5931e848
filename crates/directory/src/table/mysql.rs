//! The table in a MySQL or MariaDB database, asked directly.

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::mysql::{
    MySqlArguments, MySqlConnectOptions, MySqlDatabaseError, MySqlPool, MySqlPoolOptions, MySqlRow,
};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::sql::{Bind, Dialect, Shape, Statement};
use super::{Answer, KeyRow, LiveRow, StreamId, Table, Update, within};
use crate::condition::Seen;
use crate::config::DirectoryConfig;
use crate::error::{ConfigError, TableError, from_sqlstate, shortened};
use crate::finding::{Finding, Severity};
use crate::limits::{CONNECT_TIMEOUT, LOOKUP_TIMEOUT, MAX_CONNECTIONS, REQUEST_TIMEOUT};

pub(super) struct Mysql {
    pool: MySqlPool,
    shape: Shape,
    dialect: OnceCell<Dialect>,
}

impl Mysql {
    pub(super) fn new(url: &str, config: &DirectoryConfig) -> Result<Self, ConfigError> {
        // The parser's own error could repeat the address, which holds a password.
        let problem =
            "the directory's address is none of MySQL, for example mysql://user:password@host/database";
        let is_named = ["mysql://", "mariadb://"].iter().any(|scheme| url.starts_with(scheme));
        let options = MySqlConnectOptions::from_str(url).ok().filter(|_| is_named);
        let options = options.ok_or_else(|| ConfigError(problem.to_owned()))?.disable_statement_logging();
        let pool = MySqlPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(CONNECT_TIMEOUT)
            // Django keeps UTC, and so do we.
            .connect_lazy_with(options.timezone(Some("+00:00".to_owned())));
        Ok(Self { pool, shape: Shape::of(config), dialect: OnceCell::new() })
    }

    /// How this table's ids are written, once it has been seen.
    async fn dialect(&self) -> Result<Dialect, TableError> {
        let ask = async {
            let sql = "SELECT CAST(DATA_TYPE AS CHAR), CAST(CHARACTER_MAXIMUM_LENGTH AS CHAR) FROM \
                       information_schema.COLUMNS WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND \
                       COLUMN_NAME = ?";
            let row = sqlx::query(sql)
                .bind(self.shape.table.schema.as_ref().map(|schema| schema.as_str()))
                .bind(self.shape.table.table.as_str())
                .bind(self.shape.columns.id.as_str())
                .persistent(false)
                .fetch_optional(&self.pool)
                .await
                .map_err(|error| self.error(error))?;
            let Some(row) = row else {
                // No such table or no such column, or not for this user: the statement itself says which.
                return self
                    .run(&self.shape.one_row(Dialect::MysqlSimple))
                    .await
                    .map(|_| Dialect::MysqlSimple);
            };
            let kind = text(&row, 0)?.unwrap_or_default().to_ascii_lowercase();
            match (kind.as_str(), text(&row, 1)?.as_deref()) {
                ("uuid", _) | ("char" | "varchar", Some("36")) => Ok(Dialect::MysqlHyphenated),
                ("char" | "varchar", Some("32")) => Ok(Dialect::MysqlSimple),
                ("binary" | "varbinary", Some("16")) => Ok(Dialect::MysqlBinary),
                _ => Err(TableError::NotUuid),
            }
        };
        self.dialect.get_or_try_init(|| ask).await.copied()
    }

    async fn run(&self, statement: &Statement) -> Result<Vec<MySqlRow>, TableError> {
        query(statement).fetch_all(&self.pool).await.map_err(|error| self.error(error))
    }

    async fn rows(
        &self,
        statement: impl FnOnce(Dialect) -> Statement,
        limit: Duration,
    ) -> Result<Vec<MySqlRow>, TableError> {
        within(limit, async { self.run(&statement(self.dialect().await?)).await }).await
    }

    /// A write, undone where it changes more rows than it may.
    async fn write(
        &self,
        statement: impl FnOnce(Dialect) -> Statement,
        most: usize,
    ) -> Result<u64, TableError> {
        within(REQUEST_TIMEOUT, async {
            let statement = statement(self.dialect().await?);
            let problem = |error| self.error(error);
            let mut transaction = self.pool.begin().await.map_err(problem)?;
            let changed =
                query(&statement).execute(&mut *transaction).await.map_err(problem)?.rows_affected();
            if changed > most as u64 {
                transaction.rollback().await.map_err(problem)?;
                return Err(TableError::TooManyRows);
            }
            transaction.commit().await.map_err(problem)?;
            Ok(changed)
        })
        .await
    }

    fn error(&self, error: sqlx::Error) -> TableError {
        let error = match error {
            sqlx::Error::Database(error) => error,
            error => return super::sql_unavailable(&error),
        };
        let number = error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
        // MySQL's SQLSTATEs are coarse: its numbers say more (MySQL Error Reference, MariaDB Error Codes).
        match number {
            // Access denied for the user; for the database (1044 comes with a right password, too).
            1045 | 1044 | 1698 => TableError::WrongKey("user, password or database".to_owned()),
            1142 | 1143 | 1370 => TableError::PermissionDenied(number.to_string()),
            1049 => TableError::Refused("there is no database of that name".to_owned()),
            1146 => TableError::MissingTable(self.shape.table.to_string()),
            // It names a column and nothing else.
            1054 => TableError::MissingColumn(shortened(error.message())),
            // Too many connections, server shutdown, lock wait, deadlock, time limit, read-only.
            1040 | 1053 | 1205 | 1213 | 1290 | 1792 | 1969 | 3024 => {
                TableError::Unavailable(format!("the database is busy, {number}"))
            }
            0 => {
                from_sqlstate(error.code().as_deref().unwrap_or_default(), error.message(), &self.shape.table)
            }
            number => match error.code().as_deref() {
                Some(state) if state.starts_with("23") => TableError::Conflict(number.to_string()),
                _ => TableError::Refused(format!("MySQL error {number}")),
            },
        }
    }

    /// The id of some row, where one can be seen.
    async fn one_row(&self) -> Result<Option<Uuid>, TableError> {
        let rows = self.rows(|dialect| self.shape.one_row(dialect), REQUEST_TIMEOUT).await?;
        rows.first().map(|row| super::uuid(text(row, 0)?)).transpose()
    }

    async fn findings(&self) -> Vec<Finding> {
        let subject = |error: &TableError| if error.is_temporary() { "reach" } else { "read" };
        let mut findings = Vec::new();
        match self.one_row().await {
            Ok(id) => {
                findings.push(Finding::new(Severity::Good, "reach", "the table and its columns are there"));
                findings.push(super::read_finding(id.is_none()));
            }
            Err(error) => return vec![Finding::new(Severity::Error, subject(&error), error.to_string())],
        }
        findings.push(match self.write(|dialect| self.shape.impossible_update(dialect), 1).await {
            Ok(_) => Finding::new(Severity::Good, "update", "the grants allow updates"),
            Err(error) => Finding::new(Severity::Error, "update", error.to_string()),
        });
        findings
    }
}

impl Table for Mysql {
    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Vec<KeyRow>> {
        async move {
            match self.rows(|dialect| self.shape.find(dialect, key), LOOKUP_TIMEOUT).await {
                Ok(rows) => rows.iter().map(key_row).collect(),
                // The key holds characters that the column's character set does not have: no row has it.
                Err(TableError::Refused(said)) if said.ends_with(" 1267") => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn keys<'a>(&'a self, channels: &'a [Uuid]) -> Answer<'a, Vec<KeyRow>> {
        async move {
            let rows = self.rows(|dialect| self.shape.keys(dialect, channels), REQUEST_TIMEOUT).await?;
            rows.iter().map(key_row).collect()
        }
        .boxed()
    }

    fn update<'a>(&'a self, update: &'a Update) -> Answer<'a, u64> {
        // No second look as with PostgreSQL: there is no row-level security, and a matched row counts as changed.
        self.write(move |dialect| self.shape.update(dialect, update), 1).boxed()
    }

    fn refresh<'a>(&'a self, channels: &'a [Uuid], modified_us: i64) -> Answer<'a, u64> {
        self.write(move |dialect| self.shape.refresh(dialect, channels, modified_us), channels.len()).boxed()
    }

    fn live_page(&self, after: Option<Uuid>) -> Answer<'_, Vec<LiveRow>> {
        async move {
            let rows = self.rows(|dialect| self.shape.live_page(dialect, after), REQUEST_TIMEOUT).await?;
            rows.iter()
                .map(|row| Ok(LiveRow { id: super::uuid(text(row, 0)?)?, seen: Seen(text(row, 1)?) }))
                .collect()
        }
        .boxed()
    }

    fn check(&self, _now_us: i64) -> BoxFuture<'_, Vec<Finding>> {
        self.findings().boxed()
    }
}

fn query(statement: &Statement) -> Query<'_, sqlx::MySql, MySqlArguments> {
    // Identifiers were checked and quoted, values are bound.
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
    for bind in &statement.binds {
        query = match bind {
            Bind::Bool(value) => query.bind(*value),
            Bind::Text(value) => query.bind(value.as_str()),
            Bind::Bytes(value) => query.bind(value.as_slice()),
        };
    }
    query
}

fn key_row(row: &MySqlRow) -> Result<KeyRow, TableError> {
    Ok(KeyRow { id: super::uuid(text(row, 0)?)?, stream_id: StreamId(text(row, 1)?.unwrap_or_default()) })
}

fn text(row: &MySqlRow, column: usize) -> Result<Option<String>, TableError> {
    row.try_get(column).map_err(|_| TableError::Answer("a column is no text".to_owned()))
}
