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
    assert_eq!(video(b"\x90hev1rec"), Ok(header(VideoCodec::Hevc)));
    assert_eq!(video(b"\x90avc3rec"), Ok(header(VideoCodec::H264)));
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
    assert_eq!(video(b"\x12abc"), Err(FlvError::VideoCodec(2)));
    for (body, name) in [
        (&b"\x90av01rec"[..], "AV1 (av01)"),
        (b"\xa1vp09", "VP9 (vp09)"),
        (b"\xa1zz\x00z", r"with the FourCC zz\x00z"),
        (b"\x96\x01av01\x00", "AV1 (av01)"),
        (b"\x14abc", "VP6 (number 4 of FLV)"),
        (b"\x28abc", "H.263 (number 8 of FLV)"),
        (b"\x1babc", "number 11 of FLV"),
    ] {
        let told = format!("video codec {name} is not supported: send H.264 or HEVC");
        assert_eq!(video(body).unwrap_err().to_string(), told);
    }
    assert_eq!(video(b"\x17\x03\x00\x00\x00"), Err(FlvError::PacketType(3)));
    assert_eq!(video(b"\x99hvc1"), Err(FlvError::PacketType(9)));
    for torn in [&b"\x17"[..], b"\x17\x01\x00", b"\x90hvc", b"\x91hvc1\x00\x00", b"\x97"] {
        assert_eq!(video(torn), Err(FlvError::Truncated), "{torn:?}");
    }
}

#[test]
fn tracks_are_unwrapped_and_the_lowest_is_taken() {
    let message = |bytes: &'static [u8]| parse_video_message(Bytes::from_static(bytes)).unwrap();
    let one = message(b"\x96\x01avc1\x00\x00\x00\x28nal");
    assert_eq!((one.track, one.other_tracks, one.codec), (0, 0, Some(VideoCodec::H264)));
    assert_eq!(one.tag, frame(true, 40, b"nal"));
    let header = VideoTag::SequenceHeader { codec: VideoCodec::Hevc, record: Bytes::from_static(b"rec") };
    assert_eq!(message(b"\x96\x00hvc1\x00rec").tag, header);
    // Track 1 of a message of its own is not the first track.
    assert_eq!(message(b"\x96\x03hvc1\x01nal").track, 1);
    assert_eq!(video(b"\x96\x03hvc1\x01nal"), Ok(VideoTag::Ignored("another track")));
    // Several tracks of one codec, the first one last; and each with its own.
    let many = message(b"\xa6\x13avc1\x02\x00\x00\x01x\x00\x00\x00\x03nal");
    assert_eq!((many.track, many.other_tracks, many.tag), (0, 1, frame(false, 0, b"nal")));
    let mixed = message(b"\x96\x23hvc1\x00\x00\x00\x03nalav01\x01\x00\x00\x02xy");
    assert_eq!((mixed.track, mixed.other_tracks, mixed.codec), (0, 1, Some(VideoCodec::Hevc)));
    // Behind ModEx.
    assert_eq!(message(b"\x97\x00\x00\x06\x03avc1\x00nal").tag, frame(true, 0, b"nal"));
    assert_eq!(video(b"\x96\x33avc1\x00nal"), Err(FlvError::MultitrackType(3)));
    for torn in [&b"\x96"[..], b"\x96\x03avc", b"\x96\x03avc1", b"\x96\x13avc1\x00\x00\x00\x09nal"] {
        assert_eq!(video(torn), Err(FlvError::Truncated), "{torn:?}");
    }
    let sound = parse_audio_message(Bytes::from_static(b"\x95\x01mp4a\x00aac")).unwrap();
    assert_eq!((sound.track, sound.tag), (0, AudioTag::Frame { data: Bytes::from_static(b"aac") }));
}

#[test]
fn audio_of_both_forms() {
    let header = AudioTag::SequenceHeader { record: Bytes::from_static(b"\x12\x10") };
    let data = AudioTag::Frame { data: Bytes::from_static(b"aac") };
    assert_eq!(audio(b"\xaf\x00\x12\x10"), Ok(header.clone()));
    assert_eq!(audio(b"\xaf\x01aac"), Ok(data.clone()));
    assert_eq!(audio(b"\x90mp4a\x12\x10"), Ok(header));
    assert_eq!(audio(b"\x91mp4aaac"), Ok(data));
    assert_eq!(audio(b"\x91Opusx"), Ok(AudioTag::Unsupported { codec: "Opus".into() }));
    assert_eq!(audio(b"\x72abc"), Ok(AudioTag::Unsupported { codec: "G.711 A-law".into() }));
    for ignored in [&b""[..], b"\xaf\x00", b"\xaf\x01", b"\x92mp4a", b"\x94mp4a\x01", b"\x95\x01mp4a\x01aac"]
    {
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
