//! The interface in a real browser, on a phone-sized screen: the tests themselves stand in `web/browser`.

use std::process::{Command, Stdio};
use std::time::Duration;

use turepe_e2e::{
    BucketService, Clip, Demo, Node, NodeOptions, Publisher, browser, browser_with_bucket, browser_with_code,
    browser_without_idr, now_us, rfc3339, wait_until,
};

/// From the club page to the match, over a segment border, to its end: a match of the demo, recorded by the real pipeline.
#[test]
fn a_player_finds_the_match_and_watches_it_to_its_end() {
    let demo = Demo::start();
    let (date, time) = demo.last_match();
    browser(&[
        ("TUREPE_URL", &demo.url),
        ("TUREPE_CLUB", "demo"),
        ("TUREPE_COURT", "cancha-1"),
        ("TUREPE_DATE", &date),
        ("TUREPE_TIME", &time),
    ]);
}

/// A match of one minute, in whose middle the camera was away for two seconds: recorded here and now.
#[test]
fn over_a_gap_the_match_plays_on_and_says_so() {
    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;
    let node = Node::start(NodeOptions::default());
    node.add_club("club", 1);
    let court = node.add_court("club", "uno");
    let until = |what: &str, instant_us: i64| {
        wait_until(what, Duration::from_secs(180), || (now_us() >= instant_us).then_some(()));
    };
    let first = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    let begin = now_us();
    wait_until("footage", Duration::from_secs(30), || {
        let replay = node.replay(&court, begin, now_us());
        (!replay["fragments"].as_array()?.is_empty()).then_some(())
    });
    let slot_us = (now_us() / MINUTE + 1) * MINUTE;
    until("the middle of the match", slot_us + 20 * SECOND);
    first.kill();
    until("two seconds without a camera", now_us() + 2 * SECOND);
    let second = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    until("the end of the match", slot_us + MINUTE + 2 * SECOND);
    second.stop();
    node.ended(&court, slot_us);

    let instant = rfc3339(slot_us);
    browser(&[
        ("TUREPE_URL", &node.url("")),
        ("TUREPE_CLUB", &court.club),
        ("TUREPE_COURT", &court.court),
        ("TUREPE_DATE", &instant[..10]),
        ("TUREPE_TIME", &instant[11..16]),
        ("TUREPE_GAP", "1"),
    ]);
}

/// A match that only the bucket has, of another origin, with addresses that live for ten seconds; then the same where the
/// bucket lets no page in.
#[test]
fn a_match_in_a_bucket_plays_on_over_expiring_addresses_and_around_a_shut_bucket() {
    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;
    let bucket = BucketService::start();
    let settings =
        bucket.settings(&[("TUREPE_RETENTION_KEEP_LOCAL", "1s"), ("TUREPE_STORE_URL_LIFE", "10s")]);
    // One segment for the whole match: its address is asked again and again.
    let node = Node::start(NodeOptions { segment: "1m", settings, ..NodeOptions::default() });
    bucket.allow_pages_of(&[node.http]);
    node.add_club("club", 1);
    let court = node.add_court("club", "uno");
    let begin = now_us();
    let publisher = Publisher::turepe(Clip::H264, &node.rtmp_url(&court.key));
    wait_until("footage", Duration::from_secs(30), || {
        (!node.replay(&court, begin, now_us())["fragments"].as_array()?.is_empty()).then_some(())
    });
    let slot_us = (now_us() / MINUTE + 1) * MINUTE;
    wait_until("the end of the match", Duration::from_secs(180), || {
        (now_us() >= slot_us + MINUTE + 3 * SECOND).then_some(())
    });
    publisher.stop();
    wait_until("all of it to be in the bucket alone", Duration::from_secs(60), || {
        let ledger = node.ledger();
        let evicted = ledger["keeper"]["evictedSegments"].as_u64();
        (ledger["unsafeBytes"] == 0 && evicted >= Some(3)).then_some(())
    });

    let (url, origin, instant) = (node.url(""), bucket.origin(), rfc3339(slot_us));
    let mut environment = vec![
        ("TUREPE_URL", url.as_str()),
        ("TUREPE_CLUB", &court.club),
        ("TUREPE_COURT", &court.court),
        ("TUREPE_DATE", &instant[..10]),
        ("TUREPE_TIME", &instant[11..16]),
        ("TUREPE_BUCKET", &origin),
    ];
    browser_with_bucket(&environment);
    bucket.allow_pages_of(&[]);
    environment.push(("TUREPE_BUCKET_SHUT", "1"));
    browser_with_bucket(&environment);
}

/// A club whose matches are opened with codes and links: a code is typed on a phone.
#[test]
fn a_player_types_the_code_of_the_match() {
    let demo = Demo::start();
    let (date, time) = demo.last_match();
    demo.command(&["admin", "club", "set", "--club", "demo", "--access", "code"]);
    let place = ["--club", "demo", "--court", "cancha-1", "--date", &date, "--time", &time];
    let made = |what: [&str; 3]| demo.command(&[&what[..], &place[..]].concat());
    let code = made(["admin", "code", "create"])["codes"][0]["code"].as_str().expect("a code").to_owned();
    let link = || {
        let link = made(["admin", "link", "create"]);
        (link["id"].as_str().expect("an id").to_owned(), link["url"].as_str().expect("an address").to_owned())
    };
    let ((_, good), (id, revoked)) = (link(), link());
    demo.command(&["admin", "link", "revoke", &id]);
    browser_with_code(&[
        ("TUREPE_URL", &demo.url),
        ("TUREPE_CLUB", "demo"),
        ("TUREPE_COURT", "cancha-1"),
        ("TUREPE_DATE", &date),
        ("TUREPE_TIME", &time),
        ("TUREPE_CODE", &code),
        ("TUREPE_LINK", &good),
        ("TUREPE_LINK_REVOKED", &revoked),
    ]);
}

/// Ctrl-C ends the demo and its cameras.
#[test]
fn the_demo_ends_cleanly_and_starts_again() {
    let mut demo = Demo::start();
    let took = demo.stop();
    assert!(took < Duration::from_secs(3), "Ctrl-C took {took:?}");
    let left =
        Command::new("pgrep").args(["-f", &demo.folder().to_string_lossy()]).stdin(Stdio::null()).output();
    assert!(left.expect("pgrep starts").stdout.is_empty(), "a process of the demo was left behind");
    demo.resume();
    demo.last_match();
}

/// Matches of cameras without IDR pictures: Chromium starts no playlist of them.
#[test]
fn matches_without_idr_pictures_are_played_as_files_or_refused_in_words() {
    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;
    // As installed: where a segment begins, gradual refresh takes a while to a whole picture.
    let node = Node::start(NodeOptions { segment: "15m", ..NodeOptions::default() });
    node.add_club("club", 1);
    let (gradual, open) = (node.add_court("club", "uno"), node.add_court("club", "dos"));
    let publishers = [
        Publisher::ffmpeg(Clip::Refresh, &node.rtmp_url(&gradual.key)),
        Publisher::ffmpeg(Clip::OpenGop, &node.rtmp_url(&open.key)),
    ];
    // Not the publishers' first minute: that begins with the IDR picture.
    let slot_us = ((now_us() + 3 * SECOND) / MINUTE + 1) * MINUTE;
    wait_until("the end of the match", Duration::from_secs(180), || {
        (now_us() >= slot_us + MINUTE + 2 * SECOND).then_some(())
    });
    publishers.into_iter().for_each(Publisher::stop);
    node.ended(&gradual, slot_us);
    node.ended(&open, slot_us);
    let instant = rfc3339(slot_us);
    browser_without_idr(&[
        ("TUREPE_URL", &node.url("")),
        ("TUREPE_CLUB", &gradual.club),
        ("TUREPE_COURT", &gradual.court),
        ("TUREPE_OPEN_COURT", &open.court),
        ("TUREPE_DATE", &instant[..10]),
        ("TUREPE_TIME", &instant[11..16]),
    ]);
}
