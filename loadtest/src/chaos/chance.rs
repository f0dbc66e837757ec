//! Chance that comes from a seed alone: the same seed gives the same run (`SplitMix64`, Steele and
//! others 2014). Who needs chance gets a stream of its own, so that one more question asked in one
//! place changes nothing in another.

/// See the module.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream of this name.
    #[must_use]
    pub fn new(seed: u64, stream: &str) -> Self {
        let hash = blake3::hash(stream.as_bytes());
        let mut name = [0; 8];
        name.copy_from_slice(&hash.as_bytes()[..8]);
        Self(seed ^ u64::from_le_bytes(name))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below that; 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias of a remainder is far below what anybody could see here.
        if end == 0 { 0 } else { self.any() % end }
    }

    /// A number from the first to the last, both included.
    pub fn within(&mut self, [first, last]: [u64; 2]) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// One of these, where there are some.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).ok()?)
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            let other = usize::try_from(self.below(end as u64 + 1)).unwrap_or(end);
            list.swap(end, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream_for_each_name() {
        let mut a = Chance::new(7, "faults");
        let mut b = Chance::new(7, "faults");
        let mut other = Chance::new(7, "talk");
        let first: Vec<u64> = (0..50).map(|_| a.any()).collect();
        assert_eq!(first, (0..50).map(|_| b.any()).collect::<Vec<_>>());
        assert!(first.iter().all(|number| *number != other.any()));
    }

    #[test]
    fn numbers_stay_in_their_bounds_and_reach_them() {
        let mut chance = Chance::new(1, "bounds");
        let seen: std::collections::BTreeSet<u64> =
            (0..200).map(|_| chance.within([3, 6])).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!((chance.below(0), chance.one::<u8>(&[])), (0, None));
        let mut list: Vec<u32> = (0..20).collect();
        chance.shuffle(&mut list);
        assert_ne!(list, (0..20).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..20).collect::<Vec<_>>());
    }
}
