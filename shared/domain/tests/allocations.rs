//! What is hot here allocates no more than the bounds beside it: the list of the bench `hot`.

#[path = "../benches/hot/operations.rs"]
mod operations;

#[test]
fn hot_functions_keep_to_their_allocations() {
    harkara_test_costs::assert_within(operations::operations());
}
