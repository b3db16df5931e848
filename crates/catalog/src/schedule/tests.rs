//! Days on which the clocks change, openings across midnight, changes of schedule; and what holds on every day.

use jiff::civil::{Date, Time, date, time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use proptest::prelude::*;
use uuid::Uuid;

use super::hours::tests::week;
use super::{
    Schedule, Slot, SlotError, WeekHours, day_bounds, find_slot, local_date, open_since, slot_at, slots,
};
use crate::Club;

fn club(zone: &str, hours: &str, appointment_duration_min: u32) -> Club {
    club_with(zone, vec![schedule(0, hours, appointment_duration_min)])
}

fn club_with(zone: &str, schedules: Vec<Schedule>) -> Club {
    Club {
        id: Uuid::nil(),
        slug: "club".into(),
        name: "Club".into(),
        zone: zone.into(),
        created_us: 0,
        retention_days: None,
        schedules,
        access: access::Policy::Open,
    }
}

fn schedule(effective_from_us: i64, hours: &str, appointment_duration_min: u32) -> Schedule {
    Schedule { effective_from_us, hours: hours.parse().unwrap(), appointment_duration_min }
}

fn us(rfc3339: &str) -> i64 {
    rfc3339.parse::<Timestamp>().unwrap().as_microsecond()
}

/// `HH:MM` alone, or with its offset where that is needed to tell two apart.
fn starts(club: &Club, date: Date) -> Vec<String> {
    let shown =
        |slot: Slot| if slot.ambiguous { format!("{}{}", slot.local, slot.offset) } else { slot.local };
    slots(club, date).into_iter().map(shown).collect()
}

#[test]
fn an_ordinary_day() {
    let club = club("Europe/Madrid", "08:00-24:00", 90);
    let day = date(2026, 11, 20);
    let expected = ["08:00", "09:30", "11:00", "12:30", "14:00", "15:30", "17:00", "18:30", "20:00", "21:30"];
    assert_eq!(starts(&club, day), expected, "23:00 would not end by closing");
    let first = &slots(&club, day)[0];
    assert_eq!(first.start_us, us("2026-11-20T07:00:00Z"));
    assert_eq!(first.end_us, us("2026-11-20T08:30:00Z"));
    assert_eq!(first.offset, "+01:00");
    assert_eq!(day_bounds(&club, day), (us("2026-11-20T07:00:00Z"), us("2026-11-20T23:00:00Z")));
}

#[test]
fn a_siesta_begins_the_grid_anew() {
    let club = club("Europe/Madrid", "09:00-14:00,16:15-23:00; sun closed", 120);
    assert_eq!(starts(&club, date(2026, 11, 20)), ["09:00", "11:00", "16:15", "18:15", "20:15"]);
    let sunday = date(2026, 11, 22);
    assert_eq!(starts(&club, sunday), [""; 0]);
    let midnight = us("2026-11-21T23:00:00Z");
    assert_eq!(day_bounds(&club, sunday), (midnight, midnight));
}

#[test]
fn the_shortest_and_the_longest_match() {
    let minutes = club("Europe/Madrid", "10:00-10:03", 1);
    assert_eq!(starts(&minutes, date(2026, 11, 20)), ["10:00", "10:01", "10:02"]);
    let whole_days = club("Europe/Madrid", "00:00-24:00", 1440);
    assert_eq!(starts(&whole_days, date(2026, 11, 20)), ["00:00"]);
    assert_eq!(starts(&whole_days, date(2026, 3, 29)), [""; 0], "a day of 23 hours has no room for 24");
    assert_eq!(starts(&whole_days, date(2026, 10, 25)), ["00:00"]);
    let overnight = club("Europe/Madrid", "10:00-09:59", 1439);
    assert_eq!(starts(&overnight, date(2026, 11, 20)), ["10:00"]);
}

#[test]
fn after_midnight_a_slot_still_belongs_to_the_evening() {
    let club = club("Europe/Madrid", "fri 20:00-02:00; sat 10:00-12:00", 60);
    let friday = date(2026, 11, 20);
    assert_eq!(starts(&club, friday), ["20:00", "21:00", "22:00", "23:00", "00:00", "01:00"]);
    assert_eq!(starts(&club, date(2026, 11, 21)), ["10:00", "11:00"]);
    let night = find_slot(&club, friday, time(1, 0, 0, 0), None).unwrap();
    assert_eq!(night.start_us, us("2026-11-21T00:00:00Z"));
    assert_eq!(day_bounds(&club, friday), (us("2026-11-20T19:00:00Z"), us("2026-11-21T01:00:00Z")));
    assert_eq!(slot_at(&club, us("2026-11-21T00:59:59.999999Z")), Some((friday, night)));
    assert_eq!(slot_at(&club, us("2026-11-21T01:00:00Z")), None);
    assert_eq!(local_date(&club, us("2026-11-20T23:30:00Z")), date(2026, 11, 21));
}

#[test]
fn madrid_loses_an_hour() {
    let club = club("Europe/Madrid", "00:00-06:00", 30);
    let day = date(2026, 3, 29);
    let expected = ["00:00", "00:30", "01:00", "01:30", "03:00", "03:30", "04:00", "04:30", "05:00", "05:30"];
    assert_eq!(starts(&club, day), expected);
    let error = find_slot(&club, day, time(2, 0, 0, 0), None).unwrap_err();
    let nearest = vec!["01:30".to_owned(), "03:30".to_owned()];
    assert_eq!(error, SlotError::NoSuchSlot { date: day, local: "02:00".into(), nearest });
    assert_eq!(day_bounds(&club, day), (us("2026-03-28T23:00:00Z"), us("2026-03-29T04:00:00Z")));
}

#[test]
fn madrid_gains_an_hour() {
    let club = club("Europe/Madrid", "00:00-05:00", 60);
    let day = date(2026, 10, 25);
    assert_eq!(starts(&club, day), ["00:00", "01:00", "02:00+02:00", "02:00+01:00", "03:00", "04:00"]);
    let two = time(2, 0, 0, 0);
    let offsets = vec!["+02:00".to_owned(), "+01:00".to_owned()];
    let error = find_slot(&club, day, two, None).unwrap_err();
    assert_eq!(error, SlotError::Ambiguous { date: day, local: "02:00".into(), offsets });
    assert_eq!(error.to_string(), "02:00 on 2026-10-25 occurs twice; add the offset: +02:00 or +01:00");
    let at = |offset| find_slot(&club, day, two, Some(offset)).map(|slot| slot.start_us);
    assert_eq!(at("+02:00"), Ok(us("2026-10-25T00:00:00Z")));
    assert_eq!(
        at(" 01:00"),
        Ok(us("2026-10-25T01:00:00Z")),
        "a plus that a query string turned into a space"
    );
    assert!(matches!(at("+00:00"), Err(SlotError::NoSuchSlot { .. })));
    for bad in ["", "+1", "+01", "01:00", "+01:00:00:00", "+01:0x", "+aa:bb", "CET", "+99:00", "é"] {
        assert_eq!(at(bad), Err(SlotError::InvalidOffset(bad.into())), "{bad}");
    }
}

/// The grid stays on the wall clock: long matches overlap by the jump, and every later start is where it always is.
#[test]
fn a_grid_that_the_jump_does_not_fit() {
    let club = club("Europe/Madrid", "00:30-10:00", 90);
    let autumn = date(2026, 10, 25);
    assert_eq!(
        starts(&club, autumn),
        ["00:30", "02:00+02:00", "02:00+01:00", "03:30", "05:00", "06:30", "08:00"]
    );
    let spring = date(2026, 3, 29);
    assert_eq!(starts(&club, spring), ["00:30", "03:30", "05:00", "06:30", "08:00"]);
    assert!(slots(&club, autumn).iter().all(|slot| slot.end_us - slot.start_us == 90 * 60_000_000));
}

#[test]
fn opening_and_closing_at_a_time_that_occurs_twice_or_never() {
    let closes_in_it = club("Europe/Madrid", "sat 23:00-02:30", 30);
    let expected = ["23:00", "23:30", "00:00", "00:30", "01:00", "01:30", "02:00+02:00", "02:00+01:00"];
    assert_eq!(starts(&closes_in_it, date(2026, 10, 24)), expected);
    let opens_in_it = club("Europe/Madrid", "02:30-04:00", 30);
    assert_eq!(starts(&opens_in_it, date(2026, 10, 25)), ["02:30+02:00", "02:30+01:00", "03:00", "03:30"]);
    let opens_in_the_gap = club("Europe/Madrid", "02:30-04:00", 30);
    assert_eq!(starts(&opens_in_the_gap, date(2026, 3, 29)), ["03:00", "03:30"]);
    let bounds = day_bounds(&opens_in_the_gap, date(2026, 3, 29));
    assert_eq!(bounds, (us("2026-03-29T01:00:00Z"), us("2026-03-29T02:00:00Z")));
}

/// Chile changes at midnight: 24:00 becomes 23:00 in April, and 00:00 becomes 01:00 in September.
#[test]
fn santiago_changes_at_midnight() {
    let club = club("America/Santiago", "20:00-02:00", 60);
    let autumn = date(2026, 4, 4);
    let expected = ["20:00", "21:00", "22:00", "23:00-03:00", "23:00-04:00", "00:00", "01:00"];
    assert_eq!(starts(&club, autumn), expected);
    let spring = date(2026, 9, 5);
    assert_eq!(starts(&club, spring), ["20:00", "21:00", "22:00", "23:00", "01:00"]);
    let closes_at_midnight = self::club("America/Santiago", "22:00-24:00; sun 00:00-02:00", 60);
    assert_eq!(starts(&closes_at_midnight, spring), ["22:00", "23:00"]);
    assert_eq!(starts(&closes_at_midnight, date(2026, 9, 6)), ["01:00"], "the day begins at 01:00");
    let (from_us, to_us) = day_bounds(&closes_at_midnight, date(2026, 9, 6));
    assert_eq!((from_us, to_us), (us("2026-09-06T04:00:00Z"), us("2026-09-06T05:00:00Z")));
}

/// Lord Howe Island changes by half an hour, at 02:00.
#[test]
fn lord_howe_changes_by_half_an_hour() {
    let club = club("Australia/Lord_Howe", "01:00-04:00", 30);
    assert_eq!(starts(&club, date(2026, 10, 4)), ["01:00", "01:30", "02:30", "03:00", "03:30"]);
    let autumn = starts(&club, date(2026, 4, 5));
    assert_eq!(autumn, ["01:00", "01:30+11:00", "01:30+10:30", "02:00", "02:30", "03:00", "03:30"]);
}

/// Samoa had no 30 December 2011.
#[test]
fn a_date_that_never_was() {
    let club = club("Pacific/Apia", "00:00-24:00", 60);
    assert_eq!(starts(&club, date(2011, 12, 30)), [""; 0]);
    let (from_us, to_us) = day_bounds(&club, date(2011, 12, 30));
    assert_eq!(from_us, to_us);
    assert_eq!(starts(&club, date(2011, 12, 31)).len(), 24);
}

#[test]
fn the_ends_of_time_are_no_panic() {
    let club = club("Pacific/Auckland", "00:00-24:00", 1);
    for day in [Date::MIN, Date::MAX] {
        let _ = slots(&club, day);
        let _ = day_bounds(&club, day);
    }
    for at_us in [i64::MIN, i64::MAX] {
        let _ = local_date(&club, at_us);
        let _ = slot_at(&club, at_us);
    }
}

#[test]
fn a_change_of_schedule_moves_no_past_slot() {
    let change = us("2026-11-20T11:10:00Z");
    let old = schedule(0, "08:00-24:00", 60);
    let new = schedule(change, "09:00-22:00", 90);
    let club = club_with("Europe/Madrid", vec![old, new]);
    // Changed at 12:10 local, in the middle of a match that lasts until 13:00: the new grid offers 13:30 first.
    let expected = ["08:00", "09:00", "10:00", "11:00", "12:00", "13:30", "15:00", "16:30", "18:00", "19:30"];
    assert_eq!(starts(&club, date(2026, 11, 20)), expected);
    assert_eq!(starts(&club, date(2026, 11, 19)).len(), 16);
    assert_eq!(starts(&club, date(2026, 11, 21))[0], "09:00");
    assert_eq!(club.current_schedule(change - 1).appointment_duration_min, 60);
    assert_eq!(club.current_schedule(change).appointment_duration_min, 90);
    assert_eq!(club.current_schedule(i64::MIN).appointment_duration_min, 60);
    let bounds = day_bounds(&club, date(2026, 11, 20));
    assert_eq!(bounds, (us("2026-11-20T07:00:00Z"), us("2026-11-20T21:00:00Z")));
}

#[test]
fn closing_a_day_for_good_still_shows_its_past() {
    let change = us("2026-11-20T11:10:00Z");
    let club =
        club_with("Europe/Madrid", vec![schedule(0, "08:00-24:00", 60), schedule(change, "closed", 60)]);
    assert_eq!(starts(&club, date(2026, 11, 20)), ["08:00", "09:00", "10:00", "11:00", "12:00"]);
    let bounds = day_bounds(&club, date(2026, 11, 20));
    assert_eq!(
        bounds,
        (us("2026-11-20T07:00:00Z"), us("2026-11-20T12:10:00Z")),
        "up to the last match's end at most"
    );
    assert_eq!(club_with("Europe/Madrid", Vec::new()).current_schedule(0).hours, WeekHours::CLOSED);
}

#[test]
fn a_time_that_is_no_start_names_its_neighbours() {
    let club = club("Europe/Madrid", "08:00-24:00", 90);
    let error = find_slot(&club, date(2026, 11, 20), time(10, 0, 0, 0), None).unwrap_err();
    assert_eq!(error.to_string(), "no slot starts at 10:00 on 2026-11-20; near it are 09:30 and 11:00");
    let error = find_slot(&club, date(2026, 11, 20), time(8, 0, 1, 0), None).unwrap_err();
    assert!(matches!(error, SlotError::NoSuchSlot { .. }), "seconds name no slot");
    let closed = self::club("Europe/Madrid", "closed", 90);
    let error = find_slot(&closed, date(2026, 11, 20), time(10, 0, 0, 0), None).unwrap_err();
    assert_eq!(error.to_string(), "no slot starts at 10:00 on 2026-11-20");
}

const ZONES: [&str; 9] = [
    "Europe/Madrid",
    "America/Santiago",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "UTC",
];

/// A zone and a date in it, half of the time one on which its clocks change, or the one before.
fn day() -> impl Strategy<Value = (&'static str, Date)> {
    (0..ZONES.len(), 0..14_000_i64, any::<bool>(), -1..=0_i64).prop_map(|(zone, days, is_change, shift)| {
        let name = ZONES[zone];
        let date = date(2000, 1, 1).checked_add(days.days()).unwrap();
        let zone = TimeZone::get(name).unwrap();
        let midnight = zone.to_timestamp(date.to_datetime(Time::midnight())).unwrap();
        let change = zone.following(midnight).next().filter(|_| is_change);
        let date = change.map_or(date, |change| {
            zone.to_datetime(change.timestamp()).date().checked_add(shift.days()).unwrap()
        });
        (name, date)
    })
}

/// What the clocks of a zone jump between two instants, in microseconds; 0 if they do not.
fn jump_us(zone: &TimeZone, from_us: i64, to_us: i64) -> i64 {
    let offset =
        |at_us| i64::from(zone.to_offset(Timestamp::from_microsecond(at_us).unwrap()).seconds()) * 1_000_000;
    (offset(from_us) - offset(to_us)).abs()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn slots_are_in_order_apart_inside_and_found_again(
        (name, date) in day(),
        hours in week(),
        duration_min in prop_oneof![1..=1440_u32, Just(30), Just(60), Just(90)],
    ) {
        let schedule = Schedule { effective_from_us: 0, hours: hours.clone(), appointment_duration_min: duration_min };
        let club = club_with(name, vec![schedule]);
        let zone = TimeZone::get(name).unwrap();
        let all = slots(&club, date);
        let (from_us, to_us) = day_bounds(&club, date);
        let periods = hours.day(date.weekday().to_monday_zero_offset() as usize).periods();
        for slot in &all {
            prop_assert_eq!(slot.end_us - slot.start_us, i64::from(duration_min) * 60_000_000);
            prop_assert!(slot.start_us >= from_us && slot.end_us <= to_us, "{:?} outside the day", slot);

            // The wall clock shows at the start what the slot says, within an opening period of the date.
            let wall = zone.to_datetime(Timestamp::from_microsecond(slot.start_us).unwrap());
            prop_assert_eq!(&wall.strftime("%H:%M").to_string(), &slot.local);
            let days = i64::from(date.until(wall.date()).unwrap().get_days());
            let minute = days * 1440 + i64::from(wall.hour()) * 60 + i64::from(wall.minute());
            let is_inside = periods.iter().any(|period| {
                (i64::from(period.open_min())..i64::from(period.close_min())).contains(&minute)
            });
            prop_assert!(is_inside, "{:?} at minute {} outside {:?}", slot, minute, periods);

            let time = wall.time();
            prop_assert_eq!(&find_slot(&club, date, time, Some(&slot.offset)).unwrap(), slot);
            match find_slot(&club, date, time, None) {
                Ok(found) => prop_assert!(!slot.ambiguous && found == *slot),
                Err(SlotError::Ambiguous { offsets, .. }) => {
                    prop_assert!(slot.ambiguous && offsets.contains(&slot.offset));
                }
                Err(error) => prop_assert!(false, "{} for {:?}", error, slot),
            }
            let playing = slot_at(&club, slot.start_us);
            prop_assert!(playing.is_some(), "{:?} is not being played at its start", slot);
        }
        for pair in all.windows(2) {
            prop_assert!(pair[0].start_us < pair[1].start_us, "out of order: {:?}", pair);
            // Only a jump of the clocks makes two slots overlap.
            let last_us = pair[0].end_us.max(pair[1].start_us);
            let is_apart = pair[0].end_us <= pair[1].start_us;
            prop_assert!(is_apart || jump_us(&zone, pair[0].start_us, last_us) != 0, "they overlap: {:?}", pair);
        }
        let day_us = 24 * 3_600_000_000;
        if jump_us(&zone, from_us - day_us, to_us + day_us) == 0 {
            let count: u32 = periods
                .iter()
                .map(|period| u32::from(period.close_min() - period.open_min()) / duration_min)
                .sum();
            prop_assert_eq!(all.len(), count as usize);
        }
    }

    #[test]
    fn what_was_before_a_change_stays(
        (name, date) in day(),
        (hours, other_hours) in (week(), week()),
        (duration_min, other_duration_min) in (1..=240_u32, 1..=240_u32),
        minutes_into in -600..2400_i64,
    ) {
        let before = Schedule { effective_from_us: 0, hours, appointment_duration_min: duration_min };
        let club = club_with(name, vec![before.clone()]);
        let midnight = TimeZone::get(name).unwrap().to_timestamp(date.to_datetime(Time::midnight())).unwrap();
        let change_us = midnight.as_microsecond() + minutes_into * 60_000_000;
        let after = Schedule {
            effective_from_us: change_us,
            hours: other_hours,
            appointment_duration_min: other_duration_min,
        };
        let changed = club_with(name, vec![before, after.clone()]);
        let old = slots(&club, date);
        let new = slots(&changed, date);
        let past = |slots: &[Slot]| -> Vec<i64> {
            slots.iter().map(|slot| slot.start_us).filter(|start_us| *start_us < change_us).collect()
        };
        prop_assert_eq!(past(&old), past(&new));
        let only_new = slots(&club_with(name, vec![after]), date);
        for slot in new.iter().filter(|slot| slot.start_us >= change_us) {
            prop_assert!(only_new.iter().any(|other| other.start_us == slot.start_us), "{:?} is of no schedule", slot);
        }
        for slot in &new {
            let (from_us, to_us) = day_bounds(&changed, date);
            prop_assert!(slot.start_us >= from_us && slot.end_us <= to_us, "{:?} outside {} {}", slot, from_us, to_us);
            let time: Time = slot.local.parse().unwrap();
            prop_assert_eq!(&find_slot(&changed, date, time, Some(&slot.offset)).unwrap(), slot);
        }
    }
}

#[test]
fn a_club_is_open_since_its_doors_opened() {
    let siesta = club("Europe/Madrid", "09:00-14:00,16:15-23:00; sun closed", 90);
    let night = club("Europe/Madrid", "18:00-02:00", 90);
    let always = club("UTC", "00:00-24:00", 60);
    let change = us("2026-11-20T12:00:00Z");
    let longer = club_with("UTC", vec![schedule(0, "08:00-20:00", 60), schedule(change, "06:00-22:00", 60)]);
    let shorter = club_with("UTC", vec![schedule(0, "08:00-20:00", 60), schedule(change, "14:00-20:00", 60)]);
    for (what, club, at, since) in [
        ("before the siesta", &siesta, "2026-11-20T12:59:59Z", Some("2026-11-20T08:00:00Z")),
        ("in the siesta", &siesta, "2026-11-20T13:00:00Z", None),
        ("after it", &siesta, "2026-11-20T16:00:00Z", Some("2026-11-20T15:15:00Z")),
        ("on Sunday", &siesta, "2026-11-22T12:00:00Z", None),
        ("after midnight", &night, "2026-11-21T00:30:00Z", Some("2026-11-20T17:00:00Z")),
        ("at closing", &night, "2026-11-21T01:00:00Z", None),
        ("always, as far as yesterday tells", &always, "2026-11-20T12:00:00Z", Some("2026-11-19T00:00:00Z")),
        ("over a change of hours", &longer, "2026-11-20T21:00:00Z", Some("2026-11-20T08:00:00Z")),
        ("closed by one", &shorter, "2026-11-20T13:00:00Z", None),
        ("and open again", &shorter, "2026-11-20T15:00:00Z", Some("2026-11-20T14:00:00Z")),
        ("where the clocks go back at night", &night, "2026-10-25T00:30:00Z", Some("2026-10-24T16:00:00Z")),
    ] {
        assert_eq!(open_since(club, us(at)), since.map(us), "{what}");
    }
}
