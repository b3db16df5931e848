//! The machine: folder, disk, clock, limits.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use world::{Clock as _, Disk as _, SystemClock, SystemDisk};

use super::{Finding, Patient};
use crate::clock_state::is_synchronised;
use crate::config::Config;
use crate::data_folder;
use crate::descriptors::Descriptors;
use crate::progress::megabytes;

/// Rounds in which the disk's speed is measured, and bytes of each: what a court of 4 Mbit/s records in half a second.
const SYNC_ROUNDS: usize = 16;
const SYNC_BYTES: usize = 256 * 1024;

/// A sync that takes longer holds up others that are due.
const SLOW_SYNC: Duration = Duration::from_millis(200);

/// Connections that wait to be accepted, as the HTTP listener asks for.
const WANTED_BACKLOG: u64 = 1024;

/// What is advised where it is less.
const RIGHT_BACKLOG: u64 = 4096;

/// Ports of outgoing connections that a node may have in use or in TIME_WAIT: uploads, playback through the node, databases.
const WANTED_PORTS: u64 = 10_000;

/// 2026-01-01T00:00:00Z: this program is younger than that.
const EARLIEST_US: i64 = 1_767_225_600_000_000;

/// The data folder, or the nearest one above it that there is.
fn there(data: &Path) -> PathBuf {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let found = absolute.ancestors().find(|folder| SystemDisk.exists(folder));
    found.unwrap_or(Path::new("/")).to_owned()
}

/// The folders that a start makes, by the setting that names another.
fn folders(config: &Config) -> Vec<(&'static str, &Path)> {
    let data = config.node.data.as_path();
    fn above(file: &Path) -> Option<&Path> {
        file.parent().filter(|folder| !folder.as_os_str().is_empty())
    }
    let mut folders = vec![("--data, `node.data`", data), ("`store.url`", config.store.folder.as_path())];
    folders.extend(config.covers.shared.as_deref().map(|folder| ("`covers.folder`", folder)));
    folders.extend(above(&config.database.key_file).map(|folder| ("`database.key_file`", folder)));
    folders.extend(
        above(&config.http.operators_token_file).map(|folder| ("`http.operators_token_file`", folder)),
    );
    let mut told: Vec<(&str, &Path)> = Vec::new();
    for (setting, folder) in folders {
        if told.iter().all(|(_, other)| !folder.starts_with(other)) {
            told.push((setting, folder));
        }
    }
    told
}

pub(super) async fn data(patient: &Patient<'_>) -> Vec<Finding> {
    let is_installation = data_folder::is_installation(patient.config);
    let all = folders(patient.config).into_iter();
    let findings = all.map(|(setting, folder)| {
        let is_data = folder == patient.config.node.data;
        writable(setting, folder, !is_data || is_installation)
    });
    findings.collect()
}

/// Whether a start can write to a folder, or make it where it is not there.
fn writable(setting: &str, folder: &Path, is_known: bool) -> Finding {
    let shown = folder.display();
    if SystemDisk.exists(folder) {
        return match probe(folder, 1) {
            Ok(_) if is_known => Finding::good(format!("{shown} can be written to")),
            Ok(_) => Finding::good(format!("{shown} can be written to; there is no installation in it yet")),
            Err(error) => Finding::bad(
                format!("{shown} cannot be written to: {error}"),
                format!("sudo chown -R \"$(id -un)\" {shown}   (or name another folder: {setting})"),
            ),
        };
    }
    // Whether it can be made shows where it would be made.
    let above = there(folder);
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let first = absolute.strip_prefix(&above).ok().and_then(|rest| rest.components().next());
    // A name that is there and leads nowhere: a link.
    let is_in_the_way = first.is_some_and(|first| rustix::fs::lstat(above.join(first)).is_ok());
    let trial = above.join(format!(".turepe-doctor-{}", uuid::Uuid::now_v7()));
    let made = if is_in_the_way {
        Err(io::Error::other("a link that leads nowhere is in the way"))
    } else {
        SystemDisk.create_dir_all(&trial).and_then(|()| SystemDisk.remove_dir(&trial))
    };
    match made {
        Ok(()) => Finding::good(format!("{shown} is made at the first start")),
        Err(error) => Finding::bad(
            format!("{shown} is not there and cannot be made: in {}, {error}", above.display()),
            format!("name another folder: {setting}"),
        ),
    }
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
    vec![judge_clock(now_us, is_synchronised().await)]
}

fn judge_clock(now_us: i64, is_synchronised: Option<bool>) -> Finding {
    const FIX: &str = "sudo timedatectl set-ntp true";
    let now = crate::admin::instant(now_us);
    match is_synchronised {
        _ if now_us < EARLIEST_US => {
            Finding::bad(format!("it is not {now}: matches would be filed under that"), FIX)
        }
        Some(true) => Finding::good(format!("it is {now}, kept by NTP")),
        Some(false) => Finding::warning(
            format!("it is {now}, and nothing keeps it right: matches drift away from the club's clock"),
            FIX,
        ),
        None => Finding::good(format!("it is {now} (nothing here tells whether NTP keeps it)")),
    }
}

pub(super) async fn open_files(patient: &Patient<'_>) -> Vec<Finding> {
    let descriptors = Descriptors::here(patient.config);
    vec![judge_descriptors(descriptors)]
}

fn judge_descriptors(descriptors: Descriptors) -> Finding {
    let Descriptors { limit, recording, viewers } = descriptors;
    let shares = format!("recording may need {recording}, viewers get {viewers} connections of what is left");
    match limit {
        Some(limit) if !descriptors.are_enough() => Finding::warning(
            format!(
                "{limit} files may be open, which is less than the {} of a busy day: {shares}",
                descriptors.wanted()
            ),
            "LimitNOFILE=1048576 in the [Service] of the unit; in a shell, ulimit -Hn 1048576 as root",
        ),
        Some(limit) => {
            Finding::good(format!("{limit} files may be open (`serve` raises its limit to that): {shares}"))
        }
        None => Finding::good(format!("any number of files may be open: {shares}")),
    }
}

pub(super) async fn backlog(_: &Patient<'_>) -> Vec<Finding> {
    let limits = [
        ("net.core.somaxconn", "may wait to be accepted"),
        ("net.ipv4.tcp_max_syn_backlog", "may be half open"),
    ];
    let look = |(name, what): (&str, &str)| {
        let limit = *sysctl(name)?.first()?;
        Some(if limit < WANTED_BACKLOG {
            Finding::warning(
                format!("{limit} connections {what}; when all come at once, more do"),
                format!("sudo sysctl -w {name}={RIGHT_BACKLOG}"),
            )
        } else {
            Finding::good(format!("{limit} connections {what}"))
        })
    };
    limits.into_iter().filter_map(look).collect()
}

pub(super) async fn port_range(patient: &Patient<'_>) -> Vec<Finding> {
    let range = sysctl("net.ipv4.ip_local_port_range");
    let Some((low, high)) = range.and_then(|range| Some((*range.first()?, *range.get(1)?))) else {
        return Vec::new();
    };
    let ports: Vec<_> = patient.config.ports().into_iter().map(|(key, port)| (key, port.port())).collect();
    judge_range(low, high, &ports)
}

/// `ports` are ours, by the name of their setting.
fn judge_range(low: u64, high: u64, ports: &[(&str, u16)]) -> Vec<Finding> {
    let count = (high + 1).saturating_sub(low);
    let says = format!("outgoing connections take ports {low} to {high}");
    let mut found = vec![if count < WANTED_PORTS {
        Finding::warning(
            format!("{says}: {count}, which may run out while uploads fail and begin anew"),
            "sudo sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
        )
    } else {
        Finding::good(says)
    }];
    for (key, port) in ports.iter().filter(|(_, port)| (low..=high).contains(&u64::from(*port))) {
        found.push(Finding::warning(
            format!(
                "`{key}` is among them: when the node starts, an outgoing connection may have port {port}"
            ),
            format!("sudo sysctl -w net.ipv4.ip_local_reserved_ports={port}   (or a port below {low})"),
        ));
    }
    found
}

/// The numbers of a setting of the kernel; `None` where it has none of that name.
fn sysctl(name: &str) -> Option<Vec<u64>> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    let mut text = [0; 64];
    let read = SystemDisk.open(&path).and_then(|file| file.read_at(&mut text, 0)).ok()?;
    let text = std::str::from_utf8(text.get(..read)?).ok()?;
    text.split_whitespace().map(|number| number.parse().ok()).collect()
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

#[cfg(test)]
mod tests {
    use archive::bucket::Verdict;

    use super::*;

    #[test]
    fn too_few_files_are_warned_of_and_the_shares_are_told() {
        for (limit, verdict) in
            [(Some(1024), Verdict::Warning), (Some(65_536), Verdict::Good), (None, Verdict::Good)]
        {
            let finding = judge_descriptors(Descriptors { limit, recording: 7536, viewers: 77 });
            assert_eq!(finding.verdict, verdict, "{limit:?}");
            assert!(finding.says.contains("recording may need 7536, viewers get 77"), "{}", finding.says);
        }
    }

    #[test]
    fn a_clock_that_nothing_keeps_is_warned_of() {
        for (now_us, is_synchronised, verdict) in [
            (EARLIEST_US, Some(true), Verdict::Good),
            (EARLIEST_US, None, Verdict::Good),
            (EARLIEST_US, Some(false), Verdict::Warning),
            (EARLIEST_US - 1, Some(true), Verdict::Bad),
        ] {
            let finding = judge_clock(now_us, is_synchronised);
            assert_eq!(finding.verdict, verdict, "{}", finding.says);
            assert_eq!(finding.fix.is_some(), verdict != Verdict::Good);
        }
    }

    #[test]
    fn few_ports_and_our_own_among_them_are_warned_of() {
        let ports = [("http.listen", 8080), ("rtmp.listen", 40_000)];
        let found = judge_range(32_768, 60_999, &ports);
        assert_eq!((found.len(), found[0].verdict), (2, Verdict::Good));
        assert!(found[1].fix.as_deref().is_some_and(|fix| fix.contains("ip_local_reserved_ports=40000")));
        let found = judge_range(50_000, 50_999, &ports);
        assert!(found.len() == 1 && found[0].says.contains("50000 to 50999: 1000"));
        assert_eq!(sysctl("net.core.no_such_thing"), None);
    }
}
