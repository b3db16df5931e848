//! Samples back into tags, for sources that do not bring tags of their own (cameras that are pulled).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::amf0::Value;

use super::{AudioTag, FlvTag, TagRole, VideoTag, audio_parts, four_cc, video_parts};
use crate::sample::{Sample, SessionConfig, TrackKind, VideoCodec};
use crate::timeline::TimelineEvent;

/// Makes one tag of each sample. The payload stays where it is.
#[derive(Debug, Default)]
pub struct Retagger {
    config: Option<Arc<SessionConfig>>,
}

impl Retagger {
    /// A retagger without a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the tags of an event to `out`. Times count from the start of the session.
    pub fn push(&mut self, event: &TimelineEvent, out: &mut Vec<FlvTag>) {
        match event {
            TimelineEvent::SessionStart { config, .. } => {
                out.push(FlvTag::metadata(0, metadata(config)));
                if let Some(video) = &config.video {
                    let tag = VideoTag::SequenceHeader { codec: video.codec, record: video.record.clone() };
                    out.extend(
                        video_parts(video.codec, &tag).map(|parts| of(TagRole::VideoHeader, 0, parts)),
                    );
                }
                if let Some(audio) = &config.audio {
                    let tag = AudioTag::SequenceHeader { record: audio.record.clone() };
                    out.extend(audio_parts(&tag).map(|parts| of(TagRole::AudioHeader, 0, parts)));
                }
                self.config = Some(Arc::clone(config));
            }
            TimelineEvent::Sample { sample, .. } => out.extend(self.sample(sample)),
            TimelineEvent::SessionEnd { .. } => self.config = None,
        }
    }

    fn sample(&self, sample: &Sample) -> Option<FlvTag> {
        let config = self.config.as_ref()?;
        let timescale = i64::from(config.timescale(sample.track)).max(1);
        let ms = |ticks: i64| ticks.saturating_mul(1000).div_euclid(timescale);
        // Modulo 2³², as the field says.
        let timestamp_ms = ms(sample.decode_time) as u32;
        let data = sample.data.clone();
        match sample.track {
            TrackKind::Video => {
                let codec = config.video.as_ref()?.codec;
                // The difference of two rounded times, so that what a player adds up is the presentation time.
                let presented = sample.decode_time.saturating_add(i64::from(sample.composition_offset));
                let composition_time_ms = (ms(presented) - ms(sample.decode_time)) as i32;
                let role = if sample.is_sync { TagRole::KeyFrame } else { TagRole::Video };
                let tag = VideoTag::Frame { is_key: sample.is_sync, composition_time_ms, data };
                Some(of(role, timestamp_ms, video_parts(codec, &tag)?))
            }
            TrackKind::Audio => {
                Some(of(TagRole::Audio, timestamp_ms, audio_parts(&AudioTag::Frame { data })?))
            }
        }
    }
}

/// `onMetaData`: FFmpeg loses the first tag of an RTMP stream that has none, and with it the decoder configuration.
fn metadata(config: &SessionConfig) -> Bytes {
    let mut properties = Vec::new();
    let mut number = |name: &str, value: f64| properties.push((name.to_owned(), Value::Number(value)));
    if let Some(video) = &config.video {
        number("width", f64::from(video.width));
        number("height", f64::from(video.height));
        // E-RTMP v2, "Metadata Frame": a codec without a number of its own is named by its FourCC.
        number(
            "videocodecid",
            match video.codec {
                VideoCodec::H264 => 7.0,
                VideoCodec::Hevc => f64::from(u32::from_be_bytes(four_cc::HEVC)),
            },
        );
    }
    if let Some(audio) = &config.audio {
        number("audiosamplerate", f64::from(audio.sample_rate));
        number("audiocodecid", 10.0);
    }
    let mut body = BytesMut::with_capacity(256);
    Value::string("onMetaData").encode(&mut body);
    Value::EcmaArray(properties).encode(&mut body);
    body.freeze()
}

fn of(role: TagRole, timestamp_ms: u32, (prefix, payload): (super::TagPrefix, Bytes)) -> FlvTag {
    FlvTag { role, timestamp_ms, prefix, payload }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{AudioConfig, VideoConfig};

    #[test]
    fn a_sample_is_its_tag_again() {
        let video = VideoConfig {
            codec: VideoCodec::H264,
            record: Bytes::from_static(b"avcC"),
            width: 16,
            height: 16,
            codec_string: String::new(),
            frame_rate: None,
            pixel_aspect_ratio: None,
        };
        let audio = AudioConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap();
        let config = Arc::new(SessionConfig { video: Some(video), audio: Some(audio) });
        let mut retagger = Retagger::new();
        let mut tags = Vec::new();
        retagger.push(&TimelineEvent::SessionStart { config, start_us: 7 }, &mut tags);
        let data = Bytes::from_static(b"frame");
        for (track, decode_time, composition_offset) in
            [(TrackKind::Video, 9_000, 3_600), (TrackKind::Audio, 48_000, 0)]
        {
            let sample = Sample {
                track,
                decode_time,
                duration: 1,
                composition_offset,
                is_sync: true,
                data: data.clone(),
            };
            retagger.push(&TimelineEvent::Sample { sample, wall_us: 0 }, &mut tags);
        }
        let roles: Vec<_> = tags.iter().map(|tag| (tag.role, tag.timestamp_ms)).collect();
        assert_eq!(
            roles,
            [
                (TagRole::Metadata, 0),
                (TagRole::VideoHeader, 0),
                (TagRole::AudioHeader, 0),
                (TagRole::KeyFrame, 100),
                (TagRole::Audio, 1000)
            ]
        );
        let body = |tag: &FlvTag| Bytes::from([tag.prefix.as_slice(), &tag.payload].concat());
        assert_eq!(
            crate::flv::parse_video(body(&tags[3])),
            Ok(VideoTag::Frame { is_key: true, composition_time_ms: 40, data: data.clone() })
        );
        assert_eq!(crate::flv::parse_audio(body(&tags[4])), Ok(AudioTag::Frame { data: data.clone() }));
        assert_eq!(tags[3].payload.as_ptr(), data.as_ptr(), "not copied");
    }
}
