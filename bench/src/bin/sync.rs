//! What durability costs: sync calls and CPU of many growing segments, synced file by file and by one call a tick.
//!
//! `cargo xtask bench sync [--channels 200] [--seconds 15] [--rounds 2]`
//!
//! The archive alone, on a real folder and a real database: fragments are muxed once and pushed to every channel as real
//! time goes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use archive::{Archive, ArchiveConfig, RecorderTarget, SyncCounts};
use bytes::Bytes;
use catalog::{Catalog, NewChannel, Source};
use clap::Parser;
use media::fragmenter::Fragmenter;
use media::timeline::TimelineEvent;
use media::{Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig};
use turepe_bench::{kernel_cpu_s, median, own_cpu_s};
use world::{Clock as _, DirEntry, Disk, DiskFile, SystemClock, SystemDisk};

#[derive(Parser)]
struct Arguments {
    /// Segments that grow at the same time
    #[arg(long, default_value_t = 200)]
    channels: usize,
    /// Measured seconds of each round
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Rounds of each way, in turn
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Where it records; the temporary folder by default
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

/// Segments have begun by then, and their rows are written.
const WARM_UP: Duration = Duration::from_secs(3);
const FRAME_US: i64 = 40_000;
/// 25 of them are 4 Mbit.
const FRAME_BYTES: usize = 20_000;
const FRAMES_PER_GOP: i64 = 50;
/// `avcC` of a 320x240 High profile stream of x264.
const AVCC: &str =
    "0164000dffe100196764000dacd94141fb011000000300100000030320f142996001000668ebe3cb22c0fdf8f800";

/// The machine's disk, on which each file is synced by itself.
struct FileByFile;

impl Disk for FileByFile {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_dir_all(path)
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.create_new(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.open(path)
    }
    fn open_rw(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.open_rw(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        SystemDisk.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_dir(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.free_bytes(path)
    }
    fn exists(&self, path: &Path) -> bool {
        SystemDisk.exists(path)
    }
}

struct Figures {
    calls_per_second: f64,
    mean_ms: f64,
    slowest_ms: f64,
    cpu_us_per_stream_second: f64,
    kernel_us_per_stream_second: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut rows: Vec<(&str, Figures)> = Vec::new();
    for round in 1..=arguments.rounds {
        for name in ["file by file", "one call a tick"] {
            eprintln!("round {round} of {}: {name}", arguments.rounds);
            let disk: Arc<dyn Disk> =
                if name == "file by file" { Arc::new(FileByFile) } else { Arc::new(SystemDisk) };
            rows.push((name, measure(&arguments, disk).await?));
        }
    }
    println!(
        "{} channels of 4 Mbit/s, {} s a round, {} rounds",
        arguments.channels, arguments.seconds, arguments.rounds
    );
    println!(
        "{:<16} {:>14} {:>10} {:>12} {:>28} {:>28}",
        "synced",
        "sync calls/s",
        "mean ms",
        "slowest ms",
        "CPU µs per stream-second",
        "kernel threads beside it"
    );
    for name in ["file by file", "one call a tick"] {
        let middle = |figure: fn(&Figures) -> f64| {
            median(rows.iter().filter(|row| row.0 == name).map(|row| figure(&row.1)).collect())
        };
        println!(
            "{name:<16} {:>14.1} {:>10.1} {:>12.1} {:>28.0} {:>28.0}",
            middle(|f| f.calls_per_second),
            middle(|f| f.mean_ms),
            middle(|f| f.slowest_ms),
            middle(|f| f.cpu_us_per_stream_second),
            middle(|f| f.kernel_us_per_stream_second),
        );
    }
    Ok(())
}

async fn measure(arguments: &Arguments, disk: Arc<dyn Disk>) -> Result<Figures> {
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let catalog = Catalog::open(&format!("sqlite:{}", folder.path().join("turepe.db").display())).await?;
    let config = ArchiveConfig::new(folder.path().join("spool"), folder.path().join("store"));
    let archive = Archive::open(config, disk, Arc::new(SystemClock), catalog.clone())?;
    let mut recorders = Vec::with_capacity(arguments.channels);
    for number in 0..arguments.channels {
        let new = NewChannel { court_id: None, name: format!("c{number}"), source: Source::Push };
        let (channel, _) = catalog.create_channel(new).await?;
        recorders.push(archive.recorder(RecorderTarget { channel_id: channel.id, prefix: "b/b".into() }));
    }
    let mut camera = Camera::new()?;
    let started = Instant::now();
    let mut before: Option<(Instant, f64, f64, SyncCounts)> = None;
    let end = WARM_UP + Duration::from_secs(arguments.seconds);
    let mut tick = tokio::time::interval(Duration::from_millis(40));
    while started.elapsed() < end {
        tick.tick().await;
        for event in camera.film() {
            for recorder in &recorders {
                recorder.push(event.clone())?;
            }
        }
        if before.is_none() && started.elapsed() > WARM_UP {
            before = Some((Instant::now(), own_cpu_s()?, kernel_cpu_s(), archive.status().syncs));
        }
    }
    let (since, cpu_s, kernel_s, syncs) = before.context("the round is too short")?;
    let after = archive.status();
    ensure!(after.sync_failures == 0, "the disk fails: {after:?}");
    let seconds = since.elapsed().as_secs_f64();
    let stream_seconds = seconds * arguments.channels as f64;
    let calls = |counts: SyncCounts| counts.files + counts.folders + counts.volumes;
    let made = (calls(after.syncs) - calls(syncs)) as f64;
    Ok(Figures {
        calls_per_second: made / seconds,
        mean_ms: (after.syncs.total_us - syncs.total_us) as f64 / 1e3 / made,
        slowest_ms: after.syncs.slowest_us as f64 / 1e3,
        cpu_us_per_stream_second: (own_cpu_s()? - cpu_s) * 1e6 / stream_seconds,
        kernel_us_per_stream_second: (kernel_cpu_s() - kernel_s) * 1e6 / stream_seconds,
    })
}

/// One camera whose fragments serve all channels.
struct Camera {
    fragmenter: Fragmenter,
    start_us: i64,
    frame: i64,
    picture: Bytes,
}

impl Camera {
    fn new() -> Result<Self> {
        let digits = AVCC.as_bytes().chunks(2);
        let record = digits.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
        let record: Bytes = record.collect::<Result<Vec<u8>>>()?.into();
        let video = VideoConfig::from_record(VideoCodec::H264, record)?;
        let start_us = SystemClock.now_us();
        let mut fragmenter = Fragmenter::new();
        let config = Arc::new(SessionConfig { video: Some(video), audio: None });
        fragmenter.push(TimelineEvent::SessionStart { config, start_us });
        let mut picture = vec![0xab; FRAME_BYTES];
        let unit = u32::try_from(FRAME_BYTES - 4)?;
        picture.splice(..4, unit.to_be_bytes());
        Ok(Self { fragmenter, start_us, frame: 0, picture: picture.into() })
    }

    /// One more frame, and what it completes.
    fn film(&mut self) -> Vec<media::fragmenter::FragmentEvent> {
        let sample = Sample {
            track: TrackKind::Video,
            decode_time: self.frame * 3600,
            duration: 3600,
            composition_offset: 0,
            is_sync: self.frame % FRAMES_PER_GOP == 0,
            data: self.picture.clone(),
        };
        let wall_us = self.start_us + self.frame * FRAME_US;
        self.frame += 1;
        self.fragmenter.push(TimelineEvent::Sample { sample, wall_us });
        std::iter::from_fn(|| self.fragmenter.poll()).collect()
    }
}
