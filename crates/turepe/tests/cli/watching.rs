//! A node that stands there and records nothing says so: in `/readyz`, in `/metrics`, in the log, by name and by channel.

use std::net::SocketAddr;
use std::process::Stdio;

use databases::{Engine, Home, Kind, Server};
use serde_json::Value;
use sqlx::Connection as _;

use crate::tool::{Running, Tool, free_port, get, until};

/// A node with settings of its own.
fn serve(tool: &Tool, more: &[&str]) -> (Running, SocketAddr, SocketAddr) {
    let (http, rtmp) = (free_port(), free_port());
    let sets =
        [format!("http.listen={http}"), format!("rtmp.listen={rtmp}"), "archive.segment=5s".to_owned()];
    let words = sets.iter().map(String::as_str).chain(more.iter().copied());
    let words: Vec<&str> = ["serve"].into_iter().chain(words.flat_map(|set| ["--set", set])).collect();
    let mut node = tool.start(&words);
    node.wait_for("Website");
    until("the repair", || (get(http, "/readyz").0 == 200).then_some(()));
    (node, http, rtmp)
}

fn ready(http: SocketAddr) -> (u16, Vec<String>) {
    let (status, body) = get(http, "/readyz");
    let ready: Value = serde_json::from_slice(&body).unwrap();
    let alarms = ready["alarms"].as_array().unwrap();
    (status, alarms.iter().map(|alarm| alarm.as_str().unwrap().to_owned()).collect())
}

/// Waits for an alarm, and until it is told everywhere; the line of the log.
fn alarm(tool: &Tool, node: &mut Running, http: SocketAddr, name: &str, status: u16) -> String {
    until(name, || {
        let (now, alarms) = ready(http);
        (now == status && alarms.iter().any(|alarm| alarm == name)).then_some(())
    });
    let told = format!("turepe_alarm{{alarm=\"{name}\"}} 1");
    until("the metric", || metrics(tool, http)?.lines().any(|line| line == told).then_some(()));
    node.wait_for(name)
}

/// None once the token is gone with its folder.
fn metrics(tool: &Tool, http: SocketAddr) -> Option<String> {
    let token = std::fs::read_to_string(tool.folder().join("token")).ok()?;
    let field = format!("Authorization: Bearer {}\r\n", token.trim());
    let (status, body) = crate::tool::get_with(http, "/metrics", &field);
    (status == 200).then(|| String::from_utf8(body).unwrap())
}

/// The operators' token where no deletion of the data folder takes it.
const TOKEN: &str = "http.operators_token_file=token";

/// A camera that publishes until it is dropped.
fn camera(tool: &Tool, rtmp: SocketAddr, channel: &Value) -> Running {
    let url = format!("rtmp://{rtmp}/live/{}", channel["streamKey"].as_str().unwrap());
    tool.start(&["publish", "--loop", "--quiet", Tool::clip().to_str().unwrap(), &url])
}

fn is_live(http: SocketAddr, is: bool) {
    until("the camera", || {
        let (_, body) = get(http, "/api/clubs/c");
        let club: Value = serde_json::from_slice(&body).ok()?;
        (club["courts"][0]["isLive"] == is).then_some(())
    });
}

/// Somebody else at the same database.
fn stranger(home: &Home, sql: String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sql = sqlx::AssertSqlSafe(sql);
    runtime.block_on(async {
        match home.engine {
            Engine::Sqlite => {
                let mut database = sqlx::SqliteConnection::connect(&home.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
            }
            Engine::MariaDb => {
                let mut database = sqlx::MySqlConnection::connect(&home.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
            }
            Engine::Postgres => {
                let mut database = sqlx::PgConnection::connect(&home.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
            }
        }
    });
}

#[test]
fn a_table_that_is_gone_is_told_with_its_name_and_over_when_it_is_back() {
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::MariaDb] {
        for table in ["segments", "growing_segments"] {
            let (tool, home) = (Tool::new(), Home::new(engine));
            let url = format!("database.url={}", home.url);
            let (mut node, http, _) = serve(&tool, &[&url, TOKEN]);
            let run = |sql: String| stranger(&home, sql);
            run(format!("ALTER TABLE {table} RENAME TO elsewhere"));
            let said = alarm(&tool, &mut node, http, "catalogRefuses", 503);
            assert!(said.contains(table), "{engine:?}: {said}");
            run(format!("ALTER TABLE elsewhere RENAME TO {table}"));
            until("the end of the alarm", || (ready(http) == (200, Vec::new())).then_some(()));
            node.wait_for("the alarm is over");
        }
    }
}

/// As after a failover to a replica, and when a server goes.
#[test]
fn a_database_that_is_read_only_or_away_is_told() {
    let server = Server::start(Kind::MariaDb).unwrap();
    let url = server.create_database().unwrap();
    // An administrator may write all the same.
    server
        .run_sql("CREATE USER club@'%'; GRANT ALL ON *.* TO club@'%'; REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM club@'%'")
        .unwrap();
    let url = url.replace("root", "club");
    let tool = Tool::new();
    let (mut node, http, _) = serve(&tool, &[&format!("database.url={url}"), TOKEN]);
    server.run_sql("SET GLOBAL read_only = 1").unwrap();
    let said = alarm(&tool, &mut node, http, "catalogRefuses", 503);
    assert!(said.contains("read-only"), "{said}");
    server.kill();
    alarm(&tool, &mut node, http, "catalogAway", 503);
}

#[test]
fn a_data_folder_that_is_deleted_or_replaced_is_told() {
    // The node makes files meanwhile.
    let remove = |folder: std::path::PathBuf| {
        until("it to be removed", || std::fs::remove_dir_all(&folder).ok());
    };
    let removed = |data: &std::path::Path| remove(data.to_owned());
    let replaced = |data: &std::path::Path| {
        std::fs::rename(data, data.with_extension("old")).unwrap();
        std::fs::create_dir(data).unwrap();
    };
    let spool = |data: &std::path::Path| remove(data.join("spool"));
    let database = |data: &std::path::Path| std::fs::remove_file(data.join("turepe.db")).unwrap();
    for change in [&removed as &dyn Fn(&std::path::Path), &replaced, &spool, &database] {
        let tool = Tool::new();
        let (mut node, http, rtmp) = serve(&tool, &[TOKEN]);
        let channel = tool.club();
        let _camera = camera(&tool, rtmp, &channel);
        is_live(http, true);
        change(&tool.folder().join("data"));
        alarm(&tool, &mut node, http, "dataFolderGone", 503);
    }
}

#[test]
fn a_camera_that_stops_while_its_club_is_open_is_told_by_its_channel() {
    let tool = Tool::new();
    let (mut node, http, rtmp) = serve(&tool, &[TOKEN]);
    let channel = tool.club();
    let id = channel["id"].as_str().unwrap();
    // A second one that never came, and one of a club that is closed now.
    tool.json(&["admin", "channel", "add", "--club", "c", "--court", "k", "--push", "--json"]);
    let mut live = camera(&tool, rtmp, &channel);
    is_live(http, true);
    until("the recording", || {
        let metrics = metrics(&tool, http)?;
        let recorded = metrics.lines().find_map(|line| line.strip_prefix("turepe_recorded_bytes_total "))?;
        (recorded.parse::<f64>().unwrap() > 1e5).then_some(())
    });
    assert_eq!(ready(http), (200, Vec::new()));
    live.kill();
    // The node itself is well: it stays ready.
    let said = alarm(&tool, &mut node, http, "cameraSilent", 200);
    assert!(said.contains(id) && said.contains("c/k"), "{said}");
    let text = metrics(&tool, http).unwrap();
    let of_channels: Vec<&str> =
        text.lines().filter(|line| line.starts_with("turepe_channel_alarm{")).collect();
    assert_eq!(of_channels, [format!("turepe_channel_alarm{{alarm=\"cameraSilent\",channel=\"{id}\"}} 1")]);

    // A restart does not forget it.
    assert!(node.interrupt().0.success());
    let (mut node, http, rtmp) = serve(&tool, &[TOKEN]);
    assert!(alarm(&tool, &mut node, http, "cameraSilent", 200).contains(id));
    let _live = camera(&tool, rtmp, &channel);
    node.wait_for("the alarm is over");
    // Nobody misses a camera while the club is closed.
    drop(_live);
    alarm(&tool, &mut node, http, "cameraSilent", 200);
    let now = jiff::Timestamp::from_microsecond(world::Clock::now_us(&world::SystemClock)).unwrap();
    let hour = now.to_zoned(jiff::tz::TimeZone::UTC).hour();
    let closed = if hour < 12 { "14:00-15:00" } else { "08:00-09:00" };
    tool.text(&["admin", "club", "set-schedule", "--club", "c", "--open", closed]);
    until("the end of the alarm", || (ready(http) == (200, Vec::new())).then_some(()));
}

#[test]
fn with_files_for_some_cameras_those_that_are_let_in_are_recorded() {
    thirty_cameras_on(128, 5..30);
}

#[test]
fn with_files_for_hardly_any_camera_nobody_is_let_in_for_nothing() {
    thirty_cameras_on(64, 0..5);
}

/// Thirty cameras, and files for some of them: who is let in is recorded, and the others know that they are not.
fn thirty_cameras_on(files: u32, let_in: std::ops::Range<usize>) {
    let tool = Tool::new();
    let channel = tool.club();
    let mut keys = vec![channel["streamKey"].as_str().unwrap().to_owned()];
    for _ in 1..30 {
        let more = tool.json(&["admin", "channel", "add", "--club", "c", "--court", "k", "--push", "--json"]);
        keys.push(more["streamKey"].as_str().unwrap().to_owned());
    }
    std::fs::write(tool.folder().join("keys"), keys.join("\n")).unwrap();
    let (http, rtmp) = (free_port(), free_port());
    let serve = tool.command(&[
        "serve",
        "--set",
        &format!("http.listen={http}"),
        "--set",
        &format!("rtmp.listen={rtmp}"),
        "--set",
        "archive.segment=5s",
        "--set",
        TOKEN,
    ]);
    let limited = tool.command(&[]);
    // The same, with fewer files than a handful of cameras and their segments take.
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""));
    shell.arg(serve.get_program()).args(serve.get_args());
    shell.envs(limited.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(tool.folder()).stdin(Stdio::null());
    let mut node = tool.spawn(&mut shell);
    node.wait_for("Website");
    let url = format!("rtmp://{rtmp}/live");
    let clip = Tool::clip();
    let publish = [
        "publish",
        clip.to_str().unwrap(),
        &url,
        "--keys-from",
        "keys",
        "--duration",
        "20s",
        "--loop",
        "--json",
    ];
    let output = tool.run(&publish);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failures = summary["failures"].as_array().unwrap();
    let refused = failures.iter().filter(|failure| failure["reason"].to_string().contains("no room")).count();
    assert_eq!(refused, failures.len(), "nobody loses the connection: {summary}");
    let admitted = 30 - refused;
    assert!(let_in.contains(&admitted), "{files} files: {admitted} let in");
    assert!(ready(http).1.iter().any(|alarm| alarm == "descriptorsUsedUp"), "{:?}", ready(http));
    assert_eq!(ready(http).0, 503);
    node.wait_for("descriptorsUsedUp");
    // Each of them has all of its time.
    let report = until("all to be sealed", || {
        let output = tool.run(&["verify", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report["growing"] == 0).then_some(report)
    });
    assert_eq!(report["faultCount"], 0, "{report}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recorded: Vec<(Vec<u8>, i64)> = runtime.block_on(async {
        let database =
            sqlx::SqlitePool::connect(&format!("sqlite:{}", tool.folder().join("data/turepe.db").display()))
                .await
                .unwrap();
        sqlx::query_as("SELECT channel_id, SUM(end_us - start_us) FROM segments GROUP BY channel_id")
            .fetch_all(&database)
            .await
            .unwrap()
    });
    assert_eq!(recorded.len(), admitted, "{recorded:?}");
    for (channel, recorded_us) in &recorded {
        assert!(*recorded_us > 17_000_000, "{channel:?}: {recorded_us}");
    }
}
