//! The smallest driver of a session: one blocking socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use turepe_media::flv::{AudioTag, VideoTag, parse_audio, parse_video};
use turepe_media::rtmp::server::{ServerConfig, ServerEvent, ServerSession};

/// What a publisher sent.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Published {
    pub(crate) app: String,
    pub(crate) key: String,
    pub(crate) frame_rate: Option<f64>,
    pub(crate) video: Vec<(u32, VideoTag)>,
    pub(crate) audio: Vec<(u32, AudioTag)>,
    pub(crate) has_ended: bool,
}

impl Published {
    fn take(&mut self, session: &mut ServerSession, refusal: Option<&str>) {
        while let Some(event) = session.poll_event() {
            match event {
                ServerEvent::PublishRequested { app, key, .. } => {
                    self.app = app;
                    self.key = key.expose().to_owned();
                    match refusal {
                        Some(reason) => session.refuse_publish(reason),
                        None => session.accept_publish(),
                    }
                }
                ServerEvent::Metadata { frame_rate, .. } => self.frame_rate = frame_rate,
                ServerEvent::Video { timestamp_ms, body } => {
                    self.video.push((timestamp_ms, parse_video(body).unwrap()));
                }
                ServerEvent::Audio { timestamp_ms, body } => {
                    self.audio.push((timestamp_ms, parse_audio(body).unwrap()));
                }
                ServerEvent::Unpublished => self.has_ended = true,
                ServerEvent::Connected { .. }
                | ServerEvent::Skipped { .. }
                | ServerEvent::PlayRequested { .. }
                | ServerEvent::PlayStopped => {}
            }
        }
    }

    pub(crate) fn frames(&self) -> usize {
        self.video.iter().filter(|(_, tag)| matches!(tag, VideoTag::Frame { .. })).count()
    }

    pub(crate) fn audio_frames(&self) -> usize {
        self.audio.iter().filter(|(_, tag)| matches!(tag, AudioTag::Frame { .. })).count()
    }

    pub(crate) fn video_header(&self) -> &VideoTag {
        self.video
            .iter()
            .map(|(_, tag)| tag)
            .find(|tag| matches!(tag, VideoTag::SequenceHeader { .. }))
            .unwrap()
    }
}

/// Serves one publisher to its end, or refuses it.
pub(crate) fn serve(mut socket: TcpStream, refusal: Option<&str>) -> Published {
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut session = ServerSession::new(ServerConfig::default(), 0);
    let mut published = Published::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let size = match socket.read(&mut buffer) {
            Ok(0) => return published,
            Ok(size) => size,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return published,
            Err(error) => panic!("{error}"),
        };
        session.handle_input(&buffer[..size], 0).unwrap();
        published.take(&mut session, refusal);
        while let Some(piece) = session.poll_transmit() {
            // The publisher may have gone already.
            if socket.write_all(&piece).is_err() {
                return published;
            }
        }
        if session.should_close() {
            return published;
        }
    }
}

/// Feeds recorded bytes of a publisher, `step` at a time.
pub(crate) fn replay(bytes: &[u8], step: usize) -> Published {
    let mut session = ServerSession::new(ServerConfig::default(), 0);
    let mut published = Published::default();
    for piece in bytes.chunks(step) {
        session.handle_input(piece, 0).unwrap();
        published.take(&mut session, None);
        let _sent: Vec<Bytes> = std::iter::from_fn(|| session.poll_transmit()).collect();
    }
    published
}
