//! Footage that another node has: it is told of, and asked for it says where it is.

use std::sync::Arc;

use archive::{Archive, ArchiveConfig, RecorderTarget};
use media::{EndCause, fragmenter::Fragmenter};
use uuid::Uuid;
use world::{Clock, SystemDisk};

use crate::node::{Node, Recording, SEGMENT_US, at, path, problem};

const NOW: &str = "2026-11-21T11:30:00Z";
const REPLAY: &str = "/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=10:00";
const SLOTS: &str = "/api/clubs/padel-sur/courts/central/slots?date=2026-11-21";

/// Records with another node on the same catalog, in a folder of its own.
async fn record_elsewhere(
    node: &Node,
    folder: &std::path::Path,
    channel: Uuid,
    from: &str,
    to: &str,
) -> Archive {
    let catalog = node.catalog.for_node(Uuid::now_v7());
    catalog.begin_run("sur", Uuid::now_v7()).await.unwrap();
    let mut config = ArchiveConfig::new(folder.join("spool"), folder.join("store"));
    config.segment_us = SEGMENT_US;
    let clock = Arc::clone(&node.clock) as Arc<dyn Clock>;
    let archive = Archive::open(config, Arc::new(SystemDisk), clock, catalog).unwrap();
    let target = RecorderTarget { channel_id: channel, prefix: "club/court".to_owned() };
    let mut recording = Recording { recorder: archive.recorder(target), fragmenter: Fragmenter::new() };
    recording.frames(at(from), at(to)).await;
    recording.end(at(to), EndCause::Network).await;
    drop(recording);
    archive.settle().await;
    archive
}

#[tokio::test]
async fn a_match_that_another_node_has_is_told_of_and_answered_with_its_name() {
    let node = Node::at(NOW).await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    let other = tempfile::tempdir().unwrap();
    // The camera came here in the middle of the match.
    let there =
        record_elsewhere(&node, other.path(), channel.id, "2026-11-21T08:50:00Z", "2026-11-21T09:30:00Z")
            .await;
    node.record(channel.id, "2026-11-21T09:30:00Z", "2026-11-21T10:10:00Z").await;

    let replay = node.json(REPLAY).await;
    assert_eq!(replay["coverage"], 1.0, "{replay}");
    assert_eq!(replay["gaps"].as_array().unwrap().len(), 0);
    let fragments = replay["fragments"].as_array().unwrap().clone();
    assert_eq!(fragments.len(), 12);
    let slots = node.json(SLOTS).await;
    let slot = slots["slots"].as_array().unwrap().iter().find(|slot| slot["time"] == "10:00").unwrap();
    assert_eq!(slot["coverage"], 1.0);

    let (first, last) = (path(&fragments[0]["url"]), path(&fragments[11]["url"]));
    let of_both = [path(&replay["playlistUrl"]), path(&replay["downloadUrl"]), first.clone()];
    for address in &of_both {
        let response = node.get(address).send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "60", "{address}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let detail = problem(response, 503, "held_elsewhere").await;
        assert!(detail.contains("`sur`") && detail.contains("ask that node"), "{detail}");
    }
    let head = node.client.head(node.url(&first)).send().await.unwrap();
    assert_eq!(head.status(), 503);
    let range = node.get(&first).header("range", "bytes=0-99").send().await.unwrap();
    problem(range, 503, "held_elsewhere").await;
    assert_eq!(node.get(&last).send().await.unwrap().status(), 200, "what is here is read");
    // A picture is never worth an error: a neutral one stands in for it.
    let picture = node.get(&path(&replay["thumbnailUrl"])).send().await.unwrap();
    assert_eq!(
        (picture.status().as_u16(), &picture.headers()["content-type"]),
        (200, &"image/svg+xml".parse().unwrap())
    );

    // A match that is here as a whole plays.
    let own = "/api/clubs/padel-sur/courts/central/replay?from=2026-11-21T09:35:00Z&to=2026-11-21T10:00:00Z";
    let own = node.json(own).await;
    for key in ["playlistUrl", "downloadUrl"] {
        assert_eq!(node.get(&path(&own[key])).send().await.unwrap().status(), 200, "{key}");
    }
    there.shutdown().await;
}

#[tokio::test]
async fn a_match_in_play_on_another_node_is_no_gap() {
    let node = Node::at("2026-11-21T09:20:00Z").await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    let other = tempfile::tempdir().unwrap();
    let catalog = node.catalog.for_node(Uuid::now_v7());
    catalog.begin_run("sur", Uuid::now_v7()).await.unwrap();
    let config = ArchiveConfig::new(other.path().join("spool"), other.path().join("store"));
    let clock = Arc::clone(&node.clock) as Arc<dyn Clock>;
    let archive = Archive::open(config, Arc::new(SystemDisk), clock, catalog).unwrap();
    let target = RecorderTarget { channel_id: channel.id, prefix: "club/court".to_owned() };
    let mut recording = Recording { recorder: archive.recorder(target), fragmenter: Fragmenter::new() };
    recording.frames(at("2026-11-21T08:55:00Z"), at("2026-11-21T09:20:00Z")).await;
    archive.flush().await;
    while archive.status().unregistered_segments > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }

    let replay = node.json(REPLAY).await;
    assert_eq!((&replay["coverage"], replay["isLive"].as_bool()), (&1.0.into(), Some(true)), "{replay}");
    assert_eq!(replay["gaps"].as_array().unwrap().len(), 0);
    let response = node.get(&path(&replay["playlistUrl"])).send().await.unwrap();
    assert!(problem(response, 503, "held_elsewhere").await.contains("`sur`"));
    // Named by its id it is not unknown either.
    let row = node
        .catalog
        .segments_in_range(channel.id, at("2026-11-21T09:16:00Z"), at("2026-11-21T09:20:00Z"))
        .await;
    let growing = row.unwrap().pop().unwrap();
    let token = path(&replay["fragments"][0]["url"]);
    let token = token.split('/').nth(2).unwrap();
    let response = node.get(&format!("/media/{token}/{}.mp4", growing.id)).send().await.unwrap();
    problem(response, 503, "held_elsewhere").await;
}
