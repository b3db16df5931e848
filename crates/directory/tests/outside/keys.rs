//! Keys owned outside: looked up exactly, remembered for a while, and taken back.

use std::time::Duration;

use tokio::time::Instant;
use turepe_directory::Unavailable;

use crate::support::{Outside, Running, id, until};

crate::on_each_kind!(
    keys_are_found_exactly_whatever_stands_in_them,
    a_new_key_works_soon_and_a_deleted_one_loses_its_publisher,
    while_the_table_is_away_known_keys_work_and_unknown_ones_may_try_again,
);

/// What tries to be more than a value.
const HOSTILE: [&str; 16] = [
    "court'1",
    "court\"1",
    "'; DROP TABLE channels_channel; --",
    "a,b",
    "a),id.not.is.null,(",
    "(a)",
    "50%",
    "%27",
    "a&id=neq.0",
    "a=b#c?d",
    "a+b c",
    "eq.a",
    "back\\slash\\\"",
    "*",
    "ñandú 😀 كرة",
    "line\nbreak\ttab\u{7f}",
];

async fn keys_are_found_exactly_whatever_stands_in_them(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    for (n, key) in HOSTILE.iter().enumerate() {
        outside.insert(id(n as u128 + 1), key, false).await;
    }
    outside.insert(id(100), "Court", false).await;
    outside.insert(id(101), "court", false).await;
    outside.insert(id(102), "twice", false).await;
    outside.insert(id(103), "twice", false).await;
    let running = Running::start(outside.config(folder.path().join("directory.json")));
    let ask =
        async |key: &str| running.directory.authorise(key).await.unwrap().map(|channel| channel.id.as_u128());
    for (n, key) in HOSTILE.iter().enumerate() {
        assert_eq!(ask(key).await, Some(n as u128 + 1), "{key}");
    }
    assert_eq!(ask("court").await, Some(101));
    assert_eq!(ask("Court").await, Some(100));
    for wrong in ["", "COURT", "court ", " court", "coürt", "court%", "_ourt", "nobody", "a", "a\0b", "twice"]
    {
        assert_eq!(ask(wrong).await, None, "{wrong:?}");
    }
    let before = outside.rest.as_ref().map(|rest| rest.take_requests().len());
    assert_eq!(ask(&"k".repeat(1 << 20)).await, None);
    assert_eq!(ask(&"😀".repeat(200)).await, None);
    if let (Some(rest), Some(_)) = (&outside.rest, before) {
        assert!(
            rest.take_requests().iter().all(|r| !r.query.contains("stream_id=eq")),
            "too long to be asked about"
        );
    }
    assert_eq!(outside.number("SELECT count(*) FROM channels_channel").await, HOSTILE.len() as i64 + 4);
}

async fn a_new_key_works_soon_and_a_deleted_one_loses_its_publisher(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = outside.config(folder.path().join("directory.json"));
    // As the documented defaults have it.
    config.ages.unknown = Duration::from_secs(1);
    let running = Running::start(config);
    assert_eq!(running.directory.authorise("new").await, Ok(None));
    outside.insert(id(1), "new", false).await;
    let start = Instant::now();
    until("the new key to work", async || running.directory.authorise("new").await.unwrap().is_some()).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    outside.insert(id(2), "changes", false).await;
    outside.insert(id(3), "stays", false).await;
    assert!(running.directory.authorise("changes").await.unwrap().is_some());
    assert!(running.directory.authorise("stays").await.unwrap().is_some());
    // Channel 4 came by a key of the catalog; its row says something else.
    outside.insert(id(4), "another", false).await;
    running.directory.forget(id(4));
    for n in 1..=4 {
        running.publish(id(n));
    }
    until("all to be live", async || {
        outside.number("SELECT count(*) FROM channels_channel WHERE is_on_live = true").await == 4
    })
    .await;
    outside.delete(id(1)).await;
    outside
        .run(&format!("UPDATE channels_channel SET stream_id = 'changed' WHERE id = '{}'", outside.id(id(2))))
        .await;
    until("both publishers to be dropped", async || running.node.dropped.lock().unwrap().len() == 2).await;
    let mut dropped = running.node.dropped.lock().unwrap().clone();
    dropped.sort();
    assert_eq!(dropped, [id(1), id(2)]);
    assert_eq!(running.directory.authorise("new").await, Ok(None), "it is not remembered either");
    assert_eq!(running.directory.authorise("changed").await.unwrap().map(|channel| channel.id), Some(id(2)));
}

async fn while_the_table_is_away_known_keys_work_and_unknown_ones_may_try_again(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    outside.insert(id(1), "known", false).await;
    let running = Running::start(outside.config(folder.path().join("directory.json")));
    assert!(running.directory.authorise("known").await.unwrap().is_some());
    running.publish(id(1));
    outside.server.stop().unwrap();
    // Older than what is answered unasked.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let start = Instant::now();
    assert_eq!(running.directory.authorise("known").await.unwrap().map(|channel| channel.id), Some(id(1)));
    assert_eq!(running.directory.authorise("unknown").await, Err(Unavailable));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(running.node.dropped.lock().unwrap().is_empty(), "nobody is dropped because the table is away");
    outside.server.resume().unwrap();
    until("unknown keys to be judged again", async || {
        running.directory.authorise("unknown").await == Ok(None)
    })
    .await;
}
