//! Who may publish and who may play: stream keys are judged by the catalog, players by the same rule as on the web.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use archive::{Archive, RecorderTarget};
use catalog::{Catalog, ChannelRoute};
use ingest::{BoxFuture, Feed, Gate, Publication, Refusal};
use live::{Live, TagReader};
use media::flv::TagRun;
use media::rtmp::StreamKey;
use serve::Viewing;
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
    viewing: Viewing,
    /// The last key that the catalog confirmed for each channel: a camera that reconnects while the database is away
    /// goes on being recorded. No larger than the catalog's channels.
    confirmed: Mutex<HashMap<Uuid, (KeyHash, ChannelRoute)>>,
}

impl CatalogGate {
    pub(super) fn new(catalog: Catalog, archive: Archive, live: Live, viewing: Viewing) -> Self {
        Self { catalog, archive, live, viewing, confirmed: Mutex::default() }
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
        let sink = RecordingSink::new(self.archive.clone(), self.live.clone(), target);
        Ok(Publication { channel_id: route.channel.id, sink: Box::new(sink) })
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
            let channel = self.viewing.channel(name).await?;
            let feed: Box<dyn Feed> = Box::new(Tags(self.live.tags(channel)?));
            Some(feed)
        })
    }
}

/// A channel's tags as a player is sent them.
struct Tags(TagReader);

impl Feed for Tags {
    fn next(&mut self) -> BoxFuture<'_, Option<Arc<TagRun>>> {
        Box::pin(self.0.next())
    }
}

/// First part of the names of the channel's objects.
pub(crate) fn prefix(route: &ChannelRoute) -> String {
    match (&route.club_slug, &route.court_slug) {
        (Some(club), Some(court)) => format!("{club}/{court}"),
        _ => "none/none".to_owned(),
    }
}
