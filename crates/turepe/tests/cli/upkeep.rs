//! `turepe verify`, `turepe reindex`, `turepe doctor`

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::tool::{Tool, free_port, get_json, until};

/// Records a few segments and stops; the channel as `admin` printed it.
fn record(tool: &Tool) -> Value {
    let channel = tool.club();
    let (mut node, http, rtmp) = tool.serve();
    let url = format!("rtmp://{rtmp}/live/{}", channel["streamKey"].as_str().unwrap());
    let clip = Tool::clip();
    tool.text(&["publish", clip.to_str().unwrap(), &url, "--duration", "7s", "--loop", "--quiet"]);
    until("the recording", || {
        let found = verify(tool, &[]);
        (found["rows"].as_i64() >= Some(2) && found["growing"] == 0).then_some(())
    });
    assert_eq!(get_json(http, "/api/clubs")["clubs"][0]["slug"], "c");
    assert!(node.interrupt().0.success());
    channel
}

fn verify(tool: &Tool, more: &[&str]) -> Value {
    let output = tool.run(&[&["verify", "--json"], more].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// All segments in the local store.
fn objects(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { objects(&path, found) } else { found.push(path) }
    }
    found.sort();
}

#[test]
fn a_recording_is_verified_damaged_found_and_rebuilt_from_the_folder_alone() {
    let tool = Tool::new();
    let channel = record(&tool);
    let clean = tool.text(&["verify", "--deep"]);
    assert!(clean.contains(" 0 faults") && clean.contains("MB/s"), "{clean}");
    let report = verify(&tool, &["--deep", "--club", "c"]);
    assert_eq!(
        (&report["faultCount"], &report["faults"]),
        (&Value::from(0), &Value::from(Vec::<Value>::new()))
    );
    assert!(report["readBytes"].as_i64() > Some(0));
    let said = tool.fails(3, &["verify", "--club", "elsewhere"]);
    assert!(said.contains("turepe admin club list"), "{said}");

    // The database is gone.
    let before = tool.json(&["verify", "--json"]);
    for name in ["turepe.db", "turepe.db-wal", "turepe.db-shm"] {
        let path = tool.folder().join("data").join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let dry = tool.json(&["reindex", "--dry-run", "--json"]);
    assert_eq!((&dry["dryRun"], &dry["added"]), (&Value::from(true), &before["rows"]));
    assert!(!tool.folder().join("data/turepe.db").exists(), "looking makes nothing");
    let said = tool.text(&["reindex"]);
    let id = channel["id"].as_str().unwrap();
    for command in [
        "turepe admin club set-zone --club c",
        "turepe admin club set-schedule --club c",
        &format!("turepe admin channel new-key {id}"),
    ] {
        assert!(said.contains(command), "{said}");
    }
    let again = tool.json(&["reindex", "--json"]);
    assert_eq!((&again["added"], &again["known"]), (&Value::from(0), &before["rows"]));
    let after = verify(&tool, &["--deep"]);
    assert_eq!((&after["faultCount"], &after["rows"]), (&Value::from(0), &before["rows"]));
    tool.json(&["admin", "club", "set-zone", "--club", "c", "--zone", "Europe/Madrid", "--json"]);
    let clubs = tool.json(&["admin", "club", "list", "--json"]);
    assert_eq!(clubs["clubs"][0]["zone"], "Europe/Madrid");
    tool.json(&["admin", "channel", "new-key", id, "--json"]);

    // A file is gone, one is damaged, and one is nobody's.
    let mut files = Vec::new();
    objects(&tool.folder().join("data/store"), &mut files);
    std::fs::remove_file(&files[0]).unwrap();
    let mut bytes = std::fs::read(&files[1]).unwrap();
    bytes[3000..4000].fill(0);
    std::fs::write(&files[1], bytes).unwrap();
    let said = tool.fails(6, &["verify", "--deep", "--repair"]);
    assert!(said.contains("2 copies"), "{said}");
    let report = verify(&tool, &["--deep"]);
    let kinds: Vec<_> = report["faults"].as_array().unwrap().iter().map(|fault| &fault["kind"]).collect();
    assert_eq!(kinds, ["missing", "corrupted"]);
    assert!(report["faults"][0]["fix"].as_str().unwrap().contains("backup"));
    assert!(files[1].exists(), "the only copy stays");
}

#[test]
fn doctor_says_what_is_wrong_and_how_it_is_mended() {
    let tool = Tool::new();
    let (http, rtmp) = (free_port(), free_port());
    let sets = [format!("http.listen={http}"), format!("rtmp.listen={rtmp}")];
    let with = |more: &[&str]| -> Vec<String> {
        let words =
            ["doctor", "--json", "--set", &sets[0], "--set", &sets[1], "--set", "retention.min_free=0"];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let doctor = |more: &[&str]| -> (Option<i32>, Value) {
        let words = with(more);
        let output = tool.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let of = |report: &Value, check: &str| -> Vec<Value> {
        let all = report["findings"].as_array().unwrap();
        all.iter().filter(|finding| finding["check"] == check).cloned().collect()
    };
    let (code, report) = doctor(&[]);
    assert_eq!(code, Some(0), "{report:#}");
    let told = [
        "data",
        "space",
        "disk",
        "clock",
        "files",
        "backlog",
        "portrange",
        "database",
        "operators",
        "identity",
        "ports",
        "ffmpeg",
        "bucket",
    ];
    for check in told {
        assert!(!of(&report, check).is_empty(), "{check} in {report:#}");
    }
    assert!(!tool.folder().join("data").exists(), "looking makes nothing");

    // Ports that another program has, a disk that is full, no ffmpeg.
    let taken = std::net::TcpListener::bind(http).unwrap();
    let wrong = ["--set", "node.ffmpeg=/nowhere/ffmpeg", "--set", "retention.min_free=900000000GB"];
    let (code, report) = doctor(&wrong);
    assert_eq!(code, Some(6));
    assert_eq!(of(&report, "ports")[0]["verdict"], "bad");
    assert!(of(&report, "ports")[0]["fix"].as_str().unwrap().contains("ss -ltnp"));
    assert_eq!(of(&report, "space")[0]["verdict"], "bad");
    assert_eq!(of(&report, "ffmpeg")[0]["verdict"], "warning");
    drop(taken);

    // An SRS that is away.
    let (code, report) = doctor(&["--set", &format!("srs.server=http://{}", free_port())]);
    assert_eq!(code, Some(6));
    let found = of(&report, "srs");
    assert!(found[0]["says"].as_str().unwrap().contains("callbacks are closed"), "{found:?}");
    assert!(found[1]["fix"].as_str().unwrap().starts_with("curl -i http://127.0.0.1:"), "{found:?}");

    // A bucket that nobody answers for, and no address of the website.
    let url = format!("store.url=s3://b/p?endpoint=http://{}&region=x", free_port());
    let bucket = ["--set", &url, "--set", "store.key_id=k", "--set", "store.secret_key=hunter2hunter2"];
    let (code, report) = doctor(&bucket);
    assert_eq!(code, Some(6));
    let found = of(&report, "bucket");
    assert!(found[0]["fix"].as_str().unwrap().contains("http.public_url"), "{found:#?}");
    assert_eq!(found[1]["verdict"], "bad");
    assert!(!report.to_string().contains("hunter2"));

    // Beside a node that runs.
    tool.club();
    let (_node, http, rtmp) = tool.serve();
    let (http, rtmp) = (format!("http.listen={http}"), format!("rtmp.listen={rtmp}"));
    let output = tool.run(&["doctor", "--set", &http, "--set", &rtmp]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches("a node runs on this data folder").count(), 2, "{said}");
}

#[test]
fn doctor_tells_which_clubs_everybody_may_watch() {
    let tool = Tool::new();
    let said = || {
        let report: Value = serde_json::from_slice(&tool.run(&["doctor", "--json"]).stdout).unwrap();
        let all = report["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["check"] == "access").map(|finding| finding["says"].to_string())
    };
    assert_eq!(said(), None, "there is no club yet");
    tool.club();
    let open = said().unwrap();
    assert!(open.contains("everybody may watch: c ") && open.contains("--access link|code"), "{open}");
    tool.text(&["admin", "club", "set", "--club", "c", "--access", "code"]);
    assert!(said().unwrap().contains("no club shows"));
}
