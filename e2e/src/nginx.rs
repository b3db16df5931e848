//! nginx-rtmp, the server that channels are relayed to and come from in the field.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use databases::free_port;

use crate::node::wait_until;

/// A running nginx-rtmp in a folder of its own, killed when dropped.
pub struct Nginx {
    /// Where it listens.
    pub port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Nginx {
    /// Starts one that records what is published to its application `live`, a file for each publication, with more directives
    /// for it.
    pub fn recording(more: &str) -> Self {
        Self::start(&format!("record all; record_path RECORDINGS; record_unique on; meta copy; {more}"))
    }

    /// Starts one whose application `live` has these directives.
    pub fn start(directives: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let recordings = folder.path().join("recordings");
        std::fs::create_dir(&recordings).expect("a folder for recordings");
        let directives = directives.replace("RECORDINGS", recordings.to_str().expect("a plain path"));
        let configuration = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096; application live {{ live on; {directives} }} }} }}\n",
            folder = folder.path().display(),
        );
        let file = folder.path().join("nginx.conf");
        std::fs::File::options()
            .create_new(true)
            .write(true)
            .open(&file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, configuration.as_bytes()))
            .expect("the configuration is written");
        let mut nginx = Self { port, folder, child: None };
        nginx.resume();
        nginx
    }

    /// Starts it again on the same port, after [`Nginx::kill`].
    pub fn resume(&mut self) {
        let child = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(self.folder.path().join("nginx.conf"))
            .arg("-p")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts: run `cargo xtask setup`");
        self.child = Some(child);
        wait_until("nginx to listen", Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it is reaped");
        }
    }

    /// Its address, without a key.
    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live", self.port)
    }

    /// What it has recorded of a name so far, the oldest first.
    pub fn recordings(&self, name: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("recordings")).expect("its recordings");
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        let prefix = format!("{name}-");
        found.retain(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)));
        found.sort();
        found
    }

    /// Waits until it has recorded so many bytes of a name in its newest file, and gives that.
    pub fn recorded(&self, name: &str, bytes: u64) -> String {
        wait_until(&format!("{bytes} bytes at the target"), Duration::from_secs(60), || {
            let newest = self.recordings(name).pop()?;
            let is_there = std::fs::metadata(&newest).ok()?.len() >= bytes;
            is_there.then(|| newest.to_str().expect("a plain path").to_owned())
        })
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}
