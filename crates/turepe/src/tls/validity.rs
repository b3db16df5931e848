//! From when to when a certificate counts: the one part of X.509 that TLS libraries for servers do not tell.
//!
//! `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version OPTIONAL, serialNumber, signature, issuer, validity, … } … }`
//! (RFC 5280 §4.1).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;

/// See the module; UTC microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Validity {
    /// The first instant.
    pub(crate) not_before_us: i64,
    /// The last one.
    pub(crate) not_after_us: i64,
}

impl Validity {
    /// Of a certificate in DER; `None` where it is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (mut certificate, _) = value(certificate, SEQUENCE)?;
        let mut fields = take(&mut certificate, SEQUENCE)?;
        // Version 1 has none.
        if fields.first() == Some(&VERSION) {
            take(&mut fields, VERSION)?;
        }
        take(&mut fields, INTEGER)?;
        take(&mut fields, SEQUENCE)?;
        take(&mut fields, SEQUENCE)?;
        let mut validity = take(&mut fields, SEQUENCE)?;
        Some(Self { not_before_us: time(&mut validity)?, not_after_us: time(&mut validity)? })
    }
}

/// The next value, which must have this tag; `from` goes behind it.
fn take<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (value, rest) = value(from, tag)?;
    *from = rest;
    Some(value)
}

/// A value and what follows it (X.690 §8.1.3, definite lengths of at most four bytes).
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = match first {
        0..=0x7F => (usize::from(first), bytes),
        0x81..=0x84 => {
            let (length, bytes) = bytes.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), bytes)
        }
        _ => return None,
    };
    (found == tag).then(|| bytes.split_at_checked(length)).flatten()
}

/// `YYMMDDHHMMSSZ`, or with four digits of the year (RFC 5280 §4.1.2.5).
fn time(from: &mut &[u8]) -> Option<i64> {
    let (text, century) = match from.first()? {
        &UTC_TIME => (take(from, UTC_TIME)?, None),
        _ => (take(from, GENERALIZED_TIME)?, Some(())),
    };
    let digits = text.strip_suffix(b"Z").filter(|text| text.iter().all(u8::is_ascii_digit))?;
    let digits = std::str::from_utf8(digits).ok()?;
    let year_digits = if century.is_some() { 4 } else { 2 };
    let (year, rest) = digits.split_at_checked(year_digits).filter(|(_, rest)| rest.len() == 10)?;
    let year: i16 = year.parse().ok()?;
    let year = match century {
        Some(()) => year,
        None if year < 50 => 2000 + year,
        None => 1900 + year,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let at = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use testing::certificates::Authority;

    use super::*;

    #[test]
    fn damaged_certificates_are_none_and_do_no_harm() {
        let whole = Authority::new().issue().der().to_vec();
        assert!(Validity::of(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..length]), None);
        }
        for at in 0..whole.len().min(200) {
            for byte in [0, 0x30, 0x7F, 0x80, 0x84, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                // Whatever it says, it ends.
                let _ = Validity::of(&damaged);
            }
        }
    }
}
