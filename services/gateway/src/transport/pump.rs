//! The one task of a session: polls its actor, writes what is queued, ends the socket.
//!
//! The actor is polled whether or not the socket takes bytes, so its timers and its mailbox work
//! while a client does not read; it sees its queued bytes and decides. Everything queued at one
//! wake goes out in one write: a factor of five over a write a frame.

use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;

use super::{Socket, frames, outbox::Outbox, reader::poll_scratch, socket::Shared};

/// What a closing socket reads and throws away at most, so that the kernel does not answer late
/// bytes with a reset that overtakes the close frame.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

/// The end of a session, step by step.
struct Closing {
    deadline: Pin<Box<Sleep>>,
    shut: bool,
    discarded: usize,
}

/// Owns the socket, the actor (inside its context) and the place in the count of sessions.
pub(super) struct Pump<Io: Socket, C, G> {
    io: Shared<Io>,
    outbox: Rc<Outbox>,
    /// `None` once the actor has stopped.
    actor: Option<C>,
    closing: Option<Box<Closing>>,
    _guard: G,
}

impl<Io, C, E, G> Pump<Io, C, G>
where
    Io: Socket,
    C: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub(super) fn new(io: Shared<Io>, outbox: Rc<Outbox>, actor: C, guard: G) -> Self {
        Self { io, outbox, actor: Some(actor), closing: None, _guard: guard }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut all_out = true;
        for repeated in [false, true] {
            self.poll_actor(context);
            if self.outbox.reset.get() || self.outbox.is_overfull() {
                return self.reset();
            }
            if self.outbox.gone.get() {
                return Poll::Ready(());
            }
            match self.flush(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                out => all_out = out.is_ready(),
            }
            // What the actor asked for, or waits to hear, may concern what was polled before.
            if !(self.outbox.note_drained() | self.outbox.take_again()) {
                break;
            }
            if repeated {
                // Other sessions of the thread come first.
                context.waker().wake_by_ref();
            }
        }
        if self.outbox.is_closing() { self.finish(all_out, context) } else { Poll::Pending }
    }

    /// Runs the actor. What it wrote with its context's own methods is queued behind its frames.
    fn poll_actor(&mut self, context: &mut Context<'_>) {
        while let Some(actor) = &mut self.actor {
            match Pin::new(actor).poll_next(context) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(bytes))) => self.outbox.push(bytes),
                Poll::Ready(Some(Err(_)) | None) => {
                    self.actor = None;
                    // A session that stops says why; this one did not.
                    self.outbox.close(1011, frames::encode_close(1011, "session ended"));
                }
            }
        }
    }

    /// Writes until the kernel has everything, or takes no more.
    fn flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = &mut *self.io.borrow_mut();
        loop {
            let written = self.outbox.with_head(|slices| match slices {
                [only] => Pin::new(&mut *io).poll_write(context, only),
                many => Pin::new(&mut *io).poll_write_vectored(context, many),
            });
            match written {
                // TLS may hold a record that the socket did not take; a plain socket has no more.
                None => return Pin::new(io).poll_flush(context),
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(Ok(0))) => {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Some(Poll::Ready(taken)) => self.outbox.consume(taken?),
            }
        }
    }

    /// After a close frame is queued: flush it, send FIN, read to the peer's end; all of it within
    /// `close_timeout`.
    fn finish(&mut self, all_out: bool, context: &mut Context<'_>) -> Poll<()> {
        let timeout = self.outbox.settings.limits.close_timeout;
        let closing = self.closing.get_or_insert_with(|| {
            let deadline = Box::pin(tokio::time::sleep(timeout));
            Box::new(Closing { deadline, shut: false, discarded: 0 })
        });
        let late = closing.deadline.as_mut().poll(context).is_ready();
        if !all_out {
            return if late { self.reset() } else { Poll::Pending };
        }
        if late {
            return Poll::Ready(());
        }
        let io = &mut *self.io.borrow_mut();
        if !closing.shut {
            // An error here is met again by the read below.
            let _ = ready!(Pin::new(&mut *io).poll_shutdown(context));
            closing.shut = true;
        }
        while closing.discarded < DISCARDED_BYTES_MAX {
            match ready!(poll_scratch(io, context, |_| ())) {
                Ok(0) | Err(_) => break,
                Ok(read) => closing.discarded += read,
            }
        }
        Poll::Ready(())
    }

    fn reset(&self) -> Poll<()> {
        if let Err(error) = self.io.borrow().prepare_reset() {
            tracing::debug!(%error, "socket can not be reset and is closed");
        }
        Poll::Ready(())
    }
}

impl<Io, C, E, G> Future for Pump<Io, C, G>
where
    Io: Socket,
    C: Stream<Item = Result<Bytes, E>> + Unpin,
    G: Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.outbox.begin_poll();
        let done = this.turn(context);
        this.outbox.end_poll(context.waker());
        done
    }
}

impl<Io: Socket, C, G> Drop for Pump<Io, C, G> {
    /// Also when the actor panicked or the thread stops: handles must learn that the socket is gone
    /// before the actor's `stopped` runs.
    fn drop(&mut self) {
        self.outbox.finish();
    }
}
