//! Handing out links and codes: what the API and the command line do alike.

use crate::limits::MAX_GRANT_LIFE_US;
use access::{Range, Scope};
use catalog::{
    Catalog, CatalogError, Club, Court, NewSlotCode, NewViewingLink, SlotCode, ViewingLink,
    schedule::{self, Slot, SlotError},
};
use jiff::civil;

/// What a link is to open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkTo {
    /// Every match, and what is broadcast.
    Everything,
    /// What is broadcast, from now on.
    Live,
    /// Everything between two instants, UTC microseconds.
    Range {
        /// First instant.
        from_us: i64,
        /// Instant after the last.
        to_us: i64,
    },
    /// The match that begins then, by the club's clock.
    Match {
        /// The date to which it belongs.
        date: civil::Date,
        /// When it begins.
        time: civil::Time,
        /// Where the time occurs twice.
        offset: Option<String>,
    },
}

/// Why nothing was handed out.
#[derive(Debug, thiserror::Error)]
pub enum HandOutError {
    /// There is no such match.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// A match is one of a court.
    #[error("a match is played on a court: name one")]
    CourtNeeded,
    /// It would live too long, or not at all.
    #[error("a link or code expires after now, and within two years")]
    Life,
    /// The catalog did not take it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A link as it is handed out, once.
#[derive(Clone, Debug)]
pub struct HandedLink {
    /// What is kept of it.
    pub link: ViewingLink,
    /// Path of the page that it opens, with the secret behind the `#`: no server, log or preview is sent that part.
    pub path: String,
}

/// Makes a link.
///
/// # Errors
///
/// When there is no such match, or the catalog does not take it.
pub async fn make_link(
    catalog: &Catalog,
    club: &Club,
    court: Option<&Court>,
    to: LinkTo,
    note: Option<String>,
    expires_us: i64,
    now_us: i64,
) -> Result<HandedLink, HandOutError> {
    check_life(expires_us, now_us)?;
    let mut path = format!("/{}", club.slug);
    if let Some(court) = court {
        path.push_str(&format!("/{}", court.slug));
    }
    let scope = match to {
        LinkTo::Everything => Scope::All,
        LinkTo::Live => Scope::Live { from_us: now_us },
        LinkTo::Range { from_us, to_us } => {
            if court.is_some() {
                path.push_str(&format!("/{}", schedule::local_date(club, from_us)));
            }
            Scope::Range(Range { from_us, to_us })
        }
        LinkTo::Match { date, time, offset } => {
            if court.is_none() {
                return Err(HandOutError::CourtNeeded);
            }
            let slot = schedule::find_slot(club, date, time, offset.as_deref())?;
            path.push_str(&format!("/{date}/{}", slot.local));
            if slot.ambiguous {
                path.push_str(&format!("?offset={}", slot.offset.replace('+', "%2B")));
            }
            Scope::Range(Range { from_us: slot.start_us, to_us: slot.end_us })
        }
    };
    let new =
        NewViewingLink { club_id: club.id, court_id: court.map(|court| court.id), scope, note, expires_us };
    let (link, token) = catalog.create_link(new).await?;
    path.push_str(&format!("#link={token}"));
    Ok(HandedLink { link, path })
}

/// A slot and its code.
#[derive(Clone, Debug)]
pub struct HandedCode {
    /// The slot.
    pub slot: Slot,
    /// What is kept of its code.
    pub kept: SlotCode,
    /// The code, where it was made now; one that there was is not known any more.
    pub code: Option<String>,
}

/// Gives slots of a court their codes: of a date, or one of it. A slot that has a code keeps it, unless it is to be renewed.
///
/// # Errors
///
/// When there is no such slot, or the catalog does not take it.
#[expect(clippy::too_many_arguments, reason = "one call with everything that a form has")]
pub async fn make_codes(
    catalog: &Catalog,
    club: &Club,
    court: &Court,
    date: civil::Date,
    time: Option<(civil::Time, Option<String>)>,
    renew: bool,
    expires_us: Option<i64>,
    now_us: i64,
) -> Result<Vec<HandedCode>, HandOutError> {
    let slots = match time {
        Some((time, offset)) => vec![schedule::find_slot(club, date, time, offset.as_deref())?],
        None => schedule::slots(club, date),
    };
    let mut handed = Vec::with_capacity(slots.len());
    for slot in slots {
        let kept = catalog.slot_code(court.id, slot.start_us).await?;
        // One of before the matches became longer or shorter opens nothing.
        let is_right = |kept: &SlotCode| kept.expires_us > now_us && kept.end_us == slot.end_us;
        if let Some(kept) = kept.filter(|kept| !renew && is_right(kept)) {
            handed.push(HandedCode { slot, kept, code: None });
            continue;
        }
        // From the end of the match: one that is booked for next week is to be seen after it.
        let expires_us = expires_us.unwrap_or(slot.end_us.max(now_us).saturating_add(access::code::LIFE_US));
        check_life(expires_us, now_us)?;
        let (start_us, end_us) = (slot.start_us, slot.end_us);
        let new = NewSlotCode { court_id: court.id, start_us, end_us, expires_us };
        let (kept, code) = catalog.create_slot_code(new).await?;
        // Whoever was locked out of the old one has a new one.
        catalog.forget_attempts(&slot_subject(court.id, start_us)).await?;
        handed.push(HandedCode { slot, kept, code: Some(code) });
    }
    Ok(handed)
}

fn check_life(expires_us: i64, now_us: i64) -> Result<(), HandOutError> {
    let is_sound = expires_us > now_us && expires_us - now_us <= MAX_GRANT_LIFE_US;
    if is_sound { Ok(()) } else { Err(HandOutError::Life) }
}

/// As which attempts at a slot are counted.
pub(crate) fn slot_subject(court: uuid::Uuid, start_us: i64) -> String {
    format!("slot {} {start_us}", court.simple())
}
