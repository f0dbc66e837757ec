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
    metrics::Metrics,
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
    accepts: RefCell<Vec<(ConversationId, ClientId, RequestId)>>,
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
    ) -> Self {
        Self {
            session,
            tenant,
            user,
            device,
            outlet,
            accepts: RefCell::default(),
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

    /// From now on an `accepted` is owed for this request.
    pub fn owe_accepted(&self, to: ConversationId, client_id: ClientId, request: RequestId) {
        self.accepts.borrow_mut().push((to, client_id, request));
    }

    /// The record is durable: answers the request, unless that was done.
    pub fn accepted(&self, request: &RequestId) {
        if self.settle(request) {
            self.send_accepted(request);
        }
    }

    /// The append failed. False where the record turned out to be durable all the same.
    #[must_use]
    pub fn settle(&self, request: &RequestId) -> bool {
        let mut accepts = self.accepts.borrow_mut();
        let found = accepts.iter().position(|(_, _, owed)| owed == request);
        found.map(|index| accepts.remove(index)).is_some()
    }

    /// An outcome is about to be told: whatever `accepted` is owed for it comes first.
    pub fn accepted_first(&self, from: ConversationId, client_id: ClientId) {
        loop {
            let mut accepts = self.accepts.borrow_mut();
            let owed = accepts.iter().position(|(to, id, _)| (*to, *id) == (from, client_id));
            let Some(index) = owed else { return };
            let (_, _, request) = accepts.remove(index);
            drop(accepts);
            self.send_accepted(&request);
        }
    }

    fn send_accepted(&self, request: &RequestId) {
        self.metrics.accepted();
        self.send_json(&json::encode_result(request, &Accepted { accepted: true }));
    }
}
