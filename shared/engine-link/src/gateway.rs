//! A gateway's end: its endpoints, and who of the workers gets what they ask.
//!
//! # Locks
//! `peers` before `routes`; a connection's `asks` before `endpoints` before an endpoint's `flags`;
//! none is held across an await. A loss is flagged when the state that it tells of has changed, or
//! while that is locked, so that whoever takes the flag and asks again asks the new state.

mod dial;
mod route;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use harkara_domain::Partition;
use harkara_engine::link::{Down, EndpointId, GatewayLink, Unreachable, Up};
use harkara_protocol::link::{self, Frame, USERS_MAX};
use tokio::sync::mpsc::{self, error::TrySendError};

use self::{
    dial::Live,
    route::{Peer, Route},
};
pub use self::{dial::dial, route::follow};
use crate::{
    options::{LANE_BITS, Options, ask_cost},
    stats::Stats,
    wire,
};

/// Endpoints of one process at once: one per worker thread. Each is announced to each worker when
/// connecting, in 10 bytes.
const ENDPOINTS_MAX: usize = 1_024;

/// All gateways of this process.
pub struct GatewayEnd {
    /// Chosen by chance among 2^48: two of 1,000 gateways have the same in one of 10^9 clusters.
    pub number: u64,
    pub options: Options,
    pub stats: Arc<Stats>,
    endpoints: RwLock<Endpoints>,
    /// By partition; none where the directory names no owner.
    routes: RwLock<Vec<Option<Route>>>,
    peers: Mutex<HashMap<String, Arc<Peer>>>,
}

#[derive(Default)]
struct Endpoints {
    /// The last lane given out; none is given out twice.
    last: u16,
    open: HashMap<u16, Arc<Endpoint>>,
    /// Connections that are up, by their number.
    live: HashMap<u64, Arc<Live>>,
}

struct Endpoint {
    frames: mpsc::Sender<Arc<Down>>,
    flags: Mutex<Flags>,
}

#[derive(Default)]
struct Flags {
    lost: bool,
    /// Connections from which nothing is taken until they resume, and whether that was asked for.
    cut: BTreeMap<u64, bool>,
}

impl Endpoint {
    fn flags(&self) -> MutexGuard<'_, Flags> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a frame on; cuts the connection's lane where there is no room. False where the frame
    /// was dropped.
    fn deliver(&self, connection: u64, down: &Arc<Down>) -> bool {
        let mut flags = self.flags();
        if flags.cut.contains_key(&connection) {
            return false;
        }
        let full = matches!(self.frames.try_send(Arc::clone(down)), Err(TrySendError::Full(_)));
        if full {
            flags.cut.insert(connection, false);
        }
        !full
    }
}

impl GatewayEnd {
    pub fn new(options: Options, number: u64, stats: Arc<Stats>) -> Self {
        let routes = RwLock::new((0..options.partitions).map(|_| None).collect());
        let (endpoints, peers) = (RwLock::default(), Mutex::default());
        Self { number, options, stats, endpoints, routes, peers }
    }

    /// Workers that this process is connected with.
    pub fn connections(&self) -> usize {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).live.len()
    }

    /// A new endpoint. A process that has used up its lanes gets one that is closed.
    pub fn endpoint(
        self: &Arc<Self>,
    ) -> (EndpointId, Arc<dyn GatewayLink>, mpsc::Receiver<Arc<Down>>) {
        let (frames, queue) = mpsc::channel(self.options.endpoint_frames.max(2));
        let endpoint = Arc::new(Endpoint { frames, flags: Mutex::default() });
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        let lane = endpoints.last.checked_add(1).filter(|_| endpoints.open.len() < ENDPOINTS_MAX);
        match lane {
            Some(lane) => {
                endpoints.last = lane;
                endpoints.open.insert(lane, Arc::clone(&endpoint));
                for live in endpoints.live.values() {
                    live.outbox.control(&Frame::Opened { lane });
                }
            }
            None => tracing::error!("no endpoint of the link is left: restart this process"),
        }
        drop(endpoints);
        let lane = lane.unwrap_or(0);
        let id = EndpointId(self.number << LANE_BITS | u64::from(lane));
        (id, Arc::new(GatewaySide { end: Arc::clone(self), lane, endpoint }), queue)
    }

    /// The number of the serving that questions to the partition go to.
    pub fn reaches(&self, partition: Partition) -> Option<u64> {
        let live = self.live_of(partition)?;
        let asks = live.asks();
        asks.get(&partition.0).map(|window| window.serving)
    }

    fn live_of(&self, partition: Partition) -> Option<Arc<Live>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(usize::from(partition.0))?.as_ref()?.peer.live()
    }

    /// Something was lost for everybody.
    fn all_lost(&self) {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        for endpoint in endpoints.open.values() {
            endpoint.flags().lost = true;
        }
    }

    /// A connection is up: its worker learns of all endpoints.
    fn connected(&self, peer: &Peer, live: &Arc<Live>) {
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        for lane in endpoints.open.keys() {
            live.outbox.control(&Frame::Opened { lane: *lane });
        }
        endpoints.live.insert(live.number, Arc::clone(live));
        drop(endpoints);
        peer.set_live(Some(Arc::clone(live)));
        self.all_lost();
    }

    /// It is no more.
    fn disconnected(&self, peer: &Peer, live: &Live) {
        peer.set_live(None);
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.live.remove(&live.number);
        for endpoint in endpoints.open.values() {
            let mut flags = endpoint.flags();
            flags.cut.remove(&live.number);
            flags.lost = true;
        }
    }

    fn deliver(&self, live: &Live, lanes: &[u16], down: &Arc<Down>) {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        for endpoint in lanes.iter().filter_map(|lane| endpoints.open.get(lane)) {
            if !endpoint.deliver(live.number, down) {
                self.stats.dropped(1);
            }
        }
    }

    /// The worker dropped something of this lane.
    fn lost(&self, live: &Live, lane: u16) {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = endpoints.open.get(&lane) {
            endpoint.flags().cut.entry(live.number).or_insert(false);
        }
    }

    /// From here on the lane gets frames again; what was dropped before is asked for once more.
    fn resumed(&self, live: &Live, lane: u16) {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = endpoints.open.get(&lane) {
            let mut flags = endpoint.flags();
            flags.cut.remove(&live.number);
            flags.lost = true;
        }
    }

    /// Asks these connections to push to the lane again.
    fn resume(&self, connections: &[u64], lane: u16) {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        for live in connections.iter().filter_map(|number| endpoints.live.get(number)) {
            live.outbox.control(&Frame::Resume { lane });
        }
    }
}

struct GatewaySide {
    end: Arc<GatewayEnd>,
    lane: u16,
    endpoint: Arc<Endpoint>,
}

impl GatewayLink for GatewaySide {
    fn send(&self, partition: Partition, up: Up) -> Result<(), Unreachable> {
        let live = self.end.live_of(partition).ok_or(Unreachable)?;
        // Held over the queueing, so that one endpoint's questions keep their order.
        let mut asks = live.asks();
        let window = asks.get_mut(&partition.0).ok_or(Unreachable)?;
        for part in parts(up) {
            let ask = wire::ask(&part);
            let (lane, serving) = (self.lane, window.serving);
            let frame = link::encode(&Frame::Ask { lane, partition: partition.0, serving, ask });
            if window.room == 0 {
                return Err(Unreachable);
            }
            live.outbox.ask(&frame).map_err(|_| Unreachable)?;
            window.room = window.room.saturating_sub(ask_cost(frame.len()) as u64);
        }
        Ok(())
    }

    fn reaches(&self, partition: Partition) -> bool {
        self.end.reaches(partition).is_some()
    }

    fn take_lost(&self) -> bool {
        let mut flags = self.endpoint.flags();
        if flags.cut.is_empty() {
            return std::mem::take(&mut flags.lost);
        }
        let frames = &self.endpoint.frames;
        let mut ask = Vec::new();
        // With half of the room at least, or the answers to come would be lost at once.
        if frames.capacity() >= frames.max_capacity().div_ceil(2) {
            for (connection, asked) in flags.cut.iter_mut().filter(|(_, asked)| !**asked) {
                *asked = true;
                ask.push(*connection);
            }
        }
        drop(flags);
        if !ask.is_empty() {
            self.end.resume(&ask, self.lane);
        }
        true
    }
}

impl Drop for GatewaySide {
    fn drop(&mut self) {
        let lane = self.lane;
        let mut endpoints = self.end.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        if endpoints.open.remove(&lane).is_some() {
            for live in endpoints.live.values() {
                live.outbox.control(&Frame::Closed { lane });
            }
        }
    }
}

/// Subscriptions of many users as several, so that each answer is a frame.
fn parts(up: Up) -> Vec<Up> {
    let conversation = up.conversation();
    let cut = |users: Vec<_>, make: fn(_, Vec<_>) -> Up| {
        users.chunks(USERS_MAX).map(|users| make(conversation, users.to_vec())).collect()
    };
    match up {
        Up::Subscribe { users, .. } if users.len() > USERS_MAX => {
            cut(users, |conversation, users| Up::Subscribe { conversation, users })
        }
        Up::Unsubscribe { users, .. } if users.len() > USERS_MAX => {
            cut(users, |conversation, users| Up::Unsubscribe { conversation, users })
        }
        up => vec![up],
    }
}

#[cfg(test)]
mod tests {
    use harkara_domain::{ConversationId, Epoch, UserId};
    use harkara_engine::link::What;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::outbox::Outbox;

    #[test]
    fn a_cut_lane_is_lost_until_it_resumes_and_once_more() {
        let end = Arc::new(GatewayEnd::new(Options::new("one", 1), 7, Arc::default()));
        let (id, link, mut queue) = end.endpoint();
        let lane = id.0 as u16;
        let outbox = Outbox::new(1_000, 1_000, CancellationToken::new(), Arc::default());
        let live = Arc::new(Live::new(3, outbox, 1_000));
        let mut endpoints = end.endpoints.write().unwrap();
        endpoints.live.insert(live.number, Arc::clone(&live));
        drop(endpoints);
        let what = What::Typing { user: UserId::from_bytes([1; 16]), active: true };
        let conversation = ConversationId::from_bytes([2; 16]);
        let (partition, epoch) = (Partition(0), Epoch(1));
        let down = Arc::new(Down { partition, epoch, conversation, what });
        let asked = || live.outbox.take(&mut bytes::BytesMut::new());
        assert!(!link.take_lost());

        // The queue is full: one more is a loss, and nothing follows.
        for _ in 0..=end.options.endpoint_frames {
            end.deliver(&live, &[lane], &down);
        }
        assert!(link.take_lost() && link.take_lost() && !asked(), "no room to go on yet");
        while queue.try_recv().is_ok() {}
        end.deliver(&live, &[lane], &down);
        assert!(queue.try_recv().is_err(), "nothing is taken before it resumes");
        assert!(link.take_lost() && asked(), "there is room");
        assert!(link.take_lost() && !asked(), "asked once");
        // What the worker lost meanwhile changes nothing.
        end.lost(&live, lane);
        assert!(link.take_lost() && !asked(), "asked once");
        end.resumed(&live, lane);
        assert!(link.take_lost(), "what was dropped since it was asked must be asked again");
        assert!(!link.take_lost(), "and that is all");
        end.deliver(&live, &[lane], &down);
        assert!(queue.try_recv().is_ok());
    }
}
