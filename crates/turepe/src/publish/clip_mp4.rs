//! MP4 files as clips.

use std::sync::Arc;

use bytes::Bytes;
use media::flv::{AudioTag, VideoTag};
use media::mp4::demux::{DemuxSample, Mp4File, locate_moov};
use media::{TrackKind, VideoCodec};
use world::{DiskFile, read_exact_at};

use super::clip::{Clip, Frame, Payload};

/// Longest frame that RTMP can carry with its headers (24-bit length).
const MAX_FRAME_BYTES: u32 = 0xff_ff00;

impl Clip {
    /// A file in memory; the frames are slices of it.
    pub(super) fn from_mp4_bytes(bytes: &Bytes) -> Result<Self, String> {
        let slice = |offset: u64, len: usize| {
            let start = usize::try_from(offset).ok().filter(|start| *start <= bytes.len())?;
            Some(bytes.slice(start..start.saturating_add(len).min(bytes.len())))
        };
        let moov = locate_moov(bytes.len() as u64, |offset, len| {
            slice(offset, len).ok_or("the file ends too early")
        })?;
        let mp4 = moov.and_then(|moov| Mp4File::from_moov(&moov)).map_err(|error| error.to_string())?;
        Self::from_mp4(&mp4, None, |sample, composition_time_ms| {
            let data = slice(sample.offset, sample.size as usize)
                .filter(|data| data.len() == sample.size as usize)?;
            Some(match sample.track {
                TrackKind::Video => {
                    Payload::Video(VideoTag::Frame { is_key: sample.is_sync, composition_time_ms, data })
                }
                TrackKind::Audio => Payload::Audio(AudioTag::Frame { data }),
            })
        })
    }

    /// A file that is too large for memory; each frame is read when it is due.
    pub(super) fn from_large_file(file: Arc<dyn DiskFile>, len: u64) -> Result<Self, String> {
        let moov = locate_moov(len, |offset, wanted| {
            let wanted = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(wanted);
            let mut buffer = vec![0; wanted];
            read_exact_at(file.as_ref(), &mut buffer, offset).map(|()| Bytes::from(buffer))
        });
        let moov = moov.map_err(|error| error.to_string())?;
        let mp4 = moov.and_then(|moov| Mp4File::from_moov(&moov)).map_err(|error| error.to_string())?;
        Self::from_mp4(&mp4, Some(file), |sample, composition_time_ms| {
            Some(Payload::OnDisk {
                track: sample.track,
                offset: sample.offset,
                size: sample.size,
                is_key: sample.is_sync,
                composition_time_ms,
            })
        })
    }

    fn from_mp4(
        mp4: &Mp4File,
        file: Option<Arc<dyn DiskFile>>,
        payload: impl Fn(&DemuxSample, i32) -> Option<Payload>,
    ) -> Result<Self, String> {
        let mut setup = Vec::new();
        if let Some(video) = &mp4.video {
            let (codec, record) = (video.codec, video.record.clone());
            setup.push(Payload::Video(VideoTag::SequenceHeader { codec, record }));
        }
        if let Some(audio) = &mp4.audio {
            setup.push(Payload::Audio(AudioTag::SequenceHeader { record: audio.record.clone() }));
        }
        let first_us = mp4.samples.first().map_or(0, |sample| mp4.decode_time_us(sample));
        let mut frames = Vec::with_capacity(mp4.samples.len());
        for sample in &mp4.samples {
            if sample.size > MAX_FRAME_BYTES {
                return Err(format!("it has a frame of {} bytes, more than RTMP can carry", sample.size));
            }
            let dts_us = mp4.decode_time_us(sample);
            let composition_us = mp4.presentation_time_us(sample) - dts_us;
            let composition_ms = i32::try_from((composition_us + 500).div_euclid(1000)).unwrap_or(0);
            let payload = payload(sample, composition_ms).ok_or("a frame lies outside the file")?;
            frames.push(Frame { dts_us: dts_us - first_us, payload });
        }
        let codec = mp4.video.as_ref().map_or(VideoCodec::H264, |video| video.codec);
        let mut clip = Self { setup, frames, duration_us: 0, codec, file };
        clip.close_loop();
        Ok(clip)
    }
}
