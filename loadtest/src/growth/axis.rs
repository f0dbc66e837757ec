//! The axes of growth: which points they have, and how a point is set up for a round.

use std::time::Duration;

use anyhow::ensure;

use super::{Args, Taken, fill, quiet, used};
use crate::{
    out,
    steady::{Harkara, Plan, Stage},
};

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Sessions that are open
    Sessions,
    /// Messages that each conversation has already
    History,
    /// Conversations that are written in
    Conversations,
}

impl Kind {
    /// In keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::History => "history",
            Self::Conversations => "conversations",
        }
    }

    /// For people.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::History => "messages in a conversation",
            Self::Conversations => "conversations",
        }
    }

    /// Its points.
    ///
    /// # Errors
    /// When they are too few, or do not rise.
    pub(super) fn values(self, args: &Args) -> anyhow::Result<Vec<usize>> {
        let values = match self {
            Self::Sessions => &args.sessions,
            Self::History => &args.history,
            Self::Conversations => &args.conversations,
        };
        let name = self.name();
        ensure!(
            values.len() >= 2 && values.is_sorted_by(|a, b| a < b) && values[0] > 0,
            "--{name} must be two rising numbers or more, three for a plot that says something"
        );
        if self == Self::Conversations {
            let least = values[0];
            ensure!(
                values.iter().all(|value| value.is_multiple_of(least)),
                "--{name} must be multiples of the first, {least}: the same people are in all of them"
            );
        }
        Ok(values.clone())
    }
}

/// An axis with what has been set up on it.
pub(super) struct Axis<'a> {
    kind: Kind,
    args: &'a Args,
    points: Vec<Place>,
}

/// A point.
struct Place {
    value: usize,
    plan: Plan,
    /// The server with the users and rooms of this point, if they are there.
    system: Option<Harkara>,
}

impl<'a> Axis<'a> {
    pub(super) fn new(kind: Kind, args: &'a Args, values: &[usize]) -> Self {
        let sessions = |value| match kind {
            Kind::Sessions => value / args.room * args.room,
            Kind::History => args.history_rooms * args.room,
            Kind::Conversations => values[0] * args.room,
        };
        let place =
            |&value: &usize| Place { value, plan: args.plan(sessions(value)), system: None };
        Self { kind, args, points: values.iter().map(place).collect() }
    }

    /// A round at a point.
    pub(super) async fn take(&mut self, place: usize) -> anyhow::Result<Taken> {
        let plan = self.points[place].plan;
        plan.check()?;
        let pids = &self.args.server.server_pid;
        let mut system = match self.points[place].system.take() {
            Some(system) => system,
            None => self.set_up(place).await?,
        };
        let mut stage = Stage::open(&mut system, plan.shape).await?;
        if !quiet(pids).await? {
            out::note("the server does not come to rest: costs contain what it does besides");
        }
        let upkeep = match self.kind {
            Kind::Sessions => Some(used(pids, Duration::from_secs(plan.seconds.into())).await?),
            Kind::History | Kind::Conversations => None,
        };
        let run = stage.round(&plan).await?;
        if !self.wears_out(place) {
            self.points[place].system = Some(system);
        }
        Ok(Taken { run, upkeep })
    }

    /// Are the point's conversations no longer those of the point after the rounds? A short history
    /// would become a long one.
    fn wears_out(&self, place: usize) -> bool {
        let Place { value, plan, .. } = &self.points[place];
        let grows = plan.messages() as usize * self.args.rounds / self.args.history_rooms.max(1);
        self.kind == Kind::History && grows > value / 2
    }

    async fn set_up(&self, place: usize) -> anyhow::Result<Harkara> {
        let Place { value, plan, .. } = &self.points[place];
        let server = &self.args.server;
        let depth = match self.kind {
            Kind::Sessions | Kind::History => 1,
            Kind::Conversations => value / self.points[0].value,
        };
        let mut system = Harkara::new(server.url.clone(), server.server_pid.clone(), false, depth)
            .named(format!("harkara, {value} {}", self.kind.what()));
        if self.kind == Kind::History {
            fill::fill(&mut system, plan.shape, *value).await?;
        }
        Ok(system)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(more: &[&str]) -> Args {
        let line = ["growth", "--url", "ws://h:1", "--server-pid", "1"];
        Cli::parse_from(line.iter().chain(more)).args
    }

    #[test]
    fn points_are_the_same_people_where_people_do_not_grow() {
        let args = args(&["--room", "20", "--rounds", "2"]);
        let sessions = |kind: Kind| -> Vec<usize> {
            let axis = Axis::new(kind, &args, &kind.values(&args).unwrap());
            axis.points.iter().map(|place| place.plan.shape.sessions).collect()
        };
        assert_eq!(sessions(Kind::Sessions), [1_000, 4_000, 19_000]);
        assert_eq!(sessions(Kind::History), [200, 200, 200]);
        assert_eq!(sessions(Kind::Conversations), [2_000, 2_000, 2_000]);
    }

    #[test]
    fn a_history_that_would_double_is_made_anew() {
        let args = args(&[]);
        let axis = Axis::new(Kind::History, &args, &args.history);
        // Five rounds of 6,000 messages in ten rooms: 3,000 in each.
        assert!(axis.wears_out(0) && !axis.wears_out(1) && !axis.wears_out(2));
        assert!(!Axis::new(Kind::Sessions, &args, &[1_000, 2_000]).wears_out(0));
    }

    #[test]
    fn axes_that_say_nothing_are_refused() {
        for bad in [["--sessions", "1000"], ["--sessions", "2000,1000"], ["--sessions", "0,10"]] {
            assert!(Kind::Sessions.values(&args(&bad)).is_err(), "{bad:?}");
        }
        let odd = args(&["--conversations", "100,250"]);
        assert!(Kind::Conversations.values(&odd).is_err());
    }
}
