//! What opening hours mean on a date of a zone: slots, and the bounds of a day. The rules stand in the module above.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use thiserror::Error;

use super::{MINUTES_PER_DAY, Period, Schedule};
use crate::Club;

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// A bookable start time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// First instant of the match, UTC microseconds.
    pub start_us: i64,
    /// End of the match, exclusive: `start_us` and `appointmentDuration`.
    pub end_us: i64,
    /// The start on the club's wall clock, `HH:MM`. After midnight it is a time of the date after the slot's.
    pub local: String,
    /// Offset of the club's clock from UTC at the start, `+02:00`.
    pub offset: String,
    /// Whether another slot of the same date has the same `local`: the offset tells them apart.
    pub ambiguous: bool,
}

/// Why a date and time name no slot.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SlotError {
    /// No slot of that date starts then. `nearest` are the last one before and the first one after, where there are.
    #[error("no slot starts at {local} on {date}{}", hint(nearest))]
    NoSuchSlot {
        /// The date that was asked for.
        date: Date,
        /// The time that was asked for.
        local: String,
        /// Start times nearby.
        nearest: Vec<String>,
    },
    /// The clocks were set back and it started twice.
    #[error("{local} on {date} occurs twice; add the offset: {}", offsets.join(" or "))]
    Ambiguous {
        /// The date that was asked for.
        date: Date,
        /// The time that was asked for.
        local: String,
        /// The offsets to choose from, in order of time.
        offsets: Vec<String>,
    },
    /// Not an offset.
    #[error("`{0}` is no offset; write it as +02:00")]
    InvalidOffset(String),
}

fn hint(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; near it are {}", nearest.join(" and ")) }
}

/// The zone's rules. A club that came out of the catalog has a known zone; any other is taken as UTC.
fn zone_of(club: &Club) -> TimeZone {
    TimeZone::get(&club.zone).unwrap_or(TimeZone::UTC)
}

/// The slots of a club-local date in order of time. Empty where the club is closed.
#[must_use]
pub fn slots(club: &Club, date: Date) -> Vec<Slot> {
    let zone = zone_of(club);
    let mut slots: Vec<Slot> = Vec::new();
    let mut taken = BTreeSet::new();
    // Where the last slot of earlier schedules ended.
    let mut free_from_us = i64::MIN;
    for (schedule, in_force) in in_force(&club.schedules) {
        let mut starts = Vec::new();
        for opening in openings(&zone, schedule, date) {
            starts.extend(opening.starts(&zone, schedule.appointment_duration_min));
        }
        starts.sort_unstable_by_key(|start| start.start_us);
        starts.dedup_by_key(|start| start.start_us);
        let duration_us = i64::from(schedule.appointment_duration_min) * MICROS_PER_MINUTE;
        let first_free_us = free_from_us;
        for Start { start_us, minute, offset } in starts {
            // Only a change of schedule can give a date the same time and offset twice; the earlier one stays.
            let is_offered = in_force.contains(start_us)
                && start_us >= first_free_us
                && taken.insert((minute % MINUTES_PER_DAY, offset));
            if is_offered {
                let end_us = start_us.saturating_add(duration_us);
                free_from_us = free_from_us.max(end_us);
                let local = format!("{:02}:{:02}", minute % MINUTES_PER_DAY / 60, minute % 60);
                slots.push(Slot { start_us, end_us, local, offset: offset_text(offset), ambiguous: false });
            }
        }
    }
    let mut counts = std::collections::BTreeMap::new();
    for slot in &slots {
        *counts.entry(slot.local.clone()).or_insert(0_usize) += 1;
    }
    for slot in &mut slots {
        slot.ambiguous = counts.get(&slot.local).is_some_and(|count| *count > 1);
    }
    slots
}

/// The slot of a date that starts at `time`, and at `offset` where that occurs twice.
///
/// An offset is `+02:00`, `-03:00` or `Z`; a space is read as the plus that a careless query string loses.
pub fn find_slot(club: &Club, date: Date, time: Time, offset: Option<&str>) -> Result<Slot, SlotError> {
    let offset = offset
        .map(|text| parse_offset(text).ok_or_else(|| SlotError::InvalidOffset(text.to_owned())))
        .transpose()?;
    let local = format!("{:02}:{:02}", time.hour(), time.minute());
    let is_whole_minute = time.second() == 0 && time.subsec_nanosecond() == 0;
    let slots = slots(club, date);
    let mut found: Vec<&Slot> = slots
        .iter()
        .filter(|slot| is_whole_minute && slot.local == local)
        .filter(|slot| offset.is_none_or(|offset| slot.offset == offset_text(offset)))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0).clone()),
        0 => Err(SlotError::NoSuchSlot { date, nearest: nearest(&zone_of(club), &slots, date, time), local }),
        _ => {
            let offsets = found.iter().map(|slot| slot.offset.clone()).collect();
            Err(SlotError::Ambiguous { date, local, offsets })
        }
    }
}

/// The start times around a time that is none.
fn nearest(zone: &TimeZone, slots: &[Slot], date: Date, time: Time) -> Vec<String> {
    let Ok(asked) = zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible() else {
        return Vec::new();
    };
    let asked_us = asked.as_microsecond();
    let before = slots.iter().rev().find(|slot| slot.start_us < asked_us);
    let after = slots.iter().find(|slot| slot.start_us > asked_us);
    before.into_iter().chain(after).map(|slot| slot.local.clone()).collect()
}

/// From the first opening to the last closing of a club-local date, UTC microseconds. Both are the date's first instant
/// where the club is closed that day.
#[must_use]
pub fn day_bounds(club: &Club, date: Date) -> (i64, i64) {
    let zone = zone_of(club);
    let mut bounds: Option<(i64, i64)> = None;
    for (schedule, in_force) in in_force(&club.schedules) {
        for opening in openings(&zone, schedule, date) {
            // A match that began under the old schedule is played to its end.
            let last_us = match in_force.until_us {
                Some(until_us) => opening.close_us.min(
                    until_us.saturating_add(i64::from(schedule.appointment_duration_min) * MICROS_PER_MINUTE),
                ),
                None => opening.close_us,
            };
            let first_us = opening.open_us.max(in_force.from_us);
            let is_in_force =
                first_us < opening.close_us && in_force.until_us.is_none_or(|until| opening.open_us < until);
            if is_in_force {
                let (from, to) = bounds.unwrap_or((first_us, last_us));
                bounds = Some((from.min(first_us), to.max(last_us)));
            }
        }
    }
    bounds.unwrap_or_else(|| {
        let midnight_us = edge(&zone, date, 0, Edge::Open).unwrap_or(0);
        (midnight_us, midnight_us)
    })
}

/// Since when a club has been open at an instant without a break, as far as yesterday's hours tell; `None` where it is closed then.
#[must_use]
pub fn open_since(club: &Club, at_us: i64) -> Option<i64> {
    let zone = zone_of(club);
    let today = local_date(club, at_us);
    let dates = [today.yesterday().ok(), Some(today)];
    let mut open: Vec<(i64, i64)> = in_force(&club.schedules)
        .flat_map(|(schedule, in_force)| {
            let all = dates.iter().flatten().flat_map(|date| openings(&zone, schedule, *date));
            let ruled = all.map(|opening| {
                let until_us =
                    in_force.until_us.map_or(opening.close_us, |until_us| opening.close_us.min(until_us));
                (opening.open_us.max(in_force.from_us), until_us)
            });
            ruled.filter(|(from_us, until_us)| from_us < until_us).collect::<Vec<_>>()
        })
        .collect();
    open.sort_unstable();
    let mut since: Option<(i64, i64)> = None;
    for (from_us, until_us) in open {
        since = match since {
            Some((first_us, last_us)) if from_us <= last_us => Some((first_us, last_us.max(until_us))),
            _ => Some((from_us, until_us)),
        };
        if since.is_some_and(|(first_us, last_us)| (first_us..last_us).contains(&at_us)) {
            return since.map(|(first_us, _)| first_us);
        }
    }
    None
}

/// The club-local date at an instant.
#[must_use]
pub fn local_date(club: &Club, at_us: i64) -> Date {
    let at =
        Timestamp::from_microsecond(at_us).unwrap_or(if at_us < 0 { Timestamp::MIN } else { Timestamp::MAX });
    zone_of(club).to_datetime(at).date()
}

/// The slot that is being played at an instant, with the date it belongs to.
#[must_use]
pub fn slot_at(club: &Club, at_us: i64) -> Option<(Date, Slot)> {
    let today = local_date(club, at_us);
    // After midnight the slot may belong to yesterday's opening.
    [today.yesterday().ok(), Some(today)].into_iter().flatten().find_map(|date| {
        let slot =
            slots(club, date).into_iter().rev().find(|slot| (slot.start_us..slot.end_us).contains(&at_us))?;
        Some((date, slot))
    })
}

/// When a schedule rules.
#[derive(Clone, Copy, Debug)]
struct InForce {
    from_us: i64,
    until_us: Option<i64>,
}

impl InForce {
    fn contains(self, at_us: i64) -> bool {
        at_us >= self.from_us && self.until_us.is_none_or(|until_us| at_us < until_us)
    }
}

/// The schedules with the time they are in force. The first is in force from the beginning of time.
fn in_force(schedules: &[Schedule]) -> impl Iterator<Item = (&Schedule, InForce)> {
    schedules.iter().enumerate().map(|(number, schedule)| {
        let from_us = if number == 0 { i64::MIN } else { schedule.effective_from_us };
        let until_us = schedules.get(number + 1).map(|next| next.effective_from_us);
        (schedule, InForce { from_us, until_us })
    })
}

/// An opening period on a date.
#[derive(Clone, Copy, Debug)]
struct Opening {
    date: Date,
    period: Period,
    open_us: i64,
    close_us: i64,
}

/// A candidate for a slot; `minute` counts on the wall clock from the midnight of the opening's date.
#[derive(Clone, Copy, Debug)]
struct Start {
    start_us: i64,
    minute: u16,
    offset: Offset,
}

fn openings(zone: &TimeZone, schedule: &Schedule, date: Date) -> impl Iterator<Item = Opening> {
    let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
    schedule.hours.day(weekday).periods().iter().filter_map(move |period| {
        let open_us = edge(zone, date, period.open_min(), Edge::Open)?;
        let close_us = edge(zone, date, period.close_min(), Edge::Close)?;
        Some(Opening { date, period: *period, open_us, close_us })
    })
}

impl Opening {
    /// The start times of the grid that exist, twice where they occur twice.
    fn starts(self, zone: &TimeZone, duration_min: u32) -> impl Iterator<Item = Start> {
        let Self { date, period, open_us, close_us } = self;
        let duration_us = i64::from(duration_min) * MICROS_PER_MINUTE;
        let step = usize::try_from(duration_min.max(1)).unwrap_or(usize::MAX);
        (period.open_min()..period.close_min()).step_by(step).flat_map(move |minute| {
            let wall = wall(date, minute);
            let offsets = match wall.map(|wall| zone.to_ambiguous_timestamp(wall).offset()) {
                None | Some(AmbiguousOffset::Gap { .. }) => [None, None],
                Some(AmbiguousOffset::Unambiguous { offset }) => [Some(offset), None],
                Some(AmbiguousOffset::Fold { before, after }) => [Some(before), Some(after)],
            };
            offsets.into_iter().flatten().filter_map(move |offset| {
                let start_us = offset.to_timestamp(wall?).ok()?.as_microsecond();
                let is_inside = start_us >= open_us && start_us.checked_add(duration_us)? <= close_us;
                is_inside.then_some(Start { start_us, minute, offset })
            })
        })
    }
}

/// A minute after the midnight that begins a date, on the wall clock.
fn wall(date: Date, minute: u16) -> Option<DateTime> {
    let date = date.checked_add(i64::from(minute / MINUTES_PER_DAY).days()).ok()?;
    let minute = minute % MINUTES_PER_DAY;
    let time = Time::new(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0).ok()?;
    Some(date.to_datetime(time))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    Open,
    Close,
}

/// The instant at which the wall clock opens or closes a period.
fn edge(zone: &TimeZone, date: Date, minute: u16, edge: Edge) -> Option<i64> {
    let wall = wall(date, minute)?;
    let instant = match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
        AmbiguousOffset::Fold { before, after } => {
            let offset = if edge == Edge::Open { before } else { after };
            offset.to_timestamp(wall).ok()?
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the later offset, a time inside the gap lies before the jump: the jump is the next transition.
            let before_jump = after.to_timestamp(wall).ok()?;
            zone.following(before_jump).next()?.timestamp()
        }
    };
    Some(instant.as_microsecond())
}

/// `+02:00`; with seconds where the zone's history has them.
fn offset_text(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds.cmp(&0) == Ordering::Less { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if rest == 0 {
        format!("{sign}{hours:02}:{minutes:02}")
    } else {
        format!("{sign}{hours:02}:{minutes:02}:{rest:02}")
    }
}

fn parse_offset(text: &str) -> Option<Offset> {
    if text == "Z" || text == "z" {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+" | " ", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let mut seconds = 0;
    let mut unit = 3600;
    for part in digits.split(':') {
        let is_two_digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_two_digits || unit == 0 {
            return None;
        }
        seconds += part.parse::<i32>().ok().filter(|value| *value < 60)? * unit;
        unit /= 60;
    }
    // At least hours and minutes.
    if unit > 1 { None } else { Offset::from_seconds(sign * seconds).ok() }
}
