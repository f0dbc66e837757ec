//! Nicks become user names: at most 64 bytes, no control characters, nothing that looks like one
//! of the load test's own users. Two different nicks never share a name: one that had to be
//! changed carries a piece of its hash.

/// Longest user name that the development token endpoint takes, bytes.
const NAME_BYTES_MAX: usize = 64;

/// Stands in the names of the load test's own users (`log:3`, `reader:3:1`); IRC nicks never have
/// it.
pub const RESERVED: char = ':';

/// The user name of a nick.
#[must_use]
pub fn user(nick: &str) -> String {
    let clean: String =
        nick.chars().filter(|&c| !c.is_control() && c != RESERVED && c != '~').collect();
    let clean = clean.trim();
    if clean == nick && clean.len() <= NAME_BYTES_MAX && !clean.is_empty() {
        return clean.to_owned();
    }
    let hash = blake3::hash(nick.as_bytes()).to_hex();
    let suffix = &hash.as_str()[..12];
    let mut end = clean.len().min(NAME_BYTES_MAX - suffix.len() - 1);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{suffix}", &clean[..end])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn plain_nicks_stay() {
        for nick in ["crimsun", "|QuaD-", "[ANF] CrazyPenguin", "நந்தா", "natea|nyc"] {
            assert_eq!(user(nick), nick);
        }
    }

    #[test]
    fn changed_ones_stay_apart_and_fit() {
        let long = "é".repeat(60);
        let nicks = ["a\u{0}b", "ab", "a\u{7f}b", " ab", "ab ", "ab~", "a:b", &long, "", "\u{1}"];
        let more = "é".repeat(61);
        let names: HashSet<String> = nicks.iter().copied().chain([&*more]).map(user).collect();
        assert_eq!(names.len(), nicks.len() + 1);
        for name in names {
            assert!(name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control), "{name}");
            assert!(!name.contains(RESERVED));
        }
    }
}
