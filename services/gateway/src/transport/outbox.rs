//! What waits to be written to one client, and the session's handle on it.
//!
//! One ordered queue of encoded frames: the session, the hubs of its thread and the reader's own
//! answers all go through it, the [`super::pump`] empties it. Bounded in bytes by
//! `Limits::queued_bytes_max`; one byte over resets the connection, because a close frame could not
//! get through either.

use std::{
    cell::{Cell, RefCell},
    io::IoSlice,
    rc::Rc,
    task::Waker,
};

use actix_http::ws::CloseReason;
use bytes::Bytes;

use super::{Settings, frames, queue::Queue};

/// What became of a frame given to [`SocketHandle::send`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It will be written, in order.
    Queued,
    /// It went over `queued_bytes_max`: the connection is being reset, the client resumes from its
    /// cursors.
    Overflow,
    /// The session is closing or gone: the frame was dropped.
    Closed,
}

/// A session's handle on its socket. Cheap to clone, bound to its worker thread, harmless after
/// the socket is gone.
#[derive(Clone)]
pub struct SocketHandle(Rc<Outbox>);

impl SocketHandle {
    pub(super) fn new(outbox: Rc<Outbox>) -> Self {
        Self(outbox)
    }

    /// Queues one whole encoded frame ([`frames`]). Frames of one wake leave in one write.
    pub fn send(&self, frame: Bytes) -> Sent {
        let outbox = &self.0;
        if outbox.is_over() {
            return Sent::Closed;
        }
        if outbox.queued.get() + frame.len() > outbox.limit() {
            outbox.reset.set(true);
            outbox.wake();
            return Sent::Overflow;
        }
        outbox.push(frame);
        outbox.wake();
        Sent::Queued
    }

    /// Queues a ping. The answer comes as [`super::Inbound::Pong`].
    pub fn ping(&self, payload: &[u8]) -> Sent {
        self.send(frames::encode_ping(payload))
    }

    /// Queues a close frame behind everything queued before, then ends the session: the inbound
    /// stream ends, later frames are dropped, and the socket is closed when the peer has answered
    /// or after `close_timeout`. Only the first call counts.
    pub fn close(&self, code: u16, reason: &str) {
        self.0.close(code, frames::encode_close(code, reason));
        self.0.poll_again();
    }

    /// Sends RST and drops what is queued: for a client that does not read.
    pub fn reset(&self) {
        self.0.reset.set(true);
        self.0.poll_again();
    }

    /// Bytes handed over and not yet taken by the kernel.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.queued.get()
    }

    /// The close code that was sent or echoed; `Some(1005)` stands for a close without one.
    #[must_use]
    pub fn closing(&self) -> Option<u16> {
        Some(self.0.closing.get()).filter(|code| *code != 0)
    }

    /// Whether the socket is gone: nothing sent from now on can arrive.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.gone.get()
    }

    /// Asks for one [`super::Inbound::Drained`] as soon as at most `bytes` are queued.
    pub fn notify_below(&self, bytes: usize) {
        self.0.low_mark.set(Some(bytes));
        self.0.poll_again();
    }

    /// Stops reading: the client is held back by its own TCP window. Pongs and the peer's close
    /// wait too.
    pub fn pause_reading(&self) {
        self.0.paused.set(true);
    }

    /// The same for a reason of its own: nothing is read before neither holds.
    pub fn hold_reading(&self, hold: bool) {
        if self.0.held.replace(hold) && !hold {
            self.0.poll_again();
        }
    }

    /// Reads again.
    pub fn resume_reading(&self) {
        self.0.paused.set(false);
        self.0.poll_again();
    }
}

/// The queue, and the notes that handle, reader and pump of one session leave each other.
pub(super) struct Outbox {
    pub(super) settings: Rc<Settings>,
    queue: RefCell<Queue>,
    queued: Cell<usize>,
    /// Bytes the kernel has taken since the start.
    written: Cell<u64>,
    /// The last queued pong is out once `written` has reached this.
    pong_end: Cell<u64>,
    /// The newest ping's answer while an older pong waits: pongs never pile up (RFC 6455, 5.5.3).
    pong_next: RefCell<Option<Bytes>>,
    waker: RefCell<Option<Waker>>,
    low_mark: Cell<Option<usize>>,
    /// The low mark was reached and the session has not heard of it.
    pub(super) drained: Cell<bool>,
    /// Close code sent, 0 for none.
    closing: Cell<u16>,
    pub(super) gone: Cell<bool>,
    pub(super) reset: Cell<bool>,
    paused: Cell<bool>,
    held: Cell<bool>,
    polling: Cell<bool>,
    again: Cell<bool>,
}

impl Outbox {
    pub(super) fn new(settings: Rc<Settings>) -> Self {
        Self {
            settings,
            queue: RefCell::default(),
            queued: Cell::new(0),
            written: Cell::new(0),
            pong_end: Cell::new(0),
            pong_next: RefCell::default(),
            waker: RefCell::default(),
            low_mark: Cell::new(None),
            drained: Cell::new(false),
            closing: Cell::new(0),
            gone: Cell::new(false),
            reset: Cell::new(false),
            paused: Cell::new(false),
            held: Cell::new(false),
            polling: Cell::new(false),
            again: Cell::new(false),
        }
    }

    fn limit(&self) -> usize {
        self.settings.limits.queued_bytes_max
    }

    /// Whether what came past [`SocketHandle::send`] broke the bound.
    pub(super) fn is_overfull(&self) -> bool {
        self.queued.get() > self.limit()
    }

    /// Whether nothing is to be read now.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.get() || self.held.get()
    }

    /// Queues bytes without asking.
    pub(super) fn push(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queued.set(self.queued.get() + bytes.len());
            self.queue.borrow_mut().push(bytes);
        }
    }

    /// Whether no frame can be queued any more.
    pub(super) fn is_over(&self) -> bool {
        self.closing.get() != 0 || self.gone.get() || self.reset.get()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get() != 0
    }

    pub(super) fn close(&self, code: u16, frame: Bytes) {
        if !self.is_over() {
            self.push(frame);
            self.closing.set(code);
        }
    }

    /// Answers the peer's close frame, unless ours went first.
    pub(super) fn echo_close(&self, received: Option<&CloseReason>) {
        let code = received.map_or(1005, |reason| reason.code.into());
        self.close(code, frames::encode_close_echo(received));
    }

    /// Answers a ping; while an older answer waits, only the newest is kept.
    pub(super) fn pong(&self, payload: Bytes) {
        if self.is_over() {
            return;
        }
        if self.written.get() < self.pong_end.get() {
            *self.pong_next.borrow_mut() = Some(payload);
        } else {
            self.push(frames::encode_pong(&payload));
            self.pong_end.set(self.written.get() + self.queued.get() as u64);
        }
    }

    /// Runs `write` on the head of the queue; `None` when it is empty.
    pub(super) fn with_head<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> Option<R> {
        self.queue.borrow().with_head(write)
    }

    /// Takes off what the kernel took.
    pub(super) fn consume(&self, taken: usize) {
        self.queued.set(self.queued.get() - taken);
        self.written.set(self.written.get() + taken as u64);
        self.queue.borrow_mut().consume(taken);
        if self.written.get() >= self.pong_end.get()
            && let Some(payload) = self.pong_next.take()
        {
            self.pong(payload);
        }
    }

    /// Notes once that what is queued fell to the level the session asked for.
    pub(super) fn note_drained(&self) -> bool {
        let hit = self.low_mark.get().is_some_and(|mark| self.queued.get() <= mark);
        if hit {
            self.low_mark.set(None);
            self.drained.set(true);
        }
        hit
    }

    /// Wakes the pump, unless it is the one that is calling and will write anyway.
    fn wake(&self) {
        if !self.polling.get()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Like [`Self::wake`], and has the pump poll the session once more where it is polling now.
    fn poll_again(&self) {
        self.again.set(true);
        self.wake();
    }

    pub(super) fn take_again(&self) -> bool {
        self.again.take()
    }

    pub(super) fn begin_poll(&self) {
        self.polling.set(true);
        self.again.set(false);
    }

    pub(super) fn end_poll(&self, waker: &Waker) {
        self.polling.set(false);
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }

    /// The socket is gone: handles that outlive it keep neither bytes nor the task.
    pub(super) fn finish(&self) {
        self.gone.set(true);
        self.queued.set(0);
        self.queue.take();
        self.pong_next.take();
        self.waker.take();
    }
}
