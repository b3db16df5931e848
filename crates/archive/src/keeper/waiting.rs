//! What of the expired footage waits for a person, and the person's word: two notes in the catalog, by which a node and
//! `turepe admin retention` speak to each other.
//!
//! A word is bounded by what was shown: it lets go of what ended before the instant that was shown with it, and of nothing
//! that is not due by then as well.

use catalog::{Catalog, CatalogError};
use serde::{Deserialize, Serialize};

/// Name of the note of what waits.
const WAITING_NOTE: &str = "retention.waiting";

/// Name of the note of what a person has let go.
const CONFIRMED_NOTE: &str = "retention.confirmed";

/// Why footage waits for a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitReason {
    /// More than the set share of a club's footage would go at once.
    Share,
    /// The clock is not believed.
    Clock,
    /// It is dated before there was any: it was recorded while a clock was wrong.
    Undated,
}

/// Expired footage of one club that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingItem {
    /// Slug of the club; `None` for channels without one.
    pub club: Option<String>,
    /// Why.
    pub reason: WaitReason,
    /// Since when it waits, UTC microseconds.
    pub since_us: i64,
    /// Days that the club keeps footage.
    pub days: u32,
    /// What ended before this would go, UTC microseconds.
    pub cutoff_us: i64,
    /// How many segments.
    pub segments: u64,
    /// Of how many.
    pub of_segments: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Start of the first, UTC microseconds.
    pub first_us: Option<i64>,
    /// End of the last, UTC microseconds.
    pub last_us: Option<i64>,
}

/// All that waits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionWaiting {
    /// What the node's clock showed then, UTC microseconds.
    pub seen_us: i64,
    /// Why the clock is not believed, if it is not.
    pub doubt: Option<String>,
    /// By club and reason.
    pub items: Vec<WaitingItem>,
}

/// What a person has let go.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Confirmed {
    /// What the node's clock showed when it was shown. With a doubted clock it is believed from there on.
    pub(super) seen_us: i64,
    pub(super) items: Vec<ConfirmedItem>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfirmedItem {
    pub(super) club: Option<String>,
    pub(super) reason: WaitReason,
    pub(super) cutoff_us: i64,
}

impl Confirmed {
    /// Until where a person has let go of a club's footage.
    pub(super) fn cutoff_us(&self, club: Option<&str>, reason: WaitReason) -> Option<i64> {
        let is_it = |item: &&ConfirmedItem| item.club.as_deref() == club && item.reason == reason;
        self.items.iter().find(is_it).map(|item| item.cutoff_us)
    }

    pub(super) fn has_clock(&self) -> bool {
        self.items.iter().any(|item| item.reason == WaitReason::Clock)
    }
}

impl RetentionWaiting {
    /// What waits by the word of the node that looked last; nothing where nothing does.
    ///
    /// # Errors
    /// The catalog does not answer.
    pub async fn read(catalog: &Catalog) -> Result<Self, CatalogError> {
        Ok(parsed(catalog.note(WAITING_NOTE).await?))
    }

    /// Lets go of what waits, as it was read. A running node sees it within two seconds.
    ///
    /// # Errors
    /// The catalog does not take it.
    pub async fn confirm(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        let item = |item: &WaitingItem| ConfirmedItem {
            club: item.club.clone(),
            reason: item.reason,
            cutoff_us: item.cutoff_us,
        };
        let confirmed = Confirmed { seen_us: self.seen_us, items: self.items.iter().map(item).collect() };
        catalog.put_note(CONFIRMED_NOTE, &text(&confirmed)).await
    }

    /// Segments that wait.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.items.iter().map(|item| item.segments).sum()
    }

    pub(super) async fn write(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        catalog.put_note(WAITING_NOTE, &text(self)).await
    }
}

/// What a person has let go, if anything.
pub(super) async fn confirmed(catalog: &Catalog) -> Result<Confirmed, CatalogError> {
    Ok(parsed(catalog.note(CONFIRMED_NOTE).await?))
}

/// The word was kept: it holds no longer.
pub(super) async fn forget_confirmed(catalog: &Catalog) -> Result<(), CatalogError> {
    catalog.put_note(CONFIRMED_NOTE, "").await
}

fn text(value: &impl Serialize) -> String {
    // Only maps with keys that are no strings fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// A note of another version, or none, says nothing: what waits is then noted again.
fn parsed<T: Default + for<'de> Deserialize<'de>>(note: Option<String>) -> T {
    note.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
