//! How long SRS waits for the answer to `on_publish`: many publishes a second, each on a connection of its own as SRS makes them.
//!
//! `cargo xtask bench hooks [--per-second 500] [--seconds 20] [--channels 500]`

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalog::{Catalog, NewChannel, Source};
use clap::Parser;
use databases::free_port;
use turepe_bench::{Watched, percentile, turepe, wait_for_port};

#[derive(Parser)]
struct Arguments {
    /// Publishes a second
    #[arg(long, default_value_t = 500)]
    per_second: u32,
    /// How long
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Channels, each with its key
    #[arg(long, default_value_t = 500)]
    channels: usize,
}

/// Threads that call: enough that none waits for another's answer.
const CALLERS: u32 = 16;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keys = runtime.block_on(async {
        let catalog = Catalog::open(&format!("sqlite:{}", data.join("turepe.db").display())).await?;
        let mut keys = Vec::new();
        for number in 0..arguments.channels {
            let new = NewChannel { court_id: None, name: format!("Court {number}"), source: Source::Push };
            keys.push(catalog.create_channel(new).await?.1.context("a key")?);
        }
        catalog.close().await?;
        Ok::<_, anyhow::Error>(keys)
    })?;
    let (http, rtmp) = (free_port(), free_port());
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log"))?;
    let server = Watched::start(
        Command::new(turepe()?)
            .args(["serve", "--data"])
            .arg(&data)
            .env("TUREPE_HTTP_LISTEN", format!("127.0.0.1:{http}"))
            .env("TUREPE_RTMP_LISTEN", format!("127.0.0.1:{rtmp}"))
            .env("TUREPE_SRS_API_LISTEN", "")
            .env("TUREPE_SRS_TRUSTED", "127.0.0.1/32")
            .current_dir(folder.path())
            .stdout(log.try_clone()?)
            .stderr(log),
    )?;
    wait_for_port(http)?;

    let calls = arguments.per_second * arguments.seconds;
    let step = Duration::from_secs(1) / arguments.per_second;
    let before = server.usage()?;
    let start = Instant::now();
    let mut waits_ms: Vec<f64> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let keys = &keys;
                scope.spawn(move || {
                    let mut waits_ms = Vec::new();
                    for number in (caller..calls).step_by(CALLERS as usize) {
                        let due = start + step * number;
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        let key = keys.get(number as usize % keys.len()).context("a key")?;
                        publish(http, number, key)?;
                        // From when it was due, so that a slow answer delays no later call unnoticed.
                        waits_ms.push(due.elapsed().as_secs_f64() * 1e3);
                    }
                    Ok::<_, anyhow::Error>(waits_ms)
                })
            })
            .collect();
        let mut all = Vec::new();
        for caller in callers {
            let waits = caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?;
            all.extend(waits?);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    let took_s = start.elapsed().as_secs_f64();
    let after = server.usage()?;
    waits_ms.sort_by(f64::total_cmp);
    println!(
        "{calls} on_publish in {took_s:.1} s ({:.0} a second), {} keys: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms; {:.0} µs of CPU a call",
        f64::from(calls) / took_s,
        keys.len(),
        percentile(&waits_ms, 0.5),
        percentile(&waits_ms, 0.99),
        waits_ms.last().copied().unwrap_or_default(),
        (after.cpu_s - before.cpu_s) * 1e6 / f64::from(calls),
    );
    Ok(())
}

/// One callback as SRS 6 makes it.
fn publish(port: u16, client: u32, key: &str) -> Result<()> {
    let body = format!(
        r#"{{"server_id":"vid-bench01","service_id":"1k2j3","action":"on_publish","client_id":"c{client:06}","ip":"10.0.0.1","vhost":"__defaultVhost__","app":"live","tcUrl":"rtmp://h/live","stream":"{key}","param":"","stream_url":"/live/{key}","stream_id":"vid-124q9y3"}}"#
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "POST /srs/hooks HTTP/1.1\r\nConnection: Close\r\nContent-Length: {}\r\nContent-Type: application/json\r\nHost: 127.0.0.1\r\nUser-Agent: SRS/6.0.157(Hang)\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.ends_with(b"\r\n\r\n{\"code\":0}"), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}
