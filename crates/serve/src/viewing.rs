//! Who may watch a channel live: the same rule for playlists, streams and players of other protocols.
//!
//! An address names a channel by its id, or by a token that grants it. Ids open what clubs leave open; a token opens what it names
//! until it expires. There is no other name: a stream key is nothing here.

use crate::{
    limits::{LIVE_ACCESS_CACHE_US, MAX_LIVE_ACCESS_CACHED},
    problem::{Problem, ProblemCode},
    token::{Grant, Signer, TokenError, TokenKind, expiry_us},
};
use catalog::{Catalog, LiveAccess};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;
use world::Clock;

/// Answers for live viewing. Clones are the same.
#[derive(Clone)]
pub struct Viewing {
    hubs: live::Live,
    catalog: Catalog,
    signer: Signer,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<HashMap<Uuid, Known>>>,
}

/// A policy, and until when it is good.
#[derive(Clone, Copy)]
struct Known {
    access: LiveAccess,
    until_us: i64,
}

impl Viewing {
    pub(crate) fn new(hubs: live::Live, catalog: Catalog, signer: Signer, clock: Arc<dyn Clock>) -> Self {
        Self { hubs, catalog, signer, clock, known: Arc::default() }
    }

    /// The channel that may be watched under this name, which is a part of an address; `None` for whatever reason there is none.
    pub async fn channel(&self, name: &str) -> Option<Uuid> {
        self.permitted(name).await.ok()
    }

    /// The same, with the reason.
    pub(crate) async fn permitted(&self, name: &str) -> Result<Uuid, Problem> {
        let Ok(id) = Uuid::try_parse(name) else {
            // Expiry is told, as it is to be mended; anything else is an address that does not exist.
            return match self.signer.verify(name, TokenKind::Live, self.clock.now_us()) {
                Ok(grant) if self.is_published(grant.channel) => Ok(grant.channel),
                Err(error @ TokenError::Expired) => Err(error.into()),
                _ => Err(not_live()),
            };
        };
        // Before the catalog is asked: what nobody publishes costs nothing, however often it is asked for.
        if self.is_published(id) && self.access(id).await? == Some(LiveAccess::Open) {
            Ok(id)
        } else {
            Err(not_live())
        }
    }

    fn is_published(&self, channel: Uuid) -> bool {
        self.hubs.window(channel).is_some()
    }

    /// The policy of a channel that is published.
    async fn access(&self, channel: Uuid) -> Result<Option<LiveAccess>, Problem> {
        let now_us = self.clock.now_us();
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&channel).filter(|known| now_us < known.until_us) {
            return Ok(Some(known.access));
        }
        let Some(access) = self.catalog.channel_live_access(channel).await? else { return Ok(None) };
        let mut known = lock();
        if known.len() >= MAX_LIVE_ACCESS_CACHED {
            known.retain(|_, known| now_us < known.until_us);
        }
        if known.len() < MAX_LIVE_ACCESS_CACHED {
            known.insert(channel, Known { access, until_us: now_us.saturating_add(LIVE_ACCESS_CACHE_US) });
        }
        Ok(Some(access))
    }

    /// The path at which a channel is watched, for somebody who may.
    pub(crate) fn address(&self, channel: Uuid, access: LiveAccess) -> String {
        match access {
            LiveAccess::Open => format!("/live/{channel}/index.m3u8"),
            LiveAccess::Signed => {
                let expires_us = expiry_us(0, 0, self.clock.now_us());
                let grant = Grant { kind: TokenKind::Live, channel, from_us: 0, to_us: 0, expires_us };
                format!("/live/{}/index.m3u8", self.signer.sign(&grant))
            }
        }
    }
}

/// Nothing there, or nothing for the one who asks: one answer, so that nothing is learnt by trying.
pub(crate) fn not_live() -> Problem {
    Problem::new(ProblemCode::NotLive, "nothing is live at this address")
}
