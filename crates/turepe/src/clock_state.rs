//! How this machine's clock is kept, as systemd tells it.

use std::process::Stdio;
use std::time::Duration;

use archive::TimeKeeping;
use archive::bucket::BoxFuture;
use tokio::process::Command;

/// How long timedatectl may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the kernel's clock follows another; `None` where nothing tells, as in containers.
pub(crate) async fn is_synchronised() -> Option<bool> {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// For the archive, as a witness of the clock by which footage expires.
pub(crate) struct Systemd;

impl TimeKeeping for Systemd {
    fn is_synchronised(&self) -> BoxFuture<'_, Option<bool>> {
        Box::pin(is_synchronised())
    }
}
