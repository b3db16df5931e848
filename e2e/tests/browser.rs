//! The interface in a real browser, on a phone-sized screen: the tests themselves stand in `web/browser`.

use std::process::{Command, Stdio};
use std::time::Duration;

use turepe_e2e::{Demo, browser};

/// From the club page to the match, over a segment border, to its end: a match of the demo, recorded by the real pipeline.
#[test]
fn a_player_finds_the_match_and_watches_it_to_its_end() {
    let demo = Demo::start();
    let (date, time) = demo.last_match();
    browser(&[
        ("TUREPE_URL", &demo.url),
        ("TUREPE_CLUB", "demo"),
        ("TUREPE_COURT", "cancha-1"),
        ("TUREPE_DATE", &date),
        ("TUREPE_TIME", &time),
    ]);
}

/// Ctrl-C ends the demo and its cameras.
#[test]
fn the_demo_ends_cleanly_and_starts_again() {
    let mut demo = Demo::start();
    let took = demo.stop();
    assert!(took < Duration::from_secs(3), "Ctrl-C took {took:?}");
    let left =
        Command::new("pgrep").args(["-f", &demo.folder().to_string_lossy()]).stdin(Stdio::null()).output();
    assert!(left.expect("pgrep starts").stdout.is_empty(), "a process of the demo was left behind");
    demo.resume();
    demo.last_match();
}
