//! What the writer puts out.

use bytes::Bytes;

use super::{message, read_ok};
use crate::rtmp::chunk::ChunkWriter;
use crate::rtmp::{MessageHeader, Transmit};

fn header(timestamp_ms: u32) -> MessageHeader {
    MessageHeader { chunk_stream_id: 6, timestamp_ms, type_id: 9, stream_id: 1 }
}

fn pieces(mut out: Transmit) -> Vec<Bytes> {
    let pieces: Vec<Bytes> = std::iter::from_fn(|| out.pop()).collect();
    assert_eq!(out.size_bytes(), 0);
    pieces
}

#[test]
fn a_large_payload_goes_out_as_it_came_in() {
    let payload = Bytes::from(vec![3; 50_000]);
    let (mut writer, mut out) = (ChunkWriter::new(), Transmit::default());
    writer.set_chunk_size(65_536);
    writer.write(&header(40), b"12345", payload.clone(), &mut out);
    assert_eq!(out.size_bytes(), 12 + 5 + 50_000);
    let pieces = pieces(out);
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[0].len(), 12 + 5);
    assert_eq!(pieces[1].as_ptr(), payload.as_ptr(), "not copied");
}

#[test]
fn a_small_message_is_one_piece() {
    let (mut writer, mut out) = (ChunkWriter::new(), Transmit::default());
    writer.write(&header(40), &[], Bytes::from(vec![3; 300]), &mut out);
    let pieces = pieces(out);
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].len(), 12 + 300 + 2);
}

#[test]
fn an_extended_time_stands_in_every_chunk() {
    let time = 0x0100_0000_u32;
    let payload = vec![3; 2000];
    let (mut writer, mut out) = (ChunkWriter::new(), Transmit::default());
    writer.write(&header(time), &[], payload.clone().into(), &mut out);
    let bytes = pieces(out).concat();
    assert_eq!(bytes.len(), 12 + 4 + 2000 + 15 * 5);
    assert_eq!(bytes[16 + 128..][..5], [0xc6, 1, 0, 0, 0]);
    assert_eq!(read_ok(&bytes), [message(time, 9, 1, &payload)]);
}

#[test]
fn a_prefix_longer_than_a_chunk_is_cut_too() {
    let (mut writer, mut out) = (ChunkWriter::new(), Transmit::default());
    writer.set_chunk_size(3);
    writer.write(&header(1), b"12345678", Bytes::from_static(b"9"), &mut out);
    // The reader begins with 128: the same bytes by hand.
    let bytes = pieces(out).concat();
    assert_eq!(&bytes[12..], b"123\xc6456\xc6789");
}

#[test]
fn an_empty_message_has_a_header() {
    let (mut writer, mut out) = (ChunkWriter::new(), Transmit::default());
    writer.write(&header(1), &[], Bytes::new(), &mut out);
    assert_eq!(read_ok(&pieces(out).concat()), [message(1, 9, 1, b"")]);
}
