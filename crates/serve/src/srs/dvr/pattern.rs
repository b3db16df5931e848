//! How SRS names the files of its recorder (`dvr_path`), read backwards: which stream it is, and when it began.
//!
//! SRS takes the time when it opens the file: local time unless `utc_time on`, or `[timestamp]`, Unix milliseconds
//! (`srs_app_dvr.cpp`, `srs_path_build_timestamp`).

use crate::srs::hidden::Hidden;
use jiff::{civil::DateTime, tz::TimeZone};
use std::{fmt, str::FromStr};

/// Most parts of a pattern.
const MAX_PARTS: usize = 32;

/// Longest name that is compared with a pattern, in bytes.
const MAX_NAME_BYTES: usize = 512;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Variable {
    App,
    Stream,
    Vhost,
    Timestamp,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

const VARIABLES: [(&str, Variable); 11] = [
    ("[app]", Variable::App),
    ("[stream]", Variable::Stream),
    ("[vhost]", Variable::Vhost),
    ("[timestamp]", Variable::Timestamp),
    ("[2006]", Variable::Year),
    ("[01]", Variable::Month),
    ("[02]", Variable::Day),
    ("[15]", Variable::Hour),
    ("[04]", Variable::Minute),
    ("[05]", Variable::Second),
    ("[999]", Variable::Millisecond),
];

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// The end of a `dvr_path`, below the folder of recordings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DvrPattern {
    text: String,
    parts: Vec<Part>,
}

/// What a name tells.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// The stream.
    pub(crate) stream: Option<Hidden>,
    /// UTC microseconds of when the file was opened.
    pub(crate) start_us: Option<i64>,
}

impl FromStr for DvrPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some((word, variable)) = VARIABLES.iter().find(|(word, _)| rest.starts_with(word)) {
                parts.push(Part::Variable(*variable));
                rest = rest.get(word.len()..).unwrap_or_default();
            } else {
                let end =
                    rest.char_indices().skip(1).find(|(_, c)| *c == '[').map_or(rest.len(), |(at, _)| at);
                let (literal, after) = rest.split_at(end);
                if literal.starts_with('[') {
                    let known: Vec<_> = VARIABLES.iter().map(|(word, _)| *word).collect();
                    return Err(format!("has a variable that is none of {}", known.join(" ")));
                }
                parts.push(Part::Literal(literal.to_owned()));
                rest = after;
            }
        }
        let is_file = text.ends_with(".flv") || text.ends_with(".mp4");
        let is_below = !text.starts_with('/') && !text.split('/').any(|part| matches!(part, "" | "." | ".."));
        if !is_file || !is_below || parts.len() > MAX_PARTS {
            return Err("is no path below srs.dvr_folder to an .flv or .mp4 file, like [app]/[stream]/[timestamp].flv".to_owned());
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl fmt::Display for DvrPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Clone, Default)]
struct Found<'a> {
    stream: Option<&'a str>,
    numbers: [Option<i64>; VARIABLES.len()],
}

impl DvrPattern {
    /// What a name below the folder tells; nothing where it does not fit.
    pub(crate) fn read(&self, name: &str, zone: &TimeZone) -> Named {
        let mut found = Found::default();
        if name.len() > MAX_NAME_BYTES || !fit(&self.parts, name, &mut found) {
            return Named::default();
        }
        let stream = found.stream.map(Hidden::new);
        Named { stream, start_us: instant(&found, zone) }
    }
}

/// Whether a text fits the parts. A name ends where what follows it fits: the longest is tried first.
fn fit<'a>(parts: &[Part], text: &'a str, found: &mut Found<'a>) -> bool {
    let Some((part, rest)) = parts.split_first() else { return text.is_empty() };
    let variable = match part {
        Part::Literal(literal) => {
            return text.strip_prefix(literal.as_str()).is_some_and(|text| fit(rest, text, found));
        }
        Part::Variable(variable) => *variable,
    };
    match variable {
        Variable::App | Variable::Stream | Variable::Vhost => {
            let longest = text.find('/').unwrap_or(text.len());
            let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= longest);
            let ends: Vec<usize> = ends.collect();
            ends.into_iter().rev().any(|end| {
                let (name, after) = text.split_at(end);
                if variable == Variable::Stream && found.stream.is_some_and(|stream| stream != name) {
                    return false;
                }
                let before = found.stream;
                if variable == Variable::Stream {
                    found.stream = Some(name);
                }
                let fits = fit(rest, after, found);
                if !fits {
                    found.stream = before;
                }
                fits
            })
        }
        _ => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let width = match variable {
                Variable::Year => 4,
                Variable::Timestamp => digits,
                Variable::Millisecond => 3,
                _ => 2,
            };
            if width == 0 || digits < width {
                return false;
            }
            let (number, after) = text.split_at(width);
            let Ok(number) = number.parse::<i64>() else { return false };
            found.numbers[variable as usize] = Some(number);
            fit(rest, after, found)
        }
    }
}

fn instant(found: &Found<'_>, zone: &TimeZone) -> Option<i64> {
    let number = |variable: Variable| found.numbers[variable as usize];
    if let Some(timestamp_ms) = number(Variable::Timestamp) {
        return timestamp_ms.checked_mul(1000);
    }
    let part = |variable: Variable| number(variable).and_then(|number| i8::try_from(number).ok());
    let year = i16::try_from(number(Variable::Year)?).ok()?;
    let (month, day, hour) = (part(Variable::Month)?, part(Variable::Day)?, part(Variable::Hour)?);
    let (minute, second) = (part(Variable::Minute)?, part(Variable::Second)?);
    let nanoseconds = i32::try_from(number(Variable::Millisecond).unwrap_or(0)).ok()? * 1_000_000;
    let local = DateTime::new(year, month, day, hour, minute, second, nanoseconds).ok()?;
    // When the clocks go back it may mean either of two hours: then it tells nothing.
    Some(zone.to_ambiguous_timestamp(local).unambiguous().ok()?.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::DvrPattern;
    use jiff::tz::TimeZone;

    fn read(pattern: &str, name: &str, zone: &str) -> (Option<String>, Option<i64>) {
        let pattern: DvrPattern = pattern.parse().unwrap();
        let named = pattern.read(name, &TimeZone::get(zone).unwrap());
        (named.stream.map(|stream| stream.expose().to_owned()), named.start_us)
    }

    #[test]
    fn names_tell_stream_and_time() {
        const NOON_US: i64 = 1_795_262_400_000_000;
        let court = |start_us| (Some("court-1".to_owned()), start_us);
        for (pattern, name, zone, told) in [
            (
                "[app]/[stream]/[timestamp].flv",
                "live/court-1/1795262400123.flv",
                "UTC",
                court(Some(NOON_US + 123_000)),
            ),
            ("[app]/[stream].[timestamp].mp4", "live/court-1.1795262400000.mp4", "UTC", court(Some(NOON_US))),
            (
                "[stream]-[2006][01][02]-[15][04][05].flv",
                "court-1-20261121-120000.flv",
                "UTC",
                court(Some(NOON_US)),
            ),
            (
                "[stream]/[2006]/[01]/[02]/[15].[04].[05].[999].flv",
                "court-1/2026/11/21/13.00.00.500.flv",
                "Europe/Madrid",
                court(Some(NOON_US + 500_000)),
            ),
            // The clocks went back: 02:30 was twice.
            (
                "[stream]/[2006][01][02][15][04][05].flv",
                "court-1/20261025023000.flv",
                "Europe/Madrid",
                court(None),
            ),
            ("[app]/[stream]/[timestamp].flv", "live/court-1/x.flv", "UTC", (None, None)),
            ("[app]/[stream]/[timestamp].flv", "live/court-1/1.flv.tmp", "UTC", (None, None)),
            ("[app]/[stream]/[timestamp].flv", "a/b/c/1.flv", "UTC", (None, None)),
            ("[stream]/[stream].flv", "a/b.flv", "UTC", (None, None)),
            ("[stream]/[2006][01][02][15][04][05].flv", "court-1/20261399993000.flv", "UTC", court(None)),
        ] {
            assert_eq!(read(pattern, name, zone), told, "{name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "/data/[stream].flv", "[stream].ts", "../[stream].flv", "[court].flv", "a//b.flv"]
        {
            assert!(pattern.parse::<DvrPattern>().is_err(), "{pattern}");
        }
    }
}
