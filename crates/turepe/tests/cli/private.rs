//! What other users of the machine, and who has a copy of the database, get to see: nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tool::{Tool, free_port, get, until};

/// The same command in a process whose `umask` takes nothing away.
fn without_umask(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell.stdin(std::process::Stdio::null());
    shell
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// A folder and all that is below it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            all.extend(below(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all
}

#[test]
fn all_that_a_node_makes_is_for_its_user_alone_and_what_was_open_is_closed() {
    let tool = Tool::new();
    let add =
        ["admin", "club", "add", "--slug", "c", "--name", "C", "--zone", "UTC", "--open", "00:00-24:00"];
    let status =
        without_umask(&tool.command(&[&add[..], &["--appointment-duration", "60"]].concat())).status();
    assert!(status.unwrap().success());
    tool.text(&["admin", "court", "add", "--club", "c", "--slug", "k", "--name", "K"]);
    let channel = tool.json(&["admin", "channel", "add", "--club", "c", "--court", "k", "--push", "--json"]);
    let data = tool.folder().join("data");
    // A folder is seen by who may enter it; a restart finds one that an older version left open.
    for file in below(&data) {
        let open = if file.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(open)).unwrap();
    }
    let doctor = |tool: &Tool| {
        let output = tool.run(&["doctor", "--json", "--set", "retention.min_free=0"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings
            .into_iter()
            .filter(|one| one["check"] == "private")
            .map(|one| one["verdict"].clone())
            .collect::<Vec<_>>()
    };
    assert!(doctor(&tool).contains(&"bad".into()));

    let (http, rtmp) = (free_port(), free_port());
    let sets =
        [format!("http.listen={http}"), format!("rtmp.listen={rtmp}"), "archive.segment=5s".to_owned()];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let mut node = tool.spawn(&mut without_umask(&tool.command(&[&["serve"][..], &sets].concat())));
    node.wait_for("Website");
    // Closed by now; what is in it is seen to beside the start.
    assert_eq!(mode(&data), 0o700);
    let word = "was open to other users";
    if !node.said.iter().any(|line| line.contains(word)) {
        node.wait_for(word);
    }
    let url = format!("rtmp://{rtmp}/live/{}", channel["streamKey"].as_str().unwrap());
    let _camera = tool.start(&["publish", "--loop", "--quiet", Tool::clip().to_str().unwrap(), &url]);
    let ends_with = |end: &str| below(&data).iter().any(|path| path.display().to_string().ends_with(end));
    until("sealed footage", || ends_with(".mp4").then_some(()));
    let cover = format!("/thumbs/{}.jpg", md5(channel["id"].as_str().unwrap()));
    let slate = std::fs::metadata(data.join("covers/slate.jpg")).unwrap().len();
    until("a cover", || (get(http, &cover).1.len() as u64 != slate).then_some(()));
    let all = below(&data);
    assert!(all.len() > 10, "{all:?}");
    for path in &all {
        // What is being made may be gone by now.
        let Ok(metadata) = std::fs::symlink_metadata(path) else { continue };
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, wanted, "{}", path.display());
    }
    for name in
        ["turepe.db", "turepe.db-wal", "operators.token", "catalog.key", "node.json", "turepe.lock", "covers"]
    {
        assert!(ends_with(name), "{name} in {all:?}");
    }
    assert_eq!(doctor(&tool), ["ok"]);
    // A second start finds nothing to say.
    node.interrupt();
    let mut node = tool.start(&[&["serve"][..], &sets].concat());
    node.wait_for("Website");
    node.interrupt();
    assert!(!node.said.iter().any(|line| line.contains(word)), "{:#?}", node.said);
}

fn md5(text: &str) -> String {
    let output = Command::new("sh").args(["-c", "printf %s \"$0\" | md5sum", text]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// What a web server shows lies outside, where it may enter.
#[test]
fn covers_can_be_shared_and_nothing_else_is() {
    let tool = Tool::new();
    let shared = tool.folder().join("www/covers");
    let (http, rtmp) = (free_port(), free_port());
    let folder = format!("covers.folder={}", shared.display());
    let sets = [format!("http.listen={http}"), format!("rtmp.listen={rtmp}"), folder];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let serve = [&["serve"][..], &sets].concat();
    let said = tool.fails(2, &serve);
    assert!(said.contains("`covers.folder`") && said.contains("is not there"), "{said}");
    std::fs::create_dir(tool.folder().join("www")).unwrap();
    let mut node = tool.start(&serve);
    node.wait_for("Website");
    until("the slate", || shared.join("slate.jpg").exists().then_some(()));
    assert_eq!((mode(&shared), mode(&shared.join("slate.jpg"))), (0o755, 0o644));
    assert_eq!(mode(&tool.folder().join("data")), 0o700);
    let said = tool.fails(2, &["serve", "--set", "covers.folder=data/public"]);
    assert!(said.contains("lies in the data folder"), "{said}");
}

#[test]
fn a_copy_of_the_catalog_without_its_key_tells_no_secret_and_starts_no_node() {
    const SECRET: &str = "the-key-that-the-target-gave";
    let tool = Tool::new();
    let channel = tool.club()["id"].as_str().unwrap().to_owned();
    let url = format!("rtmps://target.example/live/{SECRET}");
    tool.text(&["admin", "relay", "add", "--channel", &channel, "--url", &url]);
    let data = tool.folder().join("data");
    let is_told = || {
        below(&data).iter().filter(|path| path.is_file()).any(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        })
    };
    assert!(!is_told(), "in the clear");
    let key = data.join("catalog.key");
    let text = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    for words in [&["serve"][..], &["admin", "relay", "list"], &["admin", "club", "list"]] {
        let said = tool.fails(2, words);
        assert!(said.contains("catalog.key") && said.contains("copy that file"), "{said}");
        assert!(!key.exists(), "none is made in its place");
    }
    std::fs::write(&key, "0".repeat(64)).unwrap();
    let said = tool.fails(2, &["serve"]);
    assert!(said.contains("another key"), "{said}");
    let report = tool.run(&["doctor", "--json", "--set", "retention.min_free=0"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let found = |check: &str| {
        report["findings"].as_array().unwrap().iter().find(|one| one["check"] == check).unwrap()["verdict"]
            .clone()
    };
    assert_eq!(found("key"), "bad", "{report}");
    std::fs::write(&key, &text).unwrap();
    assert!(tool.text(&["admin", "relay", "list"]).contains("target.example"));
    // A mount that is not there yet: nothing is sealed with a key that is kept nowhere.
    std::fs::remove_file(&key).unwrap();
    let other = Tool::new();
    let dangling = other.folder().join("key");
    std::os::unix::fs::symlink(other.folder().join("not/mounted"), &dangling).unwrap();
    let set = format!("database.key_file={}", dangling.display());
    let said = other.fails(
        1,
        &[
            "admin",
            "club",
            "add",
            "--slug",
            "c",
            "--name",
            "C",
            "--zone",
            "UTC",
            "--open",
            "08:00-23:00",
            "--appointment-duration",
            "60",
            "--set",
            &set,
        ],
    );
    assert!(said.contains("catalog's key"), "{said}");
    std::fs::write(&key, &text).unwrap();
    // Lost for good: what is sealed is given up, and the rest goes on.
    std::fs::remove_file(&key).unwrap();
    assert_eq!(tool.json(&["migrate", "forget-secrets", "--json"])["relayTargets"], 1);
    assert!(!tool.text(&["admin", "relay", "list"]).contains("target.example"));
    assert!(tool.text(&["admin", "club", "list"]).contains('c') && key.exists());
}
