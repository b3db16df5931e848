//! Whether the database does what a node needs of it, on every engine.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

mod common;

use std::time::Duration;

use common::{DAY, SECOND, catalog, channel, record};
use databases::{Engine, Home, Kind, Server};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};
use turepe_catalog::{Catalog, DatabaseTrouble};

/// Somebody else at the same database.
async fn stranger(home: &Home) -> DatabaseConnection {
    Database::connect(home.url.as_str()).await.unwrap()
}

async fn a_table_that_is_gone_is_named(home: Home) {
    let catalog = catalog(&home).await;
    let (_, channel, _) = channel(&catalog).await;
    record(&catalog, channel.id, DAY, DAY + SECOND).await;
    assert_eq!(catalog.probe().await, Ok(()));
    let stranger = stranger(&home).await;
    for table in ["growing_segments", "gaps", "inits", "settings"] {
        stranger.execute_unprepared(&format!("ALTER TABLE {table} RENAME TO elsewhere")).await.unwrap();
        let found = catalog.probe().await.unwrap_err();
        assert!(!found.is_away && found.reason.contains(&format!("table {table}")), "{found:?}");
        stranger.execute_unprepared(&format!("ALTER TABLE elsewhere RENAME TO {table}")).await.unwrap();
        assert_eq!(catalog.probe().await, Ok(()), "{table} is back");
    }
    // Looking changes nothing.
    assert_eq!(catalog.footage(channel.id).await.unwrap().segments, 1);
}

databases::on_every_engine![a_table_that_is_gone_is_named];

/// Asks until there is trouble that is not the loss of a connection.
async fn refusal(catalog: &Catalog) -> DatabaseTrouble {
    let asked = async {
        loop {
            match catalog.probe().await {
                Err(found) if !found.is_away => return found,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap()
}

async fn until_well(catalog: &Catalog) {
    let back = async {
        while catalog.probe().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.unwrap();
}

/// As after a failover to a replica.
#[tokio::test]
async fn a_mariadb_that_is_read_only_refuses() {
    let server = Server::start(Kind::MariaDb).unwrap();
    let url = server.create_database().unwrap();
    // An administrator may write all the same.
    server.run_sql("CREATE USER club@'%'; GRANT ALL ON *.* TO club@'%'; REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM club@'%'").unwrap();
    let catalog = Catalog::open(&url.replace("root", "club")).await.unwrap();
    assert_eq!(catalog.probe().await, Ok(()));
    server.run_sql("SET GLOBAL read_only = 1").unwrap();
    assert!(refusal(&catalog).await.reason.contains("read-only"));
    server.run_sql("SET GLOBAL read_only = 0").unwrap();
    until_well(&catalog).await;
}

/// As after somebody has tidied up among the rights.
#[tokio::test]
async fn a_postgres_that_took_a_right_away_refuses() {
    let server = Server::start(Kind::Postgres).unwrap();
    let url = server.create_database().unwrap();
    server.run_sql("CREATE ROLE club LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO club").unwrap();
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    server.run_sql(&format!("ALTER DATABASE {name} OWNER TO club")).unwrap();
    let catalog = Catalog::open(&url.replace("postgres@", "club@")).await.unwrap();
    assert_eq!(catalog.probe().await, Ok(()));
    let administrator = Database::connect(url.as_str()).await.unwrap();
    administrator.execute_unprepared("REVOKE UPDATE ON settings FROM club").await.unwrap();
    assert!(refusal(&catalog).await.reason.contains("permission denied"));
    administrator.execute_unprepared("GRANT UPDATE ON settings TO club").await.unwrap();
    until_well(&catalog).await;
    administrator.execute_unprepared("REVOKE SELECT ON segments FROM club").await.unwrap();
    assert!(refusal(&catalog).await.reason.contains("table segments"));
}

#[tokio::test]
async fn an_sqlite_file_that_is_read_only_refuses() {
    let home = Home::new(Engine::Sqlite);
    catalog(&home).await.close().await.unwrap();
    let catalog = Catalog::open(&format!("{}?mode=ro", home.url)).await.unwrap();
    let found = refusal(&catalog).await;
    assert!(found.reason.contains("readonly"), "{found:?}");
}

/// Others that write at the same time are no trouble, and the newest segment is found whatever its state.
async fn the_newest_segment_of_a_channel(home: Home) {
    let catalog = catalog(&home).await;
    let (_, channel, _) = channel(&catalog).await;
    assert_eq!(catalog.newest_segment_of(channel.id).await.unwrap(), None);
    record(&catalog, channel.id, DAY + 60 * SECOND, DAY + 61 * SECOND).await;
    record(&catalog, channel.id, DAY, DAY + SECOND).await;
    let newest = catalog.newest_segment_of(channel.id).await.unwrap().unwrap();
    assert_eq!((newest.start_us, newest.end_us), (DAY + 60 * SECOND, Some(DAY + 61 * SECOND)));
    let growing = common::new_segment(&catalog, channel.id, DAY + 99 * SECOND);
    catalog.insert_segment(growing.clone()).await.unwrap();
    let newest = catalog.newest_segment_of(channel.id).await.unwrap().unwrap();
    assert_eq!((newest.id, newest.end_us), (growing.id, None));
    assert_eq!(catalog.newest_segment_of(uuid::Uuid::nil()).await.unwrap(), None);
}

databases::on_every_engine![the_newest_segment_of_a_channel];
