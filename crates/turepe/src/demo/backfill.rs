//! Footage of the past, made by the real pipeline on simulated time: a client session's bytes go through a server
//! session, the timeline, the fragmenter and the recorder, as fast as they can.

use std::sync::Arc;

use archive::{Archive, ArchiveConfig, Recorder, RecorderTarget};
use catalog::schedule::{local_date, slots};
use catalog::{Catalog, CatalogError};
use jiff::civil::Date;
use media::flv;
use media::fragmenter::Fragmenter;
use media::rtmp::client::{ClientConfig, ClientSession};
use media::rtmp::server::{ServerConfig, ServerEvent, ServerSession};
use media::rtmp::{RtmpError, RtmpUrl};
use media::timeline::{Timeline, TimelineConfig};
use media::{EndCause, TrackKind};
use tokio::task::JoinSet;
use world::{Disk, SimulatedClock, SystemDisk};

use super::budget::FOOTAGE_BYTES;
use super::club::DemoClub;
use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::node;
use crate::publish::{Clip, Payload};

/// A hole shorter than this is left: it is shown as the gap it is.
const SHORTEST_US: i64 = 2_000_000;

/// Everything that is made here can be made again: one sync at the end is enough.
const SYNC_US: i64 = ArchiveConfig::MAX_SYNC_US;

/// The publisher's name and address in the dialogue, which nobody checks.
const URL: &str = "rtmp://demo/live/demo";

/// Bytes of the dialogue until a publication is accepted. More means that it never will be.
const MAX_DIALOGUE_ROUNDS: usize = 16;

/// What is to be recorded.
#[derive(Debug, Default)]
pub(super) struct Plan {
    jobs: Vec<Job>,
    clip_bytes_per_s: u64,
}

/// A hole of one channel.
#[derive(Clone, Debug)]
struct Job {
    target: RecorderTarget,
    from_us: i64,
    to_us: i64,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// About how much it will be.
    pub(super) fn bytes(&self) -> u64 {
        self.jobs.iter().map(|job| job.bytes(self.clip_bytes_per_s)).sum()
    }
}

impl Job {
    fn bytes(&self, bytes_per_s: u64) -> u64 {
        let us = (self.to_us - self.from_us).max(0).unsigned_abs();
        us.saturating_mul(bytes_per_s) / 1_000_000
    }
}

/// The holes in the last completed match of each court and, where it fits the budget, in what has passed of the match
/// being played.
pub(super) async fn plan(
    catalog: &Catalog,
    club: &DemoClub,
    clip: &Clip,
    now_us: i64,
) -> Result<Plan, Failure> {
    let failed = |error: CatalogError| Failure::context("cannot look for footage of the demo", error);
    let Some((start_us, end_us)) = last_match(club, now_us) else { return Ok(Plan::default()) };
    let mut plan = Plan { jobs: Vec::new(), clip_bytes_per_s: clip.bytes_per_s() };
    for (from_us, to_us) in [(start_us, end_us), (end_us, now_us)] {
        let mut jobs = Vec::new();
        for court in &club.courts {
            let channel_id = court.channel.id;
            let spans = catalog.spans(channel_id, from_us, to_us).await.map_err(failed)?;
            let target = RecorderTarget { channel_id, prefix: node::prefix(court) };
            for (from_us, to_us) in holes(&spans, from_us, to_us) {
                jobs.push(Job { target: target.clone(), from_us, to_us });
            }
        }
        let bytes: u64 = jobs.iter().map(|job| job.bytes(plan.clip_bytes_per_s)).sum();
        if plan.bytes().saturating_add(bytes) <= FOOTAGE_BYTES {
            plan.jobs.extend(jobs);
        } else if plan.jobs.is_empty() {
            let message = format!(
                "a match of this clip takes {} MB on {} courts; the demo keeps {} MB: use a clip of a lower bit rate",
                bytes / 1_000_000,
                club.courts.len(),
                FOOTAGE_BYTES / 1_000_000
            );
            return Err(Failure::new(Kind::Usage, message));
        }
    }
    Ok(plan)
}

/// The newest slot that has ended, of today or the days before it.
fn last_match(club: &DemoClub, now_us: i64) -> Option<(i64, i64)> {
    let today = local_date(&club.club, now_us);
    let days: [Option<Date>; 3] =
        [Some(today), today.yesterday().ok(), today.yesterday().ok().and_then(|day| day.yesterday().ok())];
    let all = days.into_iter().flatten().flat_map(|day| slots(&club.club, day));
    let ended = all.filter(|slot| slot.end_us <= now_us);
    ended.max_by_key(|slot| slot.end_us).map(|slot| (slot.start_us, slot.end_us))
}

/// What of a range is in none of the spans, which are in order.
fn holes(spans: &[(i64, i64)], from_us: i64, to_us: i64) -> Vec<(i64, i64)> {
    let mut holes = Vec::new();
    let mut at_us = from_us;
    for (start_us, end_us) in spans.iter().copied().chain([(to_us, to_us)]) {
        if start_us - at_us >= SHORTEST_US {
            holes.push((at_us, start_us));
        }
        at_us = at_us.max(end_us);
    }
    holes
}

/// Records everything planned; gives the bytes of the publications.
pub(super) async fn run(
    catalog: &Catalog,
    config: &Config,
    plan: Plan,
    clip: Arc<Clip>,
) -> Result<u64, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let start_us = plan.jobs.iter().map(|job| job.from_us).min().unwrap_or(0);
    let clock = Arc::new(SimulatedClock::new(start_us));
    let archive_config = ArchiveConfig { sync_us: SYNC_US, ..node::archive_config(config, Vec::new()) };
    let archive = Archive::open(archive_config, disk, clock, catalog.clone())
        .map_err(|error| Failure::context("cannot open the archive", error))?;
    archive.wait_repaired().await;
    let mut courts = JoinSet::new();
    // One task per channel, its holes in the order of time.
    let mut jobs = plan.jobs;
    jobs.sort_by_key(|job| (job.target.channel_id, job.from_us));
    for jobs in jobs.chunk_by(|a, b| a.target.channel_id == b.target.channel_id) {
        let (jobs, archive, clip) = (jobs.to_vec(), archive.clone(), clip.clone());
        courts.spawn(async move {
            let mut bytes = 0;
            for job in jobs {
                let recorder = archive.recorder(job.target.clone());
                bytes += Pipeline::new(&job, clip.clone())?.run(&job, &recorder).await?;
                recorder.flush().await;
            }
            Ok::<u64, Failure>(bytes)
        });
    }
    let mut bytes = 0;
    while let Some(court) = courts.join_next().await {
        bytes += court.map_err(|error| Failure::context("recording the last match", error))??;
    }
    archive.settle().await;
    archive.shutdown().await;
    Ok(bytes)
}

/// Both ends of a publication and what follows, without sockets.
struct Pipeline {
    clip: Arc<Clip>,
    client: ClientSession,
    server: ServerSession,
    timeline: Timeline,
    fragmenter: Fragmenter,
}

impl Pipeline {
    fn new(job: &Job, clip: Arc<Clip>) -> Result<Self, Failure> {
        let url = RtmpUrl::parse(URL).map_err(|error| Failure::context("the demo's address", error))?;
        let now_us = job.from_us;
        let mut pipeline = Self {
            clip,
            client: ClientSession::new(ClientConfig::new(&url), now_us),
            server: ServerSession::new(ServerConfig::default(), now_us),
            timeline: Timeline::new(TimelineConfig { earliest_start_us: now_us }),
            fragmenter: Fragmenter::new(),
        };
        pipeline.connect(now_us).map_err(failed)?;
        Ok(pipeline)
    }

    /// The dialogue, until the publication is accepted.
    fn connect(&mut self, now_us: i64) -> Result<(), RtmpError> {
        for _ in 0..MAX_DIALOGUE_ROUNDS {
            self.client.handle_input(&[], now_us)?;
            self.deliver(now_us)?;
            while let Some(event) = self.server.poll_event() {
                if matches!(event, ServerEvent::PublishRequested { .. }) {
                    self.server.accept_publish();
                }
            }
            while let Some(piece) = self.server.poll_transmit() {
                self.client.handle_input(&piece, now_us)?;
            }
            if self.client.is_ready() {
                return Ok(());
            }
        }
        Err(RtmpError::NotPublishing)
    }

    /// What the client has to say, as the socket would bring it.
    fn deliver(&mut self, now_us: i64) -> Result<u64, RtmpError> {
        let mut bytes = 0;
        while let Some(piece) = self.client.poll_transmit() {
            bytes += piece.len() as u64;
            self.server.handle_input(&piece, now_us)?;
        }
        Ok(bytes)
    }

    /// Publishes the clip over and over until the hole is filled.
    async fn run(mut self, job: &Job, recorder: &Recorder) -> Result<u64, Failure> {
        let clip = self.clip.clone();
        let mut bytes = 0;
        for payload in &clip.setup {
            self.send(0, payload).map_err(failed)?;
        }
        let (mut now_us, frame_us) = (job.from_us, clip.frame_us());
        'filled: for round in 0.. {
            for frame in &clip.frames {
                let at_us = round * clip.duration_us + frame.dts_us;
                now_us = job.from_us + at_us;
                if now_us + frame_us > job.to_us {
                    break 'filled;
                }
                self.send(at_us, &frame.payload).map_err(failed)?;
                bytes += self.deliver(now_us).map_err(failed)?;
                self.take_media(now_us)?;
                self.record(recorder).await;
            }
        }
        self.timeline.end(now_us, EndCause::Camera);
        self.record(recorder).await;
        Ok(bytes)
    }

    fn send(&mut self, at_us: i64, payload: &Payload) -> Result<(), RtmpError> {
        let timestamp_ms = ((at_us + 500) / 1000) as u32;
        match payload {
            Payload::Body(TrackKind::Video, body) => self.client.send_video(timestamp_ms, body.clone()),
            Payload::Body(TrackKind::Audio, body) => self.client.send_audio(timestamp_ms, body.clone()),
            Payload::Metadata(body) => self.client.send_metadata(body),
            Payload::Video(tag) => self.client.send_video_tag(timestamp_ms, self.clip.codec, tag),
            Payload::Audio(tag) => self.client.send_audio_tag(timestamp_ms, tag),
            // Clips that large do not fit the budget.
            Payload::OnDisk { .. } => Ok(()),
        }
    }

    fn take_media(&mut self, now_us: i64) -> Result<(), Failure> {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Video { timestamp_ms, body } => {
                    let tag = flv::parse_video(body).map_err(failed)?;
                    self.timeline.video(timestamp_ms, tag, now_us).map_err(failed)?;
                }
                ServerEvent::Audio { timestamp_ms, body } => {
                    let tag = flv::parse_audio(body).map_err(failed)?;
                    self.timeline.audio(timestamp_ms, tag, now_us).map_err(failed)?;
                }
                _ => {}
            }
        }
        // The client reads acknowledgements, or the server would stop at its limit of unread replies.
        while let Some(piece) = self.server.poll_transmit() {
            self.client.handle_input(&piece, now_us).map_err(failed)?;
        }
        Ok(())
    }

    async fn record(&mut self, recorder: &Recorder) {
        while let Some(event) = self.timeline.poll() {
            self.fragmenter.push(event);
            while let Some(event) = self.fragmenter.poll() {
                recorder.push_wait(event).await;
            }
        }
    }
}

fn failed(error: impl std::error::Error) -> Failure {
    Failure::context("recording the last match", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_no_span_covers() {
        const S: i64 = 1_000_000;
        assert_eq!(holes(&[], 0, 60 * S), [(0, 60 * S)]);
        assert_eq!(holes(&[(0, 60 * S)], 0, 60 * S), []);
        assert_eq!(holes(&[(10 * S, 20 * S), (21 * S, 50 * S)], 0, 60 * S), [(0, 10 * S), (50 * S, 60 * S)]);
    }
}
