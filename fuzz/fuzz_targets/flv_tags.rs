//! Tag bodies: any bytes are a tag or an error; what we can write is read again as it is.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::VideoCodec;
use media::flv::{audio_parts, parse_audio, parse_video, video_parts, write_audio, write_video};

fuzz_target!(|bytes: &[u8]| {
    let body = Bytes::copy_from_slice(bytes);
    if let Ok(tag) = parse_video(body.clone()) {
        for codec in [VideoCodec::H264, VideoCodec::Hevc] {
            if video_parts(codec, &tag).is_some() {
                assert_eq!(parse_video(write_video(codec, &tag)), Ok(tag.clone()));
            }
        }
    }
    if let Ok(tag) = parse_audio(body)
        && audio_parts(&tag).is_some()
    {
        assert_eq!(parse_audio(write_audio(&tag)), Ok(tag));
    }
});
