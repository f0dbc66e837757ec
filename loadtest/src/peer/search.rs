//! The search for the highest rate that a system holds: doubling until it doesn't, then halving what
//! is between. It knows nothing of what is tried.

/// As near to each other as the highest rate that held and the lowest that did not have to come.
const NEAR: f64 = 1.1;

/// Rates that are tried at most.
const TRIES: u32 = 14;

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    next: f64,
    held: Option<f64>,
    broke: Option<f64>,
    most: f64,
    tries: u32,
}

impl Search {
    /// Begins at a rate; none above `most` is tried.
    #[must_use]
    pub fn from(start: f64, most: f64) -> Self {
        Self { next: start.min(most), held: None, broke: None, most, tries: 0 }
    }

    /// The rate to try next; nothing when the search is over.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        let near = self.held.zip(self.broke).is_some_and(|(held, broke)| broke <= held * NEAR);
        let top = self.held.is_some_and(|held| held >= self.most);
        (!near && !top && self.tries < TRIES).then_some(self.next)
    }

    /// What became of the rate last told by [`Search::next`].
    pub fn tell(&mut self, held: bool) {
        self.tries += 1;
        let side = if held { &mut self.held } else { &mut self.broke };
        *side = Some(self.next);
        self.next = match (self.held, self.broke) {
            (Some(held), Some(broke)) => (held * broke).sqrt(),
            (Some(held), None) => (held * 2.0).min(self.most),
            (None, _) => self.next / 2.0,
        };
    }

    /// The highest rate that held, if any did.
    #[must_use]
    pub fn highest(&self) -> Option<f64> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(limit: f64, start: f64, most: f64) -> (Option<f64>, u32) {
        let mut search = Search::from(start, most);
        while let Some(rate) = search.next() {
            search.tell(rate <= limit);
        }
        (search.highest(), search.tries)
    }

    #[test]
    fn the_limit_is_found_from_either_side() {
        for limit in [37.0, 999.0, 1_000.0, 4_711.0] {
            for start in [50.0, 1_000.0, 9_000.0] {
                let (found, tries) = find(limit, start, 1e6);
                let found = found.unwrap();
                assert!(found <= limit && limit < found * NEAR, "{start} → {found} of {limit}");
                assert!(tries <= 13, "{tries}");
            }
        }
    }

    #[test]
    fn a_search_ends() {
        assert_eq!(find(0.0, 1_000.0, 1e6), (None, TRIES));
        assert_eq!(find(1e9, 1_000.0, 5_000.0), (Some(5_000.0), 4));
        assert_eq!(find(1e9, 9_000.0, 5_000.0), (Some(5_000.0), 1));
    }
}
