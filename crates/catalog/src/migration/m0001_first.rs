//! The first schema.

use sea_orm::DbBackend;
use sea_orm::sea_query::{Alias, ColumnDef, ForeignKeyAction, TableCreateStatement};

use super::columns::{belongs, big, bytes, id, index, key, table, unique, word};
use super::{Migration, Step};

pub(super) const MIGRATION: Migration = Migration { name: "m0001_first", steps };

fn steps(engine: DbBackend) -> Vec<Step> {
    let tables =
        tables(engine).into_iter().map(|(name, create)| Step::Table { name, create: Box::new(create) });
    tables.chain(indexes()).collect()
}

fn tables(engine: DbBackend) -> Vec<(&'static str, TableCreateStatement)> {
    let mut clubs = table("clubs");
    clubs.col(id("id").primary_key()).col(word("slug", 64)).col(word("name", 200)).col(word("zone", 64));
    clubs.col(big("created_us"));

    let mut club_schedules = table("club_schedules");
    club_schedules.col(id("club_id")).col(big("effective_from_us")).col(word("hours", 512));
    club_schedules.col(ColumnDef::new(Alias::new("appointment_duration_min")).integer().not_null());
    club_schedules.primary_key(&mut key(&["club_id", "effective_from_us"]));
    club_schedules.foreign_key(&mut belongs(
        "club_schedules",
        "club_id",
        "clubs",
        "id",
        ForeignKeyAction::Cascade,
    ));

    let mut courts = table("courts");
    courts.col(id("id").primary_key()).col(id("club_id")).col(word("slug", 64)).col(word("name", 200));
    courts.col(ColumnDef::new(Alias::new("position")).integer().not_null());
    courts.foreign_key(&mut belongs("courts", "club_id", "clubs", "id", ForeignKeyAction::NoAction));

    let mut channels = table("channels");
    channels.col(id("id").primary_key());
    channels.col(ColumnDef::new(Alias::new("court_id")).uuid().null());
    channels.col(word("name", 200)).col(word("source", 8));
    channels.col(ColumnDef::new(Alias::new("pull_url")).string_len(2048).null());
    channels.col(ColumnDef::new(Alias::new("key_hash")).string_len(64).null());
    channels.col(big("created_us"));
    channels.foreign_key(&mut belongs("channels", "court_id", "courts", "id", ForeignKeyAction::NoAction));

    let mut segments = table("segments");
    segments.col(id("id").primary_key()).col(id("channel_id")).col(id("session_id")).col(big("start_us"));
    segments.col(ColumnDef::new(Alias::new("end_us")).big_integer().null());
    segments.col(word("state", 8)).col(big("size_bytes")).col(big("moov_offset"));
    segments.col(word("object_name", 512)).col(word("init_hash", 64));
    segments.foreign_key(&mut belongs(
        "segments",
        "channel_id",
        "channels",
        "id",
        ForeignKeyAction::NoAction,
    ));

    let mut growing_segments = table("growing_segments");
    growing_segments.col(id("segment_id").primary_key());
    growing_segments.foreign_key(&mut belongs(
        "growing_segments",
        "segment_id",
        "segments",
        "id",
        ForeignKeyAction::Cascade,
    ));

    let mut segment_indexes = table("segment_indexes");
    segment_indexes.col(id("segment_id").primary_key()).col(bytes("fragments", engine));
    segment_indexes.foreign_key(&mut belongs(
        "segment_indexes",
        "segment_id",
        "segments",
        "id",
        ForeignKeyAction::Cascade,
    ));

    let mut inits = table("inits");
    inits.col(word("hash", 64).primary_key()).col(bytes("content", engine));

    let mut gaps = table("gaps");
    gaps.col(id("channel_id")).col(big("start_us"));
    gaps.col(ColumnDef::new(Alias::new("end_us")).big_integer().null());
    gaps.col(word("cause", 8));
    gaps.primary_key(&mut key(&["channel_id", "start_us"]));
    gaps.foreign_key(&mut belongs("gaps", "channel_id", "channels", "id", ForeignKeyAction::Cascade));

    let mut settings = table("settings");
    settings.col(word("name", 64).primary_key()).col(bytes("content", engine));

    vec![
        ("clubs", clubs),
        ("club_schedules", club_schedules),
        ("courts", courts),
        ("channels", channels),
        ("segments", segments),
        ("growing_segments", growing_segments),
        ("segment_indexes", segment_indexes),
        ("inits", inits),
        ("gaps", gaps),
        ("settings", settings),
    ]
}

fn indexes() -> Vec<Step> {
    vec![
        unique("clubs_slug", "clubs", &["slug"]),
        unique("courts_club_id_slug", "courts", &["club_id", "slug"]),
        index("channels_court_id", "channels", &["court_id"]),
        unique("channels_key_hash", "channels", &["key_hash"]),
        // `end_us` rides along so that spans are answered from the index alone.
        index("segments_channel_id_start_us", "segments", &["channel_id", "start_us", "end_us"]),
    ]
}
