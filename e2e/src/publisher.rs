//! Real publishers.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::clip::{Clip, clip, tool};
use crate::node::{Node, program};

/// A publisher process, killed when dropped.
pub struct Publisher(Child);

impl Publisher {
    /// `turepe publish --loop`.
    pub fn turepe(kind: Clip, url: &str) -> Self {
        Self::turepe_file(&clip(kind), url)
    }

    /// The same with any file.
    pub fn turepe_file(file: &Path, url: &str) -> Self {
        Self(spawn(Command::new(program()).args(["publish", "--loop"]).arg(file).arg(url)))
    }

    /// One `turepe publish --loop` for many keys of a node. It comes back by itself when the node was gone.
    pub fn turepe_many(kind: Clip, node: &Node, keys: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["publish", "--loop", "--keys-from", "-"]).arg(clip(kind)).arg(node.rtmp_url(""));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the publisher starts");
        let mut stdin = child.stdin.take().expect("piped above");
        stdin.write_all(keys.join("\n").as_bytes()).expect("it reads its keys");
        Self(child)
    }

    /// `ffmpeg -re -c copy -f flv`, looping: Debian's ffmpeg for H.264, the newer one for HEVC by Enhanced RTMP.
    pub fn ffmpeg(kind: Clip, url: &str) -> Self {
        let program = tool(if kind == Clip::Hevc { "ffmpeg-modern" } else { "ffmpeg" });
        Self(spawn(
            Command::new(program)
                .args(["-hide_banner", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"])
                .arg(clip(kind))
                .args(["-c", "copy", "-f", "flv", url]),
        ))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("its state").is_none()
    }

    /// Ends it politely (SIGINT), so that it unpublishes.
    pub fn stop(mut self) {
        let status =
            Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().expect("kill starts");
        assert!(status.success());
        self.0.wait().expect("it ends");
    }

    /// `kill -9`: the connection breaks without a word.
    pub fn kill(mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it is reaped");
    }
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the publisher starts")
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // It may have ended by itself: both calls then have nothing to do.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
