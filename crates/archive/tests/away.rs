//! A catalog on a server that is away while cameras are recorded: nothing waits for it, and everything is there when it
//! is back, also after a restart meanwhile.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use catalog::{Catalog, DatabaseOptions, GapRow, NewChannel, SegmentState, Source};
use databases::{Kind, Server};
use media::EndCause;
use turepe_archive::{Archive, ArchiveConfig, Recorder, RecorderTarget};
use uuid::Uuid;
use world::{Clock, Disk, SimulatedClock, SimulatedDisk};

mod support;
use support::{Camera, NOON_US, S, push_all};

/// Nothing here takes as long on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct House {
    server: Server,
    options: DatabaseOptions,
    disk: SimulatedDisk,
    clock: Arc<SimulatedClock>,
    channel_id: Uuid,
}

impl House {
    async fn new(kind: Kind) -> Self {
        let server = Server::start(kind).unwrap();
        let options = DatabaseOptions {
            connect_timeout: Duration::from_millis(500),
            ..DatabaseOptions::new(server.create_database().unwrap())
        };
        let clock = Arc::new(SimulatedClock::new(NOON_US));
        let catalog = Catalog::open_with(&options, clock.clone()).await.unwrap();
        let channel = NewChannel { court_id: None, name: "camera".into(), source: Source::Push };
        let channel_id = catalog.create_channel(channel).await.unwrap().0.id;
        Self { server, options, disk: SimulatedDisk::new(), clock, channel_id }
    }

    async fn catalog(&self) -> Catalog {
        Catalog::open_with(&self.options, self.clock.clone()).await.unwrap()
    }

    fn open(&self, catalog: &Catalog) -> Archive {
        let config =
            ArchiveConfig { segment_us: 5 * S, sync_us: 20_000, ..ArchiveConfig::new("/spool", "/store") };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Archive::open(config, Arc::new(self.disk.clone()), clock, catalog.clone()).unwrap()
    }

    fn recorder(&self, archive: &Archive) -> Recorder {
        archive.recorder(RecorderTarget { channel_id: self.channel_id, prefix: "club/court".into() })
    }

    /// The length of the journal of gaps.
    fn journal_bytes(&self) -> u64 {
        let file = self.disk.open(&PathBuf::from("/spool/gaps.journal"));
        file.map_or(0, |file| file.len().unwrap())
    }
}

/// Two pieces of film with a gap of network between them, pushed as a camera would.
async fn film(recorder: &Recorder, from_us: i64) {
    for (start_us, cause) in [(from_us, EndCause::Network), (from_us + 20 * S, EndCause::Camera)] {
        let (mut camera, mut events) = Camera::start(start_us);
        events.extend(camera.film_until(start_us + 12 * S));
        events.extend(camera.stop(cause));
        push_all(recorder, events).await;
    }
}

/// Polls, as these things happen in other threads and processes.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let is_true = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, is_true).await.is_ok(), "waited in vain for {what}");
}

/// Every segment of the film, once, whole and in order, and both gaps with their causes.
async fn everything_is_there(house: &House, catalog: &Catalog, from_us: i64) {
    let rows = catalog.segments_in_range(house.channel_id, from_us, from_us + 60 * S).await.unwrap();
    let starts: Vec<i64> = rows.iter().map(|row| (row.start_us - from_us) / S).collect();
    assert_eq!(starts, [0, 5, 10, 20, 25, 30]);
    assert!(rows.iter().all(|row| row.state == SegmentState::Sealed));
    // Rows beside footage cost nothing: what counts is what explains the time that is missing.
    for (from_s, to_s, cause, is_over) in
        [(13, 19, EndCause::Network, true), (33, 60, EndCause::Camera, false)]
    {
        let range = (from_us + from_s * S, from_us + to_s * S);
        let gaps = catalog.gaps_in_range(house.channel_id, range.0, range.1).await.unwrap();
        let [GapRow { start_us, end_us, cause: noted }] = gaps[..] else { panic!("{gaps:?}") };
        assert_eq!((noted, end_us.is_some()), (cause, is_over), "{gaps:?}");
        assert!((start_us - (range.0 - S)).abs() < 100_000, "{gaps:?}");
        assert!(end_us.is_none_or(|end_us| (end_us - (range.1 + S)).abs() < 100_000), "{gaps:?}");
    }
}

async fn rows_wait_while_the_database_is_away(kind: Kind) {
    let house = House::new(kind).await;
    let catalog = house.catalog().await;
    let archive = house.open(&catalog);
    archive.wait_repaired().await;
    let recorder = house.recorder(&archive);
    house.server.kill();
    film(&recorder, NOON_US).await;
    // All of it is on the disk although nobody answers.
    until("the film in the spool", async || archive.status().queued_bytes == 0).await;
    until("the causes in the journal", async || house.journal_bytes() > 0).await;
    house.server.resume().unwrap();
    archive.settle().await;
    everything_is_there(&house, &catalog, NOON_US).await;
    assert_eq!(house.journal_bytes(), 0);
    archive.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wait_while_mariadb_is_away() {
    rows_wait_while_the_database_is_away(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wait_while_postgres_is_away() {
    rows_wait_while_the_database_is_away(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_meanwhile_loses_no_row_and_no_cause() {
    let house = House::new(Kind::Postgres).await;
    let catalog = house.catalog().await;
    let archive = house.open(&catalog);
    archive.wait_repaired().await;
    house.server.kill();
    let recorder = house.recorder(&archive);
    film(&recorder, NOON_US).await;
    until("the film in the spool", async || archive.status().queued_bytes == 0).await;
    until("the last cause in the journal", async || {
        let journal = house.disk.bytes(&PathBuf::from("/spool/gaps.journal"));
        journal.is_some_and(|bytes| String::from_utf8(bytes).unwrap().contains("camera"))
    })
    .await;
    drop(recorder);
    // As in a crash: everything stops where it is.
    drop(archive);
    catalog.close().await.unwrap();

    house.server.resume().unwrap();
    let catalog = house.catalog().await;
    assert!(catalog.segments_in_range(house.channel_id, 0, i64::MAX).await.unwrap().is_empty());
    let archive = house.open(&catalog);
    archive.wait_repaired().await;
    archive.settle().await;
    everything_is_there(&house, &catalog, NOON_US).await;
    assert_eq!(house.journal_bytes(), 0);
    archive.shutdown().await;
}
