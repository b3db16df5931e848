//! Who may publish and who may play: stream keys are judged by the catalog, then by the outside directory; players by the
//! same rule as on the web.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use archive::{Archive, RecorderTarget};
use catalog::{Catalog, ChannelRoute, Publishers};
use directory::Directory;
use ingest::{BoxFuture, Feed, Gate, Publication, Refusal};
use live::covers::Covers;
use live::{Live, TagReader};
use media::flv::TagRun;
use media::rtmp::StreamKey;
use serve::Viewing;
use uuid::Uuid;

use super::sink::RecordingSink;

/// How often all keys are read anew, for the time when the database cannot be asked.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// Lets in whom the catalog or the directory knows, and opens a recording for them.
pub(super) struct CatalogGate {
    /// Remembers who may publish: a camera that connects while the database is away is recorded all the same.
    publishers: Arc<Publishers>,
    archive: Archive,
    live: Live,
    covers: Covers,
    catalog: Catalog,
    viewing: Viewing,
    directory: Option<Directory>,
    /// Channels of the directory that were let in, whose keys it judges itself: they are let in again while the database
    /// is away. No larger than what the directory may own.
    outside: Mutex<HashMap<Uuid, ChannelRoute>>,
}

impl CatalogGate {
    pub(super) fn new(
        publishers: Arc<Publishers>,
        catalog: Catalog,
        archive: Archive,
        live: Live,
        covers: Covers,
        viewing: Viewing,
        directory: Option<Directory>,
    ) -> Self {
        Self { publishers, catalog, archive, live, covers, viewing, directory, outside: Mutex::default() }
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
        let sink = RecordingSink::new(self.archive.clone(), self.live.clone(), self.covers.clone(), target);
        Ok(Publication { channel_id: route.channel.id, sink: Box::new(sink) })
    }

    async fn judge_by_catalog(&self, text: &str) -> Result<ChannelRoute, Refusal> {
        match self.publishers.authorise(text).await {
            Ok(Some(route)) => Ok(route),
            Ok(None) => Err(Refusal::UnknownKey),
            Err(error) => {
                tracing::error!(%error, "cannot look a stream key up");
                Err(Refusal::Unavailable)
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
