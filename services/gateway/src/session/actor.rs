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
    lists,
    open::{Open, Reply},
    reads, start,
    state::{Phase, Rate, State},
};
use crate::{
    auth::Identity,
    frames_come_decoded,
    gateway::Gateway,
    transport::{Inbound, SocketHandle, WebsocketContext},
};

type Ctx = WebsocketContext<SessionActor>;

/// Close code 1003: binary frames on the JSON subprotocol.
const UNSUPPORTED_DATA: u16 = 1003;
/// Close code 1008: not authenticated in time.
const POLICY: u16 = 1008;
/// Close code 4001: the token's time is over.
const TOKEN_EXPIRED: u16 = 4001;

/// One client's session.
pub struct SessionActor {
    open: Rc<Open>,
    state: State,
    granted: Option<Identity>,
    blocked: bool,
    heard_at: u64,
}

frames_come_decoded!(SessionActor);

impl SessionActor {
    /// A session whose upgrade was just admitted.
    pub(crate) fn new(gateway: Rc<Gateway>, grant: Grant, socket: SocketHandle) -> Self {
        let config = &gateway.config;
        let burst = config.sends_burst;
        let rate = config.sends_per_second_max.map(|per_second| Rate { per_second, burst });
        let now = gateway.clock.elapsed_ns();
        Self {
            state: State::new(config.requests_in_flight_max, rate, now),
            granted: grant.0,
            blocked: false,
            heard_at: now,
            open: Rc::new(Open {
                gateway,
                socket,
                live: OnceCell::new(),
                typing: RefCell::default(),
                reads: Semaphore::new(1),
                expires_at_ms: Cell::new(u64::MAX),
            }),
        }
    }

    fn text(&mut self, text: &str, ctx: &mut Ctx) {
        let request = match json::decode_request(text) {
            Ok(request) => request,
            Err(bad) => return self.open.refuse(bad.id.as_ref(), &bad.error),
        };
        if let Err(error) = self.state.admit(&request.call, self.heard_at) {
            return self.open.refuse(Some(&request.id), &error);
        }
        self.run(request.id, request.call, ctx);
        self.pause_or_resume();
    }

    /// Starts a request; [`Self::answered`] follows when its answer is queued.
    fn run(&mut self, id: RequestId, call: Call, ctx: &mut Ctx) {
        let open = Rc::clone(&self.open);
        let span = tracing::debug_span!("request", method = call.method());
        let _entered = span.enter();
        match call {
            Call::SessionStart(params) => {
                let starting = start::start(open, id, params, self.granted.take());
                ctx.spawn(starting.into_actor(self).map(|well, actor, ctx| {
                    actor.state.started(well);
                    actor.answered();
                    actor.watch_expiry(ctx);
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
        if self.blocked || self.state.is_full() {
            self.open.socket.pause_reading();
        } else {
            self.open.socket.resume_reading();
        }
    }

    /// Ends the session when its token does.
    fn watch_expiry(&self, ctx: &mut Ctx) {
        let left = self.open.expires_at_ms.get().saturating_sub(self.open.gateway.clock.now_ms());
        // Timers of tokio reach two years; a token may outlive that, a session doesn't.
        let left = Duration::from_millis(left.min(30 * 24 * 3_600_000));
        ctx.run_later(left, |actor, ctx| {
            if actor.open.expires_at_ms.get() > actor.open.gateway.clock.now_ms() {
                return actor.watch_expiry(ctx);
            }
            actor.end(TOKEN_EXPIRED, "token_expired", "token expired");
        });
    }

    fn end(&self, code: u16, reason: &'static str, message: &str) {
        self.open.gateway.metrics.evicted(reason);
        self.open.socket.close(code, message);
    }

    /// Pings at intervals that differ by up to a fifth, so that sessions which came together
    /// don't ping together; two intervals of silence mean that nobody is there.
    fn heartbeat(&self, ctx: &mut Ctx) {
        let period = self.open.gateway.config.heartbeat.as_millis().max(1);
        let jitter = self.open.gateway.entropy.below(period / 5 + 1);
        let next = Duration::from_millis(period - period / 10 + jitter);
        ctx.run_later(next, move |actor, ctx| {
            let silent = actor.open.gateway.clock.elapsed_ns().saturating_sub(actor.heard_at);
            if silent > 2 * period * 1_000_000 {
                actor.open.gateway.metrics.evicted("silent");
                return actor.open.socket.reset();
            }
            let _ = actor.open.socket.ping(b"");
            actor.heartbeat(ctx);
        });
    }
}

impl Actor for SessionActor {
    type Context = Ctx;

    fn started(&mut self, ctx: &mut Ctx) {
        let patience = self.open.gateway.config.session_start_timeout.into();
        ctx.run_later(patience, |actor, _| {
            if actor.state.phase() != Phase::Live {
                actor.end(POLICY, "not_authenticated", "no valid session.start in time");
            }
        });
        self.heartbeat(ctx);
    }

    fn stopped(&mut self, _: &mut Ctx) {
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
            Inbound::Ping(_) | Inbound::Pong(_) | Inbound::Drained | Inbound::Closed(_) => {}
        }
    }
}
