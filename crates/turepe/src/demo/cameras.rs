//! The demo's cameras: a `turepe publish` process each, which ends with this one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use catalog::{Catalog, CatalogError};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::club::DemoClub;
use crate::failure::Failure;

/// Pause before a camera that ended is started anew.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What the cameras need.
pub(super) struct Plan {
    keys: Vec<String>,
    clip: PathBuf,
    program: PathBuf,
}

/// Running cameras.
pub(super) struct Cameras {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Plan {
    /// Gives every channel a new key: keys are stored as hashes only, so the last run's cannot be read back.
    pub(super) async fn new(catalog: &Catalog, club: &DemoClub, clip: PathBuf) -> Result<Self, Failure> {
        let failed = |error: CatalogError| Failure::context("cannot make a stream key", error);
        let mut keys = Vec::new();
        for court in &club.courts {
            keys.push(catalog.rotate_key(court.channel.id).await.map_err(failed)?);
        }
        let program = std::env::current_exe()
            .map_err(|error| Failure::context("cannot find this program's own file", error))?;
        Ok(Self { keys, clip, program })
    }

    /// Starts the cameras.
    pub(super) fn start(self, rtmp: SocketAddr) -> Result<Cameras, Failure> {
        let url = format!("rtmp://{}/live", local(rtmp));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for key in self.keys {
            let mut command = Command::new(&self.program);
            // Keys go through a pipe: arguments are readable by everybody on the machine.
            command
                .arg("publish")
                .arg(&self.clip)
                .args([
                    url.as_str(),
                    "--loop",
                    "--quiet",
                    "--with-parent",
                    "--streams",
                    "1",
                    "--keys-from",
                    "-",
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .kill_on_drop(true);
            let first = spawn(&mut command)?;
            tasks.spawn(keep_running(command, first, key, stopped.clone()));
        }
        Ok(Cameras { stop, tasks })
    }
}

impl Cameras {
    /// Ends all of them.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

fn spawn(command: &mut Command) -> Result<Child, Failure> {
    command.spawn().map_err(|error| Failure::context("cannot start a camera of the demo", error))
}

async fn keep_running(mut command: Command, first: Child, key: String, mut stopped: watch::Receiver<bool>) {
    let mut child = first;
    loop {
        if let Some(mut stdin) = child.stdin.take()
            && let Err(error) = stdin.write_all(key.as_bytes()).await
        {
            tracing::warn!(%error, "cannot tell a camera its key");
        }
        let status = tokio::select! {
            _ = stopped.changed() => {
                if let Err(error) = child.kill().await {
                    tracing::warn!(%error, "cannot end a camera");
                }
                return;
            }
            status = child.wait() => status,
        };
        // Ctrl-C in a terminal reaches the cameras too: then the stop follows at once.
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(RESTART_PAUSE) => {}
        }
        tracing::warn!(?status, "a camera of the demo ended and is started anew");
        child = match spawn(&mut command) {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, "this court of the demo stays without a camera");
                return;
            }
        };
    }
}

/// The address as this machine reaches it.
fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
