//! What stands in front of the first fragment: `ftyp` and a `moov` without samples (ISO/IEC 14496-12 §8.8).

use std::ops::Range;

use bytes::Bytes;

use super::boxes::BoxWriter;
use super::entry::{self, Entry};
use crate::{SessionConfig, TrackKind};

/// `iso6` brings fragments with `tfdt`, `default-base-is-moof` and signed composition offsets (annex E.9); `isom` and
/// `mp41` say that a sealed segment is also a plain MP4. A CMAF brand would be untrue: our fragments carry both tracks.
pub(super) const FTYP: [u8; 28] = *b"\0\0\0\x1cftypiso6\0\0\0\0iso6isommp41";
/// Where `free`, later the head of the `mdat`, stands in a segment file.
pub(super) const FREE_OFFSET: u64 = FTYP.len() as u64;
/// Length of `free`: what an `mdat` head with a 64-bit length needs.
pub(super) const FREE_BYTES: usize = 16;
/// Type of the `uuid` box at the end of the `moov` in a file header: the parameter sets as NAL units behind their lengths.
/// A cut takes them from there, where the configuration changes: most players read only the first sample description.
const PARAMETER_SETS_UUID: [u8; 16] = *b"turepe/param.set";
pub(super) const FREE: [u8; FREE_BYTES] = *b"\0\0\0\x10free\0\0\0\0\0\0\0\0";

/// The HLS initialisation section: `ftyp`, `moov` with `mvex`.
#[must_use]
pub fn init_segment(config: &SessionConfig) -> Bytes {
    header(config, &[])
}

/// The first bytes of a segment file: `ftyp`, `free`, and the same `moov` as in [`init_segment`].
#[must_use]
pub fn file_header(config: &SessionConfig) -> Bytes {
    header(config, &FREE)
}

/// Where the parameter sets stand in a segment file whose header has `header_len` bytes.
pub(super) fn parameter_sets(config: &SessionConfig, header_len: u32) -> Option<Range<u64>> {
    let len = config.video.as_ref()?.parameter_sets().len() as u64;
    let end = u64::from(header_len);
    end.checked_sub(len).map(|start| start..end).filter(|sets| !sets.is_empty())
}

/// The sample entry of a track, if the session has it.
pub(super) fn entry_of(config: &SessionConfig, track: TrackKind) -> Option<Entry<'_>> {
    match track {
        TrackKind::Video => config.video.as_ref().map(Entry::Video),
        TrackKind::Audio => config.audio.as_ref().map(Entry::Audio),
    }
}

fn header(config: &SessionConfig, between: &[u8]) -> Bytes {
    let tracks = || {
        [TrackKind::Video, TrackKind::Audio]
            .into_iter()
            .filter_map(|track| entry_of(config, track).map(|entry| (entry, config.timescale(track))))
    };
    let mut w = BoxWriter::with_capacity(2048);
    w.bytes(&FTYP);
    w.bytes(between);
    w.boxed(b"moov", |w| {
        entry::movie_header(w, 0, None);
        for (entry, timescale) in tracks() {
            w.boxed(b"trak", |w| {
                entry::track_header(w, entry, 0, None);
                w.boxed(b"mdia", |w| {
                    entry::media_header(w, timescale, 0, None);
                    entry::handler(w, entry);
                    w.boxed(b"minf", |w| {
                        entry::media_information(w, entry);
                        w.boxed(b"stbl", |w| {
                            entry::sample_description(w, &[entry]);
                            w.full(b"stts", 0, 0, |w| w.u32(0));
                            w.full(b"stsc", 0, 0, |w| w.u32(0));
                            w.full(b"stsz", 0, 0, |w| w.zeros(8));
                            w.full(b"stco", 0, 0, |w| w.u32(0));
                        });
                    });
                });
            });
        }
        w.boxed(b"mvex", |w| {
            for (entry, _) in tracks() {
                w.full(b"trex", 0, 0, |w| {
                    w.u32(entry::track_id(entry));
                    w.u32(1); // sample description
                    w.zeros(12); // duration, size and flags come with each fragment
                });
            }
        });
        if let Some(video) = &config.video {
            w.boxed(b"uuid", |w| {
                w.bytes(&PARAMETER_SETS_UUID);
                w.bytes(&video.parameter_sets());
            });
        }
    });
    w.out.into()
}
