//! What the rounds of a broadcast yield.

use super::{Args, Cost, Round};
use crate::{
    figures::{Axis, Bound, Figure, Line, Measured, Plot},
    pin::Pin,
    sample::number,
};

/// All of it.
pub fn measured(args: &Args, frame: usize, rounds: &[Round]) -> Measured {
    let Args { url, sessions, messages, bytes, .. } = args;
    let floor = if args.floor { " --floor" } else { "" };
    let pin = Pin::argument(args.pin);
    Measured {
        title: format!("broadcast: one room, {sessions} sessions on one gateway"),
        command: format!(
            "harkara-loadtest broadcast --url {url} --server-pid PID --sessions {sessions} \
             --messages {messages} --bytes {bytes} --rounds {}{floor}{pin}",
            rounds.len()
        ),
        figures: figures(rounds),
        plots: vec![plot(rounds)],
        notes: vec![
            format!(
                "{messages} messages a round, each when everybody has the one before; frames of \
                 {frame} bytes"
            ),
            "the floor is a bare socket loop in one thread that writes as many bytes to as many \
             sockets; rounds alternate, ratios are taken within a round"
                .to_owned(),
        ],
    }
}

fn figures(rounds: &[Round]) -> Vec<Figure> {
    let server = |value: fn(&Cost) -> f64| rounds.iter().map(|r| value(&r.server)).collect();
    let floor = |value: fn(&Cost) -> f64| {
        rounds.iter().filter_map(|r| r.floor.as_ref().map(value)).collect::<Vec<_>>()
    };
    let ratio = |value: fn(&Cost) -> f64| {
        let of = |round: &Round| Some(value(round.floor.as_ref()?) / value(&round.server));
        rounds.iter().filter_map(of).collect::<Vec<_>>()
    };
    let (cpu, wall) = (|cost: &Cost| cost.cpu_us, |cost: &Cost| cost.wall_us);
    let mut figures = vec![
        Figure::new(
            "broadcast.cpu_us_per_delivery",
            "processor time per delivery",
            "µs",
            server(cpu),
        ),
        Figure::new("broadcast.wall_us_per_delivery", "wall time per delivery", "µs", server(wall)),
    ];
    if rounds.iter().any(|round| round.floor.is_some()) {
        let (must, stretch) = (Bound::AtLeast(0.85), Bound::AtLeast(0.9));
        figures.splice(
            0..0,
            [
                Figure::new(
                    "broadcast.cpu_ratio",
                    "the floor's processor time through the server's",
                    "×",
                    ratio(cpu),
                )
                .must("R9", must, Some(stretch)),
                Figure::new(
                    "broadcast.wall_ratio",
                    "the floor's wall time through the server's",
                    "×",
                    ratio(wall),
                ),
            ],
        );
        let name = "processor time per delivery, floor";
        figures.push(Figure::new("broadcast.floor_cpu_us_per_delivery", name, "µs", floor(cpu)));
        let name = "wall time per delivery, floor";
        figures.push(Figure::new("broadcast.floor_wall_us_per_delivery", name, "µs", floor(wall)));
    }
    figures
}

fn plot(rounds: &[Round]) -> Plot {
    let axis = |name: &str, unit: &str| Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        logarithmic: false,
    };
    let line = |name: &str, values: Vec<Option<f64>>| {
        let points = (1..).map(number).zip(values);
        let points = points.filter_map(|(x, y)| Some((x, y?))).collect();
        Line { name: name.to_owned(), points }
    };
    let server = rounds.iter().map(|round| Some(round.server.cpu_us)).collect();
    let floor = rounds.iter().map(|round| round.floor.map(|floor| floor.cpu_us)).collect();
    let mut lines = vec![line("harkara", server), line("floor", floor)];
    lines.retain(|line| !line.points.is_empty());
    Plot {
        title: "Processor time per delivery, round by round".to_owned(),
        x: axis("round", ""),
        y: axis("processor time", "µs"),
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(server: f64, floor: Option<f64>) -> Round {
        let cost = |us| Cost { cpu_us: us, wall_us: 2.0 * us };
        Round { server: cost(server), floor: floor.map(cost) }
    }

    fn args() -> Args {
        Args {
            url: "ws://h:1".to_owned(),
            sessions: 10,
            messages: 4,
            bytes: 200,
            rounds: 2,
            server_pid: 1,
            floor: true,
            pin: None,
            out: None,
        }
    }

    #[test]
    fn a_server_near_its_floor_has_a_ratio_near_one() {
        let measured = measured(&args(), 660, &[round(10.0, Some(9.0)), round(16.0, Some(16.0))]);
        let ratio = &measured.figures[0];
        assert_eq!(
            (ratio.key.as_str(), &ratio.rounds[..]),
            ("broadcast.cpu_ratio", &[0.9, 1.0][..])
        );
        assert_eq!(ratio.holds(), Some(true));
        assert_eq!(measured.plots[0].lines.len(), 2);
        let twice = super::measured(&args(), 660, &[round(20.0, Some(10.0))]);
        assert_eq!(twice.figures[0].holds(), Some(false), "twice the floor's cost is half of it");
    }

    #[test]
    fn without_a_floor_there_is_no_ratio() {
        let measured = measured(&args(), 660, &[round(10.0, None)]);
        assert_eq!(measured.figures.len(), 2);
        assert_eq!(measured.plots[0].lines.len(), 1);
    }
}
