//! Streams as they should not be and are: each is recorded, or refused by its true name.

mod common;

use bytes::Bytes;
use common::{Camera, Clip, PATIENCE, Server, channel};
use media::flv::{VideoTag, write_video};
use media::rtmp::client::ClientEvent;
use media::timeline::{AudioProblem, TimelineEvent};
use media::{TrackKind, VideoCodec};

/// Bytes of the pictures that were recorded.
fn pictures(events: &[TimelineEvent]) -> Vec<Bytes> {
    events
        .iter()
        .filter_map(|event| match event {
            TimelineEvent::Sample { sample, .. } if sample.track == TrackKind::Video => {
                Some(sample.data.clone())
            }
            _ => None,
        })
        .collect()
}

fn units(data: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        units.push(unit);
        rest = after;
    }
    units
}

/// Parameter sets of an `avcC` with one of each.
fn parameter_sets(record: &[u8]) -> [&[u8]; 2] {
    let length = |at: usize| usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
    let sps = &record[8..8 + length(6)];
    let pps_at = 8 + sps.len() + 1;
    [sps, &record[pps_at + 2..pps_at + 2 + length(pps_at)]]
}

fn annex_b(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

/// What a stream is made into: bodies of messages for a picture, its number and its header.
type Bend = fn(usize, &VideoTag, &[u8]) -> Vec<Bytes>;

fn frame(tag: &VideoTag, data: Vec<u8>) -> Bytes {
    let VideoTag::Frame { is_key, composition_time_ms, .. } = *tag else { panic!() };
    let tag = VideoTag::Frame { is_key, composition_time_ms, data: data.into() };
    write_video(VideoCodec::H264, &tag)
}

fn data(tag: &VideoTag) -> &Bytes {
    let VideoTag::Frame { data, .. } = tag else { panic!() };
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn however_video_is_wrapped_the_same_pictures_are_recorded() {
    let clip = Clip::demo();
    let (header, frames) = clip.video();
    let VideoTag::SequenceHeader { record, .. } = header else { panic!() };
    let expected: Vec<Bytes> = frames.iter().take(100).map(|(_, tag)| data(tag).clone()).collect();
    /// Gives the bytes that are recorded of a picture's units; the second is the configuration record.
    type Recorded = fn(&[&[u8]], &[u8]) -> Vec<u8>;
    let bends: [(&str, bool, Bend, Recorded); 5] = [
        (
            "start codes",
            true,
            |_, tag, _| vec![frame(tag, annex_b(&units(data(tag))))],
            |units, _| {
                units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
            },
        ),
        (
            "sets between the pictures, without a header",
            false,
            |_, tag, record| {
                let VideoTag::Frame { is_key, .. } = tag else { panic!() };
                let mut all = if *is_key { parameter_sets(record).to_vec() } else { Vec::new() };
                all.extend(units(data(tag)));
                vec![frame(tag, annex_b(&all))]
            },
            |all, record| {
                let sets = if all.iter().any(|unit| unit[0] & 0x1f == 5) {
                    parameter_sets(record).to_vec()
                } else {
                    Vec::new()
                };
                let all = sets.into_iter().chain(all.iter().copied());
                all.flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), unit].concat()).collect()
            },
        ),
        (
            "a message for each NAL unit, with SEI before",
            true,
            |_, tag, _| {
                let sei: &[u8] = &[0x06, 0x05, 0x01, 0x7f, 0x80];
                let all = std::iter::once(sei).chain(units(data(tag)));
                all.map(|unit| frame(tag, [&(unit.len() as u32).to_be_bytes(), unit].concat())).collect()
            },
            |all, _| {
                let all = std::iter::once(&[0x06, 0x05, 0x01, 0x7f, 0x80][..]).chain(all.iter().copied());
                all.flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), unit].concat()).collect()
            },
        ),
        (
            "one track of several",
            false,
            |number, tag, record| {
                let VideoTag::Frame { is_key, composition_time_ms, data } = tag else { panic!() };
                let kind = if *is_key { 0x96 } else { 0xa6 };
                let time = &composition_time_ms.to_be_bytes()[1..];
                let mut bodies = Vec::new();
                if number == 0 {
                    bodies.push(Bytes::from([&[0x96, 0][..], b"avc1", &[0], record].concat()));
                    bodies.push(Bytes::from([&[0x96, 0][..], b"av01", &[1], b"another"].concat()));
                }
                bodies.push(Bytes::from([&[kind, 1][..], b"avc1", &[0], time, data].concat()));
                bodies.push(Bytes::from([&[kind, 1][..], b"avc1", &[1], time, data].concat()));
                bodies
            },
            |all, _| {
                all.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
            },
        ),
        (
            "odd messages between",
            true,
            |number, tag, _| {
                let odd: [&[u8]; 4] =
                    [b"\x17\x09\x00\x00\x00", b"\x17\x01\x00", b"\x24\x00VP6", b"\x91av01x"];
                let odd = Bytes::copy_from_slice(odd[number % 4]);
                vec![odd, frame(tag, data(tag).to_vec())]
            },
            |all, _| {
                all.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
            },
        ),
    ];
    let server = Server::start(|_| {});
    for (number, (what, has_header, bend, becomes)) in bends.into_iter().enumerate() {
        let number = number as u128 + 1;
        let mut camera = Camera::connect(&server, &format!("camera-{number}")).await.unwrap();
        if has_header {
            camera.client.send_video(0, write_video(VideoCodec::H264, header)).unwrap();
        }
        for (index, (at_ms, tag)) in frames.iter().take(100).enumerate() {
            for body in bend(index, tag, record) {
                camera.client.send_video(*at_ms, body).unwrap();
            }
            // Sound that cannot be read ends nothing.
            camera.client.send_audio(*at_ms, Bytes::from_static(b"\xaf\x09x")).unwrap();
        }
        camera.flush().await.unwrap();
        camera.client.unpublish();
        camera.flush().await.unwrap();
        server.told.end(channel(number)).await;
        let expected: Vec<Bytes> = expected.iter().map(|data| becomes(&units(data), record).into()).collect();
        assert!(pictures(&server.told.of(channel(number))) == expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn video_that_cannot_be_recorded_is_refused_within_seconds_by_its_name() {
    let server = Server::start(|_| {});
    for (number, (body, name)) in
        [(&b"\x24\x00abc"[..], "VP6"), (b"\x90av01abc", "AV1"), (b"\xa1vp09abc", "VP9")].iter().enumerate()
    {
        let number = number + 1;
        let mut camera = Camera::connect(&server, &format!("camera-{number}")).await.unwrap();
        let start = tokio::time::Instant::now();
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(40));
        let told = async {
            for at_ms in (0..).step_by(40) {
                ticks.tick().await;
                camera.client.send_video(at_ms, Bytes::copy_from_slice(body)).unwrap();
                camera.client.send_audio(at_ms, Bytes::from_static(b"\xaf\x01\x21\x10\x05")).unwrap();
                if camera.flush().await.is_err() || camera.client.should_close() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap();
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{name}: {:?}", start.elapsed());
        assert!(server.told.of(channel(number as u128)).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_that_is_left_out_is_told_and_video_goes_on() {
    let server = Server::start(|_| {});
    let clip = Clip::demo();
    let (header, frames) = clip.video();
    for (number, (body, problem)) in [
        (&b"\x2f\xff\xfb\x90\x64"[..], AudioProblem::Codec("MP3".into())),
        (b"\x72abc", AudioProblem::Codec("G.711 A-law".into())),
        (b"\xb2abc", AudioProblem::Codec("Speex".into())),
        (b"\xaf\x01\x21\x10\x05", AudioProblem::NoConfiguration),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u128 + 1;
        let mut camera = Camera::connect(&server, &format!("camera-{number}")).await.unwrap();
        camera.client.send_video(0, write_video(VideoCodec::H264, header)).unwrap();
        for (at_ms, tag) in frames.iter().take(100) {
            camera.client.send_video_tag(*at_ms, VideoCodec::H264, tag).unwrap();
            camera.client.send_audio(*at_ms, Bytes::copy_from_slice(body)).unwrap();
        }
        camera.client.unpublish();
        camera.flush().await.unwrap();
        server.told.end(channel(number)).await;
        assert_eq!(pictures(&server.told.of(channel(number))).len(), 100);
        assert_eq!(server.told.audio_problems(channel(number)), [Some(problem)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_as_people_type_it_or_is_refused_with_a_hint() {
    let server = Server::start(|_| {});
    for key in ["live/camera-1", "/camera-1", "camera-1 ", "camera-1\n", "rtmp://h.example/live/camera-1"] {
        let camera = Camera::connect_named(&server, key).await;
        assert!(camera.is_ok(), "{key:?}: {:?}", camera.err());
    }
    for key in ["live/wrong", "wrong ", ""] {
        let refused = Camera::connect_named(&server, key).await.err().unwrap();
        let ClientEvent::Rejected { code, description } = refused else { panic!("{refused:?}") };
        assert_eq!(code, "NetStream.Publish.BadName");
        assert!(description.contains("the key alone"), "{description}");
        assert!(!description.contains("wrong"), "{description}");
    }
}
