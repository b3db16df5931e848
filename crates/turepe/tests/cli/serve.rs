//! `turepe serve`

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::tool::{Tool, free_port, get, get_json, until};

#[test]
fn with_no_configuration_it_starts_at_once_and_says_what_to_do_first() {
    let tool = Tool::new();
    let start = Instant::now();
    let (mut node, http, _) = tool.serve();
    node.wait_for("turepe admin channel add");
    // A second is the promise; a debug build on a busy machine gets some more.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(get(http, "/healthz").0, 200);
    let (status, took) = node.interrupt();
    assert!(status.success() && took < Duration::from_secs(3), "{status} after {took:?}");
}

#[test]
fn admin_works_while_it_runs_and_the_node_notices() {
    let tool = Tool::new();
    let (mut node, http, _) = tool.serve();
    tool.club();
    until("the new club", || {
        let clubs = get_json(http, "/api/clubs");
        (clubs["clubs"][0]["slug"] == "c").then_some(())
    });
    node.signal("TERM");
    assert!(node.wait().success());
}

#[test]
fn a_second_node_on_the_same_folder_is_refused() {
    let tool = Tool::new();
    let (_node, ..) = tool.serve();
    let (http, rtmp) = (free_port(), free_port());
    let said = tool.fails(
        1,
        &["serve", "--set", &format!("http.listen={http}"), "--set", &format!("rtmp.listen={rtmp}")],
    );
    assert!(said.contains("another turepe (process ") && said.contains("--data"), "{said}");
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let tool = Tool::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, free) = (taken.local_addr().unwrap(), (taken, free_port()).1);
    let holder = TcpListener::bind(taken).unwrap();
    for (key, other) in [("http.listen", "rtmp.listen"), ("rtmp.listen", "http.listen")] {
        let said = tool
            .fails(1, &["serve", "--set", &format!("{key}={taken}"), "--set", &format!("{other}={free}")]);
        assert!(said.contains(&format!("{taken} (`{key}`)")) && said.contains("in use"), "{said}");
    }
    drop(holder);
}

#[test]
fn after_a_kill_it_starts_again() {
    let tool = Tool::new();
    let (mut node, ..) = tool.serve();
    node.signal("KILL");
    node.wait();
    let (mut node, http, _) = tool.serve();
    assert_eq!(get(http, "/healthz").0, 200);
    assert!(node.interrupt().0.success());
}
