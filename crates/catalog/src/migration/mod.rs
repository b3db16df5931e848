//! The schema's history. A migration that was released is never changed: a new one follows it.
//!
//! A migration is a list of steps, so that it can be run, printed, and taken up again where it was cut off: every step
//! looks first whether it was done, because MySQL commits each one by itself.
//!
//! Column types that mean the same on every engine: instants and sizes are BIGINT, ids the engine's UUID (16 bytes on
//! SQLite and MySQL), words and JSON are text, bytes are BLOBs in tables of their own.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{
    IndexCreateStatement, IndexDropStatement, TableAlterStatement, TableCreateStatement,
};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityName as _, EntityTrait as _,
    QueryTrait as _, Schema, StatementBuilder,
};
use sea_orm_migration::{SchemaManager, seaql_migrations};
use world::{Clock as _, SystemClock};

use crate::engine::{self, Engine};
use crate::error::CatalogError;
use crate::options::DatabaseOptions;

mod columns;
mod m0001_first;
mod m0002_bucket;
mod m0003_live_access;
mod m0004_relay;
mod m0005_nodes;
mod m0006_access;
mod m0007_sealed;
#[cfg(test)]
mod tests;

/// Longest sealed address of a relay target, in characters.
pub(crate) const SEALED_URL_LEN: u32 = 3072;

/// One version of the schema, as the way there from the one before.
pub(crate) struct Migration {
    /// As it is written down in the database.
    name: &'static str,
    steps: fn(DbBackend) -> Vec<Step>,
}

/// What is done at once and can be looked for afterwards.
pub(crate) enum Step {
    /// A new table.
    Table {
        /// Its name.
        name: &'static str,
        /// How it is made.
        create: Box<TableCreateStatement>,
    },
    /// A new column of an old table.
    Column {
        /// The table.
        table: &'static str,
        /// The column.
        name: &'static str,
        /// How it is added.
        add: Box<TableAlterStatement>,
    },
    /// An old column that takes longer texts. Done twice it does no harm.
    Widen {
        /// How it is changed.
        alter: Box<TableAlterStatement>,
    },
    /// A new index.
    Index {
        /// Its table.
        table: &'static str,
        /// Its name.
        name: &'static str,
        /// How it is made.
        create: Box<IndexCreateStatement>,
    },
    /// An old index that goes.
    DropIndex {
        /// Its table.
        table: &'static str,
        /// Its name.
        name: &'static str,
        /// How it is dropped.
        drop: Box<IndexDropStatement>,
    },
}

/// All migrations in order.
const MIGRATIONS: [Migration; 7] = [
    m0001_first::MIGRATION,
    m0002_bucket::MIGRATION,
    m0003_live_access::MIGRATION,
    m0004_relay::MIGRATION,
    m0005_nodes::MIGRATION,
    m0006_access::MIGRATION,
    m0007_sealed::MIGRATION,
];

/// The names of all migrations in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().map(|migration| migration.name)
}

/// Brings the schema up to date, or refuses a newer one before anything is changed.
///
/// Looks first without a lock, so that opening an up-to-date database waits for nobody. Everything else happens under the
/// engine's lock: of two processes that open a database at once, one migrates and the other finds it done.
pub(crate) async fn migrate(engine: &Engine, options: &DatabaseOptions) -> Result<(), CatalogError> {
    if pending(&applied(engine).await?)?.is_empty() {
        return Ok(());
    }
    if engine.backend() == DbBackend::Sqlite {
        // A database in memory lives in the one connection that it has.
        return up(engine).await;
    }
    let patient = Engine::open_for_maintenance(options).await?;
    let done = up(&patient).await;
    patient.close().await?;
    done
}

/// As [`migrate`], with an engine that has the time.
pub(crate) async fn up(engine: &Engine) -> Result<(), CatalogError> {
    let transaction = engine.begin_migration().await?;
    for migration in pending(&applied_in(&transaction).await?)? {
        tracing::info!(migration = migration.name, "bringing the database schema up to date");
        for step in steps(migration, transaction.get_database_backend()) {
            run(&transaction, step).await?;
        }
        transaction.execute(&record(migration)).await?;
    }
    engine.end_migration(transaction).await?;
    tracing::info!("database schema is up to date");
    Ok(())
}

/// What [`up`] would say to a database, statement by statement.
pub(crate) fn pending_sql(backend: DbBackend, applied: &[String]) -> Result<Vec<String>, CatalogError> {
    let mut sql = Vec::new();
    let pending = pending(applied)?;
    if !pending.is_empty() && applied.is_empty() {
        sql.push(text(backend, &ledger(backend)));
    }
    for migration in pending {
        for step in steps(migration, backend) {
            let statement = match &step {
                // SQLite takes texts of any length, and cannot change a column.
                Step::Widen { .. } if backend == DbBackend::Sqlite => continue,
                Step::Widen { alter } => text(backend, alter.as_ref()),
                Step::Table { create, .. } => text(backend, create.as_ref()),
                Step::Column { add, .. } => text(backend, add.as_ref()),
                Step::Index { create, .. } => text(backend, create.as_ref()),
                Step::DropIndex { drop, .. } => text(backend, drop.as_ref()),
            };
            sql.push(statement);
        }
        sql.push(text(backend, &record(migration)));
    }
    Ok(sql)
}

fn text<S: StatementBuilder>(backend: DbBackend, statement: &S) -> String {
    backend.build(statement).to_string()
}

/// The migrations that were not applied, in order; an error if some were that this program does not have.
pub(crate) fn pending(applied: &[String]) -> Result<Vec<&'static Migration>, CatalogError> {
    if let Some(newest) = unknown(applied).max() {
        return Err(CatalogError::NewerSchema { newest: newest.clone() });
    }
    Ok(MIGRATIONS.iter().filter(|migration| !applied.iter().any(|name| name == migration.name)).collect())
}

/// What a newer version has applied.
pub(crate) fn unknown(applied: &[String]) -> impl Iterator<Item = &String> {
    applied.iter().filter(|name| !names().any(|known| known == name.as_str()))
}

/// The names of the migrations that were applied; none where there is no schema yet.
pub(crate) async fn applied(engine: &Engine) -> Result<Vec<String>, CatalogError> {
    let schema = SchemaManager::new(engine.connection());
    if !schema.has_table(seaql_migrations::Entity.table_name()).await? {
        return Ok(Vec::new());
    }
    let models = seaql_migrations::Entity::find().all(engine.reader()).await?;
    Ok(models.into_iter().map(|model| model.version).collect())
}

async fn applied_in(transaction: &DatabaseTransaction) -> Result<Vec<String>, CatalogError> {
    transaction.execute(&ledger(transaction.get_database_backend())).await?;
    let models = seaql_migrations::Entity::find().all(transaction).await?;
    Ok(models.into_iter().map(|model| model.version).collect())
}

/// The table that remembers what was applied.
fn ledger(backend: DbBackend) -> TableCreateStatement {
    let table =
        Schema::new(backend).create_table_from_entity(seaql_migrations::Entity).if_not_exists().take();
    engine::shaped(table, backend)
}

fn record(migration: &Migration) -> sea_orm::sea_query::InsertStatement {
    let row = seaql_migrations::ActiveModel {
        version: Set(migration.name.to_owned()),
        applied_at: Set(SystemClock.now_us() / 1_000_000),
    };
    seaql_migrations::Entity::insert(row).into_query()
}

/// The steps of a migration, shaped for an engine.
fn steps(migration: &Migration, backend: DbBackend) -> Vec<Step> {
    let shape = |step| match step {
        Step::Table { name, create } => {
            Step::Table { name, create: Box::new(engine::shaped(*create, backend)) }
        }
        other => other,
    };
    (migration.steps)(backend).into_iter().map(shape).collect()
}

/// Runs a step that was not run before.
async fn run(transaction: &DatabaseTransaction, step: Step) -> Result<(), DbErr> {
    let schema = SchemaManager::new(transaction);
    match step {
        Step::Table { name, create } => {
            if !schema.has_table(name).await? {
                transaction.execute(create.as_ref()).await?;
            }
        }
        Step::Column { table, name, add } => {
            if !schema.has_column(table, name).await? {
                transaction.execute(add.as_ref()).await?;
            }
        }
        Step::Widen { alter } => {
            if transaction.get_database_backend() != DbBackend::Sqlite {
                transaction.execute(alter.as_ref()).await?;
            }
        }
        Step::Index { table, name, create } => {
            if !schema.has_index(table, name).await? {
                transaction.execute(create.as_ref()).await?;
            }
        }
        Step::DropIndex { table, name, drop } => {
            if schema.has_index(table, name).await? {
                transaction.execute(drop.as_ref()).await?;
            }
        }
    }
    Ok(())
}
