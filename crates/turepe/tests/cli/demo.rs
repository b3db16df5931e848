//! `turepe demo`

use std::net::SocketAddr;
use std::time::Duration;

use crate::tool::{Running, Tool, get_json, until};

/// Starts the demo on ports of its own and gives its address.
fn start(tool: &Tool) -> (Running, SocketAddr) {
    let ports = ["--set", "http.listen=127.0.0.1:0", "--set", "rtmp.listen=127.0.0.1:0"];
    let mut demo = tool.start(&[&["demo", "--data", "demo"][..], &ports].concat());
    let line = demo.wait_for("http://");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    (demo, address.parse().unwrap())
}

/// Newest match that is over, with its coverage.
fn last_match(http: SocketAddr, court: &str) -> f64 {
    let now = jiff::Timestamp::from_microsecond(world::Clock::now_us(&world::SystemClock)).unwrap();
    let today = now.in_tz("Europe/Madrid").unwrap().date();
    let newest = [today, today.yesterday().unwrap()].into_iter().find_map(|date| {
        let slots = get_json(http, &format!("/api/clubs/demo/courts/{court}/slots?date={date}"));
        let slots = slots["slots"].as_array().unwrap().clone();
        slots.iter().rev().find(|slot| slot["state"] == "past").map(|slot| slot["coverage"].as_f64().unwrap())
    });
    newest.unwrap()
}

#[test]
fn a_match_can_be_watched_and_the_next_one_grows_and_it_starts_again() {
    let tool = Tool::new();
    for _ in 0..2 {
        let (mut demo, http) = start(&tool);
        for court in ["cancha-1", "cancha-2"] {
            let coverage = last_match(http, court);
            assert!(coverage > 0.999, "{court}: {coverage}");
        }
        until("both cameras", || {
            let courts = get_json(http, "/api/clubs/demo")["courts"].as_array().unwrap().clone();
            courts.iter().all(|court| court["isLive"] == true).then_some(())
        });
        let (status, took) = demo.interrupt();
        assert!(status.success() && took < Duration::from_secs(3), "{status} after {took:?}");
    }
}

#[test]
fn killed_it_takes_its_cameras_with_it() {
    let tool = Tool::new();
    let (mut demo, _) = start(&tool);
    let parent = demo.child.id().to_string();
    let cameras: Vec<String> = until("both cameras", || {
        let output = std::process::Command::new("pgrep").args(["-P", &parent]).output().unwrap();
        let ids: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        (ids.len() == 2).then_some(ids)
    });
    // Keys are not to be seen by others on the machine.
    for id in &cameras {
        let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        assert!(String::from_utf8_lossy(&arguments).split('\0').all(|word| !word.contains("/live/")));
    }
    demo.signal("KILL");
    demo.wait();
    for id in cameras {
        until("a camera to end", || (!is_running(&id)).then_some(()));
    }
}

/// Whether a process runs; one that has ended and that nobody has asked about does not.
fn is_running(id: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
