//! Finds a small set of faults that still breaks something: halves, then single ones.

use crate::{
    oracle::Breach,
    run::{Report, Request, run},
};

/// Runs spent on one seed, at most.
const RUNS_MAX: usize = 200;

/// The faults that are left, and what they break.
#[derive(Debug)]
pub struct Shrunk {
    /// Their numbers.
    pub keep: Vec<usize>,
    /// The run with only them.
    pub report: Report,
}

/// Leaves out faults for as long as the same invariant breaks.
///
/// # Errors
/// When a run can't be made.
pub fn shrink(failed: &Report) -> Result<Shrunk, String> {
    let same = failed.breaches.first().map(|breach: &Breach| breach.invariant);
    let mut keep: Vec<usize> = failed.schedule.iter().map(|planned| planned.number).collect();
    let again = |keep: &[usize]| {
        run(&Request { seed: failed.seed, keep: Some(keep.to_vec()), traced: false })
    };
    let breaks = |report: &Report| report.breaches.iter().any(|b| Some(b.invariant) == same);
    let (mut runs, mut size) = (0, keep.len().div_ceil(2));
    while size > 0 && runs < RUNS_MAX {
        let mut at = 0;
        let mut less = false;
        while at < keep.len() && runs < RUNS_MAX {
            let mut fewer = keep.clone();
            fewer.drain(at..(at + size).min(keep.len()));
            runs += 1;
            if breaks(&again(&fewer)?) {
                (keep, less) = (fewer, true);
            } else {
                at += size;
            }
        }
        if !(less && size == 1) {
            size /= 2;
        }
    }
    let report = again(&keep)?;
    Ok(Shrunk { keep, report })
}
