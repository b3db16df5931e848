//! Data folders that are not there, are somebody else's, or cannot be made.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::tool::{PATIENCE, Tool, stderr, until};

/// Runs a command to its end, which has to come.
fn ended(tool: &Tool, arguments: &[&str]) -> Output {
    let mut command = tool.command(arguments);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if std::time::Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{arguments:?} does not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// Folders that nobody can make: below `/proc`, below a file, below a link that leads nowhere.
fn impossible(tool: &Tool) -> Vec<String> {
    let at = |name: &str| tool.folder().join(name).display().to_string();
    std::fs::write(at("file"), "").unwrap();
    std::os::unix::fs::symlink("/proc/nothing", at("link")).unwrap();
    ["/proc/nope".to_owned(), "/proc/self/fd/deep/er".to_owned(), at("file/data"), at("link/data")].into()
}

#[test]
fn a_folder_that_cannot_be_made_ends_the_start_and_doctor_says_so_before() {
    let tool = Tool::new();
    for folder in impossible(&tool) {
        for command in ["serve", "demo"] {
            let output = ended(&tool, &[command, "--data", &folder]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{command} {folder}: {said}");
            assert!(said.contains(&folder) && said.contains("node.data"), "{said}");
        }
        let output = ended(&tool, &["doctor", "--json", "--data", &folder]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let data = findings.iter().find(|finding| finding["check"] == "data").unwrap();
        assert_eq!(data["verdict"], "bad", "{folder}: {data}");
        assert!(data["says"].as_str().unwrap().contains("cannot be made"), "{data}");
        assert_eq!(output.status.code(), Some(6));
    }
}

#[test]
fn doctor_looks_at_every_folder_that_a_start_makes() {
    let tool = Tool::new();
    tool.club();
    for setting in [
        "store.url=file:/proc/nope/footage",
        "database.key_file=/proc/nope/catalog.key",
        "http.operators_token_file=/proc/nope/token",
    ] {
        let output = ended(&tool, &["doctor", "--json", "--set", setting]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let is_told = |finding: &&Value| {
            let says = finding["says"].as_str().unwrap();
            finding["check"] == "data" && finding["verdict"] == "bad" && says.contains("/proc/nope")
        };
        assert!(findings.iter().any(|finding| is_told(&finding)), "{setting}: {report:#}");
        let ports = ["http", "rtmp"].map(|name| format!("{name}.listen={}", crate::tool::free_port()));
        let output = ended(&tool, &["serve", "--set", setting, "--set", &ports[0], "--set", &ports[1]]);
        assert!(!output.status.success() && stderr(&output).contains("/proc/nope"), "{}", stderr(&output));
    }
}

/// Commands that are about an installation.
const ABOUT_ONE: [&[&str]; 10] = [
    &["verify"],
    &["verify", "--deep", "--json"],
    &["admin", "club", "list", "--json"],
    &["admin", "channel", "list"],
    &["admin", "node", "list"],
    &["admin", "deletions"],
    &["admin", "retention"],
    &["admin", "court", "add", "--club", "c", "--slug", "k", "--name", "K"],
    &["reindex"],
    &["reindex", "--dry-run"],
];

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn a_mistyped_folder_is_refused_and_nothing_is_made_in_it() {
    let tool = Tool::new();
    tool.club();
    let at = |name: &str| tool.folder().join(name).display().to_string();
    // Not there, empty, and somebody else's.
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::create_dir(at("photos")).unwrap();
    std::fs::write(at("photos/beach.jpg"), "jpg").unwrap();
    for folder in ["dat", "data/dat/a", "empty", "photos"].map(at) {
        let before = entries(Path::new(&folder));
        for command in ABOUT_ONE {
            let said = tool.fails(3, &[command, &["--data", &folder]].concat());
            assert!(said.contains(&folder) && said.contains("--data"), "{command:?}: {said}");
        }
        assert_eq!(entries(Path::new(&folder)), before, "{folder}");
    }
    assert!(!Path::new(&at("dat")).exists());
    // The right one goes on as ever.
    assert_eq!(tool.json(&["admin", "club", "list", "--json"])["clubs"][0]["slug"], "c");
    tool.text(&["verify", "--json"]);
}

#[test]
fn a_first_club_sets_an_installation_up_and_says_where() {
    let tool = Tool::new();
    let add =
        ["admin", "club", "add", "--slug", "c", "--name", "C", "--zone", "UTC", "--open", "00:00-24:00"];
    let add = [&add[..], &["--appointment-duration", "60"]].concat();
    let first = tool.run(&add);
    assert!(first.status.success(), "{}", stderr(&first));
    assert!(stderr(&first).contains("./data is a new installation"), "{}", stderr(&first));
    let second = tool.run(&[&add[..4], &["d"], &add[5..]].concat());
    assert!(second.status.success() && stderr(&second).is_empty(), "{}", stderr(&second));
}

#[test]
fn an_operator_elsewhere_needs_the_key_and_no_folder() {
    let (tool, home) = (Tool::new(), databases::Home::new(databases::Engine::Postgres));
    let url = format!("database.url={}", home.url);
    let add =
        ["admin", "club", "add", "--slug", "c", "--name", "C", "--zone", "UTC", "--open", "00:00-24:00"];
    tool.text(&[&add[..], &["--appointment-duration", "60", "--set", &url]].concat());
    // The key is the first node's.
    let ports = ["http", "rtmp", "srs_api"].map(|name| format!("{name}.listen={}", crate::tool::free_port()));
    let sets: Vec<&str> = ports.iter().chain([&url]).flat_map(|set| ["--set", set.as_str()]).collect();
    let mut node = tool.start(&[&["serve"][..], &sets].concat());
    node.wait_for("Website");
    drop(node);
    let desk = Tool::new();
    std::fs::copy(tool.folder().join("data/catalog.key"), desk.folder().join("key")).unwrap();
    let list = ["admin", "club", "list", "--json", "--set", &url];
    desk.fails(3, &list);
    let clubs = desk.json(&[&list[..], &["--set", "database.key_file=key"]].concat());
    assert_eq!(clubs["clubs"][0]["slug"], "c");
    assert!(!desk.folder().join("data").exists(), "looking makes nothing");
}

#[test]
fn help_names_the_folder_of_the_demo() {
    let tool = Tool::new();
    assert!(tool.text(&["demo", "--help"]).contains("of demo: ./data/demo"));
    // And that is where it is.
    let ports: Vec<String> = (0..2).map(|_| crate::tool::free_port().to_string()).collect();
    let (http, rtmp) = (format!("http.listen={}", ports[0]), format!("rtmp.listen={}", ports[1]));
    let _demo = tool.start(&["demo", "--set", &http, "--set", &rtmp]);
    until("the demo's folder", || tool.folder().join("data/demo/turepe.lock").exists().then_some(()));
}

#[test]
fn a_publication_that_never_was_is_summed_up_by_its_error_alone() {
    let tool = Tool::new();
    let (_node, _, rtmp) = tool.serve();
    let clip = Tool::clip();
    let clip = clip.to_str().unwrap();
    let nobody = format!("rtmp://{}/live/k", crate::tool::free_port());
    let refused = format!("rtmp://{rtmp}/live/unknown");
    for url in [nobody.as_str(), refused.as_str()] {
        let output = tool.run(&["publish", clip, url]);
        assert!(!output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{url}");
        assert!(stderr(&output).starts_with("turepe: "), "{}", stderr(&output));
        let output = tool.run(&["publish", clip, url, "--json"]);
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["failures"].as_array().unwrap().len(), 1, "programs are told all: {summary}");
    }
    let key = tool.club()["streamKey"].as_str().unwrap().to_owned();
    let said = tool.text(&["publish", clip, &format!("rtmp://{rtmp}/live/{key}"), "--duration", "1s"]);
    assert!(said.starts_with("1 stream, "), "{said}");
}
