//! A 90-minute match out of a catalog of a million segments: the API's answer, the playlist, and the MP4 against ffmpeg
//! making the same cut.
//!
//! `cargo xtask bench replay [--segments 1000000] [--folder DIR] [--rounds 5]`

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use archive::{Archive, ArchiveConfig, RecorderTarget};
use bytes::Bytes;
use catalog::schedule::WeekHours;
use catalog::{Catalog, Court, NewChannel, NewClub, NewSegment, Place, SealedSegment, Source};
use clap::Parser;
use databases::free_port;
use media::flv::{AudioTag, VideoTag};
use media::fragmenter::Fragmenter;
use media::mp4::demux::Mp4File;
use media::timeline::{Timeline, TimelineConfig};
use media::{EndCause, FragmentIndexEntry, SegmentIndex, TrackKind};
use turepe_bench::{HttpClient, Watched, match_clip, median, percentile, turepe, wait_for_port};
use uuid::Uuid;
use world::{Clock, SimulatedClock, SystemClock, SystemDisk};

#[derive(Parser)]
struct Arguments {
    /// Segments in the catalog
    #[arg(long, default_value_t = 1_000_000)]
    segments: u64,
    /// Asked replays
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Rounds of the download and of ffmpeg, in turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Keep and reuse the prepared data here
    #[arg(long)]
    folder: Option<PathBuf>,
}

const COURTS: u64 = 100;
const QUARTER_US: i64 = 900_000_000;
const MINUTE_US: i64 = 60_000_000;
/// Segments a channel has with an index of real size; older ones have a short one, to keep the preparation short.
const FULL_INDEXES: i64 = 96 * 14;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let data = folder.join("data");
    let clip = match_clip(&std::env::temp_dir())?;
    // The end of the newest recorded quarter: fixed, so that a kept folder can be used again.
    let end_us = 1_795_000_000_000_000 / QUARTER_US * QUARTER_US;
    if !data.join("turepe.db").exists() {
        std::fs::create_dir_all(&data)?;
        prepare(&arguments, &data, &clip, end_us).await?;
    }
    let catalog_mb = std::fs::metadata(data.join("turepe.db"))?.len() as f64 / 1e6;
    println!("{} segments of {COURTS} courts, catalog of {catalog_mb:.0} MB", arguments.segments);

    let (http, rtmp) = (free_port(), free_port());
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"))?;
    let server = Watched::start(
        Command::new(turepe()?)
            .args(["serve", "--data"])
            .arg(&data)
            .env("TUREPE_HTTP_LISTEN", format!("127.0.0.1:{http}"))
            .env("TUREPE_RTMP_LISTEN", format!("127.0.0.1:{rtmp}"))
            .current_dir(&folder)
            .stdout(log.try_clone()?)
            .stderr(log),
    )?;
    wait_for_port(http)?;
    let mut client = HttpClient::connect(http)?;

    // Random matches of random courts, whole quarters and odd minutes alike.
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    let depth_minutes = (arguments.segments / COURTS) * 15 - 200;
    let (mut answers_ms, mut playlists_ms) = (Vec::new(), Vec::new());
    for _ in 0..arguments.requests {
        let from = end_us - (100 + next(depth_minutes) as i64) * MINUTE_US;
        let path = replay_path(&format!("c{}", next(COURTS)), from, from + 90 * MINUTE_US)?;
        let answer = client.get(&path)?;
        ensure!(answer.status == 200, "GET {path}: {}", String::from_utf8_lossy(&answer.body));
        answers_ms.push(answer.total_ms);
        let replay: serde_json::Value = serde_json::from_slice(&answer.body)?;
        ensure!(replay["coverage"].as_f64() > Some(0.99), "{replay}");
        let playlist = client.get(replay["playlistUrl"].as_str().context("playlistUrl")?)?;
        ensure!(playlist.status == 200, "playlist");
        playlists_ms.push(playlist.total_ms);
    }
    println!("{:<34} {:>9} {:>9}", "", "p50 ms", "p99 ms");
    println!(
        "{:<34} {:>9.2} {:>9.2}",
        "replay answer",
        percentile(&answers_ms, 0.5),
        percentile(&answers_ms, 0.99)
    );
    println!(
        "{:<34} {:>9.2} {:>9.2}",
        "playlist",
        percentile(&playlists_ms, 0.5),
        percentile(&playlists_ms, 0.99)
    );

    // The recorded match: from an odd second, so that the cut is a real one.
    let from = end_us - 95 * MINUTE_US + 7_300_000;
    let answer = client.get(&replay_path("c0", from, from + 90 * MINUTE_US)?)?;
    let replay: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let url = replay["downloadUrl"].as_str().context("downloadUrl")?.to_owned();
    let parts = store_files(&data.join("store"));
    let list = folder.join("list.txt");
    let lines: Vec<String> = parts.iter().map(|part| format!("file '{}'", part.display())).collect();
    std::io::Write::write_all(
        &mut std::fs::File::options().create(true).write(true).truncate(true).open(&list)?,
        lines.join("\n").as_bytes(),
    )?;
    let (mut first_ms, mut rate, mut cpu, mut peer_cpu, mut peer_wall) =
        (vec![], vec![], vec![], vec![], vec![]);
    let mut length = 0;
    for _ in 0..arguments.rounds {
        let before = server.usage()?;
        let download = client.drain(&url)?;
        length = download.bytes;
        cpu.push(server.usage()?.cpu_s - before.cpu_s);
        first_ms.push(download.first_byte_ms);
        rate.push(download.bytes as f64 / 1e6 / (download.total_ms / 1e3));
        let start = Instant::now();
        let used = ffmpeg_cut(&list, &folder.join("cut.mp4"))?;
        peer_wall.push(start.elapsed().as_secs_f64());
        peer_cpu.push(used);
    }
    println!("90-minute MP4 of {:.2} GB, medians of {}:", length as f64 / 1e9, arguments.rounds);
    println!(
        "  turepe: first byte {:.1} ms, {:.0} MB/s, {:.2} s of CPU",
        median(first_ms),
        median(rate),
        median(cpu.clone())
    );
    println!(
        "  ffmpeg -c copy: file after {:.1} s, {:.2} s of CPU",
        median(peer_wall),
        median(peer_cpu.clone())
    );
    println!("  CPU, turepe / ffmpeg: {:.2}", median(cpu) / median(peer_cpu));
    server.end("-INT")
}

fn replay_path(court: &str, from_us: i64, to_us: i64) -> Result<String> {
    let instant = |us| jiff::Timestamp::from_microsecond(us);
    Ok(format!("/api/clubs/bench/courts/{court}/replay?from={}&to={}", instant(from_us)?, instant(to_us)?))
}

/// CPU seconds of the usual way to cut a match.
fn ffmpeg_cut(list: &Path, output: &Path) -> Result<f64> {
    let output = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            "-benchmark",
            "-y",
            "-f",
            "concat",
            "-safe",
            "0",
        ])
        .args(["-ss", "307.3", "-i"])
        .arg(list)
        .args(["-t", "5400", "-c", "copy", "-loglevel", "info"])
        .arg(output)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ffmpeg: {said}");
    // `bench: utime=1.234s stime=2.345s rtime=3.456s`
    let seconds = |name: &str| {
        let line = said.lines().find(|line| line.starts_with("bench: utime="))?;
        line.split_once(name)?.1.split('s').next()?.parse::<f64>().ok()
    };
    Ok(seconds("utime=").context("utime")? + seconds("stime=").context("stime")?)
}

/// The sealed files of the recorded match, in time order: their names are their UTC start.
fn store_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { open.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}

/// Fills the catalog, and records the newest 105 minutes of the first court through the real pipeline.
async fn prepare(arguments: &Arguments, data: &Path, clip: &Path, end_us: i64) -> Result<()> {
    let start = Instant::now();
    let catalog = Catalog::open(&format!("sqlite:{}", data.join("turepe.db").display())).await?;
    let hours = WeekHours::parse("00:00-24:00")?;
    let club = catalog
        .create_club(NewClub {
            slug: "bench".into(),
            name: "bench".into(),
            zone: "UTC".into(),
            hours,
            appointment_duration_min: 90,
        })
        .await?;
    let mut channels: Vec<(Court, Uuid)> = Vec::new();
    for number in 0..COURTS {
        let court = catalog.create_court(club.id, &format!("c{number}"), "court").await?;
        let new = NewChannel { court_id: Some(court.id), name: "camera".into(), source: Source::Push };
        let (channel, _) = catalog.create_channel(new).await?;
        channels.push((court, channel.id));
    }
    record(&catalog, data, clip, channels[0].1, end_us - 7 * QUARTER_US, end_us).await?;
    eprintln!("recorded in {:.0} s", start.elapsed().as_secs_f64());
    catalog.put_init("0123456789abcdef0123456789abcdef", &[0; 700]).await?;
    let (full, short) = (index(1800).encode(), index(8).encode());
    let each = i64::try_from(arguments.segments / COURTS)?;
    let rows = (0..each).flat_map(|back| channels.iter().map(move |channel| (back, channel.1)));
    let rows =
        rows.filter(|&(back, channel)| back >= 7 || channel != channels[0].1).map(|(back, channel_id)| {
            let segment_end = end_us - back * QUARTER_US;
            let new = NewSegment {
                id: Uuid::now_v7(),
                channel_id,
                session_id: channel_id,
                start_us: segment_end - QUARTER_US,
                object_name: format!("bench/c/{channel_id}/2026/11/21/{back:08}Z.mp4"),
                init_hash: "0123456789abcdef0123456789abcdef".into(),
            };
            let index = if back < FULL_INDEXES { &full } else { &short };
            (
                new,
                SealedSegment {
                    end_us: segment_end,
                    size_bytes: 450_000_000,
                    moov_offset: 449_000_000,
                    index: index.clone(),
                    crc32: None,
                    place: Place::Local,
                },
            )
        });
    let count = catalog.insert_sealed_segments(rows).await?;
    eprintln!("{count} rows and an index of {} bytes, in {:.0} s", full.len(), start.elapsed().as_secs_f64());
    Ok(())
}

/// An index like a recorded one: fragments of half a second, a key fragment every two seconds.
fn index(fragments: u32) -> SegmentIndex {
    let entry = |number: u32| FragmentIndexEntry {
        size_bytes: 200_000 + number.wrapping_mul(2_654_435_761) % 90_000,
        duration_90k: 900 * 90_000 / fragments,
        is_key: number.is_multiple_of(4),
    };
    SegmentIndex {
        first_fragment_offset: 1200,
        recovery_90k: 0,
        fragments: (0..fragments).map(entry).collect(),
    }
}

/// Loops the clip through timeline, fragmenter and archive on simulated time.
async fn record(
    catalog: &Catalog,
    data: &Path,
    clip: &Path,
    channel_id: Uuid,
    from_us: i64,
    to_us: i64,
) -> Result<()> {
    let bytes = Bytes::from(std::fs::read(clip)?);
    let moov = (0..bytes.len() - 8).find(|&at| &bytes[at + 4..at + 8] == b"moov").context("moov")?;
    let file = Mp4File::from_moov(&bytes[moov..])?;
    let clock = Arc::new(SimulatedClock::new(from_us));
    let config = ArchiveConfig::new(data.join("spool"), data.join("store"));
    let archive =
        Archive::open(config, Arc::new(SystemDisk), Arc::clone(&clock) as Arc<dyn Clock>, catalog.clone())?;
    let recorder = archive.recorder(RecorderTarget { channel_id, prefix: "bench/c0".into() });
    let mut timeline = Timeline::new(TimelineConfig::default());
    let mut fragmenter = Fragmenter::new();
    let video = file.video.clone().context("video")?;
    let audio = file.audio.clone().context("audio")?;
    timeline.video(0, VideoTag::SequenceHeader { codec: video.codec, record: video.record }, from_us)?;
    timeline.audio(0, AudioTag::SequenceHeader { record: audio.record }, from_us)?;
    let first_ms =
        file.samples.iter().map(|sample| file.decode_time_us(sample)).min().context("samples")?.min(0) / 1000;
    let mut lap_us = 0;
    'laps: loop {
        for sample in &file.samples {
            let at_us = lap_us + file.decode_time_us(sample) - first_ms * 1000;
            let now_us = from_us + at_us;
            if now_us >= to_us {
                break 'laps;
            }
            clock.set(now_us);
            let timestamp_ms = u32::try_from(at_us / 1000)?;
            let begin = usize::try_from(sample.offset)?;
            let data = bytes.slice(begin..begin + usize::try_from(sample.size)?);
            match sample.track {
                TrackKind::Video => {
                    let composition_us = file.presentation_time_us(sample) - file.decode_time_us(sample);
                    let composition_time_ms = i32::try_from(composition_us / 1000)?;
                    timeline.video(
                        timestamp_ms,
                        VideoTag::Frame { is_key: sample.is_sync, composition_time_ms, data },
                        now_us,
                    )?;
                }
                TrackKind::Audio => timeline.audio(timestamp_ms, AudioTag::Frame { data }, now_us)?,
            }
            while let Some(event) = timeline.poll() {
                fragmenter.push(event);
            }
            while let Some(event) = fragmenter.poll() {
                recorder.push_wait(event).await;
            }
        }
        lap_us += file.duration_us;
    }
    timeline.end(SystemClock.now_us(), EndCause::Camera);
    while let Some(event) = timeline.poll() {
        fragmenter.push(event);
    }
    while let Some(event) = fragmenter.poll() {
        recorder.push_wait(event).await;
    }
    recorder.flush().await;
    recorder.close();
    archive.settle().await;
    archive.shutdown().await;
    Ok(())
}
