//! The session: input, deadlines, media out.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::config::ClientConfig;
use super::event::ClientEvent;
use crate::amf0::Value;
use crate::flv::{self, AudioTag, VideoTag};
use crate::rtmp::chunk::{ChunkReader, ChunkWriter};
use crate::rtmp::command::{COMMAND_CHUNK_STREAM, Command};
use crate::rtmp::control::{self, UserControl};
use crate::rtmp::error::{RtmpError, TimeoutOf};
use crate::rtmp::handshake::ClientHandshake;
use crate::rtmp::limits::{MAX_COMMAND_MESSAGE_BYTES, MAX_DATA_MESSAGE_BYTES, MAX_MESSAGE_BYTES};
use crate::rtmp::message::{Message, MessageHeader, message_type};
use crate::rtmp::transmit::Transmit;
use crate::rtmp::window::ReceiveWindow;
use crate::sample::VideoCodec;

/// Chunk streams of media: one each, so that a large frame of one kind need not be whole before the other goes on.
const AUDIO_CHUNK_STREAM: u32 = 4;
const VIDEO_CHUNK_STREAM: u32 = 6;

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Handshake,
    Connecting,
    Creating,
    Publishing,
    Ready,
    Closing,
}

/// The client's end of one connection, see [the loop of a driver](crate::rtmp).
///
/// Call [`ClientSession::handle_input`] once after connecting, without input: it puts the first bytes of the handshake out.
pub struct ClientSession {
    pub(super) config: ClientConfig,
    pub(super) phase: Phase,
    since_us: i64,
    /// What has come and could not be read yet: half a handshake or chunk header.
    held: Vec<u8>,
    handshake: ClientHandshake,
    reader: ChunkReader,
    pub(super) writer: ChunkWriter,
    pub(super) out: Transmit,
    pub(super) events: VecDeque<ClientEvent>,
    window: ReceiveWindow,
    /// Message stream that the server made for us.
    pub(super) stream_id: u32,
}

/// Without the buffers: they hold the key.
impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl ClientSession {
    /// A session for a connection that was made at `now_us`.
    #[must_use]
    pub fn new(config: ClientConfig, now_us: i64) -> Self {
        let mut reader = ChunkReader::new();
        // A server has no large messages for a publisher.
        reader.set_max_media_bytes(MAX_COMMAND_MESSAGE_BYTES);
        let handshake = ClientHandshake::new(config.seed ^ now_us.unsigned_abs(), config.scheme);
        Self {
            config,
            phase: Phase::Handshake,
            since_us: now_us,
            held: Vec::new(),
            handshake,
            reader,
            writer: ChunkWriter::new(),
            out: Transmit::default(),
            events: VecDeque::new(),
            window: ReceiveWindow::default(),
            stream_id: 0,
        }
    }

    /// Takes what was read from the socket.
    ///
    /// # Errors
    /// [`RtmpError`]: close the connection.
    pub fn handle_input(&mut self, input: &[u8], _now_us: i64) -> Result<(), RtmpError> {
        self.window.received(input.len());
        self.held.extend_from_slice(input);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        let result = self.read(&mut rest);
        self.held = rest.to_vec();
        if !matches!(self.phase, Phase::Handshake | Phase::Closing)
            && let Some(sequence) = self.window.due()
        {
            control::send_acknowledgement(&mut self.writer, &mut self.out, sequence);
        }
        if result.is_err() {
            self.phase = Phase::Closing;
        }
        result
    }

    /// Tells that time has passed.
    ///
    /// # Errors
    /// [`RtmpError::Timeout`] when the server has not accepted the publication in time.
    pub fn handle_timeout(&mut self, now_us: i64) -> Result<(), RtmpError> {
        let Some(what) = self.waits_for() else { return Ok(()) };
        let limit_us = self.config.setup_limit_us;
        if now_us < self.since_us.saturating_add(limit_us) {
            return Ok(());
        }
        self.phase = Phase::Closing;
        Err(RtmpError::Timeout { what, limit_ms: limit_us / 1000 })
    }

    /// When [`ClientSession::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<i64> {
        self.waits_for().map(|_| self.since_us.saturating_add(self.config.setup_limit_us))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.out.pop()
    }

    /// Bytes that wait to be sent: whoever sends media faster than the socket takes it must watch this.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.out.size_bytes()
    }

    /// Whether the server takes media.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// The message stream that media goes out on, once the server takes it: for a driver that sends a
    /// [`TagRun`](crate::flv::TagRun) beside this session. Between two runs it may send what [`ClientSession::poll_transmit`]
    /// gives, and nothing within one.
    #[must_use]
    pub fn stream_id(&self) -> u32 {
        self.stream_id
    }

    /// Whether the connection is to be closed once everything is sent.
    #[must_use]
    pub fn should_close(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Sends the body of an FLV video tag as it is.
    ///
    /// # Errors
    /// [`RtmpError::NotPublishing`], [`RtmpError::TooLong`]; nothing was sent and the session stands.
    pub fn send_video(&mut self, timestamp_ms: u32, body: Bytes) -> Result<(), RtmpError> {
        self.send_media(message_type::VIDEO, VIDEO_CHUNK_STREAM, timestamp_ms, &[], body)
    }

    /// Sends the body of an FLV audio tag as it is.
    ///
    /// # Errors
    /// As [`ClientSession::send_video`].
    pub fn send_audio(&mut self, timestamp_ms: u32, body: Bytes) -> Result<(), RtmpError> {
        self.send_media(message_type::AUDIO, AUDIO_CHUNK_STREAM, timestamp_ms, &[], body)
    }

    /// Sends a video tag without copying its payload: H.264 in the old form, HEVC as Enhanced RTMP `hvc1`. Tags that have no
    /// form on the wire (`Metadata`, `Ignored`) are passed over.
    ///
    /// # Errors
    /// As [`ClientSession::send_video`].
    pub fn send_video_tag(
        &mut self,
        timestamp_ms: u32,
        codec: VideoCodec,
        tag: &VideoTag,
    ) -> Result<(), RtmpError> {
        let Some((prefix, payload)) = flv::video_parts(codec, tag) else { return Ok(()) };
        self.send_media(message_type::VIDEO, VIDEO_CHUNK_STREAM, timestamp_ms, prefix.as_slice(), payload)
    }

    /// Sends an AAC tag without copying its payload. Tags that have no form on the wire are passed over.
    ///
    /// # Errors
    /// As [`ClientSession::send_video`].
    pub fn send_audio_tag(&mut self, timestamp_ms: u32, tag: &AudioTag) -> Result<(), RtmpError> {
        let Some((prefix, payload)) = flv::audio_parts(tag) else { return Ok(()) };
        self.send_media(message_type::AUDIO, AUDIO_CHUNK_STREAM, timestamp_ms, prefix.as_slice(), payload)
    }

    /// Sends `onMetaData` as `@setDataFrame`; `body` begins with the string `onMetaData`, as an FLV script tag does.
    ///
    /// # Errors
    /// As [`ClientSession::send_video`].
    pub fn send_metadata(&mut self, body: &Bytes) -> Result<(), RtmpError> {
        let mut framed = BytesMut::with_capacity(16 + body.len());
        Value::string("@setDataFrame").encode(&mut framed);
        framed.extend_from_slice(body);
        if framed.len() > MAX_DATA_MESSAGE_BYTES as usize {
            return Err(RtmpError::TooLong(framed.len()));
        }
        self.send_media(message_type::DATA, AUDIO_CHUNK_STREAM, 0, &[], framed.freeze())
    }

    /// Says goodbye (`FCUnpublish`, `deleteStream`) and asks to be closed once everything is sent.
    pub fn unpublish(&mut self) {
        if self.phase == Phase::Ready {
            let name = Value::string(self.config.key.expose());
            self.send_command("FCUnpublish", 6.0, vec![Value::Null, name]);
            let stream = Value::Number(f64::from(self.stream_id));
            self.send_command("deleteStream", 7.0, vec![Value::Null, stream]);
        }
        self.phase = Phase::Closing;
    }

    pub(super) fn send_command(&mut self, name: &str, transaction: f64, arguments: Vec<Value>) {
        let command = Command::new(name, transaction, arguments);
        command.send(&mut self.writer, &mut self.out, COMMAND_CHUNK_STREAM, 0);
    }

    fn send_media(
        &mut self,
        type_id: u8,
        chunk_stream_id: u32,
        timestamp_ms: u32,
        prefix: &[u8],
        payload: Bytes,
    ) -> Result<(), RtmpError> {
        if self.phase != Phase::Ready {
            return Err(RtmpError::NotPublishing);
        }
        let length = prefix.len() + payload.len();
        if length > MAX_MESSAGE_BYTES as usize {
            return Err(RtmpError::TooLong(length));
        }
        let header = MessageHeader { chunk_stream_id, timestamp_ms, type_id, stream_id: self.stream_id };
        self.writer.write(&header, prefix, payload, &mut self.out);
        Ok(())
    }

    fn waits_for(&self) -> Option<TimeoutOf> {
        match self.phase {
            Phase::Handshake => Some(TimeoutOf::Handshake),
            Phase::Connecting => Some(TimeoutOf::Connect),
            Phase::Creating | Phase::Publishing => Some(TimeoutOf::Publish),
            Phase::Ready | Phase::Closing => None,
        }
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<(), RtmpError> {
        if self.phase == Phase::Handshake {
            if !self.handshake.advance(input, &mut self.out)? {
                return Ok(());
            }
            self.phase = Phase::Connecting;
            self.request_connect();
        }
        while self.phase != Phase::Closing {
            let Some(message) = self.reader.read(input)? else { return Ok(()) };
            self.message(&message)?;
        }
        *input = &[];
        Ok(())
    }

    fn message(&mut self, message: &Message) -> Result<(), RtmpError> {
        match message.type_id {
            message_type::COMMAND | message_type::COMMAND_AMF3 => {
                let command = Command::parse(message.type_id, &message.payload)?;
                self.reply(&command);
            }
            message_type::WINDOW_ACK_SIZE => {
                if let Some(window) = control::number(&message.payload) {
                    self.window.set(window);
                }
            }
            message_type::SET_PEER_BANDWIDTH => {
                // RTMP §5.4.5: answered with our window.
                if let Some(window) = control::number(&message.payload).filter(|window| *window > 0) {
                    control::send_window_ack_size(&mut self.writer, &mut self.out, window);
                }
            }
            message_type::USER_CONTROL => {
                if let Some(UserControl::PingRequest(number)) = UserControl::parse(&message.payload) {
                    let answer = UserControl::PingResponse(number);
                    control::send_user_control(&mut self.writer, &mut self.out, answer);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
