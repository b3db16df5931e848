//! A node behind an SRS, from its first callback to the monitoring; and that no key is in anything it says.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Child;

use serde_json::{Value, json};

use crate::tool::{PATIENCE, Tool, free_port, until};

/// A node that writes all it says into a file.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// One request on a connection of its own; status and body.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    ask_with(address, method, path, "", body)
}

/// The token of a tool's node, as a field.
fn operator(tool: &Tool) -> String {
    let token = std::fs::read_to_string(tool.folder().join("data/operators.token")).unwrap();
    format!("Authorization: Bearer {}\r\n", token.trim())
}

fn ask_with(address: SocketAddr, method: &str, path: &str, fields: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nConnection: Close\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\
         Host: 127.0.0.1\r\nUser-Agent: SRS/6.0.157(Hang)\r\n{fields}\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn event(action: &str, client: &str, key: &str) -> String {
    json!({
        "server_id": "vid-werty", "service_id": "1k2j3", "action": action, "client_id": client, "ip": "192.168.1.10",
        "vhost": "__defaultVhost__", "app": "live", "tcUrl": "rtmp://h/live", "stream": key, "param": "",
        "stream_url": format!("/live/{key}"), "stream_id": "vid-124q9y3"
    })
    .to_string()
}

#[test]
fn srs_asks_forwards_and_is_watched_without_a_key_in_sight() {
    let tool = Tool::new();
    let channel = tool.club();
    let (id, key) = (channel["id"].as_str().unwrap(), channel["streamKey"].as_str().unwrap());
    let (http, rtmp, api) = (free_port(), free_port(), free_port());
    let log = tool.folder().join("log");
    let file = File::create(&log).unwrap();
    let mut command = tool.command(&["serve", "--set", "archive.segment=5s", "--set", "log.filter=trace"]);
    command.args(["--set", "srs.trusted=127.0.0.1/32"]);
    for set in [format!("http.listen={http}"), format!("rtmp.listen={rtmp}"), format!("srs_api.listen={api}")]
    {
        command.args(["--set", &set]);
    }
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut node = Node(command.spawn().unwrap());
    until("the node to listen", || TcpStream::connect(api).ok());
    until("the node to answer", || TcpStream::connect(http).ok());
    let token = operator(&tool);

    let hooks =
        |action: &str, client: &str, key: &str| ask(http, "POST", "/srs/hooks", &event(action, client, key));
    let granted = (200, r#"{"code":0}"#.to_owned());
    assert_eq!(hooks("on_publish", "c1", key), granted);
    assert_eq!(hooks("on_publish", "c2", "guessed-key"), (200, r#"{"code":403}"#.to_owned()));
    let (status, answer) = ask(http, "POST", "/srs/forward", &event("on_forward", "c1", key));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (status, &answer),
        (200, &json!({ "code": 0, "data": { "urls": [format!("rtmp://{rtmp}/live/{key}")] } }))
    );

    // What SRS does with it: it publishes there, and comes back when it is disconnected.
    let clip = Tool::clip();
    let url = answer["data"]["urls"][0].as_str().unwrap();
    let _srs = tool.start(&["publish", "--loop", "--quiet", clip.to_str().unwrap(), url]);
    let mut said = String::new();
    let mut watch = |method: &str, path: &str| {
        let (status, body) = ask_with(api, method, path, &token, "");
        assert_eq!(status, 200, "{path}: {body}");
        said.push_str(&body);
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let stream = until("the stream to be live", || {
        let stream = watch("GET", "/api/v1/streams?start=0&count=1000")["streams"][0].clone();
        (stream["publish"]["active"] == true && stream["audio"].is_object()).then_some(stream)
    });
    assert_eq!(
        (&stream["id"], &stream["name"], &stream["url"]),
        (&id.into(), &id.into(), &format!("/live/{id}").into())
    );
    assert_eq!((&stream["video"]["codec"], &stream["audio"]["codec"]), (&"H264".into(), &"AAC".into()));
    assert!(stream["video"]["width"].as_u64() > Some(100) && stream["frames"].as_u64() > Some(0), "{stream}");
    let client = watch("GET", "/api/v1/clients")["clients"][0].clone();
    assert_eq!((&client["id"], &client["type"]), (&stream["publish"]["cid"], &"fmle-publish".into()));
    assert_eq!((&client["name"], &client["ip"]), (&id.into(), &"127.0.0.1".into()));
    assert!(client["recv_bytes"].as_u64() > Some(1000), "{client}");
    let one = format!("/api/v1/clients/{}", client["id"].as_str().unwrap());
    assert_eq!(watch("DELETE", &one)["code"], 0);
    until("another connection in its place", || {
        let clients = watch("GET", "/api/v1/clients")["clients"].clone();
        clients.as_array().unwrap().first().filter(|now| now["id"] != client["id"]).map(|_| ())
    });
    assert_eq!(watch("GET", &one), json!({ "code": 2049 }));
    for path in ["/api/v1/versions", "/api/v1/summaries"] {
        assert_eq!(watch("GET", path)["code"], 0, "{path}");
    }
    // It is a stream again with its first frame.
    let one = format!("/api/v1/streams/{id}");
    until("the stream to be back", || (watch("GET", &one)["code"] == 0).then_some(()));
    said.push_str(&ask_with(http, "GET", "/api/v1/summaries", &token, "").1);
    for action in ["on_unpublish", "on_close"] {
        assert_eq!(hooks(action, "c1", key), granted);
    }
    said.push_str(&ask(http, "POST", "/srs/hooks", &event("on_publish", &"c".repeat(100), key)).1);

    let pid = node.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    until("the node to end", || node.0.try_wait().unwrap());
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("publication at SRS is over") && log.contains("SRS publisher refused"), "{log}");
    for secret in [key, "guessed-key"] {
        assert!(!log.contains(secret), "a key is in the log");
        assert!(!said.contains(secret), "a key is in an answer");
    }
}

#[test]
fn a_busy_port_of_the_monitoring_is_named_and_can_be_switched_off() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let set = format!("srs_api.listen={}", taken.local_addr().unwrap());
    let tool = Tool::new();
    let (http, rtmp) = (format!("http.listen={}", free_port()), format!("rtmp.listen={}", free_port()));
    let said = tool.fails(1, &["serve", "--set", &http, "--set", &rtmp, "--set", &set]);
    assert!(said.contains("`srs_api.listen`") && said.contains("in use by another program"), "{said}");
    let said = tool.fails(2, &["serve", "--set", "srs_api.listen=0.0.0.0:1985"]);
    assert!(said.contains("srs_api.password"), "{said}");
}

#[test]
fn srs_is_configured_for_the_ports_in_force() {
    let tool = Tool::new();
    let sets = [
        "--set",
        "rtmp.listen=127.0.0.1:19350",
        "--set",
        "http.listen=0.0.0.0:8088",
        "--set",
        "srs_api.listen=",
    ];
    let conf = tool.text(&[&["srs-conf"][..], &sets].concat());
    for line in ["listen              1935;", "backend         http://127.0.0.1:8088/srs/forward;"] {
        assert!(conf.contains(line), "{line} in {conf}");
    }
    let values = tool.json(&[&["srs-conf", "--json"][..], &sets].concat());
    assert_eq!(values["hooks"], "http://127.0.0.1:8088/srs/hooks");
    assert_eq!((&values["listen"], &values["httpApiListen"]), (&1935.into(), &"127.0.0.1:1985".into()));
    // Nobody has opened it yet: it says so, and how.
    assert!(conf.contains("# ! Callbacks are closed") && conf.contains("srs.secret"), "{conf}");
    let opened = tool.text(&[&["srs-conf", "--set", "srs.secret=abcdefghijkl"][..], &sets].concat());
    assert!(
        opened.contains("/srs/forward?secret=abcdefghijkl;") && !opened.contains("are closed"),
        "{opened}"
    );
}

/// Players are clients as SRS has them: listed with their kind, counted with their stream, and ended by their number.
#[test]
fn players_are_listed_counted_and_dropped() {
    let tool = Tool::new();
    let channel = tool.club();
    let (id, key) = (channel["id"].as_str().unwrap(), channel["streamKey"].as_str().unwrap());
    let (http, rtmp, api) = (free_port(), free_port(), free_port());
    let sets =
        [format!("http.listen={http}"), format!("rtmp.listen={rtmp}"), format!("srs_api.listen={api}")];
    let words = sets.iter().flat_map(|set| ["--set", set.as_str()]);
    let mut node = tool.start(&["serve"].into_iter().chain(words).collect::<Vec<_>>());
    node.wait_for("Website");
    let clip = Tool::clip();
    let url = format!("rtmp://{rtmp}/live/{key}");
    let _camera = tool.start(&["publish", "--loop", "--quiet", clip.to_str().unwrap(), &url]);
    let token = operator(&tool);
    let watch = |method: &str, path: &str| {
        let (status, body) = ask_with(api, method, path, &token, "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let stream = || watch("GET", "/api/v1/streams")["streams"][0].clone();
    until("the stream to be live", || (stream()["publish"]["active"] == true).then_some(()));
    let play = |url: String| {
        let mut command = std::process::Command::new("ffmpeg");
        tool.spawn(command.args(["-v", "error", "-nostdin", "-re", "-i", &url, "-f", "null", "-"]))
    };
    let players = [
        ("rtmp-play", play(format!("rtmp://{rtmp}/live/{id}"))),
        ("flv-play", play(format!("http://{http}/live/{id}.flv"))),
    ];
    let connections = || {
        let summaries = watch("GET", "/api/v1/summaries");
        summaries["data"]["system"]["conn_srs"].as_u64().unwrap()
    };
    for (kind, mut player) in players {
        let client = until(kind, || {
            let clients = watch("GET", "/api/v1/clients")["clients"].clone();
            let found = clients.as_array().unwrap().iter().find(|client| client["type"] == kind).cloned();
            found.filter(|client| client["send_bytes"].as_u64() > Some(10_000))
        });
        assert_eq!((&client["publish"], &client["name"]), (&false.into(), &id.into()), "{client}");
        assert_eq!((&client["ip"], &client["url"]), (&"127.0.0.1".into(), &format!("/live/{id}").into()));
        let (counted, listed) = (connections(), watch("GET", "/api/v1/clients")["clients"].clone());
        assert_eq!(stream()["clients"].as_u64(), listed.as_array().map(|all| all.len() as u64));
        let one = format!("/api/v1/clients/{}", client["id"].as_str().unwrap());
        assert_eq!(watch("GET", &one)["client"]["id"], client["id"]);
        assert_eq!(watch("DELETE", &one)["code"], 0);
        player.wait();
        until("the list without it", || (watch("GET", &one)["code"] == 2049).then_some(()));
        until("the summary without it", || (connections() < counted).then_some(()));
    }
    assert_eq!(stream()["clients"], 1, "the camera is left");
}

/// `on_forward` answers where a stream goes and with which key: nobody is told who was not let in, and no page of a browser.
#[test]
fn callbacks_are_closed_until_somebody_opens_them() {
    let tool = Tool::new();
    let channel = tool.club();
    let key = channel["streamKey"].as_str().unwrap();
    let call = event("on_forward", "c1", key);
    let (http, rtmp) = (free_port(), free_port());
    let sets = [format!("http.listen={http}"), format!("rtmp.listen={rtmp}")];
    let words: Vec<&str> =
        ["serve"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set.as_str()])).collect();
    let mut node = tool.start(&words);
    node.wait_for("Website");
    for path in ["/srs/forward", "/srs/hooks"] {
        let (status, body) = ask(http, "POST", path, &call);
        assert_eq!(status, 403, "{body}");
        assert!(body.contains("turepe srs-conf") && !body.contains(key), "{body}");
    }
    drop(node);
    let mut node = tool.start(
        &[&words[..], &["--set", "srs.trusted=127.0.0.1/32", "--set", "srs.secret=abcdefghijkl"]].concat(),
    );
    node.wait_for("Website");
    assert_eq!(ask(http, "POST", "/srs/forward", &call).0, 200);
    for (field, status) in [
        ("Origin: https://evil.example\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Host: evil.example\r\n", 403),
        ("X-Forwarded-Port: 443\r\n", 403),
        ("Content-Type: text/plain\r\n", 415),
    ] {
        let (got, body) = ask_with(http, "POST", "/srs/forward", field, &call);
        // A second Host is no request at all, for some.
        assert!(got == status || (field.starts_with("Host") && got == 400), "{field}: {got} {body}");
        assert!(!body.contains(key), "{body}");
    }
    let origin = "Origin: https://evil.example\r\n";
    assert_eq!(
        ask_with(http, "POST", "/srs/forward?secret=abcdefghijkl", origin, &call).0,
        200,
        "the secret is enough"
    );
}
