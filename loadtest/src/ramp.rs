//! `ramp`: what it costs that sessions come, and that they come back. Rounds alternate between the
//! two: everybody connects with a token that the server has not seen, is cut off, and resumes with
//! the same token and its cursors, which is what the protocol offers for coming back.
//!
//! Sessions start at a constant rate, whatever happens to those before ([`pace::Pace::Rate`]), or as
//! fast as the server takes so many at one time.

use std::{path::PathBuf, rc::Rc, time::Duration};

use anyhow::bail;

use crate::{
    effort::{Effort, Spent},
    figures::Measured,
    ids::Id,
    out,
    pin::Pin,
    process,
    raw::{self, Gate, Reader, Tally, frames::Frames},
    rooms, times,
    wire::token::Account,
};

mod outcome;
pub mod pace;
pub mod started;

use outcome::{Leg, Round};
use pace::Pace;
use started::Started;

/// Settings of `ramp`.
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
    /// Rounds, each with connects and resumes; one more comes before them to warm up
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Sessions started a second, whether or not those before are live; else as many as go
    #[arg(long)]
    pub rate: Option<f64>,
    /// Sessions that are being started at one time, where there is no rate
    #[arg(long, default_value_t = 64)]
    pub at_once: usize,
    /// Seconds to wait after all have come and after all have gone
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

/// Measures and tells.
///
/// # Errors
/// See [`measure`].
pub async fn run(args: Args) -> anyhow::Result<bool> {
    measure(&args).await?.tell(args.out.as_deref())?;
    Ok(true)
}

/// Measures.
///
/// # Errors
/// When the rooms can't be made, or a session can't be opened or lacks a conversation.
pub async fn measure(args: &Args) -> anyhow::Result<Measured> {
    if args.sessions == 0 || args.rounds == 0 || args.rate.is_some_and(|rate| rate <= 0.0) {
        bail!("nothing to measure: ask for at least one session, one round and a rate above 0");
    }
    process::need_files(args.sessions)?;
    tokio::task::LocalSet::new().run_until(rounds(args)).await
}

async fn rounds(args: &Args) -> anyhow::Result<Measured> {
    if let Some(pin) = args.pin {
        pin.place(&args.server_pid)?;
    }
    let mut run = Run::prepare(args).await?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for number in 0..=args.rounds {
        out::note(match number {
            0 => "warming up".to_owned(),
            _ => format!("round {number} of {}", args.rounds),
        });
        let round = run.round(number).await?;
        if number > 0 {
            rounds.push(round);
        }
    }
    Ok(outcome::measured(args, &rounds))
}

/// Everybody who comes and goes.
struct Run<'a> {
    args: &'a Args,
    gate: Gate,
    /// Users' names begin with it; other runs have other users, so that lists have the asked length.
    prefix: String,
    /// Sockets opened so far: each leg takes other source addresses, since a closed connection
    /// keeps its port for a minute.
    sockets: usize,
    tally: Rc<Tally>,
}

/// A session that is live and read, and the answer to its `session.start`.
struct Session {
    _reader: Reader,
    answer: Vec<u8>,
}

impl<'a> Run<'a> {
    async fn prepare(args: &'a Args) -> anyhow::Result<Self> {
        let prefix = format!("ramp:{}:", times::new_id());
        let accounts = raw::accounts(&args.url, &prefix, args.sessions).await?;
        let plan = rooms::plan(args.sessions, args.conversations, rooms::ROOM);
        out::note(format!("making {} rooms", plan.len()));
        rooms::make(&args.url, &accounts, &plan, &[]).await?;
        let gate = Gate::of(&args.url).await?;
        Ok(Self { args, gate, prefix, sockets: 0, tally: Rc::default() })
    }

    async fn round(&mut self, number: usize) -> anyhow::Result<Round> {
        let device = format!("round{number}");
        let count = self.args.sessions;
        // Tokens are got before anything is counted: making them is not part of a connect.
        let accounts = raw::accounts_on(&self.args.url, &self.prefix, &device, count).await?;
        self.settle().await;
        let nothing = vec!["{}".to_owned(); count];
        let (connect, sessions) = self.leg(&accounts, &nothing).await?;
        let cursors = self.cursors(&sessions)?;
        let end = self.end(sessions).await?;
        let (resume, sessions) = self.leg(&accounts, &cursors).await?;
        for session in &sessions {
            Started::read(&session.answer)?.check_resumed(self.args.conversations)?;
        }
        self.end(sessions).await?;
        Ok(Round { connect, resume, end })
    }

    /// Starts a session for everybody.
    async fn leg(
        &mut self,
        accounts: &[Account],
        params: &[String],
    ) -> anyhow::Result<(Leg, Vec<Session>)> {
        let (gate, tally, first) = (&self.gate, &self.tally, self.sockets);
        self.sockets += accounts.len();
        let pace = match self.args.rate {
            Some(rate) => Pace::Rate(rate),
            None => Pace::AtOnce(self.args.at_once.max(1)),
        };
        let effort = Effort::begin(&self.args.server_pid)?;
        let begin = async |place: usize| {
            let bearer = &accounts[place].token;
            let opened = gate.open(first + place, bearer, &params[place]).await?;
            let reader = raw::read(opened.socket, Frames::after(opened.rest), tally);
            Ok(Session { _reader: reader, answer: opened.answer })
        };
        let done = pace::drive(pace, effort.start(), accounts.len(), begin).await?;
        let rush = effort.spent()?;
        // What the server put off belongs to it, too.
        self.settle().await;
        let spent = Spent { server: effort.spent()?.server, ..rush };
        if tally.ended.get() > 0 {
            bail!("{} sessions ended that should have stayed", tally.ended.get());
        }
        let (times, sessions) = done.into_iter().map(|done| (done.time, done.value)).unzip();
        Ok((Leg::new(times, spent), sessions))
    }

    /// What each would say that has stored everything: the head of each of its conversations.
    fn cursors(&self, sessions: &[Session]) -> anyhow::Result<Vec<String>> {
        let conversations = self.args.conversations;
        let cursors = sessions.iter().map(|session| {
            let heads: Vec<(Id, u64)> = Started::read(&session.answer)?.heads(conversations)?;
            Ok(started::cursors(&heads))
        });
        cursors.collect()
    }

    /// Cuts everybody off, as a lost network does, and waits until the server has dealt with it.
    async fn end(&self, sessions: Vec<Session>) -> anyhow::Result<Duration> {
        let effort = Effort::begin(&self.args.server_pid)?;
        drop(sessions);
        self.settle().await;
        Ok(effort.spent()?.server)
    }

    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(self.args.settle)).await;
    }
}
