//! Questions of one gateway on their way to the owners. Each partition has a queue of its own, so
//! that one slow owner does not stand in front of the others; its room is what the gateway may
//! send without hearing that some of it was taken.

use std::{collections::HashMap, sync::Arc};

use harkara_engine::link::{EndpointId, Up};
use harkara_protocol::link::Frame;
use tokio::sync::mpsc;

use super::{Served, WorkerEnd, peer::Gateway};
use crate::{
    frames::Ended,
    options::{ASK_BYTES_MIN, LANE_BITS, ask_cost},
    wire,
};

type Queue = mpsc::Sender<(EndpointId, Up, usize)>;

/// The queues of one connection.
pub struct Asks {
    end: Arc<WorkerEnd>,
    gateway: Arc<Gateway>,
    /// By partition, with the number of the serving it leads to.
    queues: HashMap<u16, (u64, Queue)>,
}

impl Asks {
    pub fn new(end: Arc<WorkerEnd>, gateway: Arc<Gateway>) -> Self {
        Self { end, gateway, queues: HashMap::new() }
    }

    /// Queues a question for its owner. One for an owner that is none any more is dropped: its
    /// gateway learns that by another frame.
    pub fn take(&mut self, ask: Frame, size: usize) -> Result<(), Ended> {
        let Frame::Ask { lane, partition, serving, ask } = ask else { return Ok(()) };
        let from = EndpointId(self.gateway.number << LANE_BITS | u64::from(lane));
        let Some(queue) = self.queue(partition, serving) else { return Ok(()) };
        match queue.try_send((from, wire::up(ask), ask_cost(size))) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Ended::OutOfPlace(
                "more questions than the other end may send: it does not count".to_owned(),
            )),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    fn queue(&mut self, partition: u16, serving: u64) -> Option<&Queue> {
        let known = self.queues.get(&partition).is_some_and(|(number, _)| *number == serving);
        if !known {
            let served = self.end.served(partition, serving)?;
            // What the gateway may send at most: small ones, and one more.
            let (queue, taken) = mpsc::channel(self.end.options.ask_bytes / ASK_BYTES_MIN + 2);
            let forwarding =
                forward(taken, served, partition, Arc::clone(&self.end), Arc::clone(&self.gateway));
            self.end.tasks.spawn(forwarding);
            self.queues.insert(partition, (serving, queue));
        }
        self.queues.get(&partition).map(|(_, queue)| queue)
    }
}

/// Hands questions to the owner as it has room, and tells the gateway of a quarter of its room at
/// a time. Owners serve waiting gateways in turn.
async fn forward(
    mut taken: mpsc::Receiver<(EndpointId, Up, usize)>,
    served: Served,
    partition: u16,
    end: Arc<WorkerEnd>,
    gateway: Arc<Gateway>,
) {
    let Served { number: serving, frames, over } = served;
    let quarter = end.options.ask_bytes / 4;
    let mut untold = 0;
    let handing = async {
        while let Some((from, up, cost)) = taken.recv().await {
            if frames.send((from, up)).await.is_err() {
                return;
            }
            untold += cost;
            if untold >= quarter {
                let bytes = untold as u64;
                gateway.outbox.control(&Frame::Credit { partition, serving, bytes });
                untold = 0;
            }
        }
    };
    tokio::select! {
        () = handing => {}
        () = over.cancelled() => {}
        () = gateway.outbox.stop.cancelled() => {}
    }
}
