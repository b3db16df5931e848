//! Live viewing over HTTP: playlists with parts, bytes, access, and questions nobody should ask.

use crate::node::{Node, SECOND, problem};
use bytes::Bytes;
use catalog::LiveAccess;
use live::{Live, Publisher};
use media::{
    EndCause, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig, flv::FlvReader,
    timeline::TimelineEvent,
};
use std::sync::Arc;
use uuid::Uuid;

const AVCC: &[u8] = include_bytes!("../fixtures/ffmpeg-x264-avcc.bin");
const IDR: &[u8] = include_bytes!("../fixtures/ffmpeg-x264-idr.bin");

/// Two frames a second, one a part, every fourth a keyframe.
pub(crate) struct Camera {
    publisher: Publisher,
    start_us: i64,
    frame: i64,
}

impl Camera {
    pub(crate) fn new(hubs: &Live, channel: Uuid, start_us: i64) -> Self {
        let mut publisher = hubs.publish(channel, Vec::new());
        let video = VideoConfig {
            codec: VideoCodec::H264,
            record: Bytes::from_static(AVCC),
            width: 128,
            height: 72,
            codec_string: "avc1.64000a".to_owned(),
            frame_rate: None,
            pixel_aspect_ratio: None,
        };
        let config = Arc::new(SessionConfig { video: Some(video), audio: None });
        publisher.push(TimelineEvent::SessionStart { config, start_us });
        Self { publisher, start_us, frame: 0 }
    }

    pub(crate) fn frames(&mut self, count: i64) {
        for _ in 0..count {
            let sample = Sample {
                track: TrackKind::Video,
                decode_time: self.frame * 45_000,
                duration: 45_000,
                composition_offset: 0,
                is_sync: self.frame % 4 == 0,
                data: Bytes::from_static(IDR),
            };
            let wall_us = self.start_us + self.frame * SECOND / 2;
            self.publisher.push(TimelineEvent::Sample { sample, wall_us });
            self.frame += 1;
        }
    }
}

async fn text(node: &Node, path: &str) -> String {
    String::from_utf8(node.bytes(path).await.to_vec()).unwrap()
}

/// A node with a court whose channel is live.
async fn live_node() -> (Node, Live, Uuid, Camera) {
    let hubs = Live::new();
    let node = Node::with("2026-11-21T10:00:00Z", |config| config.hubs = hubs.clone()).await;
    let club = node.club("club", "UTC", "00:00-24:00", 60).await;
    let court = node.court(&club, "uno").await;
    let channel = node.channel(&court, "Camera").await.id;
    node.live.set(channel);
    let camera = Camera::new(&hubs, channel, node.now_us());
    (node, hubs, channel, camera)
}

#[tokio::test]
async fn what_the_playlist_names_is_there_and_parts_make_up_segments() {
    let (node, _hubs, channel, mut camera) = live_node().await;
    camera.frames(11);
    let club = node.json("/api/clubs/club").await;
    let url = club["courts"][0]["liveUrl"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("/live/{channel}/index.m3u8"));
    assert_eq!(club["courts"][0]["channels"][0]["liveUrl"], *url);
    let playlist = text(&node, &url).await;
    let folder = url.strip_suffix("index.m3u8").unwrap();
    let segments: Vec<_> = playlist.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(segments.len(), 2);
    let init = playlist.split("MAP:URI=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(node.bytes(&format!("{folder}{init}")).await.windows(4).any(|bytes| bytes == b"avcC"));
    for segment in segments {
        let whole = node.bytes(&format!("{folder}{segment}")).await;
        let mut parts = Vec::new();
        for part in 0..4 {
            let name = segment.replace(".m4s", &format!(".{part}.m4s"));
            assert!(playlist.contains(&format!("URI=\"{name}\"")));
            parts.extend(node.bytes(&format!("{folder}{name}")).await);
        }
        assert_eq!(whole, parts);
    }
    let response = node.get(&url).header("origin", "https://elsewhere.example").send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_reload_and_the_hinted_part_wait_for_what_comes() {
    let (node, _hubs, channel, mut camera) = live_node().await;
    camera.frames(7);
    let folder = format!("/live/{channel}");
    let playlist = text(&node, &format!("{folder}/index.m3u8")).await;
    let hint = playlist.split("PRELOAD-HINT:TYPE=PART,URI=\"").nth(1).unwrap().split('"').next().unwrap();
    let (msn, part) = hint.strip_suffix(".m4s").unwrap().split_once('.').unwrap();
    let reload = format!("{folder}/index.m3u8?_HLS_msn={msn}&_HLS_part={part}&_HLS_skip=YES");
    let hinted = format!("{folder}/{hint}");
    let come = async {
        // Both have asked by then, or ask for what is there: the answers are the same.
        tokio::task::yield_now().await;
        camera.frames(2);
    };
    let (reloaded, bytes, ()) = tokio::join!(text(&node, &reload), node.bytes(&hinted), come);
    assert!(reloaded.contains(&format!("URI=\"{hint}\"")), "{reloaded}");
    assert!(bytes.windows(4).any(|bytes| bytes == b"moof"));
}

#[tokio::test]
async fn absurd_questions_are_refused_and_make_nothing() {
    let (node, hubs, channel, mut camera) = live_node().await;
    camera.frames(7);
    let folder = format!("/live/{channel}");
    for query in [
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=99999999999999999999999",
        "_HLS_msn=-1",
        "_HLS_msn=",
        "_HLS_msn=x",
        "_HLS_part=0",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=99999999999&_HLS_part=18446744073709551615",
        "window=soon",
    ] {
        let response = node.get(&format!("{folder}/index.m3u8?{query}")).send().await.unwrap();
        problem(response, 400, "bad_request").await;
    }
    let now = text(&node, &format!("{folder}/index.m3u8")).await;
    let first = now.split("MEDIA-SEQUENCE:").nth(1).unwrap().lines().next().unwrap().to_owned();
    let far = node.get(&format!("{folder}/index.m3u8?_HLS_msn={first}&_HLS_part=99")).send().await.unwrap();
    // A segment of the past has all the parts it will ever have.
    assert_eq!(far.status(), 200);
    for file in
        ["0.m4s", "01.m4s", "1.2.3.m4s", "99999999999999999999.m4s", "x.m4s", ".m4s", "a.mp4", "index.m3u"]
    {
        let response = node.get(&format!("{folder}/{file}")).send().await.unwrap();
        assert_eq!(response.status(), 404, "{file}");
    }
    // Nobody chooses from when on he reads.
    for query in ["", "?from=0", "?from=9999999999999999"] {
        let response = node.get(&format!("{folder}/rewind.m3u8{query}")).send().await.unwrap();
        problem(response, 400, "bad_request").await;
    }
    let other = "A".repeat(78);
    for token in ["x", &other] {
        let response = node.get(&format!("{folder}/rewind.m3u8?token={token}")).send().await.unwrap();
        problem(response, 403, "token_invalid").await;
    }
    for _ in 0..500 {
        let response = node.get(&format!("/live/{}/index.m3u8", Uuid::now_v7())).send().await.unwrap();
        problem(response, 404, "not_live").await;
    }
    assert_eq!(hubs.channels().len(), 1);
}

async fn held(node: &Node) -> u64 {
    let metrics = text(node, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("turepe_http_held_bytes ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The window goes on, and what somebody still reads of it stays in memory: that is counted, once for all who read the same. An encoder
/// that is not there is not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_the_window_is_held_within_the_budget() {
    let (node, _hubs, channel, mut camera) = live_node().await;
    camera.frames(9);
    let playlist = text(&node, &format!("/live/{channel}/index.m3u8")).await;
    let segment = playlist.lines().find(|line| line.ends_with(".m4s") && !line.starts_with('#')).unwrap();
    let address = format!("/live/{channel}/{segment}");
    let length = node.bytes(&address).await.len() as u64;
    let asked = || node.get(&address).header("accept-encoding", "gzip").send();
    let (one, other) = (asked().await.unwrap(), asked().await.unwrap());
    // Small bodies go into the socket at once; then nothing is held, and never more than one of them.
    assert!(held(&node).await <= length, "{} of {length}", held(&node).await);
    drop((one, other));
    let flv =
        node.get(&format!("/live/{channel}.flv")).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(flv.status(), 200);
    assert!(held(&node).await <= length);
}

#[tokio::test]
async fn a_club_may_want_addresses_signed() {
    let (node, _hubs, channel, mut camera) = live_node().await;
    camera.frames(7);
    let club = node.catalog.club_by_slug("club").await.unwrap().unwrap();
    node.catalog.set_live_access(club.id, LiveAccess::Signed).await.unwrap();
    problem(node.get(&format!("/live/{channel}/index.m3u8")).send().await.unwrap(), 404, "not_live").await;
    problem(node.get(&format!("/live/{channel}.flv")).send().await.unwrap(), 404, "not_live").await;
    let url = node.json("/api/clubs/club").await["courts"][0]["liveUrl"].as_str().unwrap().to_owned();
    assert!(!url.contains(&channel.to_string()));
    assert!(text(&node, &url).await.contains("#EXT-X-PART:"));
    node.clock.advance(13 * 3_600 * SECOND);
    problem(node.get(&url).send().await.unwrap(), 410, "token_expired").await;
}

#[tokio::test]
async fn an_flv_stream_begins_at_a_keyframe_and_follows() {
    let (node, _hubs, channel, mut camera) = live_node().await;
    camera.frames(7);
    let mut response = node.get(&format!("/live/{channel}.flv")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "video/x-flv");
    let mut reader = FlvReader::new();
    let mut times = Vec::new();
    while times.len() < 10 {
        reader.push(&response.chunk().await.unwrap().unwrap());
        while let Some(tag) = reader.next_tag().unwrap() {
            times.push(tag.timestamp_ms);
        }
        if times.len() == 5 {
            camera.frames(5);
        }
    }
    // Metadata and header on the time of the keyframe, then everything.
    assert_eq!(times, [2000, 2000, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 5500]);
    camera.publisher.push(TimelineEvent::SessionEnd { end_us: 0, cause: EndCause::Camera });
}
