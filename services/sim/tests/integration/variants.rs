//! Each broken variant is noticed within its budget of seeds.

use harkara_service_runtime::sabotage::break_rule;
use harkara_sim::{
    run::{Request, run},
    variants,
};

/// The first seed that notices it.
fn noticed(name: &str) -> Option<u64> {
    let variant = variants::named(name).expect("a variant of this name");
    break_rule(Some(variant.rule));
    let breaks = |seed: &u64| {
        let report = run(&Request { seed: *seed, ..Request::default() });
        !report.expect("a run can be made").breaches.is_empty()
    };
    let found = (0..variant.budget).find(breaks);
    break_rule(None);
    found
}

macro_rules! variants {
    ($($test:ident $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                assert!(noticed($name).is_some(), "went unnoticed: {}", $name);
            }
        )*

        #[test]
        fn every_variant_has_a_test() {
            let tested = [$($name),*];
            let all: Vec<&str> = variants::NOTICED.iter().map(|variant| variant.name).collect();
            assert_eq!(tested.to_vec(), all);
        }
    };
}

variants! {
    decide_again_is_noticed "decide-again",
    one_generation_is_noticed "one-generation",
    write_ahead_is_noticed "write-ahead",
    keep_leavers_is_noticed "keep-leavers",
    from_the_first_is_noticed "from-the-first",
    fresh_ids_is_noticed "fresh-ids",
    last_write_wins_is_noticed "last-write-wins",
    log_time_is_noticed "log-time",
    guess_newer_is_noticed "guess-newer",
    stick_at_damage_is_noticed "stick-at-damage",
    turn_leavers_away_is_noticed "turn-leavers-away",
    forget_rejections_is_noticed "forget-rejections",
    no_dedup_is_noticed "no-dedup",
    commit_first_is_noticed "commit-first",
    no_repair_is_noticed "no-repair",
    loss_unnoticed_is_noticed "loss-unnoticed",
    no_tail_is_noticed "no-tail",
    no_inbox_is_noticed "no-inbox",
    no_new_claim_is_noticed "no-new-claim",
    accept_early_is_noticed "accept-early",
}
