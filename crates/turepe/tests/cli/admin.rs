//! `turepe admin`

use crate::tool::Tool;

#[test]
fn a_club_a_court_and_a_channel_are_created_and_listed() {
    let tool = Tool::new();
    let channel = tool.club();
    assert_eq!(channel["club"], "c");
    assert_eq!(channel["server"], "rtmp://localhost/live");
    let key = channel["streamKey"].as_str().unwrap();
    assert!(key.len() >= 32 && !key.contains('.'), "{key}");

    let channels = tool.json(&["admin", "channel", "list", "--json"]);
    assert_eq!(channels["channels"][0]["id"], channel["id"]);
    let courts = tool.json(&["admin", "court", "list", "--club", "c", "--json"]);
    assert_eq!(courts["courts"][0]["slug"], "k");
    let clubs = tool.json(&["admin", "club", "list", "--json"]);
    assert_eq!(clubs["clubs"][0]["appointmentDuration"], 60);

    // The key is nowhere: not in a list, not in the database.
    for line in [&["admin", "channel", "list"][..], &["admin", "channel", "list", "--json"]] {
        assert!(!tool.text(line).contains(key));
    }
    for entry in std::fs::read_dir(tool.folder().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn for_people_the_key_comes_with_what_to_do_with_it() {
    let tool = Tool::new();
    tool.club();
    let said = tool.text(&["admin", "channel", "add", "--club", "c", "--court", "k", "--push"]);
    for word in ["Server      rtmp://localhost/live", "Stream key", "OBS", "ffmpeg -re"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_new_key_replaces_the_old_one() {
    let tool = Tool::new();
    let channel = tool.club();
    let id = channel["id"].as_str().unwrap();
    let renewed = tool.json(&["admin", "channel", "new-key", id, "--json"]);
    assert_eq!(renewed["id"], channel["id"]);
    assert_ne!(renewed["streamKey"], channel["streamKey"]);
}

#[test]
fn a_schedule_changes_what_it_is_told_to_and_nothing_else() {
    let tool = Tool::new();
    tool.club();
    let change = ["admin", "club", "set-schedule", "--club", "c", "--json"];
    let club = tool.json(&[&change[..], &["--appointment-duration", "90"]].concat());
    assert_eq!(
        (club["appointmentDuration"].as_i64(), club["open"].as_str()),
        (Some(90), Some("00:00-24:00"))
    );
    let club = tool.json(&[&change[..], &["--open", "09:00-23:00"]].concat());
    assert_eq!(
        (club["appointmentDuration"].as_i64(), club["open"].as_str()),
        (Some(90), Some("09:00-23:00"))
    );
    tool.fails(2, &change);
}

#[test]
fn every_failure_has_its_exit_code_and_says_what_to_do() {
    let tool = Tool::new();
    tool.club();
    let add = |slug, zone, open| {
        let command = ["admin", "club", "add", "--name", "X", "--appointment-duration", "60"];
        tool.run(&[&command[..], &["--slug", slug, "--zone", zone, "--open", open]].concat())
    };
    for (output, code, word) in [
        (add("c", "UTC", "08:00-24:00"), 4, "choose another"),
        (add("C!", "UTC", "08:00-24:00"), 2, "no slug"),
        (add("x", "Mars/Olympus", "08:00-24:00"), 2, "time zone"),
        (add("x", "UTC", "8 to 12"), 2, "--open"),
    ] {
        let said = crate::tool::stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "{said}");
    }
    let said = tool.fails(3, &["admin", "court", "add", "--club", "nowhere", "--slug", "k", "--name", "K"]);
    assert!(said.contains("turepe admin club list"), "{said}");
    tool.fails(3, &["admin", "channel", "add", "--club", "c", "--court", "nowhere", "--push"]);
    tool.fails(3, &["admin", "channel", "new-key", "00000000-0000-7000-8000-000000000000"]);
    tool.fails(2, &["admin", "club", "frobnicate"]);
}
