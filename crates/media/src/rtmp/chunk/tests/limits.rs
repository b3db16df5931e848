//! Every limit is a named error, and a message of several megabytes passes.

use super::wire::Wire;
use super::{message, read, read_in_steps};
use crate::rtmp::chunk::{ChunkFault, ChunkReader};
use crate::rtmp::limits::{MAX_CHUNK_STREAMS, MAX_PARTIAL_BYTES};

fn fault(wire: &Wire) -> ChunkFault {
    read(&wire.0).1.unwrap().fault
}

#[test]
fn a_chunk_size_of_0_or_beyond_31_bits_is_an_error() {
    for size in [0, 0x8000_0000, 0xffff_ffff] {
        let mut wire = Wire::default();
        wire.chunk_size(size);
        assert_eq!(fault(&wire), ChunkFault::ChunkSize(size));
    }
    let mut wire = Wire::default();
    wire.chunk_size(0x7fff_ffff).full(4, 0, 3, 8, 1, b"abc");
    assert_eq!(read(&wire.0), (vec![message(0, 8, 1, b"abc")], None));
}

#[test]
fn ten_thousand_chunk_streams_are_too_many() {
    let mut wire = Wire::default();
    for id in 3..10_003 {
        wire.full(id, 0, 1, 8, 1, b"a");
    }
    let (messages, error) = read_in_steps(&wire.0, 1000);
    assert_eq!(messages.len(), MAX_CHUNK_STREAMS);
    assert_eq!(error.unwrap().fault, ChunkFault::TooManyChunkStreams);
}

#[test]
fn a_frame_of_16_megabytes_passes() {
    let frame = vec![5_u8; 16_000_000];
    let mut wire = Wire::default();
    wire.chunk_size(60_000);
    for (number, piece) in frame.chunks(60_000).enumerate() {
        match number {
            0 => wire.full(6, 0, frame.len(), 9, 1, piece),
            _ => wire.next(6, piece),
        };
    }
    assert_eq!(read_in_steps(&wire.0, 65_536), (vec![message(0, 9, 1, &frame)], None));
}

#[test]
fn two_such_frames_at_once_do_not() {
    let mut wire = Wire::default();
    wire.full(6, 0, 16_000_000, 9, 1, &[0; 128]).full(7, 0, 16_000_000, 9, 1, &[0; 128]);
    assert_eq!(fault(&wire), ChunkFault::PartialBudget);
}

#[test]
fn a_limit_set_by_the_session_is_kept() {
    let mut wire = Wire::default();
    wire.full(6, 0, 1001, 9, 1, &[0; 128]);
    let mut reader = ChunkReader::new();
    reader.set_max_media_bytes(1000);
    let error = reader.read(&mut wire.0.as_slice()).unwrap_err();
    assert_eq!(error.fault, ChunkFault::MessageTooLong { type_id: 9, length: 1001, limit: 1000 });
}

#[test]
fn commands_and_metadata_have_limits_of_their_own() {
    for (kind, length) in [(20, 65_537), (17, 65_537), (4, 65_537), (18, 262_145), (99, 16_000_000)] {
        let mut wire = Wire::default();
        wire.full(3, 0, length, kind, 0, &[]);
        assert!(matches!(fault(&wire), ChunkFault::MessageTooLong { .. }), "type {kind}");
    }
}

#[test]
fn a_control_message_without_its_number_is_an_error() {
    for kind in [1, 2] {
        let mut wire = Wire::default();
        wire.full(2, 0, 3, kind, 0, &[0, 0, 1]);
        assert_eq!(fault(&wire), ChunkFault::ShortControl(kind));
    }
}

#[test]
fn the_budget_is_given_back() {
    let mut reader = ChunkReader::new();
    let mut wire = Wire::default();
    wire.full(6, 0, 1000, 9, 1, &[0; 128]).full(7, 0, 1000, 9, 1, &[0; 128]);
    assert_eq!(reader.read(&mut wire.0.as_slice()), Ok(None));
    assert_eq!(reader.partial_bytes(), 2000);
    let mut wire = Wire::default();
    wire.full(2, 0, 4, 2, 0, &6_u32.to_be_bytes());
    for left in [872, 744, 616, 488, 360, 232, 104_usize] {
        wire.next(7, &vec![0; left.min(128)]);
    }
    assert!(reader.read(&mut wire.0.as_slice()).unwrap().is_some());
    assert_eq!(reader.partial_bytes(), 0);
    const { assert!(MAX_PARTIAL_BYTES > 0) };
}
