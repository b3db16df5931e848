//! The statements that both SQL engines are sent, as text with places and the values that go there. Pure: what executes
//! them is in `postgres` and `mysql`.
//!
//! Names come from the configuration as [`Identifier`]s and are quoted; values are bound, never written.

use uuid::Uuid;

use super::{Update, rfc3339};
use crate::condition::{Condition, Seen};
use crate::config::{Columns, DirectoryConfig, Words};
use crate::identifier::{Identifier, TableName};
use crate::limits::PAGE_ROWS;

/// A value for a place of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Bind {
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
}

/// A statement and its values. Its print shows the text alone.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) binds: Vec<Bind>,
}

/// Whose SQL it is, and what form ids have in this table: both known only when the table has been seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// PostgreSQL with a column of type `uuid`.
    PostgresUuid,
    /// PostgreSQL with ids as text.
    PostgresText,
    /// MySQL with `char(36)`, or MariaDB's own `uuid`.
    MysqlHyphenated,
    /// MySQL with `char(32)`: Django's.
    MysqlSimple,
    /// MySQL with `binary(16)`.
    MysqlBinary,
}

impl Dialect {
    fn is_postgres(self) -> bool {
        matches!(self, Self::PostgresUuid | Self::PostgresText)
    }

    fn quote(self, name: &Identifier) -> String {
        if self.is_postgres() { format!("\"{name}\"") } else { format!("`{name}`") }
    }

    pub(super) fn table(self, name: &TableName) -> String {
        match &name.schema {
            Some(schema) => format!("{}.{}", self.quote(schema), self.quote(&name.table)),
            None => self.quote(&name.table),
        }
    }
}

/// Writes statements for one table.
pub(super) struct Writer<'a> {
    dialect: Dialect,
    table: &'a TableName,
    columns: &'a Columns,
    statement: Statement,
}

/// What the statements need of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) table: TableName,
    pub(super) columns: Columns,
    pub(super) words: Words,
}

impl Shape {
    pub(super) fn of(config: &DirectoryConfig) -> Self {
        Self { table: config.table.clone(), columns: config.columns.clone(), words: config.words.clone() }
    }

    fn writer(&self, dialect: Dialect) -> Writer<'_> {
        Writer { dialect, table: &self.table, columns: &self.columns, statement: Statement::default() }
    }

    /// Columns `id` and `stream_id` as text.
    pub(super) fn find(&self, dialect: Dialect, key: &str) -> Statement {
        let mut writer = self.writer(dialect);
        writer.select_key();
        writer.push(" WHERE ");
        let column = dialect.quote(&self.columns.stream_id);
        writer.push(&column);
        writer.push(" = ");
        writer.bind(Bind::Text(key.to_owned()));
        if !dialect.is_postgres() {
            // The first comparison finds the row by an index, in the column's collation, to which `A`, `a` and `a ` may be
            // the same. The second is exact.
            writer.push(&format!(" AND CAST(CONVERT({column} USING utf8mb4) AS BINARY) = CAST("));
            writer.bind(Bind::Text(key.to_owned()));
            writer.push(" AS BINARY)");
        }
        writer.push(" LIMIT 2");
        writer.statement
    }

    /// Columns `id` and `stream_id` as text.
    pub(super) fn keys(&self, dialect: Dialect, channels: &[Uuid]) -> Statement {
        let mut writer = self.writer(dialect);
        writer.select_key();
        writer.push(" WHERE ");
        writer.ids(channels);
        writer.statement
    }

    pub(super) fn update(&self, dialect: Dialect, update: &Update) -> Statement {
        let mut writer = self.writer(dialect);
        writer.set(update.is_live, &update.last_status, update.cover.as_deref(), update.modified_us);
        writer.push(" WHERE ");
        writer.ids(&[update.channel]);
        writer.condition(&update.condition);
        writer.statement
    }

    pub(super) fn refresh(&self, dialect: Dialect, channels: &[Uuid], modified_us: i64) -> Statement {
        let mut writer = self.writer(dialect);
        writer.set(true, &self.words.live, None, modified_us);
        writer.push(" WHERE ");
        writer.ids(channels);
        writer.statement
    }

    /// An update that needs every grant and changes nothing.
    pub(super) fn impossible_update(&self, dialect: Dialect) -> Statement {
        let mut writer = self.writer(dialect);
        writer.set(false, &self.words.offline, Some(""), 0);
        writer.push(" WHERE ");
        writer.ids(&[Uuid::nil()]);
        writer.push(" AND ");
        writer.ids(&[Uuid::max()]);
        writer.statement
    }

    /// Columns `id` and `modified` as text.
    pub(super) fn live_page(&self, dialect: Dialect, after: Option<Uuid>) -> Statement {
        let mut writer = self.writer(dialect);
        let id = writer.text_of_id();
        let modified = self.columns.modified.as_ref();
        let modified = modified.map_or_else(|| "NULL".to_owned(), |column| writer.text_of(column));
        let table = dialect.table(&self.table);
        let live = dialect.quote(&self.columns.is_on_live);
        writer.push(&format!("SELECT {id}, {modified} FROM {table} WHERE {live} = "));
        writer.bind(Bind::Bool(true));
        if let Some(after) = after {
            writer.push(&format!(" AND {} > ", dialect.quote(&self.columns.id)));
            writer.id(after);
        }
        writer.push(&format!(" ORDER BY {} LIMIT {PAGE_ROWS}", dialect.quote(&self.columns.id)));
        writer.statement
    }

    /// Every column that is used, of one row.
    pub(super) fn one_row(&self, dialect: Dialect) -> Statement {
        let columns = &self.columns;
        let mut all: Vec<String> = [&columns.id, &columns.stream_id, &columns.is_on_live]
            .into_iter()
            .chain([&columns.last_status, &columns.cover, &columns.modified].into_iter().flatten())
            .map(|column| dialect.quote(column))
            .collect();
        // One column may stand for two things, and a derived table names each once.
        all.sort();
        all.dedup();
        // The id alone comes back: the others only have to be readable.
        let mut writer = self.writer(dialect);
        let id = writer.text_of_id();
        let table = dialect.table(&self.table);
        writer.push(&format!("SELECT {id} FROM (SELECT {} FROM {table} LIMIT 1) AS one_row", all.join(", ")));
        writer.statement
    }
}

impl Writer<'_> {
    fn push(&mut self, sql: &str) {
        self.statement.sql.push_str(sql);
    }

    /// A place for a value, as the dialect writes it.
    fn bind(&mut self, value: Bind) {
        self.statement.binds.push(value);
        if self.dialect.is_postgres() {
            let number = self.statement.binds.len();
            self.push(&format!("${number}"));
        } else {
            self.push("?");
        }
    }

    fn id(&mut self, id: Uuid) {
        match self.dialect {
            Dialect::PostgresUuid => {
                self.push("CAST(");
                self.bind(Bind::Text(id.to_string()));
                self.push(" AS uuid)");
            }
            Dialect::PostgresText | Dialect::MysqlHyphenated => self.bind(Bind::Text(id.to_string())),
            Dialect::MysqlSimple => self.bind(Bind::Text(id.simple().to_string())),
            Dialect::MysqlBinary => self.bind(Bind::Bytes(id.as_bytes().to_vec())),
        }
    }

    fn ids(&mut self, ids: &[Uuid]) {
        let column = self.dialect.quote(&self.columns.id);
        self.push(&format!("{column} IN ("));
        for (number, id) in ids.iter().enumerate() {
            if number > 0 {
                self.push(", ");
            }
            self.id(*id);
        }
        self.push(")");
    }

    fn text_of(&self, column: &Identifier) -> String {
        let column = self.dialect.quote(column);
        if self.dialect.is_postgres() {
            format!("CAST({column} AS text)")
        } else {
            format!("CAST({column} AS CHAR)")
        }
    }

    fn text_of_id(&self) -> String {
        match self.dialect {
            Dialect::MysqlBinary => format!("HEX({})", self.dialect.quote(&self.columns.id)),
            _ => self.text_of(&self.columns.id),
        }
    }

    fn select_key(&mut self) {
        let (id, key) = (self.text_of_id(), self.text_of(&self.columns.stream_id));
        let table = self.dialect.table(self.table);
        self.push(&format!("SELECT {id}, {key} FROM {table}"));
    }

    fn set(&mut self, is_live: bool, status: &str, cover: Option<&str>, modified_us: i64) {
        let table = self.dialect.table(self.table);
        self.push(&format!("UPDATE {table} SET {} = ", self.dialect.quote(&self.columns.is_on_live)));
        self.bind(Bind::Bool(is_live));
        let columns = self.columns;
        if let Some(column) = &columns.last_status {
            self.push(&format!(", {} = ", self.dialect.quote(column)));
            self.bind(Bind::Text(status.to_owned()));
        }
        if let (Some(column), Some(cover)) = (&columns.cover, cover) {
            self.push(&format!(", {} = ", self.dialect.quote(column)));
            self.bind(Bind::Text(cover.to_owned()));
        }
        if let Some(column) = &columns.modified {
            self.push(&format!(", {} = ", self.dialect.quote(column)));
            self.instant(self.written(modified_us));
        }
    }

    /// An instant as this node writes it. MySQL's literals have no zone: the connection's is UTC.
    fn written(&self, us: i64) -> String {
        let text = rfc3339(us);
        if self.dialect.is_postgres() { text } else { text.replace('T', " ").replace('Z', "") }
    }

    fn instant(&mut self, text: String) {
        if self.dialect.is_postgres() {
            self.push("CAST(");
            self.bind(Bind::Text(text));
            self.push(" AS timestamptz)");
        } else {
            self.bind(Bind::Text(text));
        }
    }

    fn condition(&mut self, condition: &Condition) {
        let Some(column) = &self.columns.modified else { return };
        let column = self.dialect.quote(column);
        let stamps: Vec<String> = match condition {
            Condition::None => return,
            Condition::Unchanged(Seen(None)) => {
                self.push(&format!(" AND {column} IS NULL"));
                return;
            }
            Condition::Unchanged(Seen(Some(text))) => vec![text.clone()],
            Condition::Ours(stamps) => stamps.iter().map(|us| self.written(*us)).collect(),
        };
        self.push(&format!(" AND {column} IN ("));
        for (number, stamp) in stamps.into_iter().enumerate() {
            if number > 0 {
                self.push(", ");
            }
            self.instant(stamp);
        }
        self.push(")");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;

    fn shape() -> Shape {
        Shape::of(&DirectoryConfig::new(Kind::Mysql { url: String::new() }, "".into()))
    }

    #[test]
    fn values_are_bound_and_names_quoted() {
        let hostile = "x' OR 1=1 --";
        let find = shape().find(Dialect::PostgresUuid, hostile);
        assert_eq!(
            find.sql,
            "SELECT CAST(\"id\" AS text), CAST(\"stream_id\" AS text) FROM \"channels_channel\" WHERE \"stream_id\" = $1 \
             LIMIT 2"
        );
        assert_eq!(find.binds, [Bind::Text(hostile.into())]);
        let find = shape().find(Dialect::MysqlSimple, hostile);
        assert!(!find.sql.contains("OR 1") && find.sql.contains("`stream_id` = ?"), "{}", find.sql);
    }

    #[test]
    fn every_write_names_its_rows() {
        let update = Update {
            channel: Uuid::from_u128(1),
            is_live: true,
            last_status: "live".into(),
            cover: Some("c".into()),
            modified_us: 0,
            condition: Condition::Ours(vec![1, 2]),
        };
        let statement = shape().update(Dialect::MysqlSimple, &update);
        assert_eq!(
            statement.sql,
            "UPDATE `channels_channel` SET `is_on_live` = ?, `last_status` = ?, `cover` = ?, `modified` = ? WHERE `id` IN \
             (?) AND `modified` IN (?, ?)"
        );
        assert_eq!(statement.binds[3], Bind::Text("1970-01-01 00:00:00.000000".into()));
        assert_eq!(statement.binds[4], Bind::Text("00000000000000000000000000000001".into()));
        for dialect in [Dialect::PostgresText, Dialect::MysqlBinary] {
            let places = |sql: &str| sql.matches(if dialect.is_postgres() { '$' } else { '?' }).count();
            let all = [
                shape().update(dialect, &update),
                shape().refresh(dialect, &[Uuid::nil()], 0),
                shape().impossible_update(dialect),
            ];
            for statement in all {
                assert!(statement.sql.contains(" WHERE ") && places(&statement.sql) == statement.binds.len());
            }
        }
    }
}
