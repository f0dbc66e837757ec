//! Allocations and times of what is hot here: `cargo bench -p harkara-gateway --bench hot`. The list
//! is in `operations.rs`, `tests/allocations.rs` holds it to its bounds.

mod operations;

fn main() {
    harkara_test_costs::bench("gateway", operations::operations(10_000));
}
