//! Covers with the real ffmpeg: what comes out, and what a stream, a disk and an ffmpeg gone wrong can do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test works on real files")]

use std::{
    future::Future,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use media::{
    EndCause, Sample, SessionConfig, TrackKind, VideoConfig,
    mp4::demux::{Mp4File, locate_moov},
    timeline::TimelineEvent,
};
use tokio::{sync::oneshot, task::JoinHandle};
use turepe_live::{
    Live, Publisher,
    covers::{CoverId, Covers, CoversConfig, Roster},
};
use uuid::Uuid;
use world::SystemDisk;

/// Longest wait for any single thing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keyframe and its configuration.
#[derive(Clone)]
struct Picture {
    video: VideoConfig,
    data: Bytes,
}

/// A picture of one colour, as an encoder makes it.
fn picture(colour: &str, size: &str, encoder: &[&str]) -> Picture {
    let mut encoder = encoder.to_vec();
    encoder.extend(["-frames:v", "1"]);
    let (video, samples) = encoded(&format!("color=c={colour}:s={size}:r=25"), &encoder);
    Picture { video, data: samples[0].1.clone() }
}

/// What an encoder makes of a lavfi source: the configuration, and each picture with whether it is called a key.
fn encoded(source: &str, encoder: &[&str]) -> (VideoConfig, Vec<(bool, Bytes)>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pictures.mp4");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"])
        .args(encoder)
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    let bytes = Bytes::from(std::fs::read(&file).unwrap());
    let at = |offset: u64| usize::try_from(offset).unwrap();
    let read = |offset: u64, len: usize| -> Result<Bytes, ()> {
        Ok(bytes.slice(at(offset)..(at(offset) + len).min(bytes.len())))
    };
    let moov = locate_moov(bytes.len() as u64, read).unwrap().unwrap();
    let movie = Mp4File::from_moov(&moov).unwrap();
    let data = |sample: &media::mp4::demux::DemuxSample| {
        bytes.slice(at(sample.offset)..at(sample.offset) + sample.size as usize)
    };
    let samples = movie.samples.iter().map(|sample| (sample.is_sync, data(sample))).collect();
    (movie.video.unwrap(), samples)
}

fn h264(colour: &str) -> Picture {
    picture(colour, "1280x720", &["-c:v", "libx264", "-preset", "veryfast"])
}

fn hevc(colour: &str) -> Picture {
    picture(colour, "640x360", &["-c:v", "libx265", "-tag:v", "hvc1", "-x265-params", "log-level=error"])
}

impl Picture {
    /// The same configuration with a slice of rubbish.
    fn poisonous(mut self, rubbish: &[u8]) -> Self {
        let mut data = u32::try_from(rubbish.len() + 1).unwrap().to_be_bytes().to_vec();
        data.push(0x65);
        data.extend_from_slice(rubbish);
        self.data = data.into();
        self
    }
}

/// A publisher that shows pictures.
struct Camera {
    publisher: Publisher,
    decode_time: i64,
}

impl Camera {
    fn new(covers: &Covers, live: &Live, channel: Uuid) -> Self {
        Self { publisher: live.publish(channel, vec![covers.outlet(channel)]), decode_time: 0 }
    }

    /// A session that shows this picture.
    fn show(&mut self, picture: &Picture) {
        let config = Arc::new(SessionConfig { video: Some(picture.video.clone()), audio: None });
        if self.decode_time > 0 {
            self.publisher.push(TimelineEvent::SessionEnd { end_us: 0, cause: EndCause::Camera });
        }
        self.publisher.push(TimelineEvent::SessionStart { config, start_us: 0 });
        // A fragment is whole when the next keyframe comes.
        for _ in 0..2 {
            let sample = Sample {
                track: TrackKind::Video,
                decode_time: self.decode_time,
                duration: 45_000,
                composition_offset: 0,
                is_sync: true,
                data: picture.data.clone(),
            };
            self.publisher.push(TimelineEvent::Sample { sample, wall_us: self.decode_time });
            self.decode_time += 45_000;
        }
    }
}

impl Camera {
    /// Goes on with pictures one after the other, each with whether decoding can start there.
    fn stream(&mut self, video: &VideoConfig, pictures: &[(bool, Bytes)]) {
        let config = Arc::new(SessionConfig { video: Some(video.clone()), audio: None });
        self.publisher.push(TimelineEvent::SessionStart { config, start_us: 0 });
        for (is_sync, data) in pictures {
            let sample = Sample {
                track: TrackKind::Video,
                decode_time: self.decode_time,
                duration: 3_600,
                composition_offset: 0,
                is_sync: *is_sync,
                data: data.clone(),
            };
            self.publisher.push(TimelineEvent::Sample { sample, wall_us: self.decode_time });
            self.decode_time += 3_600;
        }
    }
}

struct Channels(Vec<Uuid>);

impl Roster for Channels {
    fn channels(&self) -> Pin<Box<dyn Future<Output = Option<Vec<Uuid>>> + Send + '_>> {
        Box::pin(async { Some(self.0.clone()) })
    }
}

/// Covers in a folder of their own.
struct Node {
    folder: tempfile::TempDir,
    covers: Covers,
    live: Live,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

fn channel(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

impl Node {
    fn new(set: impl FnOnce(&mut CoversConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = CoversConfig::new(folder.path().join("covers"));
        config.period = Duration::from_secs(1);
        set(&mut config);
        let covers = Covers::new(config, Arc::new(SystemDisk));
        Self { folder, covers, live: Live::new(), stop: None, running: None }
    }

    fn camera(&self, number: usize) -> Camera {
        Camera::new(&self.covers, &self.live, channel(number))
    }

    /// Runs with so many channels in the roster.
    fn run(&mut self, channels: usize) {
        let (stop, stopped) = oneshot::channel::<()>();
        let covers = self.covers.clone();
        let roster = Arc::new(Channels((0..channels).map(channel).collect()));
        self.stop = Some(stop);
        self.running = Some(tokio::spawn(async move {
            covers.run(roster, async { drop(stopped.await) }).await;
        }));
    }

    async fn end(&mut self) {
        drop(self.stop.take());
        self.running.take().unwrap().await.unwrap();
    }

    fn file(&self, number: usize) -> PathBuf {
        self.folder.path().join("covers").join(CoverId::of(channel(number)).file_name())
    }

    /// What anybody is shown of a channel.
    async fn shown(&self, number: usize) -> Option<Bytes> {
        self.covers.picture(CoverId::of(channel(number))).await
    }

    async fn colour(&self, number: usize) -> Option<&'static str> {
        colour(&self.shown(number).await?)
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The colour of a JPEG, by an ffmpeg that knows nothing of where it came from. `None` for the slate's.
fn colour(jpeg: &[u8]) -> Option<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cover.jpg");
    std::fs::write(&file, jpeg).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&file)
        .args(["-vf", "scale=1:1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    match output.stdout[..] {
        [200..=255, ..60, ..60] => Some("red"),
        [..60, ..60, 200..=255] => Some("blue"),
        [..60, 100..=255, ..60] => Some("green"),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn covers_come_change_and_give_way_to_the_slate() {
    let mut node = Node::new(|config| config.slate_after = Duration::from_secs(2));
    let (red, green, blue) = (h264("red"), hevc("green"), h264("blue"));
    let (mut first, mut second) = (node.camera(0), node.camera(1));
    first.show(&red);
    second.show(&green);
    node.run(3);
    until("both covers", async || {
        node.colour(0).await == Some("red") && node.colour(1).await == Some("green")
    })
    .await;
    assert_eq!(node.covers.status().processes, 1, "one process for both");
    first.show(&blue);
    until("the new picture", async || node.colour(0).await == Some("blue")).await;
    // Who shows the same picture for ever costs nothing.
    let made = node.covers.status().made;
    first.show(&red);
    until("another picture", async || node.colour(0).await == Some("red")).await;
    assert_eq!(node.covers.status().made, made + 1);
    // Any web server may read it, and finds nothing half made.
    assert_eq!(node.file(0).metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let slate = node.shown(2).await.unwrap();
    assert_eq!(colour(&slate), None);
    // Offline: the cover stays for a while.
    let offline = Instant::now();
    drop(first);
    until("the slate", async || node.shown(0).await.unwrap() == slate).await;
    assert!(offline.elapsed() >= Duration::from_secs(2));
    assert_eq!(std::fs::read(node.file(0)).unwrap(), slate, "for other web servers, too");
    assert_eq!(node.colour(1).await, Some("green"));
    // Another node, the same folder: what is offline since nobody knows when gets its slate as well.
    node.end().await;
    drop(second);
    let config = CoversConfig {
        slate_after: Duration::from_secs(2),
        ..CoversConfig::new(node.folder.path().join("covers"))
    };
    node.covers = Covers::new(config, Arc::new(SystemDisk));
    node.run(2);
    until("the slate of what was offline", async || node.shown(1).await.unwrap() == slate).await;
    assert!(node.shown(2).await.is_none(), "it is not in the roster any more");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_builds_up_is_shown_once_it_is_whole() {
    // Red for two seconds, then blue; rounds of one second without any IDR picture but the first.
    let source = "color=c=red:s=640x360:r=25:d=2[a];color=c=blue:s=640x360:r=25:d=5[b];[a][b]concat";
    let refresh = "keyint=25:intra-refresh=1:bframes=0:scenecut=0";
    let x264 = ["-c:v", "libx264", "-preset", "veryfast", "-x264-params", refresh];
    let without_sei = [&x264[..], &["-bsf:v", "filter_units=remove_types=6"]].concat();
    let open = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-x264-params",
        "keyint=25:min-keyint=25:open-gop=1:scenecut=0",
    ];
    let mut node = Node::new(|_| {});
    let mut cameras = Vec::new();
    for (number, encoder) in [&x264[..], &without_sei, &open].into_iter().enumerate() {
        let (video, mut pictures) = encoded(source, encoder);
        if number == 1 {
            // Nothing says where to start: a picture now and then has to do.
            pictures.iter_mut().enumerate().for_each(|(number, picture)| picture.0 = number % 75 == 0);
        }
        // Whoever starts here has seen neither the IDR picture nor any red.
        let start =
            pictures.iter().enumerate().position(|(number, (is_key, _))| *is_key && number >= 75).unwrap();
        let mut camera = node.camera(number);
        camera.stream(&video, &pictures[start..]);
        cameras.push(camera);
    }
    node.run(3);
    for number in 0..3 {
        until("a blue cover", async || node.colour(number).await == Some("blue")).await;
    }
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_stream_loses_its_own_cover_and_no_other() {
    let mut node = Node::new(|_| {});
    let red = h264("red");
    // Larger than anything that is decoded, though its announcement says otherwise.
    let mut bomb = picture("red", "8192x4640", &["-c:v", "libx264", "-preset", "ultrafast", "-qp", "51"]);
    (bomb.video.width, bomb.video.height) = (640, 360);
    let mut announced = red.clone();
    (announced.video.width, announced.video.height) = (16_384, 16_384);
    let poisons = [
        red.clone().poisonous(&[0xff; 5_000]),
        red.clone().poisonous(&[]),
        red.clone().poisonous(b"\0\0\0\x01\0\0\0\x01moofmdat"),
        bomb,
        announced,
    ];
    let mut cameras: Vec<Camera> = (0..10).map(|number| node.camera(number)).collect();
    for (number, camera) in cameras.iter_mut().enumerate() {
        camera.show(poisons.get(number).unwrap_or(&red));
    }
    node.run(10);
    for number in poisons.len()..10 {
        until("the cover of a good stream", async || node.colour(number).await == Some("red")).await;
    }
    until("all of the others to be known", async || node.covers.status().suspects == poisons.len()).await;
    for number in 0..poisons.len() {
        assert!(!node.file(number).exists(), "{number}");
        assert_eq!(node.colour(number).await, None);
    }
    // The good ones go on, and the poisonous ones do not cost them a process each time.
    let (before, blue) = (node.covers.status(), h264("blue"));
    (poisons.len()..10).for_each(|number| cameras[number].show(&blue));
    for number in poisons.len()..10 {
        until("the next cover", async || node.colour(number).await == Some("blue")).await;
    }
    let after = node.covers.status();
    assert_eq!(after.made - before.made, 5);
    // A stream that heals has a cover again.
    cameras[0].show(&blue);
    until("the cover of a healed stream", async || node.colour(0).await == Some("blue")).await;
    assert_eq!(node.covers.status().suspects, poisons.len() - 1);
    let work = node.folder.path().join("covers/.work");
    until("nothing to be left behind", async || std::fs::read_dir(&work).unwrap().count() == 0).await;
    node.end().await;
}

/// A stand-in for ffmpeg.
fn script(folder: &Path, text: &str) -> PathBuf {
    let program = folder.join("ffmpeg-stand-in");
    std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_hangs_is_ended_and_costs_the_others_nothing() {
    let scripts = tempfile::tempdir().unwrap();
    // It hangs on what a marker stands in. Its working folder is all that it can write to.
    let hang = "for word in \"$@\"; do case \"$word\" in *.mp4)\n\
         if grep -q HANGHANG \"$word\"; then echo $$ >> started; exec sleep 600; fi;; esac; done\n\
         exec ffmpeg \"$@\"";
    let program = script(scripts.path(), hang);
    let mut node = Node::new(|config| {
        config.ffmpeg = program;
        config.batch_timeout = Duration::from_secs(3);
        config.single_timeout = Duration::from_secs(3);
    });
    let started = node.folder.path().join("covers/.work/started");
    let red = h264("red");
    let hangs = red.clone().poisonous(b"HANGHANG");
    let mut cameras: Vec<Camera> = (0..4).map(|number| node.camera(number)).collect();
    cameras.iter_mut().skip(1).for_each(|camera| camera.show(&red));
    cameras[0].show(&hangs);
    node.run(4);
    for number in 1..4 {
        until("the cover of a good stream", async || node.colour(number).await == Some("red")).await;
    }
    until("the one that hangs to be known", async || node.covers.status().suspects == 1).await;
    assert_eq!(node.colour(0).await, None);
    // Once more it is tried, and then everything ends, and it with it.
    let mut pids = Vec::new();
    until("another try", async || {
        pids = std::fs::read_to_string(&started).unwrap().lines().map(str::to_owned).collect();
        pids.len() >= 3
    })
    .await;
    // The folder goes with the covers.
    node.end().await;
    until("no process to be left", async || {
        pids.iter().all(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() != "sleep"
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ffmpeg_there_are_slates_and_nobody_is_blamed() {
    let scripts = tempfile::tempdir().unwrap();
    let program = scripts.path().join("ffmpeg-stand-in");
    let mut node = Node::new(|config| config.ffmpeg.clone_from(&program));
    let mut camera = node.camera(0);
    camera.show(&h264("red"));
    node.run(1);
    until("ffmpeg to be missed", async || !node.covers.status().is_ffmpeg_usable).await;
    assert_eq!(colour(&node.shown(0).await.unwrap()), None);
    let status = node.covers.status();
    assert_eq!((status.suspects, status.failed, status.processes), (0, 0, 0));
    node.end().await;
    // It is there, and goes away while it is used.
    let mut node = Node::new(|config| config.ffmpeg = script(scripts.path(), "exec ffmpeg \"$@\""));
    let mut camera = node.camera(0);
    camera.show(&h264("red"));
    node.run(1);
    until("a cover", async || node.colour(0).await == Some("red")).await;
    std::fs::remove_file(&program).unwrap();
    camera.show(&h264("blue"));
    until("ffmpeg to be missed", async || !node.covers.status().is_ffmpeg_usable).await;
    assert_eq!((node.covers.status().suspects, node.colour(0).await), (0, Some("red")));
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_removed_comes_back() {
    let mut node = Node::new(|_| {});
    let mut camera = node.camera(0);
    camera.show(&h264("red"));
    node.run(1);
    until("a cover", async || node.colour(0).await == Some("red")).await;
    std::fs::remove_dir_all(node.folder.path().join("covers")).unwrap();
    assert_eq!(colour(&node.shown(0).await.unwrap()), None, "a slate until then");
    camera.show(&h264("blue"));
    until("the next cover", async || node.colour(0).await == Some("blue")).await;
    assert_eq!(node.covers.status().suspects, 0);
    // A file in its place: nothing can be written, nobody is blamed, and it heals.
    std::fs::remove_dir_all(node.folder.path().join("covers")).unwrap();
    std::fs::write(node.folder.path().join("covers"), "").unwrap();
    camera.show(&h264("red"));
    until("the folder to be missed", async || !node.covers.status().is_folder_usable).await;
    assert_eq!(node.covers.status().suspects, 0);
    std::fs::remove_file(node.folder.path().join("covers")).unwrap();
    until("the cover after it healed", async || node.colour(0).await == Some("red")).await;
    node.end().await;
}
