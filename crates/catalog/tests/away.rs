//! A database on the network that is killed, frozen and started again under the catalog's hands.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::time::{Duration, Instant};

use databases::{Kind, Server};
use turepe_catalog::{Catalog, CatalogError, DatabaseOptions, Publishers};
use uuid::Uuid;

mod common;
use common::{DAY, SECOND, channel, new_segment, sealed};
use world::SystemClock;

const QUARTER: i64 = 900 * SECOND;

/// Short, so that the test is; long enough for a busy machine.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Longest time in which a question must be answered or refused: the patience with connection and answer, and some.
const PATIENCE: Duration = Duration::from_secs(8);

fn options(server: &Server) -> DatabaseOptions {
    DatabaseOptions {
        connect_timeout: CONNECT_TIMEOUT,
        statement_timeout: Duration::from_secs(2),
        max_connections: 4,
        ..DatabaseOptions::new(server.create_database().unwrap())
    }
}

async fn open(options: &DatabaseOptions) -> Catalog {
    Catalog::open_with(options, std::sync::Arc::new(SystemClock)).await.unwrap()
}

/// Asks until the database answers.
async fn until_answered<T, F: Future<Output = Result<T, CatalogError>>>(question: impl Fn() -> F) -> T {
    let start = Instant::now();
    loop {
        match question().await {
            Ok(answer) => return answer,
            Err(error) => {
                assert!(error.is_temporary(), "{error}");
                assert!(start.elapsed() < Duration::from_secs(30), "it is back for long: {error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A refusal in time, which says that later is better.
async fn is_away(catalog: &Catalog) {
    let start = Instant::now();
    let error = catalog.clubs().await.unwrap_err();
    assert!(matches!(error, CatalogError::Away(_)), "{error:?}");
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    // Nobody else waits for what one has found out.
    let start = Instant::now();
    assert!(matches!(catalog.clubs().await, Err(CatalogError::Away(_))));
    assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
}

async fn killed_in_mid_write(kind: Kind) {
    let server = Server::start(kind).unwrap();
    let catalog = open(&options(&server)).await;
    let (_, channel, _) = channel(&catalog).await;
    let writers: Vec<_> = (0..4_i64)
        .map(|writer| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                let mut confirmed = Vec::new();
                for number in 0..150_i64 {
                    let start_us = DAY + (writer * 1_000 + number) * QUARTER;
                    let new = new_segment(&catalog, channel.id, start_us);
                    let id = new.id;
                    // As the archive does: again until it is known that it is there.
                    until_answered(|| async {
                        match catalog.insert_segment(new.clone()).await {
                            Err(CatalogError::SegmentTaken(_)) => Ok(()),
                            done => done,
                        }
                    })
                    .await;
                    until_answered(|| async {
                        match catalog.seal_segment(id, sealed(start_us + QUARTER)).await {
                            Err(CatalogError::NotGrowing(_)) => Ok(()),
                            done => done,
                        }
                    })
                    .await;
                    confirmed.push(id);
                }
                confirmed
            })
        })
        .collect();
    let written = async || until_answered(|| catalog.footage(channel.id)).await.segments;
    for share in [100, 300] {
        while written().await < share {
            tokio::task::yield_now().await;
        }
        server.kill();
        server.resume().unwrap();
    }
    let mut confirmed = Vec::new();
    for writer in writers {
        confirmed.extend(writer.await.unwrap());
    }
    let footage = catalog.footage(channel.id).await.unwrap();
    assert_eq!(footage.segments, 600, "each of them once");
    assert!(catalog.growing_segments().await.unwrap().is_empty());
    let indexes = catalog.segment_indexes(&confirmed).await.unwrap();
    assert_eq!(indexes.len(), 600, "a sealed row is whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_killed_in_mid_write_loses_nothing_that_was_confirmed() {
    killed_in_mid_write(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_killed_in_mid_write_loses_nothing_that_was_confirmed() {
    killed_in_mid_write(Kind::Postgres).await;
}

async fn away_and_back(kind: Kind) {
    let server = Server::start(kind).unwrap();
    let options = options(&server);
    let catalog = open(&options).await;
    let (_, channel, key) = channel(&catalog).await;
    let publishers = Publishers::new(catalog.clone());
    assert_eq!(publishers.authorise("no such key").await.unwrap(), None);
    assert_eq!(publishers.refresh().await.unwrap(), 1);

    // Dead: refused at once.
    server.kill();
    is_away(&catalog).await;
    let route = publishers.authorise(&key).await.unwrap().unwrap();
    assert_eq!(route.channel, channel);
    assert_eq!(route.club_slug.as_deref(), Some("norte"));
    assert!(publishers.authorise("no such key").await.is_err(), "nobody knows");
    assert!(matches!(
        Catalog::open_with(&options, std::sync::Arc::new(SystemClock)).await,
        Err(CatalogError::Away(_))
    ));
    server.resume().unwrap();
    until_answered(|| catalog.ping()).await;
    let fresh = until_answered(|| catalog.rotate_key(channel.id)).await;
    assert_eq!(publishers.authorise(&key).await.unwrap(), None, "what the database says counts");
    assert!(publishers.authorise(&fresh).await.unwrap().is_some());

    // Frozen: connections stand and nothing comes.
    server.freeze().unwrap();
    let start = Instant::now();
    assert!(publishers.authorise(&fresh).await.unwrap().is_some(), "from memory");
    assert!(start.elapsed() < Duration::from_secs(2), "a camera does not wait longer: {:?}", start.elapsed());
    assert!(publishers.remembered(&key).is_none(), "the old key is forgotten");
    is_away(&catalog).await;
    server.thaw().unwrap();
    until_answered(|| catalog.ping()).await;
    // All connections are of use again, more at once than there are.
    let asked: Vec<_> = (0..16)
        .map(|_| {
            let catalog = catalog.clone();
            tokio::spawn(async move { until_answered(|| catalog.channel(channel.id)).await })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().id, channel.id);
    }

    // Restarted between two questions: nobody notices.
    server.kill();
    server.resume().unwrap();
    catalog.clubs().await.unwrap();
    catalog.rename_channel(channel.id, "Otra").await.unwrap();
    assert!(catalog.channel(Uuid::nil()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_may_be_away() {
    away_and_back(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_may_be_away() {
    away_and_back(Kind::Postgres).await;
}
