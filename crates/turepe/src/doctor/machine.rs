//! The machine: folder, disk, clock, limits.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use world::{Clock as _, Disk as _, SystemClock, SystemDisk};

use super::{Finding, Patient};
use crate::progress::megabytes;

/// Rounds in which the disk's speed is measured, and bytes of each: what a court of 4 Mbit/s records in half a second.
const SYNC_ROUNDS: usize = 16;
const SYNC_BYTES: usize = 256 * 1024;

/// A sync that takes longer holds up others that are due.
const SLOW_SYNC: Duration = Duration::from_millis(200);

/// Files that are open beside connections: segments, the catalog, covers.
const FILES_BESIDE: u64 = 1024;

/// Connections that wait to be accepted, as the HTTP listener asks for.
const WANTED_BACKLOG: u64 = 1024;

/// 2026-01-01T00:00:00Z: this program is younger than that.
const EARLIEST_US: i64 = 1_767_225_600_000_000;

/// The data folder, or the nearest one above it that there is.
fn there(data: &Path) -> PathBuf {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let found = absolute.ancestors().find(|folder| SystemDisk.exists(folder));
    found.unwrap_or(Path::new("/")).to_owned()
}

pub(super) async fn data(patient: &Patient<'_>) -> Vec<Finding> {
    let data = &patient.config.node.data;
    let shown = data.display();
    if !SystemDisk.exists(data) {
        return vec![Finding::good(format!("{shown} is made at the first start"))];
    }
    vec![match probe(data, 1) {
        Ok(_) => Finding::good(format!("{shown} can be written to")),
        Err(error) => Finding::bad(
            format!("{shown} cannot be written to: {error}"),
            format!("sudo chown -R \"$(id -un)\" {shown}   (or name another folder: --data, `node.data`)"),
        ),
    }]
}

pub(super) async fn space(patient: &Patient<'_>) -> Vec<Finding> {
    let data = &patient.config.node.data;
    let min_free = patient.config.retention.config().min_free_bytes;
    let mut folders = vec![data];
    if patient.config.store.folder.starts_with(data) {
        // The same disk in all likelihood: told once.
    } else {
        folders.push(&patient.config.store.folder);
    }
    let look = |folder: &PathBuf| {
        let free = match SystemDisk.free_bytes(&there(folder)) {
            Ok(free) => free,
            Err(error) => {
                let says = format!("the free space of {} cannot be told: {error}", folder.display());
                return Finding::warning(says, format!("df -h {}", folder.display()));
            }
        };
        let says = format!("{} free for {}", megabytes(free), folder.display());
        let floor = megabytes(min_free);
        let fix = "free some, or choose another disk: `node.data`, `store.url`, `retention.min_free`";
        if free < min_free {
            let says = format!("{says}: below `retention.min_free`, {floor}: the oldest footage is given up");
            Finding::bad(says, fix)
        } else if free < min_free.saturating_mul(2) {
            Finding::warning(format!("{says}: soon below `retention.min_free`, {floor}"), fix)
        } else {
            Finding::good(says)
        }
    };
    folders.into_iter().map(look).collect()
}

pub(super) async fn speed(patient: &Patient<'_>) -> Vec<Finding> {
    let folder = there(&patient.config.node.data);
    let measured = tokio::task::spawn_blocking(move || probe(&folder, SYNC_ROUNDS)).await;
    let times = match measured.map_err(io::Error::other).flatten() {
        Ok(times) => times,
        // Said by `data` where it matters.
        Err(error) => {
            return vec![Finding::warning(format!("its speed was not measured: {error}"), "see above")];
        }
    };
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    let says = format!(
        "{} kB are on the disk after {:.1} ms (median of {}; the longest took {:.1} ms)",
        SYNC_BYTES / 1024,
        median.as_secs_f64() * 1e3,
        times.len(),
        longest.as_secs_f64() * 1e3
    );
    let interval = patient.config.archive.sync.duration();
    let fix = "use a disk of this machine, not a network's; or a longer `archive.sync`";
    vec![if median >= interval {
        Finding::bad(format!("{says}: longer than `archive.sync`, recording cannot keep up"), fix)
    } else if median >= SLOW_SYNC {
        Finding::warning(format!("{says}: slow"), fix)
    } else {
        Finding::good(says)
    }]
}

pub(super) async fn clock(_: &Patient<'_>) -> Vec<Finding> {
    let now_us = SystemClock.now_us();
    let now = crate::admin::instant(now_us);
    vec![if now_us < EARLIEST_US {
        Finding::bad(
            format!("it is not {now}: matches would be filed under that"),
            "timedatectl set-ntp true",
        )
    } else {
        Finding::good(format!("it is {now}"))
    }]
}

pub(super) async fn open_files(patient: &Patient<'_>) -> Vec<Finding> {
    let limit = getrlimit(Resource::Nofile).maximum;
    let wanted = u64::from(patient.config.rtmp.max_connections) + FILES_BESIDE;
    vec![match limit {
        Some(limit) if limit < wanted => Finding::warning(
            format!("{limit} files may be open; {wanted} may be needed with `rtmp.max_connections`"),
            "LimitNOFILE=1048576 in the [Service] of the unit; in a shell, ulimit -Hn 1048576 as root",
        ),
        Some(limit) => Finding::good(format!("{limit} files may be open (`serve` raises its limit to that)")),
        None => Finding::good("any number of files may be open"),
    }]
}

pub(super) async fn backlog(_: &Patient<'_>) -> Vec<Finding> {
    let path = Path::new("/proc/sys/net/core/somaxconn");
    let mut text = [0; 20];
    let read = SystemDisk.open(path).and_then(|file| file.read_at(&mut text, 0));
    let text = read.ok().and_then(|read| std::str::from_utf8(text.get(..read)?).ok());
    let Some(limit) = text.and_then(|text| text.trim().parse::<u64>().ok()) else {
        return Vec::new();
    };
    vec![if limit < WANTED_BACKLOG {
        Finding::warning(
            format!("{limit} connections may wait to be accepted; when all come at once, more do"),
            "sudo sysctl -w net.core.somaxconn=4096",
        )
    } else {
        Finding::good(format!("{limit} connections may wait to be accepted"))
    }]
}

/// Writes and syncs some bytes and removes them again; how long each round took, the shortest first.
fn probe(folder: &Path, rounds: usize) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!(".turepe-doctor-{}", uuid::Uuid::now_v7()));
    let file = SystemDisk.create_new(&path)?;
    let bytes = vec![0xA5; SYNC_BYTES];
    let measured: io::Result<Vec<Duration>> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            file.append_vectored(&[IoSlice::new(&bytes)])?;
            file.sync_data()?;
            Ok(start.elapsed())
        })
        .collect();
    drop(file);
    let removed = SystemDisk.remove(&path);
    let mut times = measured?;
    removed?;
    times.sort();
    Ok(times)
}
