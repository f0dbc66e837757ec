//! The distribution of a sum, from those of its two parts.

use super::child::{STEPS, Times};

/// One thing and then the other, as if how long the one takes said nothing about the other: every
/// quantile of the one with every quantile of the other. (The sum of two 99th percentiles would be
/// more than the 99th percentile of the sum.)
#[must_use]
pub fn independent(one: &Times, other: &Times) -> Times {
    let pairs = one.took_ns.iter().flat_map(|a| other.took_ns.iter().map(move |b| a + b));
    let mut sums: Vec<u64> = pairs.collect();
    sums.sort_unstable();
    let last = sums.len().saturating_sub(1);
    let took_ns = (0..=STEPS).filter_map(|step| sums.get(last * step / STEPS).copied()).collect();
    Times { count: one.count.min(other.count), seconds: one.seconds, took_ns }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(took: impl Fn(u64) -> u64) -> Times {
        let steps = u64::try_from(STEPS).unwrap();
        Times { count: 5, seconds: 1.0, took_ns: (0..=steps).map(took).collect() }
    }

    #[test]
    fn a_sum_is_less_extreme_than_its_parts() {
        // Both even between 0 and 1,000: the sum's density is a triangle between 0 and 2,000.
        let sum = independent(&times(|n| n), &times(|n| n));
        assert_eq!((sum.took_ns.len(), sum.took_ns[0], sum.took_ns[STEPS]), (1_001, 0, 2_000));
        assert!(sum.took_ns[500].abs_diff(1_000) <= 1);
        // 1 % of the triangle's area is above 2000 - 1000 * sqrt(0.02).
        assert!(sum.took_ns[990].abs_diff(1_858) <= 2, "{}", sum.took_ns[990]);
        let shifted = independent(&times(|_| 7), &times(|n| n));
        assert!(shifted.took_ns.iter().zip(0..).all(|(&ns, n): (_, u64)| ns.abs_diff(n + 7) <= 1));
    }
}
