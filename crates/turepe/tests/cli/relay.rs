//! `turepe admin relay`, and what `turepe doctor` says of relay targets

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;

use crate::tool::Tool;

#[test]
fn targets_are_added_listed_and_removed_and_their_keys_are_never_shown() {
    let tool = Tool::new();
    let channel = tool.club()["id"].as_str().unwrap().to_owned();
    let add = ["admin", "relay", "add", "--channel", &channel];
    let url = "rtmps://target.example/app/topsecret?pass=hunter22";
    let target = tool.json(&[&add[..], &["--url", url, "--name", "Big screen", "--json"]].concat());
    assert_eq!(
        (&target["address"], &target["name"]),
        (&"rtmps://target.example/app/***".into(), &"Big screen".into())
    );
    // By standard input, where no list of processes shows it.
    let mut child = tool.command(&[&add[..], &["--url", "-"]].concat());
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"rtmp://other.example:1936/live/topsecret\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let mut said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("rtmp://other.example:1936/live/***"), "{said}");
    said += &tool.text(&["admin", "relay", "list"]);
    let list = tool.json(&["admin", "relay", "list", "--channel", &channel, "--json"]);
    assert_eq!(list["relayTargets"].as_array().unwrap().len(), 2);
    said += &list.to_string();

    // What is wrong is said without the address.
    said += &tool.fails(2, &[&add[..], &["--url", "rtmp://topsecret"]].concat());
    said += &tool.fails(2, &[&add[..], &["--url", "http://a/live/topsecret"]].concat());
    let own = tool.fails(2, &[&add[..], &["--url", "rtmp://localhost/live/topsecret"]].concat());
    assert!(own.contains("this node's own ingest"), "{own}");
    let nobody = "01a21668-2039-7f0e-b44a-d12b596b999d";
    said +=
        &tool.fails(3, &["admin", "relay", "add", "--channel", nobody, "--url", "rtmp://a/live/topsecret"]);
    for text in [said, own] {
        assert!(!text.contains("topsecret") && !text.contains("hunter22"), "{text}");
    }
    let id = target["id"].as_str().unwrap();
    tool.text(&["admin", "relay", "remove", id]);
    tool.fails(3, &["admin", "relay", "remove", id]);
}

#[test]
fn doctor_tells_which_target_accepts_connections() {
    let tool = Tool::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let targets = format!("relay.targets=rtmp://{there}/live,rtmp://{nobody}/live?topsecret");
    let output = tool.run(&["doctor", "--json", "--set", &targets, "--set", "retention.min_free=0"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let of_relay =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == "relay");
    let verdicts: Vec<&str> = of_relay.map(|finding| finding["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["ok", "warning"], "{text}");
    assert!(!text.contains("topsecret"));
}
