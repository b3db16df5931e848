//! Who may watch a club's courts live.

use sea_orm::DbBackend;

use super::columns::column;
use super::{Migration, Step};

pub(super) const MIGRATION: Migration = Migration { name: "m0003_live_access", steps };

fn steps(_engine: DbBackend) -> Vec<Step> {
    vec![column("clubs", "live_access", |column| {
        column.string_len(8).not_null().default("open");
    })]
}
