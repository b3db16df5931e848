//! Who may publish, remembered: a camera that connects while the database is away is recorded all the same.
//!
//! The database is always asked first, and what it says counts. Only when it does not answer, and soon, the memory does.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};
use tokio::time::timeout;
use uuid::Uuid;

use crate::channels::ChannelRoute;
use crate::error::CatalogError;
use crate::{Catalog, keys};

/// Channels that are remembered at most, with about half a kilobyte each.
pub const MAX_KNOWN_PUBLISHERS: usize = 100_000;

/// How long the database is waited for before the memory answers: a publisher waits no longer than that.
const PATIENCE: Duration = Duration::from_secs(1);

/// Channels per statement of a refresh.
const PAGE: u64 = 1_000;

/// The catalog's answer to a stream key, with a memory for when there is none.
pub struct Publishers {
    catalog: Catalog,
    known: Mutex<Known>,
}

/// Keys by their hash, as the database has them.
#[derive(Default)]
struct Known {
    routes: HashMap<String, ChannelRoute>,
    /// The hash that each channel is remembered by: one.
    hashes: HashMap<Uuid, String>,
}

impl fmt::Debug for Publishers {
    /// Without hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishers").field("known", &self.lock().routes.len()).finish_non_exhaustive()
    }
}

impl Publishers {
    /// Nobody is remembered yet: see [`Publishers::refresh`].
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel that a key opens; `None` for a key that opens none. An error only where the database does not answer
    /// and the key is not remembered.
    pub async fn authorise(&self, key: &str) -> Result<Option<ChannelRoute>, CatalogError> {
        let Some(hash) = keys::hash(key) else { return Ok(None) };
        let answer = timeout(PATIENCE, self.catalog.channel_by_key(key)).await.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", PATIENCE.as_millis());
            Err(CatalogError::Away(DbErr::Conn(RuntimeErr::Internal(text))))
        });
        match answer {
            Ok(route) => {
                self.lock().learn(hash, route.clone());
                Ok(route)
            }
            Err(error) => match self.remembered(key) {
                Some(route) => {
                    tracing::warn!(channel_id = %route.channel.id, %error, "a stream key is judged from memory");
                    Ok(Some(route))
                }
                None => Err(error),
            },
        }
    }

    /// The channel that a key opened when the database answered last.
    #[must_use]
    pub fn remembered(&self, key: &str) -> Option<ChannelRoute> {
        let hash = keys::hash(key)?;
        self.lock().routes.get(&hash).cloned()
    }

    /// Remembers all keys as the database has them now, up to [`MAX_KNOWN_PUBLISHERS`]; how many.
    pub async fn refresh(&self) -> Result<usize, CatalogError> {
        let mut known = Known::default();
        let mut after = None;
        while known.routes.len() < MAX_KNOWN_PUBLISHERS {
            let page = self.catalog.publishing_channels(after, PAGE).await?;
            let Some((_, last)) = page.last() else { break };
            after = Some(last.channel.id);
            for (hash, route) in page {
                known.learn(hash, Some(route));
            }
        }
        let count = known.routes.len();
        *self.lock() = known;
        Ok(count)
    }
}

impl Known {
    /// What the database said of a key.
    fn learn(&mut self, hash: String, route: Option<ChannelRoute>) {
        let Some(route) = route else {
            if let Some(forgotten) = self.routes.remove(&hash) {
                self.hashes.remove(&forgotten.channel.id);
            }
            return;
        };
        let id = route.channel.id;
        if !self.hashes.contains_key(&id) && self.routes.len() >= MAX_KNOWN_PUBLISHERS {
            return;
        }
        if let Some(old) = self.hashes.insert(id, hash.clone()).filter(|old| *old != hash) {
            self.routes.remove(&old);
        }
        self.routes.insert(hash, route);
    }
}
