//! What stands between a foreign keyframe and this machine: walls of the kernel, and programs of util-linux and coreutils that give up
//! rights and then become ffmpeg, in the same process.
//!
//! | by | what ffmpeg no longer has |
//! |-|-|
//! | Landlock | files, but for programs, libraries and its own folder; signals and abstract sockets to the outside |
//! | seccomp | new sockets; a way into other processes; mounts, namespaces and the like |
//! | `unshare`, where seccomp is not to be had | a network |
//! | `prlimit` | memory, CPU time, file length and open files beyond what a batch needs; core dumps |
//! | `setpriv` | a way to more rights; a life after this node's, however that ends |
//! | `nice` | a claim on the CPU against anything else |
//!
//! Each is used where it is there and permitted; ffmpeg runs without those that are not, and [`Sandbox::missing`] names them. What ffmpeg
//! itself is told (one demuxer, one protocol) does not depend on them.
//!
//! Here belongs how a program is confined. Not here: what it is to do.

pub mod limits;
mod walls;

use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use tokio::process::Command;

pub use self::walls::Confined;
use self::{
    limits::{
        FFMPEG_CPU_S, FFMPEG_FILE_BYTES, FFMPEG_FILES, FFMPEG_MEMORY_BYTES, FFMPEG_STACK_BYTES, NICENESS,
        PROBE_TIMEOUT,
    },
    walls::{Files, Walls},
};

/// How a program is started on this machine.
#[derive(Clone, Debug)]
pub struct Sandbox {
    walls: Walls,
    /// Program and arguments of each wrapper, one after the other.
    wrappers: Vec<String>,
    program: PathBuf,
    missing: Vec<&'static str>,
}

/// What a program is for, as far as it concerns files.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// The one folder that it reads and writes; without one it has pipes alone.
    pub folder: Option<PathBuf>,
    /// Folders that it must not see even where they lie among programs and libraries.
    pub private: Vec<PathBuf>,
}

impl Sandbox {
    /// Finds out what works here; `None` when ffmpeg cannot be run at all.
    pub async fn probe(program: &Path, needs: &Needs) -> Option<Self> {
        let program = absolute(program);
        let files = Files {
            program: found(&program),
            folder: needs.folder.as_deref().map(absolute),
            private: needs.private.iter().map(|folder| absolute(folder)).collect(),
        };
        let mut sandbox =
            Self { walls: Walls::probe(files).await, wrappers: Vec::new(), program, missing: Vec::new() };
        if sandbox.walls.files.is_none() {
            sandbox.missing.push(NO_FILES);
        }
        if !sandbox.walls.calls {
            sandbox
                .missing
                .push("no new sockets, and no way to other processes and modes of files (seccomp)");
        }
        sandbox.add_wrappers().await;
        if sandbox.runs().await {
            return Some(sandbox);
        }
        // An ffmpeg that is spread over the disk reads what no rule here foresees.
        if sandbox.walls.files.take().is_some() {
            sandbox.missing.insert(0, NO_FILES);
        }
        sandbox.runs().await.then_some(sandbox)
    }

    /// What is not there or not permitted.
    #[must_use]
    pub fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    async fn add_wrappers(&mut self) {
        // From the strongest to the weakest; the last one stands for a machine whose administrator permits neither.
        let network: [&[&str]; 2] =
            [&["unshare", "--net", "--"], &["unshare", "--map-current-user", "--net", "--"]];
        let limits = [
            "prlimit".to_owned(),
            format!("--data={FFMPEG_MEMORY_BYTES}"),
            format!("--stack={FFMPEG_STACK_BYTES}"),
            format!("--cpu={FFMPEG_CPU_S}"),
            // One byte too many is seen when a picture is read.
            format!("--fsize={}", FFMPEG_FILE_BYTES + 1),
            format!("--nofile={FFMPEG_FILES}"),
            "--core=0".to_owned(),
            "--".to_owned(),
        ];
        // Last of those that change rights: the tie to this process does not outlive such a change.
        let rights = ["setpriv", "--no-new-privs", "--pdeathsig", "KILL", "--"];
        let niceness = ["nice".to_owned(), "-n".to_owned(), NICENESS.to_string()];
        if !self.walls.calls {
            self.add("no network (unshare)", network.map(owned).to_vec()).await;
        }
        self.add("limits (prlimit)", vec![limits.to_vec()]).await;
        self.add("no new rights, end with the node (setpriv)", vec![owned(&rights)]).await;
        self.add("niceness (nice)", vec![niceness.to_vec()]).await;
    }

    /// Adds the first of these wrappers that works behind those that are there.
    async fn add(&mut self, what: &'static str, choices: Vec<Vec<String>>) {
        for choice in choices {
            let mut wrappers = self.wrappers.clone();
            wrappers.extend(choice);
            let with_true = Self { wrappers, program: PathBuf::from("true"), ..self.clone() };
            if with_true.succeeds(with_true.command()).await {
                self.wrappers = with_true.wrappers;
                return;
            }
        }
        self.missing.push(what);
    }

    async fn runs(&self) -> bool {
        let mut command = self.command();
        command.args(["-hide_banner", "-version"]);
        self.succeeds(command).await
    }

    async fn succeeds(&self, mut command: Command) -> bool {
        command.stderr(Stdio::null());
        let run = async {
            let mut confined = self.spawn(command).await?;
            confined.child.wait().await
        };
        // Dropped with its future, it is killed.
        let ended: Result<io::Result<ExitStatus>, _> = tokio::time::timeout(PROBE_TIMEOUT, run).await;
        matches!(ended, Ok(Ok(status)) if status.success())
    }

    /// A command without arguments yet, for [`Self::spawn`].
    #[must_use]
    pub fn command(&self) -> Command {
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

    /// Starts it, confined.
    ///
    /// # Errors
    /// When it cannot be started, or not be confined as the probe found.
    pub async fn spawn(&self, command: Command) -> io::Result<Confined> {
        self.walls.spawn(command).await
    }
}

/// See [`Sandbox::missing`].
const NO_FILES: &str = "a file system of its own (Landlock)";

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

/// Where the program lies, without links.
fn found(program: &Path) -> Option<PathBuf> {
    if program.is_absolute() {
        return program.canonicalize().ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|folder| folder.join(program).canonicalize().ok())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Stdio};

    use tokio::io::AsyncReadExt as _;

    use super::{NO_FILES, Needs, Sandbox, walls::Walls};

    #[tokio::test]
    async fn a_missing_ffmpeg_is_found_out() {
        for program in ["/nonexistent/ffmpeg", "no-such-program-anywhere"] {
            assert!(Sandbox::probe(Path::new(program), &Needs::default()).await.is_none());
        }
    }

    /// What a shell says in a sandbox that was made for another program.
    async fn shell(sandbox: &Sandbox, script: &str) -> String {
        let shell = Sandbox { program: "sh".into(), ..sandbox.clone() };
        let mut command = shell.command();
        command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut confined = shell.spawn(command).await.unwrap();
        let mut text = String::new();
        confined.child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        confined.child.wait().await.unwrap();
        text
    }

    #[tokio::test]
    async fn what_the_wrappers_take_is_gone() {
        let mut sandbox = Sandbox::probe(Path::new("true"), &Needs::default()).await.unwrap();
        // What this machine lacks is said; what it has must hold.
        let lacks = |what: &str| sandbox.missing.iter().any(|missing| missing.contains(what));
        let (lacks_limits, lacks_nice, lacks_setpriv) = (lacks("limits"), lacks("nice"), lacks("setpriv"));
        // The process tells of itself where no wall stands before /proc.
        sandbox.walls = Walls::default();
        let text =
            shell(&sandbox, "ulimit -c; ulimit -n; nice; grep NoNewPrivs /proc/self/status; env").await;
        let lines: Vec<&str> = text.lines().collect();
        assert!(lacks_limits || (lines[0] == "0" && lines[1] == "128"), "{text}");
        assert!(lacks_nice || lines[2] != "0", "{text}");
        assert!(lacks_setpriv || lines[3].ends_with('1'), "{text}");
        assert!(!text.contains("CARGO"), "the environment may hold secrets: {text}");
    }

    #[tokio::test]
    async fn it_reads_and_writes_its_folder_and_nothing_else_of_ours() {
        let data = tempfile::tempdir().unwrap();
        let work = data.path().join("covers/work");
        std::fs::create_dir_all(&work).unwrap();
        let catalog = data.path().join("catalog.db");
        #[expect(clippy::disallowed_methods, reason = "a test works on real files")]
        for file in [&catalog, &work.join("in")] {
            std::fs::write(file, "rows").unwrap();
        }
        let needs = Needs { folder: Some(work.clone()), private: vec![data.path().to_owned()] };
        let sandbox = Sandbox::probe(Path::new("true"), &needs).await.unwrap();
        let (catalog, work) = (catalog.display(), work.display());
        let script = format!(
            "cat {catalog} && echo read; cat {work}/../../catalog.db && echo read around; ls {work}/.. && echo listed; \
             echo x >> {catalog} && echo written; cat /etc/passwd >/dev/null && echo passwords; \
             cat /proc/$PPID/environ >/dev/null && echo environment; \
             cat {work}/in && cp {work}/in {work}/out && echo whole"
        );
        let text = shell(&sandbox, &script).await;
        if sandbox.missing.contains(&NO_FILES) {
            // A kernel without it: then that is said, and the others hold.
            assert!(text.contains("read"), "{text}");
        } else {
            assert_eq!(text, "rowswhole\n");
        }
        // Nor by what the rules for files say nothing of; and the node itself is out of reach. These are answered by the other wall.
        assert!(sandbox.walls.calls, "{:?}", sandbox.missing);
        let other = format!(
            "chmod 000 {catalog} && echo mode; chown root {catalog} && echo owner; touch -d 2020-01-01 {catalog} && echo time; \
             truncate -s 0 {catalog} && echo cut; prlimit --pid $PPID --nofile=4 && echo limits; renice -n 5 -p $PPID && echo priority; \
             kill -0 $PPID && echo signal; taskset -p 1 $PPID >/dev/null && echo processors; \
             prlimit --nofile=40 -- sh -c 'ulimit -n'; nice true && echo whole"
        );
        assert_eq!(shell(&sandbox, &other).await, "40\nwhole\n");
        assert_eq!(std::fs::metadata(data.path().join("catalog.db")).unwrap().len(), 4);
        // Beside programs and libraries as well.
        let own =
            Sandbox::probe(Path::new("true"), &Needs { private: vec!["/usr/share".into()], ..needs }).await;
        let text = shell(&own.unwrap(), "ls /usr/share && echo listed").await;
        assert!(sandbox.missing.contains(&NO_FILES) || text.is_empty(), "{text}");
    }

    #[tokio::test]
    async fn it_opens_no_socket() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let program = Path::new("ffmpeg");
        let sandbox = Sandbox::probe(program, &Needs::default()).await.unwrap();
        assert!(sandbox.walls.calls, "{:?}", sandbox.missing);
        // The very program, told to do what a decoder gone wrong might.
        let mut command = sandbox.command();
        command.args(["-hide_banner", "-loglevel", "error", "-i", &format!("tcp://127.0.0.1:{port}")]);
        command.args(["-f", "null", "-"]).stderr(Stdio::piped());
        let mut confined = sandbox.spawn(command).await.unwrap();
        let mut said = String::new();
        confined.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert!(!confined.child.wait().await.unwrap().success());
        assert!(said.contains("not permitted"), "{said}");
        let accepted =
            std::future::poll_fn(|context| std::task::Poll::Ready(listener.poll_accept(context).is_ready()));
        assert!(!accepted.await, "somebody connected");
    }

    #[tokio::test]
    async fn it_goes_with_its_handle() {
        let sandbox = Sandbox::probe(Path::new("true"), &Needs::default()).await.unwrap();
        let shell = Sandbox { program: "sh".into(), ..sandbox };
        let mut command = shell.command();
        command.args(["-c", "echo here; exec sleep 600"]).stdout(Stdio::piped());
        let mut confined = shell.spawn(command).await.unwrap();
        let mut stdout = confined.child.stdout.take().unwrap();
        let mut here = [0; 5];
        stdout.read_exact(&mut here).await.unwrap();
        drop(confined);
        // The last end of the pipe goes with the process.
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "");
    }
}
