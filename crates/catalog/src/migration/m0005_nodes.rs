//! Which node holds the bytes of a row.
//!
//! Rows that were there before belong to no node, until one finds their files with itself. They are not given to whoever
//! comes first: two nodes may have shared the database already.

use sea_orm::DbBackend;

use super::columns::{big, column, drop_index, id, index, table, word};
use super::{Migration, Step};

pub(super) const MIGRATION: Migration = Migration { name: "m0005_nodes", steps };

fn steps(_engine: DbBackend) -> Vec<Step> {
    let mut nodes = table("nodes");
    nodes.col(id("id").primary_key()).col(word("name", 200)).col(id("run_id"));
    nodes.col(big("first_seen_us")).col(big("last_seen_us"));
    let of_node = |table| {
        column(table, "node_id", |column| {
            column.uuid().null();
        })
    };
    vec![
        Step::Table { name: "nodes", create: Box::new(nodes) },
        of_node("segments"),
        of_node("growing_segments"),
        of_node("unstored_segments"),
        of_node("deletions"),
        // When the bucket had let go of it: another node than its own may see to that.
        column("deletions", "bucket_us", |column| {
            column.big_integer().null();
        }),
        // As those they take the place of, node by node.
        index(
            "segments_node_id_local_copy_start_us",
            "segments",
            &["node_id", "local_copy", "start_us", "state", "end_us"],
        ),
        drop_index("segments_local_copy_start_us", "segments"),
        index("growing_segments_node_id", "growing_segments", &["node_id", "segment_id"]),
        index("unstored_segments_node_id", "unstored_segments", &["node_id", "segment_id"]),
        index("deletions_node_id_done_us_requested_us", "deletions", &["node_id", "done_us", "requested_us"]),
        index(
            "deletions_done_us_bucket_us_requested_us",
            "deletions",
            &["done_us", "bucket_us", "requested_us"],
        ),
        drop_index("deletions_done_us_requested_us", "deletions"),
    ]
}
