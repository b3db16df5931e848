//! `turepe publish`: a file as a camera would send it, to one server, as one stream or as hundreds.
//!
//! Belongs here: what the command line asks for, progress and summary. Not here: the protocol (`media::rtmp::client`).

mod clip;
mod clip_mp4;
mod queue;
mod stream;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media::rtmp::{RtmpUrl, StreamKey};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use world::SystemDisk;

pub(crate) use self::clip::{Clip, Payload};
use self::stream::{Plan, StreamError, Totals};
use crate::cli::Publish;
use crate::failure::{Failure, Kind};
use crate::{environment, output, signals};

/// The starts of many streams are spread over this time, so that their keyframes do not all come at once.
const STARTS_SPREAD: Duration = Duration::from_secs(2);

/// Longest list of keys on standard input.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;

/// How often the progress line is written.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How one stream ended.
struct Ended {
    /// Counted from 1, as the lines of the key file.
    stream: usize,
    result: Result<(), StreamError>,
}

/// Runs the command. Call it inside a runtime.
pub(crate) async fn run(arguments: &Publish) -> Result<(), Failure> {
    let targets = targets(arguments)?;
    // Nothing else runs yet: reading may block.
    let clip = Clip::open(&SystemDisk, &arguments.file)?;
    let start = Instant::now();
    let plan = Arc::new(Plan {
        clip: Arc::new(clip),
        repeat: arguments.repeat,
        until: arguments.duration.map(|duration| start + duration.duration()),
        totals: Totals::default(),
    });
    let (stop, stopped) = watch::channel(false);
    let mut streams = JoinSet::new();
    let count = targets.len();
    for (index, url) in targets.into_iter().enumerate() {
        let (plan, mut stopped) = (plan.clone(), stopped.clone());
        let delay = STARTS_SPREAD.mul_f64(index as f64 / count as f64);
        streams.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = stopped.changed() => return Ended { stream: index + 1, result: Ok(()) },
            }
            Ended { stream: index + 1, result: stream::run(&plan, &url, &mut stopped).await }
        });
    }
    let mut failures = Vec::new();
    let mut progress = tokio::time::interval(PROGRESS_INTERVAL);
    let shows_progress = !arguments.quiet && std::io::stderr().is_terminal();
    let mut interrupted = std::pin::pin!(signals::interrupted());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = streams.join_next() => match ended {
                Some(Ok(Ended { result: Ok(()), .. })) => {}
                Some(Ok(Ended { stream, result: Err(error) })) => {
                    if count > 1 {
                        eprintln!("turepe: stream {stream}: {error}");
                    }
                    failures.push((stream, error));
                }
                Some(Err(error)) => return Err(Failure::context("a stream's task failed", error)),
                None => break,
            },
            () = &mut interrupted, if !is_stopping => {
                is_stopping = true;
                stop.send_replace(true);
            }
            _ = progress.tick(), if shows_progress => show(&plan.totals, count, start),
        }
    }
    if shows_progress {
        eprintln!();
    }
    summarise(arguments, &plan.totals, count, start, &failures)
}

/// One address per stream.
fn targets(arguments: &Publish) -> Result<Vec<RtmpUrl>, Failure> {
    let parse = |text: &str| {
        let url = RtmpUrl::parse(text).map_err(|error| Failure::usage(error.to_string()))?;
        if url.is_tls {
            return Err(Failure::usage("rtmps:// is not supported: publish to rtmp://"));
        }
        Ok(url)
    };
    let Some(path) = &arguments.keys_from else { return Ok(vec![parse(&arguments.url)?]) };
    let keys = keys(path)?;
    let count = arguments.streams.map_or(keys.len(), |count| count as usize);
    if keys.len() < count {
        let message =
            format!("{} has {} keys and {count} streams were asked for", path.display(), keys.len());
        return Err(Failure::usage(message));
    }
    if count == 0 {
        return Err(Failure::usage(format!("{} has no key", path.display())));
    }
    // The address ends with the application: any last part makes it whole, and is replaced.
    let base = parse(&format!("{}/key", arguments.url.trim_end_matches('/')))?;
    Ok(keys.into_iter().take(count).map(|key| RtmpUrl { key, ..base.clone() }).collect())
}

/// The keys in a file (`-`: standard input), one a line; empty lines and `#` comments are skipped.
fn keys(path: &Path) -> Result<Vec<StreamKey>, Failure> {
    let text = if path == Path::new("-") {
        let stdin = std::io::stdin().lock().take(MAX_KEY_FILE_BYTES);
        std::io::read_to_string(stdin)
            .map_err(|error| Failure::context("cannot read keys from standard input", error))?
    } else {
        environment::read_text(path)?
            .ok_or_else(|| Failure::new(Kind::NotFound, format!("there is no file {}", path.display())))?
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(StreamKey::new).collect())
}

fn show(totals: &Totals, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let bytes = totals.bytes.load(Ordering::Relaxed) as f64;
    let line = format!(
        "\r{:02}:{:02}:{:02}  {}/{count} streams  {:.1} MB  {:.2} Mbit/s  {} reconnects ",
        seconds as u64 / 3600,
        seconds as u64 / 60 % 60,
        seconds as u64 % 60,
        totals.publishing.load(Ordering::Relaxed),
        bytes / 1e6,
        bytes * 8e-6 / seconds.max(0.1),
        totals.reconnects.load(Ordering::Relaxed),
    );
    // Progress is a courtesy: a terminal that went away does not end the stream.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

fn summarise(
    arguments: &Publish,
    totals: &Totals,
    count: usize,
    start: Instant,
    failures: &[(usize, StreamError)],
) -> Result<(), Failure> {
    let seconds = start.elapsed().as_secs_f64();
    let bytes = totals.bytes.load(Ordering::Relaxed);
    let frames = totals.frames.load(Ordering::Relaxed);
    let reconnects = totals.reconnects.load(Ordering::Relaxed);
    let max_late_ms = totals.max_late_us.load(Ordering::Relaxed) / 1000;
    if arguments.json {
        let failures: Vec<_> = failures
            .iter()
            .map(|(stream, error)| json!({ "stream": stream, "reason": error.to_string(), "isRefused": error.is_refusal() }))
            .collect();
        output::json(&json!({
            "streams": count,
            "seconds": seconds,
            "bytes": bytes,
            "frames": frames,
            "reconnects": reconnects,
            "maxLateMs": max_late_ms,
            "failures": failures,
        }))?;
    } else if !arguments.quiet && (failures.len() < count || frames > 0) {
        // Where nothing was published there is nothing to sum up: the error says it all.
        let streams = if count == 1 { "1 stream".to_owned() } else { format!("{count} streams") };
        output::line(format_args!(
            "{streams}, {seconds:.1} s, {:.1} MB, {frames} frames, {reconnects} reconnects, at most {max_late_ms} ms late",
            bytes as f64 / 1e6
        ))?;
    }
    match failures {
        [] => Ok(()),
        [(_, error)] if count == 1 => Err(Failure::new(error.kind(), error.to_string())),
        failures => {
            let kind =
                failures.iter().find(|(_, error)| error.is_refusal()).map_or(Kind::Failed, |_| Kind::Refused);
            Err(Failure::new(kind, format!("{} of {count} streams failed", failures.len())))
        }
    }
}

impl StreamError {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    fn kind(&self) -> Kind {
        if self.is_refusal() { Kind::Refused } else { Kind::Failed }
    }
}
