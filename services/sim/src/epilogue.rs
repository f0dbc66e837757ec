//! What happens to a cluster at rest, once everything else is over: its log is lost and made anew
//! (soundness S2), and records come from a build that is newer than this one (S11).

use std::collections::BTreeSet;

use bytes::Bytes;
use harkara_domain::{
    ClientId, Command, Content, DeviceId, Partition, Record, Salt, command::RULES_VERSION,
};
use harkara_protocol::record;

use crate::{cluster::Cluster, oracle::history};

/// An operator makes the log anew while nothing runs, and tells the store of it.
pub fn remake_log(cluster: &mut Cluster) {
    let nodes = cluster.nodes();
    nodes.iter().for_each(|node| cluster.kill(*node));
    cluster.broker.remake();
    let generation = cluster.broker.generation();
    cluster.tables.rows().generation = Some(generation);
    cluster.world.note(|| format!("log       is made anew, generation {}", generation.0));
    nodes.iter().for_each(|node| cluster.start(*node));
}

/// In each partition, a record of newer rules that the old ones would take for a message.
pub fn write_from_the_future(cluster: &Cluster) {
    let stored = history::stored(&cluster.tables.rows());
    let mut done = BTreeSet::new();
    for (conversation, history) in stored.histories {
        let partition = Partition::of(conversation, cluster.broker.partitions());
        let Some(sender) = history.state.members.keys().next().copied() else { continue };
        if !done.insert(partition) {
            continue;
        }
        let content = Content::from_canonical(Bytes::from_static(br#"{"type":"from/tomorrow"}"#));
        let record = Record {
            tenant: history.state.tenant,
            conversation,
            sender,
            device: DeviceId::from_bytes([7; 16]),
            client_id: ClientId::from_bytes([7; 16]),
            rules: RULES_VERSION + 1,
            origin: 0,
            command: Command::Send { content, reply_to: None, salt: Salt([7; 16]) },
        };
        let broker = &cluster.broker;
        broker.land(broker.generation(), partition.0, &[record::encode(&record)]);
    }
}
