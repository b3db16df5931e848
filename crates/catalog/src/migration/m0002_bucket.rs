//! What a bucket and retention need: which segments are stored, which are still on this side, what was deleted and why.

use sea_orm::DbBackend;
use sea_orm::sea_query::{Alias, ColumnDef, ForeignKeyAction, TableCreateStatement};

use super::columns::{belongs, big, column, id, index, key, table, word};
use super::{Migration, Step};

pub(super) const MIGRATION: Migration = Migration { name: "m0002_bucket", steps };

fn steps(_engine: DbBackend) -> Vec<Step> {
    // One column a statement: SQLite knows no other way.
    let mut steps = vec![
        // 1: kept; see `LocalCopy`. All there are so far are kept.
        column("segments", "local_copy", |column| {
            column.small_integer().not_null().default(1);
        }),
        column("segments", "stored_us", |column| {
            column.big_integer().null();
        }),
        column("segments", "etag", |column| {
            column.string_len(128).null();
        }),
        column("segments", "crc32", |column| {
            column.big_integer().null();
        }),
        column("clubs", "retention_days", |column| {
            column.integer().null();
        }),
    ];
    steps.extend(tables().into_iter().map(|(name, create)| Step::Table { name, create: Box::new(create) }));
    steps.extend([
        // The oldest on this side first; `state` and `end_us` ride along.
        index("segments_local_copy_start_us", "segments", &["local_copy", "start_us", "state", "end_us"]),
        index("protections_channel_id_to_us", "protections", &["channel_id", "to_us"]),
        index("deletions_done_us_requested_us", "deletions", &["done_us", "requested_us"]),
        index("deletions_requested_us", "deletions", &["requested_us", "segment_id"]),
    ]);
    steps
}

fn tables() -> Vec<(&'static str, TableCreateStatement)> {
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

    vec![
        ("unstored_segments", unstored),
        ("uploads", uploads),
        ("upload_parts", parts),
        ("protections", protections),
        ("deletions", deletions),
    ]
}
