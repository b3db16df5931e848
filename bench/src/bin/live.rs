//! Many players of one stream: CPU per player-second, `turepe serve` over RTMP and HTTP-FLV, against nginx-rtmp over RTMP.
//!
//! `cargo xtask bench live [--players 100,300,1000] [--seconds 15]`

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use clap::Parser;
use databases::free_port;
use media::amf0::Value;
use media::rtmp::chunk::ChunkWriter;
use media::rtmp::{MessageHeader, Transmit, message_type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use turepe_bench::{Watched, match_clip, turepe, wait_for_port};

#[derive(Parser)]
struct Arguments {
    /// Players of one stream, one measurement for each number
    #[arg(long, value_delimiter = ',', default_values_t = [100, 300, 1000])]
    players: Vec<usize>,
    /// Measured seconds each
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

/// The publisher's first keyframes, and the burst that every player begins with.
const WARM_UP: Duration = Duration::from_secs(5);

/// Bytes that a player reads at a time.
const READ_BYTES: usize = 64 * 1024;

/// How a player watches.
#[derive(Clone, Copy)]
enum Way {
    Rtmp,
    Flv,
}

struct Figures {
    cpu_us_per_player_second: f64,
    /// What the publisher alone costs, taken off already.
    received_share: f64,
    peak_mb: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clip = match_clip(&std::env::temp_dir())?;
    println!("one stream of 4 Mbit/s, {} s each; the publisher's own cost is taken off", arguments.seconds);
    println!(
        "{:<22} {:>8} {:>28} {:>10} {:>10}",
        "server", "players", "CPU µs per player-second", "received", "peak MB"
    );
    for &players in &arguments.players {
        for (name, is_ours, way) in [
            ("nginx-rtmp, RTMP", false, Way::Rtmp),
            ("turepe, RTMP", true, Way::Rtmp),
            ("turepe, HTTP-FLV", true, Way::Flv),
        ] {
            let figures = if is_ours {
                ours(&arguments, &clip, players, way)?
            } else {
                nginx(&arguments, &clip, players)?
            };
            println!(
                "{name:<22} {players:>8} {:>28.0} {:>9.0}% {:>10.1}",
                figures.cpu_us_per_player_second,
                figures.received_share * 100.0,
                figures.peak_mb
            );
        }
    }
    Ok(())
}

/// Where a server takes a publisher and gives it to players.
struct Addresses {
    publish: String,
    key: String,
    port: u16,
    /// Stream name, or path.
    name: String,
    way: Way,
}

fn measure(
    arguments: &Arguments,
    clip: &Path,
    server: &Watched,
    at: &Addresses,
    players: usize,
) -> Result<Figures> {
    let mut keys = tempfile::NamedTempFile::new()?;
    writeln!(keys, "{}", at.key)?;
    let publisher = Watched::start(
        Command::new(turepe()?)
            .arg("publish")
            .arg(clip)
            .args([&at.publish, "--loop", "--streams", "1", "--keys-from"])
            .arg(keys.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    std::thread::sleep(WARM_UP);
    let rest = || -> Result<(f64, f64)> {
        let (before, start) = (server.usage()?.cpu_s, Instant::now());
        std::thread::sleep(Duration::from_secs(arguments.seconds));
        Ok((server.usage()?.cpu_s - before, start.elapsed().as_secs_f64()))
    };
    let (alone_s, alone_elapsed) = rest()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let received = Arc::new(AtomicU64::new(0));
    for _ in 0..players {
        let (port, name, received) = (at.port, at.name.clone(), Arc::clone(&received));
        match at.way {
            Way::Rtmp => drop(runtime.spawn(async move { rtmp_player(port, &name, &received).await })),
            Way::Flv => drop(runtime.spawn(async move { flv_player(port, &name, &received).await })),
        }
    }
    std::thread::sleep(WARM_UP);
    let bytes = received.load(Ordering::Relaxed);
    let (busy_s, elapsed) = rest()?;
    let bytes = received.load(Ordering::Relaxed) - bytes;
    let peak_mb = server.usage()?.peak_mb;
    runtime.shutdown_background();
    publisher.end("-INT")?;
    let player_seconds = players as f64 * elapsed;
    // 4 Mbit/s of picture and 128 kbit/s of sound.
    let received_share = bytes as f64 / (player_seconds * 516_000.0);
    ensure!(received_share > 0.5, "players got {:.0} % of what they should", received_share * 100.0);
    Ok(Figures {
        cpu_us_per_player_second: (busy_s - alone_s / alone_elapsed * elapsed) * 1e6 / player_seconds,
        received_share,
        peak_mb,
    })
}

async fn drain(stream: &mut TcpStream, received: &AtomicU64) -> Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "the server closed");
        received.fetch_add(count as u64, Ordering::Relaxed);
    }
}

async fn flv_player(port: u16, path: &str, received: &AtomicU64) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    drain(&mut stream, received).await
}

/// The least that makes a server play: handshake, `connect`, `createStream`, `play`, all at once.
async fn rtmp_player(port: u16, name: &str, received: &AtomicU64) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut hello = vec![3];
    hello.resize(1 + 1536, 0);
    stream.write_all(&hello).await?;
    let mut answer = vec![0; 1 + 2 * 1536];
    stream.read_exact(&mut answer).await?;
    stream.write_all(answer.get(1..1 + 1536).unwrap_or_default()).await?;
    let mut writer = ChunkWriter::new();
    let mut out = Transmit::default();
    let mut command = |stream_id: u32, values: &[Value]| {
        let mut body = BytesMut::new();
        values.iter().for_each(|value| value.encode(&mut body));
        let header =
            MessageHeader { chunk_stream_id: 3, timestamp_ms: 0, type_id: message_type::COMMAND, stream_id };
        writer.write(&header, &[], body.freeze(), &mut out);
    };
    let object =
        Value::object([("app", Value::string("live")), ("tcUrl", Value::string("rtmp://localhost/live"))]);
    command(0, &[Value::string("connect"), Value::Number(1.0), object]);
    command(0, &[Value::string("createStream"), Value::Number(2.0), Value::Null]);
    command(1, &[Value::string("play"), Value::Number(3.0), Value::Null, Value::string(name)]);
    while let Some(piece) = out.pop() {
        stream.write_all(&piece).await?;
    }
    drain(&mut stream, received).await
}

fn ours(arguments: &Arguments, clip: &Path, players: usize, way: Way) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let (http, rtmp) = (free_port(), free_port());
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log"))?;
    let server = Watched::start(
        Command::new(turepe()?)
            .args(["serve", "--data"])
            .arg(&data)
            .env("TUREPE_HTTP_LISTEN", format!("127.0.0.1:{http}"))
            .env("TUREPE_RTMP_LISTEN", format!("127.0.0.1:{rtmp}"))
            .env("TUREPE_RTMP_MAX_CONNECTIONS_PER_ADDRESS", "2000")
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
            .arg(&data)
            .current_dir(folder.path())
            .output()?;
        ensure!(output.status.success(), "admin {words}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("admin prints JSON")
    };
    admin("club add --slug b --name b --zone UTC --open 00:00-24:00 --appointment-duration 90")?;
    admin("court add --club b --slug c --name c")?;
    let channel = admin("channel add --club b --court c --push")?;
    let text = |key: &str| channel[key].as_str().map(str::to_owned).context("the new channel's fields");
    let id = text("id")?;
    let (port, name) = match way {
        Way::Rtmp => (rtmp, id),
        Way::Flv => (http, format!("/live/{id}.flv")),
    };
    let publish = format!("rtmp://127.0.0.1:{rtmp}/live/");
    let at = Addresses { publish, key: text("streamKey")?, port, name, way };
    let figures = measure(arguments, clip, &server, &at, players)?;
    server.end("-INT")?;
    Ok(figures)
}

fn nginx(arguments: &Arguments, clip: &Path, players: usize) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let rtmp = free_port();
    let configuration = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
rtmp {{ server {{ listen 127.0.0.1:{rtmp}; chunk_size 65536; application live {{ live on; }} }} }}\n",
        folder = folder.path().display(),
    );
    let file = folder.path().join("nginx.conf");
    std::fs::File::options().create_new(true).write(true).open(&file)?.write_all(configuration.as_bytes())?;
    let server =
        Watched::start(Command::new("/usr/sbin/nginx").arg("-c").arg(&file).arg("-p").arg(folder.path()))?;
    wait_for_port(rtmp)?;
    let publish = format!("rtmp://127.0.0.1:{rtmp}/live/");
    let at = Addresses { publish, key: "s".to_owned(), port: rtmp, name: "s".to_owned(), way: Way::Rtmp };
    let figures = measure(arguments, clip, &server, &at, players)?;
    server.end("-TERM")?;
    Ok(figures)
}
