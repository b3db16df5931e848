//! Numbers of bytes as people write them: `16MiB`, `2GB`, `500kB`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes; prints with the largest unit that fits exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Size(u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

impl Size {
    /// In bytes.
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let problem =
            || format!("`{text}` is no number of bytes: a number and a unit, like 16MiB, 500MB or 2GB");
        let number: u64 = number.parse().map_err(|_| problem())?;
        if number == 0 && unit.is_empty() {
            return Ok(Self(0));
        }
        let unit =
            UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())).ok_or_else(problem)?;
        // A database keeps sizes as signed numbers.
        let bytes = number.checked_mul(unit.1).filter(|bytes| i64::try_from(*bytes).is_ok());
        bytes.map(Self).ok_or_else(problem)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        let unit = UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let (name, bytes) = unit.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for (text, bytes, printed) in [
            ("16MiB", 16 << 20, "16MiB"),
            ("2GB", 2_000_000_000, "2GB"),
            ("2 gb", 2_000_000_000, "2GB"),
            ("500kB", 500_000, "500kB"),
            ("1024B", 1024, "1KiB"),
            ("0", 0, "0B"),
            ("7b", 7, "7B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, printed), "{text}");
            assert_eq!(size.to_string().parse::<Size>(), Ok(size));
        }
    }

    #[test]
    fn what_is_no_number_of_bytes_is_refused() {
        for wrong in ["", "16", "MB", "-1MB", "1.5GB", "16 meters", "99999999TiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
