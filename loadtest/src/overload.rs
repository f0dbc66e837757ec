//! `overload`: what becomes of a server that is offered more than it can do. First the rate is doubled
//! until not all of it is taken; the most that was taken is the peak. Then shares of the peak are
//! offered in an open loop, and what counts is how much is still taken (goodput), and how long that
//! takes, send → deliver. What is refused is not sent again: those who offer it are other people.

use std::path::PathBuf;

use crate::{
    figures::{Axis, Bound, Figure, Line, Measured, Plot},
    out,
    steady::{Harkara, Plan, Run, Server, Stage, run::number, told},
    system::Shape,
};

/// Shares of the peak that are offered.
const SHARES: [f64; 5] = [0.7, 1.0, 1.5, 2.0, 3.0];

/// As much of the offered rate as must be taken for the next doubling.
const HOLDS: f64 = 0.9;

/// Rates that are tried at most on the way to the peak: from 500 to half a million.
const TRIES: u32 = 10;

/// Settings of `overload`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    #[expect(missing_docs, reason = "help text would repeat it")]
    pub server: Server,
    /// Sessions
    #[arg(long, default_value_t = 1_000)]
    pub sessions: usize,
    /// Members of a room; each session is in one room
    #[arg(long, default_value_t = 10)]
    pub room: usize,
    /// Messages a second of the first try, over all sessions
    #[arg(long, default_value_t = 500.0)]
    pub start: f64,
    /// Seconds of load that count, of each rate
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    /// Seconds of load before them
    #[arg(long, default_value_t = 3)]
    pub warm_up: u32,
    /// Rounds of all shares
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Runs it: false when something came twice, a session ended, or of three times the peak too little
/// or too late comes through.
///
/// # Errors
/// When the rooms can't be made, the sessions not be opened, or a process is gone.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let rounds = tokio::task::LocalSet::new().run_until(rounds(&args)).await?;
    let measured = measured(&rounds, args.server.pinned());
    measured.tell(args.out.as_deref())?;
    let holds = measured.figures.iter().all(|figure| figure.holds() != Some(false));
    let whole = |run: &Run| run.counts.surplus == 0 && run.counts.ended.0 == 0;
    Ok(holds && rounds.iter().flatten().all(whole))
}

/// The rounds, each a run for each share.
async fn rounds(args: &Args) -> anyhow::Result<Vec<Vec<Run>>> {
    let shape = Shape { sessions: args.sessions, room: args.room, bytes: args.bytes };
    let plan = |rate| Plan { shape, rate, warm_up: args.warm_up, seconds: args.seconds };
    plan(args.start).check()?;
    args.server.place()?;
    let Server { url, server_pid, .. } = args.server.clone();
    let mut system = Harkara::new(url, server_pid, false, 1);
    let mut stage = Stage::open(&mut system, shape).await?;
    let peak = peak(&mut stage, args.start, plan).await?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for round in 1..=args.rounds {
        let mut runs = Vec::with_capacity(SHARES.len());
        for share in SHARES {
            out::note(format!("round {round} of {}: {share} × {peak:.0}/s", args.rounds));
            runs.push(stage.round(&plan(share * peak)).await?);
        }
        rounds.push(runs);
    }
    Ok(rounds)
}

/// The most messages a second that were taken and delivered, whatever was offered.
async fn peak(stage: &mut Stage, start: f64, plan: impl Fn(f64) -> Plan) -> anyhow::Result<f64> {
    let (mut rate, mut peak) = (start, 0.0_f64);
    for _ in 0..TRIES {
        let run = stage.round(&plan(rate)).await?;
        out::note(format!("{rate:.0}/s offered, {:.0}/s taken", goodput(&run)));
        peak = peak.max(goodput(&run));
        if goodput(&run) < HOLDS * rate {
            break;
        }
        rate *= 2.0;
    }
    Ok(peak)
}

/// Messages a second that came to everybody.
fn goodput(run: &Run) -> f64 {
    run.deliveries_per_s() / number(run.copies as u64)
}

/// What is read off a round, at a share of the peak.
fn at(runs: &[Run], share: f64, read: impl Fn(&Run) -> f64) -> f64 {
    let place = SHARES.iter().position(|one| (*one - share).abs() < f64::EPSILON);
    place.and_then(|place| runs.get(place)).map_or(f64::NAN, read)
}

/// The most that was taken in a round.
fn best(runs: &[Run]) -> f64 {
    runs.iter().map(goodput).fold(0.0, f64::max)
}

fn measured(rounds: &[Vec<Run>], pinned: Option<usize>) -> Measured {
    let each = |read: &dyn Fn(&[Run]) -> f64| -> Vec<f64> {
        rounds.iter().map(|runs| read(runs)).filter(|value| value.is_finite()).collect()
    };
    let p99 = |run: &Run| run.deliver_ms(0.99);
    let mut figures = vec![
        Figure::new("overload.peak", "messages taken at most", "1/s", each(&best)),
        Figure::new(
            "overload.goodput",
            "three times the peak offered: taken ÷ peak",
            "×",
            each(&|runs| at(runs, 3.0, goodput) / best(runs)),
        )
        .must("goodput", Bound::AtLeast(0.9), None),
        Figure::new(
            "overload.p99",
            "p99 of what was taken ÷ that at 0.7 × the peak",
            "×",
            each(&|runs| at(runs, 3.0, p99) / at(runs, 0.7, p99)),
        )
        .must("p99", Bound::AtMost(2.0), None),
    ];
    for share in SHARES {
        let name = |what: &str| format!("{share} × the peak offered: {what}");
        let key = |what: &str| format!("overload.{what}_{share}");
        let figure = |what: &str, words: &str, unit: &str, read: &dyn Fn(&Run) -> f64| {
            let values = each(&|runs| at(runs, share, read));
            Figure::new(&key(what), &name(words), unit, values)
        };
        figures.push(figure("goodput", "taken", "1/s", &goodput));
        figures.push(figure("refused", "refused", "messages", &|run| number(run.refused())));
        figures.push(figure("p50", "send → deliver, p50", "ms", &|run| run.deliver_ms(0.5)));
        figures.push(figure("p99", "send → deliver, p99", "ms", &p99));
    }
    let all: Vec<Run> = rounds.iter().flatten().cloned().collect();
    let loud = |note: &String| !note.contains("DELIVERIES DID NOT COME");
    Measured {
        title: "more offered than can be done".to_owned(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        figures,
        plots: vec![
            plot(rounds, "messages taken", "1/s", false, &goodput),
            plot(rounds, "send → deliver, p99, of what was taken", "ms", true, &p99),
        ],
        notes: told::warnings(&all, pinned).into_iter().filter(loud).collect(),
    }
}

/// A line for each round, over what was offered.
fn plot(
    rounds: &[Vec<Run>],
    name: &str,
    unit: &str,
    logarithmic: bool,
    read: &dyn Fn(&Run) -> f64,
) -> Plot {
    let axis = |name: &str, unit: &str, logarithmic| Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        logarithmic,
    };
    let points = |runs: &[Run]| runs.iter().map(|run| (run.plan.rate, read(run))).collect();
    let lines = (1..).zip(rounds).map(|(round, runs): (u32, _)| Line {
        name: format!("round {round}"),
        points: points(runs),
    });
    Plot {
        title: format!("{name}, over what was offered"),
        x: axis("messages offered", "1/s", false),
        y: axis(name, unit, logarithmic),
        lines: lines.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{page, steady::run::made_up};

    #[test]
    fn three_times_the_peak_is_compared_with_the_peak_and_with_calm() {
        let runs: Vec<Run> = SHARES
            .iter()
            .map(|share| {
                let mut run = made_up();
                run.plan.rate = 200.0 * share;
                run
            })
            .collect();
        let measured = measured(&[runs], None);
        let figure = |key: &str| {
            let found = measured.figures.iter().find(|figure| figure.key == key);
            found.map_or(f64::NAN, |figure| figure.rounds[0])
        };
        assert!((figure("overload.goodput") - 1.0).abs() < 1e-9);
        assert!((figure("overload.p99") - 1.0).abs() < 1e-9);
        assert!((figure("overload.peak") - 200.0).abs() < 1e-9);
        assert_eq!(measured.plots[0].lines[0].points.len(), SHARES.len());
        for drawn in &measured.plots {
            assert!(page::plot::svg(drawn).unwrap().contains("offered"));
        }
    }
}
