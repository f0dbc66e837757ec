//! What a session and its thread's hub share: who it is, its way out, and the sends whose
//! `accepted` is still owed. Lives on one thread.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use harkara_domain::{ClientId, ConversationId, DeviceId, SessionId, TenantId, UserId};
use harkara_protocol::{
    client::{Notification, RequestId, replies::Accepted},
    json,
};
use tokio::sync::Semaphore;

use crate::{
    load::{Entry, Load},
    metrics::Metrics,
    sends::Sends,
    transport::{SocketHandle, frames::encode_text_frame},
};

/// The way out to one client: a bounded, ordered queue of frames.
pub trait Outlet {
    /// Queues a frame that was encoded before.
    fn send(&self, frame: Bytes);
    /// Bytes that wait for the client.
    fn queued_bytes(&self) -> usize;
    /// Says why and closes, after what is queued.
    fn close(&self, code: u16, reason: &str);
    /// Closes at once, without a word: the client doesn't read.
    fn reset(&self);
    /// Reads nothing from the client until this is taken back.
    fn hold_reading(&self, hold: bool);
}

impl Outlet for SocketHandle {
    fn send(&self, frame: Bytes) {
        // Closed or over its bound: the transport ends the session, and the client resumes.
        let _ = SocketHandle::send(self, frame);
    }

    fn queued_bytes(&self) -> usize {
        SocketHandle::queued_bytes(self)
    }

    fn close(&self, code: u16, reason: &str) {
        SocketHandle::close(self, code, reason);
    }

    fn reset(&self) {
        SocketHandle::reset(self);
    }

    fn hold_reading(&self, hold: bool) {
        SocketHandle::hold_reading(self, hold);
    }
}

/// A session as its hub sees it.
pub struct Peer {
    /// Which session.
    pub session: SessionId,
    /// Whose data.
    pub tenant: TenantId,
    /// Whose session.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// Its way out.
    pub outlet: Rc<dyn Outlet>,
    sends: RefCell<Sends>,
    /// One conversation is caught up at a time: the queue has room for one.
    pub catch_up: Semaphore,
    metrics: Rc<Metrics>,
}

impl Peer {
    /// A session that just authenticated.
    pub fn new(
        session: SessionId,
        (tenant, user, device): (TenantId, UserId, DeviceId),
        outlet: Rc<dyn Outlet>,
        metrics: Rc<Metrics>,
        load: Rc<Load>,
    ) -> Self {
        Self {
            session,
            tenant,
            user,
            device,
            outlet,
            sends: RefCell::new(Sends::new(load)),
            catch_up: Semaphore::new(1),
            metrics,
        }
    }

    /// Queues the JSON of one message.
    pub fn send_json(&self, json: &[u8]) {
        self.outlet.send(encode_text_frame(json));
    }

    /// Tells the client to come back later; the socket is closed soon.
    pub fn go_away(&self, reconnect_after_ms: u64, reason: &str) {
        let notice = Notification::GoAway { reconnect_after_ms, reason: reason.to_owned() };
        self.send_json(&json::encode_notification(&notice));
    }

    /// A send is being appended: from now on its `accepted` is owed.
    pub fn owe_accepted(
        &self,
        to: ConversationId,
        client_id: ClientId,
        request: RequestId,
        now: u64,
    ) {
        let entry = Entry { tenant: self.tenant, conversation: to, since: now };
        self.sends.borrow_mut().begin(entry, client_id, request);
        self.hold_if_full();
    }

    /// The record is durable: answers the request, unless that was done.
    pub fn accepted(&self, request: &RequestId) {
        let owed = self.sends.borrow_mut().appended(request);
        if owed {
            self.send_accepted(request);
        }
    }

    /// The append failed. False where the record turned out to be durable all the same.
    #[must_use]
    pub fn settle(&self, request: &RequestId) -> bool {
        let failed = self.sends.borrow_mut().failed(request);
        self.hold_if_full();
        failed
    }

    /// An outcome is about to be told: whatever `accepted` is owed for it comes first.
    pub fn accepted_first(&self, from: ConversationId, client_id: ClientId, now: u64) {
        loop {
            let owed = self.sends.borrow_mut().decided(from, client_id, now);
            let Some(request) = owed else { break };
            self.send_accepted(&request);
        }
        self.hold_if_full();
    }

    /// Outcomes that were lost are not waited for.
    pub fn expire(&self, now: u64) {
        self.sends.borrow_mut().expire(now);
        self.hold_if_full();
    }

    /// How many of its sends are under way.
    #[must_use]
    pub fn undecided(&self) -> usize {
        self.sends.borrow().len()
    }

    fn hold_if_full(&self) {
        self.outlet.hold_reading(self.sends.borrow().is_full());
    }

    fn send_accepted(&self, request: &RequestId) {
        self.metrics.accepted();
        self.send_json(&json::encode_result(request, &Accepted { accepted: true }));
    }
}
