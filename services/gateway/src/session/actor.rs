//! The session's actor: a thin shell that decodes frames, asks [`State`] whether they may run,
//! starts them and answers. Its socket is driven by [`crate::transport`].

use std::{
    cell::{Cell, OnceCell, RefCell},
    future::Future,
    rc::Rc,
    time::Duration,
};

use actix::prelude::*;
use harkara_protocol::{
    client::{Call, RequestId},
    json,
};
use harkara_service_runtime::Step;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{
    Grant, commands,
    commands::{Rest, Started},
    fence, lists,
    open::{Open, Reply},
    reads, start,
    state::{Rate, State},
};
use crate::{
    auth::Identity,
    frames_come_decoded,
    gateway::Gateway,
    transport::{Inbound, SocketHandle, WebsocketContext},
};

type Ctx = WebsocketContext<SessionActor>;

/// Timers fire at the end of a millisecond: one more, so that what is waited for has come.
const TIMER_TICK: Duration = Duration::from_millis(1);

/// Pings go out at multiples of this, so that a thread wakes once for all that are due: waking cost
/// more than pinging (ADR 12). 250,000 sessions on four threads, 30 s apart, are 210 pings each
/// time: two milliseconds.
const PING_TICK: u64 = 100_000_000;

/// Close code 1003: binary frames on the JSON subprotocol.
const UNSUPPORTED_DATA: u16 = 1003;
/// Close code 1008: not authenticated in time.
const POLICY: u16 = 1008;
/// Close code 4001: the token's time is over, or its key was withdrawn.
const TOKEN_ENDED: u16 = 4001;

/// One client's session.
pub struct SessionActor {
    open: Rc<Open>,
    state: State,
    /// There until the session is somebody's.
    arrival: Option<Box<Arrival>>,
    blocked: bool,
    /// Not read from, because it sends what is refused.
    resting: bool,
    heard_at: u64,
    ping_at: u64,
}

/// With these a session's task, socket and actor lie in 640 bytes; the next size of the allocator is
/// 768.
const _: () = assert!(size_of::<SessionActor>() <= 88);

/// What a session has until it is live. For most of its life it is, so this lies apart.
struct Arrival {
    /// What the upgrade's token said.
    granted: Option<Identity>,
    /// Its place among the sockets that are nobody's session yet.
    visitor: Option<usize>,
    start_by: u64,
}

frames_come_decoded!(SessionActor);

impl SessionActor {
    /// A session whose upgrade was just admitted.
    pub(crate) fn new(gateway: Rc<Gateway>, grant: Grant, socket: SocketHandle) -> Self {
        let config = &gateway.config;
        let burst = config.sends_burst;
        let rate = config.sends_per_second_max.map(|per_second| Rate { per_second, burst });
        let now = gateway.clock.elapsed_ns();
        let start_by = now + config.session_start_timeout.as_millis() * 1_000_000;
        let mut actor = Self {
            state: State::new(config.requests_in_flight_max, rate, now),
            arrival: Some(Box::new(Arrival { granted: grant.0, visitor: None, start_by })),
            blocked: false,
            resting: false,
            heard_at: now,
            ping_at: now,
            open: Rc::new(Open {
                gateway,
                socket,
                live: OnceCell::new(),
                typing: RefCell::default(),
                fences: fence::Fences::default(),
                reads: Semaphore::new(1),
                expires_at_ms: Cell::new(u64::MAX),
                signed_by: Cell::new(None),
            }),
        };
        actor.ping_at = actor.next_ping(now);
        actor
    }

    fn text(&mut self, text: &str, ctx: &mut Ctx) {
        let request = match json::decode_request(text) {
            Ok(request) => request,
            Err(bad) => return self.open.refuse(bad.id.as_ref(), &bad.error),
        };
        if self.is_behind(&request.id, &request.call, ctx) {
            return;
        }
        if let Err(error) = self.state.admit(&request.call, self.heard_at) {
            return match request.call {
                Call::MessageSend(send) => {
                    self.open.refuse_send(&request.id, send.conversation.0, &error);
                }
                _ => self.open.refuse(Some(&request.id), &error),
            };
        }
        self.run(request.id, request.call, ctx);
        self.pause_or_resume();
    }

    /// Refuses a send behind one that was refused. A client that goes on nevertheless is not read
    /// from for a while: that is cheaper for both, and takes nothing from those who wait.
    fn is_behind(&mut self, id: &RequestId, call: &Call, ctx: &mut Ctx) -> bool {
        let Call::MessageSend(send) = call else { return false };
        let stopped = self.open.fences.stops(send.conversation.0, self.heard_at);
        let Some(behind) = stopped else { return false };
        self.open.refuse(Some(id), &behind.error());
        if let Some(rest_ns) = behind.rest_ns.filter(|_| !self.resting) {
            self.resting = true;
            self.pause_or_resume();
            ctx.run_later(Duration::from_nanos(rest_ns), |actor, _| {
                actor.resting = false;
                actor.pause_or_resume();
            });
        }
        true
    }

    /// Starts a request; [`Self::answered`] follows when its answer is queued.
    fn run(&mut self, id: RequestId, call: Call, ctx: &mut Ctx) {
        let open = Rc::clone(&self.open);
        let span = tracing::debug_span!("request", method = call.method());
        let _entered = span.enter();
        match call {
            Call::SessionStart(params) => {
                let granted = self.arrival.as_ref().and_then(|arrival| arrival.granted.clone());
                let starting = start::start(open, id, params, granted);
                ctx.spawn(starting.into_actor(self).map(|well, actor: &mut Self, ctx| {
                    actor.state.started(well);
                    if well {
                        actor.arrived();
                    }
                    actor.answered();
                    // A token may end before the timer that runs would look.
                    let now = actor.open.gateway.clock.elapsed_ns();
                    if actor.expires_at(now) < actor.ping_at {
                        actor.watch(ctx);
                    }
                }));
            }
            Call::MessageSend(params) => match commands::send(&open, id, params) {
                Started::Done => self.answered(),
                Started::Running(rest) => self.finish(rest, ctx),
                Started::Blocking(rest) => self.block(rest, ctx),
            },
            Call::ConversationCreate(p) => self.reply(id, commands::create(open, p), ctx),
            Call::ConversationUpdate(p) => self.reply(id, commands::update(open, p), ctx),
            Call::ConversationLeave(p) => self.reply(id, commands::leave(open, p), ctx),
            Call::MembersAdd(p) => self.reply(id, commands::add(open, p), ctx),
            Call::MembersRemove(p) => self.reply(id, commands::remove(open, p), ctx),
            Call::MembersSetRole(p) => self.reply(id, commands::set_role(open, p), ctx),
            Call::MembersList(p) => self.reply(id, lists::members(open, p), ctx),
            Call::ConversationGet(p) => self.reply(id, lists::get(open, p), ctx),
            Call::ConversationList(p) => self.reply(id, lists::list(open, p), ctx),
            Call::UsersGet(p) => self.reply(id, lists::users(open, p), ctx),
            Call::UsersFind(p) => self.reply(id, lists::find(open, p), ctx),
            Call::TimelineRead(p) => self.reply(id, reads::timeline(open, p), ctx),
            Call::ReadAdvance(p) => self.reply(id, reads::advance(open, p), ctx),
            Call::TypingSet(p) => self.reply(id, reads::typing(open, p), ctx),
        }
    }

    /// Nobody waits for its `session.start` any more.
    fn arrived(&mut self) {
        if let Some(visitor) = self.arrival.take().and_then(|arrival| arrival.visitor) {
            self.open.gateway.forget_visitor(visitor);
        }
    }

    fn reply<T: Serialize + 'static>(
        &self,
        id: RequestId,
        result: impl Future<Output = Reply<T>> + 'static,
        ctx: &mut Ctx,
    ) {
        let open = Rc::clone(&self.open);
        let begun = open.gateway.clock.elapsed_ns();
        let answer = async move {
            let result = result.await;
            open.reply(&id, result);
            let nanos = open.gateway.clock.elapsed_ns().saturating_sub(begun);
            open.gateway.metrics.step(Step::Request, nanos);
        };
        self.finish(Box::pin(tracing::Instrument::in_current_span(answer)), ctx);
    }

    fn finish(&self, rest: Rest, ctx: &mut Ctx) {
        ctx.spawn(rest.into_actor(self).map(|(), actor: &mut Self, _| actor.answered()));
    }

    /// Nothing more is read until this is done: it decides about order.
    fn block(&mut self, rest: Rest, ctx: &mut Ctx) {
        self.blocked = true;
        ctx.spawn(rest.into_actor(self).map(|(), actor: &mut Self, _| {
            actor.blocked = false;
            actor.answered();
        }));
    }

    fn answered(&mut self) {
        self.state.answered();
        self.pause_or_resume();
    }

    /// A client that asks faster than it can be answered is held back by its own TCP window.
    fn pause_or_resume(&self) {
        if self.blocked || self.resting || self.state.is_full() {
            self.open.socket.pause_reading();
        } else {
            self.open.socket.resume_reading();
        }
    }

    fn end(&self, code: u16, reason: &'static str, message: &str) {
        self.open.gateway.metrics.evicted(reason);
        self.open.socket.close(code, message);
    }

    /// The session's only timer (a timer costs 200 bytes): wakes for what comes first of the next
    /// ping, the end of the patience with whoever doesn't start, and the end of the token.
    fn watch(&self, ctx: &mut Ctx) {
        let now = self.open.gateway.clock.elapsed_ns();
        let deadline =
            self.arrival.as_ref().map_or_else(|| self.expires_at(now), |arrival| arrival.start_by);
        let wait = self.ping_at.min(deadline).saturating_sub(now);
        ctx.run_later(Duration::from_nanos(wait) + TIMER_TICK, Self::wake);
    }

    fn wake(&mut self, ctx: &mut Ctx) {
        let now = self.open.gateway.clock.elapsed_ns();
        if let Some(arrival) = &self.arrival {
            if now >= arrival.start_by {
                return self.end(POLICY, "not_authenticated", "no valid session.start in time");
            }
        } else {
            if now >= self.expires_at(now) {
                return self.end(TOKEN_ENDED, "token_expired", "token expired");
            }
            if now >= self.ping_at && !self.open.gateway.stands(self.open.signed_by.get()) {
                return self.end(TOKEN_ENDED, "token_revoked", "token revoked");
            }
        }
        if now >= self.ping_at {
            let period = self.open.gateway.config.heartbeat.as_millis() * 1_000_000;
            if now.saturating_sub(self.heard_at) > 2 * period {
                self.open.gateway.metrics.evicted("silent");
                return self.open.socket.reset();
            }
            let mark = self.open.fences.unseen();
            let _ = self.open.socket.ping(mark.as_ref().map_or(&[], |mark| mark));
            self.ping_at = self.next_ping(now);
        }
        self.watch(ctx);
    }

    /// When the next ping goes out: intervals differ by up to a fifth, so that sessions which came
    /// together don't ping together; those of one [`PING_TICK`] do.
    fn next_ping(&self, now: u64) -> u64 {
        let period = self.open.gateway.config.heartbeat.as_millis().max(1) * 1_000_000;
        let wait = period - period / 10 + self.open.gateway.entropy.below(period / 5 + 1);
        (now + wait).next_multiple_of(PING_TICK.min(period))
    }

    /// When the token ends, on the clock that never goes back. Looked at again at each ping, so a
    /// wall clock that was set right counts.
    fn expires_at(&self, now: u64) -> u64 {
        let left = self.open.expires_at_ms.get().saturating_sub(self.open.gateway.clock.now_ms());
        now.saturating_add(left.saturating_mul(1_000_000))
    }
}

impl Actor for SessionActor {
    type Context = Ctx;

    fn started(&mut self, ctx: &mut Ctx) {
        if let Some(arrival) = &mut self.arrival {
            arrival.visitor = self.open.gateway.remember_visitor(&self.open.socket);
        }
        self.watch(ctx);
    }

    fn stopped(&mut self, _: &mut Ctx) {
        self.arrived();
        if let Some(live) = self.open.live.get() {
            self.open.gateway.hub.unregister(live.key, live.inbox);
        }
    }
}

impl StreamHandler<Inbound> for SessionActor {
    fn handle(&mut self, inbound: Inbound, ctx: &mut Ctx) {
        self.heard_at = self.open.gateway.clock.elapsed_ns();
        match inbound {
            Inbound::Text(text) => self.text(&text, ctx),
            Inbound::Binary(_) => {
                self.end(UNSUPPORTED_DATA, "binary_frame", "harkara.v1.json takes text frames");
            }
            Inbound::Violation { code, why } => {
                tracing::debug!(code, why, "session ended: protocol broken");
                self.open.gateway.metrics.evicted("violation");
            }
            Inbound::Pong(payload) => {
                if let Ok(mark) = payload.as_ref().try_into() {
                    self.open.fences.seen(mark);
                }
            }
            Inbound::Ping(_) | Inbound::Drained | Inbound::Closed(_) => {}
        }
    }
}
