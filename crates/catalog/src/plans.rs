//! Proof that the queries of a replay do not grow with the catalog: SQLite's own plan for each of them.

use sea_orm::{ConnectionTrait as _, DbBackend, EntityTrait, QueryTrait as _, Select, Statement};
use uuid::Uuid;

use crate::{Catalog, channels, gaps, retention, segments, uploads};

/// What `EXPLAIN QUERY PLAN` says of a query, one line a step (<https://www.sqlite.org/eqp.html>).
async fn plan<E: EntityTrait>(catalog: &Catalog, query: Select<E>) -> Vec<String> {
    let query = query.build(DbBackend::Sqlite);
    let sql = format!("EXPLAIN QUERY PLAN {}", query.sql);
    let explain = match query.values {
        Some(values) => Statement::from_sql_and_values(DbBackend::Sqlite, sql, values),
        None => Statement::from_string(DbBackend::Sqlite, sql),
    };
    let rows = catalog.engine.reader().query_all_raw(explain).await.unwrap();
    rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect()
}

async fn catalog() -> Catalog {
    Catalog::open("sqlite::memory:").await.unwrap()
}

#[tokio::test]
async fn a_range_of_segments_is_a_range_of_the_index() {
    let plan = plan(&catalog().await, segments::tests::query_range(Uuid::nil())).await;
    assert_eq!(
        plan,
        [
            "SEARCH segments USING INDEX segments_channel_id_start_us (channel_id=? AND start_us>? AND start_us<?)"
        ]
    );
}

#[tokio::test]
async fn spans_are_answered_from_the_index_alone() {
    let plan = plan(&catalog().await, segments::tests::query_spans(Uuid::nil())).await;
    assert_eq!(
        plan,
        ["SEARCH segments USING COVERING INDEX segments_channel_id_start_us \
          (channel_id=? AND start_us>? AND start_us<?)"]
    );
}

#[tokio::test]
async fn a_key_is_found_by_its_hash() {
    let plan = plan(&catalog().await, channels::tests::query_by_hash()).await;
    assert_eq!(plan[0], "SEARCH channels USING INDEX channels_key_hash (key_hash=?)");
    assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{plan:?}");
}

#[tokio::test]
async fn nothing_else_reads_a_whole_table() {
    let catalog = catalog().await;
    for query in gaps::tests::queries(Uuid::nil()) {
        let plan = plan(&catalog, query).await;
        assert!(plan.len() == 1 && plan[0].starts_with("SEARCH gaps USING INDEX"), "{plan:?}");
    }
    let of_indexes = plan(&catalog, segments::tests::query_indexes(&[Uuid::nil(), Uuid::max()])).await;
    assert!(
        of_indexes.len() == 1 && of_indexes[0].starts_with("SEARCH segment_indexes USING INDEX"),
        "{of_indexes:?}"
    );
    // The short list is read whole, and nothing but the short list.
    let of_growing = plan(&catalog, segments::tests::query_growing()).await;
    assert!(of_growing[0].starts_with("SCAN growing_segments"), "{of_growing:?}");
    assert!(of_growing[1].starts_with("SEARCH segments USING INDEX"), "{of_growing:?}");
    assert_eq!(of_growing.len(), 2, "{of_growing:?}");
}

#[tokio::test]
async fn uploads_and_retention_read_no_more_than_they_need() {
    let catalog = catalog().await;
    let of_unstored = plan(&catalog, uploads::tests::query_unstored()).await;
    assert!(of_unstored[0].starts_with("SCAN unstored_segments"), "{of_unstored:?}");
    assert!(of_unstored[1].starts_with("SEARCH segments USING INDEX"), "{of_unstored:?}");
    let of_parts = plan(&catalog, uploads::tests::query_parts()).await;
    assert!(of_parts.iter().all(|step| step.starts_with("SEARCH upload_parts USING")), "{of_parts:?}");
    let of_expired = plan(&catalog, retention::tests::query_expired()).await;
    assert!(
        of_expired[0].starts_with("SEARCH segments USING INDEX segments_channel_id_start_us"),
        "{of_expired:?}"
    );
    assert_never_sorted_nor_scanned(&of_expired);
    for query in retention::tests::queries_local() {
        let plan = plan(&catalog, query).await;
        assert!(plan[0].starts_with("SEARCH segments USING INDEX segments_local_copy_start_us"), "{plan:?}");
        assert_never_sorted_nor_scanned(&plan);
    }
    for query in retention::tests::queries_deletions() {
        let plan = plan(&catalog, query).await;
        assert!(plan[0].starts_with("SEARCH deletions USING INDEX"), "{plan:?}");
        assert_never_sorted_nor_scanned(&plan);
    }
    let of_whole = plan(&catalog, segments::tests::query_whole()).await;
    assert!(of_whole[0].starts_with("SEARCH segments USING INDEX sqlite_autoindex"), "{of_whole:?}");
    let of_channel = plan(&catalog, segments::tests::query_whole_of()).await;
    assert!(
        of_channel[0].starts_with("SEARCH segments USING INDEX segments_channel_id_start_us"),
        "{of_channel:?}"
    );
    assert!(!of_channel.iter().any(|step| step == "USE TEMP B-TREE FOR ORDER BY"), "{of_channel:?}");
}

fn assert_never_sorted_nor_scanned(plan: &[String]) {
    assert!(!plan.iter().any(|step| step.starts_with("SCAN") || step.contains("B-TREE")), "{plan:?}");
}
