//! What other implementations get wrong, and what the specification's figures say.

use super::wire::Wire;
use super::{message, read, read_ok};
use crate::rtmp::chunk::ChunkFault;

#[test]
fn audio_may_be_interleaved_with_video() {
    let (video, audio) = ([9_u8; 300], [8_u8; 200]);
    let mut wire = Wire::default();
    wire.full(6, 40, 300, 9, 1, &video[..128])
        .full(4, 41, 200, 8, 1, &audio[..128])
        .next(6, &video[128..256])
        .next(4, &audio[128..])
        .next(6, &video[256..]);
    assert_eq!(read_ok(&wire.0), [message(41, 8, 1, &audio), message(40, 9, 1, &video)]);
}

#[test]
fn type_3_begins_a_new_message_and_repeats_the_difference() {
    let mut wire = Wire::default();
    wire.full(4, 1000, 2, 8, 1, b"aa").same_stream(4, 20, 3, 8, b"bbb").next(4, b"ccc").next(4, b"ddd");
    wire.same_length(4, 5, b"eee").next(4, b"fff");
    let expected = [
        message(1000, 8, 1, b"aa"),
        message(1020, 8, 1, b"bbb"),
        message(1040, 8, 1, b"ccc"),
        message(1060, 8, 1, b"ddd"),
        message(1065, 8, 1, b"eee"),
        message(1070, 8, 1, b"fff"),
    ];
    assert_eq!(read_ok(&wire.0), expected);
}

/// RTMP §5.3.1.2.4: "If a Type 3 chunk follows a Type 0 chunk, then the timestamp delta for this Type 3 chunk is the same as
/// the timestamp of the Type 0 chunk."
#[test]
fn type_3_after_type_0_repeats_its_time() {
    let mut wire = Wire::default();
    wire.full(4, 23, 1, 8, 1, b"a").next(4, b"b");
    assert_eq!(read_ok(&wire.0)[1].timestamp_ms, 46);
}

#[test]
fn time_wraps_at_32_bits() {
    let mut wire = Wire::default();
    wire.full(4, 0xffff_fff0, 1, 8, 1, b"a").same_stream(4, 0x20, 1, 8, b"b").next(4, b"c");
    let times: Vec<u32> = read_ok(&wire.0).iter().map(|message| message.timestamp_ms).collect();
    assert_eq!(times, [0xffff_fff0, 0x10, 0x30]);
}

#[test]
fn a_difference_of_24_bits_may_be_negative() {
    for back in [2_u32, 20, 33, 1_000, 90_000] {
        let mut wire = Wire::default();
        wire.full(4, 100_000, 1, 9, 1, b"a").same_stream(4, 0x100_0000 - back, 1, 9, b"b");
        wire.same_length(4, 0x100_0000 - back, b"c").next(4, b"d").same_length(4, 40, b"e");
        let times: Vec<u32> = read_ok(&wire.0).iter().map(|message| message.timestamp_ms).collect();
        let expected = [0, back, 2 * back, 3 * back, (3 * back).wrapping_sub(40)]
            .map(|less| 100_000_u32.wrapping_sub(less));
        assert_eq!(times, expected, "{back}");
    }
    // What is absolute, or has its 32 bits, means what it says.
    let mut wire = Wire::default();
    wire.full(4, 0xff_fff0, 1, 9, 1, b"a").same_stream(4, 0xffff_ffec, 1, 9, b"b");
    let times: Vec<u32> = read_ok(&wire.0).iter().map(|message| message.timestamp_ms).collect();
    assert_eq!(times, [0xff_fff0, 0xff_ffdc]);
    // Hours without a message are told as such.
    let mut wire = Wire::default();
    wire.full(4, 5, 1, 9, 1, b"a").same_stream(4, 0x7f_ffff, 1, 9, b"b");
    assert_eq!(read_ok(&wire.0)[1].timestamp_ms, 0x80_0004);
}

#[test]
fn a_short_header_inside_a_message_is_an_error() {
    for format in 0..3 {
        let mut wire = Wire::default();
        wire.full(4, 0, 300, 9, 1, &[0; 128]);
        let offset = wire.0.len() as u64;
        match format {
            0 => wire.full(4, 0, 300, 9, 1, &[0; 128]),
            1 => wire.same_stream(4, 0, 300, 9, &[0; 128]),
            _ => wire.same_length(4, 0, &[0; 128]),
        };
        let error = read(&wire.0).1.unwrap();
        assert_eq!(error.fault, ChunkFault::HeaderInsideMessage { chunk_stream_id: 4, format });
        assert!(error.offset <= offset, "{} of {offset}", error.offset);
    }
}

#[test]
fn an_extended_time_is_repeated_in_type_3() {
    let payload = [7_u8; 300];
    let time = 0x0123_4567_u32;
    let mut wire = Wire::default();
    wire.full(4, time, 300, 9, 1, &payload[..128]);
    wire.next(4, &time.to_be_bytes()).raw(&payload[128..256]);
    wire.next(4, &time.to_be_bytes()).raw(&payload[256..]);
    // An extended difference, repeated by a new message.
    let delta = 0x0200_0000_u32;
    wire.same_stream(4, delta, 2, 9, b"xx").next(4, &delta.to_be_bytes()).raw(b"yy");
    let expected = [
        message(time, 9, 1, &payload),
        message(time + delta, 9, 1, b"xx"),
        message(time + 2 * delta, 9, 1, b"yy"),
    ];
    assert_eq!(read_ok(&wire.0), expected);
}

#[test]
fn an_extended_time_that_is_left_out_in_type_3_is_missed() {
    let payload = [7_u8; 300];
    let time = 0x0123_4567_u32;
    let mut wire = Wire::default();
    wire.full(4, time, 300, 9, 1, &payload[..128]).next(4, &payload[128..256]).next(4, &payload[256..]);
    assert_eq!(read_ok(&wire.0), [message(time, 9, 1, &payload)]);
}

#[test]
fn an_absolute_time_repeated_after_an_extended_difference_is_taken() {
    let payload = [7_u8; 200];
    let delta = 0x0100_0000_u32;
    let mut wire = Wire::default();
    wire.full(4, 50, 1, 9, 1, b"a").same_stream(4, delta, 200, 9, &payload[..128]);
    wire.next(4, &(50 + delta).to_be_bytes()).raw(&payload[128..]);
    assert_eq!(read_ok(&wire.0)[1], message(50 + delta, 9, 1, &payload));
}

#[test]
fn the_largest_time_without_extension_and_the_smallest_with() {
    let mut wire = Wire::default();
    wire.full(4, 0xff_fffe, 1, 8, 1, b"a").full(4, 0xff_ffff, 1, 8, 1, b"b");
    assert_eq!(read_ok(&wire.0), [message(0xff_fffe, 8, 1, b"a"), message(0xff_ffff, 8, 1, b"b")]);
}

#[test]
fn chunk_stream_ids_of_two_and_three_bytes() {
    let mut wire = Wire::default();
    for id in [2, 63, 64, 319, 320, 65_599] {
        wire.full(id, id, 1, 8, 1, b"a").next(id, b"b");
    }
    // 64 to 319 in the form of three bytes are the same streams.
    wire.raw(&[3 << 6 | 1, 0, 0, b'c']);
    let messages = read_ok(&wire.0);
    assert_eq!(messages.len(), 13);
    assert_eq!(messages[12], message(64 * 3, 8, 1, b"c"));
}

#[test]
fn the_chunk_size_changes_between_the_chunks_of_a_message() {
    let video: Vec<u8> = (0..250).map(|i| i as u8).collect();
    let mut wire = Wire::default();
    wire.full(6, 0, 250, 9, 1, &video[..128]).chunk_size(100).next(6, &video[128..228]);
    wire.chunk_size(4).next(6, &video[228..232]).chunk_size(65_536).next(6, &video[232..]);
    wire.full(6, 0, 250, 9, 1, &video);
    assert_eq!(read_ok(&wire.0), [message(0, 9, 1, &video), message(0, 9, 1, &video)]);
}

#[test]
fn abort_drops_a_partial_message() {
    let mut wire = Wire::default();
    wire.full(6, 0, 200, 9, 1, &[1; 128]);
    wire.full(2, 0, 4, 2, 0, &6_u32.to_be_bytes());
    // Nothing of the kind: passed over.
    wire.full(2, 0, 4, 2, 0, &6_u32.to_be_bytes()).full(2, 0, 4, 2, 0, &99_u32.to_be_bytes());
    wire.full(6, 7, 3, 9, 1, b"new");
    assert_eq!(read_ok(&wire.0), [message(7, 9, 1, b"new")]);
}

#[test]
fn empty_messages_are_messages() {
    let mut wire = Wire::default();
    wire.full(4, 1, 0, 8, 1, b"").next(4, b"").full(4, 9, 1, 8, 1, b"x");
    assert_eq!(read_ok(&wire.0), [message(1, 8, 1, b""), message(2, 8, 1, b""), message(9, 8, 1, b"x")]);
}

/// librtmp could begin a stream with type 1; types 2 and 3 have nothing to refer to.
#[test]
fn a_fresh_chunk_stream_begins_with_type_0_or_1() {
    let mut wire = Wire::default();
    wire.same_stream(4, 5, 1, 8, b"a");
    assert_eq!(read_ok(&wire.0), [message(5, 8, 0, b"a")]);
    for (format, bytes) in [(2, &[2 << 6 | 5, 0, 0, 0][..]), (3, &[3 << 6 | 5][..])] {
        let fault = read(bytes).1.unwrap().fault;
        assert_eq!(fault, ChunkFault::NoHeader { chunk_stream_id: 5, format });
    }
}
