//! Days with footage, and the start times of one day.

use super::Instant;
use serde::Serialize;
use utoipa::ToSchema;

/// The days of a month that have footage.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonthDays {
    /// The month asked for, `YYYY-MM`.
    #[schema(example = "2026-11")]
    pub month: String,
    /// Only the days with footage, in order.
    pub days: Vec<DayCoverage>,
}

/// How much of a day was recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DayCoverage {
    /// Club-local date on which the opening period began, `YYYY-MM-DD`.
    #[schema(example = "2026-11-21")]
    pub date: String,
    /// Share of the day's opening hours that was recorded, as far as they have passed.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub coverage: f64,
}

/// The start times of a day.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaySlots {
    /// The date asked for, `YYYY-MM-DD`.
    #[schema(example = "2026-11-21")]
    pub date: String,
    /// IANA time zone of the club.
    #[schema(example = "Europe/Madrid")]
    pub zone: String,
    /// The slots in order of time; empty when the club was closed.
    pub slots: Vec<SlotSummary>,
}

/// A start time at which a match can have begun.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotSummary {
    /// Club-local time, `HH:MM`.
    #[schema(example = "10:00")]
    pub time: String,
    /// The zone's offset from UTC at that time.
    #[schema(example = "+01:00")]
    pub offset: String,
    /// Whether this local time occurs twice on this day, so that `offset` is needed to name the slot.
    pub is_ambiguous: bool,
    /// First instant of the match.
    pub start: Instant,
    /// Instant just after the match.
    pub end: Instant,
    /// Where the match lies in time.
    pub state: SlotState,
    /// Share of the match that was recorded; of its elapsed part while it is being played; 0 in the future.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub coverage: f64,
    /// A picture of the match, where there is footage and the one who asks may see it.
    #[schema(required)]
    pub thumbnail_url: Option<String>,
}

/// Where a match lies in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SlotState {
    /// It has ended.
    Past,
    /// It is being played.
    Live,
    /// It has not begun.
    Future,
}
