//! Who may publish: stream keys are judged by the catalog.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use archive::{Archive, RecorderTarget};
use catalog::{Catalog, ChannelRoute};
use ingest::{BoxFuture, Gate, Publication, Refusal};
use live::Live;
use live::covers::Covers;
use media::rtmp::StreamKey;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::sink::RecordingSink;

/// A key as it is remembered: never as text.
type KeyHash = [u8; 32];

/// Lets in whom the catalog knows, and opens a recording for them.
pub(super) struct CatalogGate {
    catalog: Catalog,
    archive: Archive,
    live: Live,
    covers: Covers,
    /// The last key that the catalog confirmed for each channel: a camera that reconnects while the database is away
    /// goes on being recorded. No larger than the catalog's channels.
    confirmed: Mutex<HashMap<Uuid, (KeyHash, ChannelRoute)>>,
}

impl CatalogGate {
    pub(super) fn new(catalog: Catalog, archive: Archive, live: Live, covers: Covers) -> Self {
        Self { catalog, archive, live, covers, confirmed: Mutex::default() }
    }

    async fn judge(&self, key: StreamKey) -> Result<Publication, Refusal> {
        // What follows a question mark is for others (SRS hooks read it): the key stands before it.
        let text = key.expose().split('?').next().unwrap_or_default();
        let hash: KeyHash = Sha256::digest(text.as_bytes()).into();
        let route = match self.catalog.channel_by_key(text).await {
            Ok(Some(route)) => {
                let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
                confirmed.insert(route.channel.id, (hash, route.clone()));
                route
            }
            Ok(None) => return Err(Refusal::UnknownKey),
            Err(error) => {
                tracing::error!(%error, "cannot look a stream key up");
                let confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
                let known = confirmed.values().find(|(known, _)| *known == hash);
                known.map(|(_, route)| route.clone()).ok_or(Refusal::Unavailable)?
            }
        };
        let target = RecorderTarget { channel_id: route.channel.id, prefix: prefix(&route) };
        let sink = RecordingSink::new(self.archive.clone(), self.live.clone(), self.covers.clone(), target);
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
    match (&route.club_slug, &route.court_slug) {
        (Some(club), Some(court)) => format!("{club}/{court}"),
        _ => "none/none".to_owned(),
    }
}
