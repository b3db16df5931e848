//! Whose stream key it is: the one answer for RTMP publishers and for SRS.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use catalog::{Catalog, ChannelRoute, Publishers};
use directory::Directory;
use ingest::Refusal;
use media::rtmp::StreamKey;
use refusals::Refusals;
use serve::KeysAway;
use uuid::Uuid;

/// How often all keys are read anew, for the time when the database cannot be asked.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// Judges keys by the catalog, then by the outside directory.
pub(super) struct StreamKeys {
    /// Remembers who may publish: a camera that connects while the database is away is recorded all the same.
    publishers: Arc<Publishers>,
    catalog: Catalog,
    directory: Option<Directory>,
    /// Channels of the directory that were let in, whose keys it judges itself: they are let in again while the database
    /// is away. No larger than what the directory may own.
    outside: Mutex<HashMap<Uuid, ChannelRoute>>,
    failures: Refusals<Lookup>,
}

/// What could not be looked up. While the database is away each connection asks, also those of strangers: it is said once in a
/// while, with their number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Lookup {
    Key,
    Channel,
}

impl refusals::Kind for Lookup {
    fn say(self, _: Option<SocketAddr>, connections: u64, error: &str) {
        match self {
            Self::Key => tracing::error!(connections, error, "cannot look stream keys up"),
            Self::Channel => tracing::error!(connections, error, "cannot look channels of the directory up"),
        }
    }
}

impl StreamKeys {
    pub(super) fn new(publishers: Arc<Publishers>, catalog: Catalog, directory: Option<Directory>) -> Self {
        Self { publishers, catalog, directory, outside: Mutex::default(), failures: Refusals::default() }
    }

    /// The channel that a key opens, and where it belongs.
    pub(super) async fn route(&self, key: &StreamKey) -> Result<ChannelRoute, Refusal> {
        // What follows a question mark is for others (SRS hooks read it): the key stands before it.
        let text = key.expose().split('?').next().unwrap_or_default();
        match self.judge_by_catalog(text).await {
            Ok(route) => {
                if let Some(directory) = &self.directory {
                    directory.forget(route.channel.id);
                }
                Ok(route)
            }
            Err(refusal) => self.judge_by_directory(text, refusal).await,
        }
    }

    async fn judge_by_catalog(&self, text: &str) -> Result<ChannelRoute, Refusal> {
        match self.publishers.authorise(text).await {
            Ok(Some(route)) => Ok(route),
            Ok(None) => Err(Refusal::UnknownKey),
            Err(error) => {
                self.failures.note(Lookup::Key, None, &error);
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
                self.failures.note(Lookup::Channel, None, &error);
                let outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
                outside.get(&channel.id).cloned().ok_or(Refusal::Unavailable)
            }
        }
    }
}

impl serve::Keys for StreamKeys {
    fn channel_of<'a>(
        &'a self,
        key: &'a StreamKey,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Uuid>, KeysAway>> + Send + 'a>> {
        Box::pin(async move {
            match self.route(key).await {
                Ok(route) => Ok(Some(route.channel.id)),
                Err(Refusal::UnknownKey | Refusal::OddKey) => Ok(None),
                Err(Refusal::Unavailable | Refusal::NoRoom) => Err(KeysAway),
            }
        })
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
