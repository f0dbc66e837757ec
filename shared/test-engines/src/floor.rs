//! What the bare loops over an engine's library share: their arguments, the schedule, messages of
//! the size and compressibility of ours, and the line that they print. The loops themselves are
//! `examples/floor.rs` of each engine; `harkara-loadtest floor` starts them and reads the line.
//!
//! Arguments, each with its value: `--rate N` (so many a second, open loop: times count from the
//! moment a message is due) or `--in-flight N` (as fast as it goes with so many unanswered),
//! `--seconds N` (10), `--warm-up N` (2, not counted), `--text N` (bytes of a message's text, 200),
//! `--rooms N` (50), and those of the engine.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

mod bytes;

pub use bytes::{Message, Messages};

const SECOND: u64 = 1_000_000_000;

/// Points of a distribution on the line: its quantiles in steps of a thousandth.
const STEPS: usize = 1_000;

/// `--name value` pairs.
#[derive(Debug, Default)]
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Those of this process.
    ///
    /// # Errors
    /// What is no pair.
    pub fn read() -> Result<Self, String> {
        Self::of(std::env::args().skip(1))
    }

    fn of(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut pairs = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?}: want --name"))?;
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Self(pairs))
    }

    /// Its text.
    ///
    /// # Errors
    /// When it is missing.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("--{name} is missing"))
    }

    /// Its number, or another one where it is missing.
    ///
    /// # Errors
    /// When it is no number.
    pub fn number(&self, name: &str, otherwise: u64) -> Result<u64, String> {
        match self.0.get(name) {
            Some(text) => text.parse().map_err(|_| format!("--{name} {text:?} is no number")),
            None => Ok(otherwise),
        }
    }

    /// When to do what.
    ///
    /// # Errors
    /// When a number is none, or makes no sense.
    pub fn plan(&self) -> Result<Plan, String> {
        let load = match (self.number("rate", 0)?, self.number("in-flight", 0)?) {
            (rate, 0) if rate > 0 => Load::Rate(rate),
            (0, in_flight) if in_flight > 0 => Load::FlatOut(in_flight),
            _ => return Err("one of --rate and --in-flight, above 0".to_owned()),
        };
        let (seconds, warm_up) = (self.number("seconds", 10)?, self.number("warm-up", 2)?);
        Ok(Plan::new(load, warm_up * SECOND, seconds.max(1) * SECOND))
    }

    /// The messages that it says.
    ///
    /// # Errors
    /// When a number is none.
    pub fn messages(&self) -> Result<Messages, String> {
        let usize = |name, otherwise| {
            let number = self.number(name, otherwise)?;
            usize::try_from(number).map_err(|_| format!("--{name} {number} is too large"))
        };
        Ok(Messages::new(usize("text", 200)?, usize("rooms", 50)?))
    }
}

/// How much at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// So many a second, whatever is answered.
    Rate(u64),
    /// As many as possible, with so many unanswered.
    FlatOut(u64),
}

/// When to do what. Times are nanoseconds of the caller's clock.
#[derive(Debug)]
pub struct Plan {
    /// How much at a time.
    pub load: Load,
    warm_up: u64,
    counted: u64,
    /// At a rate: how long after its moment each message was begun.
    late: Seen,
}

impl Plan {
    fn new(load: Load, warm_up: u64, counted: u64) -> Self {
        Self { load, warm_up, counted, late: Seen::default() }
    }

    /// How many may be unanswered; at a rate that is what four seconds bring, so that an engine
    /// which falls behind is seen in the times and not in memory.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let in_flight = match self.load {
            Load::Rate(rate) => rate * 4,
            Load::FlatOut(in_flight) => in_flight,
        };
        usize::try_from(in_flight).unwrap_or(usize::MAX)
    }

    /// Calls `each` with the moment at which a message is due, until the time is up. `each` may
    /// wait for room; at a rate, what is due meanwhile comes at once afterwards, with its own
    /// moment.
    ///
    /// # Errors
    /// The first one of `each` ends it.
    pub fn run<E>(
        &self,
        now: impl Fn() -> u64,
        seen: &[&Seen],
        mut each: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = now();
        let from = start + self.warm_up;
        let until = from + self.counted;
        let all = seen.iter().copied().chain([&self.late]);
        all.for_each(|seen| seen.window(self.load, from, until));
        for number in 0.. {
            let due = match self.load {
                Load::Rate(rate) => {
                    let due = start + number * SECOND / rate;
                    thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
                    self.late.done(due, due, now());
                    due
                }
                Load::FlatOut(_) => now(),
            };
            if due >= until {
                break;
            }
            each(due)?;
        }
        Ok(())
    }

    /// The line for whoever started this.
    #[must_use]
    pub fn line(&self, name: &str, seen: &[(&str, &Seen)]) -> String {
        let all = seen.iter().copied().chain([("late", &self.late)]);
        let all: Vec<String> =
            all.map(|(what, seen)| format!("\"{what}\":{}", seen.of(self.counted))).collect();
        format!("{{\"floor\":\"{name}\",{}}}", all.join(","))
    }
}

/// How long one thing took, each time that it was done within the counted window.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    flat_out: bool,
    from: u64,
    until: u64,
    took: Vec<u64>,
}

impl Seen {
    fn window(&self, load: Load, from: u64, until: u64) {
        let flat_out = matches!(load, Load::FlatOut(_));
        *self.lock() = Times { flat_out, from, until, took: Vec::new() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was due at `due`, and began at `began`, is done. At a rate everything counts that was
    /// due within the window, however late it is done; flat out, what was done within it.
    pub fn done(&self, due: u64, began: u64, now: u64) {
        let mut times = self.lock();
        let when = if times.flat_out { now } else { due };
        if (times.from..times.until).contains(&when) {
            times.took.push(now.saturating_sub(began));
        }
    }

    /// As JSON.
    fn of(&self, counted: u64) -> String {
        let mut took = self.lock().took.clone();
        took.sort_unstable();
        let last = took.len().saturating_sub(1);
        let points: Vec<String> = (0..=STEPS)
            .filter_map(|step| took.get(last * step / STEPS))
            .map(ToString::to_string)
            .collect();
        let seconds = Seconds(counted);
        let (count, points) = (took.len(), points.join(","));
        format!("{{\"count\":{count},\"seconds\":{seconds},\"took_ns\":[{points}]}}")
    }
}

struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / SECOND, self.0 % SECOND)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn arguments(text: &str) -> Arguments {
        Arguments::of(text.split_whitespace().map(ToOwned::to_owned)).expect("pairs")
    }

    #[test]
    fn arguments_are_pairs() {
        let given = arguments("--dir /d --rate 500 --seconds 3");
        assert_eq!((given.text("dir"), given.number("text", 200)), (Ok("/d"), Ok(200)));
        assert_eq!(given.plan().expect("a plan").load, Load::Rate(500));
        assert!(arguments("--rate 5 --in-flight 5").plan().is_err());
        assert!(arguments("--seconds 5").plan().is_err());
        assert!(Arguments::of(["--rate".to_owned()].into_iter()).is_err());
    }

    #[test]
    fn at_a_rate_what_was_due_in_the_window_counts_from_then() {
        let plan = Plan::new(Load::Rate(1_000_000), 3_000, 4_000);
        let seen = Seen::default();
        // A clock that is always ahead, so that nothing is waited for.
        let clock = || 10 * SECOND;
        let mut due = Vec::new();
        let run = plan.run(clock, &[&seen], |at| {
            due.push(at - clock());
            seen.done(at, at, at + 7);
            Ok::<_, ()>(())
        });
        assert_eq!(run, Ok(()));
        assert_eq!(due, [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000]);
        let line = plan.line("x", &[("append", &seen)]);
        let sevens = vec!["7"; STEPS + 1].join(",");
        let append = format!("{{\"count\":4,\"seconds\":0.000004000,\"took_ns\":[{sevens}]}}");
        let begin = format!("{{\"floor\":\"x\",\"append\":{append},\"late\":{{\"count\":4,");
        assert!(line.starts_with(&begin), "{line}");
    }

    #[test]
    fn flat_out_what_was_done_in_the_window_counts() {
        let plan = Plan::new(Load::FlatOut(1), 10, 100);
        let (seen, time) = (Seen::default(), Cell::new(0));
        let tick = || {
            time.set(time.get() + 5);
            time.get()
        };
        let run = plan.run(tick, &[&seen], |at| {
            seen.done(at, at, at + 5);
            Ok::<_, ()>(())
        });
        assert_eq!(run, Ok(()));
        // From 15 to 115: what was begun at 10, 15, … is done at 15, 20, … 110.
        assert!(seen.of(plan.counted).starts_with("{\"count\":20,"), "{}", seen.of(1));
    }
}
