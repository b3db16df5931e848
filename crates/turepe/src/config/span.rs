//! Lengths of time as people write them: `500ms`, `30s`, `15m`, `6h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time in whole milliseconds; prints with the largest unit that fits exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Span(u64);

const UNITS_MS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Span {
    /// That many milliseconds.
    pub(crate) const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// In milliseconds.
    pub(crate) const fn millis(self) -> u64 {
        self.0
    }

    /// In microseconds, as the rooms count time.
    pub(crate) const fn micros(self) -> i64 {
        // `from_str` keeps the value below 2^53, so that neither step overflows.
        (self.0 as i64) * 1000
    }

    /// As the standard library counts it.
    pub(crate) const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// Longest length of time that is accepted: ten years.
const LONGEST_MS: u64 = 10 * 366 * 86_400_000;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let problem =
            || format!("`{text}` is no length of time: a number and a unit, like 500ms, 30s, 15m, 6h or 7d");
        let unit_ms =
            UNITS_MS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, ms)| *ms).ok_or_else(problem)?;
        let number: u64 = number.parse().map_err(|_| problem())?;
        let ms = number.checked_mul(unit_ms).filter(|ms| *ms <= LONGEST_MS).ok_or_else(problem)?;
        Ok(Self(ms))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let unit = UNITS_MS.iter().find(|(_, ms)| self.0.is_multiple_of(*ms));
        let (name, ms) = unit.copied().unwrap_or(("ms", 1));
        write!(f, "{}{name}", self.0 / ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5000),
            ("90s", 90_000),
            ("15m", 900_000),
            ("6h", 21_600_000),
            ("7d", 604_800_000),
        ] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.millis(), ms, "{text}");
            assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "15", "m", "-5s", "1.5h", "5 parsecs", "99999999999999999999s", "9999999d"] {
            let reason = text.parse::<Span>().expect_err(text);
            assert!(reason.contains("15m"), "{reason}");
        }
    }
}
