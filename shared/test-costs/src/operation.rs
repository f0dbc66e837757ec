//! One thing that is done often, with the allocations it may make.

use std::{fmt, hint::black_box, marker::PhantomData};

use criterion::{BatchSize, Bencher};

/// Runs before counting, so that what grows with first use has grown.
const WARM_UP: usize = 64;

/// Runs that are counted: their mean shows what happens every now and then.
const COUNTED: usize = 64;

/// What a run takes from the allocator; a buffer that grows counts each time, with its new size.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// How many allocations, freed or not.
    pub allocations: f64,
    /// Their bytes together.
    pub bytes: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} allocations of {:.0} bytes", self.allocations, self.bytes)
    }
}

/// Something hot that can be counted and timed.
pub struct Operation {
    name: &'static str,
    allocations_max: u64,
    elements: u64,
    work: Box<dyn Work>,
}

impl Operation {
    /// `run` is what is counted and timed; `prepare` makes what it takes, and dropping what it
    /// gives is not timed either.
    pub fn new<I: 'static, O: 'static>(
        name: &'static str,
        allocations_max: u64,
        prepare: impl FnMut() -> I + 'static,
        run: impl FnMut(I) -> O + 'static,
    ) -> Self {
        let work = Box::new(Prepared { prepare, run, types: PhantomData });
        Self { name, allocations_max, elements: 1, work }
    }

    /// A run does this many things: times are also told per thing.
    #[must_use]
    pub fn of(self, elements: u64) -> Self {
        Self { elements, ..self }
    }

    /// What it is called, in tests and beside times.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How many allocations a run may make.
    #[must_use]
    pub const fn allocations_max(&self) -> u64 {
        self.allocations_max
    }

    /// How many things a run does.
    #[must_use]
    pub(crate) const fn elements(&self) -> u64 {
        self.elements
    }

    /// The mean of some runs.
    pub fn cost(&mut self) -> Cost {
        for _ in 0..WARM_UP {
            self.work.count();
        }
        let mut sum = Cost::default();
        for _ in 0..COUNTED {
            let cost = self.work.count();
            sum.allocations += cost.allocations;
            sum.bytes += cost.bytes;
        }
        let runs = COUNTED as f64;
        Cost { allocations: sum.allocations / runs, bytes: sum.bytes / runs }
    }

    pub(crate) fn time(&mut self, bencher: &mut Bencher<'_>) {
        self.work.time(bencher);
    }
}

/// Forgets what types a run takes and gives.
trait Work {
    fn count(&mut self) -> Cost;
    fn time(&mut self, bencher: &mut Bencher<'_>);
}

struct Prepared<P, R, I, O> {
    prepare: P,
    run: R,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O, P: FnMut() -> I, R: FnMut(I) -> O> Work for Prepared<P, R, I, O> {
    fn count(&mut self) -> Cost {
        let input = (self.prepare)();
        let mut output = None;
        let counted = allocation_counter::measure(|| output = Some(black_box((self.run)(input))));
        drop(output);
        Cost { allocations: counted.count_total as f64, bytes: counted.bytes_total as f64 }
    }

    fn time(&mut self, bencher: &mut Bencher<'_>) {
        bencher.iter_batched(&mut self.prepare, &mut self.run, BatchSize::SmallInput);
    }
}
