//! What may be stored: slugs, names, zones, addresses.

use jiff::tz::TimeZone;

use crate::error::InvalidInput;
use crate::schedule::{MAX_APPOINTMENT_DURATION_MIN, MIN_APPOINTMENT_DURATION_MIN};

/// Longest slug.
pub const MAX_SLUG_BYTES: usize = 64;

/// Longest name of a club, court or channel, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// Longest retention, in days: a hundred years.
pub const MAX_RETENTION_DAYS: u32 = 36_525;

/// Slugs that no club may have, because `/{club}` would hide an address of the program (DESIGN §7), now or to come.
pub const RESERVED_CLUB_SLUGS: [&str; 20] = [
    "admin", "api", "app", "assets", "clip", "clips", "docs", "frame", "healthz", "init", "live", "login",
    "media", "metrics", "openapi", "readyz", "replay", "srs", "static", "thumbs",
];

/// `[a-z0-9-]{1,64}` that neither begins nor ends with a hyphen.
pub(crate) fn slug(slug: &str) -> Result<(), InvalidInput> {
    let is_sound = (1..=MAX_SLUG_BYTES).contains(&slug.len())
        && slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !slug.starts_with('-')
        && !slug.ends_with('-');
    if is_sound { Ok(()) } else { Err(InvalidInput::Slug(shortened(slug))) }
}

pub(crate) fn club_slug(text: &str) -> Result<(), InvalidInput> {
    slug(text)?;
    if RESERVED_CLUB_SLUGS.contains(&text) {
        Err(InvalidInput::ReservedSlug(text.to_owned()))
    } else {
        Ok(())
    }
}

/// The name without spaces around it.
pub(crate) fn name(name: &str) -> Result<String, InvalidInput> {
    let name = name.trim();
    let is_sound = !name.is_empty()
        && name.chars().count() <= MAX_NAME_CHARS
        && !name.chars().any(|letter| letter.is_control() || is_direction(letter));
    if is_sound { Ok(name.to_owned()) } else { Err(InvalidInput::Name) }
}

/// Marks that turn the direction of what follows (Unicode Standard Annex #9, §2), or end a line: with one of them a name would change
/// how the text around it reads. Names in scripts that run from right to left need none.
#[must_use]
pub fn is_direction(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The zone's name as the IANA database spells it.
pub(crate) fn zone(zone: &str) -> Result<String, InvalidInput> {
    TimeZone::get(zone)
        .ok()
        .and_then(|found| found.iana_name().map(str::to_owned))
        .ok_or_else(|| InvalidInput::Zone(shortened(zone)))
}

pub(crate) fn appointment_duration(minutes: u32) -> Result<(), InvalidInput> {
    if (MIN_APPOINTMENT_DURATION_MIN..=MAX_APPOINTMENT_DURATION_MIN).contains(&minutes) {
        Ok(())
    } else {
        Err(InvalidInput::AppointmentDuration(minutes))
    }
}

/// Days as the database holds them.
pub(crate) fn retention_days(days: u32) -> Result<i32, InvalidInput> {
    let is_sound = (1..=MAX_RETENTION_DAYS).contains(&days);
    i32::try_from(days).ok().filter(|_| is_sound).ok_or(InvalidInput::RetentionDays(days))
}

/// A machine-made text of `1..=max_bytes`.
pub(crate) fn text(what: &'static str, text: &str, max_bytes: usize) -> Result<(), InvalidInput> {
    if (1..=max_bytes).contains(&text.len()) { Ok(()) } else { Err(InvalidInput::Text(what)) }
}

/// A number as the database holds it.
pub(crate) fn number(what: &'static str, value: u64) -> Result<i64, InvalidInput> {
    i64::try_from(value).map_err(|_| InvalidInput::TooLarge { what, value })
}

/// Enough of a foreign text to recognise it in an error.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_SLUG_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_no_marks_that_turn_the_text_around_them() {
        for good in ["Pista 1", "ملعب", "מגרש 3", "Pádel 🎾"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for mark in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{2028}', '\u{7}'] {
            assert_eq!(name(&format!("Pista{mark}1")), Err(InvalidInput::Name), "{mark:?}");
        }
    }

    #[test]
    fn slugs() {
        for good in ["a", "7", "padel-norte", "c-1", "a--b", &"x".repeat(64)] {
            assert_eq!(slug(good), Ok(()), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "A", "ñ", "a b", "a/b", "a_b", "a.b", &"x".repeat(65)] {
            assert!(matches!(slug(bad), Err(InvalidInput::Slug(_))), "{bad}");
        }
        assert_eq!(club_slug("api"), Err(InvalidInput::ReservedSlug("api".into())));
        assert!(RESERVED_CLUB_SLUGS.is_sorted());
    }

    #[test]
    fn names() {
        assert_eq!(name("  Pádel Norte "), Ok("Pádel Norte".into()));
        assert_eq!(name(&"ñ".repeat(200)).map(|name| name.len()), Ok(400));
        for bad in ["", "   ", "two\nlines", "tab\tbed", &"ñ".repeat(201)] {
            assert_eq!(name(bad), Err(InvalidInput::Name), "{bad:?}");
        }
    }

    #[test]
    fn zones_are_spelt_as_iana_spells_them() {
        assert_eq!(zone("Europe/Madrid"), Ok("Europe/Madrid".into()));
        assert_eq!(zone("america/santiago"), Ok("America/Santiago".into()));
        for bad in ["", "Madrid", "Europe/Nowhere", "+02:00", "../../etc/passwd", "CET-1"] {
            assert!(matches!(zone(bad), Err(InvalidInput::Zone(_))), "{bad}");
        }
    }
}
