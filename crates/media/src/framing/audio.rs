//! AAC without its ADTS headers.

use bytes::Bytes;

use super::{
    Framed, Notice,
    adts::{self, Header},
    notice::Notices,
};
use crate::flv::AudioTag;

/// The audio of a publication.
#[derive(Debug, Default)]
pub(super) struct AudioFramer {
    /// Whether a sequence header has come: then ADTS headers say nothing.
    is_configured: bool,
    /// What the last ADTS header said, as an `AudioSpecificConfig`.
    adts_config: Option<[u8; 2]>,
}

impl AudioFramer {
    pub(super) fn tag(
        &mut self,
        timestamp_ms: u32,
        tag: AudioTag,
        notices: &mut Notices,
        out: &mut Vec<Framed>,
    ) {
        match tag {
            AudioTag::SequenceHeader { record } => {
                self.is_configured = true;
                // Some encoders send an ADTS header here as well.
                let record = match Header::parse(&record) {
                    Some(header) => Bytes::copy_from_slice(&header.config),
                    None => record,
                };
                out.push(Framed::Audio { timestamp_ms, tag: AudioTag::SequenceHeader { record } });
            }
            AudioTag::Frame { data } => match adts::frames(&data) {
                Some((header, frames)) => {
                    notices.add(Notice::Adts);
                    self.configure(timestamp_ms, &header, out);
                    for (number, range) in frames.into_iter().enumerate() {
                        let timestamp_ms = timestamp_ms.wrapping_add(header.offset_ms(number));
                        let tag = AudioTag::Frame { data: data.slice(range) };
                        out.push(Framed::Audio { timestamp_ms, tag });
                    }
                }
                None => out.push(Framed::Audio { timestamp_ms, tag: AudioTag::Frame { data } }),
            },
            AudioTag::Unsupported { .. } => out.push(Framed::Audio { timestamp_ms, tag }),
            AudioTag::Ignored => {}
        }
    }

    fn configure(&mut self, timestamp_ms: u32, header: &Header, out: &mut Vec<Framed>) {
        if self.is_configured || self.adts_config == Some(header.config) {
            return;
        }
        self.adts_config = Some(header.config);
        let record = Bytes::copy_from_slice(&header.config);
        out.push(Framed::Audio { timestamp_ms, tag: AudioTag::SequenceHeader { record } });
    }
}
