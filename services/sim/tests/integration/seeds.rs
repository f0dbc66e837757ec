//! A fixed budget of seeds: nothing breaks in any of them.

use harkara_sim::run::{Request, run};

/// Seeds in every `cargo test`.
const SEEDS: u64 = 24;

/// Seeds in which something was found once: lists of which news were missed.
const FOUND: [u64; 4] = [187, 1_186, 1_240, 3_680];

#[test]
fn nothing_breaks() {
    for seed in (0..SEEDS).chain(FOUND) {
        let report = run(&Request { seed, ..Request::default() }).expect("a run can be made");
        let breaches: Vec<String> = report.breaches.iter().map(ToString::to_string).collect();
        assert_eq!(breaches, Vec::<String>::new(), "harkara-sim --seed {seed} --trace");
    }
}
