//! What a bench prints: the table of allocations, then a time for each operation.

use std::time::Duration;

use criterion::{Criterion, Throughput};

use crate::{Operation, table};

/// For each operation: 30 of them take a minute and a half.
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(2);

/// The `main` of a bench: counts and times operations under the name of their crate. Takes what
/// `cargo bench` hands through to Criterion, such as part of a name, or `--save-baseline`.
pub fn bench(group: &str, mut operations: Vec<Operation>) {
    table(&mut operations);
    let criterion = Criterion::default().without_plots();
    let criterion = criterion.warm_up_time(WARM_UP).measurement_time(MEASURED);
    let mut criterion = criterion.configure_from_args();
    // Counting costs a few nanoseconds an allocation.
    allocation_counter::opt_out(|| {
        let mut group = criterion.benchmark_group(group);
        for operation in &mut operations {
            group.throughput(Throughput::Elements(operation.elements()));
            group.bench_function(operation.name(), |bencher| operation.time(bencher));
        }
        group.finish();
        criterion.final_summary();
    });
}
