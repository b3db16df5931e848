//! What a query says, read strictly: each wrong part gets the problem that names it.

use crate::{
    limits::{MAX_REPLAY_US, MAX_YEAR, MIN_YEAR},
    problem::{Problem, ProblemCode},
};
use axum::{
    extract::{
        FromRequestParts, Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::request::Parts,
};
use jiff::civil;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The variable parts of a path.
#[derive(Debug)]
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for ApiPath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(value) =
            Path::from_request_parts(parts, state).await.map_err(|rejection: PathRejection| {
                Problem::new(
                    ProblemCode::BadRequest,
                    format!("the address cannot be read: {}", rejection.body_text()),
                )
            })?;
        Ok(Self(value))
    }
}

/// The fields of a query, each at most once. Fields that nobody asks for are ignored: links collect them.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(fields) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await.map_err(
            |rejection: QueryRejection| {
                Problem::new(
                    ProblemCode::BadRequest,
                    format!("the query cannot be read: {}", rejection.body_text()),
                )
            },
        )?;
        Ok(Self(fields))
    }
}

impl Fields {
    /// The value of a field, if it is given.
    fn get(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Problem::new(
                ProblemCode::BadRequest,
                format!("the field {name} is given more than once"),
            ));
        }
        Ok(first)
    }

    /// The field `date`.
    pub(crate) fn date(&self) -> Result<civil::Date, Problem> {
        let text = self.get("date")?.ok_or_else(|| {
            Problem::new(ProblemCode::InvalidDate, "the field date is missing; it looks like date=2026-11-21")
        })?;
        date(text)
    }

    /// The field `month`, as the first of its days.
    pub(crate) fn month(&self) -> Result<civil::Date, Problem> {
        let text = self.get("month")?.ok_or_else(|| {
            Problem::new(ProblemCode::InvalidDate, "the field month is missing; it looks like month=2026-11")
        })?;
        month(text)
    }

    /// The field `channel`.
    pub(crate) fn channel(&self) -> Result<Option<Uuid>, Problem> {
        let Some(text) = self.get("channel")? else { return Ok(None) };
        match Uuid::try_parse(text) {
            Ok(id) => Ok(Some(id)),
            Err(_) => {
                Err(Problem::new(ProblemCode::BadRequest, "the field channel is not the id of a channel"))
            }
        }
    }

    /// The field `from` of a download: where within the match it begins, UTC microseconds.
    pub(crate) fn begin_us(&self) -> Result<Option<i64>, Problem> {
        self.get("from")?.map(instant).transpose()
    }

    /// What a player of a live playlist asks for beside it (RFC 8216bis §6.2.5).
    pub(crate) fn reload(&self) -> Result<Reload, Problem> {
        let number = |name| self.get(name)?.map(|text| whole_number(name, text)).transpose();
        let (msn, part) = (number("_HLS_msn")?, number("_HLS_part")?);
        if part.is_some() && msn.is_none() {
            return Err(Problem::new(ProblemCode::BadRequest, "_HLS_part is nothing without _HLS_msn"));
        }
        let part = part.map(|part| usize::try_from(part).unwrap_or(usize::MAX));
        // `v2` asks for date ranges to be skipped as well: there are none.
        let skip = matches!(self.get("_HLS_skip")?, Some("YES" | "v2"));
        Ok(Reload { msn, part, skip })
    }

    /// How many seconds a live viewer wants to be able to go back.
    pub(crate) fn window_s(&self) -> Result<Option<u64>, Problem> {
        self.get("window")?.map(|text| whole_number("window", text)).transpose()
    }

    /// The field `token`: what a rewind playlist grants.
    pub(crate) fn token(&self) -> Result<&str, Problem> {
        self.get("token")?.ok_or_else(|| {
            Problem::new(
                ProblemCode::BadRequest,
                "the field token is missing; open the live address with window=",
            )
        })
    }

    /// The field `via`: `node` asks for bytes from this program even where the bucket has them.
    pub(crate) fn via(&self) -> Result<Via, Problem> {
        match self.get("via")? {
            None => Ok(Via::Anywhere),
            Some("node") => Ok(Via::Node),
            Some(_) => {
                Err(Problem::new(ProblemCode::BadRequest, "the field via is `node`, or it is not given"))
            }
        }
    }

    /// Which match is asked for: a slot, or a range.
    pub(crate) fn wanted(&self) -> Result<Wanted, Problem> {
        let (from, to) = (self.get("from")?, self.get("to")?);
        let by_slot = self.get("date")?.is_some() || self.get("time")?.is_some();
        match (from, to) {
            (None, None) => {
                let date = self.date()?;
                let time = self.get("time")?.ok_or_else(|| {
                    Problem::new(
                        ProblemCode::InvalidTime,
                        "the field time is missing; it looks like time=10:00",
                    )
                })?;
                let offset = self.get("offset")?.map(offset).transpose()?;
                Ok(Wanted::Slot { date, time: self::time(time)?, offset })
            }
            _ if by_slot => Err(Problem::new(
                ProblemCode::InvalidRange,
                "give date and time for a match, or from and to for a range; not both",
            )),
            (Some(from), Some(to)) => range(instant(from)?, instant(to)?),
            _ => Err(Problem::new(ProblemCode::InvalidRange, "a range needs both from and to")),
        }
    }
}

/// A reload of a live playlist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reload {
    /// Wait until this segment is there, or this part of it.
    pub(crate) msn: Option<u64>,
    pub(crate) part: Option<usize>,
    /// Leave out what is known.
    pub(crate) skip: bool,
}

/// Decimal digits, as many as a number of 64 bits has.
fn whole_number(name: &str, text: &str) -> Result<u64, Problem> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        Problem::new(ProblemCode::BadRequest, format!("the field {name} is not a whole number"))
    })
}

/// Which way bytes come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Via {
    /// From where they are: a bucket answers for itself.
    Anywhere,
    /// Through this program: for players that cannot reach the bucket.
    Node,
}

/// A match, or a range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// The match that begins then.
    Slot { date: civil::Date, time: civil::Time, offset: Option<String> },
    /// Everything between two instants.
    Range { from_us: i64, to_us: i64 },
}

/// Exactly `YYYY-MM-DD`, a day that exists, in a year in which clubs can have been.
pub(crate) fn date(text: &str) -> Result<civil::Date, Problem> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return Err(Problem::new(ProblemCode::InvalidDate, "a date looks like 2026-11-21"));
    };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2)) else {
        return Err(Problem::new(ProblemCode::InvalidDate, "a date looks like 2026-11-21"));
    };
    civil_date(year, month, day)
}

/// Exactly `YYYY-MM`.
pub(crate) fn month(text: &str) -> Result<civil::Date, Problem> {
    let parts = text.split_once('-').map(|(year, month)| (digits(year, 4), digits(month, 2)));
    let Some((Some(year), Some(month))) = parts else {
        return Err(Problem::new(ProblemCode::InvalidDate, "a month looks like 2026-11"));
    };
    civil_date(year, month, 1)
}

fn civil_date(year: i16, month: i16, day: i16) -> Result<civil::Date, Problem> {
    if !(MIN_YEAR..=MAX_YEAR).contains(&year) {
        let detail = format!("the year must be between {MIN_YEAR} and {MAX_YEAR}");
        return Err(Problem::new(ProblemCode::InvalidDate, detail));
    }
    let small = |number: i16| i8::try_from(number).unwrap_or(i8::MAX);
    civil::Date::new(year, small(month), small(day))
        .map_err(|_| Problem::new(ProblemCode::InvalidDate, "there is no such day in the calendar"))
}

/// Exactly `HH:MM`, 00:00 to 23:59.
pub(crate) fn time(text: &str) -> Result<civil::Time, Problem> {
    let wrong = || Problem::new(ProblemCode::InvalidTime, "a time looks like 10:00, from 00:00 to 23:59");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (Some(hour), Some(minute)) = (digits(hour, 2), digits(minute, 2)) else { return Err(wrong()) };
    let small = |number: i16| i8::try_from(number).unwrap_or(i8::MAX);
    civil::Time::new(small(hour), small(minute), 0, 0).map_err(|_| wrong())
}

/// Exactly `+HH:MM` or `-HH:MM`. A plus sign that was not encoded arrives as a space.
pub(crate) fn offset(text: &str) -> Result<String, Problem> {
    let wrong = || Problem::new(ProblemCode::InvalidTime, "an offset looks like +01:00 or -03:00");
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'+' | b' ') => ('+', &text[1..]),
        Some(b'-') => ('-', &text[1..]),
        _ => return Err(wrong()),
    };
    time(rest).map_err(|_| wrong())?;
    Ok(format!("{sign}{rest}"))
}

/// An instant with its offset (RFC 3339 §5.6), in microseconds.
pub(crate) fn instant(text: &str) -> Result<i64, Problem> {
    let wrong = || {
        Problem::new(
            ProblemCode::InvalidRange,
            "an instant looks like 2026-11-21T10:00:00+01:00 or 2026-11-21T09:00:00Z",
        )
    };
    // A plus sign that was not encoded arrives as a space.
    let text = match text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) {
        Some((head, tail)) if tail.starts_with(' ') => format!("{head}+{}", &tail[1..]),
        _ => text.to_owned(),
    };
    let allowed = |byte: u8| {
        byte.is_ascii_digit() || matches!(byte, b'T' | b't' | b'Z' | b'z' | b':' | b'-' | b'+' | b'.')
    };
    if text.len() < "2026-11-21T09:00:00Z".len() || !text.bytes().all(allowed) {
        return Err(wrong());
    }
    // The calendar's own check first, so that an absurd year is told as such.
    date(text.get(..10).ok_or_else(wrong)?).map_err(|problem| {
        Problem::new(ProblemCode::InvalidRange, format!("an instant is wrong: {}", problem.detail()))
    })?;
    let instant: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(instant.as_microsecond())
}

fn range(from_us: i64, to_us: i64) -> Result<Wanted, Problem> {
    if from_us >= to_us {
        return Err(Problem::new(ProblemCode::InvalidRange, "from must be before to"));
    }
    if to_us - from_us > MAX_REPLAY_US {
        let detail = format!("a range may be {} hours long at most", MAX_REPLAY_US / 3_600_000_000);
        return Err(Problem::new(ProblemCode::RangeTooLong, detail));
    }
    Ok(Wanted::Range { from_us, to_us })
}

/// A number of exactly so many ASCII digits.
fn digits(text: &str, count: usize) -> Option<i16> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{Fields, Wanted, date, instant, month, offset, time};
    use crate::problem::ProblemCode;
    use jiff::civil;

    #[test]
    fn dates() {
        assert_eq!(date("2026-11-21").unwrap(), civil::date(2026, 11, 21));
        assert_eq!(date("2028-02-29").unwrap(), civil::date(2028, 2, 29));
        for text in [
            "",
            "2026-11",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "2026-11-31",
            "2026-11-00",
            "20261121",
            "2026-1-1",
            "1999-12-31",
            "2101-01-01",
            "9999-99-99",
            "99999-01-01",
            "-2026-01-01",
            "2026-11-21T10:00",
            "hoy",
            "２０２６-11-21",
            "2026-11-2１",
            "2026--1-01",
            "+026-11-21",
        ] {
            assert_eq!(date(text).unwrap_err().code(), ProblemCode::InvalidDate, "{text}");
        }
    }

    #[test]
    fn months() {
        assert_eq!(month("2026-02").unwrap(), civil::date(2026, 2, 1));
        for text in ["", "2026", "2026-13", "2026-00", "2026-1", "1999-01", "2026-02-01", "26-02", "2026/02"]
        {
            assert_eq!(month(text).unwrap_err().code(), ProblemCode::InvalidDate, "{text}");
        }
    }

    #[test]
    fn times_and_offsets() {
        assert_eq!(time("00:00").unwrap(), civil::time(0, 0, 0, 0));
        assert_eq!(time("23:59").unwrap(), civil::time(23, 59, 0, 0));
        for text in ["", "24:00", "10:60", "1:00", "10:0", "10", "10:00:00", "aa:bb", "-1:00", "10.00"] {
            assert_eq!(time(text).unwrap_err().code(), ProblemCode::InvalidTime, "{text}");
        }
        assert_eq!(offset("+01:00").unwrap(), "+01:00");
        assert_eq!(offset(" 01:00").unwrap(), "+01:00");
        assert_eq!(offset("-03:30").unwrap(), "-03:30");
        for text in ["", "01:00", "+1", "+0100", "Z", "+25:00", "é1:00"] {
            assert_eq!(offset(text).unwrap_err().code(), ProblemCode::InvalidTime, "{text}");
        }
    }

    #[test]
    fn instants() {
        let nine = 1_795_251_600_000_000;
        for text in [
            "2026-11-21T09:00:00Z",
            "2026-11-21T10:00:00+01:00",
            "2026-11-21T10:00:00 01:00",
            "2026-11-21T06:00:00-03:00",
            "2026-11-21T09:00:00.000Z",
        ] {
            assert_eq!(instant(text).unwrap(), nine, "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T09:00:00",
            "2026-11-21T09:00",
            "2026-11-21 09:00:00Z",
            "1795251600",
            "2026-11-21T25:00:00Z",
            "2026-02-30T09:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-11-21T10:00:00+01:00[Europe/Madrid]",
            "now",
            "2026-11-21T09:00:00Zé",
            "ééééééééééééééé 01:00",
        ] {
            assert_eq!(instant(text).unwrap_err().code(), ProblemCode::InvalidRange, "{text}");
        }
    }

    fn wanted(fields: &[(&str, &str)]) -> Result<Wanted, ProblemCode> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Fields(fields).wanted().map_err(|problem| problem.code())
    }

    #[test]
    fn a_slot_or_a_range_and_never_half_of_each() {
        let (from, to) = (("from", "2026-11-21T09:00:00Z"), ("to", "2026-11-21T10:00:00Z"));
        let (date, time) = (("date", "2026-11-21"), ("time", "10:00"));
        assert!(matches!(wanted(&[date, time]), Ok(Wanted::Slot { offset: None, .. })));
        assert!(matches!(wanted(&[from, to]), Ok(Wanted::Range { .. })));
        assert!(matches!(
            wanted(&[from, to, ("utm_source", "x"), ("utm_source", "y")]),
            Ok(Wanted::Range { .. })
        ));
        assert_eq!(wanted(&[]), Err(ProblemCode::InvalidDate));
        assert_eq!(wanted(&[time]), Err(ProblemCode::InvalidDate));
        assert_eq!(wanted(&[date]), Err(ProblemCode::InvalidTime));
        assert_eq!(wanted(&[from]), Err(ProblemCode::InvalidRange));
        assert_eq!(wanted(&[to]), Err(ProblemCode::InvalidRange));
        assert_eq!(wanted(&[from, to, date]), Err(ProblemCode::InvalidRange));
        assert_eq!(wanted(&[date, time, date]), Err(ProblemCode::BadRequest));
        assert_eq!(wanted(&[("from", to.1), ("to", from.1)]), Err(ProblemCode::InvalidRange));
        assert_eq!(wanted(&[("from", from.1), ("to", from.1)]), Err(ProblemCode::InvalidRange));
        assert_eq!(wanted(&[from, ("to", "2026-11-22T09:00:00.001Z")]), Err(ProblemCode::RangeTooLong));
        assert!(wanted(&[from, ("to", "2026-11-22T09:00:00Z")]).is_ok());
    }
}
