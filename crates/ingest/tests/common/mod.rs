//! A server on a free port, a gate that knows some keys, and cameras that are the real client session.

#![expect(dead_code, unreachable_pub, reason = "each test file uses what it needs of this")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use media::flv::{AudioTag, TagRun, VideoTag};
use media::mp4::demux::{Mp4File, locate_moov};
use media::rtmp::client::{ClientConfig, ClientEvent, ClientSession};
use media::rtmp::{RtmpUrl, StreamKey};
use media::timeline::{AudioProblem, TimelineEvent};
use media::{EndCause, TrackKind, VideoCodec};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;
use turepe_ingest::{BoxFuture, Feed, Gate, Publication, Publishers, Refusal, RtmpConfig, RtmpServer, Sink};
use uuid::Uuid;
use world::{Clock, SystemClock};

/// Nothing here takes as long on any machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Something that was told of a channel, in order.
type OfChannels<T> = Arc<Mutex<Vec<(Uuid, T)>>>;

/// What the sinks were told.
#[derive(Clone)]
pub struct Told {
    events: OfChannels<TimelineEvent>,
    audio: OfChannels<Option<AudioProblem>>,
    count: watch::Sender<usize>,
}

impl Told {
    /// A copy of everything so far.
    pub fn all(&self) -> Vec<(Uuid, TimelineEvent)> {
        self.events.lock().unwrap().clone()
    }

    /// What a channel's sinks were told.
    pub fn of(&self, channel: Uuid) -> Vec<TimelineEvent> {
        self.all().into_iter().filter(|(id, _)| *id == channel).map(|(_, event)| event).collect()
    }

    /// What a channel's sinks were told of audio that is left out.
    pub fn audio_problems(&self, channel: Uuid) -> Vec<Option<AudioProblem>> {
        let all = self.audio.lock().unwrap().clone();
        all.into_iter().filter(|(id, _)| *id == channel).map(|(_, problem)| problem).collect()
    }

    /// Number of a channel's samples.
    pub fn samples(&self, channel: Uuid) -> usize {
        self.of(channel).iter().filter(|event| matches!(event, TimelineEvent::Sample { .. })).count()
    }

    /// Waits until the events of a channel fit.
    pub async fn until(&self, channel: Uuid, what: &str, mut fits: impl FnMut(&[TimelineEvent]) -> bool) {
        let mut count = self.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !fits(&self.of(channel)) {
                count.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "{what} did not happen; {} events", self.of(channel).len());
    }

    /// Waits until a channel's session has ended, and tells why.
    pub async fn end(&self, channel: Uuid) -> EndCause {
        let mut cause = None;
        self.until(channel, "the end of a session", |events| {
            cause = events.iter().find_map(|event| match event {
                TimelineEvent::SessionEnd { cause, .. } => Some(*cause),
                _ => None,
            });
            cause.is_some()
        })
        .await;
        cause.unwrap()
    }
}

/// Keys `camera-N` belong to channel N.
struct KnownKeys(Told);

/// The channel of key `camera-N`.
pub fn channel(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl Gate for KnownKeys {
    fn authorise(&self, key: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Result<Publication, Refusal>> {
        let number = key.expose().strip_prefix("camera-").and_then(|number| number.parse().ok());
        let told = self.0.clone();
        Box::pin(async move {
            let channel_id = channel(number.ok_or(Refusal::UnknownKey)?);
            Ok(Publication { channel_id, sink: Box::new(Collector { channel_id, told }) })
        })
    }

    fn play(&self, name: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Option<Box<dyn Feed>>> {
        let feed = (name.expose() == "court").then(|| Box::new(Silence) as Box<dyn Feed>);
        Box::pin(std::future::ready(feed))
    }
}

/// A court where nothing happens.
struct Silence;

impl Feed for Silence {
    fn channel_id(&self) -> Uuid {
        channel(0)
    }

    fn next(&mut self) -> BoxFuture<'_, Option<Arc<TagRun>>> {
        Box::pin(std::future::pending())
    }
}

struct Collector {
    channel_id: Uuid,
    told: Told,
}

impl Sink for Collector {
    fn push(&mut self, event: TimelineEvent) {
        self.told.events.lock().unwrap().push((self.channel_id, event));
        self.told.count.send_modify(|count| *count += 1);
    }

    fn audio_problem(&mut self, problem: Option<&AudioProblem>) {
        self.told.audio.lock().unwrap().push((self.channel_id, problem.cloned()));
    }
}

/// The machine's clocks, of which the wall clock can be set.
#[derive(Default)]
pub struct SetClock(std::sync::atomic::AtomicI64);

impl SetClock {
    pub fn step(&self, by_us: i64) {
        self.0.fetch_add(by_us, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_us(&self) -> i64 {
        SystemClock.now_us() + self.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> i64 {
        SystemClock.monotonic_us()
    }

    fn now(&self) -> world::Now {
        let now = SystemClock.now();
        world::Now { wall_us: now.wall_us + self.0.load(std::sync::atomic::Ordering::SeqCst), ..now }
    }
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    /// RTMPS, where it has been started with it.
    pub tls_address: Option<SocketAddr>,
    pub told: Told,
    pub publishers: Publishers,
    pub connections: turepe_ingest::Connections,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(change: impl FnOnce(&mut RtmpConfig)) -> Self {
        Self::start_with(change, None)
    }

    pub fn start_with(change: impl FnOnce(&mut RtmpConfig), tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start_by(change, tls, Arc::new(SystemClock))
    }

    pub fn start_by(
        change: impl FnOnce(&mut RtmpConfig),
        tls: Option<Arc<ServerConfig>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut config = RtmpConfig::new("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let told = Told { events: Arc::default(), audio: Arc::default(), count: watch::Sender::new(0) };
        let mut server = RtmpServer::bind(config, Arc::new(KnownKeys(told.clone())), clock).unwrap();
        if let Some(tls) = tls {
            server.bind_tls("127.0.0.1:0".parse().unwrap(), tls).unwrap();
        }
        let tls_address = server.tls_addr().unwrap();
        let (address, publishers) = (server.local_addr().unwrap(), server.publishers());
        let connections = server.connections();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            drop(stopped.await);
        }));
        Self { address, tls_address, told, publishers, connections, stop: Some(stop), task: Some(task) }
    }

    pub fn tls_url(&self, key: &str) -> String {
        format!("rtmps://{}/live/{key}", self.tls_address.unwrap())
    }

    pub fn url(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.address)
    }

    /// Stops it and waits for its end.
    pub async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.task.take().unwrap()).await.unwrap().unwrap();
    }
}

/// The clip of the demo: a real encoder's frames.
pub struct Clip {
    pub codec: VideoCodec,
    setup: (VideoTag, AudioTag),
    /// Milliseconds, and what is sent then.
    frames: Vec<(u32, Tag)>,
}

enum Tag {
    Video(VideoTag),
    Audio(AudioTag),
}

impl Clip {
    pub fn demo() -> Self {
        let bytes = Bytes::from_static(include_bytes!("../../../turepe/assets/demo.mp4"));
        let slice = |offset: u64, len: usize| {
            let start = (offset as usize).min(bytes.len());
            Ok::<_, ()>(bytes.slice(start..(start + len).min(bytes.len())))
        };
        let mp4 = Mp4File::from_moov(&locate_moov(bytes.len() as u64, slice).unwrap().unwrap()).unwrap();
        let first_us = mp4.decode_time_us(&mp4.samples[0]);
        let frames = mp4.samples.iter().map(|sample| {
            let (dts_us, pts_us) = (mp4.decode_time_us(sample), mp4.presentation_time_us(sample));
            let data = slice(sample.offset, sample.size as usize).unwrap();
            let tag = match sample.track {
                TrackKind::Video => Tag::Video(VideoTag::Frame {
                    is_key: sample.is_sync,
                    composition_time_ms: ((pts_us - dts_us + 500) / 1000) as i32,
                    data,
                }),
                TrackKind::Audio => Tag::Audio(AudioTag::Frame { data }),
            };
            (((dts_us - first_us + 500) / 1000) as u32, tag)
        });
        let frames = frames.collect();
        let (video, audio) = (mp4.video.unwrap(), mp4.audio.unwrap());
        let setup = (
            VideoTag::SequenceHeader { codec: video.codec, record: video.record },
            AudioTag::SequenceHeader { record: audio.record },
        );
        Self { codec: video.codec, setup, frames }
    }

    /// The decoder configuration and the pictures alone.
    pub fn video(&self) -> (&VideoTag, Vec<(u32, &VideoTag)>) {
        let frames = self.frames.iter().filter_map(|(at_ms, tag)| match tag {
            Tag::Video(tag) => Some((*at_ms, tag)),
            Tag::Audio(_) => None,
        });
        (&self.setup.0, frames.collect())
    }

    /// Length in milliseconds.
    pub const LEN_MS: u32 = 24_000;
}

/// A publisher.
pub struct Camera {
    pub stream: TcpStream,
    pub client: ClientSession,
}

impl Camera {
    /// Connects and asks to publish.
    pub async fn connect(server: &Server, key: &str) -> Result<Self, ClientEvent> {
        let url = RtmpUrl::parse(&server.url(key)).unwrap();
        Self::connect_to(server, url).await
    }

    /// The same with a key that could not stand in an address.
    pub async fn connect_named(server: &Server, key: &str) -> Result<Self, ClientEvent> {
        let mut url = RtmpUrl::parse(&server.url("key")).unwrap();
        url.key = StreamKey::new(key);
        Self::connect_to(server, url).await
    }

    async fn connect_to(server: &Server, url: RtmpUrl) -> Result<Self, ClientEvent> {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut client = ClientSession::new(ClientConfig::new(&url), SystemClock.now_us());
        client.handle_input(&[], 0).unwrap();
        let mut camera = Self { stream, client };
        let turned_away = || ClientEvent::Closed { code: String::new(), description: "no answer".to_owned() };
        loop {
            camera.flush().await.map_err(|_| turned_away())?;
            match camera.client.poll_event() {
                Some(ClientEvent::Ready) => return Ok(camera),
                Some(event) => return Err(event),
                None if camera.read().await.is_ok_and(|count| count > 0) => {}
                None => return Err(turned_away()),
            }
        }
    }

    /// Sends what is due in `[from_ms, to_ms)`; times count on over the end of the clip.
    pub async fn send(&mut self, clip: &Clip, from_ms: u32, to_ms: u32) -> std::io::Result<()> {
        if from_ms == 0 {
            self.client.send_video_tag(0, clip.codec, &clip.setup.0).unwrap();
            self.client.send_audio_tag(0, &clip.setup.1).unwrap();
        }
        for round in from_ms / Clip::LEN_MS..=to_ms / Clip::LEN_MS {
            for (at_ms, tag) in &clip.frames {
                let at_ms = at_ms + round * Clip::LEN_MS;
                if (from_ms..to_ms).contains(&at_ms) {
                    match tag {
                        Tag::Video(tag) => self.client.send_video_tag(at_ms, clip.codec, tag).unwrap(),
                        Tag::Audio(tag) => self.client.send_audio_tag(at_ms, tag).unwrap(),
                    }
                }
            }
        }
        self.flush().await
    }

    /// Publishes in real time until the connection ends or the task is aborted.
    pub fn keep_sending(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let clip = Clip::demo();
            let mut ticks = tokio::time::interval(Duration::from_millis(40));
            for number in 0u32.. {
                ticks.tick().await;
                if self.send(&clip, number * 40, (number + 1) * 40).await.is_err() {
                    return;
                }
            }
        })
    }

    pub async fn flush(&mut self) -> std::io::Result<()> {
        while let Some(piece) = self.client.poll_transmit() {
            self.stream.write_all(&piece).await?;
        }
        Ok(())
    }

    /// Reads once.
    pub async fn read(&mut self) -> std::io::Result<usize> {
        use tokio::io::AsyncReadExt as _;
        let mut scratch = [0; 4096];
        let count = self.stream.read(&mut scratch).await?;
        self.client.handle_input(&scratch[..count], 0).unwrap();
        Ok(count)
    }

    /// Reads until the server has closed the connection.
    pub async fn closed(&mut self) {
        let closed = async { while self.read().await.is_ok_and(|count| count > 0) {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("the server closes the connection");
    }
}

/// Reads a plain socket until the server has closed it.
pub async fn closed(stream: &mut TcpStream) {
    use tokio::io::AsyncReadExt as _;
    let mut scratch = [0; 4096];
    let closed = async { while stream.read(&mut scratch).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(PATIENCE, closed).await.expect("the server closes the connection");
}

/// Says what makes a server play, and reads no more than the handshake.
pub async fn play_blindly(stream: &mut TcpStream, name: &str) {
    try_to_play(stream, name).await.unwrap();
}

/// The same; the server may close the connection meanwhile.
pub async fn try_to_play(stream: &mut TcpStream, name: &str) -> std::io::Result<()> {
    use media::amf0::Value;
    use media::rtmp::{MessageHeader, Transmit, chunk::ChunkWriter, message_type};
    use tokio::io::AsyncReadExt as _;
    let mut hello = vec![3];
    hello.resize(1 + 1536, 0);
    stream.write_all(&hello).await?;
    let mut answer = vec![0; 1 + 2 * 1536];
    stream.read_exact(&mut answer).await?;
    stream.write_all(&answer[1..1 + 1536]).await?;
    let mut writer = ChunkWriter::new();
    let mut out = Transmit::default();
    let object = Value::object([("app", Value::string("live"))]);
    for (stream_id, values) in [
        (0, vec![Value::string("connect"), Value::Number(1.0), object]),
        (0, vec![Value::string("createStream"), Value::Number(2.0), Value::Null]),
        (1, vec![Value::string("play"), Value::Number(3.0), Value::Null, Value::string(name)]),
    ] {
        let mut body = bytes::BytesMut::new();
        values.iter().for_each(|value| value.encode(&mut body));
        let header =
            MessageHeader { chunk_stream_id: 3, timestamp_ms: 0, type_id: message_type::COMMAND, stream_id };
        writer.write(&header, &[], body.freeze(), &mut out);
    }
    while let Some(piece) = out.pop() {
        stream.write_all(&piece).await?;
    }
    Ok(())
}
