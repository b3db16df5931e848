//! Private database servers: each in a temporary folder, on a free port, gone with its handle.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes as long on any machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running database server.
pub struct Server {
    engine: Engine,
    folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Postgres,
    Mariadb,
}

impl Server {
    /// PostgreSQL from Debian's package, trusting everybody on this machine.
    pub fn postgres() -> Self {
        let folder = tempfile::tempdir().unwrap();
        give_to_postgres(folder.path());
        let mut init = as_postgres(&postgres_folder().join("initdb"));
        init.arg("-D").arg(folder.path().join("data"));
        run(init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]));
        Self::start(Engine::Postgres, folder)
    }

    /// MariaDB from Debian's package; root has no password.
    pub fn mariadb() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut init = Command::new("mariadb-install-db");
        init.args([
            "--no-defaults",
            "--user=root",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        run(init.arg(format!("--datadir={}", folder.path().join("data").display())));
        Self::start(Engine::Mariadb, folder)
    }

    fn start(engine: Engine, folder: tempfile::TempDir) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { engine, folder, port, child: None };
        server.resume();
        server
    }

    /// Starts it again on the same data and port.
    pub fn resume(&mut self) {
        let (folder, port) = (self.folder.path(), self.port.to_string());
        let mut command = match self.engine {
            Engine::Postgres => {
                let mut command = as_postgres(&postgres_folder().join("postgres"));
                command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
                command.args([
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &port,
                    "-c",
                    "fsync=off",
                    "-c",
                    "full_page_writes=off",
                ]);
                command
            }
            Engine::Mariadb => {
                let mut command = Command::new("mariadbd");
                command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-log-bin"]);
                command.args(["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2"]);
                command.args(["--performance-schema=OFF", &format!("--port={port}")]);
                command.arg(format!("--datadir={}", folder.join("data").display()));
                command.arg(format!("--socket={}", folder.join("s.sock").display()));
                command.arg(format!("--pid-file={}", folder.join("pid").display()));
                command
            }
        };
        self.child =
            Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while !self.is_ready() {
            assert!(start.elapsed() < PATIENCE, "the database server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let port = self.port.to_string();
        let mut command = match self.engine {
            Engine::Postgres => {
                let mut command = Command::new(postgres_folder().join("pg_isready"));
                command.args(["-h", "127.0.0.1", "-p", &port]);
                command
            }
            Engine::Mariadb => {
                let mut command = Command::new("mariadb-admin");
                command.args(["--no-defaults", "-uroot", "-h127.0.0.1", &format!("-P{port}"), "ping"]);
                command
            }
        };
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Ends it, politely or not; its data stays.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // PostgreSQL's fast shutdown; MariaDB's only one.
        let signal = if self.engine == Engine::Postgres { "INT" } else { "TERM" };
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        if !sent.is_ok_and(|status| status.success()) {
            drop(child.kill());
        }
        drop(child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where Debian keeps the server's programs.
fn postgres_folder() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed: cargo xtask setup")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed: cargo xtask setup")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The server refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    // It begins by looking where it is.
    command.current_dir("/");
    command
}

fn give_to_postgres(folder: &Path) {
    if is_root() {
        let id = |flag: &str| -> u32 {
            let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        chown(folder, Some(id("-u")), Some(id("-g"))).unwrap();
    }
}
