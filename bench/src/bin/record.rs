//! Recording many publishers: CPU per stream-second and memory, `turepe serve` against nginx-rtmp.
//!
//! `cargo xtask bench record [--publishers 50,100,200] [--peer ingest,record,hls] [--seconds 30] [--rounds 3]`
//!
//! `turepe` always does its whole job: ingest, recording synced every second, live window and index; what the processes use
//! that make its covers stands apart (`cargo xtask bench covers`). `turepe live` is the same without recording
//! (`[archive] record = false`): ingest, live window, covers. Its peer takes the streams and does nothing with them (`ingest`), records them (`record`), or makes HLS of them (`hls`, segments of 2 s).
//!
//! With `--bucket` a third server in turn: `turepe serve` that brings all of it into a bucket while it records. The S3 service
//! runs in this process, so that its work is not counted; it still takes its share of the machine.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use databases::free_port;
use testing::s3::{BUCKET, KEY_ID, SECRET_KEY, TestS3};
use turepe_bench::{Usage, Watched, match_clip, median, turepe, wait_for_port};

#[derive(Parser)]
struct Arguments {
    /// Publishers of 4 Mbit/s at a time, one measurement for each number
    #[arg(long, value_delimiter = ',', default_values_t = [50])]
    publishers: Vec<usize>,
    /// What nginx-rtmp does with them, one after the other
    #[arg(long, value_delimiter = ',', default_values_t = [Job::Record])]
    peer: Vec<Job>,
    /// Measured seconds of each round
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Rounds of each server, in turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measures recording with upload as well
    #[arg(long)]
    bucket: bool,
}

/// What nginx-rtmp does.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Job {
    Ingest,
    Record,
    Hls,
}

impl Job {
    /// Its name in the table.
    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "nginx ingest",
            Self::Record => "nginx record",
            Self::Hls => "nginx HLS",
        }
    }

    /// What its application says beside `live on`.
    fn directives(self, folder: &Path) -> String {
        let folder = folder.display();
        match self {
            Self::Ingest => String::new(),
            Self::Record => format!("record all; record_path {folder}; record_unique on;"),
            Self::Hls => {
                format!(
                    "hls on; hls_path {folder}; hls_fragment 2s; hls_playlist_length 3600s; hls_nested on;"
                )
            }
        }
    }
}

impl std::fmt::Display for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Ingest => "ingest",
            Self::Record => "record",
            Self::Hls => "hls",
        })
    }
}

/// What is measured, by the names of the table.
const RECORD: &str = "turepe";
const LIVE: &str = "turepe live";
const UPLOAD: &str = "turepe + S3";

/// Connections, first keyframes and caches have settled by then, and the live window is full.
const WARM_UP: Duration = Duration::from_secs(22);

/// The second part of a segment goes up when two are durable.
const UPLOAD_WARM_UP: Duration = Duration::from_secs(28);

struct Figures {
    cpu_us_per_stream_second: f64,
    covers_us_per_stream_second: f64,
    memory: Usage,
    written_mb: f64,
    uploaded_mb: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clip = match_clip(&std::env::temp_dir())?;
    for &publishers in &arguments.publishers {
        compare(&Run { publishers, seconds: arguments.seconds }, &arguments, &clip)?;
    }
    Ok(())
}

/// One number of publishers.
struct Run {
    publishers: usize,
    seconds: u64,
}

/// Measures all servers in turn and prints their table.
fn compare(run: &Run, arguments: &Arguments, clip: &Path) -> Result<()> {
    let mut rows: Vec<(&str, Figures)> = Vec::new();
    for round in 1..=arguments.rounds {
        for &job in &arguments.peer {
            eprintln!("round {round} of {}: {}", arguments.rounds, job.name());
            rows.push((job.name(), nginx(run, clip, job)?));
        }
        eprintln!("round {round} of {}: {RECORD}", arguments.rounds);
        rows.push((RECORD, ours(run, clip, Storing::Disk)?));
        eprintln!("round {round} of {}: {LIVE}", arguments.rounds);
        rows.push((LIVE, ours(run, clip, Storing::Nowhere)?));
        if arguments.bucket {
            eprintln!("round {round} of {}: {UPLOAD}", arguments.rounds);
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let service = runtime.block_on(TestS3::start());
            rows.push((UPLOAD, ours(run, clip, Storing::Bucket(&service))?));
        }
    }
    println!(
        "{} publishers of 4 Mbit/s, {} s a round, {} rounds",
        run.publishers, run.seconds, arguments.rounds
    );
    println!(
        "{:<12} {:>28} {:>14} {:>12} {:>20} {:>12}",
        "server", "CPU µs per stream-second", "covers beside", "peak MB", "peak MB per stream", "written MB"
    );
    let middle = |name: &str, figure: fn(&Figures) -> f64| {
        median(rows.iter().filter(|row| row.0 == name).map(|row| figure(&row.1)).collect())
    };
    let peers = arguments.peer.iter().map(|job| job.name());
    for name in peers.clone().chain([RECORD, LIVE]).chain(arguments.bucket.then_some(UPLOAD)) {
        let peak = middle(name, |f| f.memory.peak_mb);
        println!(
            "{name:<12} {:>28.0} {:>14.0} {peak:>12.1} {:>20.2} {:>12.0}",
            middle(name, |f| f.cpu_us_per_stream_second),
            middle(name, |f| f.covers_us_per_stream_second),
            peak / run.publishers as f64,
            middle(name, |f| f.written_mb),
        );
    }
    let cpu = |name| middle(name, |f: &Figures| f.cpu_us_per_stream_second);
    for peer in peers {
        for ours in [RECORD, LIVE] {
            println!("CPU, {ours} / {peer}: {:.2}", cpu(ours) / cpu(peer));
        }
    }
    if arguments.bucket {
        println!("CPU, {UPLOAD} / {RECORD}: {:.2}", cpu(UPLOAD) / cpu(RECORD));
        println!("uploaded meanwhile: {:.0} MB", middle(UPLOAD, |f| f.uploaded_mb));
    }
    Ok(())
}

/// Lets the publishers run and reads what the server used meanwhile.
fn measure(
    run: &Run,
    clip: &Path,
    server: &Watched,
    url: &str,
    keys: &[String],
    recordings: Option<&Path>,
    service: Option<&TestS3>,
) -> Result<Figures> {
    let written_mb = || recordings.map_or(0.0, |folder| folder_bytes(folder) / 1e6);
    // All parts but the last are of the smallest length.
    let uploaded_mb = || service.map_or(0.0, |service| service.taken_parts().len() as f64 * PART_MB);
    let mut file = tempfile::NamedTempFile::new()?;
    writeln!(file, "{}", keys.join("\n"))?;
    let publisher = Watched::start(
        Command::new(turepe()?)
            .arg("publish")
            .arg(clip)
            .args([url, "--loop", "--streams", &run.publishers.to_string(), "--keys-from"])
            .arg(file.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    std::thread::sleep(if service.is_some() { UPLOAD_WARM_UP } else { WARM_UP });
    let (before, start) = (server.usage()?, std::time::Instant::now());
    let (written_before, uploaded_before) = (written_mb(), uploaded_mb());
    std::thread::sleep(Duration::from_secs(run.seconds));
    let (after, elapsed) = (server.usage()?, start.elapsed());
    let written_mb = written_mb() - written_before;
    let uploaded_mb = uploaded_mb() - uploaded_before;
    publisher.end("-INT")?;
    let expected_mb = run.publishers as f64 * elapsed.as_secs_f64() * 0.5;
    ensure!(
        recordings.is_none() || written_mb > 0.8 * expected_mb,
        "only {written_mb:.0} MB of {expected_mb:.0} MB were recorded"
    );
    if service.is_some() {
        ensure!(
            uploaded_mb > 0.5 * expected_mb,
            "only {uploaded_mb:.0} MB of {expected_mb:.0} MB were uploaded"
        );
    }
    let covers_s = |usage: Usage| usage.cpu_s - usage.own_s;
    let stream_seconds = run.publishers as f64 * elapsed.as_secs_f64();
    Ok(Figures {
        cpu_us_per_stream_second: (after.own_s - before.own_s) * 1e6 / stream_seconds,
        covers_us_per_stream_second: (covers_s(after) - covers_s(before)) * 1e6 / stream_seconds,
        memory: after,
        written_mb,
        uploaded_mb,
    })
}

/// Length of an uploaded part, in MB.
const PART_MB: f64 = 5.0 * 1.048_576;

/// Where a node uploads to, as its settings.
fn bucket_settings(service: Option<&TestS3>) -> Vec<(&'static str, String)> {
    let Some(service) = service else { return Vec::new() };
    let url = format!("s3://{BUCKET}/bench?endpoint=http://{}&region=us-east-005", service.address);
    vec![
        ("TUREPE_STORE_URL", url),
        ("TUREPE_STORE_KEY_ID", KEY_ID.into()),
        ("TUREPE_STORE_SECRET_KEY", SECRET_KEY.into()),
        // The smallest there are, one in ten seconds at 4 Mbit/s: what is recorded while it is measured goes up meanwhile.
        ("TUREPE_STORE_PART_SIZE", "5MiB".into()),
    ]
}

/// Where a node puts what it records.
#[derive(Clone, Copy)]
enum Storing<'a> {
    /// It does not record.
    Nowhere,
    Disk,
    Bucket(&'a TestS3),
}

fn ours(run: &Run, clip: &Path, storing: Storing<'_>) -> Result<Figures> {
    let service = match storing {
        Storing::Bucket(service) => Some(service),
        Storing::Disk | Storing::Nowhere => None,
    };
    let is_recorded = !matches!(storing, Storing::Nowhere);
    let folder = tempfile::tempdir()?;
    let (http, rtmp) = (free_port(), free_port());
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log"))?;
    let server = Watched::start(
        Command::new(turepe()?)
            .args(["serve", "--data"])
            .arg(folder.path().join("data"))
            .env("TUREPE_HTTP_LISTEN", format!("127.0.0.1:{http}"))
            .env("TUREPE_RTMP_LISTEN", format!("127.0.0.1:{rtmp}"))
            .env("TUREPE_ARCHIVE_RECORD", is_recorded.to_string())
            .envs(bucket_settings(service))
            .current_dir(folder.path())
            .stdout(log.try_clone()?)
            .stderr(log),
    )?;
    wait_for_port(http)?;
    let admin = |words: &[&str]| -> Result<serde_json::Value> {
        let output = Command::new(turepe()?)
            .arg("admin")
            .args(words)
            .args(["--json", "--data"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()?;
        ensure!(output.status.success(), "admin {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("admin prints JSON")
    };
    admin(&[
        "club",
        "add",
        "--slug",
        "b",
        "--name",
        "b",
        "--zone",
        "UTC",
        "--open",
        "00:00-24:00",
        "--appointment-duration",
        "90",
    ])?;
    let mut keys = Vec::new();
    for number in 0..run.publishers {
        let court = format!("c{number}");
        admin(&["court", "add", "--club", "b", "--slug", &court, "--name", &court])?;
        let channel = admin(&["channel", "add", "--club", "b", "--court", &court, "--push"])?;
        keys.push(channel["streamKey"].as_str().context("streamKey")?.to_owned());
    }
    let figures = measure(
        run,
        clip,
        &server,
        &format!("rtmp://127.0.0.1:{rtmp}/live/"),
        &keys,
        is_recorded.then(|| folder.path().join("data")).as_deref(),
        service,
    )?;
    server.end("-INT")?;
    Ok(figures)
}

fn nginx(run: &Run, clip: &Path, job: Job) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let recordings = folder.path().join("recordings");
    std::fs::create_dir(&recordings)?;
    let rtmp = free_port();
    let configuration = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
rtmp {{ server {{ listen 127.0.0.1:{rtmp}; chunk_size 65536;
  application live {{ live on; {directives} }} }} }}\n",
        folder = folder.path().display(),
        directives = job.directives(&recordings),
    );
    let file = folder.path().join("nginx.conf");
    std::fs::File::options().create_new(true).write(true).open(&file)?.write_all(configuration.as_bytes())?;
    let server =
        Watched::start(Command::new("/usr/sbin/nginx").arg("-c").arg(&file).arg("-p").arg(folder.path()))?;
    wait_for_port(rtmp)?;
    let keys: Vec<String> = (0..run.publishers).map(|number| format!("s{number}")).collect();
    let figures = measure(
        run,
        clip,
        &server,
        &format!("rtmp://127.0.0.1:{rtmp}/live/"),
        &keys,
        (job != Job::Ingest).then_some(recordings.as_path()),
        None,
    )?;
    server.end("-TERM")?;
    Ok(figures)
}

fn folder_bytes(folder: &Path) -> f64 {
    let mut sum = 0.0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        sum += if path.is_dir() {
            folder_bytes(&path)
        } else {
            entry.metadata().map_or(0.0, |m| m.len() as f64)
        };
    }
    sum
}
