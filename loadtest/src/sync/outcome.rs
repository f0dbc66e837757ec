//! What the rounds of a sync yield.

use std::time::Duration;

use super::{Args, list::Synced};
use crate::{
    effort::{Spent, share_note},
    figures::{Bound, Figure, Measured},
    pin::Pin,
    sample::{Sample, distributions, ms, number},
};

/// Everybody has read their list.
#[derive(Debug)]
pub struct Round {
    /// What each came to.
    pub synced: Vec<Synced>,
    /// What all of it took.
    pub spent: Spent,
}

/// All of it.
pub fn measured(args: &Args, setup: Duration, rounds: &[Round]) -> Measured {
    let samples: Vec<Sample> = rounds
        .iter()
        .map(|round| round.synced.iter().map(|synced| synced.time).collect())
        .collect();
    let lines = (1..).zip(&samples).map(|(i, sample)| sample.distribution(&format!("round {i}")));
    let spent: Vec<Spent> = rounds.iter().map(|round| round.spent).collect();
    Measured {
        title: format!(
            "sync: {} users at once, {} conversations of {} members",
            args.users, args.conversations, args.members
        ),
        command: command(args),
        figures: figures(args, setup, rounds, &samples),
        plots: vec![distributions("Time to the whole list", "time", lines.collect())],
        notes: vec![
            "from the moment at which all begin to connect, each with a token that the server has \
             not seen, to the last entry of the list"
                .to_owned(),
            "the conversations were in use shortly before: their owners had them in memory"
                .to_owned(),
            share_note("lists", &spent),
        ],
    }
}

fn figures(args: &Args, setup: Duration, rounds: &[Round], samples: &[Sample]) -> Vec<Figure> {
    let at = |percent: usize| {
        let values = samples.iter().map(|sample| sample.percentile(percent).as_secs_f64());
        let (key, name) =
            (format!("sync.p{percent}_s"), format!("time to the whole list, p{percent}"));
        Figure::new(&key, &name, "s", values.collect())
    };
    let users = number(args.users);
    let of = |value: &dyn Fn(&Round) -> f64| rounds.iter().map(value).collect();
    let bytes = |round: &Round| round.synced.iter().map(|synced| synced.bytes).sum();
    vec![
        at(50),
        at(95).must("R10", Bound::AtMost(2.0), Some(Bound::AtMost(1.0))),
        at(99),
        at(100),
        Figure::new(
            "sync.cpu_ms_per_user",
            "processor time of the server per list",
            "ms",
            of(&|round| ms(round.spent.server) / users),
        ),
        Figure::new(
            "sync.bytes_per_user",
            "text sent per list",
            "B",
            of(&|round| number(bytes(round)) / users),
        ),
        Figure::new(
            "sync.setup_s",
            "making the conversations, until they were in all lists",
            "s",
            vec![setup.as_secs_f64()],
        ),
    ]
}

fn command(args: &Args) -> String {
    let Args { url, users, conversations, members, rounds, settle, .. } = args;
    let pin = Pin::argument(args.pin);
    format!(
        "harkara-loadtest sync --url {url} --server-pid PID --users {users} \
         --conversations {conversations} --members {members} --rounds {rounds} --settle {settle}{pin}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_figures() {
        let at = Duration::from_millis;
        let synced = |time| Synced { time: at(time), conversations: 3, bytes: 700 };
        let spent = Spent { server: at(30), own: at(10), wall: at(100) };
        let rounds = [Round { synced: vec![synced(1_500), synced(500)], spent }];
        let args = Args {
            url: "ws://h:1".to_owned(),
            users: 2,
            conversations: 3,
            members: 4,
            rounds: 1,
            settle: 0,
            server_pid: vec![1],
            pin: Pin::USUAL.parse().ok(),
            out: None,
        };
        let measured = measured(&args, at(9_000), &rounds);
        let value = |key: &str| {
            measured.figures.iter().find(|figure| figure.key == key).map(|f| f.rounds[0])
        };
        assert_eq!(value("sync.p50_s"), Some(0.5));
        assert_eq!(value("sync.p95_s"), Some(1.5));
        assert_eq!(value("sync.cpu_ms_per_user"), Some(15.0));
        assert_eq!(value("sync.bytes_per_user"), Some(700.0));
        assert_eq!(measured.figures[1].holds(), Some(true));
    }
}
