//! A session's socket: everything between the bytes of one WebSocket and the session actor.
//!
//! [`crate::http`] checks an upgrade and calls [`open`]; from then on one task, the [`pump`], owns
//! the socket. It polls the actor's context, whose input is the [`reader`] (bytes to checked
//! messages, by [`decoder`] and [`fragments`]) and whose output is the [`outbox`] (frames encoded
//! once by [`frames`], written together with one `writev` a wake).
//!
//! Danger: all of it lives on one worker thread and shares `Rc`s. No borrow of a `RefCell` may be
//! held while the actor is polled, because the actor calls back into its [`SocketHandle`].

#[cfg(test)]
mod allocations;
mod decoder;
mod fragments;
pub mod frames;
mod outbox;
mod pump;
mod queue;
mod reader;
mod socket;

use std::{net::SocketAddr, rc::Rc, time::Duration};

use actix::{Actor, AsyncContext, StreamHandler};
pub use actix_http::ws::{CloseCode, CloseReason};
use actix_http::ws::{Message, ProtocolError};
pub use actix_web_actors::ws::WebsocketContext;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::stream;
use harkara_service_runtime::clock::SharedClock;
use secrecy::SecretString;

#[cfg(feature = "fuzzing")]
pub(crate) use self::decoder::trial;
use self::{outbox::Outbox, pump::Pump, reader::Reader};
pub use self::{
    outbox::{Sent, SocketHandle},
    socket::{Socket, SocketOptions},
};

/// What a client may send, and how much may wait for it. Per session, all bounds in bytes of user
/// space; the kernel's send buffer ([`SocketOptions::send_buffer_bytes`]) comes on top.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Payload of one data frame. The header is checked first, so that a larger frame costs at most
    /// what one read brought. Default 64 KiB, the protocol's `frame_bytes_max`.
    pub frame_bytes_max: usize,
    /// Payload of one message joined from fragments. Default 64 KiB: fragments buy no room.
    pub message_bytes_max: usize,
    /// Fragments of one message. Default 1,024: 64 bytes each fill a message of 64 KiB.
    pub fragments_max: u32,
    /// Fragments of one message that carry nothing. Default 16: clients send at most a last one.
    pub empty_fragments_max: u32,
    /// Pings and pongs a second. Default 64: clients ping every 10 to 30 s, and bursts of ten exist.
    pub control_frames_per_second_max: u32,
    /// Hard bound of frames waiting to be written; one byte more resets the connection. Default
    /// 1 MiB: 1,700 events of 600 bytes, or half a second at 2 MiB/s.
    pub queued_bytes_max: usize,
    /// How long a closing socket may take to flush the close frame and to see the peer's end.
    /// Default 2 s: a round trip of 800 ms and one retransmission.
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 64 * 1024,
            message_bytes_max: 64 * 1024,
            fragments_max: 1024,
            empty_fragments_max: 16,
            control_frames_per_second_max: 64,
            queued_bytes_max: 1024 * 1024,
            close_timeout: Duration::from_secs(2),
        }
    }
}

/// What all sessions of one worker thread share: one pointer in each of them.
#[derive(Clone)]
pub struct Settings {
    /// Bounds of every session.
    pub limits: Limits,
    /// Measures control frames per second.
    pub clock: SharedClock,
}

/// How requests and events are written on this socket; chosen by the subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `harkara.v1.json`: one JSON-RPC object a text frame.
    Json,
}

/// What the upgrade found out about a client.
#[derive(Debug)]
pub struct Upgrade {
    /// The client, where a trusted proxy named it; else the other end of the TCP connection.
    pub peer: SocketAddr,
    /// The token of `Authorization: Bearer …`, unchecked.
    pub bearer: Option<SecretString>,
    /// From the subprotocol that was agreed on.
    pub encoding: Encoding,
}

/// A "no" to an upgrade, as the HTTP answer it becomes: the status and
/// `{"error": {"code", "message"}}`.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// One word for programs, such as `unauthenticated`.
    pub code: &'static str,
    /// What was wrong and what would be right.
    pub message: String,
    /// Becomes `Retry-After`, in whole seconds.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without `Retry-After`.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// 401: the token is not valid.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(401, "unauthenticated", message)
    }

    /// 403: the token or origin is valid and not allowed here.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "forbidden", message)
    }

    /// 503 with `Retry-After`: not now.
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        let refusal = Self::new(503, "unavailable", message);
        Self { retry_after: Some(retry_after), ..refusal }
    }
}

/// Decides over upgrades and makes their sessions. One on each worker thread, made there.
pub trait Sessions: 'static {
    /// What [`Self::admit`] learned about the client, such as the checked token's claims.
    type Grant: 'static;
    /// The session. [`frames_come_decoded!`](crate::frames_come_decoded) writes the last bound.
    type Actor: Actor<Context = WebsocketContext<Self::Actor>>
        + StreamHandler<Inbound>
        + StreamHandler<Result<Message, ProtocolError>>;

    /// Admission and token check, before the handshake is answered.
    ///
    /// # Errors
    /// The HTTP answer to send instead.
    fn admit(&self, upgrade: &Upgrade) -> Result<Self::Grant, Refusal>;

    /// Makes the session of an admitted upgrade. Its `started` runs on this thread's next poll.
    fn start(&self, upgrade: Upgrade, grant: Self::Grant, socket: SocketHandle) -> Self::Actor;
}

/// What a socket tells its session. The stream ends after `Closed`, after `Violation`, after the
/// session's own [`SocketHandle::close`] and when the peer is gone; `finished` then stops the actor.
#[derive(Debug)]
pub enum Inbound {
    /// A whole text message, joined and proven UTF-8.
    Text(ByteString),
    /// A whole binary message. What it is worth is the session's decision.
    Binary(Bytes),
    /// A ping; the pong is already on its way. A sign of life.
    Ping(Bytes),
    /// A pong. A sign of life.
    Pong(Bytes),
    /// What was queued went below the mark of [`SocketHandle::notify_below`].
    Drained,
    /// The peer's close frame; the answer is already on its way.
    Closed(Option<CloseReason>),
    /// The peer broke the protocol or a limit; a close frame with this code is on its way.
    Violation {
        /// Close code: 1002, 1007, 1008 or 1009.
        code: u16,
        /// The close frame's reason.
        why: &'static str,
    },
}

/// Implements what [`WebsocketContext`] asks of every actor and no session needs: its own frame
/// decoder is given an empty stream, since the [`Inbound`] one joins, limits and checks as well.
#[macro_export]
macro_rules! frames_come_decoded {
    ($actor:ty) => {
        impl
            ::actix::StreamHandler<
                Result<::actix_http::ws::Message, ::actix_http::ws::ProtocolError>,
            > for $actor
        {
            fn handle(
                &mut self,
                _: Result<::actix_http::ws::Message, ::actix_http::ws::ProtocolError>,
                _: &mut Self::Context,
            ) {
            }

            /// The empty stream's end says nothing about the socket.
            fn finished(&mut self, _: &mut Self::Context) {}
        }
    };
}

/// Starts a session on an upgraded socket: spawns its pump on this thread.
///
/// `leftover` are bytes that came behind the handshake, `greeting` those that answer it; `guard` is
/// dropped when the session and its socket are gone.
pub fn open<S: Sessions, Io: Socket>(
    (io, leftover, greeting): (Io, BytesMut, Bytes),
    (upgrade, grant): (Upgrade, S::Grant),
    sessions: &Rc<S>,
    settings: &Rc<Settings>,
    guard: impl Unpin + 'static,
) {
    let (io, outbox) = (socket::share(io), Rc::new(Outbox::new(Rc::clone(settings))));
    outbox.push(greeting);
    let reader = Reader::new(Rc::clone(&io), Rc::clone(&outbox), leftover);
    let handle = SocketHandle::new(Rc::clone(&outbox));
    let sessions = Rc::clone(sessions);
    let context = WebsocketContext::with_factory(stream::empty(), move |context| {
        context.add_stream(reader);
        sessions.start(upgrade, grant, handle)
    });
    actix_rt::spawn(Pump::new(io, outbox, context, guard));
}
