use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::sample::VideoCodec;

fn video(bytes: &[u8]) -> Result<VideoTag, FlvError> {
    parse_video(Bytes::copy_from_slice(bytes))
}

fn audio(bytes: &[u8]) -> Result<AudioTag, FlvError> {
    parse_audio(Bytes::copy_from_slice(bytes))
}

fn frame(is_key: bool, composition_time_ms: i32, data: &'static [u8]) -> VideoTag {
    VideoTag::Frame { is_key, composition_time_ms, data: Bytes::from_static(data) }
}

#[test]
fn video_of_the_old_form() {
    let header = |codec| VideoTag::SequenceHeader { codec, record: Bytes::from_static(b"rec") };
    assert_eq!(video(b"\x17\x00\x00\x00\x00rec"), Ok(header(VideoCodec::H264)));
    assert_eq!(video(b"\x1c\x00\x00\x00\x00rec"), Ok(header(VideoCodec::Hevc)));
    assert_eq!(video(b"\x17\x01\x00\x00\x50nal"), Ok(frame(true, 80, b"nal")));
    assert_eq!(video(b"\x27\x01\xff\xff\xd8nal"), Ok(frame(false, -40, b"nal")));
    assert_eq!(video(b"\x3c\x01\x00\x00\x00nal"), Ok(frame(false, 0, b"nal")));
    assert_eq!(video(b"\x17\x02\x00\x00\x00"), Ok(VideoTag::EndOfSequence));
    assert_eq!(video(b"\x17\x02"), Ok(VideoTag::EndOfSequence));
    assert_eq!(video(b"\x57\x00"), Ok(VideoTag::Ignored("command frame")));
    assert_eq!(video(b""), Ok(VideoTag::Ignored("empty tag")));
    assert_eq!(video(b"\x27\x01\x00\x00\x00"), Ok(VideoTag::Ignored("empty frame")));
    assert_eq!(video(b"\x17\x00\x00\x00\x00"), Ok(VideoTag::Ignored("empty sequence header")));
}

#[test]
fn video_of_the_extended_form() {
    let header = |codec| VideoTag::SequenceHeader { codec, record: Bytes::from_static(b"rec") };
    assert_eq!(video(b"\x90hvc1rec"), Ok(header(VideoCodec::Hevc)));
    assert_eq!(video(b"\x90avc1rec"), Ok(header(VideoCodec::H264)));
    assert_eq!(video(b"\x91hvc1\x00\x00\x28nal"), Ok(frame(true, 40, b"nal")));
    assert_eq!(video(b"\xa1avc1\xff\xff\xffnal"), Ok(frame(false, -1, b"nal")));
    assert_eq!(video(b"\xa3hvc1nal"), Ok(frame(false, 0, b"nal")));
    assert_eq!(video(b"\x92hvc1"), Ok(VideoTag::EndOfSequence));
    // Colour information is ignored whatever its codec and frame type.
    assert_eq!(video(b"\xd4hvc1\x02"), Ok(VideoTag::Metadata));
    assert_eq!(video(b"\x94av01\x02"), Ok(VideoTag::Metadata));
    assert_eq!(video(b"\x95hvc1"), Ok(VideoTag::Ignored("MPEG-2 TS sequence start")));
    assert_eq!(video(b"\x96\x00hvc1\x00"), Ok(VideoTag::Ignored("multitrack")));
    assert_eq!(video(b"\xd1\x00"), Ok(VideoTag::Ignored("command frame")));
}

#[test]
fn mod_ex_is_skipped_in_both_its_lengths_and_repeated() {
    // Three bytes of nanoseconds, then CodedFramesX.
    assert_eq!(video(b"\xa7\x02\x01\x02\x03\x03hvc1nal"), Ok(frame(false, 0, b"nal")));
    // Twice.
    assert_eq!(video(b"\x97\x00\x00\x17\x00\x00\x03hvc1nal"), Ok(frame(true, 0, b"nal")));
    // 256 bytes and more have a length of 16 bits.
    let long = [&b"\x97\xff\x01\x2b"[..], &[0; 300], b"\x03hvc1nal"].concat();
    assert_eq!(video(&long), Ok(frame(true, 0, b"nal")));
    assert_eq!(video(b"\x97\xff\xff\xff\x00"), Err(FlvError::Truncated));
    assert_eq!(
        audio(b"\x97\x02\x01\x02\x03\x01mp4aaac"),
        Ok(AudioTag::Frame { data: Bytes::from_static(b"aac") })
    );
}

#[test]
fn video_that_is_not_carried_is_named() {
    assert_eq!(video(b"\x12abc"), Err(FlvError::VideoCodec("Sorenson H.263", 2)));
    assert_eq!(
        video(b"\x90av01rec").unwrap_err().to_string(),
        "video codec av01 is not supported: send H.264 or HEVC"
    );
    assert_eq!(video(b"\x17\x03\x00\x00\x00"), Err(FlvError::PacketType(3)));
    assert_eq!(video(b"\x99hvc1"), Err(FlvError::PacketType(9)));
    for torn in [&b"\x17"[..], b"\x17\x01\x00", b"\x90hvc", b"\x91hvc1\x00\x00", b"\x97"] {
        assert_eq!(video(torn), Err(FlvError::Truncated), "{torn:?}");
    }
}

#[test]
fn audio_of_both_forms() {
    let header = AudioTag::SequenceHeader { record: Bytes::from_static(b"\x12\x10") };
    let data = AudioTag::Frame { data: Bytes::from_static(b"aac") };
    assert_eq!(audio(b"\xaf\x00\x12\x10"), Ok(header.clone()));
    assert_eq!(audio(b"\xaf\x01aac"), Ok(data.clone()));
    assert_eq!(audio(b"\x90mp4a\x12\x10"), Ok(header));
    assert_eq!(audio(b"\x91mp4aaac"), Ok(data));
    assert_eq!(audio(b"\x91Opusx"), Ok(AudioTag::Unsupported { codec: "Opus" }));
    assert_eq!(audio(b"\x72abc"), Ok(AudioTag::Unsupported { codec: "G.711 A-law" }));
    for ignored in [&b""[..], b"\xaf\x00", b"\xaf\x01", b"\x92mp4a", b"\x94mp4a\x01", b"\x95\x00mp4a"] {
        assert_eq!(audio(ignored), Ok(AudioTag::Ignored), "{ignored:?}");
    }
    assert_eq!(audio(b"\xaf"), Err(FlvError::Truncated));
    assert_eq!(audio(b"\xaf\x05x"), Err(FlvError::PacketType(5)));
}

fn any_video() -> impl Strategy<Value = (VideoCodec, VideoTag)> {
    let codec = prop_oneof![Just(VideoCodec::H264), Just(VideoCodec::Hevc)];
    let data = prop::collection::vec(any::<u8>(), 1..40).prop_map(Bytes::from);
    (codec, data, any::<bool>(), -0x80_0000..0x80_0000_i32, 0..3_u8).prop_map(
        |(codec, data, is_key, cts, kind)| {
            let tag = match kind {
                0 => VideoTag::SequenceHeader { codec, record: data },
                1 => VideoTag::EndOfSequence,
                _ => VideoTag::Frame {
                    is_key,
                    composition_time_ms: cts / if is_key { 1 << 23 } else { 1 },
                    data,
                },
            };
            (codec, tag)
        },
    )
}

proptest! {
    #[test]
    fn video_is_read_as_written((codec, tag) in any_video()) {
        prop_assert_eq!(parse_video(write_video(codec, &tag)), Ok(tag));
    }

    #[test]
    fn audio_is_read_as_written(data in prop::collection::vec(any::<u8>(), 1..40), is_header in any::<bool>()) {
        let data = Bytes::from(data);
        let tag = if is_header { AudioTag::SequenceHeader { record: data } } else { AudioTag::Frame { data } };
        prop_assert_eq!(parse_audio(write_audio(&tag)), Ok(tag));
    }

    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = (video(&bytes), audio(&bytes));
        let mut reader = FlvReader::new();
        reader.push(&bytes);
        let _ = reader.next_tag();
        let mut reader = FlvReader::new();
        reader.push(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        reader.push(&bytes);
        while let Ok(Some(_)) = reader.next_tag() {}
    }

    #[test]
    fn a_file_is_read_as_written_in_any_cut(
        tags in prop::collection::vec((any::<u32>(), 0..32_u8, prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        step in 1..100_usize,
    ) {
        let tags: Vec<FlvFileTag> = tags.into_iter().map(|(timestamp_ms, kind, body)| {
            let kind = match kind {
                8 => FlvTagKind::Audio,
                9 => FlvTagKind::Video,
                18 => FlvTagKind::Script,
                other => FlvTagKind::Other(other),
            };
            FlvFileTag { timestamp_ms, kind, body: body.into() }
        }).collect();
        let mut bytes = BytesMut::new();
        write_file_header(true, true, &mut bytes);
        for tag in &tags {
            write_file_tag(tag, &mut bytes);
        }
        let (mut reader, mut read) = (FlvReader::new(), Vec::new());
        for piece in bytes.chunks(step) {
            reader.push(piece);
            while let Some(tag) = reader.next_tag().unwrap() {
                read.push(tag);
            }
        }
        prop_assert_eq!(read, tags);
    }
}

#[test]
fn what_is_no_flv_file_is_said_at_its_first_byte() {
    let next = |bytes: &[u8]| {
        let mut reader = FlvReader::new();
        reader.push(bytes);
        reader.next_tag()
    };
    assert_eq!(next(b"FL"), Ok(None));
    assert_eq!(next(b"\0"), Err(FlvError::NotFlv));
    assert_eq!(next(b"FLV\x01\x05\xff\xff\xff\xff"), Err(FlvError::NotFlv));
    assert_eq!(next(b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x29\0\0\0\0\0\0\0\0\0\0"), Err(FlvError::Encrypted));
}
