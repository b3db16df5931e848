//! Framing: any messages, in any order, give tags that a timeline takes, and nothing that is held grows without limit.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::framing::{Framed, Framer};
use media::timeline::{Timeline, TimelineConfig};

fuzz_target!(|bytes: &[u8]| {
    let mut framer = Framer::new();
    let mut timeline = Timeline::new(TimelineConfig::default());
    let mut out = Vec::new();
    let (mut rest, mut now_us) = (bytes, 1_795_212_000_000_000_i64);
    // Kind and step of time, length, body; the first bytes of a body are often those of a frame or a header.
    while let Some((&[kind, length], after)) = rest.split_first_chunk::<2>() {
        let (body, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        now_us += i64::from(kind >> 4) * 10_000;
        let timestamp_ms = (now_us / 1000) as u32;
        let prefix: &[u8] = match kind & 7 {
            0 => &[0x17, 1, 0, 0, 0],
            1 => &[0x27, 1, 0, 0, 0],
            2 => &[0x17, 0, 0, 0, 0],
            3 => &[0x1c, 1, 0, 0, 0],
            4 => &[0xaf, 1],
            _ => &[],
        };
        let body = Bytes::from([prefix, body].concat());
        if matches!(kind & 7, 4 | 5) {
            framer.audio(timestamp_ms, body, &mut out);
        } else if framer.video(timestamp_ms, body, now_us, &mut out).is_err() {
            return;
        }
        for framed in out.drain(..) {
            let placed = match framed {
                Framed::Video { timestamp_ms, tag } => timeline.video(timestamp_ms, tag, now_us),
                Framed::Audio { timestamp_ms, tag } => timeline.audio(timestamp_ms, tag, now_us),
                Framed::MoreOfPicture { data } => {
                    timeline.more_of_picture(&data);
                    Ok(())
                }
            };
            if placed.is_err() {
                return;
            }
        }
        while timeline.poll().is_some() {}
        while framer.poll_notice().is_some() {}
    }
});
