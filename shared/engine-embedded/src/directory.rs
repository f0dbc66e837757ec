//! The directory of one process: a watched list. Nothing of it outlives the process, and neither
//! does anybody who would have to know an older claim.

use async_trait::async_trait;
use harkara_domain::{Epoch, Partition};
use harkara_engine::{
    Directory,
    directory::{Owner, Owners},
};
use tokio::sync::watch;

/// Who owns which partition, in one process.
pub struct LocalDirectory {
    state: watch::Sender<Owners>,
    /// The last epoch given out. Begins at the time of opening, in microseconds, so that epochs
    /// of a restarted process are higher than those before: no process claims a million
    /// partitions a second.
    last: std::sync::atomic::AtomicU64,
}

impl LocalDirectory {
    pub(crate) fn new(partitions: u16, now_ms: u64) -> Self {
        Self {
            state: watch::Sender::new(vec![None; usize::from(partitions)]),
            last: std::sync::atomic::AtomicU64::new(now_ms.saturating_mul(1_000)),
        }
    }
}

#[async_trait]
impl Directory for LocalDirectory {
    async fn claim(&self, partition: Partition, address: &str) -> Result<Epoch, String> {
        let mut claimed = None;
        // The epoch is taken while the list is held, so that the list never shows an older owner
        // after a newer one.
        self.state.send_modify(|owners| {
            if let Some(owner) = owners.get_mut(usize::from(partition.0)) {
                let last = self.last.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
                let epoch = Epoch(last + 1);
                *owner = Some(Owner { epoch, address: address.to_owned() });
                claimed = Some(epoch);
            }
        });
        claimed.ok_or_else(|| format!("there is no partition {partition}"))
    }

    fn watch(&self) -> watch::Receiver<Owners> {
        self.state.subscribe()
    }
}
