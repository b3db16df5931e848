//! A running `turepe serve` in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use databases::free_port;
use serde_json::Value;

use crate::clip::root;

/// How a node is started.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// `[archive] segment`.
    pub segment: &'static str,
    /// More settings: environment variables as people would set them.
    pub settings: Vec<(String, String)>,
    /// The data folder; a new one that goes with the node where it is `None`.
    pub data: Option<PathBuf>,
    /// `[database] url`; SQLite in the data folder where it is `None`.
    pub database: Option<String>,
    /// Whether it listens on all addresses of the machine, and not on loopback alone.
    pub is_on_all_addresses: bool,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { segment: "5s", settings: Vec::new(), data: None, database: None, is_on_all_addresses: false }
    }
}

/// A court with one push channel.
#[derive(Debug, Clone)]
pub struct Court {
    /// Slug of its club.
    pub club: String,
    /// Its own slug.
    pub court: String,
    /// Its channel.
    pub channel: String,
    /// The channel's secret.
    pub key: String,
}

/// A running node, killed when dropped.
pub struct Node {
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Where RTMP listens.
    pub rtmp: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    segment: &'static str,
    is_on_all_addresses: bool,
    database: Option<String>,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    // The folder goes when the node goes.
    _folder: Option<tempfile::TempDir>,
}

/// The binary under test: the one that `cargo test --workspace` has built for the tests of the command line. Built alone it has other
/// features of the same dependencies.
///
/// `TUREPE_BIN` names another one.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("TUREPE_BIN") {
            return path.into();
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What cargo says to a test about its package: build scripts (ring's) take it for a change, and all that follows is built again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        let output = cargo
            .args(["test", "--workspace", "--no-run", "--test", "cli"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(root())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "the program does not build");
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = messages
            .filter(|message| message["target"]["kind"][0] == "bin" && message["target"]["name"] == "turepe")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from));
        found.expect("cargo names the executable")
    })
}

/// Polls until `condition` gives something, and names what it waited for when it never does.
pub fn wait_until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Node {
    /// Starts a node and waits until it answers.
    pub fn start(options: NodeOptions) -> Self {
        let folder = options.data.is_none().then(|| tempfile::tempdir().expect("a folder"));
        let data =
            options.data.clone().unwrap_or_else(|| folder.as_ref().expect("made above").path().join("data"));
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut node = Self {
            http: local(free_port()),
            rtmp: local(free_port()),
            data,
            segment: options.segment,
            is_on_all_addresses: options.is_on_all_addresses,
            database: options.database,
            settings: options.settings,
            child: None,
            _folder: folder,
        };
        node.resume();
        node
    }

    /// Starts it again on the same folder and ports, after [`Node::kill`] or [`Node::stop`].
    pub fn resume(&mut self) {
        std::fs::create_dir_all(&self.data).expect("the data folder");
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).expect("the log");
        let listen = |address: SocketAddr| match self.is_on_all_addresses {
            true => SocketAddr::from(([0, 0, 0, 0], address.port())).to_string(),
            false => address.to_string(),
        };
        let child = Command::new(program())
            .args(["serve", "--data"])
            .arg(&self.data)
            .env("TUREPE_HTTP_LISTEN", listen(self.http))
            .env("TUREPE_RTMP_LISTEN", listen(self.rtmp))
            .env("TUREPE_SRS_API_LISTEN", "")
            .env("TUREPE_ARCHIVE_SEGMENT", self.segment)
            .env("TUREPE_DATABASE_URL", self.database.as_deref().unwrap_or_default())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log twice"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.child = Some(child);
        let http = self.http;
        wait_until("the node to be ready", Duration::from_secs(30), || {
            let child = self.child.as_mut().expect("started above");
            if let Some(status) = child.try_wait().expect("its state") {
                panic!("the node ended at once ({status}):\n{}", self.log());
            }
            std::net::TcpStream::connect_timeout(&http, Duration::from_millis(200)).ok()
        });
    }

    /// Changes a setting; it is in force after the next [`Node::resume`].
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.into(), value.into()));
    }

    /// What is safe and what is not yet, as the node tells it.
    pub fn ledger(&self) -> Value {
        self.get_json("/api/node/ledger")
    }

    /// The command line of the running process, as everybody on the machine sees it.
    pub fn process_list(&self) -> String {
        let id = self.child.as_ref().expect("it runs").id();
        std::fs::read_to_string(format!("/proc/{id}/cmdline")).expect("the command line")
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn log_path(&self) -> PathBuf {
        self.data.join("test.log")
    }

    /// All that the node has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it is reaped");
        }
    }

    /// Ctrl-C, and how long it took to end.
    pub fn stop(&mut self) -> Duration {
        let Some(mut child) = self.child.take() else { return Duration::ZERO };
        let start = Instant::now();
        let status =
            Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
        assert!(status.success());
        let ended = wait_until("the node to end after Ctrl-C", Duration::from_secs(20), || {
            child.try_wait().expect("its state")
        });
        assert!(ended.success(), "Ctrl-C ended it with {ended}:\n{}", self.log());
        start.elapsed()
    }

    /// Runs `turepe admin …` against the node's folder while it runs, and gives its JSON.
    pub fn admin(&self, arguments: &[&str]) -> Value {
        let output = Command::new(program())
            .arg("admin")
            .args(arguments)
            .args(["--json", "--data"])
            .arg(&self.data)
            .env("TUREPE_DATABASE_URL", self.database.as_deref().unwrap_or_default())
            .current_dir(&self.data)
            .output()
            .expect("admin starts");
        assert!(output.status.success(), "admin {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("admin prints JSON")
    }

    /// A club open around the clock in UTC.
    pub fn add_club(&self, slug: &str, appointment_minutes: u32) {
        let minutes = appointment_minutes.to_string();
        self.admin(&[
            "club",
            "add",
            "--slug",
            slug,
            "--name",
            slug,
            "--zone",
            "UTC",
            "--open",
            "00:00-24:00",
            "--appointment-duration",
            &minutes,
        ]);
    }

    /// A court with one push channel in an existing club.
    pub fn add_court(&self, club: &str, court: &str) -> Court {
        self.admin(&["court", "add", "--club", club, "--slug", court, "--name", court]);
        let channel = self.admin(&["channel", "add", "--club", club, "--court", court, "--push"]);
        let word =
            |name: &str| channel[name].as_str().unwrap_or_else(|| panic!("{name} in {channel}")).to_owned();
        Court { club: club.into(), court: court.into(), channel: word("id"), key: word("streamKey") }
    }

    /// An address of the node.
    pub fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.http) }
    }

    /// The RTMP address for a key.
    pub fn rtmp_url(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.rtmp)
    }

    /// The operators' token, which the first start wrote.
    pub fn token(&self) -> String {
        let text = std::fs::read_to_string(self.data.join("operators.token")).expect("the token");
        text.trim().to_owned()
    }

    /// GET, with status, headers and body; as an operator where only those are told.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Vec<(String, String)>, Vec<u8>) {
        if !["/metrics", "/api/node/", "/api/v1/"].iter().any(|theirs| path.starts_with(theirs)) {
            return get(&self.url(path), headers);
        }
        let bearer = format!("Bearer {}", self.token());
        get(&self.url(path), &[headers, &[("authorization", bearer.as_str())]].concat())
    }

    /// GET of JSON that must succeed.
    pub fn get_json(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path, &[]);
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "GET {path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The replay of a range of UTC microseconds, as operators get it: strangers' ranges begin and end at whole seconds.
    pub fn replay(&self, court: &Court, from_us: i64, to_us: i64) -> Value {
        let path = format!(
            "/api/clubs/{}/courts/{}/replay?from={}&to={}",
            court.club,
            court.court,
            rfc3339(from_us),
            rfc3339(to_us)
        );
        let bearer = format!("Bearer {}", self.token());
        let (status, _, body) = self.get(&path, &[("authorization", &bearer)]);
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "GET {path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The replay of all that a court recorded since `from_us`, from its first to its last instant, once its publisher is
    /// gone and everything it sent is sealed.
    pub fn ended(&self, court: &Court, from_us: i64) -> Value {
        wait_until("the recording to end and to be sealed", Duration::from_secs(60), || {
            let club = self.get_json(&format!("/api/clubs/{}", court.club));
            let courts = club["courts"].as_array().expect("courts");
            let is_live =
                courts.iter().any(|one| one["slug"] == court.court.as_str() && one["isLive"] == true);
            let replay = self.replay(court, from_us, now_us());
            let fragments = replay["fragments"].as_array().expect("fragments");
            let (first, last) = (fragments.first()?, fragments.last()?);
            let url = last["url"].as_str()?;
            let (_, headers, _) = self.get(url, &[("range", "bytes=0-15")]);
            // What still grows is never to be stored, and in no bucket.
            let is_sealed = url.starts_with("http")
                || headers.iter().any(|(name, value)| name == "cache-control" && value.contains("immutable"));
            let instant =
                |value: &Value| Some(value.as_str()?.parse::<jiff::Timestamp>().ok()?.as_microsecond());
            let (start, end) = (instant(&first["start"])?, instant(&last["end"])?);
            (!is_live && is_sealed).then(|| self.replay(court, start, end))
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("the node's last words:");
            for line in tail.iter().rev() {
                eprintln!("  {line}");
            }
        }
    }
}

/// GET of any address, with status, headers and body.
pub fn get(url: &str, headers: &[(&str, &str)]) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Built beside the store's client, which speaks TLS, this library has no cryptography of its own choice any more.
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let mut request = reqwest::Client::new().get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let pair = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or_default().to_owned())
        };
        let headers = response.headers().iter().map(pair).collect();
        (status, headers, response.bytes().await.expect("a body").to_vec())
    })
}

/// An instant as the API writes it, in UTC with microseconds.
#[must_use]
pub fn rfc3339(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).expect("an instant").to_string()
}

/// Now, in UTC microseconds.
#[must_use]
pub fn now_us() -> i64 {
    std::time::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_micros()
        .try_into()
        .expect("before the year 294 000")
}
