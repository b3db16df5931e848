//! `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1): AAC-LC and what is built on it (SBR, PS).

use bytes::Bytes;

use super::bits::BitReader;
use super::{CodecError, MAX_RECORD_BYTES};
use crate::AudioConfig;

const RECORD: &str = "AudioSpecificConfig";
const AAC_LC: u32 = 2;
const SBR: u32 = 5;
const PS: u32 = 29;
/// §1.6.2.1: announces SBR behind a configuration that players without SBR understand.
const SYNC_EXTENSION: u32 = 0x2b7;
/// The highest frequency that AAC knows (table 1.18), in Hz.
const MAX_SAMPLE_RATE: u32 = 96_000;
/// Table 1.18
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

impl AudioConfig {
    /// Reads an `AudioSpecificConfig`.
    ///
    /// For HE-AAC, `sample_rate` and `samples_per_frame` are those of the AAC-LC core: its frames are what is counted.
    ///
    /// # Errors
    ///
    /// If it is cut short, not allowed, or asks for anything other than AAC-LC with or without SBR and PS.
    pub fn from_asc(record: Bytes) -> Result<Self, CodecError> {
        if record.len() > MAX_RECORD_BYTES {
            return Err(CodecError::TooLong { record: RECORD, size_bytes: record.len() });
        }
        let truncated = CodecError::Truncated { record: RECORD };
        let invalid = |problem| CodecError::Invalid { record: RECORD, problem };
        let mut bits = BitReader::new(&record);
        let mut object_type = object_type(&mut bits).ok_or(truncated.clone())?;
        let sample_rate = sample_rate(&mut bits).ok_or(truncated.clone())?;
        let channel_configuration = bits.bits(4).ok_or(truncated.clone())?;
        let mut signalled = object_type;
        if object_type == SBR || object_type == PS {
            self::sample_rate(&mut bits).ok_or(truncated.clone())?; // extensionSamplingFrequency
            object_type = self::object_type(&mut bits).ok_or(truncated.clone())?;
        }
        if object_type != AAC_LC {
            return Err(CodecError::Unsupported { what: format!("MPEG-4 audio object type {object_type}") });
        }
        if !(1..=MAX_SAMPLE_RATE).contains(&sample_rate) {
            return Err(invalid("its sampling frequency is not one of AAC"));
        }
        let channels = match channel_configuration {
            0 => {
                return Err(CodecError::Unsupported {
                    what: "a channel layout in a program config element".into(),
                });
            }
            1..=6 => channel_configuration as u8,
            7 => 8,
            _ => return Err(invalid("its channel configuration is reserved")),
        };
        // GASpecificConfig, §4.4.1
        let is_960 = bits.flag().ok_or(truncated.clone())?;
        if bits.flag().ok_or(truncated.clone())? {
            bits.skip(14).ok_or(truncated.clone())?; // coreCoderDelay
        }
        bits.flag().ok_or(truncated)?; // extensionFlag
        if signalled == AAC_LC
            && bits.remaining() >= 16
            && bits.bits(11) == Some(SYNC_EXTENSION)
            && self::object_type(&mut bits) == Some(SBR)
            && bits.flag() == Some(true)
        {
            signalled = SBR;
        }
        Ok(Self {
            record,
            sample_rate,
            channels,
            samples_per_frame: if is_960 { 960 } else { 1024 },
            codec_string: format!("mp4a.40.{signalled}"),
        })
    }

    /// One frame of digital silence for this configuration, where one is known.
    ///
    /// A player that counts samples instead of reading their times would otherwise lose its lip sync over a hole in the
    /// sound. The bytes are a `single_channel_element` or `channel_pair_element` with `max_sfb` 0 and the end marker
    /// (ISO/IEC 14496-3 §4.4.2.1).
    pub(crate) fn silence(&self) -> Option<&'static [u8]> {
        match (self.codec_string.as_str(), self.channels, self.samples_per_frame) {
            ("mp4a.40.2", 1, 1024) => Some(&[0x00, 0xc8, 0x00, 0x80, 0x23, 0x80]),
            ("mp4a.40.2", 2, 1024) => Some(&[0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80]),
            _ => None,
        }
    }
}

fn object_type(bits: &mut BitReader<'_>) -> Option<u32> {
    match bits.bits(5)? {
        31 => Some(32 + bits.bits(6)?),
        short => Some(short),
    }
}

/// 0 stands for a reserved index.
fn sample_rate(bits: &mut BitReader<'_>) -> Option<u32> {
    match bits.bits(4)? {
        15 => bits.bits(24),
        index => Some(SAMPLE_RATES.get(index as usize).copied().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(asc: &[u8]) -> Result<AudioConfig, CodecError> {
        AudioConfig::from_asc(Bytes::copy_from_slice(asc))
    }

    #[test]
    fn aac_lc() {
        let config = read(&[0x11, 0x90]).unwrap();
        assert_eq!((config.sample_rate, config.channels, config.samples_per_frame), (48_000, 2, 1024));
        assert_eq!(config.codec_string, "mp4a.40.2");
        let config = read(&[0x12, 0x08]).unwrap();
        assert_eq!((config.sample_rate, config.channels), (44_100, 1));
    }

    #[test]
    fn he_aac_counts_in_its_core_rate() {
        // Explicit, hierarchical: AOT 5, 24 kHz core, stereo, 48 kHz extension, AOT 2.
        let explicit = read(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!((explicit.sample_rate, explicit.channels), (24_000, 2));
        assert_eq!(explicit.codec_string, "mp4a.40.5");
        // Backward compatible: AOT 2 at 22.05 kHz, then 0x2b7, AOT 5, sbrPresentFlag.
        let compatible = read(&[0x13, 0x90, 0x56, 0xe5, 0xa0]).unwrap();
        assert_eq!((compatible.sample_rate, compatible.channels), (22_050, 2));
        assert_eq!(compatible.codec_string, "mp4a.40.5");
        // HE-AAC v2: AOT 29, mono core.
        let parametric = read(&[0xeb, 0x09, 0x88, 0x00]).unwrap();
        assert_eq!((parametric.sample_rate, parametric.channels), (24_000, 1));
        assert_eq!(parametric.codec_string, "mp4a.40.29");
    }

    #[test]
    fn frames_of_960_samples() {
        assert_eq!(read(&[0x11, 0x94]).unwrap().samples_per_frame, 960);
    }

    #[test]
    fn refusals_say_why() {
        assert_eq!(read(&[0x11]), Err(CodecError::Truncated { record: RECORD }));
        assert!(read(&[0x0a, 0x10]).unwrap_err().to_string().contains("object type 1"));
        assert!(read(&[0x11, 0x80]).unwrap_err().to_string().contains("program config"));
        assert!(read(&[0x16, 0x90]).unwrap_err().to_string().contains("sampling frequency"));
    }
}
