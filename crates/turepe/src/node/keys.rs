//! Whose stream key it is: the one answer for RTMP publishers and for SRS.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use catalog::{Catalog, ChannelRoute};
use ingest::Refusal;
use media::rtmp::StreamKey;
use serve::KeysAway;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A key as it is remembered: never as text.
type KeyHash = [u8; 32];

/// Judges keys by the catalog.
pub(super) struct StreamKeys {
    catalog: Catalog,
    /// The last key that the catalog confirmed for each channel: a camera that reconnects while the database is away
    /// goes on being recorded. No larger than the catalog's channels.
    confirmed: Mutex<HashMap<Uuid, (KeyHash, ChannelRoute)>>,
}

impl StreamKeys {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self { catalog, confirmed: Mutex::default() }
    }

    /// The channel that a key opens, and where it belongs.
    pub(super) async fn route(&self, key: &StreamKey) -> Result<ChannelRoute, Refusal> {
        // What follows a question mark is for others (SRS hooks read it): the key stands before it.
        let text = key.expose().split('?').next().unwrap_or_default();
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
}

impl serve::Keys for StreamKeys {
    fn channel_of<'a>(
        &'a self,
        key: &'a StreamKey,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Uuid>, KeysAway>> + Send + 'a>> {
        Box::pin(async move {
            match self.route(key).await {
                Ok(route) => Ok(Some(route.channel.id)),
                Err(Refusal::UnknownKey) => Ok(None),
                Err(Refusal::Unavailable) => Err(KeysAway),
            }
        })
    }
}
