//! `storm`: everybody is cut off at the same moment and comes back with the ticket and the cursors of
//! the session before. What counts is how long it takes, from the first attempt, until a session is
//! live and told that nothing is missing; an attempt that fails is made again after the pause that
//! the server asks for, or one that grows.

use std::{cell::Cell, path::PathBuf, rc::Rc, time::Duration};

use anyhow::bail;

use crate::{
    effort::{Effort, Spent, share_note},
    figures::{Axis, Bound, Figure, Measured, Plot},
    ids::Id,
    out,
    pin::Pin,
    process,
    ramp::{
        pace::{self, Pace},
        started::{self, Started},
    },
    raw::{self, Gate, Reader, Tally, frames::Frames},
    rooms,
    sample::{Sample, arrivals, ms, number, percentiles},
    times,
};

/// Everybody must be live after so many seconds, and 95 of 100 after so many milliseconds.
const ALL_S: f64 = 30.0;
const P95_MS: f64 = 10_000.0;

/// Attempts of one session at most, the pauses between which add up to minutes.
const ATTEMPTS: u32 = 20;

/// Settings of `storm`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the gateway is: ws://host:port
    #[arg(long)]
    pub url: String,
    /// Sessions
    #[arg(long, default_value_t = 2_000)]
    pub sessions: usize,
    /// Rooms of ten that everybody is in
    #[arg(long, default_value_t = 10)]
    pub conversations: usize,
    /// Storms
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Seconds over which the first attempts are spread: what clients wait at random
    #[arg(long, default_value_t = 1.0)]
    pub spread: f64,
    /// Seconds to wait before each storm
    #[arg(long, default_value_t = 2)]
    pub settle: u64,
    /// The server's process; several where there are several
    #[arg(long, required = true, num_args = 1..)]
    pub server_pid: Vec<u32>,
    /// Keep the server's processes on one core and this one on another
    #[arg(long, num_args = 0..=1, default_missing_value = Pin::USUAL, value_name = "SERVER:GENERATOR")]
    pub pin: Option<Pin>,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// One storm.
#[derive(Debug)]
struct Round {
    latency: Sample,
    /// When each was live, in rising order, counted from the cut.
    live: Vec<Duration>,
    /// Attempts that failed.
    again: u64,
    spent: Spent,
}

impl Round {
    fn all_s(&self) -> f64 {
        self.live.last().map_or(0.0, Duration::as_secs_f64)
    }
}

/// Measures and tells; false where it took too long.
///
/// # Errors
/// When the rooms can't be made, or somebody does not come back to what they had.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    if args.sessions == 0 || args.rounds == 0 || args.spread <= 0.0 {
        bail!("nothing to measure: ask for at least one session, one round and a spread above 0");
    }
    process::need_files(args.sessions)?;
    if let Some(pin) = args.pin {
        pin.place(&args.server_pid)?;
    }
    let rounds = tokio::task::LocalSet::new().run_until(rounds(&args)).await?;
    let measured = measured(&args, &rounds);
    measured.tell(args.out.as_deref())?;
    Ok(measured.figures.iter().all(|figure| figure.holds() != Some(false)))
}

async fn rounds(args: &Args) -> anyhow::Result<Vec<Round>> {
    let prefix = format!("storm:{}:", times::new_id());
    let accounts = raw::accounts(&args.url, &prefix, args.sessions).await?;
    let plan = rooms::plan(args.sessions, args.conversations, rooms::ROOM);
    out::note(format!("making {} rooms", plan.len()));
    rooms::make(&args.url, &accounts, &plan, &[]).await?;
    let crowd = Crowd { args, gate: Gate::of(&args.url).await?, tally: Rc::default() };
    // The first time with tokens, as fast as it goes.
    let bearers: Vec<&str> = accounts.iter().map(|account| account.token.as_str()).collect();
    let nothing = vec!["{}".to_owned(); args.sessions];
    let (_, mut sessions) = crowd.come(0, Pace::AtOnce(64), &bearers, &nothing).await?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for number in 1..=args.rounds {
        tokio::time::sleep(Duration::from_secs(args.settle)).await;
        if crowd.tally.ended.get() > 0 {
            bail!("{} sessions ended before the storm", crowd.tally.ended.get());
        }
        let params = crowd.params(&sessions)?;
        out::note(format!("storm {number} of {}", args.rounds));
        drop(sessions);
        let rate = Pace::Rate(self::number(args.sessions) / args.spread);
        let nobody = vec![""; args.sessions];
        let round;
        (round, sessions) = crowd.come(number, rate, &nobody, &params).await?;
        for session in &sessions {
            Started::read(&session.answer)?.check_resumed(args.conversations)?;
        }
        rounds.push(round);
    }
    Ok(rounds)
}

/// A session that is live and read, and the answer to its `session.start`.
struct Session {
    _reader: Reader,
    answer: Vec<u8>,
}

/// Everybody.
struct Crowd<'a> {
    args: &'a Args,
    gate: Gate,
    tally: Rc<Tally>,
}

impl Crowd<'_> {
    /// What each says that comes back.
    fn params(&self, sessions: &[Session]) -> anyhow::Result<Vec<String>> {
        let params = sessions.iter().map(|session| {
            let started = Started::read(&session.answer)?;
            let heads: Vec<(Id, u64)> = started.heads(self.args.conversations)?;
            let Some(ticket) = &started.ticket else { bail!("the server gives no tickets") };
            Ok(started::resume(&heads, ticket))
        });
        params.collect()
    }

    async fn come(
        &self,
        round: usize,
        pace: Pace,
        bearers: &[&str],
        params: &[String],
    ) -> anyhow::Result<(Round, Vec<Session>)> {
        let count = params.len();
        let again = Cell::new(0);
        let effort = Effort::begin(&self.args.server_pid)?;
        let begin = async |place: usize| {
            let number = round * count + place;
            let mut attempt = 0;
            let opened = loop {
                match self.gate.open(number, bearers[place], &params[place]).await {
                    Ok(opened) => break opened,
                    Err(error) if attempt + 1 >= ATTEMPTS => return Err(error),
                    Err(error) => {
                        again.set(again.get() + 1);
                        let asked = retry_after(&error.to_string());
                        tokio::time::sleep(asked.unwrap_or(times::backoff(attempt))).await;
                        attempt += 1;
                    }
                }
            };
            let reader = raw::read(opened.socket, Frames::after(opened.rest), &self.tally);
            Ok(Session { _reader: reader, answer: opened.answer })
        };
        let done = pace::drive(pace, effort.start(), count, begin).await?;
        let spent = effort.spent()?;
        let latency = done.iter().map(|it| it.time.done.saturating_sub(it.time.due)).collect();
        let mut live: Vec<_> = done.iter().map(|it| it.time.done).collect();
        live.sort_unstable();
        let sessions = done.into_iter().map(|done| done.value).collect();
        Ok((Round { latency, live, again: again.get(), spent }, sessions))
    }
}

/// The pause that a refused upgrade asks for.
fn retry_after(refusal: &str) -> Option<Duration> {
    let refusal = refusal.to_ascii_lowercase();
    let (_, rest) = refusal.split_once("retry-after:")?;
    let seconds = rest.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn measured(args: &Args, rounds: &[Round]) -> Measured {
    let each = |read: &dyn Fn(&Round) -> f64| rounds.iter().map(read).collect::<Vec<f64>>();
    let samples: Vec<Sample> = rounds.iter().map(|round| round.latency.clone()).collect();
    let of_each = |round: &Round| ms(round.spent.server) / number(args.sessions);
    let mut figures = vec![
        Figure::new(
            "storm.all_s",
            "everybody is live and at the head after",
            "s",
            each(&Round::all_s),
        )
        .must("all", Bound::AtMost(ALL_S), None),
        Figure::new(
            "storm.p95_ms",
            "connect to live, p95, refusals and pauses included",
            "ms",
            each(&|round| ms(round.latency.percentile(95))),
        )
        .must("p95", Bound::AtMost(P95_MS), None),
        Figure::new(
            "storm.again",
            "attempts that failed",
            "attempts",
            each(&|round| number(usize::try_from(round.again).unwrap_or(usize::MAX))),
        ),
        Figure::new(
            "storm.cpu_ms",
            "processor time of the server per session",
            "ms",
            each(&of_each),
        ),
    ];
    figures.extend(percentiles("storm", "connect to live", &samples));
    let axis = |name: &str, unit: &str| Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        logarithmic: false,
    };
    let lines =
        (1..).zip(rounds).map(|(n, round): (u32, _)| arrivals(&format!("storm {n}"), &round.live));
    let spent: Vec<Spent> = rounds.iter().map(|round| round.spent).collect();
    Measured {
        title: format!(
            "storm: {} sessions with {} conversations each",
            args.sessions, args.conversations
        ),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        figures,
        plots: vec![Plot {
            title: "Live sessions after the cut".to_owned(),
            x: axis("time", "s"),
            y: axis("live", "sessions"),
            lines: lines.collect(),
        }],
        notes: vec![
            format!(
                "everybody is cut off at once; first attempts spread over {} s, with ticket and cursors \
                 and without a token",
                args.spread
            ),
            share_note("storms", &spent),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let refusal = "no upgrade: HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\n";
        assert_eq!(retry_after(refusal), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("session 3: no answer in 20s"), None);
    }

    #[test]
    fn rounds_become_figures() {
        let at = Duration::from_secs;
        let spent = Spent { server: at(1), own: at(1), wall: at(2) };
        let latency = [at(1), at(2), at(11)].into_iter().collect();
        let round = Round { latency, live: vec![at(1), at(2), at(31)], again: 4, spent };
        let args = Args {
            url: "ws://h:1".to_owned(),
            sessions: 3,
            conversations: 10,
            rounds: 1,
            spread: 1.0,
            settle: 1,
            server_pid: vec![1],
            pin: None,
            out: None,
        };
        let measured = measured(&args, &[round]);
        let holds = |key: &str| {
            measured.figures.iter().find(|figure| figure.key == key).and_then(Figure::holds)
        };
        assert_eq!((holds("storm.all_s"), holds("storm.p95_ms")), (Some(false), Some(false)));
    }
}
