//! What the rounds of a ramp yield: figures, plots, and what limits them.

use std::time::Duration;

use super::{Args, pace::Time};
use crate::{
    effort::{Spent, share_note},
    figures::{Axis, Bound, Figure, Measured, Plot},
    pin::Pin,
    sample::{Sample, arrivals, distributions, ms, number, percentiles},
};

/// Verified tokens that a server remembers unless told otherwise. It may forget some well before
/// that, and then verifies them again at a resume.
const REMEMBERED: usize = 12_000;

/// Everybody came once.
#[derive(Debug)]
pub struct Leg {
    latency: Sample,
    /// When each was live, in rising order, counted from the beginning.
    live: Vec<Duration>,
    spent: Spent,
}

impl Leg {
    /// Of each session's times and what all of them took.
    pub fn new(times: Vec<Time>, spent: Spent) -> Self {
        let latency = times.iter().map(|time| time.done.saturating_sub(time.due)).collect();
        let mut live: Vec<_> = times.into_iter().map(|time| time.done).collect();
        live.sort_unstable();
        Self { latency, live, spent }
    }

    fn per_second(&self) -> f64 {
        let last = self.live.last().map_or(0.0, Duration::as_secs_f64);
        number(self.live.len()) / last.max(f64::MIN_POSITIVE)
    }

    fn cpu_ms(&self) -> f64 {
        ms(self.spent.server) / number(self.live.len())
    }
}

/// Everybody connected, was cut off and came back.
#[derive(Debug)]
pub struct Round {
    /// With new tokens.
    pub connect: Leg,
    /// With known tokens and cursors.
    pub resume: Leg,
    /// The server's processor time for the cut between.
    pub end: Duration,
}

/// All of it.
pub fn measured(args: &Args, rounds: &[Round]) -> Measured {
    let connects: Vec<&Leg> = rounds.iter().map(|round| &round.connect).collect();
    let resumes: Vec<&Leg> = rounds.iter().map(|round| &round.resume).collect();
    let mut figures = costs(args, rounds, &connects, &resumes);
    let [connect, resume] = [&connects, &resumes]
        .map(|legs| legs.iter().map(|leg| leg.latency.clone()).collect::<Vec<_>>());
    figures.extend(percentiles("ramp.connect", "connect to live", &connect));
    figures.extend(percentiles("ramp.resume", "resume to live", &resume));
    let lines = [("connect", &connect), ("resume", &resume)].map(|(name, rounds)| (name, rounds));
    let lines = lines.map(|(name, rounds)| Sample::merged(rounds).distribution(name));
    let mut plots = vec![distributions("From connecting to live", "latency", lines.into())];
    plots.extend(rounds.last().map(live));
    Measured {
        title: format!(
            "ramp: {} sessions with {} conversations each",
            args.sessions, args.conversations
        ),
        command: command(args),
        figures,
        plots,
        notes: notes(args, &connects, &resumes),
    }
}

fn costs(args: &Args, rounds: &[Round], connects: &[&Leg], resumes: &[&Leg]) -> Vec<Figure> {
    let of = |legs: &[&Leg], value: fn(&Leg) -> f64| legs.iter().map(|leg| value(leg)).collect();
    let (cpu, rate) = ("processor time of the server per", "a second");
    let bounds = |must, stretch| (Bound::AtMost(must), Some(Bound::AtMost(stretch)));
    let (connect, resume) = (bounds(0.2, 0.1), bounds(0.1, 0.05));
    let ends = rounds.iter().map(|round| ms(round.end) / number(args.sessions)).collect();
    vec![
        Figure::new(
            "ramp.cpu_ms_per_connect",
            &format!("{cpu} authenticated connect"),
            "ms",
            of(connects, Leg::cpu_ms),
        )
        .must("R8", connect.0, connect.1),
        Figure::new(
            "ramp.cpu_ms_per_resume",
            &format!("{cpu} resume"),
            "ms",
            of(resumes, Leg::cpu_ms),
        )
        .must("R8", resume.0, resume.1),
        Figure::new("ramp.cpu_ms_per_end", &format!("{cpu} lost session"), "ms", ends),
        Figure::new(
            "ramp.connects_per_second",
            &format!("connects {rate}"),
            "1/s",
            of(connects, Leg::per_second),
        ),
        Figure::new(
            "ramp.resumes_per_second",
            &format!("resumes {rate}"),
            "1/s",
            of(resumes, Leg::per_second),
        ),
    ]
}

/// Live sessions over time in one round.
fn live(round: &Round) -> Plot {
    let axis = |name: &str, unit: &str| Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        logarithmic: false,
    };
    Plot {
        title: "Live sessions, last round".to_owned(),
        x: axis("time", "s"),
        y: axis("live", "sessions"),
        lines: vec![
            arrivals("connect", &round.connect.live),
            arrivals("resume", &round.resume.live),
        ],
    }
}

fn notes(args: &Args, connects: &[&Leg], resumes: &[&Leg]) -> Vec<String> {
    let spent = |legs: &[&Leg]| legs.iter().map(|leg| leg.spent).collect::<Vec<_>>();
    let mut notes = vec![
        "connect: a token that the server has not seen, no cursors; resume: the same token again \
         and a cursor for each conversation, nothing missed"
            .to_owned(),
        "everybody is cut off before anybody comes back: nobody keeps a conversation subscribed \
         for the others"
            .to_owned(),
        match args.rate {
            Some(rate) => {
                format!("open loop, {rate} a second: latency counts from the intended time")
            }
            None => format!("{} at one time, each from its first packet", args.at_once),
        },
        share_note("connects", &spent(connects)),
        share_note("resumes", &spent(resumes)),
    ];
    if args.sessions * (args.rounds + 2) > REMEMBERED {
        notes.push(
            "more tokens than a server remembers by default (auth.cache_tokens_max): some resumes \
             had theirs verified again"
                .to_owned(),
        );
    }
    notes
}

fn command(args: &Args) -> String {
    let Args { url, sessions, conversations, rounds, settle, .. } = args;
    let pace = match args.rate {
        Some(rate) => format!("--rate {rate}"),
        None => format!("--at-once {}", args.at_once),
    };
    let pin = Pin::argument(args.pin);
    format!(
        "harkara-loadtest ramp --url {url} --server-pid PID --sessions {sessions} \
         --conversations {conversations} --rounds {rounds} {pace} --settle {settle}{pin}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(server: u64) -> Leg {
        let at = Duration::from_millis;
        let times = [(0, 30), (10, 20), (20, 500)];
        let times = times.map(|(due, done)| Time { due: at(due), done: at(done) });
        let spent = Spent { server: at(server), own: at(5), wall: at(500) };
        Leg::new(times.into(), spent)
    }

    #[test]
    fn rounds_become_figures() {
        let round = Round { connect: leg(3), resume: leg(6), end: Duration::from_millis(12) };
        let args = Args {
            url: "ws://h:1".to_owned(),
            sessions: 3,
            conversations: 10,
            rounds: 1,
            rate: Some(50.0),
            at_once: 64,
            settle: 1,
            server_pid: vec![1],
            pin: None,
            out: None,
        };
        let measured = measured(&args, &[round]);
        let value = |key: &str| {
            measured.figures.iter().find(|figure| figure.key == key).map(|f| f.rounds[0])
        };
        assert_eq!(value("ramp.cpu_ms_per_connect"), Some(1.0));
        assert_eq!(value("ramp.cpu_ms_per_resume"), Some(2.0));
        assert_eq!(value("ramp.cpu_ms_per_end"), Some(4.0));
        assert_eq!(value("ramp.connects_per_second"), Some(6.0));
        assert_eq!(value("ramp.connect_p50_ms"), Some(30.0));
        assert_eq!(value("ramp.resume_p99_ms"), Some(480.0));
        assert_eq!(measured.plots[1].lines[0].points.last(), Some(&(0.5, 3.0)));
        assert!(measured.command.contains("--rate 50 "), "{}", measured.command);
    }
}
