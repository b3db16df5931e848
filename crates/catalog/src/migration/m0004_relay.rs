//! Where else channels go.

use sea_orm::DbBackend;
use sea_orm::sea_query::{Alias, ColumnDef, ForeignKeyAction};

use super::columns::{belongs, big, id, index, table, word};
use super::{Migration, Step};

pub(super) const MIGRATION: Migration = Migration { name: "m0004_relay", steps };

fn steps(_engine: DbBackend) -> Vec<Step> {
    let mut targets = table("relay_targets");
    targets.col(id("id").primary_key()).col(id("channel_id"));
    targets.col(ColumnDef::new(Alias::new("name")).string_len(200).null());
    targets.col(word("url", 2048)).col(big("created_us"));
    targets.foreign_key(&mut belongs(
        "relay_targets",
        "channel_id",
        "channels",
        "id",
        ForeignKeyAction::Cascade,
    ));
    vec![
        Step::Table { name: "relay_targets", create: Box::new(targets) },
        index("relay_targets_channel_id_id", "relay_targets", &["channel_id", "id"]),
    ]
}
