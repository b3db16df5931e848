//! The session against commands made by hand. Client and server together: `client::tests`.

use bytes::{Buf as _, Bytes, BytesMut};

use super::*;
use crate::amf0::Value;
use crate::rtmp::chunk::{ChunkReader, ChunkWriter};
use crate::rtmp::command::{Command, information};
use crate::rtmp::limits::{FIRST_MEDIA_LIMIT_US, IDLE_LIMIT_US, SETUP_LIMIT_US};
use crate::rtmp::{Message, MessageHeader, RtmpError, StreamKey, TimeoutOf, Transmit, message_type};

/// A client that says exactly what a test wants it to say.
struct Peer {
    session: ServerSession,
    writer: ChunkWriter,
    reader: ChunkReader,
    received: BytesMut,
    now_us: i64,
}

impl Peer {
    /// After the handshake.
    fn new() -> Self {
        let mut peer = Self {
            session: ServerSession::new(ServerConfig::default(), 0),
            writer: ChunkWriter::new(),
            reader: ChunkReader::new(),
            received: BytesMut::new(),
            now_us: 0,
        };
        let mut hello = vec![3; 1 + 1536];
        hello[5..9].fill(0);
        peer.bytes(&hello).unwrap();
        peer.bytes(&[0; 1536]).unwrap();
        peer.collect();
        assert_eq!(peer.received.split_to(1 + 2 * 1536)[0], 3);
        peer
    }

    /// After `connect`.
    fn connected() -> Self {
        let mut peer = Self::new();
        let object =
            [("app", Value::string("live")), ("tcUrl", Value::string("rtmp://u:p@h/live?key=secret"))];
        peer.command("connect", 1.0, vec![Value::object(object)], 0).unwrap();
        assert!(matches!(peer.session.poll_event(), Some(ServerEvent::Connected { .. })));
        peer.replies();
        peer
    }

    /// After `publish` was accepted.
    fn publishing() -> Self {
        let mut peer = Self::connected();
        peer.publish("key");
        assert!(matches!(peer.session.poll_event(), Some(ServerEvent::PublishRequested { .. })));
        peer.session.accept_publish();
        peer.replies();
        peer
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), RtmpError> {
        self.session.handle_input(bytes, self.now_us)
    }

    fn send(
        &mut self,
        type_id: u8,
        timestamp_ms: u32,
        stream_id: u32,
        payload: &[u8],
    ) -> Result<(), RtmpError> {
        let mut out = Transmit::default();
        let header = MessageHeader { chunk_stream_id: 4, timestamp_ms, type_id, stream_id };
        self.writer.write(&header, &[], Bytes::copy_from_slice(payload), &mut out);
        let bytes: Vec<u8> = std::iter::from_fn(|| out.pop()).flatten().collect();
        self.bytes(&bytes)
    }

    fn command(&mut self, name: &str, id: f64, arguments: Vec<Value>, stream: u32) -> Result<(), RtmpError> {
        let body = Command::new(name, id, arguments).encode();
        self.send(message_type::COMMAND, 0, stream, &body)
    }

    fn publish(&mut self, key: &str) {
        self.command("publish", 5.0, vec![Value::Null, Value::string(key), Value::string("live")], 1)
            .unwrap();
    }

    fn collect(&mut self) {
        while let Some(piece) = self.session.poll_transmit() {
            self.received.extend_from_slice(&piece);
        }
    }

    fn messages(&mut self) -> Vec<Message> {
        self.collect();
        let mut input = &self.received[..];
        let messages = std::iter::from_fn(|| self.reader.read(&mut input).unwrap()).collect();
        let read = self.received.len() - input.len();
        self.received.advance(read);
        messages
    }

    fn replies(&mut self) -> Vec<Command> {
        let messages = self.messages();
        let commands = messages.iter().filter(|message| message.type_id == message_type::COMMAND);
        commands.map(|message| Command::parse(message.type_id, &message.payload).unwrap()).collect()
    }

    fn reply(&mut self) -> Command {
        let mut replies = self.replies();
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies.remove(0)
    }

    fn events(&mut self) -> Vec<ServerEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }
}

fn code(command: &Command) -> &str {
    command.arguments[1].get("code").and_then(Value::as_str).unwrap()
}

#[test]
fn connect_is_answered_and_told() {
    let mut peer = Peer::new();
    let object = Value::object([
        ("app", Value::string("live?vhost=x")),
        ("tcUrl", Value::string("rtmp://user:pass@h:1935/live?key=secret")),
        ("flashVer", Value::string("FMLE/3.0\n")),
        ("objectEncoding", Value::Number(3.0)),
    ]);
    peer.command("connect", 1.0, vec![object], 0).unwrap();
    let expected = ServerEvent::Connected {
        app: "live".into(),
        tc_url: "rtmp://h:1935/live".into(),
        flash_ver: "FMLE/3.0".into(),
    };
    assert_eq!(peer.events(), [expected]);
    peer.collect();
    let mut raw = peer.received.clone();
    let messages = peer.messages();
    let kinds: Vec<u8> = messages.iter().map(|message| message.type_id).collect();
    assert_eq!(kinds, [5, 6, 20], "window, bandwidth, result; the chunk size is the reader's");
    assert!(raw.split_off(33).starts_with(&[2, 0, 0, 0, 0, 0, 4, 1]), "the chunk size comes third");
    let result = Command::parse(20, &messages[2].payload).unwrap();
    assert_eq!((result.name.as_str(), result.transaction), ("_result", 1.0));
    assert_eq!(code(&result), "NetConnection.Connect.Success");
    assert_eq!(result.arguments[1].get("objectEncoding"), Some(&Value::Number(0.0)));
    assert_eq!(result.arguments[0].get("fourCcList"), None, "not asked for");
}

#[test]
fn enhanced_rtmp_is_answered_to_who_speaks_it() {
    let mut peer = Peer::new();
    let list = Value::StrictArray(["av01", "hvc1"].map(Value::string).to_vec());
    let map = Value::object([("*", Value::Number(4.0))]);
    let object = Value::object([
        ("app", Value::string("live")),
        ("fourCcList", list),
        ("videoFourCcInfoMap", map),
        ("capsEx", Value::Number(15.0)),
    ]);
    peer.command("connect", 1.0, vec![object], 0).unwrap();
    let result = peer.reply();
    let ours = Value::StrictArray(["hvc1", "avc1", "mp4a"].map(Value::string).to_vec());
    for object in &result.arguments {
        assert_eq!(object.get("fourCcList"), Some(&ours));
        assert_eq!(object.get("videoFourCcInfoMap").unwrap().get("hvc1"), Some(&Value::Number(4.0)));
        assert_eq!(object.get("audioFourCcInfoMap").unwrap().get("mp4a"), Some(&Value::Number(4.0)));
        assert!(object.get("capsEx").is_some());
    }
}

/// As OBS and FFmpeg do it, with the key's query string.
#[test]
fn a_publication_from_release_stream_to_delete_stream() {
    let mut peer = Peer::connected();
    let name = || Value::string("key?user=1");
    peer.command("releaseStream", 2.0, vec![Value::Null, name()], 0).unwrap();
    peer.command("FCPublish", 3.0, vec![Value::Null, name()], 0).unwrap();
    peer.command("createStream", 4.0, vec![Value::Null], 0).unwrap();
    let replies = peer.replies();
    let ids: Vec<f64> = replies.iter().map(|reply| reply.transaction).collect();
    assert_eq!(ids, [2.0, 3.0, 4.0]);
    assert_eq!(replies[2].number(1), Some(1.0), "the message stream");
    peer.publish("key?user=1");
    let key = StreamKey::new("key?user=1");
    assert_eq!(
        peer.events(),
        [ServerEvent::PublishRequested { app: "live".into(), key, otherwise: Vec::new() }]
    );
    assert!(peer.replies().is_empty(), "the driver decides");
    peer.session.accept_publish();
    let replies = peer.replies();
    let names: Vec<(&str, &str)> = replies.iter().map(|reply| (reply.name.as_str(), code(reply))).collect();
    assert_eq!(names, [("onFCPublish", "NetStream.Publish.Start"), ("onStatus", "NetStream.Publish.Start")]);

    peer.send(message_type::VIDEO, 40, 1, b"v").unwrap();
    peer.send(message_type::AUDIO, 41, 1, b"a").unwrap();
    peer.send(message_type::AUDIO, 42, 1, b"").unwrap();
    let video = ServerEvent::Video { timestamp_ms: 40, body: Bytes::from_static(b"v") };
    let audio = ServerEvent::Audio { timestamp_ms: 41, body: Bytes::from_static(b"a") };
    assert_eq!(peer.events(), [video, audio], "an empty message is none");

    peer.command("FCUnpublish", 6.0, vec![Value::Null, name()], 0).unwrap();
    peer.command("deleteStream", 7.0, vec![Value::Null, Value::Number(1.0)], 0).unwrap();
    assert_eq!(peer.events(), [ServerEvent::Unpublished], "once");
    let last = peer.replies();
    assert!(
        last.iter().any(|reply| reply.name == "onStatus" && code(reply) == "NetStream.Unpublish.Success")
    );
    peer.send(message_type::VIDEO, 80, 1, b"late").unwrap();
    assert_eq!(peer.events(), []);
    peer.publish("again");
    assert!(matches!(&peer.events()[..], [ServerEvent::PublishRequested { .. }]));
}

#[test]
fn every_way_to_end_ends() {
    for (name, arguments) in [
        ("closeStream", vec![Value::Null]),
        ("deleteStream", vec![Value::Null]),
        ("deleteStream", vec![Value::Null, Value::Number(1.0)]),
        ("FCUnpublish", vec![Value::Null, Value::string("key")]),
    ] {
        let mut peer = Peer::publishing();
        peer.command("deleteStream", 0.0, vec![Value::Null, Value::Number(9.0)], 0).unwrap();
        assert_eq!(peer.events(), [], "another stream");
        peer.command(name, 0.0, arguments, 1).unwrap();
        assert_eq!(peer.events(), [ServerEvent::Unpublished], "{name}");
        assert!(!peer.session.is_publishing());
    }
}

#[test]
fn a_refused_publisher_is_told_and_closed() {
    let mut peer = Peer::connected();
    peer.publish("wrong");
    peer.session.refuse_publish("This stream key is not known.");
    let status = peer.reply();
    assert_eq!(status.name, "onStatus");
    assert_eq!(
        status.arguments[1],
        information("error", "NetStream.Publish.BadName", "This stream key is not known.")
    );
    assert!(peer.session.should_close());
    assert_eq!(peer.session.poll_timeout(), None);
    peer.send(message_type::VIDEO, 0, 1, b"v").unwrap();
    assert!(matches!(&peer.events()[..], [ServerEvent::PublishRequested { .. }]));
}

#[test]
fn what_comes_before_the_answer_is_read_after_it() {
    let mut peer = Peer::connected();
    peer.publish("key");
    peer.send(message_type::VIDEO, 7, 1, &[1; 500]).unwrap();
    assert_eq!(peer.events().len(), 1);
    peer.session.accept_publish();
    assert_eq!(peer.events(), [ServerEvent::Video { timestamp_ms: 7, body: Bytes::from(vec![1; 500]) }]);
}

#[test]
fn a_fault_that_came_before_the_answer_is_told_at_once() {
    let mut peer = Peer::connected();
    peer.publish("key");
    peer.send(message_type::SET_CHUNK_SIZE, 0, 0, &[0; 4]).unwrap();
    peer.session.accept_publish();
    assert_eq!(peer.session.poll_timeout(), Some(peer.now_us));
    assert_eq!(peer.session.handle_timeout(0).unwrap_err().name(), "chunk_size");
    assert!(peer.session.should_close());
}

#[test]
fn a_flood_before_the_answer_is_bounded() {
    let mut peer = Peer::connected();
    peer.publish("key");
    let error = (0..100).find_map(|_| peer.bytes(&[0xc4; 10_000]).err());
    assert_eq!(error, Some(RtmpError::UnreadBudget));
}

#[test]
fn the_key_may_be_the_last_part_of_the_application() {
    let mut peer = Peer::new();
    let object = [("app", Value::string("live/KEY")), ("tcUrl", Value::string("rtmp://h/live/KEY"))];
    peer.command("connect", 1.0, vec![Value::object(object.clone())], 0).unwrap();
    // The first bytes of a header: held, and not shown.
    peer.bytes(&[3, b'K', b'E', b'Y']).unwrap();
    assert!(!format!("{:?} {:?}", peer.events(), peer.session).contains("KEY"));
    let mut peer = Peer::new();
    peer.command("connect", 1.0, vec![Value::object(object)], 0).unwrap();
    peer.publish("");
    let ServerEvent::PublishRequested { app, key, .. } = peer.events().pop().unwrap() else { panic!() };
    assert_eq!((app.as_str(), key.expose()), ("live", "KEY"));
}

/// A player whose `play` was sent.
fn player(name: &str) -> Peer {
    let mut peer = Peer::connected();
    peer.command("getStreamLength", 3.0, vec![Value::Null, Value::string(name)], 0).unwrap();
    assert_eq!(peer.reply().name, "_result");
    peer.command("play", 4.0, vec![Value::Null, Value::string(name)], 1).unwrap();
    peer
}

#[test]
fn a_player_is_accepted_acknowledges_for_hours_and_stops() {
    let mut peer = player("court?token=x");
    let events = peer.events();
    assert!(!format!("{events:?}").contains("court"), "it may be a key");
    let [ServerEvent::PlayRequested { app, name, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((app.as_str(), name.expose()), ("live", "court?token=x"));
    assert_eq!(peer.session.poll_timeout(), None);
    peer.session.accept_play();
    assert!(peer.session.is_playing());
    assert_eq!(peer.session.play_stream(), 1);
    let replies = peer.replies();
    let codes: Vec<_> = replies.iter().map(code).collect();
    assert_eq!(codes, ["NetStream.Play.Reset", "NetStream.Play.Start"]);
    for _ in 0..10_000 {
        peer.send(message_type::ACKNOWLEDGEMENT, 0, 0, &[0; 4]).unwrap();
    }
    peer.command("publish", 5.0, vec![Value::Null, Value::string("key")], 1).unwrap();
    assert_eq!(code(&peer.reply()), "NetStream.Publish.BadName");
    peer.command("deleteStream", 0.0, vec![Value::Null, Value::Number(1.0)], 0).unwrap();
    assert_eq!(peer.events(), [ServerEvent::PlayStopped]);
    assert!(!peer.session.is_playing() && !peer.session.should_close());
}

#[test]
fn a_player_is_told_that_there_is_nothing_and_that_it_has_ended() {
    let mut peer = player("court");
    peer.session.refuse_play();
    assert_eq!(code(&peer.reply()), "NetStream.Play.StreamNotFound");
    assert!(peer.session.should_close());
    let mut peer = player("court");
    peer.session.accept_play();
    peer.replies();
    peer.session.end_play();
    let replies = peer.replies();
    let codes: Vec<_> = replies.iter().map(code).collect();
    assert_eq!(codes, ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"]);
    assert!(peer.session.should_close());
    let mut flood = player("court");
    flood.session.accept_play();
    let flooded = (0..10_000).find_map(|_| flood.send(message_type::VIDEO, 0, 1, &[0; 100]).err());
    assert!(flooded.is_some(), "what is no receipt has a budget");
}

#[test]
fn unknown_commands_are_refused_or_passed_over() {
    let mut peer = Peer::connected();
    peer.command("_checkbw", 0.0, vec![Value::Null], 0).unwrap();
    assert_eq!(peer.replies(), []);
    peer.command("getUser", 8.0, vec![Value::Null], 0).unwrap();
    let reply = peer.reply();
    assert_eq!((reply.name.as_str(), reply.transaction), ("_error", 8.0));
    for _ in 0..100 {
        peer.command("createStream", 9.0, vec![Value::Null], 0).unwrap();
    }
    let made = peer.replies().iter().filter(|reply| reply.name == "_result").count();
    assert_eq!(made, 16);
    assert!(peer.command("publish", 5.0, vec![Value::Null], 1).is_err());
}

#[test]
fn commands_in_amf3_framing_are_read() {
    let mut peer = Peer::connected();
    let body = Command::new("publish", 5.0, vec![Value::Null, Value::string("key")]).encode();
    peer.send(message_type::COMMAND_AMF3, 0, 1, &[&[0], &body[..]].concat()).unwrap();
    assert!(matches!(&peer.events()[..], [ServerEvent::PublishRequested { .. }]));
}

#[test]
fn the_first_command_must_be_connect() {
    let error = Peer::new().command("createStream", 1.0, vec![Value::Null], 0).unwrap_err();
    assert_eq!(error.to_string(), "RTMP command connect: must be the first command");
}

#[test]
fn metadata_is_handed_on_verbatim_with_its_frame_rate() {
    let rate = |value: Value| {
        let mut peer = Peer::publishing();
        let mut plain = BytesMut::new();
        Value::string("onMetaData").encode(&mut plain);
        Value::EcmaArray(vec![("width".into(), Value::Number(1280.0)), ("framerate".into(), value)])
            .encode(&mut plain);
        let mut framed = BytesMut::new();
        Value::string("@setDataFrame").encode(&mut framed);
        framed.extend_from_slice(&plain);
        let mut frame_rates = Vec::new();
        for (kind, bytes) in [(18, plain.to_vec()), (18, framed.to_vec()), (15, [&[0], &framed[..]].concat())]
        {
            peer.send(kind, 0, 1, &bytes).unwrap();
            let Some(ServerEvent::Metadata { body, frame_rate }) = peer.events().pop() else {
                panic!("type {kind}")
            };
            assert_eq!(body, plain);
            frame_rates.push(frame_rate);
        }
        assert!(frame_rates.iter().all(|rate| *rate == frame_rates[0]));
        frame_rates[0]
    };
    assert_eq!(rate(Value::Number(29.97)), Some(29.97));
    assert_eq!(rate(Value::string("25")), Some(25.0));
    for nonsense in [Value::Number(0.0), Value::Number(f64::NAN), Value::Number(1e9), Value::Null] {
        assert_eq!(rate(nonsense), None);
    }
    let mut peer = Peer::publishing();
    peer.send(18, 0, 1, b"\x02\x00\x0aonTextData\x05").unwrap();
    peer.send(18, 0, 1, b"\x02\xff").unwrap();
    peer.send(18, 0, 1, b"").unwrap();
    // Two of them cannot be read: that is told, once.
    assert_eq!(peer.events(), [ServerEvent::Skipped { type_id: 18, length: 2 }]);
    assert_eq!(peer.session.skipped(), 2);
}

#[test]
fn what_cannot_be_used_is_passed_over_and_ends_nothing() {
    let too_long = vec![0x02; 300_000];
    let mut broken_metadata = Vec::new();
    broken_metadata.extend_from_slice(b"\x02\x00\x0d@setDataFrame\x02\x00\xffonMeta");
    for (type_id, body) in [
        (message_type::DATA, &too_long[..]),
        (message_type::DATA_AMF3, &too_long),
        // A shared object, and a type that nobody has.
        (19, &too_long),
        (99, &too_long),
        (message_type::DATA, &broken_metadata),
        (message_type::DATA, b"\x33"),
        (message_type::COMMAND, b"\x02\x00\x09x"),
        (message_type::COMMAND_AMF3, b"\x00\x02\xff"),
    ] {
        let mut peer = Peer::publishing();
        peer.send(message_type::VIDEO, 0, 1, b"one").unwrap();
        for _ in 0..3 {
            peer.send(type_id, 0, 1, body).unwrap();
        }
        peer.send(message_type::VIDEO, 40, 1, b"two").unwrap();
        let events = peer.events();
        let videos = events.iter().filter(|event| matches!(event, ServerEvent::Video { .. }));
        assert_eq!(videos.count(), 2, "{type_id}");
        assert!(peer.session.is_publishing());
        // Told once, counted each time.
        let told: Vec<_> =
            events.iter().filter(|event| matches!(event, ServerEvent::Skipped { .. })).collect();
        assert_eq!(told, [&ServerEvent::Skipped { type_id, length: body.len() as u32 }]);
        assert_eq!(peer.session.skipped(), 3);
    }
    // Media that is too long for a message cannot be announced at all; a command that long is still an error.
    let mut peer = Peer::publishing();
    assert!(peer.send(message_type::COMMAND, 0, 1, &too_long).is_err());
    // Before a publication nobody may send so much.
    let mut peer = Peer::connected();
    assert!(peer.send(message_type::DATA, 0, 0, &too_long).is_err());
}

#[test]
fn an_aggregate_is_taken_apart() {
    let mut body = BytesMut::new();
    let tag = |kind: u8, timestamp_ms: u32, data: &'static [u8], body: &mut BytesMut| {
        let kind = if kind == 8 { crate::flv::FlvTagKind::Audio } else { crate::flv::FlvTagKind::Video };
        crate::flv::write_file_tag(&crate::flv::FlvFileTag { timestamp_ms, kind, body: data.into() }, body);
    };
    tag(9, 0x0100_0000, b"vid", &mut body);
    tag(8, 0x0100_0015, b"aud", &mut body);
    body.extend_from_slice(b"\x09\x00\xff\xff");
    let mut peer = Peer::publishing();
    peer.send(message_type::AGGREGATE, 500, 1, &body).unwrap();
    let video = ServerEvent::Video { timestamp_ms: 500, body: Bytes::from_static(b"vid") };
    let audio = ServerEvent::Audio { timestamp_ms: 521, body: Bytes::from_static(b"aud") };
    assert_eq!(peer.events(), [video, audio]);
}

#[test]
fn pings_are_answered_and_windows_acknowledged() {
    let mut peer = Peer::publishing();
    peer.send(message_type::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]).unwrap();
    assert_eq!(peer.messages()[0].payload, [0, 7, 1, 2, 3, 4][..]);
    peer.send(message_type::WINDOW_ACK_SIZE, 0, 0, &0_u32.to_be_bytes()).unwrap();
    peer.send(message_type::WINDOW_ACK_SIZE, 0, 0, &10_000_u32.to_be_bytes()).unwrap();
    peer.send(message_type::VIDEO, 0, 1, &[0; 6000]).unwrap();
    let messages = peer.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].type_id, message_type::ACKNOWLEDGEMENT);
    let sequence = crate::rtmp::control::number(&messages[0].payload).unwrap();
    assert!((9000..10_000).contains(&sequence), "handshake and all: {sequence}");
}

#[test]
fn a_peer_that_asks_and_never_reads_is_cut_off() {
    let mut peer = Peer::publishing();
    let error =
        (0..100_000).find_map(|_| peer.send(message_type::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]).err());
    assert_eq!(error, Some(RtmpError::ReplyBudget));
}

#[test]
fn each_wait_has_its_limit() {
    let timeout = |what, limit_us: i64| RtmpError::Timeout { what, limit_ms: limit_us / 1000 };
    let mut silent = ServerSession::new(ServerConfig::default(), 1_000);
    assert_eq!(silent.poll_timeout(), Some(1_000 + SETUP_LIMIT_US));
    assert_eq!(silent.handle_timeout(SETUP_LIMIT_US), Ok(()));
    let error = silent.handle_timeout(1_000 + SETUP_LIMIT_US).unwrap_err();
    assert_eq!(error, timeout(TimeoutOf::Handshake, SETUP_LIMIT_US));
    assert_eq!(error.to_string(), "no RTMP handshake within 10000 ms");

    let error = Peer::new().session.handle_timeout(SETUP_LIMIT_US);
    assert_eq!(error, Err(timeout(TimeoutOf::Connect, SETUP_LIMIT_US)));
    let error = Peer::connected().session.handle_timeout(SETUP_LIMIT_US);
    assert_eq!(error, Err(timeout(TimeoutOf::Publish, SETUP_LIMIT_US)));

    let mut peer = Peer::publishing();
    assert_eq!(peer.session.poll_timeout(), Some(FIRST_MEDIA_LIMIT_US));
    // Commands and control messages are no media.
    peer.now_us = 5_000_000;
    peer.send(message_type::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]).unwrap();
    let error = peer.session.handle_timeout(FIRST_MEDIA_LIMIT_US);
    assert_eq!(error, Err(timeout(TimeoutOf::FirstMedia, FIRST_MEDIA_LIMIT_US)));

    let mut peer = Peer::publishing();
    peer.now_us = 9_000_000;
    peer.send(message_type::AUDIO, 0, 1, b"a").unwrap();
    assert_eq!(peer.session.handle_timeout(9_000_000 + IDLE_LIMIT_US - 1), Ok(()));
    let error = peer.session.handle_timeout(9_000_000 + IDLE_LIMIT_US);
    assert_eq!(error, Err(timeout(TimeoutOf::Media, IDLE_LIMIT_US)));

    let mut peer = Peer::connected();
    peer.publish("key");
    assert_eq!(peer.session.poll_timeout(), None, "the driver's turn");
}

#[test]
fn the_peer_is_told_what_ends_the_connection() {
    let mut peer = Peer::publishing();
    peer.session.handle_timeout(FIRST_MEDIA_LIMIT_US).unwrap_err();
    let text = "no audio or video after publish within 20000 ms";
    assert_eq!(peer.reply().arguments[1], information("error", "NetConnection.Connect.Closed", text));
    let mut peer = Peer::publishing();
    peer.send(message_type::SET_CHUNK_SIZE, 0, 0, &[0x80, 0, 0, 0]).unwrap_err();
    let text = peer.reply().arguments[1].get("description").unwrap().as_str().unwrap().to_owned();
    assert!(text.ends_with("chunk size 2147483648 is not between 1 and 2147483647"), "{text}");
}

#[test]
fn before_publishing_a_peer_may_say_only_so_much() {
    let mut peer = Peer::connected();
    let error = (0..200).find_map(|_| peer.send(message_type::VIDEO, 0, 1, &[0; 1000]).err());
    assert_eq!(error, Some(RtmpError::PrePublishBudget));
    let error = Peer::connected().send(message_type::VIDEO, 0, 1, &[0; 70_000]).unwrap_err();
    assert_eq!(error.name(), "message_too_long");
}

#[test]
fn a_session_that_is_replaced_says_so() {
    let mut peer = Peer::publishing();
    peer.session.close("A newer publisher took over.");
    let status = peer.reply();
    assert_eq!(code(&status), "NetConnection.Connect.Closed");
    assert!(peer.session.should_close());
    let mut silent = ServerSession::new(ServerConfig::default(), 0);
    silent.close("Shutting down.");
    assert_eq!(silent.poll_transmit(), None, "no handshake, no words");
}
