//! Proof that no question grows with the catalog: the engines' own plans for each of them.
//!
//! SQLite tells its plan from the indexes alone. MariaDB is given rows first, as its planner weighs them. PostgreSQL is
//! forbidden to scan and to sort: where its plan still does, there is no index that would have done.

use databases::{Engine, Home};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ConnectionTrait as _, DbBackend, EntityTrait, QueryTrait as _, Select, Statement, TransactionTrait as _,
};
use uuid::Uuid;

use crate::entity::{deletion, gap, protection};
use crate::{
    Catalog, NewChannel, NewClub, NewRelayTarget, NewSegment, NewSlotCode, NewViewingLink, Place,
    SealedSegment, Source, channels, code_attempts, gaps, nodes, relay_targets, retention, segments,
    slot_codes, uploads, viewing_links,
};

/// A question and what its plan may do.
struct Question {
    name: &'static str,
    statement: Statement,
    /// A table that is short by design and may be read whole.
    short: Option<&'static str>,
    /// Whether few rows are sorted afterwards.
    is_sorted: bool,
}

fn question<E: EntityTrait>(backend: DbBackend, name: &'static str, query: Select<E>) -> Question {
    Question { name, statement: query.build(backend), short: None, is_sorted: false }
}

/// Every question whose answer could come from many rows.
fn questions(backend: DbBackend, channel_id: Uuid) -> Vec<Question> {
    let ids = [Uuid::nil(), Uuid::max()];
    let mut all = vec![
        question(backend, "segments of a range", segments::tests::query_range(channel_id)),
        question(backend, "spans", segments::tests::query_spans(channel_id)),
        question(backend, "whole segments", segments::tests::query_whole()),
        question(backend, "the newest segments", segments::tests::query_newest()),
        question(backend, "whole segments of a channel", segments::tests::query_whole_of()),
        question(backend, "indexes", segments::tests::query_indexes(&ids)),
        question(backend, "a key", channels::tests::query_by_hash()),
        question(backend, "a page of keys", channels::tests::query_publishing()),
        question(backend, "a page of all segments", uploads::tests::query_walk()),
        Question {
            short: Some("growing_segments"),
            ..question(backend, "growing", segments::tests::query_growing())
        },
        Question {
            short: Some("unstored_segments"),
            ..question(backend, "unstored", uploads::tests::query_unstored())
        },
        question(backend, "what a node holds", nodes::tests::query_held()),
        question(backend, "what another node records next", nodes::tests::query_next_elsewhere(channel_id)),
        Question {
            short: Some("growing_segments"),
            ..question(backend, "growing elsewhere", nodes::tests::query_elsewhere(channel_id))
        },
        Question { is_sorted: true, ..question(backend, "parts", uploads::tests::query_parts()) },
        question(backend, "expired", retention::tests::query_expired()),
    ];
    let [targets_of, all_targets] = relay_targets::tests::queries(channel_id);
    all.push(question(backend, "relay targets of a channel", targets_of));
    all.push(Question {
        short: Some("relay_targets"),
        ..question(backend, "all relay targets", all_targets)
    });
    let [by_token, links] = viewing_links::tests::queries(channel_id);
    all.push(question(backend, "a link's token", by_token));
    all.push(question(backend, "links of a club", links));
    all.extend(slot_codes::tests::queries(channel_id).map(|query| question(backend, "codes", query)));
    all.push(question(backend, "attempts that are over", code_attempts::tests::query_over()));
    all.extend(gaps::tests::queries(channel_id).map(|query| question(backend, "gaps", query)));
    all.extend(retention::tests::queries_local().map(|query| question(backend, "local copies", query)));
    all.extend(
        retention::tests::queries_deletions(backend).map(|query| question(backend, "deletions", query)),
    );
    all
}

fn explained(explain: &str, statement: &Statement) -> Statement {
    let sql = format!("{explain} {}", statement.sql);
    match statement.values.clone() {
        Some(values) => Statement::from_sql_and_values(statement.db_backend, sql, values),
        None => Statement::from_string(statement.db_backend, sql),
    }
}

/// Tables that a plan reads whole, and whether it sorts.
async fn read_whole(catalog: &Catalog, statement: &Statement) -> (Vec<String>, bool, Vec<String>) {
    match catalog.engine.backend() {
        DbBackend::Sqlite => {
            // <https://www.sqlite.org/eqp.html>
            let rows =
                catalog.engine.reader().query_all_raw(explained("EXPLAIN QUERY PLAN", statement)).await;
            let steps: Vec<String> =
                rows.unwrap().iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect();
            let scans = steps.iter().filter_map(|step| step.strip_prefix("SCAN ")).map(first_word).collect();
            (scans, steps.iter().any(|step| step.contains("B-TREE FOR ORDER")), steps)
        }
        DbBackend::MySql => {
            // <https://mariadb.com/kb/en/explain/>
            let rows = catalog.engine.reader().query_all_raw(explained("EXPLAIN", statement)).await.unwrap();
            let (mut scans, mut is_sorted, mut steps) = (Vec::new(), false, Vec::new());
            for row in rows {
                let word = |name: &str| row.try_get::<Option<String>>("", name).unwrap().unwrap_or_default();
                let (table, kind, extra) = (word("table"), word("type"), word("Extra"));
                if matches!(kind.as_str(), "ALL" | "index") {
                    scans.push(table.clone());
                }
                is_sorted |= extra.contains("filesort");
                steps.push(format!("{table}: {kind} {} {extra}", word("key")));
            }
            (scans, is_sorted, steps)
        }
        _ => {
            let transaction = catalog.engine.connection().begin().await.unwrap();
            for what in ["seqscan", "bitmapscan", "sort"] {
                transaction.execute_unprepared(&format!("SET LOCAL enable_{what} = off")).await.unwrap();
            }
            // <https://www.postgresql.org/docs/current/using-explain.html>
            let rows = transaction.query_all_raw(explained("EXPLAIN (COSTS OFF)", statement)).await.unwrap();
            let steps: Vec<String> =
                rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap().trim().to_owned()).collect();
            let scans = steps
                .iter()
                .enumerate()
                .filter(|(_, step)| step.contains("Scan"))
                // An index without a condition is read from end to end, too.
                .filter(|(at, _)| !steps.get(at + 1).is_some_and(|next| next.starts_with("Index Cond")))
                .filter_map(|(_, step)| step.split_once(" on ").map(|(_, table)| first_word(table)))
                .collect();
            // An incremental sort is one of what is equal in the index.
            (scans, steps.iter().any(|step| step.trim_start_matches("->").trim() == "Sort"), steps)
        }
    }
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Rows for planners that weigh them: twenty channels with a week each.
async fn fill(catalog: &Catalog) -> Uuid {
    let mut channels = Vec::new();
    for number in 0..20 {
        let club = NewClub {
            slug: format!("club-{number}"),
            name: "Club".into(),
            zone: "UTC".into(),
            hours: "08:00-24:00".parse().unwrap(),
            appointment_duration_min: 90,
        };
        let club = catalog.create_club(club).await.unwrap();
        let court = catalog.create_court(club.id, "a", "A").await.unwrap();
        fill_access(catalog, club.id, court.id).await;
        let court_id = Some(court.id);
        let new = NewChannel { court_id, name: format!("Channel {number}"), source: Source::Push };
        channels.push(catalog.create_channel(new).await.unwrap().0.id);
    }
    let quarter = 900_000_000;
    let rows = (0..500_i64).flat_map(|number| {
        channels.iter().map(move |channel_id| {
            let start_us = number * quarter;
            let new = NewSegment {
                id: catalog.new_id(),
                channel_id: *channel_id,
                session_id: *channel_id,
                start_us,
                object_name: "a/b.mp4".into(),
                init_hash: "ab".into(),
            };
            // All but the last day is in the bucket alone.
            let place = if number < 400 {
                Place::Bucket { etag: "e".into(), stored_us: start_us }
            } else {
                Place::ToBucket
            };
            let end_us = start_us + quarter;
            (new, SealedSegment { end_us, size_bytes: 9, moov_offset: 5, index: vec![1], crc32: None, place })
        })
    });
    let rows: Vec<_> = rows.collect();
    catalog.insert_sealed_segments(rows).await.unwrap();
    for channel_id in &channels {
        for number in 0..5 {
            let url = format!("rtmp://target.example/live/{number}");
            catalog
                .add_relay_target(NewRelayTarget { channel_id: *channel_id, name: None, url })
                .await
                .unwrap();
        }
    }
    let writer = catalog.engine.begin().await.unwrap();
    for channel_id in &channels {
        let gaps = (0..100_i64).map(|number| gap::ActiveModel {
            channel_id: Set(*channel_id),
            start_us: Set(number * quarter),
            end_us: Set(Some(number * quarter + 1_000)),
            cause: Set("camera".into()),
        });
        gap::Entity::insert_many(gaps).exec_without_returning(&writer).await.unwrap();
        let deletions = (0..100_i64).map(|number| deletion::ActiveModel {
            segment_id: Set(catalog.new_id()),
            channel_id: Set(*channel_id),
            start_us: Set(number),
            end_us: Set(number + 1),
            size_bytes: Set(1),
            object_name: Set("a".into()),
            reason: Set("space".into()),
            was_stored: Set(true),
            requested_us: Set(number * 7),
            done_us: Set((number > 2).then_some(number * 7 + 1)),
            node_id: Set(Some(*channel_id)),
            bucket_us: Set((number > 1).then_some(number * 7)),
        });
        deletion::Entity::insert_many(deletions).exec_without_returning(&writer).await.unwrap();
        let protections = (0..20_i64).map(|number| protection::ActiveModel {
            id: Set(catalog.new_id()),
            channel_id: Set(*channel_id),
            from_us: Set(number * quarter),
            to_us: Set(number * quarter + 1),
            reason: Set("final".into()),
            created_us: Set(1),
        });
        protection::Entity::insert_many(protections).exec_without_returning(&writer).await.unwrap();
    }
    let analyse = match catalog.engine.backend() {
        DbBackend::MySql => {
            "ANALYZE TABLE clubs, courts, channels, segments, segment_indexes, unstored_segments, gaps, deletions, protections, relay_targets, viewing_links, slot_codes, code_attempts"
        }
        _ => "ANALYZE",
    };
    writer.commit().await.unwrap();
    let writer = catalog.engine.begin().await.unwrap();
    writer.execute_unprepared(analyse).await.unwrap();
    writer.commit().await.unwrap();
    channels[3]
}

/// Links, codes and attempts of a club, as many as a planner takes for many.
async fn fill_access(catalog: &Catalog, club_id: Uuid, court_id: Uuid) {
    for number in 0..10_i64 {
        let expires_us = i64::MAX / 2;
        let scope = access::Scope::All;
        let link = NewViewingLink { club_id, court_id: None, scope, note: None, expires_us };
        catalog.create_link(link).await.unwrap();
        let (start_us, end_us) = (number * 100, number * 100 + 90);
        catalog.create_slot_code(NewSlotCode { court_id, start_us, end_us, expires_us }).await.unwrap();
        let limit = access::PER_SLOT;
        catalog.count_attempt(&[(format!("{club_id} {number}"), limit)]).await.unwrap().unwrap();
    }
}

async fn no_question_reads_a_whole_table(home: Home) {
    let catalog = Catalog::open(&home.url).await.unwrap().for_node(Uuid::max());
    let channel_id = fill(&catalog).await;
    for Question { name, statement, short, is_sorted } in questions(catalog.engine.backend(), channel_id) {
        let (scans, sorts, steps) = read_whole(&catalog, &statement).await;
        assert!(!steps.is_empty());
        assert!(scans.iter().all(|table| Some(table.as_str()) == short), "{name}: {steps:#?}");
        assert!(is_sorted || !sorts, "{name}: {steps:#?}");
    }
}

/// What the planner of SQLite makes of it, word by word: the index is one that holds all that is asked for.
#[tokio::test]
async fn spans_are_answered_from_the_index_alone() {
    let home = Home::new(Engine::Sqlite);
    let catalog = Catalog::open(&home.url).await.unwrap();
    let spans = segments::tests::query_spans(Uuid::nil()).build(DbBackend::Sqlite);
    let (_, _, steps) = read_whole(&catalog, &spans).await;
    assert_eq!(
        steps,
        ["SEARCH segments USING COVERING INDEX segments_channel_id_start_us \
          (channel_id=? AND start_us>? AND start_us<?)"]
    );
}

databases::on_every_engine![no_question_reads_a_whole_table];
