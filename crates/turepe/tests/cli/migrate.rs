//! `turepe migrate`, on every engine.

use std::io::Write as _;
use std::process::Stdio;

use databases::{Engine, Home};

use crate::tool::Tool;

#[test]
fn a_schema_is_shown_printed_and_brought_up_to_date() {
    for engine in Engine::ALL {
        let (tool, home) = (Tool::new(), Home::new(engine));
        let url = format!("database.url={}", home.url);
        let with = |words: &[&str]| -> Vec<String> {
            words.iter().chain(&["--set", &url]).map(|word| (*word).to_owned()).collect()
        };
        let json = |words: &[&str]| {
            let words = with(words);
            tool.json(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let text = |words: &[&str]| {
            let words = with(words);
            tool.text(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let status = json(&["migrate", "status", "--json"]);
        assert_eq!(status["applied"].as_array().unwrap().len(), 0, "{engine:?}");
        assert_eq!(status["pending"][0], "m0001_first");
        let sql = text(&["migrate", "up", "--dry-run"]);
        assert!(sql.contains("CREATE TABLE") && sql.lines().all(|line| line.ends_with(';')), "{sql}");
        assert_eq!(json(&["migrate", "status", "--json"]), status, "a dry run changes nothing");
        assert!(text(&["migrate", "up"]).contains("applied  m0001_first"));
        assert!(text(&["migrate", "up"]).contains("up to date already"));
        assert!(text(&["migrate", "up", "--dry-run"]).is_empty());
        assert!(text(&["migrate", "status"]).contains("The schema is up to date."));
        let club =
            ["admin", "club", "add", "--slug", "c", "--name", "C", "--zone", "UTC", "--open", "00:00-24:00"];
        text(&[&club[..], &["--appointment-duration", "60"]].concat());
        assert_eq!(json(&["admin", "club", "list", "--json"])["clubs"][0]["slug"], "c");
    }
}

#[test]
fn a_catalog_moves_from_sqlite_to_a_server() {
    let (tool, target) = (Tool::new(), Home::new(Engine::Postgres));
    let channel = tool.club();
    let copy = ["migrate", "--from", "sqlite:data/turepe.db", "--to", target.url.as_str(), "--json"];
    let copied = tool.json(&copy);
    assert_eq!(copied["rows"]["clubs"], 1);
    assert_eq!(copied["rows"]["channels"], 1);
    assert_eq!(copied["rows"]["segments"], 0);
    assert!(tool.fails(4, &copy).contains("not empty"));
    let url = format!("database.url={}", target.url);
    let channels = tool.json(&["admin", "channel", "list", "--json", "--set", &url]);
    assert_eq!(channels["channels"][0]["id"], channel["id"]);
}

/// A list of processes shows command lines to everybody.
#[test]
fn addresses_with_passwords_can_come_by_standard_input() {
    let tool = Tool::new();
    tool.club();
    let copy = |input: &str| {
        let mut command = tool.command(&["migrate", "--from", "-", "--to", "-", "--json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let short = copy("sqlite:data/turepe.db\n");
    assert_eq!(short.status.code(), Some(2), "{}", crate::tool::stderr(&short));
    let copied = copy("sqlite:data/turepe.db\nsqlite:copy.db\n");
    assert!(copied.status.success(), "{}", crate::tool::stderr(&copied));
    let copied: serde_json::Value = serde_json::from_slice(&copied.stdout).unwrap();
    assert_eq!(copied["rows"]["channels"], 1);
}

#[test]
fn what_cannot_be_reached_is_said_without_its_password() {
    let tool = Tool::new();
    for url in [
        "postgres://u:hunter2@127.0.0.1:1/db",
        "mysql://u:hunter2@127.0.0.1:1/db",
        "postgres://u:hunter2@127.0.0.1:1/db?sslmod=require",
    ] {
        let set = format!("database.url={url}");
        let output = tool.run(&["migrate", "status", "--set", &set]);
        let said = crate::tool::stderr(&output);
        assert!(!output.status.success() && !said.contains("hunter2"), "{said}");
        assert!(said.contains("does not answer") || said.contains("unknown parameter"), "{said}");
    }
}
