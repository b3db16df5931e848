//! From a publisher to its channel's hub, recorder, cover and relays.

use archive::{Archive, Recorder, RecorderTarget};
use ingest::Sink;
use live::covers::Covers;
use live::{Live, Missed, Outlet, Publisher};
use media::flv::FlvTag;
use media::fragmenter::FragmentEvent;
use media::timeline::{AudioProblem, TimelineEvent};
use relay::{Publication, Publishing, Relays};
use uuid::Uuid;

use super::audio::AudioNotes;
use crate::descriptors::Place;

/// Takes a publication's samples. The channel is taken with the first of them: until then a stale connection may
/// still be ending its session.
pub(super) struct ChannelSink {
    channel_id: Uuid,
    /// Where it is recorded, if it is.
    recording: Option<(Archive, RecorderTarget)>,
    live: Live,
    covers: Covers,
    publisher: Option<Publisher>,
    /// Whom to tell of the publication, and what; until it is told.
    relays: Option<(Relays, Publishing)>,
    /// Until it goes, the channel's relays know the publisher's key.
    publication: Option<Publication>,
    /// Where it is noted that audio is left out, if it is recorded.
    audio: Option<AudioNotes>,
    /// Held for as long as it may have files open.
    _place: Option<Place>,
}

impl ChannelSink {
    pub(super) fn new(
        channel_id: Uuid,
        recording: Option<(Archive, RecorderTarget)>,
        live: Live,
        covers: Covers,
    ) -> Self {
        Self {
            channel_id,
            recording,
            live,
            covers,
            publisher: None,
            relays: None,
            publication: None,
            audio: None,
            _place: None,
        }
    }

    /// Holds a place at the door.
    pub(super) fn with_place(self, place: Option<Place>) -> Self {
        Self { _place: place, ..self }
    }

    /// Tells relays of the publication, once the channel is taken.
    pub(super) fn with_relays(self, relays: Relays, said: Publishing) -> Self {
        Self { relays: Some((relays, said)), ..self }
    }

    /// Notes why audio is left out of what is recorded.
    pub(super) fn with_audio_notes(self, notes: AudioNotes) -> Self {
        let audio = self.recording.is_some().then_some(notes);
        Self { audio, ..self }
    }

    fn publisher(&mut self) -> &mut Publisher {
        self.publisher.get_or_insert_with(|| {
            let channel_id = self.channel_id;
            let mut outlets = vec![self.covers.outlet(channel_id)];
            if let Some((archive, target)) = self.recording.take() {
                outlets.push(Box::new(RecorderOutlet(archive.recorder(target))));
            }
            let publisher = self.live.publish(channel_id, outlets).with_own_tags();
            // What the last publication left out ended with it, whether it could say so or not.
            if let Some(audio) = &self.audio {
                audio.say(channel_id, None);
            }
            let told = self.relays.take();
            self.publication = told.map(|(relays, said)| relays.publishing(channel_id, said));
            publisher
        })
    }
}

impl Sink for ChannelSink {
    fn push(&mut self, event: TimelineEvent) {
        self.publisher().push(event);
    }

    fn tags(&mut self, tags: &mut Vec<FlvTag>) {
        if !tags.is_empty() {
            self.publisher().push_tags(tags);
        }
    }

    fn audio_problem(&mut self, problem: Option<&AudioProblem>) {
        self.publisher().audio_problem(problem);
        if let Some(audio) = &self.audio {
            audio.say(self.channel_id, problem);
        }
    }
}

/// The recorder as the hub's outlet.
struct RecorderOutlet(Recorder);

impl Outlet for RecorderOutlet {
    fn push(&mut self, event: &FragmentEvent) -> Result<(), Missed> {
        // What was not taken becomes a gap: the recorder sees to that.
        self.0.push(event.clone()).map_err(|_full| Missed)
    }
}
