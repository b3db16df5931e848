//! Bytes behind signed addresses: ranges, conditions, tokens, playlists, downloads, pictures.

use crate::node::{MINUTE, Node, at, frames_folder, path, problem};
use reqwest::{StatusCode, header};
use serde_json::Value;

const NOW: &str = "2026-11-21T11:30:00Z";
const REPLAY: &str = "/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=10:00";

/// A node with one whole match, and its replay.
async fn recorded() -> (Node, Value) {
    recorded_with(|_| {}).await
}

async fn recorded_with(set: impl FnOnce(&mut turepe_serve::ServeConfig)) -> (Node, Value) {
    let node = Node::with(NOW, set).await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    node.record(channel.id, "2026-11-21T08:50:00Z", "2026-11-21T10:10:00Z").await;
    let replay = node.json(REPLAY).await;
    (node, replay)
}

#[tokio::test]
async fn a_range_of_a_file_is_exactly_that() {
    let (node, replay) = recorded().await;
    for address in [path(&replay["fragments"][3]["url"]), path(&replay["downloadUrl"])] {
        let whole = node.get(&address).send().await.unwrap();
        assert_eq!(whole.status(), 200);
        assert_eq!(whole.headers()["accept-ranges"], "bytes");
        assert_eq!(whole.headers()["content-type"], "video/mp4");
        assert_eq!(whole.headers()["cache-control"], "private, max-age=21600, immutable");
        let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
        let length = whole.content_length().unwrap();
        let bytes = whole.bytes().await.unwrap();
        assert_eq!(bytes.len() as u64, length);
        let last = length - 1;
        let middle = length / 2;
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=0-1023".to_owned(), 0, 1024),
            (format!("bytes={middle}-{}", middle + 70_000), middle, middle + 70_001),
            (format!("bytes={middle}-"), middle, length),
            (format!("bytes={last}-{last}"), last, length),
            (format!("bytes={last}-{}", last + 100), last, length),
            ("bytes=-1".to_owned(), last, length),
            ("bytes=-500".to_owned(), length - 500, length),
            (format!("bytes=-{}", length * 2), 0, length),
        ] {
            let part = node.get(&address).header(header::RANGE, &range).send().await.unwrap();
            assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
            let field = format!("bytes {from}-{}/{length}", to - 1);
            assert_eq!(part.headers()["content-range"], field, "{range}");
            assert_eq!(part.headers()["etag"], etag);
            assert_eq!(part.content_length(), Some(to - from));
            let part = part.bytes().await.unwrap();
            assert_eq!(
                part,
                bytes.slice(usize::try_from(from).unwrap()..usize::try_from(to).unwrap()),
                "{range}"
            );
        }
        for range in [
            format!("bytes={length}-"),
            format!("bytes={}-{}", length + 5, length + 9),
            "bytes=-0".to_owned(),
        ] {
            let response = node.get(&address).header(header::RANGE, &range).send().await.unwrap();
            assert_eq!(response.headers()["content-range"], format!("bytes */{length}"), "{range}");
            problem(response, 416, "range_not_satisfiable").await;
        }
        for range in ["bytes=0-1,5-6", "bytes=9-2", "bytes=x-y", "frames=0-1", "bytes"] {
            let response = node.get(&address).header(header::RANGE, range).send().await.unwrap();
            assert_eq!(
                (response.status().as_u16(), response.content_length()),
                (200, Some(length)),
                "{range}"
            );
        }
        let conditional = |name: header::HeaderName, value: &str| {
            node.get(&address).header(header::RANGE, "bytes=0-9").header(name, value.to_owned()).send()
        };
        assert_eq!(conditional(header::IF_RANGE, &etag).await.unwrap().status(), 206);
        assert_eq!(conditional(header::IF_RANGE, "\"other\"").await.unwrap().status(), 200);
        assert_eq!(conditional(header::IF_RANGE, &format!("W/{etag}")).await.unwrap().status(), 200);
        let same = conditional(header::IF_NONE_MATCH, &etag).await.unwrap();
        assert_eq!(same.status(), 304);
        assert_eq!(same.headers()["etag"], etag);
        assert_eq!(same.bytes().await.unwrap().len(), 0);
        problem(conditional(header::IF_MATCH, "\"other\"").await.unwrap(), 412, "precondition_failed").await;

        let head =
            node.client.head(node.url(&address)).header(header::RANGE, "bytes=0-9").send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()["content-length"], length.to_string());
        assert_eq!(head.headers()["etag"], etag);
        assert_eq!(head.bytes().await.unwrap().len(), 0);
        let post = node.client.post(node.url(&address)).send().await.unwrap();
        problem(post, 405, "method_not_allowed").await;
    }
}

#[tokio::test]
async fn a_download_has_a_name_and_begins_like_an_mp4() {
    let (node, replay) = recorded().await;
    let response = node.get(&path(&replay["downloadUrl"])).send().await.unwrap();
    assert_eq!(
        response.headers()["content-disposition"],
        "attachment; filename=\"padel-sur-central-2026-11-21-1000.mp4\""
    );
    let bytes = response.bytes().await.unwrap();
    assert_eq!(&bytes[4..8], b"ftyp");
    assert!(bytes.len() > 60 * 60 * 2 * 1_000, "an hour of frames");
}

#[tokio::test]
async fn a_download_begins_where_it_is_asked_to_and_never_before_the_match() {
    let (node, replay) = recorded().await;
    let address = path(&replay["downloadUrl"]);
    let whole = node.bytes(&address).await;
    let from = |instant: &str| node.get(&format!("{address}?from={instant}")).send();
    let half = from("2026-11-21T10:30:00%2B01:00").await.unwrap().bytes().await.unwrap();
    assert_eq!(&half[4..8], b"ftyp");
    let share = half.len() as f64 / whole.len() as f64;
    assert!((0.4..0.6).contains(&share), "{share} of the match's bytes");
    let before = from("2026-11-21T08:00:00Z").await.unwrap().bytes().await.unwrap();
    assert_eq!(before, whole, "what was not granted is not given");
    for instant in ["2026-11-21T11:00:00%2B01:00", "2026-11-22T10:00:00Z", "", "now"] {
        problem(from(instant).await.unwrap(), 400, "invalid_range").await;
    }
}

#[tokio::test]
async fn a_playlist_by_way_of_the_node_stays_there() {
    let (node, replay) = recorded().await;
    let address = path(&replay["playlistUrl"]);
    let straight = String::from_utf8(node.bytes(&address).await.to_vec()).unwrap();
    let by_node = String::from_utf8(node.bytes(&format!("{address}?via=node")).await.to_vec()).unwrap();
    assert_eq!(by_node.replace(".mp4?via=node", ".mp4"), straight);
    let media: Vec<_> = by_node.lines().filter(|line| line.starts_with("/media/")).collect();
    assert!(!media.is_empty() && media.iter().all(|uri| uri.ends_with(".mp4?via=node")), "{by_node}");
    let part = node.get(media[0]).header(header::RANGE, "bytes=4-7").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), "ftyp");
    for address in [format!("{address}?via=moon"), format!("{}&via=node", media[0])] {
        problem(node.get(&address).send().await.unwrap(), 400, "bad_request").await;
    }
}

#[tokio::test]
async fn a_playlist_leads_to_every_byte() {
    let (node, replay) = recorded().await;
    let address = path(&replay["playlistUrl"]);
    let response = node.get(&address).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/vnd.apple.mpegurl");
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let text = response.text().await.unwrap();
    let playlist = m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
    assert!(playlist.end_list);
    let duration: f32 = playlist.segments.iter().map(|segment| segment.duration).sum();
    assert!((duration - 3_600.0).abs() < 0.6, "{duration}");
    let init = playlist.segments[0].map.as_ref().unwrap().uri.clone();
    let response = node.get(&init).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(&response.bytes().await.unwrap()[4..8], b"ftyp");
    for segment in playlist.segments.iter().step_by(97) {
        let range = segment.byte_range.as_ref().unwrap();
        let Some(offset) = range.offset else { continue };
        let field = format!("bytes={offset}-{}", offset + range.length - 1);
        let response = node.get(&segment.uri).header(header::RANGE, field).send().await.unwrap();
        assert_eq!(response.status(), 206);
        assert_eq!(&response.bytes().await.unwrap()[4..8], b"moof");
    }
    // Asked for compressed, it is.
    let response = node.get(&address).header(header::ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
}

#[tokio::test]
async fn media_may_be_played_from_any_site() {
    let (node, replay) = recorded().await;
    let text = String::from_utf8(node.bytes(&path(&replay["playlistUrl"])).await.to_vec()).unwrap();
    let init = text.split("URI=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for address in [
        path(&replay["playlistUrl"]),
        path(&replay["downloadUrl"]),
        path(&replay["fragments"][0]["url"]),
        init,
    ] {
        let response =
            node.get(&address).header(header::ORIGIN, "https://elsewhere.example").send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "{address}");
        assert!(
            response.headers()["access-control-expose-headers"].to_str().unwrap().contains("content-range")
        );
        let preflight = node
            .client
            .request(reqwest::Method::OPTIONS, node.url(&address))
            .header(header::ORIGIN, "https://elsewhere.example")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "range")
            .send()
            .await
            .unwrap();
        assert!(preflight.status().is_success());
        assert!(preflight.headers()["access-control-allow-headers"].to_str().unwrap().contains("range"));
    }
    let response = node.get(REPLAY).header(header::ORIGIN, "https://elsewhere.example").send().await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_token_grants_what_it_says_and_no_more() {
    let (node, replay) = recorded().await;
    let playlist = path(&replay["playlistUrl"]);
    let download = path(&replay["downloadUrl"]);
    let picture = path(&replay["thumbnailUrl"]);
    let media = path(&replay["fragments"][0]["url"]);
    let token = |address: &str| address.split('/').nth(2).unwrap().split('.').next().unwrap().to_owned();
    let segment = media.split('/').nth(3).unwrap().to_owned();

    // One kind does not pass for another.
    for address in [
        format!("/replay/{}/index.m3u8", token(&media)),
        format!("/replay/{}.mp4", token(&picture)),
        format!("/media/{}/{segment}", token(&download)),
        format!("/frame/{}.jpg", token(&playlist)),
    ] {
        problem(node.get(&address).send().await.unwrap(), 403, "token_invalid").await;
    }
    // Any change breaks it.
    for address in [&playlist, &download, &picture, &media] {
        let token = token(address);
        for at in [0, 1, 30, token.len() - 1] {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = address.replace(&token, &String::from_utf8(changed).unwrap());
            problem(node.get(&changed).send().await.unwrap(), 403, "token_invalid").await;
        }
        for bad in ["x", "%20", "..%2f..%2fetc%2fpasswd", &"A".repeat(2_000)] {
            let response = node.get(&address.replace(&token, bad)).send().await.unwrap();
            let detail = problem(response, 403, "token_invalid").await;
            assert!(!detail.contains(&token) && !detail.contains("AAAA"));
        }
    }
    // A segment outside of the range, of another channel, or of none.
    let other = node.json("/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=09:00").await;
    let foreign = path(&other["fragments"][0]["url"]).split('/').nth(3).unwrap().to_owned();
    let response = node.get(&format!("/media/{}/{foreign}", token(&media))).send().await.unwrap();
    problem(response, 403, "token_invalid").await;
    for name in [format!("{}.mp4", uuid::Uuid::now_v7()), "x.mp4".to_owned(), ".mp4".to_owned()] {
        let response = node.get(&format!("/media/{}/{name}", token(&media))).send().await.unwrap();
        problem(response, 404, "segment_not_found").await;
    }
    let club = node.club("other", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    node.record(channel.id, "2026-11-21T09:00:00Z", "2026-11-21T09:10:00Z").await;
    let neighbour = node.json("/api/clubs/other/courts/central/replay?date=2026-11-21&time=10:00").await;
    let theirs = path(&neighbour["fragments"][0]["url"]).split('/').nth(3).unwrap().to_owned();
    let response = node.get(&format!("/media/{}/{theirs}", token(&media))).send().await.unwrap();
    problem(response, 403, "token_invalid").await;

    // Missing extensions and parts.
    for address in [
        format!("/replay/{}", token(&download)),
        format!("/media/{}/{}", token(&media), segment.trim_end_matches(".mp4")),
        "/init/zz.mp4".to_owned(),
        "/init/0123456789abcdef0123456789abcdef.mp4".to_owned(),
        "/media".to_owned(),
        format!("/replay/{}/other", token(&playlist)),
    ] {
        problem(node.get(&address).send().await.unwrap(), 404, "not_found").await;
    }
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let (node, replay) = recorded().await;
    let expires = at(replay["expiresAt"].as_str().unwrap());
    assert!(expires - node.now_us() > 6 * 60 * MINUTE);
    let addresses = ["playlistUrl", "downloadUrl", "thumbnailUrl"].map(|field| path(&replay[field]));
    let media = path(&replay["fragments"][0]["url"]);
    node.clock.set(expires - 1);
    for address in addresses.iter().chain([&media]) {
        assert_eq!(node.get(address).send().await.unwrap().status(), 200);
    }
    node.clock.set(expires);
    for address in addresses.iter().chain([&media]) {
        problem(node.get(address).send().await.unwrap(), 410, "token_expired").await;
    }
    // The match itself does not expire.
    let again = node.json(REPLAY).await;
    assert_eq!(node.get(&path(&again["playlistUrl"])).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_growing_segment_is_not_kept_by_caches() {
    let node = Node::at(NOW).await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    let mut recording = node.recording(channel.id);
    recording.frames(at("2026-11-21T11:26:00Z"), node.now_us()).await;
    node.archive.flush().await;
    let replay = node.json("/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=12:00").await;
    let growing = path(&replay["fragments"].as_array().unwrap().last().unwrap()["url"]);
    let response = node.get(&growing).header(header::RANGE, "bytes=0-99").send().await.unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let response = node.get(&path(&replay["downloadUrl"])).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(&response.bytes().await.unwrap()[4..8], b"ftyp");
}

#[tokio::test]
async fn a_picture_is_made_once() {
    let (node, replay) = recorded().await;
    let address = path(&replay["thumbnailUrl"]);
    let response = node.get(&address).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/jpeg", "ffmpeg is needed for this test");
    assert_eq!(response.headers()["cache-control"], "private, max-age=21600");
    let picture = response.bytes().await.unwrap();
    assert!(picture.starts_with(&[0xff, 0xd8]));
    let kept: Vec<_> =
        std::fs::read_dir(frames_folder(&node)).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).unwrap(), picture);
    assert_eq!(node.bytes(&address).await, picture);
    // The slot's picture is the same one.
    let slots = node.json("/api/clubs/padel-sur/courts/central/slots?date=2026-11-21").await;
    assert_eq!(node.bytes(&path(&slots["slots"][2]["thumbnailUrl"])).await, picture);
    assert_eq!(std::fs::read_dir(frames_folder(&node)).unwrap().count(), 1);
}

#[tokio::test]
async fn without_ffmpeg_there_is_a_neutral_picture() {
    let (node, replay) = recorded_with(|config| config.ffmpeg = "/nonexistent/ffmpeg".into()).await;
    let response = node.get(&path(&replay["thumbnailUrl"])).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "image/svg+xml");
    assert_eq!(response.headers()["cache-control"], "private, max-age=30");
    assert!(response.text().await.unwrap().starts_with("<svg"));
}
