//! A user's MP4: finding the `moov` and reading it.
#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::mp4::demux::{Mp4File, locate_moov};

fuzz_target!(|bytes: &[u8]| {
    let _ = Mp4File::from_moov(bytes);
    let file = Bytes::copy_from_slice(bytes);
    let read = |offset: u64, len: usize| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        Ok::<_, Infallible>(file.slice(start..start.saturating_add(len).min(file.len())))
    };
    if let Ok(Ok(moov)) = locate_moov(file.len() as u64, read)
        && let Ok(movie) = Mp4File::from_moov(&moov)
    {
        for sample in &movie.samples {
            let _ = (movie.decode_time_us(sample), movie.presentation_time_us(sample));
        }
    }
});
