//! Who may watch a channel live: the same rule for playlists, streams and players of other protocols.
//!
//! An address names a channel by its id, or by a token that grants it. Ids open what clubs leave open to everybody; a token opens what
//! it names until it expires, and as long as what it was given out for holds. There is no other name: a stream key is nothing here.

use crate::{
    door::Door,
    limits::ACCESS_RECHECK,
    problem::{Problem, ProblemCode},
    token::{Grant, Signer, TokenError, TokenKind, expiry_us},
};
use access::{Admission, By, Policy, Wish};
use catalog::LiveAccess;
use std::sync::Arc;
use uuid::Uuid;
use world::Clock;

/// Answers for live viewing. Clones are the same.
#[derive(Clone)]
pub struct Viewing {
    hubs: live::Live,
    door: Door,
    signer: Signer,
    clock: Arc<dyn Clock>,
}

/// A channel that somebody may watch live.
#[derive(Clone, Copy)]
pub(crate) struct Permit {
    pub(crate) channel: Uuid,
    /// By what he was let in.
    pub(crate) by: By,
    /// Back to which instant he may go, UTC microseconds.
    pub(crate) from_us: Option<i64>,
}

/// Somebody who watches a stream without an end.
#[derive(Clone)]
pub struct Watching {
    viewing: Viewing,
    permit: Permit,
}

impl Watching {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> Uuid {
        self.permit.channel
    }

    /// Returns once he may watch no longer: the link was taken back, the match is over, the club has shut its courts.
    pub async fn refused(&self) {
        loop {
            tokio::time::sleep(ACCESS_RECHECK).await;
            match self.viewing.door.holds(self.permit.channel, self.permit.by, Wish::Live).await {
                Ok(_) => {}
                // The catalog is away, or there is too much to do: that takes nothing back.
                Err(problem) if matches!(problem.code(), ProblemCode::Busy | ProblemCode::Internal) => {}
                Err(_) => return,
            }
        }
    }
}

impl Viewing {
    pub(crate) fn new(hubs: live::Live, door: Door, signer: Signer, clock: Arc<dyn Clock>) -> Self {
        Self { hubs, door, signer, clock }
    }

    /// The channel that may be watched under this name, which is a part of an address; `None` for whatever reason there is none.
    pub async fn watch(&self, name: &str) -> Option<Watching> {
        let permit = self.permitted(name).await.ok()?;
        Some(self.watching(permit))
    }

    pub(crate) fn watching(&self, permit: Permit) -> Watching {
        Watching { viewing: self.clone(), permit }
    }

    /// The same, with the reason.
    pub(crate) async fn permitted(&self, name: &str) -> Result<Permit, Problem> {
        let Ok(channel) = Uuid::try_parse(name) else {
            // Expiry is told, as it is to be mended; anything else is an address that does not exist.
            return match self.signer.verify(name, TokenKind::Live, self.clock.now_us()) {
                Ok(grant) if self.is_published(grant.channel) => {
                    self.door.still(&grant).await?;
                    let from_us = Some(grant.from_us).filter(|from_us| *from_us > 0);
                    Ok(Permit { channel: grant.channel, by: grant.by, from_us })
                }
                Err(error @ TokenError::Expired) => Err(error.into()),
                _ => Err(not_live()),
            };
        };
        // Before the catalog is asked: what nobody publishes costs nothing, however often it is asked for.
        if !self.is_published(channel) {
            return Err(not_live());
        }
        let place = self.door.place(channel).await?.ok_or_else(not_live)?;
        if self.door.policy(&place) == Policy::Open && place.live == LiveAccess::Open {
            Ok(Permit { channel, by: By::Open, from_us: None })
        } else {
            Err(not_live())
        }
    }

    pub(crate) fn is_published(&self, channel: Uuid) -> bool {
        self.hubs.window(channel).is_some()
    }

    /// The path at which a channel is watched, for somebody who may, and when it expires.
    pub(crate) fn address(
        &self,
        channel: Uuid,
        access: LiveAccess,
        admission: &Admission,
    ) -> (String, Option<i64>) {
        if admission.by == By::Open && access == LiveAccess::Open {
            return (format!("/live/{channel}/index.m3u8"), None);
        }
        let expires_us = expiry_us(0, 0, self.clock.now_us()).min(admission.until_us.unwrap_or(i64::MAX));
        let grant = Grant {
            kind: TokenKind::Live,
            channel,
            from_us: admission.live_from_us.unwrap_or(0),
            to_us: 0,
            expires_us,
            by: admission.by,
        };
        (format!("/live/{}/index.m3u8", self.signer.sign(&grant)), Some(expires_us))
    }
}

/// Nothing there, or nothing for the one who asks: one answer, so that nothing is learnt by trying.
pub(crate) fn not_live() -> Problem {
    Problem::new(ProblemCode::NotLive, "nothing is live at this address")
}
