//! What a comparison yields: ratios round by round, the figures behind them, plots and notes.

use super::{idle::Cost, side::Side};
use crate::{
    figures::{Axis, Bound, Figure, Line, Measured, Plot},
    out,
    steady::{Run, run::number, told},
};

/// Keys of the sides, also those of figures.
pub const HARKARA_PUSH: &str = "harkara_push";
/// Harkara's durable messages.
pub const HARKARA_DURABLE: &str = "harkara_durable";
/// Harkara, where it makes no difference which path.
pub const HARKARA: &str = "harkara";
/// Mosquitto.
pub const MOSQUITTO: &str = "mosquitto";
/// nats-server.
pub const NATS: &str = "nats";
/// ejabberd without an archive.
pub const EJABBERD: &str = "ejabberd";
/// ejabberd with an archive.
pub const EJABBERD_ARCHIVE: &str = "ejabberd_archive";

/// What sessions of one system cost that do nothing, per round.
#[derive(Debug, Clone)]
pub struct Idlers {
    /// For keys of figures.
    pub key: &'static str,
    /// For people.
    pub name: String,
    /// Per round.
    pub costs: Vec<Cost>,
    /// Whether each round had a server that was just started.
    pub fresh: bool,
}

impl Idlers {
    /// Nothing was measured yet.
    #[must_use]
    pub fn none(key: &'static str, name: &str, fresh: bool) -> Self {
        Self { key, name: name.to_owned(), costs: Vec::new(), fresh }
    }

    /// A round, which is said, too.
    pub fn add(&mut self, cost: Cost) {
        let Cost { bytes, connect_ms } = cost;
        out::note(format!("{}: {bytes:.0} B a session, {connect_ms:.3} ms a connect", self.name));
        self.costs.push(cost);
    }
}

/// Everything.
#[must_use]
pub fn measured(
    sides: &[Side],
    idle: &[Idlers],
    notes: Vec<String>,
    pinned: Option<usize>,
) -> Measured {
    let mut all: Vec<String> = sides.iter().filter_map(|side| side.failed.clone()).collect();
    all.extend(notes);
    for side in sides.iter().filter(|side| !side.runs.is_empty()) {
        all.extend(told::notes(&side.runs, pinned));
    }
    for side in sides {
        all.extend(side.broke.iter().map(|why| format!("{}, search: {why}", side.name)));
    }
    Measured {
        title: "harkara beside others".to_owned(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        figures: figures(sides, idle),
        plots: plots(sides),
        notes: all,
    }
}

fn figures(sides: &[Side], idle: &[Idlers]) -> Vec<Figure> {
    let mut figures = ratios(sides);
    for side in sides.iter().filter(|side| !side.runs.is_empty()) {
        let read = |what: &str, name: &str, unit, read: fn(&Run) -> f64| {
            let rounds = side.runs.iter().map(read).collect();
            Figure::new(&format!("peer.{what}_{}", side.key), &named(side, name), unit, rounds)
        };
        figures.push(read("cpu_us", "processor time per delivery", "µs", Run::cpu_us));
        figures.push(latency(side, read("p99_ms", "send → deliver, p99", "ms", p99)));
        figures.push(read("p50_ms", "send → deliver, p50", "ms", |run| run.deliver_ms(0.5)));
        figures
            .push(read("missing", "deliveries that did not come", "", |run| number(run.missing())));
    }
    for side in sides.iter().filter(|side| !side.held.is_empty()) {
        let (key, name) =
            (format!("peer.held_{}", side.key), named(side, "deliveries held, p99 ≤ 100 ms"));
        figures.push(Figure::new(&key, &name, "1/s", side.held.clone()));
    }
    figures.extend(idle.iter().flat_map(idlers));
    figures
}

fn named(side: &Side, name: &str) -> String {
    format!("{}: {name}", side.name)
}

fn p99(run: &Run) -> f64 {
    run.deliver_ms(0.99)
}

/// The latency of what is only pushed is a target; it has the target's number for a key.
fn latency(side: &Side, figure: Figure) -> Figure {
    if side.durable {
        return figure;
    }
    let figure = Figure { key: format!("peer.r4_{}", side.key), ..figure };
    match side.key {
        HARKARA_PUSH => figure.must("R4", Bound::AtMost(2.0), Some(Bound::AtMost(1.0))),
        _ => figure,
    }
}

/// Harkara through another, round by round; nothing where one of them has none.
fn ratios(sides: &[Side]) -> Vec<Figure> {
    let find = |key: &str| sides.iter().find(|side| side.key == key);
    let cpu = |side: &Side| side.runs.iter().map(Run::cpu_us).collect();
    let held = |side: &Side| side.held.clone();
    let ratio = |key, name: &str, ours: &str, theirs: &str, read: &dyn Fn(&Side) -> Vec<f64>| {
        let rounds: Vec<f64> = divided(&read(find(ours)?), &read(find(theirs)?));
        (!rounds.is_empty()).then(|| Figure::new(key, name, "×", rounds))
    };
    let at_most = |number: &str, must, stretch: Option<f64>| {
        let (number, stretch) = (number.to_owned(), stretch.map(Bound::AtMost));
        move |figure: Figure| figure.must(&number, Bound::AtMost(must), stretch)
    };
    let push = "processor time per delivery, pushed only: harkara ÷";
    let r1 =
        |key, name: &str, theirs| ratio(key, &format!("{push} {name}"), HARKARA_PUSH, theirs, &cpu);
    let durable = "processor time per delivery, durable: harkara ÷ ejabberd with archive";
    let most = "durable deliveries/s with p99 ≤ 100 ms: harkara ÷ ejabberd with archive";
    [
        r1("peer.r1_nats", "nats-server", NATS).map(at_most("R1", 1.0, None)),
        r1("peer.r1_ejabberd", "ejabberd", EJABBERD).map(at_most("R1", 0.3, None)),
        r1("peer.r1_mosquitto", "mosquitto (fine: ≤ 1.0)", MOSQUITTO),
        ratio("peer.r2_ejabberd", durable, HARKARA_DURABLE, EJABBERD_ARCHIVE, &cpu).map(at_most(
            "R2",
            0.5,
            Some(0.2),
        )),
        ratio("peer.r3_ejabberd", most, HARKARA_DURABLE, EJABBERD_ARCHIVE, &held)
            .map(|figure| figure.must("R3", Bound::AtLeast(3.0), Some(Bound::AtLeast(10.0)))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Round by round, without those that make no number.
fn divided(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
    ratios.filter(|ratio| ratio.is_finite()).collect()
}

fn idlers(idle: &Idlers) -> [Figure; 2] {
    let Idlers { key, name, costs, fresh } = idle;
    // A server that ran before has memory left from its last round: only the first one counts.
    let rounds = if *fresh { costs.len() } else { costs.len().min(1) };
    let bytes = costs[..rounds].iter().map(|cost| cost.bytes).collect();
    let connects = costs.iter().map(|cost| cost.connect_ms).collect();
    let bytes = Figure::new(
        &format!("peer.r6_{key}"),
        &format!("{name}: resident bytes per idle session"),
        "B",
        bytes,
    );
    let connects = Figure::new(
        &format!("peer.r8_{key}"),
        &format!("{name}: processor time per authenticated connect"),
        "ms",
        connects,
    );
    if *key != HARKARA {
        return [bytes, connects];
    }
    [
        bytes.must("R6", Bound::AtMost(4096.0), Some(Bound::AtMost(2560.0))),
        connects.must("R8", Bound::AtMost(0.2), Some(Bound::AtMost(0.1))),
    ]
}

fn plots(sides: &[Side]) -> Vec<Plot> {
    let with_runs: Vec<&Side> = sides.iter().filter(|side| !side.runs.is_empty()).collect();
    if with_runs.is_empty() {
        return Vec::new();
    }
    let runs: Vec<&[Run]> = with_runs.iter().map(|side| side.runs.as_slice()).collect();
    let axis = |name: &str, unit: &str| Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        logarithmic: false,
    };
    let line = |side: &&Side| Line {
        name: side.name.clone(),
        points: (1..).map(f64::from).zip(side.runs.iter().map(Run::cpu_us)).collect(),
    };
    let cpu = Plot {
        title: "processor time per delivery".to_owned(),
        x: axis("round", ""),
        y: axis("processor time", "µs"),
        lines: with_runs.iter().map(line).collect(),
    };
    // The first plot of steady load is the distribution of latencies.
    told::plots(&runs).into_iter().take(1).chain([cpu]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        assert_eq!(divided(&[2.0, 9.0, 1.0], &[4.0, 3.0]), [0.5, 3.0]);
        assert_eq!(divided(&[2.0, f64::NAN, 1.0], &[0.0, 1.0, 2.0]), [0.5]);
    }

    #[test]
    fn only_the_first_reading_of_a_used_server_counts() {
        let cost = |bytes| Cost { bytes, connect_ms: 0.3 };
        let mut idle = Idlers {
            key: HARKARA,
            name: "harkara".into(),
            costs: vec![cost(4_000.0), cost(100.0)],
            fresh: false,
        };
        let [bytes, connects] = idlers(&idle);
        assert_eq!((bytes.rounds.as_slice(), connects.rounds.len()), ([4_000.0].as_slice(), 2));
        assert_eq!((bytes.holds(), connects.holds()), (Some(true), Some(false)));
        idle.fresh = true;
        assert_eq!(idlers(&idle)[0].rounds.len(), 2);
    }
}
