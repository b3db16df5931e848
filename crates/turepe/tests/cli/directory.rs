//! A node whose channels are owned outside: a stand-in for Supabase over a real PostgreSQL, a real publisher.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::peers::postgrest::SECRET;
use crate::peers::{Outside, id};
use crate::tool::{PATIENCE, Running, Tool, free_port, get_json, stderr, until};

/// Whose key is in nobody's catalog.
const KEY: &str = "cancha-1-secreta";

struct Club {
    runtime: tokio::runtime::Runtime,
    outside: Outside,
}

impl Club {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let outside = runtime.block_on(Outside::supabase());
        Self { runtime, outside }
    }

    fn insert(&self, number: u128, key: &str, is_live: bool) {
        self.runtime.block_on(self.outside.insert(id(number), key, is_live));
    }

    fn is_live(&self, number: u128) -> bool {
        self.runtime.block_on(self.outside.row(id(number))).is_on_live
    }

    fn delete(&self, number: u128) {
        self.runtime.block_on(self.outside.delete(id(number)));
    }
}

fn publish(tool: &Tool, rtmp: std::net::SocketAddr, key: &str) -> Running {
    let clip = Tool::clip();
    tool.start(&["publish", "--loop", clip.to_str().unwrap(), &format!("rtmp://{rtmp}/live/{key}")])
}

/// Gives a new key a moment, as a person would.
fn publish_until_live(
    club: &Club,
    tool: &Tool,
    rtmp: std::net::SocketAddr,
    number: u128,
    key: &str,
) -> Running {
    let start = Instant::now();
    let mut publisher = publish(tool, rtmp, key);
    until("the row to be live", || {
        if publisher.child.try_wait().unwrap().is_some() {
            assert!(start.elapsed() < PATIENCE);
            publisher = publish(tool, rtmp, key);
        }
        club.is_live(number).then_some(())
    });
    publisher
}

#[test]
fn a_channel_owned_outside_is_let_in_told_of_and_taken_back() {
    let club = Club::new();
    club.insert(1, KEY, false);
    club.insert(2, "another", true);
    let tool = Tool::new();
    let (http, rtmp) = (free_port(), free_port());
    let serve = |tool: &Tool| {
        let mut command = tool.command(&["serve", "--set", &format!("http.listen={http}")]);
        command
            .args(["--set", &format!("rtmp.listen={rtmp}"), "--set", "archive.segment=5s"])
            .args(["--set", "directory.refresh=1s", "--set", "directory.reconcile_after=3s"])
            .args(["--set", "directory.check_keys=1s", "--set", "directory.known_key=1s"])
            // The two variables alone switch it on.
            .env("SUPABASE_URL", &club.outside.rest().url)
            .env("SUPABASE_KEY", SECRET);
        let mut node = tool.spawn(&mut command);
        node.wait_for("Website");
        node
    };
    let mut node = serve(&tool);
    // Nobody tends channel 2, so it is not live.
    until("the stale row to be switched off", || (!club.is_live(2)).then_some(()));

    // A key that nobody has is refused; one that was just made is let in.
    let clip = Tool::clip();
    let url = format!("rtmp://{rtmp}/live/new-key");
    let refused = tool.run(&["publish", clip.to_str().unwrap(), &url]);
    assert!(!refused.status.success(), "{}", stderr(&refused));
    club.insert(3, "new-key", false);
    drop(publish_until_live(&club, &tool, rtmp, 3, "new-key"));

    let mut publisher = publish_until_live(&club, &tool, rtmp, 1, KEY);
    let row = club.runtime.block_on(club.outside.row(id(1)));
    assert_eq!((row.last_status.as_str(), row.cover.starts_with("thumbs/")), ("live", true));
    let stored = || {
        let folder = tool.folder().join("data");
        std::fs::read_dir(folder.join("spool")).is_ok_and(|mut files| files.next().is_some())
    };
    until("it to be recorded", || stored().then_some(()));

    // A killed node leaves the row live; the next one knows.
    node.signal("KILL");
    node.wait();
    drop(publisher);
    assert!(club.is_live(1));
    let said_before = node.said.join("\n");
    let mut node = serve(&tool);
    until("the row to be switched off", || (!club.is_live(1)).then_some(()));

    // A deleted key loses its publisher, and does not come back.
    publisher = publish_until_live(&club, &tool, rtmp, 1, KEY);
    club.delete(1);
    let start = Instant::now();
    node.wait_for("no longer in the directory");
    until("the publisher to be dropped", || {
        let clubs = get_json(http, "/api/clubs");
        (clubs["clubs"].is_array() && publisher_is_gone(&mut publisher)).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());

    // A node that stops says so.
    let _publisher = publish_until_live(&club, &tool, rtmp, 3, "new-key");
    let (status, took) = node.interrupt();
    assert!(status.success() && took < Duration::from_secs(3), "{status} after {took:?}");
    assert!(!club.is_live(3));

    let said = said_before + &node.said.join("\n");
    let kept = std::fs::read_to_string(tool.folder().join("data/directory.json")).unwrap();
    for secret in [KEY, "new-key", SECRET] {
        assert!(!said.contains(secret) && !kept.contains(secret), "a secret was written down");
    }
}

/// It tries again and is refused for good, or ends.
fn publisher_is_gone(publisher: &mut Running) -> bool {
    publisher.child.try_wait().unwrap().is_some()
}

#[test]
fn one_variable_without_the_other_is_an_error_and_secrets_are_masked() {
    let tool = Tool::new();
    let output = tool.command(&["config"]).env("SUPABASE_KEY", SECRET).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("SUPABASE_URL") && !said.contains(SECRET), "{said}");
    let mut command = tool.command(&["config", "--json"]);
    command.env("SUPABASE_KEY", SECRET).env("SUPABASE_URL", "https://x.supabase.co").stderr(Stdio::inherit());
    let config: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(config["directory"]["kind"], "supabase");
    assert_eq!(config["directory"]["key"], "***");
}
