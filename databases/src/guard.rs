//! What outlives the process and cleans up behind it: a shell that waits for the end of its input, which comes with the
//! end of the process, however that ends.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// Reads the process id of the running server, a line each time it changes (0 for none). At the end: kills the last one
/// and removes the folder.
const SCRIPT: &str = "
    trap '' INT TERM HUP
    last=0
    while read -r pid; do last=$pid; done
    if [ \"$last\" -gt 0 ] && grep -qF -- \"$1\" \"/proc/$last/cmdline\" 2>/dev/null; then
        kill -KILL \"$last\" 2>/dev/null
        while [ -e \"/proc/$last\" ]; do sleep 0.05; done
    fi
    rm -rf -- \"$1\"
";

/// Cleans up a server and its folder.
pub(crate) struct Guard {
    shell: Child,
    words: Option<ChildStdin>,
}

impl Guard {
    /// Watches over a folder.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sh could not be started")?;
        let words = shell.stdin.take();
        Ok(Self { shell, words })
    }

    /// The server that runs now; 0 for none.
    pub(crate) fn runs(&mut self, pid: u32) -> Result<()> {
        let words = self.words.as_mut().context("the guard has gone")?;
        writeln!(words, "{pid}").context("the guard does not listen")
    }
}

impl Drop for Guard {
    /// Waits until everything is gone.
    fn drop(&mut self) {
        self.words = None;
        drop(self.shell.wait());
    }
}
