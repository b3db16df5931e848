//! The table in a PostgreSQL database, asked directly.

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::sql::{Bind, Dialect, Shape, Statement};
use super::{Answer, KeyRow, LiveRow, StreamId, Table, Update, within};
use crate::condition::{Condition, Seen};
use crate::config::DirectoryConfig;
use crate::error::{ConfigError, TableError, from_sqlstate};
use crate::finding::{Finding, Severity};
use crate::limits::{CONNECT_TIMEOUT, LOOKUP_TIMEOUT, MAX_CONNECTIONS, REQUEST_TIMEOUT};

pub(super) struct Postgres {
    pool: PgPool,
    shape: Shape,
    dialect: OnceCell<Dialect>,
}

impl Postgres {
    pub(super) fn new(url: &str, config: &DirectoryConfig) -> Result<Self, ConfigError> {
        // The parser's own error could repeat the address, which holds a password.
        let problem = "the directory's address is none of PostgreSQL, for example postgres://user:password@host/database";
        let is_named = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        let options = PgConnectOptions::from_str(url).ok().filter(|_| is_named);
        let options = options.ok_or_else(|| ConfigError(problem.to_owned()))?.disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(options.application_name("turepe"));
        Ok(Self { pool, shape: Shape::of(config), dialect: OnceCell::new() })
    }

    /// How this table's ids are written, once it has been seen.
    async fn dialect(&self) -> Result<Dialect, TableError> {
        let ask = async {
            let table = Dialect::PostgresUuid.table(&self.shape.table);
            let sql = "SELECT format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND \
                       a.attname = $2 AND NOT a.attisdropped";
            let row = sqlx::query(sql)
                .bind(&table)
                .bind(self.shape.columns.id.as_str())
                .persistent(false)
                .fetch_optional(&self.pool)
                .await
                .map_err(|error| self.error(error))?;
            match row {
                Some(row) => match text(&row, 0)?.as_deref() {
                    Some("uuid") => Ok(Dialect::PostgresUuid),
                    Some("text" | "character varying" | "character") => Ok(Dialect::PostgresText),
                    _ => Err(TableError::NotUuid),
                },
                // No such table or no such column: the statement itself says which.
                None => Ok(self
                    .run(&self.shape.one_row(Dialect::PostgresText))
                    .await
                    .map(|_| Dialect::PostgresText)?),
            }
        };
        self.dialect.get_or_try_init(|| ask).await.copied()
    }

    async fn run(&self, statement: &Statement) -> Result<Vec<PgRow>, TableError> {
        query(statement).fetch_all(&self.pool).await.map_err(|error| self.error(error))
    }

    async fn rows(
        &self,
        statement: impl FnOnce(Dialect) -> Statement,
        limit: Duration,
    ) -> Result<Vec<PgRow>, TableError> {
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
        match error {
            sqlx::Error::Database(error) => {
                from_sqlstate(error.code().as_deref().unwrap_or_default(), error.message(), &self.shape.table)
            }
            error => super::sql_unavailable(&error),
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
        let table = Dialect::PostgresUuid.table(&self.shape.table);
        let policies = sqlx::query(
            "SELECT row_security_active(to_regclass($1)), EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = to_regclass($1) \
             AND polcmd IN ('w', '*'))",
        );
        let policies = policies.bind(&table).persistent(false).fetch_one(&self.pool);
        if let Ok(row) = policies.await
            && let (Ok(true), Ok(has_policy)) = (row.try_get::<bool, _>(0), row.try_get::<bool, _>(1))
        {
            let finding = if has_policy {
                let message = "it is on for this user and has a policy for updates: that must let this user's rows through";
                Finding::new(Severity::Hint, "row-level security", message)
            } else {
                let message =
                    "it is on for this user and no policy allows updates: every update will change nothing";
                Finding::new(Severity::Error, "row-level security", message)
            };
            findings.push(finding);
        }
        findings
    }
}

impl Table for Postgres {
    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Vec<KeyRow>> {
        async move {
            let rows = self.rows(|dialect| self.shape.find(dialect, key), LOOKUP_TIMEOUT).await?;
            rows.iter().map(key_row).collect()
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
        async move {
            let changed = self.write(|dialect| self.shape.update(dialect, update), 1).await?;
            if changed == 0
                && update.condition == Condition::None
                && !self.keys(&[update.channel]).await?.is_empty()
            {
                return Err(TableError::UpdateHidden);
            }
            Ok(changed)
        }
        .boxed()
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

fn query(statement: &Statement) -> Query<'_, sqlx::Postgres, PgArguments> {
    // Identifiers were checked and quoted, values are bound. Not kept as a named statement: poolers that hand out
    // connections by the transaction (Supabase's port 6543) know none.
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone())).persistent(false);
    for bind in &statement.binds {
        query = match bind {
            Bind::Bool(value) => query.bind(*value),
            Bind::Text(value) => query.bind(value.as_str()),
            Bind::Bytes(value) => query.bind(value.as_slice()),
        };
    }
    query
}

fn key_row(row: &PgRow) -> Result<KeyRow, TableError> {
    Ok(KeyRow { id: super::uuid(text(row, 0)?)?, stream_id: StreamId(text(row, 1)?.unwrap_or_default()) })
}

fn text(row: &PgRow, column: usize) -> Result<Option<String>, TableError> {
    row.try_get(column).map_err(|_| TableError::Answer("a column is no text".to_owned()))
}
