//! The session: input, deadlines, output.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::config::ServerConfig;
use super::event::ServerEvent;
use crate::rtmp::chunk::{ChunkReader, ChunkWriter};
use crate::rtmp::control;
use crate::rtmp::error::{RtmpError, TimeoutOf};
use crate::rtmp::handshake::ServerHandshake;
use crate::rtmp::limits::{
    MAX_COMMAND_MESSAGE_BYTES, MAX_MESSAGE_BYTES, MAX_PRE_PUBLISH_BYTES, MAX_REPLY_BYTES, MAX_UNREAD_BYTES,
};
use crate::rtmp::message::{Message, message_type};
use crate::rtmp::transmit::Transmit;
use crate::rtmp::window::ReceiveWindow;

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Handshake,
    /// Waiting for `connect`.
    Fresh,
    /// Waiting for `publish`.
    Connected,
    /// Waiting for the driver's answer on `publish`.
    Deciding,
    /// Waiting for the driver's answer on `play`.
    DecidingPlay,
    /// The driver sends media beside what is polled here.
    Playing,
    Publishing {
        has_media: bool,
    },
    /// Nothing is read any more.
    Closing,
}

/// The server's end of one connection, see [the loop of a driver](crate::rtmp).
pub struct ServerSession {
    pub(super) config: ServerConfig,
    pub(super) phase: Phase,
    pub(super) now_us: i64,
    /// What the running time limit is counted from.
    pub(super) since_us: i64,
    /// What has come and could not be read yet: half a handshake or chunk header, or what a publisher sends before it is accepted.
    held: Vec<u8>,
    handshake: ServerHandshake,
    pub(super) reader: ChunkReader,
    pub(super) writer: ChunkWriter,
    pub(super) out: Transmit,
    pub(super) events: VecDeque<ServerEvent>,
    pub(super) window: ReceiveWindow,
    pre_publish_bytes: u64,
    skipped: u64,
    has_told_skipped: bool,
    /// Found while the driver could not be told.
    failure: Option<RtmpError>,
    pub(super) app: String,
    pub(super) message_streams: u32,
    /// Message stream of the publication, or of what is played.
    pub(super) publish_stream: u32,
    pub(super) has_fc_publish: bool,
}

/// Without the buffers: they hold the key.
impl fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSession").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl ServerSession {
    /// A session for a connection that was accepted at `now_us`.
    #[must_use]
    pub fn new(config: ServerConfig, now_us: i64) -> Self {
        let mut reader = ChunkReader::new();
        reader.set_max_media_bytes(MAX_COMMAND_MESSAGE_BYTES);
        // The time is stirred in so that connections differ even where the driver gives no seed.
        let seed = config.seed ^ now_us.unsigned_abs();
        Self {
            config,
            phase: Phase::Handshake,
            now_us,
            since_us: now_us,
            held: Vec::new(),
            handshake: ServerHandshake::new(seed),
            reader,
            writer: ChunkWriter::new(),
            out: Transmit::default(),
            events: VecDeque::new(),
            window: ReceiveWindow::default(),
            pre_publish_bytes: 0,
            skipped: 0,
            has_told_skipped: false,
            failure: None,
            app: String::new(),
            message_streams: 0,
            publish_stream: 0,
            has_fc_publish: false,
        }
    }

    /// Takes what was read from the socket.
    ///
    /// # Errors
    /// [`RtmpError`]: close the connection. Events that came before the fault stand in [`ServerSession::poll_event`].
    pub fn handle_input(&mut self, input: &[u8], now_us: i64) -> Result<(), RtmpError> {
        self.now_us = now_us;
        self.window.received(input.len());
        let result = self.process(input);
        self.acknowledge();
        result?;
        if self.out.size_bytes() > MAX_REPLY_BYTES {
            return Err(self.fail(RtmpError::ReplyBudget));
        }
        Ok(())
    }

    /// Tells that time has passed.
    ///
    /// # Errors
    /// [`RtmpError::Timeout`] when the peer has let a limit pass; an error found while accepting.
    pub fn handle_timeout(&mut self, now_us: i64) -> Result<(), RtmpError> {
        self.now_us = now_us;
        if let Some(failure) = self.failure.take() {
            return Err(self.fail(failure));
        }
        match self.limit() {
            Some((what, limit_us)) if now_us >= self.since_us.saturating_add(limit_us) => {
                Err(self.fail(RtmpError::Timeout { what, limit_ms: limit_us / 1000 }))
            }
            _ => Ok(()),
        }
    }

    /// When [`ServerSession::handle_timeout`] is to be called; `None` while the driver's answer is waited for, and when closing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<i64> {
        if self.failure.is_some() {
            return Some(self.now_us);
        }
        self.limit().map(|(_, limit_us)| self.since_us.saturating_add(limit_us))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.out.pop()
    }

    /// Whether the connection is to be closed once everything is sent.
    #[must_use]
    pub fn should_close(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether a publication was accepted and has not ended.
    #[must_use]
    pub fn is_publishing(&self) -> bool {
        matches!(self.phase, Phase::Publishing { .. })
    }

    /// Lets the publisher begin. What it sent in the meantime is read now: drain events after this.
    pub fn accept_publish(&mut self) {
        if self.phase != Phase::Deciding {
            return;
        }
        self.phase = Phase::Publishing { has_media: false };
        self.since_us = self.now_us;
        self.pre_publish_bytes = 0;
        self.reader.set_max_media_bytes(MAX_MESSAGE_BYTES);
        self.reader.set_skips_long_data(true);
        self.has_told_skipped = false;
        self.reply_publish_started();
        if let Err(error) = self.process(&[]) {
            self.failure = Some(error);
        }
    }

    /// Refuses the publisher with `NetStream.Publish.BadName` and a description that it will show; then closes.
    pub fn refuse_publish(&mut self, description: &str) {
        if self.phase == Phase::Deciding {
            self.reply_bad_name(description);
            self.close_now();
        }
    }

    /// Lets the player begin: after what is to be sent now, the driver sends runs of tags on [`Self::play_stream`] in chunks of
    /// [`Self::chunk_size`].
    pub fn accept_play(&mut self) {
        if self.phase == Phase::DecidingPlay {
            self.phase = Phase::Playing;
            self.pre_publish_bytes = 0;
            self.reply_play_started();
            if let Err(error) = self.process(&[]) {
                self.failure = Some(error);
            }
        }
    }

    /// Tells the player that there is no such stream, whatever the reason; then closes.
    pub fn refuse_play(&mut self) {
        if self.phase == Phase::DecidingPlay {
            self.reply_stream_not_found(self.publish_stream);
            self.close_now();
        }
    }

    /// Tells the player that what it played has ended; then closes.
    pub fn end_play(&mut self) {
        if self.phase == Phase::Playing {
            self.reply_play_ended();
            self.close_now();
        }
    }

    /// Whether a player was accepted and has not stopped.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.phase == Phase::Playing
    }

    /// The message stream on which the player awaits its media.
    #[must_use]
    pub fn play_stream(&self) -> u32 {
        self.publish_stream
    }

    /// The chunk size that the peer was told.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        self.config.chunk_size
    }

    /// Ends the connection from our side, telling the peer why (for example when a newer publisher took over).
    pub fn close(&mut self, description: &str) {
        if self.phase != Phase::Closing {
            if self.phase != Phase::Handshake {
                self.reply_closed(description);
            }
            self.close_now();
        }
    }

    pub(super) fn close_now(&mut self) {
        self.phase = Phase::Closing;
        self.held = Vec::new();
    }

    /// Back to waiting for `publish`.
    pub(super) fn end_publication(&mut self) {
        self.phase = Phase::Connected;
        self.since_us = self.now_us;
        self.publish_stream = 0;
        self.has_fc_publish = false;
        self.reader.set_max_media_bytes(MAX_COMMAND_MESSAGE_BYTES);
        self.reader.set_skips_long_data(false);
    }

    /// Messages of publications that were passed over.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Counts a message that is passed over, and tells of the first of a publication.
    pub(super) fn skip(&mut self, type_id: u8, length: u32) {
        self.skipped += 1;
        if !std::mem::replace(&mut self.has_told_skipped, true) {
            self.events.push_back(ServerEvent::Skipped { type_id, length });
        }
    }

    fn limit(&self) -> Option<(TimeoutOf, i64)> {
        let config = &self.config;
        match self.phase {
            Phase::Handshake => Some((TimeoutOf::Handshake, config.setup_limit_us)),
            Phase::Fresh => Some((TimeoutOf::Connect, config.setup_limit_us)),
            Phase::Connected => Some((TimeoutOf::Publish, config.setup_limit_us)),
            Phase::Publishing { has_media: false } => {
                Some((TimeoutOf::FirstMedia, config.first_media_limit_us))
            }
            Phase::Publishing { has_media: true } => Some((TimeoutOf::Media, config.idle_limit_us)),
            Phase::Deciding | Phase::DecidingPlay | Phase::Playing | Phase::Closing => None,
        }
    }

    /// Ends the session; the peer is told why where it can hear it.
    fn fail(&mut self, error: RtmpError) -> RtmpError {
        if !matches!(self.phase, Phase::Handshake | Phase::Closing) {
            self.reply_failed(&error.to_string());
        }
        self.close_now();
        error
    }

    /// Reads what was held and what has come; what cannot be read yet is held.
    fn process(&mut self, input: &[u8]) -> Result<(), RtmpError> {
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() {
            let mut rest = input;
            self.read(&mut rest)?;
            // Most often nothing.
            self.held = rest.to_vec();
            return Ok(());
        }
        held.extend_from_slice(input);
        let mut rest = held.as_slice();
        self.read(&mut rest)?;
        let read = held.len() - rest.len();
        held.drain(..read);
        if held.is_empty() {
            held = Vec::new();
        }
        self.held = held;
        Ok(())
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<(), RtmpError> {
        if self.phase == Phase::Handshake {
            match self.handshake.advance(input, &mut self.out) {
                Ok(true) => self.phase = Phase::Fresh,
                Ok(false) => return Ok(()),
                Err(error) => return Err(self.fail(error.into())),
            }
        }
        loop {
            match self.phase {
                Phase::Deciding | Phase::DecidingPlay if input.len() > MAX_UNREAD_BYTES => {
                    return Err(self.fail(RtmpError::UnreadBudget));
                }
                Phase::Deciding | Phase::DecidingPlay => return Ok(()),
                Phase::Closing => {
                    *input = &[];
                    return Ok(());
                }
                _ => {}
            }
            let read = self.reader.read(input);
            if let Some(skipped) = self.reader.take_skipped() {
                self.skip(skipped.type_id, skipped.length);
            }
            match read {
                Ok(Some(message)) => self.message(message).map_err(|error| self.fail(error))?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.fail(error.into())),
            }
        }
    }

    fn message(&mut self, message: Message) -> Result<(), RtmpError> {
        let is_publishing = self.is_publishing();
        // A player acknowledges for hours, and answers pings.
        let is_receipt =
            matches!(message.type_id, message_type::ACKNOWLEDGEMENT | message_type::USER_CONTROL);
        let is_free = is_publishing || self.is_playing() && is_receipt;
        if !is_free {
            self.pre_publish_bytes += 16 + message.payload.len() as u64;
            if self.pre_publish_bytes > MAX_PRE_PUBLISH_BYTES {
                return Err(RtmpError::PrePublishBudget);
            }
        }
        match message.type_id {
            message_type::VIDEO | message_type::AUDIO if is_publishing => self.media(message),
            message_type::AGGREGATE if is_publishing => self.aggregate(&message),
            message_type::DATA | message_type::DATA_AMF3 if is_publishing => self.data(&message),
            message_type::COMMAND | message_type::COMMAND_AMF3 => match self.command(&message) {
                // A stream goes on without a command that cannot be read.
                Err(RtmpError::Amf(_)) if is_publishing => {
                    self.skip(message.type_id, message.payload.len() as u32);
                }
                result => return result,
            },
            message_type::WINDOW_ACK_SIZE => {
                if let Some(window) = control::number(&message.payload) {
                    self.window.set(window);
                }
            }
            message_type::USER_CONTROL => self.user_control(&message.payload),
            // Acknowledgements need no answer: what a publisher is sent never fills a window. The rest is not for us.
            _ => {}
        }
        Ok(())
    }

    fn user_control(&mut self, body: &[u8]) {
        if let Some(control::UserControl::PingRequest(number)) = control::UserControl::parse(body) {
            let answer = control::UserControl::PingResponse(number);
            control::send_user_control(&mut self.writer, &mut self.out, answer);
        }
    }

    fn acknowledge(&mut self) {
        if matches!(self.phase, Phase::Handshake | Phase::Fresh | Phase::Closing) {
            return;
        }
        if let Some(sequence) = self.window.due() {
            control::send_acknowledgement(&mut self.writer, &mut self.out, sequence);
        }
    }
}
