//! One server: made, started, killed, frozen, asked for a new database.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::guard::Guard;
use crate::port::free_port;
use crate::tls::{self, Certificates};

/// How long a server may take to be ready. A busy machine takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Ports that are tried when another process was quicker.
const START_ATTEMPTS: u32 = 3;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// MariaDB, which speaks as MySQL does.
    MariaDb,
    /// PostgreSQL.
    Postgres,
}

/// A server that lives as long as this value, or as the process.
pub struct Server {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    certificates: Option<Certificates>,
    running: Mutex<Running>,
    databases: AtomicU32,
}

struct Running {
    child: Option<Child>,
    guard: Guard,
}

impl Server {
    /// Makes and starts a server.
    pub fn start(kind: Kind) -> Result<Self> {
        Self::make(kind, false)
    }

    /// Makes and starts a server that speaks TLS, as `localhost`; [`Server::authority`] vouches for it.
    pub fn start_with_tls(kind: Kind) -> Result<Self> {
        Self::make(kind, true)
    }

    fn make(kind: Kind, with_tls: bool) -> Result<Self> {
        // The guard removes it, also where this process cannot.
        let folder = tempfile::Builder::new().prefix("turepe-database-").tempdir()?.keep();
        let guard = Guard::new(&folder)?;
        let certificates = if with_tls { Some(tls::make(&folder)?) } else { None };
        let mut server = Self {
            kind,
            folder,
            port: 0,
            certificates,
            running: Mutex::new(Running { child: None, guard }),
            databases: AtomicU32::new(0),
        };
        server.initialise()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            server.port = free_port();
            match server.resume() {
                Err(error) if attempts == START_ATTEMPTS => return Err(error),
                Err(_) => server.kill(),
                Ok(()) => return Ok(server),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn initialise(&self) -> Result<()> {
        let data = self.folder.join("data");
        match self.kind {
            Kind::MariaDb => run(Command::new("mariadb-install-db")
                // A server that starts clears temporary tables away, also those of others in the same folder.
                .env("TMPDIR", &self.folder)
                .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
                .arg(format!("--user={}", user()?))
                .arg(format!("--datadir={}", data.display()))),
            Kind::Postgres => {
                if is_root()? {
                    // PostgreSQL refuses to be root, and the folder is root's so far.
                    run(Command::new("chown").args(["-R", "postgres"]).arg(&self.folder))?;
                }
                run(self.as_postgres("initdb")?.arg("-D").arg(&data).args([
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--locale=C",
                    "--no-sync",
                ]))
            }
        }
    }

    /// A program of PostgreSQL as the user that it accepts.
    fn as_postgres(&self, program: &str) -> Result<Command> {
        let program = postgres_programs()?.join(program);
        let mut command = if is_root()? {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder);
        Ok(command)
    }

    fn server_command(&self) -> Result<Command> {
        let data = self.folder.join("data");
        let certificates = self.certificates.as_ref();
        Ok(match self.kind {
            Kind::MariaDb => {
                let mut command = Command::new(on_path_or("mariadbd", "/usr/sbin/mariadbd"));
                command
                    .env("TMPDIR", &self.folder)
                    .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin"])
                    .args(["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2"])
                    .args(["--performance-schema=OFF", "--max-connections=500"])
                    // The kernel's asynchronous I/O is bounded for the whole machine (fs.aio-max-nr).
                    .arg("--innodb-use-native-aio=0")
                    .arg(format!("--user={}", user()?))
                    .arg(format!("--datadir={}", data.display()))
                    .arg(format!("--socket={}", self.socket().display()))
                    .arg(format!("--pid-file={}", self.folder.join("pid").display()))
                    .arg(format!("--port={}", self.port));
                if let Some(Certificates { authority, certificate, key }) = certificates {
                    command
                        .arg(format!("--ssl-ca={}", authority.display()))
                        .arg(format!("--ssl-cert={}", certificate.display()))
                        .arg(format!("--ssl-key={}", key.display()));
                }
                command
            }
            Kind::Postgres => {
                let mut command = self.as_postgres("postgres")?;
                command.arg("-D").arg(&data).arg("-k").arg(&self.folder);
                command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
                for setting in ["fsync=off", "full_page_writes=off", "max_connections=300", "autovacuum=off"]
                {
                    command.args(["-c", setting]);
                }
                if let Some(Certificates { certificate, key, .. }) = certificates {
                    command.args(["-c", "ssl=on"]);
                    command.args(["-c", &format!("ssl_cert_file={}", certificate.display())]);
                    command.args(["-c", &format!("ssl_key_file={}", key.display())]);
                }
                command
            }
        })
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("s.sock")
    }

    /// Starts it again on the same port, after [`Server::kill`], and waits until it answers.
    pub fn resume(&self) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let mut running = self.lock();
        let mut child = self
            .server_command()?
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the server could not be started: run `cargo xtask setup`")?;
        running.guard.runs(child.id())?;
        let start = Instant::now();
        while !self.answers()? {
            if let Some(status) = child.try_wait()? {
                bail!("{:?} ended at once ({status}):\n{}", self.kind, self.log());
            }
            if start.elapsed() > START_TIMEOUT {
                drop(child.kill());
                bail!("{:?} is not ready after {START_TIMEOUT:?}:\n{}", self.kind, self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        running.child = Some(child);
        Ok(())
    }

    fn answers(&self) -> Result<bool> {
        let mut command = match self.kind {
            Kind::MariaDb => {
                let mut command = Command::new("mariadb-admin");
                command.args(["--no-defaults", "-uroot", "-S"]).arg(self.socket()).arg("ping");
                command
            }
            Kind::Postgres => {
                let mut command = Command::new(postgres_programs()?.join("pg_isready"));
                command.arg("-q").arg("-h").arg(&self.folder).args(["-p", &self.port.to_string()]);
                command
            }
        };
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(status.context("run `cargo xtask setup`")?.success())
    }

    /// What the server has said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Which server it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The folder that holds everything of it, to be measured.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The certificate that vouches for a server with TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.certificates.as_ref().map(|certificates| certificates.authority.as_path())
    }

    /// `kill -9`, in the middle of whatever it does.
    pub fn kill(&self) {
        let mut running = self.lock();
        if let Some(mut child) = running.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(running.guard.runs(0));
    }

    /// Ends it as a machine that shuts down does; [`Server::resume`] starts it again.
    pub fn stop(&self) -> Result<()> {
        let mut running = self.lock();
        let mut child = running.child.take().context("it does not run")?;
        // PostgreSQL's fast shutdown, which does not wait for clients; MariaDB has no other.
        let signal = if self.kind == Kind::Postgres { "-INT" } else { "-TERM" };
        run(Command::new("kill").args([signal, &child.id().to_string()]))?;
        child.wait()?;
        running.guard.runs(0)
    }

    /// Freezes it: connections stay and nothing answers.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let running = self.lock();
        let child = running.child.as_ref().context("it does not run")?;
        let mut processes = vec![child.id().to_string()];
        // PostgreSQL has a process per connection.
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        processes.extend(children.split_whitespace().map(str::to_owned));
        run(Command::new("kill").arg(format!("-{name}")).args(processes))
    }

    /// The URL of a database on it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        match self.kind {
            Kind::MariaDb => format!("mysql://root@127.0.0.1:{}/{database}", self.port),
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{}/{database}", self.port),
        }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database and gives its URL.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("turepe_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run_sql(&format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs statements as the server's administrator, and gives what they print.
    pub fn run_sql(&self, sql: &str) -> Result<String> {
        let mut command = match self.kind {
            Kind::MariaDb => {
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "-uroot", "--batch", "--skip-column-names", "-S"]);
                command.arg(self.socket()).args(["-e", sql]);
                command
            }
            Kind::Postgres => {
                let mut command = Command::new(postgres_programs()?.join("psql"));
                command.args(["-X", "-q", "-t", "-A", "-U", "postgres", "-h"]).arg(&self.folder);
                command.args(["-p", &self.port.to_string(), "-v", "ON_ERROR_STOP=1", "-c", sql]);
                command
            }
        };
        let output = command.output().context("the client could not be started")?;
        if !output.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("could not start {command:?}: run `cargo xtask setup`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}): {said}{}", output.status, String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

/// The newest PostgreSQL that Debian has installed.
fn postgres_programs() -> Result<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").context("no PostgreSQL: run `cargo xtask setup`")?;
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse::<u32>().ok())
        .max()
        .context("no PostgreSQL: run `cargo xtask setup`")?;
    Ok(format!("/usr/lib/postgresql/{newest}/bin").into())
}

fn on_path_or(program: &str, path: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| path.into())
}

fn is_root() -> Result<bool> {
    Ok(user()? == "root")
}

fn user() -> Result<String> {
    let output = Command::new("id").arg("-un").output().context("id could not be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
