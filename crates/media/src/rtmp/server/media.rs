//! Media and metadata messages of an accepted publication.

use super::event::ServerEvent;
use super::session::{Phase, ServerSession};
use crate::amf0::{Reader, Value};
use crate::rtmp::command::values_of;
use crate::rtmp::message::{Message, message_type};

/// Frame rates beyond this are a mistake of the encoder.
const MAX_FRAME_RATE: f64 = 1000.0;

impl ServerSession {
    pub(super) fn media(&mut self, message: Message) {
        self.phase = Phase::Publishing { has_media: true };
        self.since_us = self.now_us;
        let Message { timestamp_ms, type_id, payload: body, .. } = message;
        // An empty message carries nothing; some encoders send one to keep a connection alive.
        if body.is_empty() {
            return;
        }
        self.events.push_back(match type_id {
            message_type::VIDEO => ServerEvent::Video { timestamp_ms, body },
            _ => ServerEvent::Audio { timestamp_ms, body },
        });
    }

    /// Several FLV tags in one message (RTMP §7.1.6). The first one's time is that of the message, the others keep their
    /// distance to it. A torn last tag is left out.
    pub(super) fn aggregate(&mut self, message: &Message) {
        let mut rest = message.payload.clone();
        let mut shift_ms = None;
        while let Some(header) = rest.first_chunk::<11>() {
            let type_id = header[0] & 0x1f;
            let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            let tag_ms = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
            if rest.len() < 11 + size {
                return;
            }
            let payload = rest.slice(11..11 + size);
            rest = rest.slice((11 + size + 4).min(rest.len())..);
            let shift_ms = *shift_ms.get_or_insert(message.timestamp_ms.wrapping_sub(tag_ms));
            let timestamp_ms = tag_ms.wrapping_add(shift_ms);
            let inner = Message { timestamp_ms, type_id, stream_id: message.stream_id, payload };
            match type_id {
                message_type::VIDEO | message_type::AUDIO => self.media(inner),
                message_type::DATA => self.data(&inner),
                _ => {}
            }
        }
    }

    /// `@setDataFrame onMetaData` and plain `onMetaData`. Other data, and what cannot be read, is passed over, the latter
    /// counted: recording does not hang on it.
    pub(super) fn data(&mut self, message: &Message) {
        let mut body = message.payload.slice_ref(values_of(message.type_id, &message.payload));
        let mut reader = Reader::new(&body);
        let Ok(mut name) = reader.read() else {
            return self.skip(message.type_id, message.payload.len() as u32);
        };
        if name.as_str() == Some("@setDataFrame") {
            let size = reader.position();
            let Ok(next) = reader.read() else {
                return self.skip(message.type_id, message.payload.len() as u32);
            };
            name = next;
            body = body.slice(size..);
        }
        if name.as_str() != Some("onMetaData") {
            return;
        }
        let mut reader = Reader::new(&body);
        let values = reader.read().and_then(|_| reader.read()).unwrap_or(Value::Undefined);
        let frame_rate = ["framerate", "videoframerate", "frameRate"]
            .into_iter()
            .find_map(|name| values.get(name)?.as_f64())
            .filter(|rate| *rate > 0.0 && *rate <= MAX_FRAME_RATE);
        self.events.push_back(ServerEvent::Metadata { body, frame_rate });
    }
}
