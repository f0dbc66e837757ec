//! The shell around a device's state machine: does what it wants done, and tells it what happens.
//! One task; dropping it is the death of the device's process.

use std::{cell::RefMut, rc::Rc, time::Duration};

use harkara_client::{
    Outcome, Start, Tuning, Update, Why,
    journal::Entry,
    machine::{Effect, Ended, Failure, Machine},
};
use harkara_domain::{ConversationId, Seq};
use tokio::time::sleep;

use super::{
    Around, Device, Visit,
    habits::Habits,
    socket::{Frame, Socket},
    witness::Saw,
};

/// Bytes that the kernels of both ends hold in each direction.
const KERNEL_BYTES: usize = 16 * 1024;

/// Never, as a pause.
const DAY_MS: u64 = 86_400_000;

/// A life of a device's process.
pub struct Shell {
    device: Rc<Device>,
    around: Around,
    habits: Habits,
    socket: Option<Socket>,
    dial_at: Option<u64>,
}

impl Shell {
    /// Begins with what is on the device's disk.
    #[must_use]
    pub fn new(device: Rc<Device>, around: Around, acts: bool) -> Self {
        let saved = device.kept.borrow().saved();
        let mut habits = Habits::new(&device, &around, acts);
        habits.remember(saved.cursors.keys().copied());
        let start =
            if device.who.number.is_multiple_of(2) { Start::Beginning } else { Start::Head };
        let machine = Machine::new(tuning(), start, saved);
        *device.machine.borrow_mut() = Some(machine);
        device.witness.note(Saw::Begun);
        Self { device, around, habits, socket: None, dial_at: None }
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        loop {
            self.act();
            self.settle();
            self.wait().await;
        }
    }

    fn now(&self) -> u64 {
        self.around.world.now_ms()
    }

    fn machine(&self) -> RefMut<'_, Machine> {
        RefMut::map(self.device.machine.borrow_mut(), |machine| {
            machine.get_or_insert_with(|| Machine::new(tuning(), Start::Head, Default::default()))
        })
    }

    /// What is due by itself.
    fn act(&mut self) {
        let now = self.now();
        if self.device.line.cut.take() && self.socket.take().is_some() {
            self.ended(Why::Lost("the line was cut".to_owned()));
        }
        if self.dial_at.is_some_and(|at| at <= now) {
            self.dial_at = None;
            self.dial();
        }
        self.machine().tick(now);
        if self.habits.due() <= now {
            let device = Rc::clone(&self.device);
            if let Some(machine) = &mut *device.machine.borrow_mut() {
                self.habits.act(&device, machine);
            }
        }
    }

    /// Does what the machine wants, until it wants nothing.
    fn settle(&mut self) {
        loop {
            let effects = self.machine().take_effects();
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.apply(effect));
        }
    }

    async fn wait(&mut self) {
        let now = self.now();
        let line = &self.device.line;
        let (stalled, mute) = (line.stalled_until.get(), line.mute_until.get());
        let blocked = [stalled, mute].into_iter().filter(|until| *until > now);
        let wake = self.machine().wake_at(now).min(self.habits.due());
        let wake =
            wake.min(self.dial_at.unwrap_or(u64::MAX)).min(blocked.min().unwrap_or(u64::MAX));
        let pause = Duration::from_millis(wake.saturating_sub(now).min(DAY_MS));
        let (reads, writes) = (stalled.max(mute) <= now, mute <= now);
        let moves = async {
            match &mut self.socket {
                Some(socket) => socket.moves(reads, writes).await,
                None => std::future::pending().await,
            }
        };
        let lives = tokio::select! {
            biased;
            () = line.changed.notified() => true,
            lives = moves => lives,
            () = sleep(pause) => true,
        };
        self.read();
        if !lives && self.socket.take().is_some() {
            self.ended(Why::Lost("the connection ended without a word".to_owned()));
        }
    }

    fn read(&mut self) {
        while let Some(frame) = self.socket.as_mut().and_then(Socket::frame) {
            let now = self.now();
            match frame {
                Frame::Text(text) => {
                    if let Some((conversation, seq)) = event_of(&text) {
                        self.device.witness.note(Saw::Wire(conversation, seq));
                    }
                    self.machine().frame(now, &text);
                    self.settle();
                }
                Frame::Life => self.machine().heard(now),
                Frame::Close(code, reason) => {
                    self.socket = None;
                    self.ended(Why::Closed { code, reason });
                }
            }
        }
    }

    fn ended(&mut self, why: Why) {
        self.around.world.note(|| format!("device {}  {why}", self.device.who.number));
        let (now, roll) = (self.now(), self.device.dice.roll().number());
        self.machine().closed(now, Ended(why), roll);
    }

    /// To any gateway whose door is open; behind it may be one that is frozen.
    fn dial(&mut self) {
        let now = self.now();
        let entrance = {
            let entrances = self.around.entrances.borrow();
            let doors: Vec<_> = entrances.values().collect();
            self.device.dice.roll().pick(&doors).map(|door| (*door).clone())
        };
        let (line, end) = tokio::io::duplex(KERNEL_BYTES);
        let visit = Visit { line: end, who: self.device.who };
        if entrance.is_some_and(|entrance| entrance.try_send(visit).is_ok()) {
            self.device.witness.note(Saw::Opened);
            self.socket = Some(Socket::new(line));
            self.machine().opened(now);
        } else {
            let roll = self.device.dice.roll().number();
            self.machine().failed(now, Failure::Network("no gateway".to_owned()), roll);
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { .. } => {
                let way = self.around.world.latency().as_millis() as u64;
                self.dial_at = Some(self.now() + 2 * way);
            }
            Effect::Transmit(text) => {
                if let Some(socket) = &mut self.socket {
                    socket.text(&text);
                }
            }
            Effect::Ping => {
                if let Some(socket) = &mut self.socket {
                    socket.ping();
                }
            }
            Effect::Disconnect => {
                if self.socket.take().is_some() {
                    self.ended(Why::Silent);
                }
            }
            Effect::Note(entry) => self.device.kept.borrow_mut().write(entry),
            Effect::Reply { ticket, result } => {
                let device = Rc::clone(&self.device);
                self.habits.answered(&device, ticket, result);
            }
            Effect::Update(update) => self.updated(update),
            Effect::Stop(stopped) => {
                self.around
                    .world
                    .note(|| format!("device {}  stopped: {stopped}", self.device.who.number));
            }
        }
    }

    fn updated(&mut self, update: Update) {
        let witness = &self.device.witness;
        match update {
            Update::Connected { conversations, .. } => {
                for entry in conversations {
                    let conversation = entry.id.0;
                    self.habits.remember([conversation]);
                    if let (Some(from), Some(head), Some(read), Some(unread)) =
                        (entry.from, entry.head, entry.read, entry.unread)
                    {
                        let (from, head, read) = (from.0, head.0, read.0);
                        witness.note(Saw::Entry { conversation, from, head, read, unread });
                    }
                }
            }
            Update::Event(event) => {
                self.habits.remember([event.conversation]);
                witness.note(Saw::Event(event.conversation, event.seq, event.chain));
                self.handled(event.conversation, event.seq);
            }
            Update::Conversation { change, entry } => {
                self.habits.remember([entry.id.0]);
                let left = change == harkara_client::Change::Removed;
                let saw = if left { Saw::Left } else { Saw::Appeared };
                witness.note(saw(entry.id.0));
            }
            Update::Reset { conversation, from } => {
                witness.note(Saw::Reset(conversation));
                self.handled(conversation, from.saturating_sub(1));
            }
            Update::Skipped { conversation, first, last } => {
                witness.note(Saw::Skipped(conversation, first, last));
            }
            Update::Accepted { conversation, client_id } => {
                witness.note(Saw::Accepted(conversation, client_id));
            }
            Update::Outcome { conversation, client_id, outcome } => witness.note(match outcome {
                Outcome::Settled { seq } => Saw::Settled(conversation, client_id, seq),
                Outcome::Rejected { .. } => Saw::Rejected(conversation, client_id),
            }),
            Update::Read { conversation, user, seq } => {
                witness.note(Saw::Read(conversation, user, seq));
            }
            Update::Typing { .. } | Update::Disconnected { .. } | Update::Stopped(_) => {}
        }
    }

    /// A person has seen it; a crash may forget that.
    fn handled(&self, conversation: ConversationId, seq: Seq) {
        if self.device.dice.roll().permille(700) {
            self.device.kept.borrow_mut().write(Entry::Handled(conversation, seq));
        }
    }
}

/// Shorter than a person's, so that troubles are over within a run.
fn tuning() -> Tuning {
    Tuning {
        backoff_ms_max: 3_000,
        connect_ms_max: 5_000,
        answer_ms_max: 5_000,
        outcome_ms_max: 5_000,
        old_ms: 10_000,
        call_ms_max: 15_000,
        ..Tuning::default()
    }
}

/// Where a frame is an event: which one.
fn event_of(text: &str) -> Option<(ConversationId, Seq)> {
    let rest = text.split_once("\"method\":\"event\"")?.1;
    let rest = rest.split_once("\"conversation\":\"")?.1;
    let (conversation, rest) = rest.split_once('"')?;
    let rest = rest.split_once("\"seq\":")?.1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((conversation.parse().ok()?, digits.parse().ok()?))
}
