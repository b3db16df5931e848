//! The newest keyframe of each live channel.
//!
//! A slot costs what one keyframe does, and that is shared with the live window and the recorder while they hold it. There is
//! no task and no queue per channel: the publisher itself leaves the keyframe here.

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
    Fragment, Sample, SessionConfig, TrackKind, VideoConfig,
    fragmenter::FragmentEvent,
    mp4::{fragment::write_fragment, init::init_segment},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::channel::{Missed, Outlet};

/// One keyframe and what decodes it.
#[derive(Debug)]
pub(super) struct Keyframe {
    config: Arc<SessionConfig>,
    data: Bytes,
    /// Whether there is a cover of it.
    pub(super) is_made: AtomicBool,
}

impl Keyframe {
    /// The keyframe that a key fragment begins with.
    fn of(config: &Arc<SessionConfig>, fragment: &Fragment) -> Option<Self> {
        config.video.as_ref()?;
        let first = fragment.video.samples.first()?;
        // In a fragment audio stands before video.
        let data = fragment.payload.get(fragment.audio.samples.len())?;
        if !fragment.is_key || data.len() != first.size as usize {
            return None;
        }
        Some(Self { config: Arc::clone(config), data: data.clone(), is_made: AtomicBool::new(false) })
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// How many pixels its configuration announces.
    pub(super) fn pixels(&self) -> u64 {
        self.video().map_or(0, |video| u64::from(video.width) * u64::from(video.height))
    }

    fn video(&self) -> Option<&VideoConfig> {
        self.config.video.as_ref()
    }

    /// An MP4 file with this one picture. A decoder that reorders pictures gives it as soon as the file ends, without another
    /// one being decoded for it.
    pub(super) fn file(&self) -> [Bytes; 3] {
        let config = SessionConfig { video: self.video().cloned(), audio: None };
        let sample = Sample {
            track: TrackKind::Video,
            decode_time: 0,
            duration: 1,
            composition_offset: 0,
            is_sync: true,
            data: self.data.clone(),
        };
        let fragment = write_fragment(1, &config, 0, &mut vec![sample], &mut Vec::new(), true);
        [init_segment(&config), fragment.head, self.data.clone()]
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
        Self { slots: Arc::clone(slots), slot, publisher }
    }
}

impl Outlet for CoverOutlet {
    fn push(&mut self, event: &FragmentEvent) -> Result<(), Missed> {
        // Most fragments are not key fragments: those cost this look and nothing else.
        if matches!(event, FragmentEvent::Fragment(fragment) if !fragment.is_key) {
            return Ok(());
        }
        let mut state = lock(&self.slot.state);
        if state.publisher != self.publisher {
            return Ok(());
        }
        let had_one = state.newest.is_some();
        match event {
            FragmentEvent::SessionStart(session) => state.config = Some(Arc::clone(&session.config)),
            FragmentEvent::Fragment(fragment) => {
                let newest = state.config.as_ref().and_then(|config| Keyframe::of(config, fragment));
                if let Some(newest) = newest {
                    state.newest = Some(Arc::new(newest));
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
