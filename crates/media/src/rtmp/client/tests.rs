//! Client and server session against each other, in memory.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::amf0::Value;
use crate::flv::{AudioTag, VideoTag, parse_audio, parse_video};
use crate::rtmp::handshake::Scheme;
use crate::rtmp::server::{ServerConfig, ServerEvent, ServerSession};
use crate::rtmp::{RtmpError, RtmpUrl, TimeoutOf};
use crate::sample::VideoCodec;

/// Both ends of a connection, which carries `step` bytes at a time.
struct Loopback {
    client: ClientSession,
    server: ServerSession,
    step: usize,
    to_server: BytesMut,
    to_client: BytesMut,
}

impl Loopback {
    fn new(scheme: Option<Scheme>, step: usize) -> Self {
        let mut config = ClientConfig::new(&RtmpUrl::parse("rtmp://127.0.0.1/live/s3cret?a=1").unwrap());
        config.scheme = scheme;
        let mut client = ClientSession::new(config, 0);
        client.handle_input(&[], 0).unwrap();
        let server = ServerSession::new(ServerConfig::default(), 0);
        Self { client, server, step, to_server: BytesMut::new(), to_client: BytesMut::new() }
    }

    /// Carries bytes both ways until nothing is left or the server has an event; returns that.
    fn run(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.server.poll_event() {
                return Some(event);
            }
            while let Some(piece) = self.client.poll_transmit() {
                self.to_server.extend_from_slice(&piece);
            }
            while let Some(piece) = self.server.poll_transmit() {
                self.to_client.extend_from_slice(&piece);
            }
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return None;
            }
            let piece = self.to_server.split_to(self.step.min(self.to_server.len()));
            self.server.handle_input(&piece, 0).unwrap();
            let piece = self.to_client.split_to(self.step.min(self.to_client.len()));
            self.client.handle_input(&piece, 0).unwrap();
        }
    }

    /// Up to the request to publish.
    fn requested(scheme: Option<Scheme>, step: usize) -> Self {
        let mut loopback = Self::new(scheme, step);
        let Some(ServerEvent::Connected { app, tc_url, .. }) = loopback.run() else {
            panic!("not connected")
        };
        assert_eq!((app.as_str(), tc_url.as_str()), ("live", "rtmp://127.0.0.1/live"));
        let Some(ServerEvent::PublishRequested { key, .. }) = loopback.run() else { panic!("no request") };
        assert_eq!(key.expose(), "s3cret?a=1");
        loopback
    }

    fn ready(scheme: Option<Scheme>, step: usize) -> Self {
        let mut loopback = Self::requested(scheme, step);
        assert_eq!(loopback.client.send_video(0, Bytes::from_static(b"x")), Err(RtmpError::NotPublishing));
        loopback.server.accept_publish();
        assert_eq!(loopback.run(), None);
        assert_eq!(loopback.client.poll_event(), Some(ClientEvent::Ready));
        assert!(loopback.client.is_ready());
        assert_eq!(loopback.client.poll_timeout(), None);
        loopback
    }
}

#[test]
fn a_publication_reaches_the_server_in_any_cut_and_handshake() {
    for scheme in [None, Some(Scheme::First), Some(Scheme::Second)] {
        for step in [1, 13, 1000, 100_000] {
            let mut loopback = Loopback::ready(scheme, step);
            let mut metadata = BytesMut::new();
            Value::string("onMetaData").encode(&mut metadata);
            Value::EcmaArray(vec![("framerate".into(), Value::Number(25.0))]).encode(&mut metadata);
            let metadata = metadata.freeze();
            loopback.client.send_metadata(&metadata).unwrap();
            loopback.client.send_video(u32::MAX, Bytes::from(vec![0x27; 70_000])).unwrap();
            loopback.client.send_audio(3, Bytes::from_static(b"\xaf\x01aac")).unwrap();
            let expected = [
                ServerEvent::Metadata { body: metadata, frame_rate: Some(25.0) },
                ServerEvent::Video { timestamp_ms: u32::MAX, body: Bytes::from(vec![0x27; 70_000]) },
                ServerEvent::Audio { timestamp_ms: 3, body: Bytes::from_static(b"\xaf\x01aac") },
            ];
            let events: Vec<_> = std::iter::from_fn(|| loopback.run()).collect();
            assert_eq!(events, expected);
            loopback.client.unpublish();
            assert_eq!(loopback.run(), Some(ServerEvent::Unpublished));
            assert!(loopback.client.should_close());
            assert_eq!(loopback.client.queued_bytes(), 0);
        }
    }
}

#[test]
fn a_refusal_reaches_the_client_without_the_key() {
    let mut loopback = Loopback::requested(None, 1000);
    loopback.server.refuse_publish("Stream live/s3cret is not known.");
    assert_eq!(loopback.run(), None);
    let rejected = ClientEvent::Rejected {
        code: "NetStream.Publish.BadName".into(),
        description: "Stream live/*** is not known.".into(),
    };
    assert_eq!(loopback.client.poll_event(), Some(rejected));
    assert!(loopback.client.should_close() && loopback.server.should_close());
}

#[test]
fn a_replaced_publisher_is_told() {
    let mut loopback = Loopback::ready(None, 1000);
    loopback.client.send_video(0, Bytes::from_static(b"\x17\x01\0\0\0x")).unwrap();
    assert!(loopback.run().is_some());
    loopback.server.close("A newer publisher took over.");
    assert_eq!(loopback.run(), None);
    let closed = ClientEvent::Closed {
        code: "NetConnection.Connect.Closed".into(),
        description: "A newer publisher took over.".into(),
    };
    assert_eq!(loopback.client.poll_event(), Some(closed));
    assert_eq!(loopback.client.send_video(0, Bytes::from_static(b"x")), Err(RtmpError::NotPublishing));
}

#[test]
fn long_publications_are_acknowledged_both_ways() {
    let mut loopback = Loopback::ready(None, 60_000);
    let frame = Bytes::from(vec![1; 1_000_000]);
    for number in 0..20 {
        loopback.client.send_video(number * 40, frame.clone()).unwrap();
        assert!(matches!(loopback.run(), Some(ServerEvent::Video { .. })));
    }
    assert_eq!(loopback.run(), None);
}

#[test]
fn a_frame_that_no_message_can_hold_is_not_sent() {
    let mut loopback = Loopback::ready(None, 1_000_000);
    let frame = Bytes::from(vec![0; 0x100_0000]);
    assert_eq!(loopback.client.send_video(0, frame.clone()), Err(RtmpError::TooLong(0x100_0000)));
    loopback.client.send_video(0, frame.slice(1..)).unwrap();
    let Some(ServerEvent::Video { body, .. }) = loopback.run() else { panic!() };
    assert_eq!(body.len(), 0xff_ffff);
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let config = ClientConfig::new(&RtmpUrl::parse("rtmp://h/live/k").unwrap());
    let mut client = ClientSession::new(config, 5);
    let at = client.poll_timeout().unwrap();
    assert_eq!(client.handle_timeout(at - 1), Ok(()));
    let error = client.handle_timeout(at).unwrap_err();
    assert_eq!(error, RtmpError::Timeout { what: TimeoutOf::Handshake, limit_ms: 10_000 });
    assert!(client.should_close());
}

/// A tag and its time in milliseconds; video is `Ok`.
type TimedTag = (u32, Result<VideoTag, AudioTag>);

fn any_tags() -> impl Strategy<Value = (VideoCodec, Vec<TimedTag>)> {
    let codec = prop_oneof![Just(VideoCodec::H264), Just(VideoCodec::Hevc)];
    codec.prop_flat_map(|codec| {
        let data = |most| prop::collection::vec(any::<u8>(), 1..most).prop_map(Bytes::from);
        let frame =
            (data(9000), any::<bool>(), -500..500_i32).prop_map(|(data, is_key, composition_time_ms)| {
                VideoTag::Frame { is_key, composition_time_ms, data }
            });
        let tag = prop_oneof![
            4 => frame.prop_map(Ok),
            1 => data(60).prop_map(move |record| Ok(VideoTag::SequenceHeader { codec, record })),
            1 => Just(Ok(VideoTag::EndOfSequence)),
            3 => data(600).prop_map(|data| Err(AudioTag::Frame { data })),
            1 => data(8).prop_map(|record| Err(AudioTag::SequenceHeader { record })),
        ];
        (Just(codec), prop::collection::vec((any::<u32>(), tag), 1..30))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tags_arrive_as_sent((codec, tags) in any_tags(), step in 1..5000_usize) {
        let mut loopback = Loopback::ready(None, step);
        for (timestamp_ms, tag) in &tags {
            match tag {
                Ok(video) => loopback.client.send_video_tag(*timestamp_ms, codec, video).unwrap(),
                Err(audio) => loopback.client.send_audio_tag(*timestamp_ms, audio).unwrap(),
            }
        }
        for (sent_ms, tag) in &tags {
            match (loopback.run(), tag) {
                (Some(ServerEvent::Video { timestamp_ms, body }), Ok(video)) => {
                    prop_assert_eq!((timestamp_ms, &parse_video(body).unwrap()), (*sent_ms, video));
                }
                (Some(ServerEvent::Audio { timestamp_ms, body }), Err(audio)) => {
                    prop_assert_eq!((timestamp_ms, &parse_audio(body).unwrap()), (*sent_ms, audio));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// Whatever bytes come after the handshake, both sessions end in an error or wait, with bounded memory.
    #[test]
    fn any_bytes_after_the_handshake_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let bytes = [&[3][..], &[0; 3072], &bytes].concat();
        let mut server = ServerSession::new(ServerConfig::default(), 0);
        let _ = server.handle_input(&bytes, 0);
        let config = ClientConfig::new(&RtmpUrl::parse("rtmp://h/live/k").unwrap());
        let mut client = ClientSession::new(config, 0);
        let _ = client.handle_input(&bytes, 0);
    }
}
