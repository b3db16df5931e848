//! `turepe publish` against a real node.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::tool::{Tool, free_port, get, get_json, until};

/// Coverage of the slot that is being played.
fn coverage(http: std::net::SocketAddr) -> f64 {
    let now = jiff::Timestamp::from_microsecond(world::Clock::now_us(&world::SystemClock)).unwrap();
    let date = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let slots = get_json(http, &format!("/api/clubs/c/courts/k/slots?date={date}"));
    let slots = slots["slots"].as_array().unwrap();
    slots.iter().find(|slot| slot["state"] == "live").map_or(0.0, |slot| slot["coverage"].as_f64().unwrap())
}

fn is_live(http: std::net::SocketAddr) -> bool {
    get_json(http, "/api/clubs/c")["courts"][0]["isLive"] == true
}

#[test]
fn a_file_is_published_in_real_time_and_recorded() {
    let tool = Tool::new();
    let (_node, http, rtmp) = tool.serve();
    let key = tool.club()["streamKey"].as_str().unwrap().to_owned();
    let start = Instant::now();
    let clip = Tool::clip();
    let summary = tool.json(&[
        "publish",
        clip.to_str().unwrap(),
        &format!("rtmp://{rtmp}/live/{key}"),
        "--duration",
        "4s",
        "--json",
    ]);
    assert!((4..7).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    // 25 pictures and 46.9 sounds a second.
    let frames = summary["frames"].as_u64().unwrap();
    assert!((260..320).contains(&frames), "{summary}");
    assert!(summary["failures"].as_array().unwrap().is_empty());
    until("the recording", || (coverage(http) > 0.0).then_some(()));
    until("the end of the broadcast", || (!is_live(http)).then_some(()));
}

#[test]
fn a_node_that_does_not_record_shows_what_is_live_and_writes_no_footage() {
    let tool = Tool::new();
    let (http, rtmp) = (free_port(), free_port());
    let (http_set, rtmp_set) = (format!("http.listen={http}"), format!("rtmp.listen={rtmp}"));
    let mut node =
        tool.start(&["serve", "--set", &http_set, "--set", &rtmp_set, "--set", "archive.record=false"]);
    node.wait_for("Website");
    let channel = tool.club();
    let (id, key) = (channel["id"].as_str().unwrap(), channel["streamKey"].as_str().unwrap());
    let clip = Tool::clip();
    let url = format!("rtmp://{rtmp}/live/{key}");
    let _publisher = tool.start(&["publish", clip.to_str().unwrap(), &url, "--loop"]);
    until("the broadcast", || is_live(http).then_some(()));
    let cover = live::covers::CoverId::of(id.parse().unwrap()).file_name();
    until("a cover", || tool.folder().join("data/covers").join(&cover).exists().then_some(()));
    // A recorder would have begun a segment by then.
    until("a playlist with a whole segment", || {
        let (status, body) = get(http, &format!("/live/{id}/index.m3u8"));
        (status == 200 && String::from_utf8_lossy(&body).contains("#EXTINF")).then_some(())
    });
    assert_eq!(coverage(http), 0.0);
    let (status, _) = node.interrupt();
    assert!(status.success());
    for folder in ["spool", "store"] {
        let files = std::fs::read_dir(tool.folder().join("data").join(folder)).into_iter().flatten();
        let names: Vec<_> = files.map(|file| file.unwrap().path()).filter(|file| file.is_dir()).collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

#[test]
fn an_flv_file_is_published_too() {
    let tool = Tool::new();
    let flv = tool.folder().join("clip.flv");
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-i"]).arg(Tool::clip()).args(["-c", "copy"]).arg(&flv);
    assert!(make.status().unwrap().success());
    let (_node, http, rtmp) = tool.serve();
    let key = tool.club()["streamKey"].as_str().unwrap().to_owned();
    let url = format!("rtmp://{rtmp}/live/{key}");
    let _publisher = tool.start(&["publish", flv.to_str().unwrap(), &url, "--loop"]);
    until("the broadcast", || is_live(http).then_some(()));
}

#[test]
fn a_refusal_is_reported_with_its_reason_and_exit_code() {
    let tool = Tool::new();
    let (mut node, _, rtmp) = tool.serve();
    let clip = Tool::clip();
    let said = tool
        .fails(5, &["publish", clip.to_str().unwrap(), &format!("rtmp://{rtmp}/live/n0-such-key"), "--loop"]);
    assert!(said.contains("NetStream.Publish.BadName") && said.contains("unknown stream key"), "{said}");
    assert!(!said.contains("n0-such-key"), "{said}");
    let logged = node.wait_for("refused");
    assert!(logged.contains("unknown stream key") && logged.contains("127.0.0.1"), "{logged}");
    assert!(!node.said.iter().any(|line| line.contains("n0-such-key")));
}

#[test]
fn many_streams_come_from_one_process_and_a_lost_server_is_found_again() {
    let tool = Tool::new();
    let (mut node, http, rtmp) = tool.serve();
    let mut keys = tempfile::NamedTempFile::new().unwrap();
    writeln!(keys, "# one a line\n{}", tool.club()["streamKey"].as_str().unwrap()).unwrap();
    for _ in 0..4 {
        let add = ["admin", "channel", "add", "--club", "c", "--court", "k", "--push", "--json"];
        writeln!(keys, "{}", tool.json(&add)["streamKey"].as_str().unwrap()).unwrap();
    }
    let (clip, keys) = (Tool::clip(), keys.into_temp_path());
    let (clip, keys) = (clip.to_str().unwrap(), keys.to_str().unwrap());
    let url = format!("rtmp://{rtmp}/live");
    let _publisher = tool.start(&["publish", clip, &url, "--loop", "--streams", "5", "--keys-from", keys]);
    let live = |http| {
        let club = get_json(http, "/api/clubs/c");
        let channels = club["courts"][0]["channels"].as_array().unwrap().clone();
        channels.iter().filter(|channel| channel["isLive"] == true).count()
    };
    until("five broadcasts", || (live(http) == 5).then_some(()));
    node.signal("KILL");
    node.wait();
    let (http_set, rtmp_set) = (format!("http.listen={http}"), format!("rtmp.listen={rtmp}"));
    let mut node = tool.start(&["serve", "--set", &http_set, "--set", &rtmp_set]);
    node.wait_for("Website");
    until("five broadcasts again", || (live(http) == 5).then_some(()));
    let (status, took) = node.interrupt();
    assert!(status.success() && took < Duration::from_secs(3), "{status} after {took:?}");
}

#[test]
fn what_cannot_be_published_is_said_before_anything_is_sent() {
    let tool = Tool::new();
    let clip = Tool::clip();
    let clip = clip.to_str().unwrap();
    std::fs::write(tool.folder().join("text.mp4"), "no film").unwrap();
    std::fs::write(tool.folder().join("keys"), "one\n").unwrap();
    for (code, arguments, word) in [
        (3, &["publish", "missing.mp4", "rtmp://127.0.0.1/live/k"][..], "missing.mp4"),
        (1, &["publish", "text.mp4", "rtmp://127.0.0.1/live/k"], "text.mp4"),
        (2, &["publish", clip, "http://127.0.0.1/live/k"], "rtmp://"),
        (2, &["publish", clip, "rtmps://127.0.0.1/live/k"], "rtmps"),
        (
            2,
            &["publish", clip, "rtmp://127.0.0.1/live", "--streams", "2", "--keys-from", "keys"],
            "keys has 1",
        ),
        (1, &["publish", clip, "rtmp://127.0.0.1:1/live/k"], "cannot connect to 127.0.0.1:1"),
    ] {
        let said = tool.fails(code, arguments);
        assert!(said.contains(word), "{said}");
    }
}
