//! What hot functions cost. A crate lists its [`Operation`]s once, in `benches/hot/operations.rs`;
//! its test holds their allocations to the bounds beside them ([`assert_within`]), its bench prints
//! allocations and times ([`bench()`]). Only tests and benches depend on this crate.
//!
//! Counts are exact and the same on every machine, times are not: so tests look at counts alone.
//! The allocator that counts is in every binary that names this crate, around the system's. It
//! does not count while something is timed, but servers have another allocator: compare times
//! with each other, not with a server's.

mod operation;
mod timing;

pub use operation::{Cost, Operation};
pub use timing::bench;

/// Holds operations to their bounds, and prints what they allocate.
///
/// # Panics
/// When one of them allocates more; all are counted before.
pub fn assert_within(operations: Vec<Operation>) {
    let mut operations = operations;
    let over: Vec<String> = table(&mut operations)
        .into_iter()
        .zip(&operations)
        .filter(|(cost, operation)| cost.allocations > operation.allocations_max() as f64)
        .map(|(cost, operation)| format!("{}: {cost}", operation.name()))
        .collect();
    assert!(
        over.is_empty(),
        "more allocations than before; if that has to be, raise the bound beside the operation: {}",
        over.join(", ")
    );
}

/// Counts operations and prints what came of it.
#[expect(clippy::print_stdout, reason = "benches print, and so do tests that are asked to")]
fn table(operations: &mut [Operation]) -> Vec<Cost> {
    println!("{:<40} {:>11} {:>9} {:>8}", "", "allocations", "bytes", "allowed");
    let count = |operation: &mut Operation| {
        let cost = operation.cost();
        let (name, most) = (operation.name(), operation.allocations_max());
        println!("{name:<40} {:>11.1} {:>9.0} {most:>8}", cost.allocations, cost.bytes);
        cost
    };
    operations.iter_mut().map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_counted_per_run() {
        let mut operation = Operation::new("a vector of ten", 1, || 10, Vec::<u32>::with_capacity);
        assert_eq!(operation.cost(), Cost { allocations: 1.0, bytes: 40.0 });
        let mut nothing = Operation::new("a sum", 0, || vec![1, 2], |v| v.iter().sum::<i32>());
        assert_eq!(nothing.cost().allocations, 0.0, "preparing is not counted");
    }

    #[test]
    #[should_panic(expected = "two boxes: 2.0 allocations")]
    fn a_bound_that_is_broken_is_told() {
        assert_within(vec![Operation::new("two boxes", 1, || (), |()| (Box::new(1), Box::new(2)))]);
    }
}
