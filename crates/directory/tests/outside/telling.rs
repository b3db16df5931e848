//! Who is live reaches the table, whatever happens in between.

use std::time::Duration;

use crate::support::{Outside, Running, id, until};

crate::on_each_kind!(
    what_is_published_is_live_and_what_ends_is_off,
    while_the_table_is_away_nothing_is_lost_and_only_the_end_is_told,
    a_killed_node_switches_its_channels_off_when_it_comes_back,
    rows_that_nobody_tends_go_off_and_another_nodes_stay,
    a_channel_without_a_row_changes_nothing_until_the_row_comes,
);

async fn is_live(outside: &Outside, channel: u128, is_live: bool) {
    until(&format!("channel {channel} to be {is_live}"), async || {
        outside.row(id(channel)).await.is_on_live == is_live
    })
    .await;
}

async fn what_is_published_is_live_and_what_ends_is_off(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    outside.insert(id(1), "one", false).await;
    outside.insert(id(2), "two", false).await;
    let bystander = outside.row(id(2)).await;
    let running = Running::start(outside.config(folder.path().join("directory.json")));
    running.publish(id(1));
    is_live(outside, 1, true).await;
    let row = outside.row(id(1)).await;
    assert_eq!(row.last_status, "live");
    // `printf %s 00000000-0000-0000-0000-000000000001 | md5sum`
    assert_eq!(row.cover, "thumbs/c96589eefb0828c07179095bcd0cef5f.jpg");
    assert!(!row.modified.unwrap().starts_with("2020"), "`modified` is ours to send");

    // It flaps faster than anybody could be told.
    for _ in 0..20 {
        running.unpublish(id(1));
        tokio::time::sleep(Duration::from_millis(30)).await;
        running.publish(id(1));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    running.unpublish(id(1));
    is_live(outside, 1, false).await;
    assert_eq!(outside.row(id(1)).await.last_status, "offline");
    if let Some(rest) = &outside.rest {
        let states =
            rest.take_requests().into_iter().filter(|r| r.method == "PATCH" && r.query.contains("id=eq."));
        assert!(states.count() <= 3, "forty changes of state are not told one by one");
    }

    // A node that stops says so at once.
    running.publish(id(1));
    is_live(outside, 1, true).await;
    running.stop().await;
    assert!(!outside.row(id(1)).await.is_on_live);
    assert_eq!(outside.row(id(2)).await, bystander, "nobody else's row was touched");
}

async fn while_the_table_is_away_nothing_is_lost_and_only_the_end_is_told(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    for n in 1..=3 {
        outside.insert(id(n), &format!("key {n}"), false).await;
    }
    let running = Running::start(outside.config(folder.path().join("directory.json")));
    running.publish(id(1));
    is_live(outside, 1, true).await;
    outside.server.stop().unwrap();
    running.publish(id(2));
    running.publish(id(3));
    running.unpublish(id(1));
    until("the trouble to be noticed", async || running.directory.trouble().is_some()).await;
    let trouble = running.directory.trouble().unwrap();
    assert!(trouble.is_temporary(), "{trouble}");
    running.unpublish(id(3));
    outside.server.resume().unwrap();
    is_live(outside, 1, false).await;
    is_live(outside, 2, true).await;
    is_live(outside, 3, false).await;
    until("the trouble to be over", async || running.directory.trouble().is_none()).await;
}

async fn a_killed_node_switches_its_channels_off_when_it_comes_back(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    for n in 1..=3 {
        outside.insert(id(n), &format!("key {n}"), false).await;
    }
    let mut config = outside.config(folder.path().join("directory.json"));
    // What this node kept is enough.
    config.reconcile = false;
    let running = Running::start(config.clone());
    for n in 1..=3 {
        running.publish(id(n));
    }
    for n in 1..=3 {
        is_live(outside, n, true).await;
    }
    let journal = folder.path().join("directory.json");
    until("the channels to be kept", async || {
        let kept = std::fs::read_to_string(&journal).unwrap_or_default();
        (1..=3).all(|n| kept.contains(&id(n).to_string()))
    })
    .await;
    running.kill().await;
    let kept = std::fs::read_to_string(&journal).unwrap();
    assert!(!kept.contains("key"), "no key is in the file: {kept}");
    // Meanwhile another node has taken channel 3 over.
    let now = "'2031-01-01 00:00:00'";
    outside
        .run(&format!("UPDATE channels_channel SET modified = {now} WHERE id = '{}'", outside.id(id(3))))
        .await;

    let running = Running::with(config, &[id(2)]);
    is_live(outside, 1, false).await;
    is_live(outside, 2, true).await;
    assert!(outside.row(id(3)).await.is_on_live, "another node's channel is left alone");
    running.stop().await;
    assert!(outside.row(id(3)).await.is_on_live);
}

async fn rows_that_nobody_tends_go_off_and_another_nodes_stay(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    // More than a page.
    let stale =
        "INSERT INTO channels_channel (id, stream_id, is_on_live, last_status, cover, modified) VALUES ";
    let values: Vec<String> = (1000..1600_u128)
        .map(|n| format!("('{}', 'key {n}', {}, 'live', '', NULL)", outside.id(id(n)), n != 1599))
        .collect();
    outside.run(&(stale.to_owned() + &values.join(", "))).await;
    outside.insert(id(1), "one", true).await;
    outside.insert(id(2), "two", true).await;
    outside.insert(id(3), "three", true).await;
    let other = Running::with(outside.config(folder.path().join("other.json")), &[id(2)]);
    let this = Running::with(outside.config(folder.path().join("this.json")), &[id(3)]);
    is_live(outside, 1, false).await;
    until("all pages to be done", async || {
        outside.number("SELECT count(*) FROM channels_channel WHERE is_on_live = true").await == 2
    })
    .await;
    assert!(outside.row(id(2)).await.is_on_live, "another node tends it");
    assert!(outside.row(id(3)).await.is_on_live, "it is live here");
    assert_eq!(outside.row(id(1)).await.last_status, "offline");
    // Each again tells its own; a switch by somebody else is put right.
    outside
        .run(&format!("UPDATE channels_channel SET is_on_live = false WHERE id = '{}'", outside.id(id(3))))
        .await;
    is_live(outside, 3, true).await;
    this.stop().await;
    assert!(outside.row(id(2)).await.is_on_live);
    other.stop().await;
    assert!(!outside.row(id(2)).await.is_on_live);
}

async fn a_channel_without_a_row_changes_nothing_until_the_row_comes(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    outside.insert(id(1), "one", false).await;
    let running = Running::start(outside.config(folder.path().join("directory.json")));
    running.publish(id(1));
    running.publish(id(2));
    is_live(outside, 1, true).await;
    // What is told after it has been told: so has the other channel, as often as it will be.
    running.unpublish(id(1));
    is_live(outside, 1, false).await;
    assert_eq!(outside.number("SELECT count(*) FROM channels_channel").await, 1, "nothing is ever inserted");
    assert_eq!(running.directory.trouble(), None, "a channel of the catalog alone is no trouble");
    outside.insert(id(2), "two", false).await;
    is_live(outside, 2, true).await;
}
