//! What covers cost: many channels that get a new keyframe every two seconds, beside one `ffmpeg -vf fps=1/10` per stream.
//!
//! `cargo xtask bench covers [--channels 100] [--seconds 30] [--peers 2] [--rounds 1]`
//!
//! Ours is the room alone with its ffmpeg processes: keyframes of 1080p are left at the outlets as publishers leave them, and
//! everything that this process and its children use counts. The peers decode the same clip in real time.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use live::covers::{Covers, CoversConfig, Roster};
use live::{Live, Publisher};
use media::mp4::demux::{Mp4File, locate_moov};
use media::timeline::TimelineEvent;
use media::{Sample, SessionConfig, TrackKind};
use turepe_bench::{Watched, match_clip, median, own_cpu_s};
use uuid::Uuid;
use world::SystemDisk;

#[derive(Parser)]
struct Arguments {
    /// Channels with covers
    #[arg(long, default_value_t = 100)]
    channels: usize,
    /// Measured seconds of each round
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Streams with an ffmpeg of their own: each takes a tenth of a core
    #[arg(long, default_value_t = 2)]
    peers: usize,
    /// Rounds of each way, in turn
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

/// Every channel has had its first cover by then.
const WARM_UP: Duration = Duration::from_secs(12);

/// As cameras send them.
const KEYFRAME_PERIOD: Duration = Duration::from_secs(2);
const KEYFRAME_TICKS: u32 = 180_000;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clip = match_clip(&std::env::temp_dir())?;
    let (mut ours, mut peers, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}: turepe", arguments.rounds);
        let figures = covers(&arguments, &clip).await?;
        ours.push(figures.cpu_us_per_stream_second);
        sizes.push(figures.channels_per_process);
        eprintln!("round {round} of {}: one ffmpeg per stream", arguments.rounds);
        peers.push(one_each(&arguments, &clip)?);
    }
    println!(
        "{} channels of 1080p, {} s a round, {} rounds",
        arguments.channels, arguments.seconds, arguments.rounds
    );
    let (ours, peers) = (median(ours), median(peers));
    println!("{:<24} {:>28} {:>22}", "covers", "CPU µs per stream-second", "channels per process");
    println!("{:<24} {ours:>28.0} {:>22.1}", "turepe", median(sizes));
    println!("{:<24} {peers:>28.0} {:>22}", "one ffmpeg per stream", 1);
    println!("CPU, turepe / one ffmpeg per stream: {:.3}", ours / peers);
    Ok(())
}

struct Figures {
    cpu_us_per_stream_second: f64,
    channels_per_process: f64,
}

struct Channels(Vec<Uuid>);

impl Roster for Channels {
    fn channels(&self) -> Pin<Box<dyn Future<Output = Option<Vec<Uuid>>> + Send + '_>> {
        Box::pin(async { Some(self.0.clone()) })
    }
}

async fn covers(arguments: &Arguments, clip: &Path) -> Result<Figures> {
    let (config, keyframes) = keyframes(clip)?;
    let folder = tempfile::tempdir()?;
    let covers = Covers::new(CoversConfig::new(folder.path().join("covers")), Arc::new(SystemDisk));
    let live = Live::new();
    let ids: Vec<Uuid> = (0..arguments.channels).map(|number| Uuid::from_u128(number as u128)).collect();
    let mut publishers: Vec<Publisher> =
        ids.iter().map(|id| live.publish(*id, vec![covers.outlet(*id)])).collect();
    for publisher in &mut publishers {
        publisher.push(TimelineEvent::SessionStart { config: Arc::clone(&config), start_us: 0 });
    }
    let runner = covers.clone();
    let running =
        tokio::spawn(async move { runner.run(Arc::new(Channels(ids)), std::future::pending()).await });
    let feeding = tokio::spawn(async move {
        let mut beat = tokio::time::interval(KEYFRAME_PERIOD);
        for (number, data) in (0_i64..).zip(keyframes.iter().cycle()) {
            beat.tick().await;
            let decode_time = number * i64::from(KEYFRAME_TICKS);
            for publisher in &mut publishers {
                let sample = Sample {
                    track: TrackKind::Video,
                    decode_time,
                    duration: KEYFRAME_TICKS,
                    composition_offset: 0,
                    is_sync: true,
                    data: data.clone(),
                };
                publisher.push(TimelineEvent::Sample { sample, wall_us: decode_time * 100 / 9 });
            }
        }
    });
    tokio::time::sleep(WARM_UP).await;
    let (before, cpu_s, start) = (covers.status(), own_cpu_s()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let (after, cpu_s, elapsed) = (covers.status(), own_cpu_s()? - cpu_s, start.elapsed());
    feeding.abort();
    running.abort();
    let (made, processes) = (after.made - before.made, after.processes - before.processes);
    let expected = arguments.channels as f64 * elapsed.as_secs_f64() / 10.0;
    ensure!(made as f64 > 0.9 * expected, "only {made} covers of {expected:.0} were made");
    Ok(Figures {
        cpu_us_per_stream_second: cpu_s * 1e6 / (arguments.channels as f64 * elapsed.as_secs_f64()),
        channels_per_process: made as f64 / processes as f64,
    })
}

/// The clip's configuration and its keyframes.
fn keyframes(clip: &Path) -> Result<(Arc<SessionConfig>, Vec<Bytes>)> {
    let bytes = Bytes::from(std::fs::read(clip)?);
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let read = |offset: u64, len: usize| -> Result<Bytes> {
        Ok(bytes.slice(at(offset).min(bytes.len())..at(offset).saturating_add(len).min(bytes.len())))
    };
    let moov = locate_moov(bytes.len() as u64, read)??;
    let movie = Mp4File::from_moov(&moov)?;
    let is_keyframe =
        |sample: &&media::mp4::demux::DemuxSample| sample.track == TrackKind::Video && sample.is_sync;
    let keyframes = movie
        .samples
        .iter()
        .filter(is_keyframe)
        .map(|sample| bytes.slice(at(sample.offset)..at(sample.offset) + sample.size as usize))
        .collect();
    let video = movie.video.context("the clip has no video")?;
    Ok((Arc::new(SessionConfig { video: Some(video), audio: None }), keyframes))
}

fn one_each(arguments: &Arguments, clip: &Path) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut running = Vec::new();
    for number in 0..arguments.peers {
        let mut command = Command::new("ffmpeg");
        command
            .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"])
            .arg(clip)
            .args(["-an", "-vf", "fps=1/10,scale=480:-2", "-q:v", "5", "-update", "1", "-y"])
            .arg(folder.path().join(format!("{number}.jpg")));
        running.push(Watched::start(&mut command)?);
    }
    std::thread::sleep(Duration::from_secs(3));
    let sum = |running: &[Watched]| -> Result<f64> {
        running.iter().map(|peer| peer.usage().map(|usage| usage.cpu_s)).sum()
    };
    let (before, start) = (sum(&running)?, Instant::now());
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    let (after, elapsed) = (sum(&running)?, start.elapsed());
    for peer in running {
        peer.end("-KILL")?;
    }
    Ok((after - before) * 1e6 / (arguments.peers as f64 * elapsed.as_secs_f64()))
}
