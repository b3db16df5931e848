//! Any cut gives the same; any bytes are harmless; what is written is read.

use bytes::Bytes;
use proptest::prelude::*;

use super::wire::Wire;
use super::{message, read_in_steps};
use crate::rtmp::chunk::{ChunkReader, ChunkWriter};
use crate::rtmp::limits::MAX_PARTIAL_BYTES;
use crate::rtmp::{Message, MessageHeader, Transmit};

/// A message and how its first header is written: type 0, or 1 where the stream is known.
#[derive(Clone, Debug)]
struct Plan {
    chunk_stream: u32,
    step_ms: u32,
    length: usize,
    is_short: bool,
    /// How many other messages' chunks come between two chunks of this one.
    patience: usize,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let id = prop_oneof![3..8_u32, Just(64), Just(1000)];
    let time = prop_oneof![0..50_u32, Just(0xff_ffff), Just(0x4000_0000)];
    let plan = (id, time, 0..700_usize, any::<bool>(), 0..3_usize).prop_map(
        |(chunk_stream, step_ms, length, is_short, patience)| Plan {
            chunk_stream,
            step_ms,
            length,
            is_short,
            patience,
        },
    );
    prop::collection::vec(plan, 1..24)
}

/// Chunks of several messages, interleaved where they stand on different chunk streams, and the messages in the order in
/// which they become whole.
fn interleave(plans: &[Plan], chunk: usize) -> (Vec<u8>, Vec<Message>) {
    struct Open {
        plan: Plan,
        payload: Vec<u8>,
        sent: usize,
        time: u32,
        field: u32,
        wait: usize,
    }
    let mut clocks = std::collections::HashMap::new();
    let (mut wire, mut done, mut open) = (Wire::default(), Vec::new(), Vec::<Open>::new());
    wire.chunk_size(chunk as u32);
    let mut plans = plans.iter().enumerate();
    let mut next = plans.next();
    while next.is_some() || !open.is_empty() {
        if let Some((number, plan)) = next
            && !open.iter().any(|open| open.plan.chunk_stream == plan.chunk_stream)
        {
            let payload: Vec<u8> = (0..plan.length).map(|i| (i * 7 + number) as u8).collect();
            let first = &payload[..plan.length.min(chunk)];
            let id = plan.chunk_stream;
            let (time, field) = match clocks.get(&id) {
                Some(clock) if plan.is_short => {
                    wire.same_stream(id, plan.step_ms, plan.length, 9, first);
                    (plan.step_ms.wrapping_add(*clock), plan.step_ms)
                }
                clock => {
                    let time = clock.copied().unwrap_or(0_u32).wrapping_add(plan.step_ms);
                    wire.full(id, time, plan.length, 9, 1, first);
                    (time, time)
                }
            };
            clocks.insert(id, time);
            let sent = first.len();
            open.push(Open { plan: plan.clone(), payload, sent, time, field, wait: plan.patience });
            next = plans.next();
        } else {
            for open in &mut open {
                if open.wait > 0 {
                    open.wait -= 1;
                    continue;
                }
                open.wait = open.plan.patience;
                let end = (open.sent + chunk).min(open.payload.len());
                if open.sent < end {
                    wire.next(open.plan.chunk_stream, &[]);
                    if open.field >= 0xff_ffff {
                        wire.raw(&open.field.to_be_bytes());
                    }
                    wire.raw(&open.payload[open.sent..end]);
                    open.sent = end;
                }
                if open.sent == open.payload.len() {
                    break;
                }
            }
        }
        while let Some(at) = open.iter().position(|open| open.sent == open.payload.len()) {
            let open = open.remove(at);
            done.push(message(open.time, 9, 1, &open.payload));
        }
    }
    (wire.0, done)
}

proptest! {
    #[test]
    fn interleaved_messages_come_out_whole(plans in plans(), chunk in 1..400_usize, step in 1..600_usize) {
        let (bytes, expected) = interleave(&plans, chunk);
        prop_assert_eq!(read_in_steps(&bytes, bytes.len()), (expected.clone(), None));
        prop_assert_eq!(read_in_steps(&bytes, step), (expected.clone(), None));
        prop_assert_eq!(read_in_steps(&bytes, 1), (expected, None));
    }

    #[test]
    fn a_damaged_stream_gives_the_same_in_any_cut(
        plans in plans(), chunk in 1..400_usize, step in 1..600_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut bytes, _) = interleave(&plans, chunk);
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = read_in_steps(&bytes, bytes.len());
        prop_assert_eq!(read_in_steps(&bytes, step), whole.clone());
        prop_assert_eq!(read_in_steps(&bytes, 1), whole);
    }

    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..2000), step in 1..100_usize) {
        let whole = read_in_steps(&bytes, bytes.len());
        prop_assert_eq!(read_in_steps(&bytes, step), whole);
        let (mut reader, mut input) = (ChunkReader::new(), bytes.as_slice());
        while let Ok(Some(_)) = reader.read(&mut input) {
            prop_assert!(reader.partial_bytes() <= MAX_PARTIAL_BYTES);
        }
        prop_assert!(reader.partial_bytes() <= MAX_PARTIAL_BYTES);
    }

    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec(
            (2..70_000_u32, any::<u32>(), prop::collection::vec(any::<u8>(), 0..12), 0..5000_usize), 1..20),
        chunk in 1..6000_u32,
        step in 1..9000_usize,
    ) {
        let (mut writer, mut out) = (ChunkWriter::new(), Transmit::default());
        let mut wire = Wire::default();
        wire.chunk_size(chunk);
        writer.set_chunk_size(chunk);
        let mut expected = Vec::new();
        for (id, timestamp_ms, prefix, length) in messages {
            let id = if id % 3 == 0 { 65_599 } else { 2 + id % 400 % 50 };
            let header = MessageHeader { chunk_stream_id: id, timestamp_ms, type_id: 8, stream_id: 1 };
            let payload = Bytes::from((0..length).map(|i| i as u8).collect::<Vec<_>>());
            writer.write(&header, &prefix, payload.clone(), &mut out);
            expected.push(message(timestamp_ms, 8, 1, &[&prefix[..], &payload[..]].concat()));
        }
        while let Some(piece) = out.pop() {
            wire.raw(&piece);
        }
        prop_assert_eq!(read_in_steps(&wire.0, step), (expected, None));
    }
}
