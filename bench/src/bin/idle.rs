//! Connections that say who they are and then nothing: memory and CPU of each, `turepe serve` (RTMP and RTMPS) against nginx-rtmp.
//!
//! `cargo xtask bench idle [--connections 2000] [--seconds 20]`

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use clap::Parser;
use databases::free_port;
use media::amf0::Value;
use media::rtmp::chunk::ChunkWriter;
use media::rtmp::{MessageHeader, Transmit, message_type};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testing::certificates::Authority;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use turepe_bench::{Watched, turepe, wait_for_port};

#[derive(Parser)]
struct Arguments {
    /// Connections at once
    #[arg(long, default_value_t = 2000)]
    connections: usize,
    /// Measured seconds; at most 120, as nobody may be silent for ever
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
}

/// The servers settle before they are measured.
const SETTLE: Duration = Duration::from_secs(2);

/// Connections that are opened at once.
const TOGETHER: usize = 50;

/// What a connection may take until it is silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors that a server needs beside its connections.
const FILES_BESIDE: usize = 1024;

struct Figures {
    kb_per_connection: f64,
    cpu_ms_per_second: f64,
    alive: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    println!(
        "{} connections that have finished the handshake and `connect`, then {} s of silence",
        arguments.connections, arguments.seconds
    );
    println!("{:<20} {:>18} {:>22} {:>12}", "server", "kB a connection", "CPU ms per second", "still there");
    for (name, run) in [
        ("nginx-rtmp, RTMP", nginx as fn(&Arguments) -> Result<Figures>),
        ("turepe, RTMP", |arguments| ours(arguments, false)),
        ("turepe, RTMPS", |arguments| ours(arguments, true)),
    ] {
        let figures = run(&arguments).with_context(|| name.to_owned())?;
        println!(
            "{name:<20} {:>18.1} {:>22.2} {:>12}",
            figures.kb_per_connection, figures.cpu_ms_per_second, figures.alive
        );
    }
    Ok(())
}

fn measure(
    arguments: &Arguments,
    server: &Watched,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Figures> {
    std::thread::sleep(SETTLE);
    let before_mb = server.usage()?.resident_mb;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut silent = runtime.block_on(async {
        let mut silent = Vec::new();
        while silent.len() < arguments.connections {
            let count = TOGETHER.min(arguments.connections - silent.len());
            let opening: Vec<_> = (0..count).map(|_| tokio::spawn(open(port, tls.clone()))).collect();
            for one in opening {
                let opened = tokio::time::timeout(PATIENCE, one).await.context("too slow")?;
                silent.push(opened??);
            }
        }
        anyhow::Ok(silent)
    })?;
    std::thread::sleep(SETTLE);
    let resident_mb = server.usage()?.resident_mb;
    let (cpu_s, start) = (server.usage()?.cpu_s, Instant::now());
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    let cpu_ms = (server.usage()?.cpu_s - cpu_s) * 1e3;
    let elapsed = start.elapsed().as_secs_f64();
    // Whoever was sent away finds the end of its input.
    let alive = runtime.block_on(async {
        let mut alive = 0;
        let mut buffer = [0; 4096];
        for stream in &mut silent {
            // Words that nobody has read yet come first.
            let is_alive = loop {
                match tokio::time::timeout(Duration::from_millis(1), stream.read(&mut buffer)).await {
                    Err(_) => break true,
                    Ok(Ok(count)) if count > 0 => {}
                    Ok(_) => break false,
                }
            };
            alive += usize::from(is_alive);
        }
        alive
    });
    ensure!(alive * 100 >= arguments.connections * 99, "only {alive} of them are still there");
    Ok(Figures {
        kb_per_connection: (resident_mb - before_mb) * 1024.0 / arguments.connections as f64,
        cpu_ms_per_second: cpu_ms / elapsed,
        alive,
    })
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Handshake and `connect`, and all that is said to that.
async fn open(port: u16, tls: Option<Arc<ClientConfig>>) -> Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(tls) => {
            let name = ServerName::try_from("localhost")?;
            Box::new(TlsConnector::from(tls).connect(name, stream).await?)
        }
    };
    let mut hello = vec![3];
    hello.resize(1 + 1536, 0);
    stream.write_all(&hello).await?;
    let mut answer = vec![0; 1 + 2 * 1536];
    stream.read_exact(&mut answer).await?;
    stream.write_all(answer.get(1..1 + 1536).unwrap_or_default()).await?;
    let mut out = Transmit::default();
    let object =
        Value::object([("app", Value::string("live")), ("tcUrl", Value::string("rtmp://localhost/live"))]);
    let mut body = BytesMut::new();
    [Value::string("connect"), Value::Number(1.0), object].iter().for_each(|value| value.encode(&mut body));
    let type_id = message_type::COMMAND;
    let header = MessageHeader { chunk_stream_id: 3, timestamp_ms: 0, type_id, stream_id: 0 };
    ChunkWriter::new().write(&header, &[], body.freeze(), &mut out);
    while let Some(piece) = out.pop() {
        stream.write_all(&piece).await?;
    }
    stream.flush().await?;
    let mut said = Vec::new();
    while !said.windows(b"NetConnection.Connect.Success".len()).any(|w| w == b"NetConnection.Connect.Success")
    {
        ensure!(stream.read_buf(&mut said).await? > 0, "the server closed");
    }
    Ok(stream)
}

fn ours(arguments: &Arguments, is_tls: bool) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new();
    let issued = authority.issue();
    let (certificate, key) = (folder.path().join("full.pem"), folder.path().join("key.pem"));
    write(&certificate, &issued.certificate)?;
    write(&key, &issued.key)?;
    let (http, rtmp, rtmps) = (free_port(), free_port(), free_port());
    let places = (arguments.connections + FILES_BESIDE).to_string();
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log"))?;
    let server = Watched::start(
        Command::new(turepe()?)
            .args(["serve", "--data"])
            .arg(folder.path().join("data"))
            .env("TUREPE_HTTP_LISTEN", format!("127.0.0.1:{http}"))
            .env("TUREPE_SRS_API_LISTEN", "")
            .env("TUREPE_RTMP_LISTEN", format!("127.0.0.1:{rtmp}"))
            .env("TUREPE_RTMP_TLS_LISTEN", format!("127.0.0.1:{rtmps}"))
            .env("TUREPE_TLS_CERTIFICATE", &certificate)
            .env("TUREPE_TLS_KEY", &key)
            .env("TUREPE_RTMP_MAX_WAITING", &places)
            .env("TUREPE_RTMP_MAX_WAITING_PER_ADDRESS", &places)
            // The longest that may be set: a node in use sends them away after ten seconds.
            .env("TUREPE_RTMP_ESTABLISH_TIMEOUT", "5m")
            .current_dir(folder.path())
            .stdout(log.try_clone()?)
            .stderr(log),
    )?;
    wait_for_port(http)?;
    let (port, tls) = if is_tls { (rtmps, Some(authority.client())) } else { (rtmp, None) };
    let figures = measure(arguments, &server, port, tls)?;
    server.end("-INT")?;
    Ok(figures)
}

fn nginx(arguments: &Arguments) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let rtmp = free_port();
    let places = arguments.connections + FILES_BESIDE;
    let configuration = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
worker_rlimit_nofile {places};
events {{ worker_connections {places}; }}
rtmp {{ server {{ listen 127.0.0.1:{rtmp}; ping 10m; chunk_size 65536; application live {{ live on; }} }} }}\n",
        folder = folder.path().display(),
    );
    let file = folder.path().join("nginx.conf");
    write(&file, &configuration)?;
    let server =
        Watched::start(Command::new("/usr/sbin/nginx").arg("-c").arg(&file).arg("-p").arg(folder.path()))?;
    wait_for_port(rtmp)?;
    let figures = measure(arguments, &server, rtmp, None)?;
    server.end("-TERM")?;
    Ok(figures)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::File::options().create_new(true).write(true).open(path)?.write_all(text.as_bytes())?;
    Ok(())
}
