//! Recording into a bucket with the real program, and playing from it: an S3 service, a proxy that makes it fail, real
//! publishers, ffmpeg's eyes.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testing::fault_proxy::{S3Call, WireFault};
use testing::s3::SECRET_KEY;
use turepe_e2e::{
    BucketService, Clip, Court, Node, NodeOptions, Publisher, SEVERAL_HOSTS, counters, decode_warnings, get,
    holes, now_us, program, recorded, replay_is_exact, us, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(120);

/// Local copies go as soon as the bucket has them.
const EVICT_AT_ONCE: (&str, &str) = ("TUREPE_RETENTION_KEEP_LOCAL", "1s");

fn node_with(bucket: &BucketService, segment: &'static str, more: &[(&str, &str)]) -> Node {
    Node::start(NodeOptions { segment, settings: bucket.settings(more), ..NodeOptions::default() })
}

/// A node that records one court of one club.
fn court_of(node: &Node) -> Court {
    node.add_club("club", 60);
    node.add_court("club", "uno")
}

fn wait_stored(node: &Node) -> Value {
    wait_until("everything to be stored", PATIENCE, || {
        let ledger = node.ledger();
        let is_safe = ledger["unsafeBytes"] == 0 && ledger["upload"]["storedSegments"].as_u64() > Some(0);
        is_safe.then_some(ledger)
    })
}

/// No alarm is on but that of a camera that a test has stopped, while its club is open.
fn is_calm(ledger: &Value) -> bool {
    ledger["alarms"].as_array().expect("alarms").iter().all(|alarm| alarm["kind"] == "cameraSilent")
}

/// Sealed segments on this side.
fn local_copies(node: &Node) -> usize {
    let mut open = vec![node.data.join("store")];
    let mut count = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { open.push(entry.path()) } else { count += 1 }
        }
    }
    count
}

fn wait_evicted(node: &Node) {
    wait_stored(node);
    wait_until("the local copies to go", PATIENCE, || (local_copies(node) == 0).then_some(()));
}

fn fragments(replay: &Value) -> &[Value] {
    replay["fragments"].as_array().expect("fragments")
}

fn url(value: &Value) -> &str {
    value.as_str().expect("an address")
}

fn is_in_bucket(fragment: &Value) -> bool {
    url(&fragment["url"]).starts_with("http://")
}

/// A value of a signed address.
fn signed(url: &str, name: &str) -> String {
    let query = url.split_once('?').expect("it is signed").1;
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair.unwrap_or_else(|| panic!("no {name} in {url}")).to_owned()
}

/// Until when a signed address is good, UTC microseconds.
fn good_until_us(url: &str) -> i64 {
    let date = signed(url, "X-Amz-Date");
    let begun = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", &date).expect("a date");
    let begun = begun.to_datetime().expect("a date").to_zoned(jiff::tz::TimeZone::UTC).expect("an instant");
    let seconds: i64 = signed(url, "X-Amz-Expires").parse().expect("seconds");
    begun.timestamp().as_microsecond() + seconds * 1_000_000
}

/// The rows say that the bucket has it all, somebody else has emptied it, and the disk is low.
#[test]
fn a_bucket_that_somebody_else_has_emptied_costs_no_footage() {
    let bucket = BucketService::start();
    let mut node = node_with(&bucket, "5s", &[]);
    let court = court_of(&node);
    let begin = now_us();
    let publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 16);
    publisher.stop();
    let replay = node.ended(&court, begin);
    wait_stored(&node);
    let stored = local_copies(&node);
    assert!(stored >= 3);
    node.stop();
    assert!(bucket.service.empty() >= stored);

    // Nobody has as much room: every copy is to go.
    node.set("TUREPE_RETENTION_MIN_FREE", "1000000GB");
    node.resume();
    wait_until("an alarm", PATIENCE, || {
        let alarms = node.get_json("/api/node/ledger")["alarms"].clone();
        alarms.as_array().expect("alarms").iter().any(|alarm| alarm["kind"] == "bucketLost").then_some(())
    });
    // The copies stay until the bucket has it all again, and only then do they go.
    wait_until("the copies to go", PATIENCE, || (local_copies(&node) == 0).then_some(()));
    let ledger = node.ledger();
    assert_eq!(ledger["keeper"]["lostSegments"], 0, "{ledger}");
    assert!(ledger["upload"]["storedSegments"].as_u64() >= Some(stored as u64), "{ledger}");
    let after = node.replay(&court, begin, us(&replay["recordedUntil"]));
    assert_eq!(fragments(&after).len(), fragments(&replay).len());
    assert!(fragments(&after).iter().all(is_in_bucket), "{after}");
    let address = node.url(url(&after["playlistUrl"]));
    assert_eq!(decode_warnings(&address, &SEVERAL_HOSTS), "");
    let verified = Command::new(program())
        .args(["verify", "--deep", "--json", "--data"])
        .arg(&node.data)
        .envs(bucket.settings(&[]))
        .output()
        .expect("it runs");
    let report: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    assert_eq!(report["faultCount"], 0, "{report}");
}

/// Everything is stored, and the answer leads straight to it.
#[test]
fn what_is_recorded_is_stored_and_played_straight_from_the_bucket() {
    let bucket = BucketService::start();
    let node = node_with(&bucket, "5s", &[]);
    let court = court_of(&node);
    let begin = now_us();
    // Heavy, so that segments go up in parts while they grow.
    let publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 12);
    publisher.stop();
    node.ended(&court, begin);
    let ledger = wait_stored(&node);
    assert_eq!(ledger["hasBucket"], true);
    assert!(is_calm(&ledger), "{ledger}");
    assert!(bucket.proxy.calls(S3Call::Complete) >= 2, "segments are uploaded in parts");
    assert_eq!(bucket.proxy.refused(), Vec::<String>::new(), "what B2 refuses is never sent");
    assert_eq!(bucket.service.pending_uploads(), 0);

    let replay = node.ended(&court, begin);
    let expires_us = us(&replay["expiresAt"]);
    assert!(fragments(&replay).len() >= 3, "{replay}");
    for fragment in fragments(&replay) {
        let address = url(&fragment["url"]);
        assert!(address.starts_with(&bucket.origin()), "straight to the bucket: {address}");
        assert!((good_until_us(address) - expires_us).abs() < 120_000_000, "as long as the answer is good");
        let (status, headers, body) = get(address, &[("range", "bytes=4-7")]);
        assert_eq!((status, body.as_slice()), (206, &b"ftyp"[..]), "{headers:?}");
        let size = fragment["sizeBytes"].as_u64().expect("a size");
        let range = headers.iter().find(|(name, _)| name == "content-range").map(|(_, value)| value.as_str());
        assert_eq!(range, Some(format!("bytes 4-7/{size}").as_str()));
    }
    // The playlist stays short and never goes stale: its addresses are ours and lead there for a short while.
    let (_, _, playlist) = node.get(url(&replay["playlistUrl"]), &[]);
    let playlist = String::from_utf8(playlist).expect("text");
    assert!(!playlist.contains("X-Amz-") && playlist.contains("\n/media/"), "{playlist}");
    let address = node.url(url(&replay["playlistUrl"]));
    assert_eq!(decode_warnings(&address, &SEVERAL_HOSTS), "");
    assert_eq!(holes(&counters(&address, &[]), 600), 0);
}

/// Local copies are gone: the same checks as of footage on this disk.
#[test]
fn what_only_the_bucket_has_is_exact_to_the_frame() {
    let bucket = BucketService::start();
    let node = node_with(&bucket, "5s", &[EVICT_AT_ONCE]);
    replay_is_exact(&node, Clip::H264, Publisher::ffmpeg, wait_evicted);
    assert_eq!(local_copies(&node), 0);
    assert!(bucket.proxy.calls(S3Call::Get) > 20, "the bucket was read");
}

/// Segments only in the bucket, on their way there, and growing: one match.
#[test]
fn a_match_mixes_local_uploading_and_remote_segments() {
    let bucket = BucketService::start();
    let node = node_with(&bucket, "5s", &[EVICT_AT_ONCE]);
    let court = court_of(&node);
    let begin = now_us();
    let publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    wait_until("segments that only the bucket has", PATIENCE, || {
        let evicted = node.ledger()["keeper"]["evictedSegments"].as_u64();
        (evicted >= Some(2)).then_some(())
    });
    // From now on parts arrive and nothing is completed: what is recorded waits here.
    for call in [S3Call::Complete, S3Call::Put] {
        bucket.proxy.inject(call, WireFault::SlowDown(0), u32::MAX);
    }
    let parts_before = bucket.service.taken_parts().len();
    let replay = wait_until("a segment on its way", PATIENCE, || {
        let replay = node.replay(&court, begin, now_us());
        let waiting = fragments(&replay).iter().filter(|fragment| !is_in_bucket(fragment)).count();
        // One that waits and one that grows.
        let has_parts = bucket.service.taken_parts().len() > parts_before;
        (waiting >= 2 && has_parts && local_copies(&node) >= 1).then_some(replay)
    });
    let in_bucket = fragments(&replay).iter().filter(|fragment| is_in_bucket(fragment)).count();
    assert!(in_bucket >= 2, "{replay}");
    let (start, end) = (us(&fragments(&replay)[0]["start"]), us(&replay["recordedUntil"]) - 1_000_000);

    // While it grows: no frame is missing wherever it lies.
    let download = |replay: &Value| {
        let (status, headers, body) = node.get(url(&replay["downloadUrl"]), &[]);
        assert_eq!(status, 200);
        let etag = headers.into_iter().find(|(name, _)| name == "etag").expect("an ETag").1;
        (body, etag)
    };
    let mixed = node.replay(&court, start, end);
    assert_eq!(mixed["gaps"], serde_json::json!([]));
    let playlist = node.url(url(&mixed["playlistUrl"]));
    assert_eq!(decode_warnings(&playlist, &SEVERAL_HOSTS), "");
    let while_growing = counters(&playlist, &[]);
    assert_eq!(holes(&while_growing, 600), 0);
    publisher.stop();
    let ended = node.ended(&court, start);
    let whole_end = us(&ended["end"]);
    let mixed = node.replay(&court, start, whole_end);
    assert!(fragments(&mixed).iter().any(is_in_bucket) && !fragments(&mixed).iter().all(is_in_bucket));
    let (bytes, etag) = download(&mixed);
    let frames = counters(&node.url(url(&mixed["playlistUrl"])), &[]);
    assert!(
        frames.starts_with(&while_growing[..while_growing.len() - 50]),
        "the same frames as while it grew"
    );

    // And the same bytes when all of it lies in the bucket.
    bucket.proxy.heal();
    wait_evicted(&node);
    let remote = node.replay(&court, start, whole_end);
    assert!(fragments(&remote).iter().all(is_in_bucket), "{remote}");
    let (again, etag_again) = download(&remote);
    assert_eq!(etag, etag_again);
    assert!(bytes == again, "{} bytes, then {}", bytes.len(), again.len());
    assert_eq!(frames, counters(&node.url(url(&remote["playlistUrl"])), &[]));
}

/// B2 drops an upload now and then, or says so of one that it has.
#[test]
fn an_upload_that_the_bucket_does_not_know_begins_anew_and_leaves_nothing_behind() {
    let bucket = BucketService::start();
    let node = node_with(&bucket, "5s", &[]);
    let court = court_of(&node);
    let begin = now_us();
    let publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 2);
    let upload = || node.ledger()["upload"].clone();
    for (call, fault) in [
        (S3Call::Complete, WireFault::NoSuchUpload),
        (S3Call::UploadPart, WireFault::NoSuchUpload),
        (S3Call::ListParts, WireFault::NoSuchUpload),
        (S3Call::Complete, WireFault::Page(200)),
    ] {
        bucket.proxy.inject(call, fault, 1);
        let enough = upload()["storedSegments"].as_u64().expect("a number") + 2;
        wait_until(&format!("two segments stored after {call:?} {fault:?}"), PATIENCE, || {
            (upload()["storedSegments"].as_u64() >= Some(enough)).then_some(())
        });
    }
    publisher.stop();
    bucket.proxy.heal();
    node.ended(&court, begin);
    let ledger = wait_stored(&node);
    assert!(ledger["upload"]["restarts"].as_u64() >= Some(2), "{ledger}");
    assert_eq!(bucket.service.pending_uploads(), 0, "every upload that was given up is aborted");
    assert!(is_calm(&ledger), "{ledger}");
}

/// A download as a phone takes it: what came, and whether that was all.
fn taken(url: &str) -> (Vec<u8>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let mut response = reqwest::Client::new().get(url).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => return (bytes, true),
                Err(_) => return (bytes, false),
            }
        }
    })
}

/// The head of a download is sent before all of its bytes are there: it ends whole, or it is aborted and the log says why.
#[test]
fn a_download_from_a_bucket_that_breaks_is_whole_or_aborted() {
    let bucket = BucketService::start();
    let node = node_with(&bucket, "5s", &[EVICT_AT_ONCE]);
    let court = court_of(&node);
    let begin = now_us();
    let publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 12);
    publisher.stop();
    let replay = node.ended(&court, begin);
    wait_evicted(&node);
    let address = node.url(url(&replay["downloadUrl"]));
    let (whole, is_all) = taken(&address);
    assert!(is_all && whole.len() > 2_000_000, "{} bytes", whole.len());
    let faults = [
        WireFault::TruncatedBody,
        WireFault::ShortRange,
        WireFault::SlowDown(0),
        WireFault::InternalError,
        WireFault::Reset,
        WireFault::AnswerLost,
        WireFault::Page(200),
        WireFault::Page(206),
        WireFault::Page(403),
        WireFault::Page(503),
    ];
    for fault in faults {
        bucket.proxy.inject(S3Call::Get, fault, 2);
        let (bytes, is_all) = taken(&address);
        assert!(is_all && bytes == whole, "{fault:?}: {} of {} bytes", bytes.len(), whole.len());
        bucket.proxy.heal();
    }
    let complaints = || node.log().lines().filter(|line| line.contains("cannot be read to its end")).count();
    assert_eq!(complaints(), 0, "{}", node.log());
    for fault in
        [WireFault::TruncatedBody, WireFault::SlowDown(0), WireFault::Page(200), WireFault::CapExceeded]
    {
        let before = complaints();
        bucket.proxy.inject(S3Call::Get, fault, u32::MAX);
        let (bytes, is_all) = taken(&address);
        bucket.proxy.heal();
        assert!(!is_all && whole.starts_with(&bytes), "{fault:?}: {} bytes", bytes.len());
        wait_until("the log to say so", PATIENCE, || (complaints() == before + 1).then_some(()));
    }
    let log = node.log();
    let line = log.lines().rfind(|line| line.contains("cannot be read to its end")).expect("a line");
    assert!(line.contains("segment ") && line.contains("cap exceeded"), "which, and why: {line}");
}

/// Whatever the bucket does, what is played now is recorded, and in the end the bucket has it.
#[test]
fn a_bucket_that_fails_in_every_way_costs_no_frame() {
    let bucket = BucketService::start();
    let node = node_with(&bucket, "5s", &[]);
    let court = court_of(&node);
    let begin = now_us();
    let mut publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 2);
    let failed = || node.ledger()["upload"]["failedCalls"].as_u64().expect("a number");
    bucket.proxy.set_away(true);
    wait_until("calls to a bucket that is away", PATIENCE, || (failed() >= 2).then_some(()));
    // Away is nobody's reason to be unready, and playing goes on.
    assert_eq!(node.get_json("/readyz")["ok"], true);
    assert!(!fragments(&node.replay(&court, begin, now_us())).is_empty());
    bucket.proxy.set_away(false);
    let before = failed();
    let stored = || node.ledger()["upload"]["storedSegments"].as_u64().expect("a number");
    // One after the other: faults in a row would let the back-off grow to its ceiling of half a minute.
    for (call, fault, times) in [
        (None, WireFault::SlowDown(1), 4),
        (Some(S3Call::UploadPart), WireFault::Reset, 2),
        (Some(S3Call::UploadPart), WireFault::WrongEtag, 2),
        (Some(S3Call::UploadPart), WireFault::AnswerLost, 1),
        (Some(S3Call::CreateUpload), WireFault::AnswerLost, 1),
        (Some(S3Call::Complete), WireFault::ErrorInside200, 1),
        (Some(S3Call::Complete), WireFault::AnswerLost, 1),
        (Some(S3Call::Head), WireFault::InternalError, 1),
    ] {
        bucket.proxy.inject(call, fault, times);
        // The first may have been past the call that fails; the second has made every call.
        let enough = stored() + 2;
        wait_until(&format!("two segments stored after {fault:?}"), PATIENCE, || {
            (stored() >= enough).then_some(())
        });
    }
    assert!(failed() >= before + 8, "the faults were met: {}", node.ledger());
    assert!(publisher.is_running(), "the publisher was never disturbed");
    publisher.stop();
    bucket.proxy.heal();
    node.ended(&court, begin);
    let ledger = wait_stored(&node);
    assert!(is_calm(&ledger) && ledger["upload"]["trouble"] == Value::Null, "{ledger}");

    let replay = node.ended(&court, begin);
    assert_eq!(replay["gaps"], serde_json::json!([]), "{replay}");
    let playlist = node.url(url(&replay["playlistUrl"]));
    assert_eq!(holes(&counters(&playlist, &[]), 600), 0, "no frame is missing");
    assert_every_object_is_whole(&node, &bucket, &replay);
}

/// The bucket has what the node has, byte for byte.
fn assert_every_object_is_whole(node: &Node, bucket: &BucketService, replay: &Value) {
    for fragment in fragments(replay) {
        let (status, _, remote) = get(url(&fragment["url"]), &[]);
        assert_eq!(status, 200);
        assert_eq!(Some(remote.len() as u64), fragment["sizeBytes"].as_u64());
        let name = url(&fragment["url"]).strip_prefix(&bucket.origin()).expect("in the bucket");
        let name = name.split('?').next().and_then(|path| path.split_once("/tu-repe/")).expect("a name").1;
        let local = std::fs::read(node.data.join("store").join(name)).expect("the local copy");
        assert!(local == remote, "{name}");
    }
}

/// SIGKILL in the middle of an upload: what has arrived is not sent again.
#[test]
fn after_kill_9_uploads_go_on_where_they_were() {
    let bucket = BucketService::start();
    let mut node = node_with(&bucket, "15s", &[("TUREPE_STORE_CONCURRENCY", "1")]);
    let court = court_of(&node);
    let begin = now_us();
    let publisher = Publisher::turepe(Clip::Heavy, &node.rtmp_url(&court.key));
    // Parts that were taken, of each upload.
    let taken = || {
        let mut taken = BTreeMap::<(String, String), Vec<i32>>::new();
        for part in bucket.service.taken_parts() {
            taken.entry((part.key, part.upload_id)).or_default().push(part.number);
        }
        taken
    };
    let (key, upload_id) = wait_until("a segment that is half there", PATIENCE, || {
        // The first part comes last.
        taken()
            .into_iter()
            .find(|(_, parts)| parts.len() >= 4 && !parts.contains(&1))
            .map(|(upload, _)| upload)
    });
    node.kill();
    let before = taken();
    node.resume();
    wait_until("new footage", PATIENCE, || {
        let replay = node.replay(&court, begin, now_us());
        replay["gaps"].as_array()?.iter().any(|gap| gap["cause"] == "process").then_some(())
    });
    publisher.stop();
    node.ended(&court, begin);
    wait_stored(&node);
    let after = taken();
    let parts = &after[&(key.clone(), upload_id.clone())];
    assert!(parts.contains(&1), "the same upload was completed: {parts:?}");
    for (upload, parts) in &before {
        let all = &after[upload];
        let again: Vec<_> =
            parts.iter().filter(|part| all.iter().filter(|other| other == part).count() > 1).collect();
        // One was on its way when the node died: whether it had arrived nobody had heard yet.
        assert!(again.len() <= 1, "sent again: {again:?} of {all:?}");
    }
    assert_eq!(bucket.service.pending_uploads(), 0, "nothing is left behind");
    let replay = node.ended(&court, begin);
    assert_every_object_is_whole(&node, &bucket, &replay);
}

/// An absent setting is an error, never the local disk in silence.
#[test]
fn a_half_configured_bucket_stops_the_start_with_key_and_reason() {
    let bucket = BucketService::start();
    let folder = tempfile::tempdir().expect("a folder");
    for (missing, key, reason) in [
        ("TUREPE_STORE_KEY_ID", "store.key_id", "key"),
        ("TUREPE_STORE_SECRET_KEY", "store.key_id", "secret"),
    ] {
        let settings = bucket.settings(&[]).into_iter().filter(|(name, _)| name != missing);
        let output = Command::new(program())
            .args(["serve", "--data"])
            .arg(folder.path())
            .envs(settings)
            .env("TUREPE_HTTP_LISTEN", "127.0.0.1:0")
            .env("TUREPE_RTMP_LISTEN", "127.0.0.1:0")
            .current_dir(folder.path())
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(key) && said.contains(reason), "{said}");
        assert!(!said.contains(SECRET_KEY), "{said}");
    }
    assert!(!folder.path().join("store").exists(), "nothing falls back to the disk");
}

/// Neither the bucket's key nor the operators' token is anywhere to be seen.
#[test]
fn no_secret_is_shown() {
    let bucket = BucketService::start();
    let more = [("TUREPE_LOG_FILTER", "debug")];
    let node = node_with(&bucket, "5s", &more);
    let court = court_of(&node);
    let begin = now_us();
    // Errors are where secrets come out.
    bucket.proxy.inject(None, WireFault::SlowDown(0), 3);
    bucket.proxy.inject(S3Call::Put, WireFault::WrongEtag, 1);
    let publisher = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    recorded(&node, &court, begin, 6);
    publisher.stop();
    node.ended(&court, begin);
    wait_stored(&node);
    let (replay, token) = (node.ended(&court, begin), node.token());
    let config = Command::new(program())
        .arg("config")
        .envs(bucket.settings(&more))
        .current_dir(&node.data)
        .output()
        .expect("the program starts");
    assert!(config.status.success());
    let answer = |path: &str| String::from_utf8_lossy(&node.get(path, &[]).2).into_owned();
    let shown = [
        ("the log", node.log()),
        ("the configuration", String::from_utf8_lossy(&config.stdout).into_owned()),
        ("the process list", node.process_list()),
        ("the replay", replay.to_string()),
        ("the ledger", answer("/api/node/ledger")),
        ("the metrics", answer("/metrics")),
        ("readiness", answer("/readyz")),
        ("the page", answer("/")),
    ];
    for (what, text) in &shown {
        for (name, secret) in
            [("key", SECRET_KEY), ("token", token.as_str()), ("stream key", court.key.as_str())]
        {
            assert!(!text.is_empty() && !text.contains(secret), "the {name} is in {what}");
        }
    }
    assert!(shown[0].1.contains("segment stored in the bucket"), "the log says what became of it");
    // A signed address is as good as a key until it expires.
    assert!(!shown[0].1.contains("X-Amz-Signature"), "a signature is in the log");
    assert!(shown[1].1.contains("***"), "masked, not left out");
}

#[test]
fn doctor_sets_a_bucket_up_for_the_pages_of_the_website() {
    let bucket = BucketService::start();
    let folder = tempfile::tempdir().expect("a folder");
    let doctor = |more: &[&str]| {
        let output = Command::new(program())
            .args(["doctor", "--json", "--set", "http.public_url=https://club.example"])
            .args(more)
            .envs(bucket.settings(&[]))
            .current_dir(folder.path())
            .output()
            .expect("doctor starts");
        let report: Value = serde_json::from_slice(&output.stdout).expect("doctor prints JSON");
        assert!(!report.to_string().contains(SECRET_KEY), "{report:#}");
        let findings = report["findings"].as_array().expect("findings").iter();
        findings.filter(|finding| finding["check"] == "bucket").cloned().collect::<Vec<_>>()
    };
    let is_well = |findings: &[Value]| findings.iter().all(|finding| finding["verdict"] != "bad");
    assert!(!is_well(&doctor(&[])), "pages may not play from it yet");
    assert!(bucket.service.cors().is_none(), "looking changes nothing");
    doctor(&["--fix"]);
    let rules = bucket.service.cors().expect("rules").cors_rules;
    assert!(
        rules.iter().any(|rule| rule.allowed_origins.iter().any(|origin| origin == "https://club.example"))
    );
    let after = doctor(&[]);
    assert!(is_well(&after), "{after:#?}");
}
