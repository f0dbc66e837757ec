//! The directory: who owns which partition, with an epoch that only grows (soundness S5).

use async_trait::async_trait;
use harkara_domain::{Epoch, Partition};
use tokio::sync::watch;

/// A partition's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Grows with each claim of any partition.
    pub epoch: Epoch,
    /// Where the owner's link listens; empty in process.
    pub address: String,
}

/// Owners by partition number.
pub type Owners = Vec<Option<Owner>>;

/// Who owns which partition.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Claims a partition for the worker at `address`. The epoch is higher than every earlier one.
    ///
    /// # Errors
    /// In words, when the claim is not durable: the partition must not be served.
    async fn claim(&self, partition: Partition, address: &str) -> Result<Epoch, String>;

    /// All owners now and from now on; a reader sees the newest state, not each step.
    fn watch(&self) -> watch::Receiver<Owners>;
}
