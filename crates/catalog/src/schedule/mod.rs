//! When a club can be played at: opening hours, slots, days. Pure: no SQL, no clock.
//!
//! Here: what a club-local date and time mean (DESIGN §5). Not here: what was recorded then.
//!
//! The rules, each with its reason:
//!
//! - **The grid is on the wall clock.** Start times are `open + k × duration` as a clock on the wall shows them, on
//!   every day of the year: what is booked at "10:30" is found at "10:30", also on the day after the clocks changed.
//! - **A start time that occurs twice names two slots**, told apart by offset; **one that does not exist is no slot.**
//!   Each slot lasts the whole `appointmentDuration` in real minutes. So only where the clocks jump, slots of one date
//!   can overlap or leave a hole between them.
//! - **A slot is offered only if it starts at or after opening and ends by closing.** What is left at the end of a
//!   period that `appointmentDuration` does not divide is no slot, as nobody can book a whole match there.
//! - **Opening or closing at a time that occurs twice** is the first of the two for opening and the second for closing;
//!   at a time that does not exist, it is the instant of the jump. Nobody is locked out by a change of clocks.
//! - **A slot belongs to the date on which its opening period began**, also after midnight.
//! - **The schedule in force at the start of a slot rules it.** A change never moves slots before it; the new grid
//!   begins where the last slot of the old one has ended.

mod hours;
mod slots;
#[cfg(test)]
mod tests;

pub use hours::{
    DayHours, HoursError, MAX_HOURS_TEXT_BYTES, MAX_PERIODS_PER_DAY, MINUTES_PER_DAY, Period, WEEKDAY_NAMES,
    WeekHours,
};
pub use slots::{Slot, SlotError, day_bounds, find_slot, local_date, open_since, slot_at, slots};

/// Shortest `appointmentDuration`, in minutes.
pub const MIN_APPOINTMENT_DURATION_MIN: u32 = 1;

/// Longest `appointmentDuration`, in minutes.
pub const MAX_APPOINTMENT_DURATION_MIN: u32 = 1440;

/// Opening hours and match length, from an instant on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// UTC microseconds from which it is in force, until the next one is. A club's first is also in force before.
    pub effective_from_us: i64,
    /// When the club is open.
    pub hours: WeekHours,
    /// How long a match lasts, in minutes: 1 to 1440.
    pub appointment_duration_min: u32,
}

/// What is in force at a club that has no schedule: always closed.
pub(crate) static ALWAYS_CLOSED: Schedule =
    Schedule { effective_from_us: 0, hours: WeekHours::CLOSED, appointment_duration_min: 60 };
