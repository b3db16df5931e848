//! How long after a channel's first frame its row has changed, on each kind of directory, on this machine.
//!
//! `cargo bench -p turepe-directory --bench publish_to_row`: a hundred publishes one after the other, each to a channel of
//! its own, while fifty others stay live.

#![expect(clippy::unwrap_used, reason = "a measurement stops at what it did not expect")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::{Outside, Running, id};

const PUBLISHES: u128 = 100;
const BYSTANDERS: u128 = 50;

#[tokio::main]
async fn main() {
    measure("supabase (stand-in)", Outside::supabase().await).await;
    measure("postgres", Outside::postgres().await).await;
    measure("mysql (MariaDB)", Outside::mysql().await).await;
}

async fn measure(kind: &str, outside: Outside) {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..BYSTANDERS + PUBLISHES {
        outside.insert(id(n), &format!("key {n}"), false).await;
    }
    let running = Running::start(outside.config(folder.path().join("directory.json")));
    for n in 0..BYSTANDERS {
        running.publish(id(n));
    }
    let live = "SELECT count(*) FROM channels_channel WHERE is_on_live = true";
    while outside.number(live).await < i64::try_from(BYSTANDERS).unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut times = Vec::new();
    for n in BYSTANDERS..BYSTANDERS + PUBLISHES {
        // Not in step with anything.
        tokio::time::sleep(Duration::from_millis(20 + u64::try_from(n * 37 % 100).unwrap())).await;
        let start = Instant::now();
        running.publish(id(n));
        while !outside.row(id(n)).await.is_on_live {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(start.elapsed());
    }
    running.stop().await;
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!("{kind:>20}: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms", at(50), at(99), at(100));
}
