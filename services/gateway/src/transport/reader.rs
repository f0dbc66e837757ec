//! The session's input: reads the socket through one scratch buffer of its worker thread, decodes,
//! and answers what the protocol answers by itself (pings, close, violations).
//!
//! Registered on the session's `WebsocketContext`, so it is polled by the [`super::pump`]'s task
//! and stands still while the session waits or has stopped.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use futures_util::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use super::{
    Inbound, Socket,
    decoder::{Decoder, Violation},
    frames,
    outbox::Outbox,
    socket::Shared,
};

/// One read. 16 KiB holds a wake's worth of requests and stays in the first-level cache.
const SCRATCH_BYTES: usize = 16 * 1024;

thread_local! {
    /// Shared by all sessions of the thread: an idle session has no read buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Reads once into the thread's buffer and gives what came to `take`. `Ok(0)` is the peer's end.
pub(super) fn poll_scratch<Io: AsyncRead + Unpin>(
    io: &mut Io,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(io).poll_read(context, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
}

/// The stream of one session's messages.
pub(super) struct Reader<Io> {
    io: Shared<Io>,
    outbox: Rc<Outbox>,
    decoder: Decoder,
}

impl<Io: Socket> Reader<Io> {
    pub(super) fn new(io: Shared<Io>, outbox: Rc<Outbox>, leftover: BytesMut) -> Self {
        let decoder = Decoder::new(&outbox.settings.limits, leftover);
        Self { io, outbox, decoder }
    }

    /// Gives the protocol's own answer before the session hears of a message.
    fn answer(&self, inbound: &Inbound) {
        match inbound {
            Inbound::Ping(payload) => self.outbox.pong(payload.clone()),
            Inbound::Closed(reason) => self.outbox.echo_close(reason.as_ref()),
            _ => {}
        }
    }

    fn violated(&self, Violation { code, why }: Violation) -> Inbound {
        self.outbox.close(code, frames::encode_close(code, why));
        Inbound::Violation { code, why }
    }
}

impl<Io: Socket> Stream for Reader<Io> {
    type Item = Inbound;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Inbound>> {
        let this = self.get_mut();
        loop {
            if this.outbox.is_over() {
                return Poll::Ready(None);
            }
            if this.outbox.drained.take() {
                return Poll::Ready(Some(Inbound::Drained));
            }
            if this.outbox.is_paused() {
                return Poll::Pending;
            }
            match this.decoder.next(&this.outbox.settings) {
                Ok(Some(inbound)) => {
                    this.answer(&inbound);
                    return Poll::Ready(Some(inbound));
                }
                Err(violation) => return Poll::Ready(Some(this.violated(violation))),
                Ok(None) => {}
            }
            let decoder = &mut this.decoder;
            let read =
                poll_scratch(&mut *this.io.borrow_mut(), context, |bytes| decoder.feed(bytes));
            match ready!(read) {
                Ok(1..) => {}
                // An end without a close frame (1006) or a broken connection: nobody to answer.
                Ok(0) | Err(_) => {
                    this.outbox.gone.set(true);
                    return Poll::Ready(None);
                }
            }
        }
    }
}
