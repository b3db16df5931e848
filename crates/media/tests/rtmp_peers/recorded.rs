//! Bytes of publishers as they came off the wire, named for the peer.
//!
//! One second of `testsrc2=size=160x90:rate=25` and `sine=sample_rate=48000` to `rtmp://…/live/key?user=1`: FFmpeg 5.1.9 of
//! Debian 12 with `-c:v libx264 -bf 2 -c:a aac`, FFmpeg 9.0.2 with `-c:v libx265 -c:a aac -rtmp_enhanced_codecs hvc1`.

use turepe_media::VideoCodec;
use turepe_media::flv::VideoTag;

use crate::driver::{Published, replay};

fn recorded(bytes: &[u8]) -> Published {
    let whole = replay(bytes, bytes.len());
    for step in [1, 100, 1447] {
        assert!(replay(bytes, step) == whole, "in steps of {step}");
    }
    whole
}

#[test]
fn ffmpeg_5_1_h264_and_aac() {
    let published = recorded(include_bytes!("../fixtures/rtmp/ffmpeg-5.1-h264-aac.bin"));
    assert!(matches!(published.video_header(), VideoTag::SequenceHeader { codec: VideoCodec::H264, .. }));
    assert_eq!((published.frames(), published.audio_frames(), published.has_ended), (25, 48, true));
}

/// Enhanced RTMP, which Debian's FFmpeg cannot speak.
#[test]
fn ffmpeg_9_0_hevc_and_aac() {
    let published = recorded(include_bytes!("../fixtures/rtmp/ffmpeg-9.0-hvc1-aac.bin"));
    assert!(matches!(published.video_header(), VideoTag::SequenceHeader { codec: VideoCodec::Hevc, .. }));
    assert_eq!((published.frames(), published.audio_frames(), published.has_ended), (25, 48, true));
}
