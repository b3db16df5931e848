//! A node whose database is stopped while it records.
//!
//! The suite stops it for a few seconds under a few publishers. The longer run that the figures are from:
//! `SOAK_AWAY_S=60 SOAK_PUBLISHERS=50 cargo test --release -p turepe-e2e --test database`

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::time::{Duration, Instant};

use databases::{Kind, Server};
use turepe_e2e::{Clip, Court, Node, NodeOptions, Publisher, now_us, wait_until};

const PATIENCE: Duration = Duration::from_secs(120);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

fn nothing_is_lost(kind: Kind, stop: fn(&Server), go_on: fn(&Server)) {
    let away = Duration::from_secs(number("SOAK_AWAY_S", 5));
    let count = number("SOAK_PUBLISHERS", 3);
    let server = Server::start(kind).expect("a server");
    let url = server.create_database().expect("a database");
    let node = Node::start(NodeOptions { database: Some(url), ..NodeOptions::default() });
    node.add_club("club", 60);
    let courts: Vec<Court> =
        (0..count).map(|number| node.add_court("club", &format!("court-{number}"))).collect();
    // The last court's camera comes while nobody can be asked: its key is known from before.
    let (late, early) = courts.split_last().expect("a court");
    wait_until("the node to know all keys", PATIENCE, || {
        let known = format!("channels={count}");
        node.log()
            .lines()
            .any(|line| line.contains("stream keys are known") && line.contains(&known))
            .then_some(())
    });
    let begin = now_us();
    let mut publishers: Vec<Publisher> =
        early.iter().map(|court| Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key))).collect();
    wait_until("all to be recorded", PATIENCE, || {
        let club = node.get_json("/api/clubs/club");
        let live = club["courts"].as_array()?.iter().filter(|court| court["isLive"] == true).count();
        (live == early.len()).then_some(())
    });

    stop(&server);
    let stopped = Instant::now();
    publishers.push(Publisher::turepe(Clip::H264, &node.rtmp_url(&late.key)));
    let refused = wait_until("a refusal", PATIENCE, || {
        let (status, headers, _) = node.get("/api/clubs/club", &[]);
        (status == 503).then_some(headers)
    });
    assert!(refused.iter().any(|(name, _)| name == "retry-after"), "{refused:?}");
    std::thread::sleep(away.saturating_sub(stopped.elapsed()));
    assert!(publishers.iter_mut().all(Publisher::is_running), "nobody is turned away");
    go_on(&server);
    wait_until("the database to be asked again", PATIENCE, || {
        (node.get("/api/clubs/club", &[]).0 == 200).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    publishers.into_iter().for_each(Publisher::stop);
    for court in &courts {
        let replay = node.ended(court, begin);
        let gaps = replay["gaps"].as_array().expect("gaps");
        assert!(gaps.is_empty(), "{}: {gaps:?}", court.court);
        assert!((replay["coverage"].as_f64().expect("coverage") - 1.0).abs() < 1e-9, "{replay}");
        let instant = |name: &str| {
            let text = replay[name].as_str().expect("an instant");
            text.parse::<jiff::Timestamp>().expect("RFC 3339").as_microsecond()
        };
        let length =
            Duration::from_micros(u64::try_from(instant("end") - instant("start")).expect("a length"));
        // Almost from the stop on: the late one has to connect first.
        assert!(length + Duration::from_secs(4) > away, "{}: {length:?}", court.court);
    }
    println!(
        "{kind:?}: {count} publishers, {:.1} s without a database, no frame lost",
        stopped.elapsed().as_secs_f64()
    );
}

#[test]
fn killed_postgres_costs_no_frame() {
    nothing_is_lost(Kind::Postgres, Server::kill, |server| server.resume().expect("it starts again"));
}

#[test]
fn frozen_mariadb_costs_no_frame() {
    nothing_is_lost(
        Kind::MariaDb,
        |server| server.freeze().expect("it stops"),
        |server| server.thaw().expect("it goes on"),
    );
}
