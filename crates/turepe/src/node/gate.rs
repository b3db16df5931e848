//! Who may publish: stream keys are judged by [`StreamKeys`].

use std::net::SocketAddr;
use std::sync::Arc;

use archive::{Archive, RecorderTarget};
use catalog::ChannelRoute;
use ingest::{BoxFuture, Gate, Publication, Refusal};
use live::Live;
use media::rtmp::StreamKey;

use super::keys::StreamKeys;
use super::sink::RecordingSink;

/// Lets in whose key opens a channel, and opens a recording for them.
pub(super) struct CatalogGate {
    keys: Arc<StreamKeys>,
    archive: Archive,
    live: Live,
}

impl CatalogGate {
    pub(super) fn new(keys: Arc<StreamKeys>, archive: Archive, live: Live) -> Self {
        Self { keys, archive, live }
    }

    async fn judge(&self, key: StreamKey) -> Result<Publication, Refusal> {
        let route = self.keys.route(&key).await?;
        let target = RecorderTarget { channel_id: route.channel.id, prefix: prefix(&route) };
        let sink = RecordingSink::new(self.archive.clone(), self.live.clone(), target);
        Ok(Publication { channel_id: route.channel.id, sink: Box::new(sink) })
    }
}

impl Gate for CatalogGate {
    fn authorise(&self, key: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Result<Publication, Refusal>> {
        Box::pin(self.judge(key.clone()))
    }
}

/// First part of the names of the channel's objects.
pub(crate) fn prefix(route: &ChannelRoute) -> String {
    route.object_prefix()
}
