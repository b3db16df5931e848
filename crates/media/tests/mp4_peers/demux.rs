//! Users' files are read as ffmpeg reads them.

use turepe_media::mp4::demux::DemuxError;
use turepe_media::{TrackKind, VideoCodec};

use super::peer::{Clip, clip, file, packets};
use super::recording::{START_US, demux, record};

#[test]
fn samples_are_those_of_ffprobe() {
    for source in [Clip::H264, Clip::Ntsc, Clip::Hevc, Clip::Small] {
        let path = clip(source);
        let (read, _) = demux(&path);
        let read = read.unwrap();
        for (track, stream) in [(TrackKind::Video, "v"), (TrackKind::Audio, "a")] {
            let own: Vec<_> = read
                .samples
                .iter()
                .filter(|sample| sample.track == track)
                .map(|sample| (sample.decode_time + i64::from(sample.composition_offset), sample.is_sync))
                .collect();
            let theirs: Vec<_> =
                packets(&path, stream).iter().map(|packet| (packet.pts, packet.is_key)).collect();
            assert_eq!(own, theirs, "{source:?} {stream}");
        }
    }
}

#[test]
fn configurations_are_read() {
    let of = |source| demux(&clip(source)).0.unwrap();
    let read = of(Clip::H264);
    let (video, audio) = (read.video.unwrap(), read.audio.unwrap());
    assert_eq!((video.width, video.height, video.codec), (320, 180, VideoCodec::H264));
    assert_eq!(video.frame_rate, Some((25, 1)));
    assert_eq!(video.pixel_aspect_ratio, None);
    assert!(video.codec_string.starts_with("avc1.6400"), "{}", video.codec_string);
    assert_eq!((audio.sample_rate, audio.channels, audio.codec_string.as_str()), (48_000, 2, "mp4a.40.2"));
    let read = of(Clip::Ntsc);
    assert_eq!(read.video.unwrap().frame_rate, Some((30_000, 1001)));
    assert_eq!(read.audio.unwrap().sample_rate, 44_100);
    let video = of(Clip::Hevc).video.unwrap();
    assert_eq!((video.width, video.height, video.codec), (320, 180, VideoCodec::Hevc));
    assert_eq!(video.frame_rate, Some((25, 1)));
    assert!(video.codec_string.starts_with("hvc1.1.6.L60"), "{}", video.codec_string);
    let video = of(Clip::Small).video.unwrap();
    assert_eq!((video.width, video.height, video.pixel_aspect_ratio), (160, 120, Some((16, 15))));
}

#[test]
fn a_file_in_fragments_is_refused_with_a_reason() {
    let growing = record(Clip::H264, START_US, i64::MAX).remove(0).growing;
    let (read, _) = demux(&file("fragmented", &growing));
    assert_eq!(read, Err(DemuxError::Fragmented));
    let (read, _) = demux(&file("nothing", b"this is no MP4"));
    assert_eq!(read, Err(DemuxError::NoMovie));
}
