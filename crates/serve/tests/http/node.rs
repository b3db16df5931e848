//! A whole node's worth of rooms on a temporary folder, with footage made up frame by frame, behind a real listener.

use archive::{Archive, ArchiveConfig, Recorder, RecorderTarget};
use bytes::Bytes;
use catalog::{Catalog, Channel, Club, Court, NewChannel, NewClub, Source, schedule::WeekHours};
use media::{
    AudioConfig, EndCause, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig, fragmenter::Fragmenter,
    timeline::TimelineEvent,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use std::{
    collections::HashSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use turepe_serve::{Listeners, Live, Operators, ServeConfig, Server};
use uuid::Uuid;
use world::{Clock, SimulatedClock, SystemDisk};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;

/// Frames a second of made-up footage; every frame is a keyframe.
pub(crate) const FRAME_RATE: i64 = 2;

/// Length of a recorded segment.
pub(crate) const SEGMENT_US: i64 = 5 * MINUTE;

const AVCC: &[u8] = include_bytes!("../fixtures/ffmpeg-x264-avcc.bin");
const IDR: &[u8] = include_bytes!("../fixtures/ffmpeg-x264-idr.bin");

/// Of the operators of a node under test.
pub(crate) const TOKEN: &str = "0123456789abcdef";

/// Microseconds of an RFC 3339 instant.
pub(crate) fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

/// Who is live, as a test says.
#[derive(Default)]
pub(crate) struct SaidLive(Mutex<HashSet<Uuid>>);

impl SaidLive {
    pub(crate) fn set(&self, channel: Uuid) {
        self.0.lock().unwrap().insert(channel);
    }
}

impl Live for SaidLive {
    fn is_live(&self, channel: Uuid) -> bool {
        self.0.lock().unwrap().contains(&channel)
    }
}

/// A node under test.
pub(crate) struct Node {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) catalog: Catalog,
    pub(crate) archive: Archive,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) live: Arc<SaidLive>,
    pub(crate) address: SocketAddr,
    pub(crate) tls_address: Option<SocketAddr>,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

impl Node {
    /// A node at an instant, with nothing in it.
    pub(crate) async fn at(now: &str) -> Self {
        Self::with(now, |_| {}).await
    }

    /// A node at an instant with settings of its own.
    pub(crate) async fn with(now: &str, set: impl FnOnce(&mut ServeConfig)) -> Self {
        Self::built(now, set, |server, _, _| server).await
    }

    /// A node that listens for HTTPS as well.
    pub(crate) async fn secure(now: &str, tls: Arc<rustls::ServerConfig>) -> Self {
        Self::listening(now, |_| {}, |server, _, _| server, Some(tls)).await
    }

    /// A node whose server is given more to answer.
    pub(crate) async fn built(
        now: &str,
        set: impl FnOnce(&mut ServeConfig),
        more: impl FnOnce(Server, &Catalog, Arc<dyn Clock>) -> Server,
    ) -> Self {
        Self::listening(now, set, more, None).await
    }

    async fn listening(
        now: &str,
        set: impl FnOnce(&mut ServeConfig),
        more: impl FnOnce(Server, &Catalog, Arc<dyn Clock>) -> Server,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn world::Disk> = Arc::new(SystemDisk);
        let clock = Arc::new(SimulatedClock::new(at(now)));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let url = format!("sqlite:{}?mode=rwc", folder.path().join("turepe.db").display());
        let catalog = Catalog::open_with_clock(&url, Arc::clone(&shared)).await.unwrap();
        let mut config = ArchiveConfig::new(folder.path().join("spool"), folder.path().join("store"));
        config.segment_us = SEGMENT_US;
        let archive = Archive::open(config, Arc::clone(&disk), Arc::clone(&shared), catalog.clone()).unwrap();
        let live = Arc::new(SaidLive::default());
        let mut config = ServeConfig::new(folder.path(), disk);
        config.operators = Operators::with_token(TOKEN).and_loopback();
        set(&mut config);
        let server = Server::new(
            config,
            archive.clone(),
            catalog.clone(),
            Arc::clone(&live) as _,
            Arc::clone(&shared),
        )
        .await
        .unwrap();
        let server = more(server, &catalog, shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mut listeners, mut tls_address) = (Listeners::from(listener), None);
        if let Some(tls) = tls {
            let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tls_address = Some(secure.local_addr().unwrap());
            listeners = listeners.with_tls(secure, tls);
        }
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.run(listeners, async {
            let _ = stopped.await;
        }));
        // The store's client of the same library speaks TLS: it has no cryptography of its own choice any more.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self {
            folder,
            catalog,
            archive,
            clock,
            live,
            address,
            tls_address,
            client,
            stop: Some(stop),
            served: Some(served),
        }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.served.take().unwrap().await.unwrap();
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    pub(crate) async fn club(&self, slug: &str, zone: &str, hours: &str, minutes: u32) -> Club {
        self.catalog
            .create_club(NewClub {
                slug: slug.to_owned(),
                name: format!("Club {slug}"),
                zone: zone.to_owned(),
                hours: WeekHours::parse(hours).unwrap(),
                appointment_duration_min: minutes,
            })
            .await
            .unwrap()
    }

    pub(crate) async fn court(&self, club: &Club, slug: &str) -> Court {
        self.catalog.create_court(club.id, slug, &format!("Court {slug}")).await.unwrap()
    }

    pub(crate) async fn channel(&self, court: &Court, name: &str) -> Channel {
        let new = NewChannel { court_id: Some(court.id), name: name.to_owned(), source: Source::Push };
        self.catalog.create_channel(new).await.unwrap().0
    }

    pub(crate) fn recording(&self, channel: Uuid) -> Recording {
        let target = RecorderTarget { channel_id: channel, prefix: "club/court".to_owned() };
        Recording { recorder: self.archive.recorder(target), fragmenter: Fragmenter::new() }
    }

    /// Records `from..to` whole.
    pub(crate) async fn record(&self, channel: Uuid, from: &str, to: &str) {
        let mut recording = self.recording(channel);
        recording.frames(at(from), at(to)).await;
        recording.end(at(to), EndCause::Network).await;
        drop(recording);
        self.archive.settle().await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    /// The JSON of a good answer.
    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let response = self.get(path).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The bytes of a good answer.
    pub(crate) async fn bytes(&self, path: &str) -> Bytes {
        let response = self.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.bytes().await.unwrap()
    }
}

/// One made-up session after the other on a channel.
pub(crate) struct Recording {
    pub(crate) recorder: Recorder,
    pub(crate) fragmenter: Fragmenter,
}

impl Recording {
    /// Begins a session at `from_us` and gives it frames up to `to_us`.
    pub(crate) async fn frames(&mut self, from_us: i64, to_us: i64) {
        self.push(TimelineEvent::SessionStart { config: config(), start_us: from_us }).await;
        self.more(from_us, from_us, to_us).await;
    }

    /// Frames of a session that began at `origin_us`.
    pub(crate) async fn more(&mut self, origin_us: i64, from_us: i64, to_us: i64) {
        let step_us = SECOND / FRAME_RATE;
        let mut wall_us = from_us;
        while wall_us < to_us {
            let sample = Sample {
                track: TrackKind::Video,
                decode_time: (wall_us - origin_us) * 9 / 100,
                duration: u32::try_from(step_us * 9 / 100).unwrap(),
                composition_offset: 0,
                is_sync: true,
                data: Bytes::from_static(IDR),
            };
            self.push(TimelineEvent::Sample { sample, wall_us }).await;
            wall_us += step_us;
        }
    }

    pub(crate) async fn end(&mut self, end_us: i64, cause: EndCause) {
        self.push(TimelineEvent::SessionEnd { end_us, cause }).await;
    }

    async fn push(&mut self, event: TimelineEvent) {
        self.fragmenter.push(event);
        while let Some(event) = self.fragmenter.poll() {
            self.recorder.push_wait(event).await;
        }
    }
}

fn config() -> Arc<SessionConfig> {
    let video = VideoConfig {
        codec: VideoCodec::H264,
        record: Bytes::from_static(AVCC),
        width: 128,
        height: 72,
        codec_string: "avc1.64000a".to_owned(),
        frame_rate: None,
        pixel_aspect_ratio: None,
    };
    Arc::new(SessionConfig { video: Some(video), audio: None::<AudioConfig> })
}

/// Asserts that an answer is a problem document of this status and code, and gives its detail.
pub(crate) async fn problem(response: Response, status: u16, code: &str) -> String {
    let url = response.url().path().to_owned();
    let got = response.status().as_u16();
    let kind = response.headers().get("content-type").cloned();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{url}: {text}");
    assert_eq!(kind.unwrap(), "application/problem+json", "{url}");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["code"], code, "{url}: {text}");
    assert_eq!(document["status"], status, "{url}");
    assert_eq!(document["type"], format!("urn:turepe:problem:{code}"), "{url}");
    assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{url}");
    document["detail"].as_str().unwrap().to_owned()
}

/// The path of an address in an answer.
pub(crate) fn path(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no address: {value}")).to_owned()
}

/// The folder of pictures.
pub(crate) fn frames_folder(node: &Node) -> PathBuf {
    node.folder.path().join("covers/frames")
}
