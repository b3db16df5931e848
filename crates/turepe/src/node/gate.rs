//! Who may publish: stream keys are judged by the catalog.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use archive::{Archive, RecorderTarget};
use catalog::{ChannelRoute, Publishers};
use ingest::{BoxFuture, Gate, Publication, Refusal};
use live::Live;
use media::rtmp::StreamKey;

use super::sink::RecordingSink;

/// How often all keys are read anew, for the time when the database cannot be asked.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// Lets in whom the catalog knows, and opens a recording for them.
pub(super) struct CatalogGate {
    /// Remembers who may publish: a camera that connects while the database is away is recorded all the same.
    publishers: Arc<Publishers>,
    archive: Archive,
    live: Live,
}

impl CatalogGate {
    pub(super) fn new(publishers: Arc<Publishers>, archive: Archive, live: Live) -> Self {
        Self { publishers, archive, live }
    }

    async fn judge(&self, key: StreamKey) -> Result<Publication, Refusal> {
        // What follows a question mark is for others (SRS hooks read it): the key stands before it.
        let text = key.expose().split('?').next().unwrap_or_default();
        let route = match self.publishers.authorise(text).await {
            Ok(Some(route)) => route,
            Ok(None) => return Err(Refusal::UnknownKey),
            Err(error) => {
                tracing::error!(%error, "cannot look a stream key up");
                return Err(Refusal::Unavailable);
            }
        };
        let target = RecorderTarget { channel_id: route.channel.id, prefix: prefix(&route) };
        let sink = RecordingSink::new(self.archive.clone(), self.live.clone(), target);
        Ok(Publication { channel_id: route.channel.id, sink: Box::new(sink) })
    }
}

/// Keeps the memory of keys fresh until it is dropped.
pub(super) async fn keep_fresh(publishers: Arc<Publishers>) {
    let mut known = 0;
    loop {
        match publishers.refresh().await {
            Ok(channels) if channels != known => {
                tracing::info!(channels, "stream keys are known for when the database is away");
                known = channels;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "stream keys are those of a while ago"),
        }
        tokio::time::sleep(REFRESH_PAUSE).await;
    }
}

impl Gate for CatalogGate {
    fn authorise(&self, key: &StreamKey, _peer: SocketAddr) -> BoxFuture<'_, Result<Publication, Refusal>> {
        Box::pin(self.judge(key.clone()))
    }
}

/// First part of the names of the channel's objects.
pub(crate) fn prefix(route: &ChannelRoute) -> String {
    match (&route.club_slug, &route.court_slug) {
        (Some(club), Some(court)) => format!("{club}/{court}"),
        _ => "none/none".to_owned(),
    }
}
