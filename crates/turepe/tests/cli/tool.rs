//! Running the program and asking it over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes as long on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program in a folder of its own.
pub(crate) struct Tool {
    folder: tempfile::TempDir,
}

impl Tool {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command line of the program, started in its folder, without settings from outside.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turepe"));
        for (name, _) in std::env::vars().filter(|(name, _)| {
            ["TUREPE_", "SUPABASE_", "TARGET_FORWARD_URL"].iter().any(|ours| name.starts_with(ours))
        }) {
            command.env_remove(name);
        }
        // Two nodes at a time cannot both have it.
        command.env("TUREPE_SRS_API_LISTEN", "");
        command.args(arguments).current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it, expects success, and gives what it printed.
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }

    /// Asserts that no file of the data folder holds a text.
    pub(crate) fn holds_nowhere(&self, secret: &str) {
        for entry in std::fs::read_dir(self.folder().join("data")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                let has = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!has, "{}", path.display());
            }
        }
    }

    /// Runs it, expects an exit code, and gives what it said.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        stderr(&output)
    }

    /// A club with one court and one channel; gives the channel as `admin` printed it.
    pub(crate) fn club(&self) -> Value {
        let add =
            ["admin", "club", "add", "--slug", "c", "--name", "C", "--zone", "UTC", "--open", "00:00-24:00"];
        self.text(&[&add[..], &["--appointment-duration", "60"]].concat());
        self.text(&["admin", "court", "add", "--club", "c", "--slug", "k", "--name", "K"]);
        self.json(&["admin", "channel", "add", "--club", "c", "--court", "k", "--push", "--json"])
    }

    /// Starts it in the background.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.spawn(&mut self.command(arguments))
    }

    /// Starts a command line of its own in the background.
    pub(crate) fn spawn(&self, command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = sync_channel(10_000);
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    drop(sender.try_send(line));
                }
            });
        }
        Running { child, lines, said: Vec::new() }
    }

    /// Starts `serve` on free ports and waits until it is ready.
    pub(crate) fn serve(&self) -> (Running, SocketAddr, SocketAddr) {
        let (http, rtmp) = (free_port(), free_port());
        let (http_set, rtmp_set) = (format!("http.listen={http}"), format!("rtmp.listen={rtmp}"));
        let mut node =
            self.start(&["serve", "--set", &http_set, "--set", &rtmp_set, "--set", "archive.segment=5s"]);
        node.wait_for("Website");
        (node, http, rtmp)
    }

    /// GET as the node's operator, with the token of the data folder; the body of a good answer.
    pub(crate) fn operator_get(&self, address: SocketAddr, path: &str) -> String {
        let token = std::fs::read_to_string(self.folder().join("data/operators.token")).unwrap();
        let field = format!("Authorization: Bearer {}\r\n", token.trim());
        let (status, body) = get_with(address, path, &field);
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The demo clip.
    pub(crate) fn clip() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo.mp4")
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program in the background; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
    /// All it has said so far, on both outputs.
    pub(crate) said: Vec<String>,
}

impl Running {
    /// Waits for a line that contains a word, and gives that line.
    pub(crate) fn wait_for(&mut self, word: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(word) {
                        return line;
                    }
                }
                Err(error) => panic!("no `{word}` ({error}) in {:#?}", self.said),
            }
        }
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Ctrl-C; how it ended and how long that took.
    pub(crate) fn interrupt(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal("INT");
        (self.wait(), start.elapsed())
    }

    /// Ends it at once, if it has not ended.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the program to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An address of this machine that nobody uses.
pub(crate) fn free_port() -> SocketAddr {
    ([127, 0, 0, 1], databases::free_port()).into()
}

/// GET; status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    get_with(address, path, "")
}

/// GET with more fields, each with its line break; status and body.
pub(crate) fn get_with(address: SocketAddr, path: &str, fields: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n{fields}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..split]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[split + 4..].to_vec())
}

/// GET of JSON.
pub(crate) fn get_json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = get(address, path);
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}
