//! Instants as the API writes them.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// An instant: RFC 3339 in UTC with milliseconds, for example `2026-11-21T09:00:00.000Z`.
///
/// Holds UTC microseconds. Finer than a millisecond is cut off, not rounded, so that no answer lies in the future of
/// what it describes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-21T09:00:00.000Z")]
pub struct Instant(pub i64);

impl Instant {
    /// The text form; an instant outside of the representable years is written as the nearest one inside.
    #[must_use]
    pub fn to_text(self) -> String {
        let nearest = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let instant = jiff::Timestamp::from_microsecond(self.0).unwrap_or(nearest);
        // Flooring by hand: the printer's precision would cut towards zero before 1970.
        let millis =
            jiff::Timestamp::from_millisecond(instant.as_microsecond().div_euclid(1_000)).unwrap_or(instant);
        format!("{millis:.3}")
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::Instant;

    #[test]
    fn milliseconds_are_always_written() {
        assert_eq!(Instant(0).to_text(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Instant(1_795_251_600_000_000).to_text(), "2026-11-21T09:00:00.000Z");
        assert_eq!(Instant(1_795_251_600_123_999).to_text(), "2026-11-21T09:00:00.123Z");
        assert_eq!(Instant(-1).to_text(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn an_absurd_instant_is_still_an_instant() {
        assert!(Instant(i64::MAX).to_text().starts_with("9999-12-"));
        assert!(Instant(i64::MIN).to_text().starts_with("-009999"));
    }
}
