//! A seed is a run: the same one gives the same trace, line by line.

use harkara_sim::run::{Request, run};

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..6 {
        let traced = || {
            let request = Request { seed, keep: None, traced: true };
            run(&request).expect("a run can be made").trace
        };
        let (first, second) = (traced(), traced());
        assert!(first.len() > 5, "seed {seed}: a trace says what happens");
        let differ = first.iter().zip(&second).position(|(a, b)| a != b);
        assert_eq!(differ, None, "seed {seed}: the traces differ at this line");
        assert_eq!(first.len(), second.len(), "seed {seed}: one trace is longer");
    }
}
