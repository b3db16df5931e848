//! What stands between a foreign keyframe and this machine: programs of util-linux and coreutils that give up rights and then
//! become ffmpeg, in the same process.
//!
//! | by | what ffmpeg no longer has |
//! |-|-|
//! | `unshare` | a network |
//! | `prlimit` | memory, CPU time, file length and open files beyond what a batch needs; core dumps |
//! | `setpriv` | a way to more rights; a life after this node's, however that ends |
//! | `nice` | a claim on the CPU against anything else |
//!
//! Each is used where it is there and permitted; ffmpeg runs without those that are not. What ffmpeg itself is told (one
//! demuxer, no protocol but files) does not depend on them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

use super::limits::{
    FFMPEG_CPU_S, FFMPEG_FILES, FFMPEG_MEMORY_BYTES, FFMPEG_STACK_BYTES, MAX_COVER_BYTES, NICENESS,
    PROBE_TIMEOUT,
};

/// How ffmpeg is started on this machine.
#[derive(Clone, Debug)]
pub(super) struct Sandbox {
    /// Program and arguments of each wrapper, one after the other.
    wrappers: Vec<String>,
    program: PathBuf,
    /// What is not there or not permitted.
    pub(super) missing: Vec<&'static str>,
}

impl Sandbox {
    /// Finds out which wrappers work here; `None` when ffmpeg cannot be run at all.
    pub(super) async fn probe(program: &Path) -> Option<Self> {
        let mut sandbox = Self { wrappers: Vec::new(), program: absolute(program), missing: Vec::new() };
        // From the strongest to the weakest; the last one stands for a machine whose administrator permits neither.
        let network: [&[&str]; 2] =
            [&["unshare", "--net", "--"], &["unshare", "--map-current-user", "--net", "--"]];
        let limits = [
            "prlimit".to_owned(),
            format!("--data={FFMPEG_MEMORY_BYTES}"),
            format!("--stack={FFMPEG_STACK_BYTES}"),
            format!("--cpu={FFMPEG_CPU_S}"),
            // One byte too many is seen when a picture is read.
            format!("--fsize={}", MAX_COVER_BYTES + 1),
            format!("--nofile={FFMPEG_FILES}"),
            "--core=0".to_owned(),
            "--".to_owned(),
        ];
        // Last of those that change rights: the tie to this process does not outlive such a change.
        let rights = ["setpriv", "--no-new-privs", "--pdeathsig", "KILL", "--"];
        let niceness = ["nice".to_owned(), "-n".to_owned(), NICENESS.to_string()];
        sandbox.add("no network (unshare)", network.map(owned).to_vec()).await;
        sandbox.add("limits (prlimit)", vec![limits.to_vec()]).await;
        sandbox.add("no new rights, end with the node (setpriv)", vec![owned(&rights)]).await;
        sandbox.add("niceness (nice)", vec![niceness.to_vec()]).await;
        let mut command = sandbox.command();
        command.args(["-hide_banner", "-version"]);
        succeeds(command).await.then_some(sandbox)
    }

    /// Adds the first of these wrappers that works behind those that are there.
    async fn add(&mut self, what: &'static str, choices: Vec<Vec<String>>) {
        for choice in choices {
            let mut wrappers = self.wrappers.clone();
            wrappers.extend(choice);
            let with_true = Self { wrappers, program: PathBuf::from("true"), missing: Vec::new() };
            if succeeds(with_true.command()).await {
                self.wrappers = with_true.wrappers;
                return;
            }
        }
        self.missing.push(what);
    }

    /// A command without arguments yet, that is killed when it is dropped.
    pub(super) fn command(&self) -> Command {
        let mut command = match self.wrappers.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        // Each thread's own arena would count as memory that it hardly uses.
        command.env("MALLOC_ARENA_MAX", "2").env("LC_ALL", "C");
        command
    }
}

/// The program as it is found from any working folder.
fn absolute(program: &Path) -> PathBuf {
    let is_path = program.components().count() > 1;
    if is_path {
        std::path::absolute(program).unwrap_or_else(|_| program.to_owned())
    } else {
        program.to_owned()
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn succeeds(mut command: Command) -> bool {
    let limit: Duration = PROBE_TIMEOUT;
    command.stderr(Stdio::null());
    // Dropped with its future, it is killed.
    matches!(tokio::time::timeout(limit, command.status()).await, Ok(Ok(status)) if status.success())
}

#[cfg(test)]
mod tests {
    use super::Sandbox;
    use std::path::Path;

    #[tokio::test]
    async fn a_missing_ffmpeg_is_found_out() {
        assert!(Sandbox::probe(Path::new("/nonexistent/ffmpeg")).await.is_none());
        assert!(Sandbox::probe(Path::new("no-such-program-anywhere")).await.is_none());
    }

    #[tokio::test]
    async fn what_the_sandbox_takes_is_gone() {
        let sandbox = Sandbox::probe(Path::new("true")).await.unwrap();
        // What this machine lacks is said; what it has must hold.
        let shell = Sandbox { program: "sh".into(), ..sandbox };
        let script = "ulimit -c; ulimit -n; nice; cat /proc/self/net/dev | wc -l; grep NoNewPrivs /proc/self/status; env";
        let output = shell.command().args(["-c", script]).stdout(std::process::Stdio::piped()).output();
        let text = String::from_utf8(output.await.unwrap().stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let lacks = |what: &str| shell.missing.iter().any(|missing| missing.contains(what));
        assert!(lacks("limits") || (lines[0] == "0" && lines[1] == "128"), "{text}");
        assert!(lacks("nice") || lines[2] != "0", "{text}");
        // Two lines of headings and one interface that goes nowhere.
        assert!(lacks("network") || lines[3].trim() == "3", "{text}");
        assert!(lacks("setpriv") || lines[4].ends_with('1'), "{text}");
        assert!(!text.contains("CARGO"), "the environment may hold secrets: {text}");
    }
}
