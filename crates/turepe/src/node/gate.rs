//! Who may publish and who may play: stream keys are judged by [`StreamKeys`], players by the same rule as on the web.

use std::net::SocketAddr;
use std::sync::Arc;

use archive::{Archive, RecorderTarget};
use catalog::ChannelRoute;
use ingest::{BoxFuture, Feed, Gate, Publication, Refusal};
use live::covers::Covers;
use live::{Live, TagReader};
use media::flv::TagRun;
use media::rtmp::StreamKey;
use relay::Relays;
use serve::Viewing;
use uuid::Uuid;

use super::audio::AudioNotes;
use super::keys::StreamKeys;
use super::relays::publishing;
use super::sink::ChannelSink;
use crate::descriptors::Door;

/// Lets in whose key opens a channel, and opens a recording for them where this node records.
pub(super) struct CatalogGate {
    keys: Arc<StreamKeys>,
    /// Where it is recorded, and who may come for that; [`None`] where nothing is.
    archive: Option<(Archive, Door)>,
    live: Live,
    covers: Covers,
    relays: Relays,
    audio: AudioNotes,
    viewing: Viewing,
}

impl CatalogGate {
    pub(super) fn new(
        keys: Arc<StreamKeys>,
        archive: Option<(Archive, Door)>,
        live: Live,
        covers: Covers,
        relays: Relays,
        audio: AudioNotes,
        viewing: Viewing,
    ) -> Self {
        Self { keys, archive, live, covers, relays, audio, viewing }
    }

    async fn judge(&self, key: StreamKey) -> Result<Publication, Refusal> {
        let route = self.keys.route(&key).await?;
        let channel_id = route.channel.id;
        let (mut recording, mut place) = (None, None);
        if let Some((archive, door)) = &self.archive {
            let is_expected = self.live.is_live(channel_id);
            let admitted = door.admit(is_expected, archive.status().open_segments);
            place = Some(admitted.ok_or(Refusal::NoRoom)?);
            let target = RecorderTarget { channel_id, prefix: prefix(&route) };
            recording = Some((archive.clone(), target));
        }
        let sink = ChannelSink::new(channel_id, recording, self.live.clone(), self.covers.clone())
            .with_relays(self.relays.clone(), publishing(&key))
            .with_audio_notes(self.audio.clone())
            .with_place(place);
        Ok(Publication { channel_id, sink: Box::new(sink) })
    }
}

impl Gate for CatalogGate {
    fn authorise(&self, key: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Result<Publication, Refusal>> {
        Box::pin(self.judge(key.clone()))
    }

    fn play(&self, name: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Option<Box<dyn Feed>>> {
        let name = name.clone();
        Box::pin(async move {
            // A channel's id or a signed token, as in the addresses of the web; players add queries of their own.
            let name = name.expose().split('?').next().unwrap_or_default();
            let watching = self.viewing.watch(name).await?;
            let (channel_id, reader) = (watching.channel(), self.live.tags(watching.channel())?);
            let refused = Box::pin(async move { watching.refused().await });
            let feed: Box<dyn Feed> = Box::new(Tags { channel_id, reader, refused });
            Some(feed)
        })
    }
}

/// A channel's tags as a player is sent them.
struct Tags {
    channel_id: Uuid,
    reader: TagReader,
    /// Comes when he may watch no longer.
    refused: BoxFuture<'static, ()>,
}

impl Feed for Tags {
    fn channel_id(&self) -> Uuid {
        self.channel_id
    }

    fn next(&mut self) -> BoxFuture<'_, Option<Arc<TagRun>>> {
        Box::pin(async {
            tokio::select! {
                run = self.reader.next() => run,
                () = &mut self.refused => None,
            }
        })
    }
}

/// First part of the names of the channel's objects.
pub(crate) fn prefix(route: &ChannelRoute) -> String {
    route.object_prefix()
}
