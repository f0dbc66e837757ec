//! A length of time as settings write it: `30s`, `5m`, `7days`. Used by every component's `Config`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a setting of this type takes, for error messages and the documents.
pub const EXPECTED: &str = "a length of time such as \"250ms\", \"30s\", \"5m\" or \"7days\"";

const SECS_PER_DAY: u64 = 24 * 3_600;

/// A [`Duration`] that reads and prints as humantime text (`1h 30m`), never as a bare number, so
/// that nobody has to guess a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// Whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The length itself.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// In milliseconds, rounded down.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl From<HumanDuration> for Duration {
    fn from(from: HumanDuration) -> Self {
        from.0
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // humantime would count months of 30.44 days: 90days would print as a riddle.
        let days = self.0.as_secs() / SECS_PER_DAY;
        let rest = self.0.saturating_sub(Duration::from_secs(days * SECS_PER_DAY));
        match days {
            0 => return humantime::format_duration(rest).fmt(f),
            1 => f.write_str("1day")?,
            days => write!(f, "{days}days")?,
        }
        if rest.is_zero() { Ok(()) } else { write!(f, " {}", humantime::format_duration(rest)) }
    }
}

/// The text was not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct ParseDurationError;

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        humantime::parse_duration(text).map(Self).map_err(|_| ParseDurationError)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = HumanDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["50ms", "30s", "5m", "1day 2h", "7days", "90days", "1h 30m", "0s"] {
            let length: HumanDuration = text.parse().unwrap();
            assert_eq!(length.to_string(), text);
        }
        assert_eq!("30".parse::<HumanDuration>(), Err(ParseDurationError));
        assert_eq!(HumanDuration::from_secs(2).as_millis(), 2_000);
    }
}
