//! The door: what `access` has to know, fetched; and its answer, as a problem where it is a refusal. Nothing that shows footage gets
//! past it: addresses are handed out by [`Door::judge`], and used by [`Door::still`], which asks the same again.
//!
//! - [`visitor`]: what a request shows.
//! - [`remembered`]: answers are kept for a moment; while the catalog is away, for as long as they are used.

mod remembered;
mod visitor;

pub(crate) use visitor::{Visitor, cookie};

use crate::{
    problem::Problem,
    token::{Grant, TokenError, TokenKind},
};
use access::{Admission, By, Pass, PassKind, Place, Policy, Range, Wish, decide};
use catalog::{Catalog, CatalogError, ChannelPlace, Club};
use live::covers::CoverId;
use remembered::Remembered;
use std::{collections::HashSet, sync::Arc};
use uuid::Uuid;
use world::Clock;

/// Who may watch what. Clones are the same.
#[derive(Clone)]
pub(crate) struct Door(Arc<Inner>);

struct Inner {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    /// What holds for channels of no club.
    of_no_club: Policy,
    places: Remembered<Uuid, Option<ChannelPlace>>,
    grants: Remembered<Pass, Option<access::Grant>>,
    /// Channels whose covers are not for everybody.
    hidden: Remembered<(), Arc<HashSet<CoverId>>>,
}

/// A visitor with what he shows looked up.
pub(crate) struct Shown {
    is_operator: bool,
    grants: Vec<access::Grant>,
}

impl Shown {
    fn visitor(&self) -> access::Visitor<'_> {
        access::Visitor { is_operator: self.is_operator, grants: &self.grants }
    }

    /// Whether he may see what he wishes for at a court of a club.
    pub(crate) fn may(
        &self,
        club: &Club,
        court: Uuid,
        wish: Wish,
        now_us: i64,
    ) -> Result<Admission, access::Refusal> {
        let place = Place { club: Some(club.id), court: Some(court) };
        decide(club.access, place, self.visitor(), wish, now_us)
    }
}

impl Door {
    pub(crate) fn new(catalog: Catalog, clock: Arc<dyn Clock>, of_no_club: Policy) -> Self {
        Self(Arc::new(Inner {
            catalog,
            clock,
            of_no_club,
            places: Remembered::default(),
            grants: Remembered::default(),
            hidden: Remembered::default(),
        }))
    }

    /// Looks up what a visitor shows. Operators show nothing else.
    pub(crate) async fn shown(&self, visitor: &Visitor) -> Result<Shown, Problem> {
        let mut grants = Vec::new();
        if !visitor.is_operator {
            for pass in &visitor.passes {
                grants.extend(self.grant(*pass).await?);
            }
        }
        Ok(Shown { is_operator: visitor.is_operator, grants })
    }

    /// Whether a visitor may see what he wishes for at a court of a club.
    pub(crate) async fn judge(
        &self,
        club: &Club,
        court: Uuid,
        visitor: &Visitor,
        wish: Wish,
    ) -> Result<Admission, Problem> {
        Ok(self.shown(visitor).await?.may(club, court, wish, self.0.clock.now_us())?)
    }

    /// Whether what a token was made for still holds: the policy, and what somebody was let in by.
    pub(crate) async fn still(&self, token: &Grant) -> Result<(), Problem> {
        let range = Range { from_us: token.from_us, to_us: token.to_us };
        let wish = match token.kind {
            TokenKind::Replay | TokenKind::Media => Wish::Replay(range),
            TokenKind::Frame => Wish::Picture(range),
            TokenKind::Live | TokenKind::Rewind => Wish::Live,
        };
        self.holds(token.channel, token.by, wish).await.map(|_| ())
    }

    /// Whether what somebody was let in by opens this of a channel.
    pub(crate) async fn holds(&self, channel: Uuid, by: By, wish: Wish) -> Result<Admission, Problem> {
        let Some(place) = self.place(channel).await? else { return Err(TokenError::Invalid.into()) };
        let grants = match by {
            By::Pass(pass) => self.grant(pass).await?,
            By::Open | By::Operator => None,
        };
        let visitor = access::Visitor { is_operator: by == By::Operator, grants: grants.as_slice() };
        Ok(decide(self.policy(&place), place.place, visitor, wish, self.0.clock.now_us())?)
    }

    /// Where a channel belongs; `None` where there is none.
    pub(crate) async fn place(&self, channel: Uuid) -> Result<Option<ChannelPlace>, CatalogError> {
        let Inner { catalog, clock, places, .. } = &*self.0;
        places.get(channel, clock.monotonic_us(), catalog.channel_place(channel)).await
    }

    /// What holds at a place.
    pub(crate) fn policy(&self, place: &ChannelPlace) -> Policy {
        place.policy.unwrap_or(self.0.of_no_club)
    }

    /// Whether everybody may see the cover of a channel.
    pub(crate) async fn is_cover_public(&self, cover: CoverId) -> Result<bool, Problem> {
        let Inner { catalog, clock, hidden, .. } = &*self.0;
        let look = async {
            let now_us = clock.now_us();
            let places = catalog.channel_places().await?.into_iter();
            let hidden = places.filter(|(_, place)| {
                let policy = self.policy(place);
                decide(policy, place.place, access::Visitor::default(), Wish::Cover, now_us).is_err()
            });
            Ok::<_, CatalogError>(Arc::new(hidden.map(|(id, _)| CoverId::of(id)).collect::<HashSet<_>>()))
        };
        Ok(!hidden.get((), clock.monotonic_us(), look).await?.contains(&cover))
    }

    async fn grant(&self, pass: Pass) -> Result<Option<access::Grant>, CatalogError> {
        let Inner { catalog, clock, grants, .. } = &*self.0;
        let look = async {
            Ok(match pass.kind {
                PassKind::Link => catalog.link(pass.id).await?.map(|link| link.grant()),
                PassKind::Code => {
                    catalog.slot_code_by_id(pass.id).await?.map(|(code, club)| code.grant(club))
                }
            })
        };
        grants.get(pass, clock.monotonic_us(), look).await
    }
}
