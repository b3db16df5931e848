//! Clubs, days, slots and replays, as the interface asks for them.

use crate::node::{MINUTE, Node, SECOND, at, path, problem};
use ::media::EndCause;
use serde_json::json;

/// Half past noon in Madrid on a Saturday.
const NOW: &str = "2026-11-21T11:30:00Z";

async fn madrid() -> (Node, catalog::Court, catalog::Channel) {
    let node = Node::at(NOW).await;
    let club = node.club("padel-sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    (node, court, channel)
}

#[tokio::test]
async fn a_club_shows_its_courts_hours_and_who_is_live() {
    let (node, court, channel) = madrid().await;
    // Ids are in order of creation by the millisecond.
    node.clock.advance(SECOND);
    let second = node.channel(&court, "side").await;
    node.live.set(second.id);
    assert_eq!(
        node.json("/api/clubs").await,
        json!({"clubs": [{"slug": "padel-sur", "name": "Club padel-sur"}]})
    );
    let profile = node.json("/api/clubs/padel-sur").await;
    assert_eq!(profile["zone"], "Europe/Madrid");
    assert_eq!(profile["appointmentDuration"], 60);
    assert_eq!(profile["hours"].as_array().unwrap().len(), 7);
    assert_eq!(profile["hours"][0], json!({"weekday": "mon", "open": "08:00", "close": "24:00"}));
    let live_url = format!("/live/{}/index.m3u8", second.id);
    assert_eq!(
        profile["courts"],
        json!([{"slug": "central", "name": "Court central", "isLive": true, "liveUrl": live_url, "channels": [
            {"id": channel.id, "name": "main", "isLive": false, "liveUrl": null, "audioLeftOut": null},
            {"id": second.id, "name": "side", "isLive": true, "liveUrl": live_url, "audioLeftOut": null}]}])
    );
    assert!(!profile.to_string().to_lowercase().contains("key"));
}

#[tokio::test]
async fn a_recorded_match_is_whole() {
    let (node, _, channel) = madrid().await;
    node.record(channel.id, "2026-11-21T08:50:00Z", "2026-11-21T10:10:00Z").await;
    let replay = node.json("/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=10:00").await;
    assert_eq!(replay["start"], "2026-11-21T09:00:00.000Z");
    assert_eq!(replay["end"], "2026-11-21T10:00:00.000Z");
    assert_eq!(replay["coverage"], 1.0);
    assert_eq!(replay["gaps"], json!([]));
    assert_eq!(replay["isLive"], false);
    assert_eq!(replay["recordedUntil"], "2026-11-21T10:00:00.000Z");
    assert_eq!(replay["channelId"], json!(channel.id));
    assert_eq!(
        replay["club"],
        json!({"slug": "padel-sur", "name": "Club padel-sur", "zone": "Europe/Madrid"})
    );
    assert_eq!(replay["court"], json!({"slug": "central", "name": "Court central"}));
    let fragments = replay["fragments"].as_array().unwrap();
    assert_eq!(fragments.len(), 12, "an hour of five-minute segments");
    assert_eq!(fragments[0]["start"], "2026-11-21T09:00:00.000Z");
    assert_eq!(fragments[0]["end"], "2026-11-21T09:05:00.000Z");
    for fragment in fragments {
        let bytes = node.bytes(&path(&fragment["url"])).await;
        assert_eq!(fragment["sizeBytes"], bytes.len());
    }

    // The same minutes later: the same addresses, so that a browser's cache serves them.
    node.clock.advance(7 * MINUTE);
    assert_eq!(
        node.json("/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=10:00").await,
        replay
    );

    // The same as a range, in any offset.
    for query in [
        "from=2026-11-21T09:00:00Z&to=2026-11-21T10:00:00Z",
        "from=2026-11-21T10:00:00%2B01:00&to=2026-11-21T10:00:00.000Z",
        "from=2026-11-21T10:00:00+01:00&to=2026-11-21T11:00:00+01:00",
    ] {
        let range = node.json(&format!("/api/clubs/padel-sur/courts/central/replay?{query}")).await;
        assert_eq!(range, replay, "{query}");
    }
}

#[tokio::test]
async fn a_gap_is_shown_with_its_cause() {
    let (node, _, channel) = madrid().await;
    let mut recording = node.recording(channel.id);
    recording.frames(at("2026-11-21T09:00:00Z"), at("2026-11-21T09:20:00Z")).await;
    recording.end(at("2026-11-21T09:20:00Z"), EndCause::Camera).await;
    recording.frames(at("2026-11-21T09:26:00Z"), at("2026-11-21T10:00:00Z")).await;
    recording.end(at("2026-11-21T10:00:00Z"), EndCause::Network).await;
    drop(recording);
    node.archive.flush().await;
    let replay = node.json("/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=10:00").await;
    assert_eq!(replay["coverage"], 0.9);
    assert_eq!(
        replay["gaps"],
        json!([{"start": "2026-11-21T09:20:00.000Z", "end": "2026-11-21T09:26:00.000Z", "cause": "camera"}])
    );
}

#[tokio::test]
async fn no_footage_is_an_answer() {
    let (node, court, _) = madrid().await;
    for (query, gaps) in [("date=2026-11-20&time=10:00", 1), ("date=2026-11-22&time=10:00", 0)] {
        let replay = node.json(&format!("/api/clubs/padel-sur/courts/central/replay?{query}")).await;
        assert_eq!(replay["coverage"], 0.0);
        assert_eq!(replay["fragments"], json!([]));
        assert_eq!(replay["gaps"].as_array().unwrap().len(), gaps, "{query}");
        for field in ["playlistUrl", "downloadUrl", "thumbnailUrl", "recordedUntil"] {
            assert!(replay[field].is_null(), "{field}");
        }
    }
    // A court without a camera.
    let club = node.catalog.club(court.club_id).await.unwrap().unwrap();
    node.court(&club, "empty").await;
    let replay = node.json("/api/clubs/padel-sur/courts/empty/replay?date=2026-11-20&time=10:00").await;
    assert!(replay["channelId"].is_null());
    let slots = node.json("/api/clubs/padel-sur/courts/empty/slots?date=2026-11-20").await;
    assert_eq!(slots["slots"].as_array().unwrap().len(), 16);
}

#[tokio::test]
async fn the_best_covered_channel_is_shown_unless_another_is_asked_for() {
    let (node, court, main) = madrid().await;
    let side = node.channel(&court, "side").await;
    node.record(main.id, "2026-11-21T09:00:00Z", "2026-11-21T09:10:00Z").await;
    node.record(side.id, "2026-11-21T09:00:00Z", "2026-11-21T09:30:00Z").await;
    let address = "/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=10:00";
    let replay = node.json(address).await;
    assert_eq!((&replay["channelId"], &replay["coverage"]), (&json!(side.id), &json!(0.5)));
    let replay = node.json(&format!("{address}&channel={}", main.id)).await;
    assert_eq!((&replay["channelId"], &replay["coverage"]), (&json!(main.id), &json!(0.1666)));
    let response = node.get(&format!("{address}&channel={}", uuid::Uuid::nil())).send().await.unwrap();
    problem(response, 404, "channel_not_found").await;
    let response = node.get(&format!("{address}&channel=main")).send().await.unwrap();
    problem(response, 400, "bad_request").await;
}

#[tokio::test]
async fn a_match_being_played_grows() {
    let (node, _, channel) = madrid().await;
    let start = at("2026-11-21T11:00:00Z");
    let mut recording = node.recording(channel.id);
    recording.frames(start, node.now_us()).await;
    node.archive.flush().await;
    node.live.set(channel.id);
    let address = "/api/clubs/padel-sur/courts/central/replay?date=2026-11-21&time=12:00";
    let before = node.json(address).await;
    assert_eq!(before["isLive"], true);
    assert_eq!(before["coverage"], 1.0);
    assert_eq!(before["gaps"], json!([]));
    let until = at(before["recordedUntil"].as_str().unwrap());
    assert!((0..5 * SECOND).contains(&(node.now_us() - until)), "{before}");
    let fragments = before["fragments"].as_array().unwrap();
    assert_eq!(fragments.len(), 6);
    let playlist = path(&before["playlistUrl"]);
    let response = node.get(&playlist).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let first = response.text().await.unwrap();
    assert!(first.contains("#EXT-X-PLAYLIST-TYPE:EVENT") && !first.contains("#EXT-X-ENDLIST"), "{first}");

    // It goes on: what was listed stays listed, to the letter.
    let until = node.now_us() + MINUTE;
    recording.more(start, node.now_us(), until).await;
    node.archive.flush().await;
    node.clock.set(until);
    let next = node.get(&playlist).send().await.unwrap().text().await.unwrap();
    assert!(next.len() > first.len() && next.starts_with(&first));

    // To its end and beyond.
    recording.more(start, until, start + 70 * MINUTE).await;
    node.archive.settle().await;
    node.clock.set(start + 71 * MINUTE);
    let last = node.get(&playlist).send().await.unwrap();
    assert_eq!(last.headers()["cache-control"], "private, max-age=3600");
    let last = last.text().await.unwrap();
    assert!(last.contains("#EXT-X-ENDLIST"));
    let media = |text: &str| text.lines().filter(|line| line.starts_with("/media/")).count();
    assert!(media(&last) > media(&next));
    let after = node.json(address).await;
    assert_eq!((&after["isLive"], &after["coverage"]), (&json!(false), &json!(1.0)));
}

#[tokio::test]
async fn slots_tell_what_there_is_of_each() {
    let (node, _, channel) = madrid().await;
    node.record(channel.id, "2026-11-21T09:00:00Z", "2026-11-21T09:30:00Z").await;
    let mut recording = node.recording(channel.id);
    recording.frames(at("2026-11-21T11:00:00Z"), node.now_us()).await;
    node.archive.flush().await;
    node.live.set(channel.id);
    let day = node.json("/api/clubs/padel-sur/courts/central/slots?date=2026-11-21").await;
    assert_eq!((&day["date"], &day["zone"]), (&json!("2026-11-21"), &json!("Europe/Madrid")));
    let slots = day["slots"].as_array().unwrap();
    assert_eq!(slots.len(), 16);
    assert_eq!((&slots[0]["time"], &slots[15]["time"]), (&json!("08:00"), &json!("23:00")));
    let states: Vec<_> = slots.iter().map(|slot| slot["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "past").count(), 4);
    assert_eq!((states[4], states[5]), ("live", "future"));
    assert_eq!(slots[2]["coverage"], 0.5);
    assert_eq!(slots[2]["start"], "2026-11-21T09:00:00.000Z");
    assert_eq!(slots[4]["coverage"], 1.0);
    assert!(slots[2]["thumbnailUrl"].is_string() && slots[3]["thumbnailUrl"].is_null());
    assert_eq!(slots[5]["coverage"], 0.0);
    assert!(slots.iter().all(|slot| slot["isAmbiguous"] == false && slot["offset"] == "+01:00"));
}

#[tokio::test]
async fn only_days_with_footage_are_marked() {
    let (node, _, channel) = madrid().await;
    node.record(channel.id, "2026-11-19T07:00:00Z", "2026-11-19T15:00:00Z").await;
    node.record(channel.id, "2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z").await;
    let month = node.json("/api/clubs/padel-sur/courts/central/days?month=2026-11").await;
    assert_eq!(
        month,
        // Eight of sixteen hours; one of the four and a half that have passed.
        json!({"month": "2026-11", "days": [{"date": "2026-11-19", "coverage": 0.5}, {"date": "2026-11-21", "coverage": 0.2222}]})
    );
    let empty = node.json("/api/clubs/padel-sur/courts/central/days?month=2027-01").await;
    assert_eq!(empty, json!({"month": "2027-01", "days": []}));
}

#[tokio::test]
async fn the_days_on_which_the_clocks_change() {
    let node = Node::at("2026-11-21T11:30:00Z").await;
    let club = node.club("nocturno", "Europe/Madrid", "00:00-24:00", 60).await;
    let court = node.court(&club, "uno").await;
    let channel = node.channel(&court, "main").await;
    // 25 October: 03:00 summer time becomes 02:00 winter time.
    node.record(channel.id, "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z").await;
    let day = node.json("/api/clubs/nocturno/courts/uno/slots?date=2026-10-25").await;
    let twice: Vec<_> =
        day["slots"].as_array().unwrap().iter().filter(|slot| slot["time"] == "02:00").collect();
    assert_eq!(twice.len(), 2);
    assert!(twice.iter().all(|slot| slot["isAmbiguous"] == true));
    assert_eq!((&twice[0]["offset"], &twice[0]["coverage"]), (&json!("+02:00"), &json!(1.0)));
    assert_eq!((&twice[1]["offset"], &twice[1]["coverage"]), (&json!("+01:00"), &json!(0.0)));
    let address = "/api/clubs/nocturno/courts/uno/replay?date=2026-10-25&time=02:00";
    let response = node.get(address).send().await.unwrap();
    assert_eq!(response.status(), 409);
    let document: serde_json::Value = response.json().await.unwrap();
    assert_eq!(document["code"], "ambiguous_time");
    assert_eq!(document["offsets"], json!(["+02:00", "+01:00"]));
    for (offset, start) in [("%2B02:00", "2026-10-25T00:00:00.000Z"), ("+01:00", "2026-10-25T01:00:00.000Z")]
    {
        assert_eq!(node.json(&format!("{address}&offset={offset}")).await["start"], start);
    }
    problem(node.get(&format!("{address}&offset=-05:00")).send().await.unwrap(), 404, "no_such_slot").await;
    // 29 March: there is no 02:00.
    let response =
        node.get("/api/clubs/nocturno/courts/uno/replay?date=2026-03-29&time=02:00").send().await.unwrap();
    problem(response, 404, "no_such_slot").await;
}

#[tokio::test]
async fn every_wrong_question_is_explained() {
    let (node, _, _) = madrid().await;
    let court = "/api/clubs/padel-sur/courts/central";
    for (address, status, code) in [
        ("/api/clubs/nobody".to_owned(), 404, "club_not_found"),
        ("/api/clubs/nobody/courts/central/slots?date=2026-11-21".to_owned(), 404, "club_not_found"),
        ("/api/clubs/padel-sur/courts/nobody/slots?date=2026-11-21".to_owned(), 404, "court_not_found"),
        ("/api/clubs/..%2f..%2fetc".to_owned(), 404, "club_not_found"),
        ("/api/clubs/%00".to_owned(), 404, "club_not_found"),
        ("/api/clubs/%ff".to_owned(), 400, "bad_request"),
        ("/api".to_owned(), 404, "not_found"),
        ("/api/".to_owned(), 404, "not_found"),
        ("/api/nothing/here".to_owned(), 404, "not_found"),
        (format!("{court}/nothing"), 404, "not_found"),
        (format!("{court}/slots"), 400, "invalid_date"),
        (format!("{court}/slots?date="), 400, "invalid_date"),
        (format!("{court}/slots?date=2026-13-01"), 400, "invalid_date"),
        (format!("{court}/slots?date=2026-02-30"), 400, "invalid_date"),
        (format!("{court}/slots?date=99999-01-01"), 400, "invalid_date"),
        (format!("{court}/slots?date=0001-01-01"), 400, "invalid_date"),
        (format!("{court}/slots?date=2026-11-21&date=2026-11-22"), 400, "bad_request"),
        (format!("{court}/slots?date=%ff%fe"), 400, "invalid_date"),
        (format!("{court}/days"), 400, "invalid_date"),
        (format!("{court}/days?month=2026-00"), 400, "invalid_date"),
        (format!("{court}/days?month=2026"), 400, "invalid_date"),
        (format!("{court}/replay"), 400, "invalid_date"),
        (format!("{court}/replay?date=2026-11-21"), 400, "invalid_time"),
        (format!("{court}/replay?date=2026-11-21&time=25:00"), 400, "invalid_time"),
        (format!("{court}/replay?date=2026-11-21&time=10"), 400, "invalid_time"),
        (format!("{court}/replay?date=2026-11-21&time=10:00&offset=1"), 400, "invalid_time"),
        (format!("{court}/replay?date=2026-11-21&time=10:30"), 404, "no_such_slot"),
        (format!("{court}/replay?date=2026-11-21&time=03:00"), 404, "no_such_slot"),
        (format!("{court}/replay?from=2026-11-21T09:00:00Z"), 400, "invalid_range"),
        (format!("{court}/replay?to=2026-11-21T09:00:00Z"), 400, "invalid_range"),
        (format!("{court}/replay?from=2026-11-21T09:00:00&to=2026-11-21T10:00:00Z"), 400, "invalid_range"),
        (format!("{court}/replay?from=2026-11-21T10:00:00Z&to=2026-11-21T09:00:00Z"), 400, "invalid_range"),
        (format!("{court}/replay?from=2026-11-20T09:00:00Z&to=2026-11-21T09:00:01Z"), 400, "range_too_long"),
        (format!("{court}/replay?from=1970-01-01T00:00:00Z&to=9999-01-01T00:00:00Z"), 400, "invalid_range"),
    ] {
        let detail = problem(node.get(&address).send().await.unwrap(), status, code).await;
        assert!(detail.len() > 10, "{address}: {detail}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_work() {
    let (node, _, _) = madrid().await;
    for path in ["/api/clubs", "/api/clubs/padel-sur", "/healthz", "/openapi.json", "/frame/x.jpg", "/"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let response = node.client.request(method.clone(), node.url(path)).send().await.unwrap();
            assert_eq!(response.headers()["allow"], "GET,HEAD", "{method} {path}");
            problem(response, 405, "method_not_allowed").await;
        }
        let response = node.client.head(node.url(path)).send().await.unwrap();
        assert!(response.status() != 405, "{path}");
        assert_eq!(response.bytes().await.unwrap().len(), 0);
    }
}
