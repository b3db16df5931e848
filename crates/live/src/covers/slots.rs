//! The newest keyframe of each live channel.
//!
//! A slot costs what one keyframe does, and that is shared with the live window and the recorder while they hold it. There is
//! no task and no queue per channel: the publisher itself leaves the keyframe here.
//!
//! Where a picture builds up over many (gradual refresh), what is kept are those from where decoding can start to the first
//! whole one, and that one is shown.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use media::{
    Fragment, Sample, SessionConfig, TICKS_PER_SECOND_VIDEO, TrackKind, VideoConfig,
    codec::{Access, access, is_reference},
    fragmenter::FragmentEvent,
    mp4::{fragment::write_fragment, init::init_segment},
};
use tokio::sync::Notify;
use uuid::Uuid;

use super::limits::{MAX_KEYFRAME_BYTES, MAX_KEYFRAME_PICTURES};
use crate::channel::{Missed, Outlet};

/// One keyframe and what decodes it.
#[derive(Debug)]
pub(super) struct Keyframe {
    config: Arc<SessionConfig>,
    /// The keyframe; where a picture builds up, all that the last one needs. Not empty.
    pictures: Vec<Picture>,
    /// Whether there is a cover of it.
    pub(super) is_made: AtomicBool,
}

/// One encoded picture; times in ticks of 1/90 000 s.
#[derive(Clone, Debug)]
struct Picture {
    data: Bytes,
    duration: u32,
    composition_offset: i32,
}

/// The pictures of a fragment in decode order.
fn pictures(fragment: &Fragment) -> impl Iterator<Item = Picture> {
    // In a fragment audio stands before video.
    let payload = fragment.payload.iter().skip(fragment.audio.samples.len());
    let whole =
        fragment.video.samples.iter().zip(payload).filter(|(meta, data)| data.len() == meta.size as usize);
    whole.map(|(meta, data)| Picture {
        data: data.clone(),
        duration: meta.duration,
        composition_offset: meta.composition_offset,
    })
}

/// Pictures on the way from one where decoding can start to the first whole one.
struct Gathering {
    config: Arc<SessionConfig>,
    pictures: Vec<Picture>,
    bytes: usize,
    /// How many that others refer to are still to come; `None` where nobody knows.
    left: Option<u32>,
}

impl Gathering {
    /// Takes the pictures of a fragment; whether the last one taken is whole, or as good as it gets.
    fn take(&mut self, fragment: &Fragment) -> bool {
        for picture in pictures(fragment) {
            let length_size = self.config.video.as_ref().map_or(4, VideoConfig::nal_length_size);
            let counts = self
                .config
                .video
                .as_ref()
                .is_some_and(|video| is_reference(video.codec, &picture.data, length_size));
            let is_first = self.pictures.is_empty();
            if self.bytes + picture.data.len() > MAX_KEYFRAME_BYTES && !is_first {
                return true;
            }
            self.bytes += picture.data.len();
            self.pictures.push(picture);
            if self.pictures.len() >= MAX_KEYFRAME_PICTURES {
                return true;
            }
            if let Some(left) = self.left.as_mut().filter(|_| counts && !is_first) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return true;
                }
            }
        }
        false
    }

    fn finish(self) -> Keyframe {
        Keyframe { config: self.config, pictures: self.pictures, is_made: AtomicBool::new(false) }
    }
}

/// What a key fragment offers.
enum Offer {
    /// Its first picture can be decoded alone.
    Keyframe(Keyframe),
    /// A picture builds up from it on.
    Start(Gathering),
}

impl Offer {
    fn of(config: &Arc<SessionConfig>, fragment: &Fragment) -> Option<Self> {
        let video = config.video.as_ref()?;
        let first = pictures(fragment).next().filter(|_| fragment.is_key)?;
        let left = match access(video.codec, &first.data, video.nal_length_size()) {
            Access::Recovery { frames } if frames > 0 => Some(frames),
            Access::Inter => None,
            _ => {
                let pictures = vec![first];
                let config = Arc::clone(config);
                return Some(Self::Keyframe(Keyframe { config, pictures, is_made: AtomicBool::new(false) }));
            }
        };
        Some(Self::Start(Gathering { config: Arc::clone(config), pictures: Vec::new(), bytes: 0, left }))
    }
}

impl Keyframe {
    /// Length in bytes.
    pub(super) fn len(&self) -> usize {
        self.pictures.iter().map(|picture| picture.data.len()).sum()
    }

    /// Milliseconds from the first picture shown to the one that is wanted, where that is another one.
    pub(super) fn skip_ms(&self) -> Option<u64> {
        let last = self.pictures.last().filter(|_| self.pictures.len() > 1)?;
        let length: i64 = self.pictures.iter().map(|picture| i64::from(picture.duration)).sum();
        // Half a picture before the one decoded last, so that rounding does not pass over it.
        let ticks = length - i64::from(last.duration) * 3 / 2;
        u64::try_from(ticks * 1000 / i64::from(TICKS_PER_SECOND_VIDEO)).ok()
    }

    /// How many pixels its configuration announces.
    pub(super) fn pixels(&self) -> u64 {
        self.video().map_or(0, |video| u64::from(video.width) * u64::from(video.height))
    }

    fn video(&self) -> Option<&VideoConfig> {
        self.config.video.as_ref()
    }

    /// An MP4 file with this one picture, or all that it needs. A decoder that reorders pictures gives it as soon as the file
    /// ends, without another one being decoded for it.
    pub(super) fn file(&self) -> Vec<Bytes> {
        let config = SessionConfig { video: self.video().cloned(), audio: None };
        let is_run = self.pictures.len() > 1;
        let mut decode_time = 0;
        let mut samples: Vec<Sample> = Vec::with_capacity(self.pictures.len());
        for picture in &self.pictures {
            samples.push(Sample {
                track: TrackKind::Video,
                decode_time,
                duration: if is_run { picture.duration } else { 1 },
                composition_offset: if is_run { picture.composition_offset } else { 0 },
                is_sync: samples.is_empty(),
                data: picture.data.clone(),
            });
            decode_time += i64::from(picture.duration);
        }
        let fragment = write_fragment(1, &config, 0, &mut samples, &mut Vec::new(), true);
        [init_segment(&config), fragment.head].into_iter().chain(fragment.payload).collect()
    }
}

/// The slots of all channels that are published.
#[derive(Default)]
pub(super) struct Slots {
    slots: Mutex<HashMap<Uuid, Arc<Slot>>>,
    /// Channels that got their first keyframe or lost their last one. No more than there are channels.
    changed: Mutex<BTreeSet<Uuid>>,
    wake: Notify,
    publishers: AtomicU64,
}

struct Slot {
    channel_id: Uuid,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of the publisher that has the channel.
    publisher: u64,
    config: Option<Arc<SessionConfig>>,
    newest: Option<Arc<Keyframe>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    /// The newest keyframe of a channel that is live.
    pub(super) fn newest(&self, channel_id: Uuid) -> Option<Arc<Keyframe>> {
        let slot = lock(&self.slots).get(&channel_id).cloned()?;
        lock(&slot.state).newest.clone()
    }

    /// The channels that may have gone online or offline since the last call.
    pub(super) fn take_changed(&self) -> BTreeSet<Uuid> {
        mem::take(&mut *lock(&self.changed))
    }

    /// Waits until there are some.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    fn tell(&self, channel_id: Uuid) {
        lock(&self.changed).insert(channel_id);
        self.wake.notify_one();
    }
}

/// Takes a publisher's keyframes.
pub(super) struct CoverOutlet {
    slots: Arc<Slots>,
    slot: Arc<Slot>,
    publisher: u64,
    gathering: Option<Gathering>,
}

impl CoverOutlet {
    /// Makes a publisher the channel's; one that has it is replaced.
    pub(super) fn new(slots: &Arc<Slots>, channel_id: Uuid) -> Self {
        let publisher = slots.publishers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut all = lock(&slots.slots);
        let slot = Arc::clone(
            all.entry(channel_id).or_insert_with(|| Arc::new(Slot { channel_id, state: Mutex::default() })),
        );
        // Under the lock of all, so that the one replaced cannot remove the slot in between. Its picture stays until there is
        // a new one.
        lock(&slot.state).publisher = publisher;
        drop(all);
        Self { slots: Arc::clone(slots), slot, publisher, gathering: None }
    }
}

impl CoverOutlet {
    /// The keyframe that is complete with this fragment.
    fn gather(&mut self, fragment: &Fragment) -> Option<Keyframe> {
        let mut made = None;
        if fragment.is_key {
            let config = lock(&self.slot.state).config.clone();
            match config.as_ref().and_then(|config| Offer::of(config, fragment)) {
                Some(Offer::Keyframe(keyframe)) => {
                    self.gathering = None;
                    return Some(keyframe);
                }
                // Where nobody knows when a picture is whole, the time up to the next start has to do.
                Some(Offer::Start(start)) if self.gathering.as_ref().is_none_or(|now| now.left.is_none()) => {
                    made = self.gathering.replace(start).map(Gathering::finish);
                }
                Some(Offer::Start(_)) | None => {}
            }
        }
        if self.gathering.as_mut().is_some_and(|gathering| gathering.take(fragment)) {
            made = self.gathering.take().map(Gathering::finish).or(made);
        }
        made
    }
}

impl Outlet for CoverOutlet {
    fn push(&mut self, event: &FragmentEvent) -> Result<(), Missed> {
        let mut made = None;
        if let FragmentEvent::Fragment(fragment) = event {
            // Most fragments are not key fragments: those cost this look and nothing else.
            if !fragment.is_key && self.gathering.is_none() {
                return Ok(());
            }
            made = self.gather(fragment);
        } else {
            self.gathering = None;
        }
        let mut state = lock(&self.slot.state);
        if state.publisher != self.publisher {
            return Ok(());
        }
        let had_one = state.newest.is_some();
        match event {
            FragmentEvent::SessionStart(session) => state.config = Some(Arc::clone(&session.config)),
            FragmentEvent::Fragment(_) => {
                if let Some(made) = made {
                    state.newest = Some(Arc::new(made));
                }
            }
            FragmentEvent::SessionEnd { .. } => {
                state.config = None;
                state.newest = None;
            }
        }
        let is_changed = state.newest.is_some() != had_one;
        drop(state);
        if is_changed {
            self.slots.tell(self.slot.channel_id);
        }
        Ok(())
    }
}

impl Drop for CoverOutlet {
    fn drop(&mut self) {
        let mut all = lock(&self.slots.slots);
        if lock(&self.slot.state).publisher != self.publisher {
            return;
        }
        all.remove(&self.slot.channel_id);
        drop(all);
        self.slots.tell(self.slot.channel_id);
    }
}

#[cfg(test)]
mod tests {
    use super::{CoverOutlet, Slots};
    use crate::channel::Outlet;
    use bytes::Bytes;
    use media::{
        AudioConfig, EndCause, Sample, SessionConfig, TrackKind, VideoCodec, VideoConfig,
        fragmenter::{FragmentEvent, Session},
        mp4::fragment::write_fragment,
    };
    use std::sync::Arc;
    use uuid::Uuid;

    const CHANNEL: Uuid = Uuid::from_u128(7);

    fn config() -> Arc<SessionConfig> {
        let video = VideoConfig {
            codec: VideoCodec::H264,
            record: Bytes::from_static(&[1, 0x64, 0, 0x0a, 0xff, 0xe0, 0]),
            width: 128,
            height: 72,
            codec_string: "avc1.64000a".to_owned(),
            frame_rate: None,
            pixel_aspect_ratio: None,
        };
        let audio = AudioConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap();
        Arc::new(SessionConfig { video: Some(video), audio: Some(audio) })
    }

    fn start() -> FragmentEvent {
        let session =
            Session { id: 0, config: config(), init: Bytes::new(), init_hash: String::new(), start_us: 0 };
        FragmentEvent::SessionStart(Arc::new(session))
    }

    /// A fragment of two sounds and two pictures, each told by its bytes.
    fn fragment(picture: &'static [u8], is_key: bool) -> FragmentEvent {
        let sample = |track, data: &'static [u8], is_sync| Sample {
            track,
            decode_time: 0,
            duration: 10,
            composition_offset: 0,
            is_sync,
            data: Bytes::from_static(data),
        };
        let mut video =
            vec![sample(TrackKind::Video, picture, is_key), sample(TrackKind::Video, b"next", false)];
        let mut audio =
            vec![sample(TrackKind::Audio, b"sound", true), sample(TrackKind::Audio, b"sound", true)];
        let fragment = write_fragment(1, &config(), 0, &mut video, &mut audio, is_key);
        FragmentEvent::Fragment(Arc::new(fragment))
    }

    fn end() -> FragmentEvent {
        FragmentEvent::SessionEnd { end_us: 0, cause: EndCause::Camera }
    }

    fn picture(slots: &Slots) -> Option<Bytes> {
        slots.newest(CHANNEL).map(|keyframe| keyframe.file()[2].clone())
    }

    #[test]
    fn only_the_newest_keyframe_is_kept() {
        let slots = Arc::new(Slots::default());
        let mut outlet = CoverOutlet::new(&slots, CHANNEL);
        assert!(slots.take_changed().is_empty());
        for event in [fragment(b"before any session", true), start(), fragment(b"no key", false)] {
            outlet.push(&event).unwrap();
            assert_eq!(picture(&slots), None);
        }
        outlet.push(&fragment(b"first", true)).unwrap();
        assert_eq!(slots.take_changed().into_iter().collect::<Vec<_>>(), [CHANNEL]);
        outlet.push(&fragment(b"second", true)).unwrap();
        outlet.push(&fragment(b"no key", false)).unwrap();
        assert!(slots.take_changed().is_empty(), "it was live before");
        assert_eq!(picture(&slots).unwrap(), "second");
        outlet.push(&end()).unwrap();
        assert_eq!((picture(&slots), slots.take_changed().len()), (None, 1));
        drop(outlet);
        assert!(slots.slots.lock().unwrap().is_empty());
    }

    #[test]
    fn who_was_replaced_takes_nothing_away() {
        let slots = Arc::new(Slots::default());
        let mut first = CoverOutlet::new(&slots, CHANNEL);
        first.push(&start()).unwrap();
        first.push(&fragment(b"first", true)).unwrap();
        let mut second = CoverOutlet::new(&slots, CHANNEL);
        assert_eq!(picture(&slots).unwrap(), "first", "until there is a new one");
        second.push(&start()).unwrap();
        second.push(&fragment(b"second", true)).unwrap();
        for event in [fragment(b"stale", true), end()] {
            first.push(&event).unwrap();
            assert_eq!(picture(&slots).unwrap(), "second");
        }
        drop(first);
        assert_eq!(picture(&slots).unwrap(), "second");
        drop(second);
        assert_eq!(picture(&slots), None);
        assert!(slots.slots.lock().unwrap().is_empty());
    }
}
