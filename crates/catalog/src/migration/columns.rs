//! What migrations write columns, keys and indexes with: one meaning on every engine.

use sea_orm::DbBackend;
use sea_orm::sea_query::{
    Alias, ColumnDef, ForeignKey, ForeignKeyAction, ForeignKeyCreateStatement, Index, IndexCreateStatement,
    Table, TableCreateStatement,
};

use super::Step;

pub(super) fn table(name: &str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).take()
}

/// A new column of an old table.
pub(super) fn column(table: &'static str, name: &'static str, define: impl FnOnce(&mut ColumnDef)) -> Step {
    let mut column = ColumnDef::new(Alias::new(name));
    define(&mut column);
    let add = Table::alter().table(Alias::new(table)).add_column(&mut column).take();
    Step::Column { table, name, add: Box::new(add) }
}

/// Longer texts for an old column; `define` says what it is from then on.
pub(super) fn widen(table: &'static str, name: &'static str, define: impl FnOnce(&mut ColumnDef)) -> Step {
    let mut column = ColumnDef::new(Alias::new(name));
    define(&mut column);
    let alter = Table::alter().table(Alias::new(table)).modify_column(&mut column).take();
    Step::Widen { alter: Box::new(alter) }
}

/// The engine's UUID: 16 bytes on SQLite and MySQL, `uuid` on PostgreSQL. In order of time, as they are version 7.
pub(super) fn id(name: &str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).uuid().not_null().take()
}

pub(super) fn big(name: &str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().not_null().take()
}

pub(super) fn word(name: &str, len: u32) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).string_len(len).not_null().take()
}

/// Bytes; MySQL's plain BLOB ends at 64 kB, less than the index of an hour may take.
pub(super) fn bytes(name: &str, engine: DbBackend) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    match engine {
        DbBackend::MySql => column.custom(Alias::new("mediumblob")),
        _ => column.blob(),
    };
    column.not_null().take()
}

pub(super) fn key(columns: &[&str]) -> IndexCreateStatement {
    let mut key = Index::create();
    for column in columns {
        key.col(Alias::new(*column));
    }
    key.primary().take()
}

/// Where rows keep their parent from going, it is NO ACTION and not RESTRICT: both refuse, but SQLite reports the latter
/// as a failed trigger, not as a foreign key.
pub(super) fn belongs(
    table: &str,
    column: &str,
    to: &str,
    to_column: &str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_{column}"))
        .from(Alias::new(table), Alias::new(column))
        .to(Alias::new(to), Alias::new(to_column))
        .on_delete(on_delete)
        .take()
}

pub(super) fn index(name: &'static str, table: &'static str, columns: &[&str]) -> Step {
    Step::Index { table, name, create: Box::new(plain(name, table, columns)) }
}

/// An index that another one has taken the place of.
pub(super) fn drop_index(name: &'static str, table: &'static str) -> Step {
    let mut drop = Index::drop();
    drop.name(name).table(Alias::new(table));
    Step::DropIndex { table, name, drop: Box::new(drop) }
}

pub(super) fn unique(name: &'static str, table: &'static str, columns: &[&str]) -> Step {
    Step::Index { table, name, create: Box::new(plain(name, table, columns).unique().take()) }
}

fn plain(name: &str, table: &str, columns: &[&str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(Alias::new(table));
    for column in columns {
        index.col(Alias::new(*column));
    }
    index.take()
}
