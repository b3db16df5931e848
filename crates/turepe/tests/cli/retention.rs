//! Footage that is past its retention by a clock that may be wrong: the real program under Debian's `faketime`, which steps
//! the wall clock and leaves the monotonic one alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tool::{Running, Tool, free_port, get, get_json, until};

/// What the command starts with instead of what the machine has: `timedatectl`, as systemd answers.
fn tell_ntp(tool: &Tool, is_synchronised: &str) -> String {
    let folder = tool.folder().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let script = format!("#!/bin/sh\necho {is_synchronised}\n");
    let path = folder.join("timedatectl");
    std::fs::write(&path, script).unwrap();
    let is_executable = Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    assert!(is_executable.success());
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// Debian's library, for programs of several threads.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("Debian's package faketime is not installed"))
}

/// A node whose clock is off by so much, with a week of retention.
fn serve(tool: &Tool, off: &str, path: &str) -> (Running, std::net::SocketAddr) {
    let (http, rtmp) = (free_port(), free_port());
    let (http_set, rtmp_set) = (format!("http.listen={http}"), format!("rtmp.listen={rtmp}"));
    let mut command = tool.command(&[
        "serve",
        "--set",
        &http_set,
        "--set",
        &rtmp_set,
        "--set",
        "retention.days=7",
        "--set",
        "archive.segment=5s",
    ]);
    // As `faketime` does it, but without a process in between, so that signals reach the program.
    command.env("LD_PRELOAD", library()).env("FAKETIME", off).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command.env("PATH", path);
    let mut node = tool.spawn(&mut command);
    node.wait_for("Website");
    (node, http)
}

fn record(tool: &Tool) {
    let channel = tool.club();
    let (mut node, _, rtmp) = tool.serve();
    let url = format!("rtmp://{rtmp}/live/{}", channel["streamKey"].as_str().unwrap());
    let clip = Tool::clip();
    tool.text(&["publish", clip.to_str().unwrap(), &url, "--duration", "7s", "--loop", "--quiet"]);
    until("the recording", || (rows(tool) >= 2).then_some(()));
    assert!(node.interrupt().0.success());
}

fn rows(tool: &Tool) -> i64 {
    let output = tool.run(&["verify", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["rows"].as_i64().unwrap()
}

fn files(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        count += if entry.path().is_dir() { files(&entry.path()) } else { 1 };
    }
    count
}

fn stop(mut node: Running) {
    assert!(node.interrupt().0.success());
}

#[test]
fn a_start_eight_days_ahead_deletes_nothing_until_a_person_says_so() {
    let tool = Tool::new();
    record(&tool);
    let (before, store) = (rows(&tool), tool.folder().join("data/store"));
    let nothing = tool.json(&["admin", "retention", "--json"]);
    assert_eq!((&nothing["segments"], &nothing["doubt"]), (&Value::from(0), &Value::Null));
    assert!(tool.text(&["admin", "retention", "--confirm"]).contains("No footage waits"));

    let path = tell_ntp(&tool, "no");
    let (node, http) = serve(&tool, "+8d", &path);
    // Until the last run's recordings are repaired, a node is not ready.
    until("the repair", || (get(http, "/readyz").0 == 200).then_some(()));
    until("an alarm", || {
        let alarms = get_json(http, "/readyz")["alarms"].clone();
        alarms.as_array().unwrap().iter().any(|alarm| alarm == "retentionWaits").then_some(())
    });
    let ledger: Value = serde_json::from_str(&tool.operator_get(http, "/api/node/ledger")).unwrap();
    let says = ledger["alarms"][0]["message"].as_str().unwrap();
    assert!(
        says.contains("ahead of the newest footage") && says.contains("turepe admin retention"),
        "{says}"
    );
    let shown = tool.json(&["admin", "retention", "--json"]);
    assert_eq!(shown["segments"], before);
    assert_eq!(
        (&shown["waiting"][0]["club"], &shown["waiting"][0]["reason"]),
        (&"c".into(), &"clock".into())
    );
    let said = tool.text(&["admin", "retention"]);
    for word in ["the clock is not believed", "7 days are kept", "ahead of the newest footage", "--confirm"] {
        assert!(said.contains(word), "{said}");
    }
    // Longer than the eight seconds that it once took, over several rounds of housekeeping.
    let until_then = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until_then {
        assert_eq!(rows(&tool), before);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(files(&store) as i64, before);

    let confirmed = tool.json(&["admin", "retention", "--confirm", "--json"]);
    assert_eq!((&confirmed["confirmed"], &confirmed["segments"]), (&Value::from(true), &Value::from(before)));
    until("the word to be kept", || (rows(&tool) == 0 && files(&store) == 0).then_some(()));
    until("the alarm to end", || {
        get_json(http, "/readyz")["alarms"].as_array().unwrap().is_empty().then_some(())
    });
    stop(node);
}

/// The club was closed, and NTP says that the clock is right: two segments go as ever. A clock that was behind expires
/// nothing, and neither does a right one afterwards.
#[test]
fn a_clock_that_ntp_confirms_is_believed_and_one_that_is_behind_is_harmless() {
    let tool = Tool::new();
    record(&tool);
    let before = rows(&tool);
    let (node, http) = serve(&tool, "-20000d", &tell_ntp(&tool, "no"));
    get_json(http, "/healthz");
    assert_eq!(rows(&tool), before);
    stop(node);
    let (node, _) = serve(&tool, "-1h", &tell_ntp(&tool, "no"));
    stop(node);
    assert_eq!(rows(&tool), before);
    let (node, _) = serve(&tool, "+15d", &tell_ntp(&tool, "yes"));
    until("what is too old to go", || (rows(&tool) == 0).then_some(()));
    stop(node);
}
