//! Allocations and times of what is hot here: `cargo bench -p harkara-domain --bench hot`. The list
//! is in `operations.rs`, `tests/allocations.rs` holds it to its bounds.

mod operations;

fn main() {
    harkara_test_costs::bench("domain", operations::operations());
}
