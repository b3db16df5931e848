//! `turepe demo` as a newcomer runs it, and the browser that visits it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clip::root;
use crate::node::{get, now_us, program, wait_until};

/// A running demo, killed when dropped.
pub struct Demo {
    /// The one URL it prints.
    pub url: String,
    data: PathBuf,
    child: Option<Child>,
    _folder: tempfile::TempDir,
}

impl Demo {
    /// Starts the demo in a folder of its own and waits for its URL.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("demo");
        let mut demo = Self { url: String::new(), data, child: None, _folder: folder };
        demo.resume();
        demo
    }

    /// Starts it again on the same folder.
    pub fn resume(&mut self) {
        let mut child = Command::new(program())
            .args(["demo", "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("piped above");
        let (sender, lines) = mpsc::sync_channel(1024);
        // Reads on after we have seen enough, so that the demo never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                drop(sender.try_send(line));
            }
        });
        self.child = Some(child);
        // A debug build back-fills an hour of two courts on a busy machine.
        let limit = Duration::from_secs(180);
        self.url = wait_until("the demo to print its URL", limit, || {
            let line = lines.try_recv().ok()?;
            let address = line.split_whitespace().find(|word| word.starts_with("http://"))?;
            Some(address.trim_end_matches('/').to_owned())
        });
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.data
    }

    /// Date and start time of the newest match that was recorded whole.
    pub fn last_match(&self) -> (String, String) {
        let court = format!("{}/api/clubs/demo/courts/cancha-1", self.url);
        wait_until("a recorded match", Duration::from_secs(60), || {
            let now = jiff::Timestamp::from_microsecond(now_us()).expect("an instant");
            let today = now.in_tz("Europe/Madrid").expect("a zone").date();
            [today, today.yesterday().expect("a day")].into_iter().find_map(|date| {
                let slots: Value = get_json(&format!("{court}/slots?date={date}"));
                let whole = |slot: &&Value| slot["state"] == "past" && slot["coverage"].as_f64() > Some(0.99);
                let slot = slots["slots"].as_array()?.iter().rev().find(whole)?;
                Some((date.to_string(), slot["time"].as_str()?.to_owned()))
            })
        })
    }

    /// What a command of the program prints as JSON, run on the demo's folder while it runs.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn command(&self, arguments: &[&str]) -> Value {
        let output = Command::new(program())
            .args(arguments)
            .args(["--json", "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{arguments:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Ctrl-C, and how long it took to end.
    pub fn stop(&mut self) -> Duration {
        let Some(mut child) = self.child.take() else { return Duration::ZERO };
        let start = Instant::now();
        let status =
            Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
        assert!(status.success());
        wait_until("the demo to end", Duration::from_secs(20), || child.try_wait().expect("its state"));
        start.elapsed()
    }
}

fn get_json(url: &str) -> Value {
    let (status, _, body) = get(url, &[]);
    assert_eq!(status, 200, "GET {url}");
    serde_json::from_slice(&body).expect("JSON")
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs the browser tests of `web/browser` against a running program.
///
/// # Panics
///
/// When one of them fails; it has then said why.
pub fn browser(environment: &[(&str, &str)]) {
    run_browser("test:browser", environment);
}

/// Runs those that watch a match in a bucket.
///
/// # Panics
///
/// When one of them fails; it has then said why.
pub fn browser_with_bucket(environment: &[(&str, &str)]) {
    run_browser("test:browser:bucket", environment);
}

/// Runs those that watch a court live.
///
/// # Panics
///
/// When one of them fails; it has then said why.
pub fn browser_live(environment: &[(&str, &str)]) {
    run_browser("test:browser:live", environment);
}

/// Runs those that watch a match without IDR pictures.
///
/// # Panics
///
/// When one of them fails; it has then said why.
pub fn browser_without_idr(environment: &[(&str, &str)]) {
    run_browser("test:browser:noidr", environment);
}

/// Runs those that open a match with a code and with links.
///
/// # Panics
///
/// When one of them fails; it has then said why.
pub fn browser_with_code(environment: &[(&str, &str)]) {
    run_browser("test:browser:access", environment);
}

fn run_browser(script: &str, environment: &[(&str, &str)]) {
    let status = Command::new("npm")
        .args(["run", "--silent", script])
        .current_dir(root().join("web"))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .status()
        .expect("npm starts");
    assert!(status.success(), "the browser tests failed");
}
