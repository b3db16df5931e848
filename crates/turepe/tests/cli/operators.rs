//! Who runs a node: the token of its data folder, and who has it.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::tool::{Tool, free_port, get, get_with, until};

#[test]
fn the_first_start_makes_a_token_and_the_command_line_takes_it_from_there() {
    let tool = Tool::new();
    let channel = tool.club();
    let (http, rtmp, api) = (free_port(), free_port(), free_port());
    let sets =
        [format!("http.listen={http}"), format!("rtmp.listen={rtmp}"), format!("srs_api.listen={api}")];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let said = tool.fails(3, &[&["ask", "/metrics"][..], &sets].concat());
    assert!(said.contains("operators.token") && said.contains("no node has started"), "{said}");
    let mut node = tool.start(&[&["serve"][..], &sets].concat());
    node.wait_for("Website");
    let file = tool.folder().join("data/operators.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    assert!(token.trim().len() >= 32 && !node.said.iter().any(|line| line.contains(token.trim())));

    // A program on this machine is nobody special.
    for (address, path) in [
        (http, "/metrics"),
        (http, "/api/node/ledger"),
        (http, "/api/v1/summaries"),
        (api, "/api/v1/clients"),
    ] {
        let (status, body) = get(address, path);
        let problem: Value = serde_json::from_slice(&body).expect(path);
        assert_eq!((status, &problem["code"]), (403, &"operators_only".into()), "{path}");
        let field = format!("Authorization: Bearer {}\r\n", token.trim());
        assert_eq!(get_with(address, path, &field).0, 200, "{path}");
    }
    // The command line knows it, on both ports.
    let ask = |words: &[&str]| tool.text(&[&["ask"][..], words, &sets].concat());
    assert!(ask(&["/metrics"]).contains("turepe_catalog_up 1"));
    let url = format!("rtmp://{rtmp}/live/{}", channel["streamKey"].as_str().unwrap());
    let _camera = tool.start(&["publish", "--loop", "--quiet", Tool::clip().to_str().unwrap(), &url]);
    let clients = || serde_json::from_str::<Value>(&ask(&["/api/v1/clients"])).unwrap()["clients"].clone();
    let first = until("a publisher", || clients()[0]["id"].as_str().map(str::to_owned));
    ask(&["--delete", &format!("/api/v1/clients/{first}")]);
    until("another connection in its place", || {
        clients()[0]["id"].as_str().filter(|id| **id != first).map(|_| ())
    });
    assert!(tool.fails(3, &[&["ask", "/api/node/nothing"][..], &sets].concat()).contains("404"));
    drop(node);

    // Whoever has the port meanwhile learns nothing, and so does who had the other one first.
    let other = std::net::TcpListener::bind(http.to_string()).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for listener in [&other, &taken] {
        listener.set_nonblocking(true).unwrap();
    }
    assert!(tool.fails(3, &[&["ask", "/metrics"][..], &sets].concat()).contains("no node runs"));
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(other);
    let elsewhere = format!("srs_api.listen={}", taken.local_addr().unwrap());
    let without = [&["serve"][..], &sets, &["--set", "srs_api.listen="]].concat();
    let mut node = tool.start(&without);
    node.wait_for("Website");
    let asked = [&["ask", "/api/v1/clients"][..], &sets, &["--set", &elsewhere]].concat();
    assert!(tool.fails(2, &asked).contains("no port for monitoring"));
    assert_eq!(taken.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(node);

    // The next start keeps it; another one may be written into it.
    let mut node = tool.start(&[&["serve"][..], &sets].concat());
    node.wait_for("Website");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), token);
    drop(node);
    std::fs::write(&file, "short\n").unwrap();
    let said = tool.fails(2, &[&["serve"][..], &sets].concat());
    assert!(said.contains("16 characters") && !said.contains("short"), "{said}");
}

#[test]
fn loopback_is_for_those_who_ask_for_it() {
    let tool = Tool::new();
    let (http, rtmp) = (free_port(), free_port());
    let sets =
        [format!("http.listen={http}"), format!("rtmp.listen={rtmp}"), "http.operators=loopback".to_owned()];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let mut node = tool.start(&[&["serve"][..], &sets].concat());
    node.wait_for("Website");
    assert_eq!(get(http, "/metrics").0, 200);
    for field in
        ["Origin: https://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n", "X-Forwarded-For: 8.8.8.8\r\n"]
    {
        assert_eq!(get_with(http, "/metrics", field).0, 403, "{field}");
    }
}
