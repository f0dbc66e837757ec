//! `growth`: does a delivery cost the same when there is more of everything? Three axes: sessions
//! that are open, messages that a conversation has already, conversations that are written in. On
//! each, the points are measured in interleaved rounds of the same steady load, and what counts is
//! the cost at the top through the cost at the bottom, round by round.
//!
//! Sessions cost something while nothing happens, which is a figure of its own (`idle`): along the
//! first axis it is measured in each round, and taken off.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};

use crate::{
    figures::{Axis as PlotAxis, Bound, Figure, Line, Measured, Plot},
    honest, out, process,
    steady::{Plan, Run, Server, run::number, told},
    system::Shape,
};

mod axis;
pub(crate) mod fill;

pub use self::axis::Kind;

/// Top through bottom at most, and what would be fine (R13).
const MUST: Bound = Bound::AtMost(1.15);
const STRETCH: Bound = Bound::AtMost(1.05);

/// Settings of `growth`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    #[expect(missing_docs, reason = "help text would repeat it")]
    pub server: Server,
    /// What grows; all three if not named
    #[arg(long, value_enum)]
    pub axis: Vec<Kind>,
    /// Sessions that are open, from few to many
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 4_000, 19_000])]
    pub sessions: Vec<usize>,
    /// Messages that each conversation has already, from few to many; up to 1,000,000 takes minutes
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    pub history: Vec<usize>,
    /// Conversations that are written in, from few to many
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    pub conversations: Vec<usize>,
    /// Members of a room
    #[arg(long, default_value_t = 10)]
    pub room: usize,
    /// Rooms with a history
    #[arg(long, default_value_t = 10)]
    pub history_rooms: usize,
    /// Messages a second, over all sessions
    #[arg(long, default_value_t = 500.0)]
    pub rate: f64,
    /// Seconds of load that count, in each round at each point
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    /// Seconds of load before them
    #[arg(long, default_value_t = 2)]
    pub warm_up: u32,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

impl Args {
    fn plan(&self, sessions: usize) -> Plan {
        let Self { room, bytes, rate, warm_up, seconds, .. } = *self;
        Plan { shape: Shape { sessions, room, bytes }, rate, warm_up, seconds }
    }
}

/// A round at a point of an axis.
#[derive(Debug, Clone)]
pub struct Taken {
    run: Run,
    /// Processor seconds a second that the sessions cost without messages, where that was measured.
    upkeep: Option<f64>,
}

impl Taken {
    /// Microseconds a delivery, without what the sessions cost anyway.
    fn cost(&self) -> f64 {
        let window = &self.run.window;
        let upkeep = self.upkeep.unwrap_or_default() * window.length.as_secs_f64();
        (window.cpu.as_secs_f64() - upkeep) * 1e6 / number(window.deliveries)
    }
}

/// A point of an axis, in all rounds.
#[derive(Debug)]
struct Point {
    value: usize,
    rounds: Vec<Taken>,
}

/// Runs it: false when a delivery is missing, came twice, or a session ended.
///
/// # Errors
/// When the rooms can't be made, the sessions not be opened, or a process is gone.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    ensure!(args.rounds > 0, "ask for one round or more");
    tokio::task::LocalSet::new().run_until(measure(args)).await
}

async fn measure(args: Args) -> anyhow::Result<bool> {
    args.server.place()?;
    let all = [Kind::Sessions, Kind::History, Kind::Conversations];
    let kinds = if args.axis.is_empty() { &all[..] } else { &args.axis[..] };
    let mut measured = Measured {
        title: "growth of a delivery's cost".to_owned(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        ..Measured::default()
    };
    measured.notes.push(offered(&args));
    let mut whole = true;
    for &kind in kinds {
        let points = along(kind, &args).await?;
        whole &= points.iter().flat_map(|point| &point.rounds).all(|taken| taken.run.is_whole());
        measured.figures.extend(figures(kind, &points)?);
        measured.plots.push(plot(kind, &points));
        measured.notes.extend(warnings(&args, &points));
    }
    measured.tell(args.out.as_deref())?;
    Ok(whole)
}

/// All points of an axis, round by round: upwards in one, downwards in the next, so that a machine
/// that slows down in between does not favor an end.
async fn along(kind: Kind, args: &Args) -> anyhow::Result<Vec<Point>> {
    let values = kind.values(args)?;
    let mut axis = axis::Axis::new(kind, args, &values);
    let mut points: Vec<Point> =
        values.iter().map(|&value| Point { value, rounds: Vec::new() }).collect();
    for round in 0..args.rounds {
        for step in 0..points.len() {
            let place = if round % 2 == 0 { step } else { points.len() - 1 - step };
            out::note(format!(
                "round {} of {}: {} {}",
                round + 1,
                args.rounds,
                points[place].value,
                kind.what()
            ));
            points[place].rounds.push(axis.take(place).await?);
        }
    }
    Ok(points)
}

fn figures(kind: Kind, points: &[Point]) -> anyhow::Result<Vec<Figure>> {
    let (name, what) = (kind.name(), kind.what());
    let mut figures = Vec::new();
    for Point { value, rounds } in points {
        let mut figure = |key: &str, title: &str, unit: &str, read: &dyn Fn(&Taken) -> f64| {
            let (key, title) =
                (format!("growth.{name}.{value}.{key}"), format!("{value} {what}: {title}"));
            let rounds = rounds.iter().map(read).filter(|value| value.is_finite()).collect();
            figures.push(Figure::new(&key, &title, unit, rounds));
        };
        figure("cpu_us_per_delivery", "processor time per delivery", "µs", &Taken::cost);
        if rounds.iter().any(|taken| taken.upkeep.is_some()) {
            let upkeep = |taken: &Taken| taken.upkeep.unwrap_or_default() * 1e3;
            figure("upkeep_ms_per_s", "without messages", "ms/s", &upkeep);
        }
        figure("deliver_p99_ms", "send → deliver, p99", "ms", &|taken| {
            taken.run.deliver_ms(0.99)
        });
    }
    let (bottom, top) = points.first().zip(points.last()).context("an axis without points")?;
    let pairs = top.rounds.iter().zip(&bottom.rounds);
    let ratios = pairs.map(|(top, bottom)| top.cost() / bottom.cost());
    let ratios = ratios.filter(|ratio| ratio.is_finite()).collect();
    let title = format!("{what}: cost at {} through cost at {}", top.value, bottom.value);
    let ratio = Figure::new(&format!("growth.{name}.ratio"), &title, "×", ratios);
    figures.push(ratio.must("R13", MUST, Some(STRETCH)));
    Ok(figures)
}

#[expect(clippy::cast_precision_loss, reason = "points below 2^53")]
fn plot(kind: Kind, points: &[Point]) -> Plot {
    let line = |name: &str, pick: usize| {
        let spread = |point: &Point| {
            let costs = point.rounds.iter().map(Taken::cost).collect();
            let spread = Figure::new("", "", "", costs).spread()?;
            Some((point.value as f64, spread[pick]))
        };
        Line { name: name.to_owned(), points: points.iter().filter_map(spread).collect() }
    };
    Plot {
        title: format!("cost of a delivery: {}", kind.what()),
        x: PlotAxis { name: kind.what().to_owned(), unit: String::new(), logarithmic: true },
        y: PlotAxis { name: "processor time".into(), unit: "µs".into(), logarithmic: false },
        lines: vec![line("median", 1), line("least", 0), line("most", 2)],
    }
}

fn offered(args: &Args) -> String {
    format!(
        "{} messages/s of {} bytes to rooms of {}, offered for {} s after {} s of warm-up at each point \
         in each round; along the sessions, what they cost without messages in the same round is taken \
         off; histories grow by what is measured on them",
        args.rate, args.bytes, args.room, args.seconds, args.warm_up
    )
}

fn warnings(args: &Args, points: &[Point]) -> Vec<String> {
    let of = |point: &Point| {
        let runs: Vec<Run> = point.rounds.iter().map(|taken| taken.run.clone()).collect();
        told::warnings(&runs, args.server.pinned())
    };
    points.iter().flat_map(of).collect()
}

/// Longest wait for a server to have done what it does behind the answers.
const QUIET_WAIT: u32 = 60;

/// Processor seconds a second below which a process is quiet.
const QUIET: f64 = 0.1;

/// Waits until the processes have nothing to do any more: sessions that left, files that are being
/// merged. Whether they came to rest.
async fn quiet(pids: &[u32]) -> anyhow::Result<bool> {
    let enough = QUIET * number(pids.len() as u64);
    for _ in 0..QUIET_WAIT {
        if used(pids, Duration::from_secs(1)).await? < enough {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Processor seconds a second that the processes take from now on, over this time.
async fn used(pids: &[u32], time: Duration) -> anyhow::Result<f64> {
    let (before, start) = (process::cpu_of(pids)?, crate::times::now());
    tokio::time::sleep(time).await;
    Ok(honest::share(process::cpu_of(pids)?.saturating_sub(before), start.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steady::run::made_up;

    fn point(value: usize, costs_us: &[u64], upkeep: Option<f64>) -> Point {
        let taken = |&us: &u64| {
            let mut run = made_up();
            // 4,000 deliveries within the window of two seconds.
            run.window.cpu = Duration::from_micros(us * 4_000);
            Taken { run, upkeep }
        };
        Point { value, rounds: costs_us.iter().map(taken).collect() }
    }

    #[test]
    fn top_through_bottom_round_by_round() {
        let points =
            [point(10, &[20, 40], None), point(100, &[1, 1], None), point(1_000, &[30, 44], None)];
        let figures = figures(Kind::History, &points).unwrap();
        let ratio = figures.last().unwrap();
        assert_eq!(ratio.key, "growth.history.ratio");
        let rounded: Vec<f64> = ratio.rounds.iter().map(|r| (r * 100.0).round()).collect();
        assert_eq!(rounded, [150.0, 110.0]);
        assert_eq!(ratio.holds(), Some(false));
        assert_eq!(figures.len(), 7);
        let plot = plot(Kind::History, &points);
        assert!((plot.lines[0].points[0].1 - 40.0).abs() < 1e-9 && plot.lines[1].name == "least");
    }

    #[test]
    fn what_sessions_cost_anyway_is_taken_off() {
        // 80 ms in two seconds, of which 2 × 10 ms are upkeep: 60 ms for 4,000 deliveries.
        let one = point(10, &[20], Some(0.010));
        assert!((one.rounds[0].cost() - 15.0).abs() < 1e-9);
        let figures = figures(Kind::Sessions, &[one]).unwrap();
        assert!((figures[1].rounds[0] - 10.0).abs() < 1e-9, "{:?}", figures[1]);
    }
}
