//! Opening hours per weekday: the type, its text form, its rules. What they mean on a date is in `slots`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Minutes on the wall clock from one midnight to the next.
pub const MINUTES_PER_DAY: u16 = 1440;

/// How many opening periods one weekday may have: a morning, a siesta, an evening, and one to spare.
pub const MAX_PERIODS_PER_DAY: usize = 4;

/// Longest text that is read as opening hours, in bytes.
pub const MAX_HOURS_TEXT_BYTES: usize = 512;

/// The weekdays as hours are written with, Monday first.
pub const WEEKDAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// One opening period, in minutes of the wall clock after the midnight that begins its date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Period {
    open_min: u16,
    close_min: u16,
}

impl Period {
    /// A period; `None` unless it opens before 24:00, and closes after it opened and at most 24 hours later.
    #[must_use]
    pub fn new(open_min: u16, close_min: u16) -> Option<Self> {
        let is_sound =
            open_min < MINUTES_PER_DAY && close_min > open_min && close_min - open_min <= MINUTES_PER_DAY;
        is_sound.then_some(Self { open_min, close_min })
    }

    /// Opening, 0 to 1439.
    #[must_use]
    pub fn open_min(self) -> u16 {
        self.open_min
    }

    /// Closing; over 1440 where it crosses midnight.
    #[must_use]
    pub fn close_min(self) -> u16 {
        self.close_min
    }

    /// Opening as `HH:MM`.
    #[must_use]
    pub fn open_text(self) -> String {
        minute_text(self.open_min)
    }

    /// Closing as `HH:MM`; `24:00` for midnight, a time of the next date where it crosses midnight.
    #[must_use]
    pub fn close_text(self) -> String {
        let is_next_date = self.close_min > MINUTES_PER_DAY;
        minute_text(if is_next_date { self.close_min - MINUTES_PER_DAY } else { self.close_min })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.open_text(), self.close_text())
    }
}

fn minute_text(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// The opening periods of one weekday, in order; none on a day it is closed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DayHours(Vec<Period>);

impl DayHours {
    /// A day without opening.
    pub const CLOSED: Self = Self(Vec::new());

    /// Periods in any order; an error if they overlap or do not fit in 24 hours from the first opening.
    pub fn new(mut periods: Vec<Period>) -> Result<Self, HoursError> {
        periods.sort_unstable();
        if periods.len() > MAX_PERIODS_PER_DAY {
            return Err(HoursError::TooManyPeriods);
        }
        for pair in periods.windows(2) {
            if let [a, b] = pair
                && b.open_min < a.close_min
            {
                return Err(HoursError::Overlap { first: a.to_string(), second: b.to_string() });
            }
        }
        if let (Some(first), Some(last)) = (periods.first(), periods.last())
            && last.close_min - first.open_min > MINUTES_PER_DAY
        {
            return Err(HoursError::LongerThanADay { first: first.to_string(), last: last.to_string() });
        }
        Ok(Self(periods))
    }

    /// The periods in order.
    #[must_use]
    pub fn periods(&self) -> &[Period] {
        &self.0
    }

    /// Whether it does not open.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for DayHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_closed() {
            return f.write_str("closed");
        }
        for (number, period) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            write!(f, "{period}")?;
        }
        Ok(())
    }
}

/// Opening hours of a week, Monday first.
///
/// The text form, which it is read from, shown, stored and serialised as:
///
/// ```text
/// 08:00-24:00                                         every day
/// mon-fri 08:00-23:00; sat,sun 09:00-02:00            closing at 02:00 of the next date
/// 09:00-14:00,16:00-23:00; wed 16:00-23:00; sun closed    every day but those named
/// closed                                              always
/// ```
///
/// A weekday that is not named is as the part without weekdays says, or closed where there is none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WeekHours([DayHours; 7]);

impl WeekHours {
    /// Always closed.
    pub const CLOSED: Self = Self([DayHours::CLOSED; 7]);

    /// Hours of seven days, Monday first; an error if one day's run into the next day's.
    pub fn new(days: [DayHours; 7]) -> Result<Self, HoursError> {
        for (number, day) in days.iter().enumerate() {
            let next = days.get((number + 1) % 7).unwrap_or(day);
            if let (Some(last), Some(first)) = (day.0.last(), next.0.first())
                && last.close_min > first.open_min + MINUTES_PER_DAY
            {
                return Err(HoursError::IntoNextDay {
                    day: weekday_name(number),
                    last: last.to_string(),
                    first: first.to_string(),
                });
            }
        }
        Ok(Self(days))
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, HoursError> {
        text.parse()
    }

    /// The hours of a weekday, 0 for Monday to 6 for Sunday (further on it starts again).
    #[must_use]
    pub fn day(&self, monday_zero: usize) -> &DayHours {
        self.0.get(monday_zero % 7).unwrap_or(&self.0[0])
    }

    /// The seven days, Monday first.
    #[must_use]
    pub fn days(&self) -> &[DayHours; 7] {
        &self.0
    }

    /// Every period with the name of its weekday (`mon` to `sun`), in order.
    pub fn periods(&self) -> impl Iterator<Item = (&'static str, Period)> {
        WEEKDAY_NAMES
            .into_iter()
            .zip(&self.0)
            .flat_map(|(name, day)| day.0.iter().map(move |period| (name, *period)))
    }
}

fn weekday_name(monday_zero: usize) -> &'static str {
    WEEKDAY_NAMES.get(monday_zero % 7).copied().unwrap_or("mon")
}

/// Why a text is not opening hours.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HoursError {
    /// Nothing there.
    #[error("opening hours are empty; write for example 08:00-24:00, or closed")]
    Empty,
    /// Over [`MAX_HOURS_TEXT_BYTES`].
    #[error("opening hours are longer than {MAX_HOURS_TEXT_BYTES} characters")]
    TooLong,
    /// Not a weekday.
    #[error("`{0}` is no weekday; use mon, tue, wed, thu, fri, sat, sun, a list mon,wed or a range mon-fri")]
    UnknownDay(String),
    /// Not a period.
    #[error("`{0}` is no opening period; write HH:MM-HH:MM, for example 09:00-14:00")]
    Period(String),
    /// Not a time.
    #[error("`{0}` is no time of day; write HH:MM from 00:00 to 24:00")]
    Time(String),
    /// Opens at 24:00.
    #[error("opening at 24:00 belongs to the next day as 00:00")]
    OpensAtEnd,
    /// Opens and closes at the same time.
    #[error("`{0}` opens and closes at the same time; for a whole day write 00:00-24:00")]
    SameTime(String),
    /// A weekday in two parts.
    #[error("{0} is given twice; write its periods together, as in {0} 09:00-14:00,16:00-23:00")]
    DayTwice(&'static str),
    /// Two parts without weekdays.
    #[error(
        "hours for all days are given twice; separate the periods of one day by a comma, not a semicolon"
    )]
    DefaultTwice,
    /// Over [`MAX_PERIODS_PER_DAY`].
    #[error("more than {MAX_PERIODS_PER_DAY} opening periods on one day")]
    TooManyPeriods,
    /// Two periods of a day overlap.
    #[error("{first} and {second} overlap")]
    Overlap {
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
    },
    /// A time would occur twice on one date.
    #[error(
        "{first} and {last} are more than 24 hours from first opening to last closing; give what is after midnight to the day before or after"
    )]
    LongerThanADay {
        /// The first period of the day.
        first: String,
        /// The last period of the day.
        last: String,
    },
    /// A day closes after the next has opened.
    #[error("{last} on {day} runs into {first} on the day after")]
    IntoNextDay {
        /// The weekday that closes too late.
        day: &'static str,
        /// Its last period.
        last: String,
        /// The first period of the day after.
        first: String,
    },
}

impl FromStr for WeekHours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        if text.len() > MAX_HOURS_TEXT_BYTES {
            return Err(HoursError::TooLong);
        }
        let text = text.to_ascii_lowercase();
        let mut named: [Option<DayHours>; 7] = Default::default();
        let mut others: Option<DayHours> = None;
        let mut is_empty = true;
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            is_empty = false;
            // Weekdays have no digits and hours start with one.
            let hours_at = part.find("closed").or_else(|| part.find(|c: char| c.is_ascii_digit()));
            let Some((days, hours)) = hours_at.and_then(|at| part.split_at_checked(at)) else {
                return Err(HoursError::Period(part.to_owned()));
            };
            let hours = parse_day(hours)?;
            if days.trim().is_empty() {
                if others.replace(hours).is_some() {
                    return Err(HoursError::DefaultTwice);
                }
                continue;
            }
            for number in parse_weekdays(days)? {
                if let Some(day) = named.get_mut(number)
                    && day.replace(hours.clone()).is_some()
                {
                    return Err(HoursError::DayTwice(weekday_name(number)));
                }
            }
        }
        if is_empty {
            return Err(HoursError::Empty);
        }
        let others = others.unwrap_or_default();
        Self::new(named.map(|day| day.unwrap_or_else(|| others.clone())))
    }
}

/// The weekdays in `mon-fri`, `sat,sun` or `fri-mon, wed`, 0 for Monday.
fn parse_weekdays(text: &str) -> Result<Vec<usize>, HoursError> {
    let number = |name: &str| {
        let name = name.trim();
        WEEKDAY_NAMES
            .iter()
            .position(|day| *day == name)
            .ok_or_else(|| HoursError::UnknownDay(name.to_owned()))
    };
    let mut days = Vec::new();
    for item in text.trim().split(',') {
        match item.split_once('-') {
            None => days.push(number(item)?),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                let length = (to + 7 - from) % 7;
                days.extend((0..=length).map(|step| (from + step) % 7));
            }
        }
    }
    Ok(days)
}

fn parse_day(text: &str) -> Result<DayHours, HoursError> {
    if text.trim() == "closed" {
        return Ok(DayHours::CLOSED);
    }
    let mut periods = Vec::new();
    for item in text.split(',').map(str::trim) {
        if periods.len() == MAX_PERIODS_PER_DAY {
            return Err(HoursError::TooManyPeriods);
        }
        let (open, close) = item.split_once('-').ok_or_else(|| HoursError::Period(item.to_owned()))?;
        let (open, close) = (parse_time(open)?, parse_time(close)?);
        if open == MINUTES_PER_DAY {
            return Err(HoursError::OpensAtEnd);
        }
        if open == close {
            return Err(HoursError::SameTime(item.to_owned()));
        }
        let close = if close < open { close + MINUTES_PER_DAY } else { close };
        periods.push(Period::new(open, close).ok_or_else(|| HoursError::Period(item.to_owned()))?);
    }
    DayHours::new(periods)
}

fn parse_time(text: &str) -> Result<u16, HoursError> {
    let text = text.trim();
    let digits = |part: &str, max_len: usize| {
        let is_number =
            !part.is_empty() && part.len() <= max_len && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<u16>().ok()).flatten()
    };
    let minute = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (digits(hour, 2)?, digits(minute, 2).filter(|_| minute.len() == 2)?);
        (minute < 60).then_some(hour * 60 + minute)
    });
    minute.filter(|minute| *minute <= MINUTES_PER_DAY).ok_or_else(|| HoursError::Time(text.to_owned()))
}

impl fmt::Display for WeekHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.iter().all(|day| *day == self.0[0]) {
            return write!(f, "{}", self.0[0]);
        }
        let mut is_first = true;
        for (number, day) in self.0.iter().enumerate() {
            let is_shown = day.is_closed() || self.0.iter().take(number).any(|earlier| earlier == day);
            if is_shown {
                continue;
            }
            if !is_first {
                f.write_str("; ")?;
            }
            is_first = false;
            write_weekdays(f, |other| self.0.get(other) == Some(day))?;
            write!(f, " {day}")?;
        }
        Ok(())
    }
}

/// Names the chosen weekdays: runs of three and more as a range.
fn write_weekdays(f: &mut fmt::Formatter<'_>, is_chosen: impl Fn(usize) -> bool) -> fmt::Result {
    let mut separator = "";
    let mut number = 0;
    while number < 7 {
        if !is_chosen(number) {
            number += 1;
            continue;
        }
        let run = (number..7).take_while(|day| is_chosen(*day)).count();
        f.write_str(separator)?;
        separator = ",";
        f.write_str(weekday_name(number))?;
        if run >= 3 {
            write!(f, "-{}", weekday_name(number + run - 1))?;
            number += run;
        } else {
            number += 1;
        }
    }
    Ok(())
}

impl Serialize for WeekHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WeekHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        WeekHours::parse(text).unwrap().to_string()
    }

    #[test]
    fn hours_are_read_and_shown_in_their_shortest_form() {
        assert_eq!(shown("08:00-24:00"), "08:00-24:00");
        assert_eq!(shown(" 8:00 - 24:00 "), "08:00-24:00");
        assert_eq!(shown("08:00-00:00"), "08:00-24:00");
        assert_eq!(shown("mon-sun 08:00-22:30"), "08:00-22:30");
        assert_eq!(
            shown("Mon-Fri 08:00-23:00; Sat, Sun 09:00-02:00"),
            "mon-fri 08:00-23:00; sat,sun 09:00-02:00"
        );
        assert_eq!(shown("16:00-23:00,09:00-14:00"), "09:00-14:00,16:00-23:00");
        assert_eq!(shown("09:00-14:00; sun closed;"), "mon-sat 09:00-14:00");
        assert_eq!(shown("09:00-14:00; wed 16:00-20:00"), "mon,tue,thu-sun 09:00-14:00; wed 16:00-20:00");
        assert_eq!(shown("fri-mon 10:00-20:00"), "mon,fri-sun 10:00-20:00");
        assert_eq!(shown("closed"), "closed");
    }

    #[test]
    fn a_period_across_midnight_closes_on_the_next_date() {
        let hours = WeekHours::parse("sat 20:00-02:30").unwrap();
        let period = hours.day(5).periods()[0];
        assert_eq!((period.open_min(), period.close_min()), (1200, 1590));
        assert_eq!((period.open_text(), period.close_text()), ("20:00".into(), "02:30".into()));
        assert!(hours.day(4).is_closed());
        assert_eq!(hours.periods().collect::<Vec<_>>(), [("sat", period)]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| WeekHours::parse(text).unwrap_err();
        assert_eq!(error(""), HoursError::Empty);
        assert_eq!(error(" ; "), HoursError::Empty);
        assert_eq!(error(&"x".repeat(600)), HoursError::TooLong);
        assert_eq!(error("lun 08:00-20:00"), HoursError::UnknownDay("lun".into()));
        assert_eq!(error("mon- 08:00-20:00"), HoursError::UnknownDay(String::new()));
        assert_eq!(error("mon"), HoursError::Period("mon".into()));
        assert_eq!(error("08:00"), HoursError::Period("08:00".into()));
        assert_eq!(error("08:00-25:00"), HoursError::Time("25:00".into()));
        assert_eq!(error("08:00-24:01"), HoursError::Time("24:01".into()));
        assert_eq!(error("08:60-20:00"), HoursError::Time("08:60".into()));
        assert_eq!(error("08:0-20:00"), HoursError::Time("08:0".into()));
        assert_eq!(error("08:00-20:00 pm"), HoursError::Time("20:00 pm".into()));
        assert_eq!(error("08:00-é"), HoursError::Time("é".into()));
        assert_eq!(error("24:00-02:00"), HoursError::OpensAtEnd);
        assert_eq!(error("08:00-08:00"), HoursError::SameTime("08:00-08:00".into()));
        assert_eq!(error("mon 08:00-20:00; mon-wed 09:00-20:00"), HoursError::DayTwice("mon"));
        assert_eq!(error("08:00-12:00; 14:00-20:00"), HoursError::DefaultTwice);
        assert_eq!(error("1:00-2:00,3:00-4:00,5:00-6:00,7:00-8:00,9:00-10:00"), HoursError::TooManyPeriods);
        assert!(matches!(error("08:00-14:00,13:59-20:00"), HoursError::Overlap { .. }));
        assert!(matches!(error("mon 00:00-02:00,22:00-02:00"), HoursError::LongerThanADay { .. }));
        assert!(matches!(error("09:00-09:01,22:00-10:00"), HoursError::LongerThanADay { .. }));
        assert!(matches!(
            error("mon 20:00-06:00; tue 05:00-20:00"),
            HoursError::IntoNextDay { day: "mon", .. }
        ));
        assert!(matches!(
            error("sun 20:00-06:00; mon 05:59-20:00"),
            HoursError::IntoNextDay { day: "sun", .. }
        ));
        WeekHours::parse("mon 20:00-06:00; tue 06:00-20:00").unwrap();
        WeekHours::parse("00:00-24:00").unwrap();
        WeekHours::parse("10:00-09:00").unwrap();
    }

    /// Days whose periods never touch the next day's.
    pub(in crate::schedule) fn week() -> impl Strategy<Value = WeekHours> {
        let day = prop_oneof![
            1 => Just(Vec::new()),
            4 => proptest::collection::btree_set(0..1440_u16, 2..=2).prop_map(|times| times.into_iter().collect()),
            2 => proptest::collection::btree_set(0..1440_u16, 4..=4).prop_map(|times| times.into_iter().collect()),
            2 => (1000..1440_u16, 1441..1600_u16).prop_map(|(open, close)| vec![open, close]),
        ];
        proptest::collection::vec(day, 7).prop_filter_map("runs into the next day", |days: Vec<Vec<u16>>| {
            let days: Option<Vec<DayHours>> = days
                .iter()
                .map(|times| {
                    let periods: Option<Vec<Period>> =
                        times.chunks(2).map(|pair| Period::new(*pair.first()?, *pair.last()?)).collect();
                    DayHours::new(periods?).ok()
                })
                .collect();
            WeekHours::new(days?.try_into().ok()?).ok()
        })
    }

    proptest! {
        #[test]
        fn hours_survive_their_text_form(hours in week()) {
            prop_assert_eq!(WeekHours::parse(&hours.to_string()).unwrap(), hours.clone());
            let json = serde_json::to_string(&hours).unwrap();
            prop_assert_eq!(serde_json::from_str::<WeekHours>(&json).unwrap(), hours);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9:,;\\- ]{0,40}|\\PC{0,30}") {
            if let Ok(hours) = WeekHours::parse(&text) {
                prop_assert_eq!(WeekHours::parse(&hours.to_string()).unwrap(), hours);
            }
        }
    }
}
