//! An upgraded database equals a fresh one, wherever its upgrade was cut off.

use databases::{Engine as Kind, Home};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::*;
use crate::entity::{club, segment};
use crate::{Catalog, copy};

/// Everything that the engine says of the schema, line by line.
async fn schema(home: &Home) -> Vec<String> {
    let engine = Engine::open(&DatabaseOptions::new(home.url.as_str())).await.unwrap();
    let mut lines = Vec::new();
    match home.engine {
        Kind::Sqlite => {
            let sql = "SELECT type || ' ' || name FROM sqlite_master ORDER BY 1";
            lines.extend(ask(&engine, sql).await);
            for table in tables(&engine).await {
                let sql = format!(
                    "SELECT '{table} ' || cid || name || type || \"notnull\" || coalesce(dflt_value, '-') || pk FROM pragma_table_info('{table}')"
                );
                lines.extend(ask(&engine, &sql).await);
                let sql = format!(
                    "SELECT '{table} ' || \"table\" || \"from\" || \"to\" || on_delete FROM pragma_foreign_key_list('{table}')"
                );
                lines.extend(ask(&engine, &sql).await);
            }
            lines.extend(
                ask(&engine, "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").await,
            );
        }
        Kind::MariaDb => {
            for table in tables(&engine).await {
                let statement =
                    Statement::from_string(DbBackend::MySql, format!("SHOW CREATE TABLE {table}"));
                let row = engine.reader().query_one_raw(statement).await.unwrap().unwrap();
                let text: String = row.try_get_by_index(1).unwrap();
                lines.extend(
                    text.lines().map(|line| format!("{table} {}", line.trim().trim_end_matches(','))),
                );
            }
        }
        Kind::Postgres => {
            let columns = "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' \
                || coalesce(character_maximum_length, 0) || coalesce(column_default, '-') \
                FROM information_schema.columns WHERE table_schema = 'public'";
            lines.extend(ask(&engine, columns).await);
            lines.extend(ask(&engine, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'").await);
            let constraints = "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
                FROM pg_constraint WHERE connamespace = 'public'::regnamespace";
            lines.extend(ask(&engine, constraints).await);
        }
    }
    lines.sort();
    engine.close().await.unwrap();
    lines
}

async fn ask(engine: &Engine, sql: &str) -> Vec<String> {
    let rows = engine.reader().query_all_raw(Statement::from_string(engine.backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

async fn tables(engine: &Engine) -> Vec<String> {
    ask(
        engine,
        match engine.backend() {
            DbBackend::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
            }
            DbBackend::MySql => {
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1"
            }
            _ => "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
        },
    )
    .await
}

/// Applies the first migrations and, of the one after them, the first steps: those stay where DDL commits by itself.
async fn migrate_in_part(engine: &Engine, migrations: usize, steps_of_next: usize) {
    let transaction = engine.begin_migration().await.unwrap();
    let backend = engine.backend();
    transaction.execute(&ledger(backend)).await.unwrap();
    for migration in &MIGRATIONS[..migrations] {
        for step in steps(migration, backend) {
            run(&transaction, step).await.unwrap();
        }
        transaction.execute(&record(migration)).await.unwrap();
    }
    if let Some(next) = MIGRATIONS.get(migrations) {
        for step in steps(next, backend).into_iter().take(steps_of_next) {
            run(&transaction, step).await.unwrap();
        }
    }
    engine.end_migration(transaction).await.unwrap();
}

async fn an_upgraded_database_equals_a_fresh_one(home: Home) {
    Catalog::open(&home.url).await.unwrap().close().await.unwrap();
    let fresh = schema(&home).await;
    assert!(fresh.len() > 100, "{fresh:?}");
    for (migrations, next) in MIGRATIONS.iter().enumerate() {
        let all = steps(next, DbBackend::Sqlite).len();
        // Whole, after the first step, before the last, and before nothing but the note that it was done.
        for steps_of_next in [0, 1, all - 1, all] {
            let old = Home::new(home.engine);
            let options = DatabaseOptions::new(old.url.as_str());
            let engine = Engine::open_for_maintenance(&options).await.unwrap();
            migrate_in_part(&engine, migrations, steps_of_next).await;
            engine.close().await.unwrap();
            let catalog = Catalog::open(&old.url).await.unwrap();
            assert!(pending(&applied(&catalog.engine).await.unwrap()).unwrap().is_empty());
            catalog.close().await.unwrap();
            assert_eq!(schema(&old).await, fresh, "{migrations} migrations and {steps_of_next} steps");
        }
    }
}

/// What was there before a bucket was known is kept, and stands for what it was.
async fn rows_of_the_first_schema_are_kept(home: Home) {
    let options = DatabaseOptions::new(home.url.as_str());
    let engine = Engine::open_for_maintenance(&options).await.unwrap();
    migrate_in_part(&engine, 1, 0).await;
    let bytes = |number: u8| match engine.backend() {
        DbBackend::Postgres => format!("'{}'", uuid::Uuid::from_u128(number.into())),
        _ => format!("X'{:032x}'", number),
    };
    let (club_id, court_id, channel_id, segment_id) = (bytes(1), bytes(2), bytes(3), bytes(4));
    let writer = engine.begin().await.unwrap();
    for sql in [
        format!(
            "INSERT INTO clubs (id, slug, name, zone, created_us) VALUES ({club_id}, 'norte', 'Norte', 'UTC', 1)"
        ),
        format!(
            "INSERT INTO courts (id, club_id, slug, name, position) VALUES ({court_id}, {club_id}, 'a', 'A', 0)"
        ),
        format!(
            "INSERT INTO channels (id, court_id, name, source, created_us) VALUES ({channel_id}, {court_id}, 'C', 'push', 1)"
        ),
        format!(
            "INSERT INTO segments (id, channel_id, session_id, start_us, end_us, state, size_bytes, moov_offset, object_name, init_hash) \
             VALUES ({segment_id}, {channel_id}, {channel_id}, 1000, 2000, 'sealed', 9, 5, 'a/b.mp4', 'ab')"
        ),
    ] {
        writer.execute_unprepared(&sql).await.unwrap();
    }
    writer.commit().await.unwrap();
    engine.close().await.unwrap();
    let catalog = Catalog::open(&home.url).await.unwrap();
    let segment = segment::Entity::find().one(catalog.engine.reader()).await.unwrap().unwrap();
    assert_eq!((segment.local_copy, segment.stored_us, segment.crc32), (1, None, None));
    let club = club::Entity::find().one(catalog.engine.reader()).await.unwrap().unwrap();
    assert_eq!((club.slug.as_str(), club.retention_days), ("norte", None));
}

#[tokio::test]
async fn every_table_is_copied() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let mut copied = copy::table_names();
    copied.push("seaql_migrations");
    copied.sort_unstable();
    assert_eq!(tables(&catalog.engine).await, copied);
}

databases::on_every_engine![an_upgraded_database_equals_a_fresh_one, rows_of_the_first_schema_are_kept];
