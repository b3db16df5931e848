//! A publisher's wire bytes, and the whole way from them to fragments, as `ingest` and the archive go it.

use bytes::Bytes;
use turepe_media::{
    VideoCodec,
    flv::{AudioTag, VideoTag, parse_audio, parse_video},
    fragmenter::{FragmentEvent, Fragmenter},
    rtmp::{
        RtmpUrl,
        client::{ClientConfig, ClientSession},
        server::{ServerConfig, ServerEvent, ServerSession},
    },
    timeline::{Timeline, TimelineConfig},
};

/// x264, 1280×720, 25 frames a second.
const RECORD: &[u8] = &[
    0x01, 0xf4, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0xf4, 0x00, 0x1f, 0x91, 0x9b, 0x28, 0x0a, 0x00,
    0xb7, 0x60, 0x22, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x64, 0x1e, 0x30, 0x63, 0x2c,
    0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xc4, 0x48, 0x44, 0xff, 0xf8, 0xf8, 0x00,
];
/// AAC-LC, 48 kHz, stereo.
const ASC: &[u8] = &[0x11, 0x90];
/// Bytes a socket hands over at once.
const READ_BYTES: usize = 64 * 1024;

/// What came out of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    /// Audio and video messages that went in.
    pub(crate) frames: u64,
    /// Fragments that came out.
    pub(crate) fragments: u64,
    /// Bytes of those fragments.
    pub(crate) bytes: u64,
}

/// 4 Mbit/s: 25 frames a second of video with B-frames and a keyframe every 2 s, and 128 kbit/s of audio; all that the
/// publisher sends from the handshake on.
pub(crate) fn wire(seconds: u32, chunk_size: u32) -> Vec<u8> {
    let url = RtmpUrl::parse("rtmp://127.0.0.1/live/key").expect("a valid address");
    let mut client = ClientSession::new(ClientConfig { chunk_size, ..ClientConfig::new(&url) }, 0);
    let mut server = ServerSession::new(ServerConfig::default(), 0);
    let mut wire = Vec::new();
    client.handle_input(&[], 0).expect("a client that starts");
    while !client.is_ready() {
        while let Some(bytes) = client.poll_transmit() {
            wire.extend_from_slice(&bytes);
            server.handle_input(&bytes, 0).expect("a server that agrees");
        }
        while let Some(event) = server.poll_event() {
            if matches!(event, ServerEvent::PublishRequested { .. }) {
                server.accept_publish();
            }
        }
        while let Some(bytes) = server.poll_transmit() {
            client.handle_input(&bytes, 0).expect("a client that agrees");
        }
    }
    let codec = VideoCodec::H264;
    let header = VideoTag::SequenceHeader { codec, record: Bytes::from_static(RECORD) };
    client.send_video_tag(0, codec, &header).expect("room");
    let header = AudioTag::SequenceHeader { record: Bytes::from_static(ASC) };
    client.send_audio_tag(0, &header).expect("room");
    let mut sounds = 0;
    for frame in 0..seconds * 25 {
        let timestamp_ms = frame * 40;
        client.send_video_tag(timestamp_ms, codec, &picture(frame)).expect("room");
        while sounds * 64 / 3 < timestamp_ms + 40 {
            let tag = AudioTag::Frame { data: Bytes::from(vec![0x21; 341]) };
            client.send_audio_tag(sounds * 64 / 3, &tag).expect("room");
            sounds += 1;
        }
        while let Some(bytes) = client.poll_transmit() {
            wire.extend_from_slice(&bytes);
        }
    }
    wire
}

/// A frame in decode order: I P B B P B B …
fn picture(frame: u32) -> VideoTag {
    let in_group = frame % 50;
    let (kind, size, composition_time_ms) = match in_group {
        0 => (0x65, 100_000, 40),
        _ if in_group % 3 == 1 => (0x41, 35_000, 120),
        _ => (0x01, 10_000, 0),
    };
    let mut data = vec![frame as u8; size];
    data[..4].copy_from_slice(&(size as u32 - 4).to_be_bytes());
    data[4] = kind;
    VideoTag::Frame { is_key: in_group == 0, composition_time_ms, data: Bytes::from(data) }
}

/// The rooms of `media` in a row.
pub(crate) struct Pipeline {
    server: ServerSession,
    timeline: Timeline,
    fragmenter: Fragmenter,
    now_us: i64,
    outcome: Outcome,
}

impl Pipeline {
    /// A connection that has just been made.
    pub(crate) fn new() -> Self {
        Self {
            server: ServerSession::new(ServerConfig::default(), 0),
            timeline: Timeline::new(TimelineConfig::default()),
            fragmenter: Fragmenter::new(),
            now_us: 0,
            outcome: Outcome::default(),
        }
    }

    /// Everything a publisher sends, read by read.
    pub(crate) fn run(mut self, wire: &[u8]) -> Outcome {
        for read in wire.chunks(READ_BYTES) {
            self.read(read);
        }
        self.outcome
    }

    /// One read of the socket.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Outcome {
        self.server.handle_input(bytes, self.now_us).expect("a publisher that behaves");
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::PublishRequested { .. } => self.server.accept_publish(),
                ServerEvent::Video { timestamp_ms, body } => {
                    self.outcome.frames += 1;
                    self.now_us = i64::from(timestamp_ms) * 1000;
                    let tag = parse_video(body).expect("a valid tag");
                    self.timeline.video(timestamp_ms, tag, self.now_us).expect("a good publisher");
                }
                ServerEvent::Audio { timestamp_ms, body } => {
                    self.outcome.frames += 1;
                    let tag = parse_audio(body).expect("a valid tag");
                    self.timeline.audio(timestamp_ms, tag, self.now_us).expect("a good publisher");
                }
                _ => {}
            }
            while let Some(event) = self.timeline.poll() {
                self.fragmenter.push(event);
            }
            while let Some(event) = self.fragmenter.poll() {
                if let FragmentEvent::Fragment(fragment) = event {
                    self.outcome.fragments += 1;
                    self.outcome.bytes += u64::from(fragment.size_bytes);
                }
            }
        }
        while self.server.poll_transmit().is_some() {}
        self.outcome
    }
}
