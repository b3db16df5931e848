//! Numbers and instants as playlist text, appended without going through `core::fmt`: a playlist of a match has
//! thousands of them and is built for every viewer.

/// Appends a decimal number.
pub(super) fn push_number(out: &mut String, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// Appends a decimal number with leading zeros.
fn push_padded(out: &mut String, number: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(char::from(b'0' + (number / 10u64.pow(place) % 10) as u8));
    }
}

/// Appends microseconds as decimal seconds with six places.
pub(super) fn push_seconds(out: &mut String, us: i64) {
    if us < 0 {
        out.push('-');
    }
    let us = us.unsigned_abs();
    push_number(out, us / 1_000_000);
    out.push('.');
    push_padded(out, us % 1_000_000, 6);
}

/// Appends a UTC instant as RFC 3339 with milliseconds, rounded down: `2026-11-20T22:00:00.123Z`.
///
/// Years before 0 and after 9999 do not occur: instants are those of recordings.
pub(super) fn push_instant(out: &mut String, us: i64) {
    let ms = us.div_euclid(1000);
    let days = ms.div_euclid(86_400_000);
    let in_day = ms.rem_euclid(86_400_000) as u64;
    let (year, month, day) = civil_from_days(days);
    push_padded(out, year.clamp(0, 9999) as u64, 4);
    out.push('-');
    push_padded(out, month, 2);
    out.push('-');
    push_padded(out, day, 2);
    out.push('T');
    push_padded(out, in_day / 3_600_000, 2);
    out.push(':');
    push_padded(out, in_day / 60_000 % 60, 2);
    out.push(':');
    push_padded(out, in_day / 1000 % 60, 2);
    out.push('.');
    push_padded(out, in_day % 1000, 3);
    out.push('Z');
}

/// Proleptic Gregorian date of a day counted from 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, in eras of 400 years (146 097 days).
fn civil_from_days(days: i64) -> (i64, u64, u64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, day as u64)
}

#[cfg(test)]
mod tests {
    use super::{push_instant, push_number, push_seconds};

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn instants_are_rfc_3339() {
        for (us, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_000_000, "2024-02-29T00:00:00.000Z"),
            (1_763_675_999_000_000, "2025-11-20T21:59:59.000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(written(|out| push_instant(out, us)), expected);
        }
    }

    #[test]
    fn numbers_and_seconds_are_decimal() {
        assert_eq!(written(|out| push_number(out, 0)), "0");
        assert_eq!(written(|out| push_number(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|out| push_seconds(out, 4_004_000)), "4.004000");
        assert_eq!(written(|out| push_seconds(out, -20)), "-0.000020");
    }
}
