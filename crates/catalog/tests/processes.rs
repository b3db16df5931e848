//! Several processes on one database: a node, and an `admin` beside it. The children are this test binary again.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::process::{Child, Command};

use databases::{Engine, Home};
use sea_orm::{ConnectionTrait as _, Database};
use turepe_catalog::{Catalog, CatalogError};

mod common;
use common::{DAY, SECOND, channel, new_club, record};

/// Tells a child which database it works on, and its number.
const CHILD: &str = "TUREPE_TEST_CATALOG_CHILD";

/// Processes at once.
const CHILDREN: usize = 4;

/// Writes of each.
const WRITES: i64 = 25;

/// Runs `test` of this binary in another process.
fn spawn(test: &str, home: &Home, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, format!("{number}:{}", home.url))
        .spawn()
        .unwrap()
}

/// The number and the database, in a child.
fn task() -> Option<(usize, String)> {
    let task = std::env::var(CHILD).ok()?;
    let (number, url) = task.split_once(':')?;
    Some((number.parse().ok()?, url.to_owned()))
}

fn all_succeed(children: Vec<Child>) {
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

/// What a child does; alone it has no task and nothing to do.
#[tokio::test]
async fn child_opens_and_writes() {
    let Some((number, url)) = task() else { return };
    let catalog = Catalog::open(&url).await.unwrap();
    catalog.create_club(new_club(&format!("club-{number}"))).await.unwrap();
    let secret = catalog.secret("media").await.unwrap();
    assert_eq!(catalog.secret("media").await.unwrap(), secret);
    for write in 0..WRITES {
        let club = catalog.club_by_slug(&format!("club-{number}")).await.unwrap().unwrap();
        catalog.create_court(club.id, &format!("court-{write}"), "Pista").await.unwrap();
    }
}

async fn processes_that_open_a_new_database_at_once_all_find_it_whole(home: Home) {
    for home in [home.engine, home.engine].map(Home::new) {
        all_succeed((0..CHILDREN).map(|number| spawn("child_opens_and_writes", &home, number)).collect());
        let catalog = Catalog::open(&home.url).await.unwrap();
        let clubs = catalog.clubs().await.unwrap();
        assert_eq!(clubs.len(), CHILDREN);
        for club in clubs {
            let courts = catalog.courts(club.id).await.unwrap();
            let positions: Vec<i64> = courts.iter().map(|court| i64::from(court.position)).collect();
            assert_eq!(positions, (0..WRITES).collect::<Vec<_>>());
        }
    }
}

async fn a_node_reads_and_records_while_others_administer(home: Home) {
    let node = Catalog::open(&home.url).await.unwrap();
    let (_, channel, key) = channel(&node).await;
    let children = (0..2).map(|number| spawn("child_opens_and_writes", &home, number)).collect();
    let writers: Vec<_> = (0..4_i64)
        .map(|writer| {
            let (node, id, key) = (node.clone(), channel.id, key.clone());
            tokio::spawn(async move {
                for write in 0..WRITES {
                    let start_us = DAY + (writer * WRITES + write) * SECOND;
                    let segment = record(&node, id, start_us, start_us + SECOND).await;
                    // What was written is seen at once, by every connection.
                    assert!(node.segment(segment).await.unwrap().unwrap().end_us.is_some());
                    assert!(node.channel_by_key(&key).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    all_succeed(children);
    let all = node.segments_in_range(channel.id, DAY, DAY + 1_000 * SECOND).await.unwrap();
    assert_eq!(all.len() as i64, 4 * WRITES);
    assert_eq!(node.clubs().await.unwrap().len(), 3, "the node sees what others wrote without being told");
}

async fn two_handles_see_each_others_writes(home: Home) {
    let (node, admin) = (Catalog::open(&home.url).await.unwrap(), Catalog::open(&home.url).await.unwrap());
    let (_, channel, key) = channel(&admin).await;
    assert_eq!(node.channel_by_key(&key).await.unwrap().unwrap().channel, channel);
    let fresh = admin.rotate_key(channel.id).await.unwrap();
    assert!(node.channel_by_key(&key).await.unwrap().is_none());
    assert!(node.channel_by_key(&fresh).await.unwrap().is_some());
    let (a, b) = tokio::join!(node.secret("race"), admin.secret("race"));
    assert_eq!(a.unwrap(), b.unwrap());
}

/// Statements run by a stranger on the database.
async fn by_a_stranger(home: &Home, sql: &str) {
    let stranger = Database::connect(&home.url).await.unwrap();
    stranger.execute_unprepared(sql).await.unwrap();
    stranger.close().await.unwrap();
}

async fn a_newer_database_is_refused_and_left_untouched(home: Home) {
    Catalog::open(&home.url).await.unwrap().close().await.unwrap();
    by_a_stranger(&home, "INSERT INTO seaql_migrations VALUES ('m9999_holograms', 0)").await;
    let file = || home.folder().map(|folder| std::fs::read(folder.join("turepe.db")).unwrap());
    let before = file();
    let error = Catalog::open(&home.url).await.unwrap_err();
    assert!(matches!(&error, CatalogError::NewerSchema { newest } if newest == "m9999_holograms"), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
    assert_eq!(file(), before);
    by_a_stranger(&home, "DELETE FROM seaql_migrations WHERE version = 'm9999_holograms'").await;
    Catalog::open(&home.url).await.unwrap();
}

async fn a_write_that_is_dropped_half_way_is_whole_or_undone(home: Home) {
    let catalog = Catalog::open(&home.url).await.unwrap();
    for _ in 0..20 {
        // Dropped wherever it is: all of it stays or nothing, and the writer is free again.
        let write = catalog.create_club(new_club("norte"));
        let _ = tokio::time::timeout(std::time::Duration::from_micros(300), write).await;
        // A commit that had begun goes on without us; with one writer the next write comes after it.
        assert!(catalog.rename_club(uuid::Uuid::nil(), "x").await.is_err());
        let found = catalog.club_by_slug("norte").await.unwrap();
        if let Some(club) = found {
            assert_eq!(club.schedules.len(), 1, "a club without hours is half a club");
            catalog.remove_club(club.id).await.unwrap();
        }
    }
    // On a server the last commit may be seen only now.
    if matches!(catalog.create_club(new_club("norte")).await, Err(CatalogError::SlugTaken { .. })) {
        assert_eq!(catalog.club_by_slug("norte").await.unwrap().unwrap().schedules.len(), 1);
    }
}

/// A released migration is never edited: the schema it makes is written down. A new migration changes this file.
#[tokio::test]
async fn the_schema_is_as_written_down() {
    let home = Home::new(Engine::Sqlite);
    Catalog::open(&home.url).await.unwrap().close().await.unwrap();
    let stranger = Database::connect(&home.url).await.unwrap();
    let sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name";
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
    let rows = stranger.query_all_raw(statement).await.unwrap();
    let schema: Vec<String> =
        rows.iter().map(|row| row.try_get::<String>("", "sql").unwrap() + ";\n").collect();
    assert_eq!(schema.concat(), include_str!("schema.sql"));
}

databases::on_every_engine![
    processes_that_open_a_new_database_at_once_all_find_it_whole,
    a_node_reads_and_records_while_others_administer,
    two_handles_see_each_others_writes,
    a_newer_database_is_refused_and_left_untouched,
    a_write_that_is_dropped_half_way_is_whole_or_undone,
];
