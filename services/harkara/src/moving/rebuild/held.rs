//! All partitions, held as a worker would hold them, while the store is written. A rebuild is an
//! ordinary member of the workers' group that reads nothing and commits nothing: a worker that is
//! started meanwhile is given partitions, and the rebuild notices by their leases and stops.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::bail;
use harkara_domain::Partition;
use harkara_engine::{Assignments, Lease, Log, PartitionReader};

use crate::moving::Progress;

/// How long all partitions are waited for. Joining takes a broker three seconds; the session of a
/// worker that was killed just now lasts for six by default.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a lease that lapsed is waited for: brokers that elect a leader.
const LAPSE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

/// Partitions that are ours. Dropping it gives them back.
pub struct Held {
    leases: BTreeMap<Partition, Arc<dyn Lease>>,
    // In this order: the group is left when nobody holds partitions any more.
    _readers: Vec<Box<dyn PartitionReader>>,
    _assignments: Box<dyn Assignments>,
}

impl Held {
    /// Joins the group and waits for all of it.
    ///
    /// # Errors
    /// Others have some, or the log can't be consumed.
    pub async fn all(log: &dyn Log, progress: &Progress) -> anyhow::Result<Self> {
        let mut assignments = log.consume().await?;
        let all = usize::from(log.partitions());
        let mut readers = BTreeMap::new();
        progress.say("taking all partitions");
        let taking = async {
            while readers.len() < all {
                let Some(reader) = assignments.next().await else { break };
                readers.insert(reader.partition(), reader);
            }
        };
        let _late = tokio::time::timeout(PATIENCE, taking).await;
        if readers.len() < all {
            bail!(
                "{} of {all} partitions belong to workers: stop all of them, then rebuild",
                all - readers.len()
            );
        }
        let leases = readers.iter().map(|(at, reader)| (*at, reader.lease())).collect();
        Ok(Self { leases, _readers: readers.into_values().collect(), _assignments: assignments })
    }

    /// Waits until the partition is surely ours.
    ///
    /// # Errors
    /// It is somebody else's, or the group is away.
    pub async fn check(&self, partition: Partition) -> anyhow::Result<()> {
        let Some(lease) = self.leases.get(&partition) else {
            bail!("there is no partition {partition}")
        };
        let holds = async {
            while !lease.holds() && !lease.over() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(LAPSE, holds).await;
        if lease.over() {
            bail!(
                "partition {partition} was taken away: stop the worker that was started, and run \
                 this command again before any worker; it goes on where it was"
            );
        }
        waited.map_err(|_| {
            anyhow::anyhow!("the workers' group does not answer; run the same command again")
        })
    }
}
