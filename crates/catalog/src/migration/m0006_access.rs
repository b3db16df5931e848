//! Who may watch: policies, links, codes, and how often codes were tried.

use sea_orm::DbBackend;
use sea_orm::sea_query::{Alias, ColumnDef, ForeignKeyAction};

use super::columns::{belongs, big, column, id, index, table, unique, word};
use super::{Migration, Step};

pub(super) const MIGRATION: Migration = Migration { name: "m0006_access", steps };

fn steps(_engine: DbBackend) -> Vec<Step> {
    let nullable = |name: &str| ColumnDef::new(Alias::new(name));

    let mut links = table("viewing_links");
    links.col(id("id").primary_key()).col(id("club_id"));
    links.col(nullable("court_id").uuid().null());
    // `all`, `range` or `live`.
    links.col(word("scope", 8));
    links.col(nullable("from_us").big_integer().null()).col(nullable("to_us").big_integer().null());
    links.col(word("token_hash", 64)).col(nullable("note").string_len(200).null());
    links.col(big("created_us")).col(big("expires_us"));
    links.col(nullable("revoked_us").big_integer().null());
    links.foreign_key(&mut belongs("viewing_links", "club_id", "clubs", "id", ForeignKeyAction::Cascade));
    links.foreign_key(&mut belongs("viewing_links", "court_id", "courts", "id", ForeignKeyAction::Cascade));

    let mut codes = table("slot_codes");
    codes.col(id("id").primary_key()).col(id("court_id")).col(big("start_us")).col(big("end_us"));
    codes.col(word("verifier", 64)).col(big("created_us")).col(big("expires_us"));
    codes.foreign_key(&mut belongs("slot_codes", "court_id", "courts", "id", ForeignKeyAction::Cascade));

    // Without a foreign key: an address is counted, and so is a slot that has no code.
    let mut attempts = table("code_attempts");
    attempts.col(word("subject", 80).primary_key()).col(big("window_from_us"));
    attempts.col(nullable("failures").integer().not_null());

    vec![
        column("clubs", "access", |column| {
            column.string_len(8).not_null().default("open");
        }),
        Step::Table { name: "viewing_links", create: Box::new(links) },
        Step::Table { name: "slot_codes", create: Box::new(codes) },
        Step::Table { name: "code_attempts", create: Box::new(attempts) },
        unique("viewing_links_token_hash", "viewing_links", &["token_hash"]),
        index("viewing_links_club_id_id", "viewing_links", &["club_id", "id"]),
        index("viewing_links_court_id", "viewing_links", &["court_id"]),
        unique("slot_codes_court_id_start_us", "slot_codes", &["court_id", "start_us"]),
        index("code_attempts_window_from_us", "code_attempts", &["window_from_us"]),
    ]
}
