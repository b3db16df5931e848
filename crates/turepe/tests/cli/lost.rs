//! A catalog that is lost, or is not that of the footage beside it.

use std::path::{Path, PathBuf};

use databases::{Engine, Home};
use serde_json::Value;
use world::{Clock as _, SystemClock};

use crate::tool::{Tool, free_port, get, get_json, until};

/// All files below a folder but those of the database and of the lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.retain(|path| {
        !["turepe.lock", "turepe.db-wal", "turepe.db-shm"].iter().any(|name| path.ends_with(name))
    });
    found.sort();
    found
}

fn key(channel: &Value) -> &str {
    channel["streamKey"].as_str().unwrap()
}

/// Serves with more settings, publishes for some seconds, and ends; by a kill, segments stay torn in the spool.
fn record(tool: &Tool, sets: &[&str], key: &str, is_killed: bool) {
    let (http, rtmp) = (free_port(), free_port());
    let sets: Vec<String> = [format!("http.listen={http}"), format!("rtmp.listen={rtmp}")]
        .into_iter()
        .chain(["archive.segment=5s".to_owned()])
        .chain(sets.iter().map(|set| (*set).to_owned()))
        .collect();
    let mut words = vec!["serve"];
    words.extend(sets.iter().flat_map(|set| ["--set", set]));
    let mut node = tool.start(&words);
    node.wait_for("Website");
    let (clip, url) = (Tool::clip(), format!("rtmp://{rtmp}/live/{key}"));
    if is_killed {
        let publisher = tool.start(&["publish", clip.to_str().unwrap(), &url, "--loop", "--quiet"]);
        let store = tool.folder().join("data/store");
        until("a sealed segment", || (store.is_dir() && !files(&store).is_empty()).then_some(()));
        let spool = tool.folder().join("data/spool");
        let is_long = |path: &PathBuf| std::fs::metadata(path).unwrap().len() > 100_000;
        until("a growing one", || files(&spool).iter().any(is_long).then_some(()));
        drop(node);
        drop(publisher);
    } else {
        tool.text(&["publish", clip.to_str().unwrap(), &url, "--duration", "4s", "--loop", "--quiet"]);
        assert!(node.interrupt().0.success());
    }
}

/// What a command says that must not run; nothing is made, moved or removed by it.
fn refused(tool: &Tool, words: &[&str]) -> String {
    let before = files(&tool.folder().join("data"));
    let said = tool.fails(6, words);
    assert!(said.contains("turepe reindex"), "{said}");
    assert_eq!(files(&tool.folder().join("data")), before, "{words:?}");
    said
}

#[test]
fn a_node_without_its_catalog_names_reindex_and_touches_nothing() {
    let tool = Tool::new();
    let channel = tool.club();
    let began = jiff::Timestamp::from_microsecond(SystemClock.now_us()).unwrap();
    record(&tool, &[], key(&channel), true);
    let data = tool.folder().join("data");
    for name in ["turepe.db", "turepe.db-wal", "turepe.db-shm"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    // A torn segment that an earlier start threw there.
    let id = channel["id"].as_str().unwrap();
    let torn =
        files(&data.join("spool")).into_iter().find(|path| path.extension().is_some_and(|end| end == "part"));
    let torn = torn.unwrap();
    let quarantine = data.join("spool/quarantine").join(id);
    std::fs::create_dir_all(&quarantine).unwrap();
    std::fs::rename(&torn, quarantine.join(torn.file_name().unwrap())).unwrap();

    let (http, rtmp) = (format!("http.listen={}", free_port()), format!("rtmp.listen={}", free_port()));
    let serve = ["serve", "--set", &http, "--set", &rtmp];
    let said = refused(&tool, &serve);
    assert!(said.contains("no catalog") && said.contains("turepe.db"), "{said}");
    refused(&tool, &["admin", "club", "list"]);
    refused(&tool, &["verify"]);
    let output = tool.run(&["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let database = findings.iter().find(|finding| finding["check"] == "database").unwrap();
    assert!(
        database["verdict"] == "bad" && database["fix"].as_str().unwrap().contains("reindex"),
        "{database}"
    );

    // An empty catalog in its place, as a start used to make.
    tool.text(&["migrate", "up"]);
    let said = refused(&tool, &serve);
    assert!(said.contains("there is footage, and no catalog of it"), "{said}");

    let before = files(&data);
    let dry = tool.json(&["reindex", "--dry-run", "--json"]);
    assert_eq!(files(&data), before, "a dry run changes nothing");
    let report = tool.json(&["reindex", "--json"]);
    assert_eq!((&dry["added"], &dry["recovered"]), (&report["added"], &report["recovered"]));
    assert!(report["recovered"].as_i64() >= Some(1) && report["added"].as_i64() >= Some(2), "{report:#}");
    assert!(!quarantine.exists(), "it is in the store now");
    let fresh = tool.json(&["admin", "channel", "new-key", id, "--json"]);
    assert_eq!(fresh["id"], channel["id"], "channels keep their ids");
    record(&tool, &[], key(&fresh), false);

    // And the match plays.
    let (_node, http, _rtmp) = tool.serve();
    let found = tool.json(&["verify", "--deep", "--json"]);
    assert_eq!(found["faultCount"], 0, "{found:#}");
    let to = jiff::Timestamp::from_microsecond(SystemClock.now_us()).unwrap();
    let path = format!("/api/clubs/c/courts/k/replay?from={began}&to={to}");
    let replay = get_json(http, &path);
    // All that was sealed, what was torn, and what came afterwards.
    assert_eq!(
        replay["fragments"].as_array().unwrap().len(),
        found["rows"].as_u64().unwrap() as usize,
        "{replay:#}"
    );
    let (status, playlist) = get(http, replay["playlistUrl"].as_str().unwrap());
    assert!(status == 200 && String::from_utf8_lossy(&playlist).contains("#EXTM3U"), "it plays");
}

#[test]
fn an_empty_database_or_another_one_is_not_taken_for_the_catalog() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let (tool, home, other) = (Tool::new(), Home::new(engine), Home::new(engine));
        let (right, wrong) = (format!("database.url={}", home.url), format!("database.url={}", other.url));
        let club =
            ["admin", "club", "add", "--slug", "c", "--name", "C", "--zone", "UTC", "--open", "00:00-24:00"];
        let set_up = |url: &str| {
            tool.text(&[&club[..], &["--appointment-duration", "60", "--set", url]].concat());
            tool.text(&["admin", "court", "add", "--club", "c", "--slug", "k", "--name", "K", "--set", url]);
            tool.json(&[
                "admin", "channel", "add", "--club", "c", "--court", "k", "--push", "--json", "--set", url,
            ])
        };
        let channel = set_up(&right);
        record(&tool, &[&right], key(&channel), false);
        // One that is empty stays so.
        let said = refused(&tool, &["serve", "--set", &wrong]);
        assert!(said.contains("holds nothing"), "{said}");
        let status = tool.json(&["migrate", "status", "--json", "--set", &wrong]);
        assert_eq!(status["applied"].as_array().unwrap().len(), 0, "{engine:?}");
        // One of another installation: made in a data folder of its own.
        let elsewhere = ["--data", "elsewhere", "--set", &wrong];
        tool.text(&[&club[..], &["--appointment-duration", "60"], &elsewhere].concat());
        let said = refused(&tool, &["serve", "--set", &wrong]);
        assert!(said.contains("its channel is not in"), "{said}");
        refused(&tool, &["verify", "--set", &wrong]);
        record(&tool, &[&right], key(&channel), false);
    }
}
