//! Tags that are sent together, in the forms in which they go out: made once, for as many readers as there are.

use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};

use super::{FlvTag, FlvTagKind, TagRole};
use crate::amf0::Value;
use crate::rtmp::chunk::ChunkWriter;
use crate::rtmp::{MessageHeader, Transmit, message_type};

/// The message stream that players use: the first one that a connection creates.
pub const PLAY_STREAM: u32 = 1;

const AUDIO_CHUNK_STREAM: u32 = 4;
const VIDEO_CHUNK_STREAM: u32 = 6;
const DATA_CHUNK_STREAM: u32 = 7;

/// Tags in order that every reader gets in one piece.
///
/// RTMP chunks refer to the shared payloads; only headers are made. An FLV stream is copied into one piece, once for all its
/// readers: they are written by code that takes one buffer at a time, for which many small ones cost more than the copy.
#[derive(Debug, Default)]
pub struct TagRun {
    tags: Vec<FlvTag>,
    size_bytes: usize,
    rtmp: OnceLock<Vec<Bytes>>,
    flv: OnceLock<Bytes>,
}

impl TagRun {
    /// A run of these tags.
    #[must_use]
    pub fn new(tags: Vec<FlvTag>) -> Self {
        let size_bytes = tags.iter().map(FlvTag::size_bytes).sum();
        Self { tags, size_bytes, rtmp: OnceLock::new(), flv: OnceLock::new() }
    }

    /// The tags.
    #[must_use]
    pub fn tags(&self) -> &[FlvTag] {
        &self.tags
    }

    /// Length of the bodies in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Whether decoding can begin with it.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.tags.first().is_some_and(|tag| tag.role == TagRole::KeyFrame)
    }

    /// As RTMP chunks on message stream [`PLAY_STREAM`], for a peer that was told this chunk size. All peers must have been told
    /// the same: the chunks are made for the first one.
    #[must_use]
    pub fn rtmp(&self, chunk_size: u32) -> &[Bytes] {
        self.rtmp.get_or_init(|| self.rtmp_on(PLAY_STREAM, chunk_size))
    }

    /// As RTMP chunks on any message stream.
    #[must_use]
    pub fn rtmp_on(&self, stream_id: u32, chunk_size: u32) -> Vec<Bytes> {
        self.chunks(stream_id, chunk_size, &[])
    }

    /// As RTMP chunks for a server that it is published to: metadata as `@setDataFrame`, as publishers send it. Without
    /// metadata and on message stream [`PLAY_STREAM`] these are the chunks of [`TagRun::rtmp`], which then can be sent instead.
    #[must_use]
    pub fn rtmp_published(&self, stream_id: u32, chunk_size: u32) -> Vec<Bytes> {
        let mut set_data_frame = BytesMut::new();
        Value::string("@setDataFrame").encode(&mut set_data_frame);
        self.chunks(stream_id, chunk_size, &set_data_frame)
    }

    /// Whether a tag of it is metadata.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        self.tags.iter().any(|tag| tag.role == TagRole::Metadata)
    }

    fn chunks(&self, stream_id: u32, chunk_size: u32, before_metadata: &[u8]) -> Vec<Bytes> {
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(chunk_size);
        let mut out = Transmit::default();
        for tag in &self.tags {
            let (type_id, chunk_stream_id) = match tag.kind() {
                FlvTagKind::Video => (message_type::VIDEO, VIDEO_CHUNK_STREAM),
                FlvTagKind::Audio => (message_type::AUDIO, AUDIO_CHUNK_STREAM),
                FlvTagKind::Script | FlvTagKind::Other(_) => (message_type::DATA, DATA_CHUNK_STREAM),
            };
            let header =
                MessageHeader { chunk_stream_id, timestamp_ms: tag.timestamp_ms, type_id, stream_id };
            let prefix = if tag.role == TagRole::Metadata { before_metadata } else { tag.prefix.as_slice() };
            writer.write(&header, prefix, tag.payload.clone(), &mut out);
        }
        std::iter::from_fn(|| out.pop()).collect()
    }

    /// As a piece of an FLV stream. Nothing is longer than a tag may be: bodies are RTMP messages.
    #[must_use]
    pub fn flv(&self) -> &Bytes {
        self.flv.get_or_init(|| {
            let mut out = BytesMut::with_capacity(self.size_bytes + self.tags.len() * 15);
            for tag in &self.tags {
                let size = tag.size_bytes().min(0xff_ffff);
                let [extended, time @ ..] = tag.timestamp_ms.to_be_bytes();
                out.put_u8(match tag.kind() {
                    FlvTagKind::Audio => message_type::AUDIO,
                    FlvTagKind::Video => message_type::VIDEO,
                    FlvTagKind::Script | FlvTagKind::Other(_) => message_type::DATA,
                });
                out.put_uint(size as u64, 3);
                out.put_slice(&time);
                out.put_u8(extended);
                out.put_uint(0, 3);
                out.put_slice(tag.prefix.as_slice());
                out.put_slice(&tag.payload[..size - tag.prefix.as_slice().len().min(size)]);
                out.put_u32(size as u32 + 11);
            }
            out.freeze()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::{FlvReader, VideoTag, write_file_header};
    use crate::rtmp::chunk::ChunkReader;

    fn run() -> TagRun {
        let big: Vec<u8> = (0..150_000u32).map(|n| n as u8).collect();
        let frame = |is_key| VideoTag::Frame { is_key, composition_time_ms: 0, data: Bytes::new() };
        TagRun::new(vec![
            FlvTag::video(0x0123_4567, Bytes::from(big), &frame(true)),
            FlvTag::audio(0x0123_4570, Bytes::from_static(&[0xaf, 1, 9]), &crate::flv::AudioTag::Ignored),
            FlvTag::metadata(5, Bytes::from_static(b"\x02\x00\x0aonMetaData")),
        ])
    }

    #[test]
    fn chunks_are_the_messages_again() {
        let run = run();
        assert!(run.is_key());
        for (stream, pieces) in [(1, run.rtmp(60_000).to_vec()), (9, run.rtmp_on(9, 60_000))] {
            let mut reader = ChunkReader::new();
            let mut input = BytesMut::new();
            // What a peer was told before.
            let mut writer = ChunkWriter::new();
            let mut out = Transmit::default();
            let header = MessageHeader { chunk_stream_id: 2, timestamp_ms: 0, type_id: 1, stream_id: 0 };
            writer.write(&header, &[], Bytes::copy_from_slice(&60_000u32.to_be_bytes()), &mut out);
            input.extend_from_slice(&out.pop().unwrap());
            pieces.iter().for_each(|piece| input.extend_from_slice(piece));
            let mut input = &input[..];
            let messages: Vec<_> = std::iter::from_fn(|| reader.read(&mut input).unwrap()).collect();
            let messages: Vec<_> = messages.into_iter().filter(|message| message.type_id != 1).collect();
            assert_eq!(messages.len(), run.tags().len());
            for (message, tag) in messages.iter().zip(run.tags()) {
                assert_eq!((message.timestamp_ms, message.stream_id), (tag.timestamp_ms, stream));
                assert_eq!(message.payload, tag.payload);
            }
        }
    }

    #[test]
    fn metadata_is_published_as_publishers_do() {
        let run = run();
        assert!(run.has_metadata());
        let mut reader = ChunkReader::new();
        let mut input = BytesMut::new();
        run.rtmp_published(1, 128).iter().for_each(|piece| input.extend_from_slice(piece));
        let mut input = &input[..];
        let messages: Vec<_> = std::iter::from_fn(|| reader.read(&mut input).unwrap()).collect();
        assert_eq!(messages.len(), run.tags().len());
        assert_eq!(messages[0].payload, run.tags()[0].payload);
        assert_eq!(&messages[2].payload[..], b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData");
    }

    #[test]
    fn a_piece_of_a_stream_is_the_tags_again() {
        let run = run();
        let mut file = BytesMut::new();
        write_file_header(true, true, &mut file);
        file.extend_from_slice(run.flv());
        let mut reader = FlvReader::new();
        reader.push(&file);
        for tag in run.tags() {
            let read = reader.next_tag().unwrap().unwrap();
            assert_eq!((read.kind, read.timestamp_ms), (tag.kind(), tag.timestamp_ms));
            assert_eq!(read.body, tag.payload);
        }
        assert_eq!(reader.next_tag(), Ok(None));
    }
}
