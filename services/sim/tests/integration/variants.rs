//! Each broken variant is noticed within its budget of seeds.

use harkara_service_runtime::sabotage::break_rule;
use harkara_sim::{
    run::{Request, run},
    variants,
};

/// The first seed that notices it.
fn noticed(variant: variants::Variant) -> Option<u64> {
    break_rule(Some(variant.rule));
    let breaks = |seed: &u64| {
        let report = run(&Request { seed: *seed, ..Request::default() });
        !report.expect("a run can be made").breaches.is_empty()
    };
    let found = (0..variant.budget).find(breaks);
    break_rule(None);
    found
}

#[test]
fn every_broken_variant_is_noticed() {
    let missed: Vec<&str> = variants::ALL
        .into_iter()
        .filter(|variant| noticed(*variant).is_none())
        .map(|variant| variant.name)
        .collect();
    assert_eq!(missed, Vec::<&str>::new(), "these went unnoticed");
}
