//! Relaying every stream to one other server: CPU per stream-second, `turepe serve` against nginx-rtmp `push`, each with relaying and
//! without, so that what relaying adds can be told from what takes the streams in. Neither records
//! (`[archive] record = false`); the processes that make covers are not counted.
//!
//! `cargo xtask bench relay [--publishers 50,100] [--seconds 20]`

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use databases::free_port;
use turepe_bench::{Watched, match_clip, turepe, wait_for_port};

#[derive(Parser)]
struct Arguments {
    /// Publishers of 4 Mbit/s at a time, one measurement for each number
    #[arg(long, value_delimiter = ',', default_values_t = [50, 100])]
    publishers: Vec<usize>,
    /// Measured seconds each
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// Connections, first keyframes and caches have settled by then.
const WARM_UP: Duration = Duration::from_secs(8);

/// 4 Mbit/s of picture and 128 kbit/s of sound, in bytes a second.
const STREAM_BYTES_PER_S: f64 = 516_000.0;

struct Figures {
    cpu_us_per_stream_second: f64,
    /// Of what was published, how much arrived at the target.
    relayed_share: f64,
    peak_mb: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clip = match_clip(&std::env::temp_dir())?;
    println!("streams of 4 Mbit/s, each to one target, {} s each", arguments.seconds);
    println!(
        "{:<12} {:>10} {:>28} {:>16} {:>10} {:>10}",
        "server", "publishers", "CPU µs per stream-second", "of it, relaying", "relayed", "peak MB"
    );
    for &publishers in &arguments.publishers {
        let mut added = Vec::new();
        for (name, measure) in [("nginx-rtmp", nginx as Measure), ("turepe", ours as Measure)] {
            let without = measure(&arguments, &clip, publishers, None)?;
            let target = Target::start()?;
            let with = measure(&arguments, &clip, publishers, Some(&target))?;
            ensure!(with.relayed_share > 0.8, "only {:.0} % were relayed", with.relayed_share * 100.0);
            let relaying = with.cpu_us_per_stream_second - without.cpu_us_per_stream_second;
            println!(
                "{name:<12} {publishers:>10} {:>28.0} {relaying:>16.0} {:>9.0}% {:>10.1}",
                with.cpu_us_per_stream_second,
                with.relayed_share * 100.0,
                with.peak_mb
            );
            added.push(relaying);
        }
        if let [nginx, ours] = added.as_slice() {
            println!("relaying, turepe / nginx-rtmp: {:.2}", ours / nginx);
        }
    }
    Ok(())
}

type Measure = fn(&Arguments, &Path, usize, Option<&Target>) -> Result<Figures>;

/// The server that everything is relayed to; what it spends is nobody's.
struct Target {
    rtmp: u16,
    http: u16,
    _server: Watched,
    _folder: tempfile::TempDir,
}

impl Target {
    fn start() -> Result<Self> {
        let (rtmp, http) = (free_port(), free_port());
        let statistics = format!(
            "http {{ access_log off; server {{ listen 127.0.0.1:{http}; location / {{ rtmp_stat all; }} }} }}"
        );
        let (server, folder) = start_nginx(rtmp, "", &statistics)?;
        wait_for_port(http)?;
        Ok(Self { rtmp, http, _server: server, _folder: folder })
    }

    fn received_bytes(&self) -> Result<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let count = text.split("<bytes_in>").nth(1).and_then(|rest| rest.split('<').next());
        count.and_then(|count| count.parse().ok()).context("the target's count of bytes")
    }
}

fn start_nginx(rtmp: u16, directives: &str, more: &str) -> Result<(Watched, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let configuration = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
{more}
rtmp {{ server {{ listen 127.0.0.1:{rtmp}; chunk_size 65536; application live {{ live on; {directives} }} }} }}\n",
        folder = folder.path().display(),
    );
    let file = folder.path().join("nginx.conf");
    std::fs::File::options().create_new(true).write(true).open(&file)?.write_all(configuration.as_bytes())?;
    let server =
        Watched::start(Command::new("/usr/sbin/nginx").arg("-c").arg(&file).arg("-p").arg(folder.path()))?;
    wait_for_port(rtmp)?;
    Ok((server, folder))
}

/// Lets the publishers run and reads what the server used meanwhile.
fn measure(
    arguments: &Arguments,
    clip: &Path,
    server: &Watched,
    url: &str,
    keys: &[String],
    target: Option<&Target>,
) -> Result<Figures> {
    let mut file = tempfile::NamedTempFile::new()?;
    writeln!(file, "{}", keys.join("\n"))?;
    let publisher = Watched::start(
        Command::new(turepe()?)
            .arg("publish")
            .arg(clip)
            .args([url, "--loop", "--streams", &keys.len().to_string(), "--keys-from"])
            .arg(file.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    std::thread::sleep(WARM_UP);
    let received = || target.map_or(Ok(0.0), Target::received_bytes);
    let (before, received_before, start) = (server.usage()?, received()?, Instant::now());
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    let (after, elapsed) = (server.usage()?, start.elapsed());
    let received = received()? - received_before;
    publisher.end("-INT")?;
    let stream_seconds = keys.len() as f64 * elapsed.as_secs_f64();
    Ok(Figures {
        cpu_us_per_stream_second: (after.own_s - before.own_s) * 1e6 / stream_seconds,
        relayed_share: received / (stream_seconds * STREAM_BYTES_PER_S),
        peak_mb: after.peak_mb,
    })
}

fn ours(arguments: &Arguments, clip: &Path, publishers: usize, target: Option<&Target>) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let (http, rtmp) = (free_port(), free_port());
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log"))?;
    let targets = target.map_or(String::new(), |target| format!("rtmp://127.0.0.1:{}/live", target.rtmp));
    let server = Watched::start(
        Command::new(turepe()?)
            .args(["serve", "--data"])
            .arg(folder.path().join("data"))
            .env("TUREPE_HTTP_LISTEN", format!("127.0.0.1:{http}"))
            .env("TUREPE_RTMP_LISTEN", format!("127.0.0.1:{rtmp}"))
            .env("TUREPE_SRS_API_LISTEN", "")
            // As the peer: what recording takes varies by more than relaying costs.
            .env("TUREPE_ARCHIVE_RECORD", "false")
            .env("TUREPE_RELAY_TARGETS", targets)
            .env_remove("TARGET_FORWARD_URL")
            .current_dir(folder.path())
            .stdout(log.try_clone()?)
            .stderr(log),
    )?;
    wait_for_port(http)?;
    let admin = |words: &str| -> Result<serde_json::Value> {
        let output = Command::new(turepe()?)
            .arg("admin")
            .args(words.split(' '))
            .args(["--json", "--data"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()?;
        ensure!(output.status.success(), "admin {words}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("admin prints JSON")
    };
    admin("club add --slug b --name b --zone UTC --open 00:00-24:00 --appointment-duration 90")?;
    admin("court add --club b --slug c --name c")?;
    let mut keys = Vec::new();
    for _ in 0..publishers {
        let channel = admin("channel add --club b --court c --push")?;
        keys.push(channel["streamKey"].as_str().context("streamKey")?.to_owned());
    }
    let figures =
        measure(arguments, clip, &server, &format!("rtmp://127.0.0.1:{rtmp}/live/"), &keys, target)?;
    server.end("-INT")?;
    Ok(figures)
}

fn nginx(arguments: &Arguments, clip: &Path, publishers: usize, target: Option<&Target>) -> Result<Figures> {
    let rtmp = free_port();
    let push = target.map_or(String::new(), |target| format!("push rtmp://127.0.0.1:{}/live;", target.rtmp));
    let (server, _folder) = start_nginx(rtmp, &push, "")?;
    let keys: Vec<String> = (0..publishers).map(|number| format!("s{number}")).collect();
    let figures =
        measure(arguments, clip, &server, &format!("rtmp://127.0.0.1:{rtmp}/live/"), &keys, target)?;
    server.end("-TERM")?;
    Ok(figures)
}
