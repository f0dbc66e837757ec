//! Liveness: what is not at rest yet.

use std::rc::Rc;

use super::{Breach, LIVENESS, history};
use crate::{cluster::Cluster, device::Device};

/// What is not at rest: records that nobody has worked on, sends without an outcome, events that a
/// member's device does not show.
#[must_use]
pub fn restless(cluster: &Cluster, devices: &[Rc<Device>]) -> Vec<Breach> {
    let breach = |what: String| Breach::of(LIVENESS, what);
    let mut found: Vec<Breach> = cluster
        .broker
        .lag()
        .into_iter()
        .map(|(partition, lag)| breach(format!("partition {partition} lags by {lag} records")))
        .collect();
    let there = || devices.iter().filter(|device| !device.lost.get());
    let unsettled = there().filter(|device| !device.is_settled());
    found.extend(unsettled.map(|d| breach(format!("device {} {}", d.who.number, d.status()))));
    if !found.is_empty() {
        return found;
    }
    let stored = history::stored(&cluster.tables.rows());
    for (conversation, history) in &stored.histories {
        for device in there() {
            let (shown, head) = (device.shown(*conversation), history.state.head);
            if history.state.members.contains_key(&device.who.user) && shown < head {
                let number = device.who.number;
                let what = format!("device {number} shows {shown} of {head} in {conversation}");
                found.push(breach(what));
            }
        }
    }
    found
}
