//! What a bucket and retention need: which segments are stored, which are still on this side, what was deleted and why.

use sea_orm::DbErr;
use sea_orm_migration::sea_query::{Alias, ColumnDef, ForeignKeyAction, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::columns::{belongs, big, id, index, key, table, word};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_bucket"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column a statement: SQLite knows no other way.
        for column in [
            // 1: kept; see `LocalCopy`. All there are so far are kept.
            ColumnDef::new(Alias::new("local_copy")).small_integer().not_null().default(1).take(),
            ColumnDef::new(Alias::new("stored_us")).big_integer().null().take(),
            ColumnDef::new(Alias::new("etag")).string_len(128).null().take(),
            ColumnDef::new(Alias::new("crc32")).big_integer().null().take(),
        ] {
            manager.alter_table(add("segments", column)).await?;
        }
        let days = ColumnDef::new(Alias::new("retention_days")).integer().null().take();
        manager.alter_table(add("clubs", days)).await?;
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in [
            // The oldest on this side first; `state` and `end_us` ride along.
            index("segments_local_copy_start_us", "segments", &["local_copy", "start_us", "state", "end_us"]),
            index("protections_channel_id_to_us", "protections", &["channel_id", "to_us"]),
            index("deletions_done_us_requested_us", "deletions", &["done_us", "requested_us"]),
            index("deletions_requested_us", "deletions", &["requested_us", "segment_id"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn add(table: &str, mut column: ColumnDef) -> sea_orm_migration::sea_query::TableAlterStatement {
    Table::alter().table(Alias::new(table)).add_column(&mut column).take()
}

fn tables() -> Vec<TableCreateStatement> {
    let mut unstored = table("unstored_segments");
    unstored.col(id("segment_id").primary_key());
    unstored.foreign_key(&mut belongs(
        "unstored_segments",
        "segment_id",
        "segments",
        "id",
        ForeignKeyAction::Cascade,
    ));

    let mut uploads = table("uploads");
    uploads.col(id("segment_id").primary_key()).col(word("upload_id", 1024)).col(big("part_bytes"));
    uploads.foreign_key(&mut belongs("uploads", "segment_id", "segments", "id", ForeignKeyAction::Cascade));

    let mut parts = table("upload_parts");
    parts.col(id("segment_id"));
    parts.col(ColumnDef::new(Alias::new("number")).integer().not_null());
    parts.col(word("etag", 128));
    parts.primary_key(&mut key(&["segment_id", "number"]));
    parts.foreign_key(&mut belongs(
        "upload_parts",
        "segment_id",
        "uploads",
        "segment_id",
        ForeignKeyAction::Cascade,
    ));

    let mut protections = table("protections");
    protections.col(id("id").primary_key()).col(id("channel_id")).col(big("from_us")).col(big("to_us"));
    protections.col(word("reason", 200)).col(big("created_us"));
    protections.foreign_key(&mut belongs(
        "protections",
        "channel_id",
        "channels",
        "id",
        ForeignKeyAction::Cascade,
    ));

    // Without a foreign key: it outlives everything it tells of.
    let mut deletions = table("deletions");
    deletions.col(id("segment_id").primary_key()).col(id("channel_id"));
    deletions.col(big("start_us")).col(big("end_us")).col(big("size_bytes"));
    deletions.col(word("object_name", 512)).col(word("reason", 16));
    deletions.col(ColumnDef::new(Alias::new("was_stored")).boolean().not_null());
    deletions.col(big("requested_us"));
    deletions.col(ColumnDef::new(Alias::new("done_us")).big_integer().null());

    vec![unstored, uploads, parts, protections, deletions]
}
