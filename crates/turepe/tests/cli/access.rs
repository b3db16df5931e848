//! `turepe admin link`, `turepe admin code`, and what a club is set to.

use crate::tool::Tool;

const DATE: &str = "2026-11-21";

#[test]
fn a_link_is_printed_once_and_taken_back() {
    let tool = Tool::new();
    tool.club();
    let said = tool.text(&["admin", "link", "create", "--club", "c"]);
    assert!(said.contains("/c#link=") && said.contains("admin link revoke"), "{said}");
    assert!(said.contains("open to everybody: turepe admin club set --club c --access link"), "{said}");
    tool.text(&["admin", "club", "set", "--club", "c", "--access", "link"]);
    let public = ["--set", "http.public_url=https://video.club.example"];
    let create = ["admin", "link", "create", "--club", "c", "--court", "k", "--note", "Ana", "--json"];
    let of_match = tool.json(&[&public[..], &create, &["--date", DATE, "--time", "10:00"]].concat());
    let url = of_match["url"].as_str().unwrap();
    let (page, secret) = url.split_once("#link=").unwrap();
    assert_eq!(page, "https://video.club.example/c/k/2026-11-21/10:00");
    assert_eq!(
        (of_match["from"].as_str(), of_match["to"].as_str()),
        (Some("2026-11-21T10:00:00Z"), Some("2026-11-21T11:00:00Z"))
    );
    let live = tool.json(&[&create[..], &["--live"]].concat());
    assert_eq!(
        (&live["live"], live["url"].as_str().unwrap().starts_with("/c/k#link=")),
        (&true.into(), true)
    );

    let listed = tool.text(&["admin", "link", "list", "--club", "c"]);
    assert!(listed.contains("Ana") && !listed.contains(secret), "{listed}");
    let id = of_match["id"].as_str().unwrap();
    tool.text(&["admin", "link", "revoke", id]);
    let links = tool.json(&["admin", "link", "list", "--club", "c", "--json"]);
    let links = links["links"].as_array().unwrap();
    assert_eq!(links.len(), 3);
    assert_eq!(links.iter().filter(|link| !link["revokedAt"].is_null()).count(), 1);

    for (code, line) in [
        (3, &["admin", "link", "revoke", "00000000-0000-7000-8000-000000000000"][..]),
        (3, &["admin", "link", "create", "--club", "nowhere"]),
        (3, &["admin", "link", "create", "--club", "c", "--court", "k", "--date", DATE, "--time", "10:10"]),
        (2, &["admin", "link", "create", "--club", "c", "--for", "9000d"]),
    ] {
        tool.fails(code, line);
    }
    tool.holds_nowhere(secret);
}

#[test]
fn codes_of_a_day_are_made_once() {
    let tool = Tool::new();
    tool.club();
    let create = ["admin", "code", "create", "--club", "c", "--court", "k", "--date", DATE];
    let said = tool.text(&[&create[..], &["--time", "10:00"]].concat());
    let code = said.split_whitespace().nth(2).unwrap().to_owned();
    assert_eq!(code.len(), 7, "{said}");
    assert!(said.contains("--access code"), "the club does not ask for codes yet: {said}");
    tool.text(&["admin", "club", "set-access", "--club", "c", "--access", "code"]);
    let day = tool.json(&[&create[..], &["--json"]].concat());
    let codes = day["codes"].as_array().unwrap();
    assert_eq!(codes.len(), 24);
    // The one that there was is not known any more, and stays.
    assert_eq!(codes.iter().filter(|code| code["code"].is_null()).count(), 1);
    let renewed = tool.json(&[&create[..], &["--time", "10:00", "--renew", "--json"]].concat());
    assert_ne!(renewed["codes"][0]["code"], code);
    let listed = tool.text(&["admin", "code", "list", "--club", "c", "--court", "k", "--date", DATE]);
    assert_eq!(listed.lines().count(), 24);
    tool.text(&["admin", "code", "revoke", renewed["codes"][0]["id"].as_str().unwrap()]);
    let listed =
        tool.json(&["admin", "code", "list", "--club", "c", "--court", "k", "--date", DATE, "--json"]);
    assert_eq!(listed["codes"].as_array().unwrap().len(), 23);
    tool.fails(3, &["admin", "code", "revoke", renewed["codes"][0]["id"].as_str().unwrap()]);
    tool.fails(3, &[&create[..], &["--time", "10:10"]].concat());
    for code in codes.iter().filter_map(|code| code["code"].as_str()) {
        tool.holds_nowhere(code);
    }
}

#[test]
fn a_club_is_open_unless_somebody_says_otherwise() {
    let tool = Tool::new();
    tool.club();
    let clubs = |tool: &Tool| tool.json(&["admin", "club", "list", "--json"]);
    assert_eq!(clubs(&tool)["clubs"][0]["access"], "open");
    let add = ["admin", "club", "add", "--name", "X", "--zone", "UTC", "--open", "08:00-24:00"];
    let add = [&add[..], &["--appointment-duration", "60", "--json", "--slug"]].concat();
    let added = tool.json(&[&add[..], &["x", "--access", "code"]].concat());
    assert_eq!(added["access"], "code");
    let added = tool.json(&[&add[..], &["y", "--set", "access.new_clubs=link"]].concat());
    assert_eq!(added["access"], "link");
    let set = tool.json(&["admin", "club", "set", "--club", "y", "--live", "signed", "--json"]);
    assert_eq!((&set["access"], &set["live"]), (&"link".into(), &"signed".into()));
    assert!(tool.text(&["admin", "club", "list"]).contains("access: code"));
    tool.fails(2, &["config", "--set", "access.new_clubs=closed"]);
    tool.fails(2, &["config", "--set", "access.channels_of_no_club=link"]);
}
