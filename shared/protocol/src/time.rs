//! Timestamps as clients see them: RFC 3339, UTC, always three digits of a second.

use harkara_domain::Millis;
use jiff::Timestamp;

/// `2026-11-22T09:00:00.123Z`. Times beyond year 9999 read as its end.
#[must_use]
pub fn format(at: Millis) -> String {
    let millis = i64::try_from(at).unwrap_or(i64::MAX);
    let stamp = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    format!("{stamp:.3}")
}

/// Reads an RFC 3339 timestamp from 1970 on.
#[must_use]
pub fn parse(text: &str) -> Option<Millis> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn three_digits_always() {
        assert_eq!(super::format(1_795_338_000_123), "2026-11-22T09:00:00.123Z");
        assert_eq!(super::format(1_795_338_000_000), "2026-11-22T09:00:00.000Z");
        assert_eq!(super::parse("2026-11-22T09:00:00.123Z"), Some(1_795_338_000_123));
        assert_eq!(super::parse("yesterday"), None);
    }
}
