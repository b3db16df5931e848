//! Protocol control and user control messages (RTMP §5.4, §7.1.7).

use bytes::{BufMut, Bytes, BytesMut};

use super::chunk::ChunkWriter;
use super::message::{MessageHeader, message_type};
use super::transmit::Transmit;

/// Chunk stream of control messages (RTMP §5.4).
const CONTROL_CHUNK_STREAM: u32 = 2;

/// The user control events that mean something here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserControl {
    /// A message stream has become usable.
    StreamBegin(u32),
    /// A message stream has played to its end.
    StreamEof(u32),
    /// Answer with the same number.
    PingRequest(u32),
    /// The answer.
    PingResponse(u32),
    /// Any other event.
    Other(u16),
}

impl UserControl {
    /// Reads the body of a user control message; a body too short for its event is `None`.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let event = u16::from_be_bytes(body.get(..2)?.try_into().ok()?);
        let number = || Some(u32::from_be_bytes(body.get(2..6)?.try_into().ok()?));
        Some(match event {
            0 => Self::StreamBegin(number()?),
            1 => Self::StreamEof(number()?),
            6 => Self::PingRequest(number()?),
            7 => Self::PingResponse(number()?),
            other => Self::Other(other),
        })
    }

    fn body(self) -> Bytes {
        let (event, number) = match self {
            Self::StreamBegin(stream) => (0, Some(stream)),
            Self::StreamEof(stream) => (1, Some(stream)),
            Self::PingRequest(number) => (6, Some(number)),
            Self::PingResponse(number) => (7, Some(number)),
            Self::Other(event) => (event, None),
        };
        let mut body = BytesMut::with_capacity(6);
        body.put_u16(event);
        if let Some(number) = number {
            body.put_u32(number);
        }
        body.freeze()
    }
}

/// The 32-bit number that a protocol control message carries.
pub(super) fn number(body: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(body.get(..4)?.try_into().ok()?))
}

fn send(writer: &mut ChunkWriter, out: &mut Transmit, type_id: u8, body: Bytes) {
    let header =
        MessageHeader { chunk_stream_id: CONTROL_CHUNK_STREAM, timestamp_ms: 0, type_id, stream_id: 0 };
    writer.write(&header, &[], body, out);
}

fn send_number(writer: &mut ChunkWriter, out: &mut Transmit, type_id: u8, number: u32) {
    send(writer, out, type_id, Bytes::copy_from_slice(&number.to_be_bytes()));
}

/// Tells the peer our chunk size and uses it from then on.
pub(super) fn send_chunk_size(writer: &mut ChunkWriter, out: &mut Transmit, size: u32) {
    send_number(writer, out, message_type::SET_CHUNK_SIZE, size);
    writer.set_chunk_size(size);
}

/// Acknowledges all bytes received so far, modulo 2³².
pub(super) fn send_acknowledgement(writer: &mut ChunkWriter, out: &mut Transmit, sequence: u32) {
    send_number(writer, out, message_type::ACKNOWLEDGEMENT, sequence);
}

/// Asks for an acknowledgement after so many bytes.
pub(super) fn send_window_ack_size(writer: &mut ChunkWriter, out: &mut Transmit, window: u32) {
    send_number(writer, out, message_type::WINDOW_ACK_SIZE, window);
}

/// Names the peer's bandwidth, limit type "dynamic" (RTMP §5.4.5).
pub(super) fn send_peer_bandwidth(writer: &mut ChunkWriter, out: &mut Transmit, window: u32) {
    let mut body = BytesMut::with_capacity(5);
    body.put_u32(window);
    body.put_u8(2);
    send(writer, out, message_type::SET_PEER_BANDWIDTH, body.freeze());
}

/// Sends a user control event.
pub(super) fn send_user_control(writer: &mut ChunkWriter, out: &mut Transmit, event: UserControl) {
    send(writer, out, message_type::USER_CONTROL, event.body());
}

#[cfg(test)]
mod tests {
    use super::UserControl;

    #[test]
    fn events_are_read_as_written() {
        for event in [UserControl::StreamBegin(1), UserControl::PingRequest(7), UserControl::PingResponse(9)]
        {
            assert_eq!(UserControl::parse(&event.body()), Some(event));
        }
        assert_eq!(UserControl::parse(&[0, 3, 0, 0, 0, 1, 0, 0, 0, 9]), Some(UserControl::Other(3)));
        assert_eq!(UserControl::parse(&[0, 6, 1]), None);
        assert_eq!(UserControl::parse(&[0]), None);
    }
}
