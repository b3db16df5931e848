//! Several nodes on one database, folders that were copied, a node that is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use databases::{Engine, Home};
use serde_json::Value;

use crate::tool::{Running, Tool, free_port, get, get_json, until};

/// A node's folder, and what is set for it.
struct Node {
    tool: Tool,
    settings: Vec<String>,
}

impl Node {
    fn new(name: &str, database: Option<&Home>) -> Self {
        let mut settings = vec![format!("node.name={name}")];
        settings.extend(database.map(|home| format!("database.url={}", home.url)));
        Self { tool: Tool::new(), settings }
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let settings = self.settings.iter().flat_map(|set| ["--set", set.as_str()]);
        words.iter().copied().chain(settings).collect()
    }

    fn text(&self, words: &[&str]) -> String {
        self.tool.text(&self.words(words))
    }

    fn json(&self, words: &[&str]) -> Value {
        self.tool.json(&self.words(words))
    }

    fn fails(&self, code: i32, words: &[&str]) -> String {
        self.tool.fails(code, &self.words(words))
    }

    fn serve(&self) -> (Running, SocketAddr, SocketAddr) {
        let (http, rtmp) = (free_port(), free_port());
        let (http_set, rtmp_set) = (format!("http.listen={http}"), format!("rtmp.listen={rtmp}"));
        let words = ["serve", "--set", &http_set, "--set", &rtmp_set, "--set", "archive.segment=5s"];
        let mut node = self.tool.start(&self.words(&words));
        node.wait_for("Website");
        (node, http, rtmp)
    }

    /// One court more; its channel.
    fn court(&self, slug: &str) -> Value {
        self.text(&["admin", "court", "add", "--club", "c", "--slug", slug, "--name", slug]);
        self.json(&["admin", "channel", "add", "--club", "c", "--court", slug, "--push", "--json"])
    }

    fn club(&self) {
        let club =
            ["admin", "club", "add", "--slug", "c", "--name", "C", "--zone", "UTC", "--open", "00:00-24:00"];
        self.text(&[&club[..], &["--appointment-duration", "60"]].concat());
    }

    fn publish(&self, rtmp: SocketAddr, channel: &Value, seconds: &str) -> Running {
        let url = format!("rtmp://{rtmp}/live/{}", channel["streamKey"].as_str().unwrap());
        let clip = Tool::clip();
        self.tool.start(&[
            "publish",
            clip.to_str().unwrap(),
            &url,
            "--loop",
            "--quiet",
            "--duration",
            seconds,
        ])
    }

    /// What the database says of the node with a name, once it has said that it runs.
    fn of(&self, name: &str) -> Value {
        until("a node to be listed", || {
            let nodes = self.json(&["admin", "node", "list", "--json"]);
            nodes["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).cloned()
        })
    }

    fn count(&self, name: &str, what: &str) -> u64 {
        self.of(name)[what].as_u64().unwrap()
    }

    fn verify(&self) -> Value {
        let output = self.tool.run(&self.words(&["verify", "--deep", "--json"]));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// As `cp -a` does it.
fn copy_folder(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// The replay of a court's last hour.
fn replay(http: SocketAddr, court: &str) -> Value {
    let now = now_s();
    let (from, to) = (instant(now - 3_600), instant(now));
    get_json(http, &format!("/api/clubs/c/courts/{court}/replay?from={from}&to={to}"))
}

fn now_s() -> i64 {
    use world::Clock as _;
    world::SystemClock.now_us() / 1_000_000
}

/// RFC 3339, as `date` says it.
fn instant(second: i64) -> String {
    let output =
        Command::new("date").args(["-u", "-d", &format!("@{second}"), "+%Y-%m-%dT%H:%M:%SZ"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

/// Two nodes record at once; one is killed and comes back while the other records on.
fn footage_of_two_nodes_stays(engine: Engine) {
    let home = Home::new(engine);
    let (a, b) = (Node::new("norte", Some(&home)), Node::new("sur", Some(&home)));
    a.club();
    // A command seals nothing that others share: the first node does.
    let key = |node: &Node| node.tool.folder().join("data/catalog.key");
    assert!(!key(&a).exists() && !key(&b).exists());
    drop(a.serve());
    // The second node needs the key of what the first one has sealed, and says so.
    let said = b.fails(2, &["serve"]);
    assert!(said.contains("catalog.key") && said.contains("copy that file"), "{said}");
    std::fs::copy(key(&a), key(&b)).unwrap();
    let (court_a, court_b) = (a.court("a"), a.court("b"));
    let (mut node_a, _, rtmp_a) = a.serve();
    let (mut node_b, _, rtmp_b) = b.serve();
    let (mut camera_a, mut camera_b) =
        (a.publish(rtmp_a, &court_a, "60s"), b.publish(rtmp_b, &court_b, "60s"));
    for name in ["norte", "sur"] {
        until("both record", || {
            (a.count(name, "growing") == 1 && a.count(name, "sealed") >= 1).then_some(())
        });
    }

    node_a.signal("KILL");
    node_a.wait();
    let before = b.count("norte", "sealed");
    assert_eq!(b.count("norte", "growing"), 1, "as it was left");
    let (mut node_a, http_a, _) = a.serve();
    until("the killed one has repaired", || (get(http_a, "/readyz").0 == 200).then_some(()));
    until("what it left is sealed", || (b.count("norte", "sealed") > before).then_some(()));
    assert_eq!(b.count("norte", "growing"), 0);
    assert!(b.of("sur")["sealed"].as_u64() >= Some(1) && b.count("sur", "growing") == 1, "{}", b.of("sur"));
    let sealed = b.count("sur", "sealed");
    until("the other one goes on", || (b.count("sur", "sealed") > sealed).then_some(()));

    // What the other one has: told here, read there.
    let seen = replay(http_a, "b");
    assert!(seen["coverage"].as_f64() > Some(0.0), "{seen}");
    for url in [&seen["fragments"][0]["url"], &seen["playlistUrl"], &seen["downloadUrl"]] {
        let (status, body) = get(http_a, url.as_str().unwrap());
        let body = String::from_utf8_lossy(&body);
        assert!(
            status == 503 && body.contains("held_elsewhere") && body.contains("`sur`"),
            "{status} {body}"
        );
    }

    camera_a.kill();
    camera_b.kill();
    assert!(node_a.interrupt().0.success() && node_b.interrupt().0.success());
    for (here, other) in [(&a, "sur"), (&b, "norte")] {
        let report = here.verify();
        assert_eq!((&report["faultCount"], &report["growing"]), (&0.into(), &0.into()), "{report:#}");
        assert_eq!(report["elsewhere"][0]["name"], other, "{report:#}");
        assert_eq!(report["elsewhere"][0]["segments"], here.count(other, "sealed"));
        assert!(report["goodCopies"].as_u64() >= Some(2));
    }
    let text = a.text(&["verify"]);
    assert!(text.contains("held by the node `sur`: not looked at here"), "{text}");
    let list = a.text(&["admin", "node", "list"]);
    assert!(list.contains("norte  (this data folder)") && list.contains("sur"), "{list}");
}

#[test]
fn footage_of_two_nodes_stays_on_mariadb() {
    footage_of_two_nodes_stays(Engine::MariaDb);
}

#[test]
fn footage_of_two_nodes_stays_on_postgres() {
    footage_of_two_nodes_stays(Engine::Postgres);
}

#[test]
fn footage_of_two_nodes_stays_on_one_sqlite_file() {
    footage_of_two_nodes_stays(Engine::Sqlite);
}

/// Records for some seconds and stops.
fn record(node: &Node, channel: &Value) {
    let (mut running, _, rtmp) = node.serve();
    assert!(node.publish(rtmp, channel, "6s").wait().success());
    let name = node.settings[0].trim_start_matches("node.name=");
    until("the recording", || {
        (node.count(name, "growing") == 0 && node.count(name, "sealed") > 0).then_some(())
    });
    assert!(running.interrupt().0.success());
}

#[test]
fn a_folder_that_was_copied_with_its_catalog_is_a_node_of_its_own() {
    let original = Node::new("old", None);
    original.club();
    let channel = original.court("a");
    record(&original, &channel);
    let id = original.of("old")["id"].clone();
    let copy = Node::new("new", None);
    copy_folder(&original.tool.folder().join("data"), &copy.tool.folder().join("data"));

    let doctor = copy.tool.run(&copy.words(&["doctor"]));
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("was another node before") && said.contains("takes over the footage"), "{said}");
    let (mut running, http, _) = copy.serve();
    until("it has what it brought", || (copy.count("new", "sealed") > 0).then_some(()));
    assert_ne!(copy.of("new")["id"], id);
    assert_eq!(copy.of("new")["isThis"], true);
    assert_eq!(copy.of("old")["sealed"], 0, "in the copied catalog");
    let seen = replay(http, "a");
    assert_eq!(get(http, seen["downloadUrl"].as_str().unwrap()).0, 200);
    assert!(running.interrupt().0.success());
    assert_eq!(copy.verify()["faultCount"], 0);
    // The original is what it was.
    assert_eq!(original.of("old")["id"], id);
    assert!(original.of("old")["sealed"].as_u64() > Some(0));
    record(&original, &channel);
    assert_eq!(original.verify()["faultCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_copied_beside_its_original_takes_nothing_from_it() {
    let home = Home::new(Engine::Postgres);
    let original = Node::new("original", Some(&home));
    original.club();
    let channel = original.court("a");
    record(&original, &channel);
    let held = original.of("original");
    let copy = Node::new("copy", Some(&home));
    copy_folder(&original.tool.folder().join("data"), &copy.tool.folder().join("data"));

    let (mut running, http, _) = copy.serve();
    let said = &running.said;
    assert!(said.iter().any(|line| line.contains("turepe admin node adopt")), "{said:#?}");
    assert_eq!(get(http, replay(http, "a")["downloadUrl"].as_str().unwrap()).0, 200, "its files are read");
    assert!(running.interrupt().0.success());
    assert_eq!(copy.of("original")["sealed"], held["sealed"]);
    assert_ne!(copy.of("copy")["id"], held["id"]);
    let report = copy.verify();
    assert_eq!((&report["faultCount"], &report["elsewhere"][0]["name"]), (&0.into(), &"original".into()));
    let id = held["id"].as_str().unwrap();
    let said = copy.fails(5, &["admin", "node", "adopt", id]);
    assert!(said.contains("`original` ran"), "{said}");
    let doctor = String::from_utf8(copy.tool.run(&copy.words(&["doctor"])).stdout).unwrap();
    assert!(doctor.contains(&format!("turepe admin node adopt {id}")), "{doctor}");

    // The original burnt down an hour ago.
    let database = sqlx::PgPool::connect(&home.url).await.unwrap();
    sqlx::query("UPDATE nodes SET last_seen_us = last_seen_us - 3600000000")
        .execute(&database)
        .await
        .unwrap();
    database.close().await;
    let adopted = copy.json(&["admin", "node", "adopt", id, "--json"]);
    assert_eq!((&adopted["adopted"], &adopted["absent"]), (&held["sealed"], &0.into()));
    assert_eq!(copy.of("copy")["sealed"], held["sealed"]);
    assert_eq!(copy.verify()["goodCopies"], held["sealed"]);
    assert!(copy.fails(3, &["admin", "node", "adopt", &uuid::Uuid::max().to_string()]).contains("node list"));
    let own = copy.of("copy")["id"].as_str().unwrap().to_owned();
    copy.fails(2, &["admin", "node", "adopt", &own]);
}
