//! Room for addresses of relay targets that are sealed (`crate::seal`): longer by a nonce, a tag and base64. What is there is sealed
//! by the first start that has a key, not here: a schema is brought up to date without one, too.

use sea_orm::DbBackend;

use super::columns::widen;
use super::{Migration, SEALED_URL_LEN, Step};

pub(super) const MIGRATION: Migration = Migration { name: "m0007_sealed", steps };

fn steps(_engine: DbBackend) -> Vec<Step> {
    vec![widen("relay_targets", "url", |column| {
        column.string_len(SEALED_URL_LEN).not_null();
    })]
}
