//! Who may publish: stream keys are judged by the catalog, then by the outside directory.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use archive::{Archive, RecorderTarget};
use catalog::{Catalog, ChannelRoute};
use directory::Directory;
use ingest::{BoxFuture, Gate, Publication, Refusal};
use live::Live;
use media::rtmp::StreamKey;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::sink::RecordingSink;

/// A key as it is remembered: never as text.
type KeyHash = [u8; 32];

/// Lets in whom the catalog or the directory knows, and opens a recording for them.
pub(super) struct CatalogGate {
    catalog: Catalog,
    archive: Archive,
    live: Live,
    directory: Option<Directory>,
    /// The last key that the catalog confirmed for each channel: a camera that reconnects while the database is away
    /// goes on being recorded. No larger than the catalog's channels.
    confirmed: Mutex<HashMap<Uuid, (KeyHash, ChannelRoute)>>,
    /// The same for channels of the directory, whose keys it judges itself.
    outside: Mutex<HashMap<Uuid, ChannelRoute>>,
}

impl CatalogGate {
    pub(super) fn new(catalog: Catalog, archive: Archive, live: Live, directory: Option<Directory>) -> Self {
        Self { catalog, archive, live, directory, confirmed: Mutex::default(), outside: Mutex::default() }
    }

    async fn judge(&self, key: StreamKey) -> Result<Publication, Refusal> {
        // What follows a question mark is for others (SRS hooks read it): the key stands before it.
        let text = key.expose().split('?').next().unwrap_or_default();
        let route = match self.judge_by_catalog(text).await {
            Ok(route) => {
                if let Some(directory) = &self.directory {
                    directory.forget(route.channel.id);
                }
                route
            }
            Err(refusal) => self.judge_by_directory(text, refusal).await?,
        };
        let target = RecorderTarget { channel_id: route.channel.id, prefix: prefix(&route) };
        let sink = RecordingSink::new(self.archive.clone(), self.live.clone(), target);
        Ok(Publication { channel_id: route.channel.id, sink: Box::new(sink) })
    }

    async fn judge_by_catalog(&self, text: &str) -> Result<ChannelRoute, Refusal> {
        let hash: KeyHash = Sha256::digest(text.as_bytes()).into();
        match self.catalog.channel_by_key(text).await {
            Ok(Some(route)) => {
                let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
                confirmed.insert(route.channel.id, (hash, route.clone()));
                Ok(route)
            }
            Ok(None) => Err(Refusal::UnknownKey),
            Err(error) => {
                tracing::error!(%error, "cannot look a stream key up");
                let confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
                let known = confirmed.values().find(|(known, _)| *known == hash);
                known.map(|(_, route)| route.clone()).ok_or(Refusal::Unavailable)
            }
        }
    }

    /// Asks the directory about a key that the catalog refused. A key that neither knows is called unknown only if both
    /// could be asked.
    async fn judge_by_directory(&self, text: &str, refusal: Refusal) -> Result<ChannelRoute, Refusal> {
        let Some(directory) = &self.directory else { return Err(refusal) };
        let channel = match directory.authorise(text).await {
            Ok(Some(channel)) => channel,
            Ok(None) => return Err(refusal),
            Err(directory::Unavailable) => return Err(Refusal::Unavailable),
        };
        match self.catalog.ensure_outside_channel(channel.id, &format!("Outside {}", channel.id)).await {
            Ok(route) => {
                let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
                outside.insert(channel.id, route.clone());
                Ok(route)
            }
            Err(error) => {
                tracing::error!(%error, channel = %channel.id, "cannot look a channel of the directory up");
                let outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
                outside.get(&channel.id).cloned().ok_or(Refusal::Unavailable)
            }
        }
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
