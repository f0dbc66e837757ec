//! What a partition waits for: engine calls that are repeated until they succeed (step 6). The
//! partition pauses meanwhile, it never skips.

use std::{future::Future, sync::Arc, time::Duration};

use harkara_domain::{ConversationId, Event, Membership, Ordinal, Partition, Position, Seq};
use harkara_engine::{Log, LogError, Store, StoreError};
use harkara_protocol::record;
use harkara_service_runtime::entropy::SharedEntropy;

use crate::{Config, inbox, metrics::Metrics};

/// Everything a retry needs.
#[derive(Clone)]
pub struct Patience {
    min: Duration,
    max: Duration,
    entropy: SharedEntropy,
    metrics: Metrics,
}

impl Patience {
    /// By the settings.
    pub fn new(config: &Config, entropy: SharedEntropy, metrics: Metrics) -> Self {
        let (min, max) = (config.store_retry_min.into(), config.store_retry_max.into());
        Self { min, max, entropy, metrics }
    }

    /// Calls until it succeeds. Waits twice as long each time, between half and all of it.
    async fn until_done<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        what: &str,
        mut call: impl FnMut() -> F,
    ) -> T {
        let mut wait = self.min;
        loop {
            match call().await {
                Ok(done) => return done,
                Err(Trouble { message, operator: true }) => {
                    tracing::error!(what, message, "paused until an operator has looked");
                    wait = self.max;
                }
                Err(Trouble { message, operator: false }) => {
                    tracing::warn!(what, message, "will be done again");
                }
            }
            self.metrics.store_retry();
            let half = wait / 2;
            let jitter = self.entropy.below(u64::try_from(half.as_millis()).unwrap_or(0) + 1);
            tokio::time::sleep(half + Duration::from_millis(jitter)).await;
            wait = (wait * 2).min(self.max);
        }
    }

    /// A store call, until it succeeds.
    pub async fn store<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &str,
        mut call: impl FnMut() -> F,
    ) -> T {
        self.until_done(what, || {
            let call = call();
            async move { call.await.map_err(Trouble::from) }
        })
        .await
    }

    /// Tells the inboxes of changed lists. Each record is a repeat if it was there before.
    pub async fn tell_inboxes(&self, log: &Arc<dyn Log>, caused: &[(Membership, Arc<Event>)]) {
        let pending = caused.iter().map(|(membership, event)| {
            let told = inbox::record(membership, event);
            let partition = Partition::of(told.conversation, log.partitions());
            let (key, bytes) = (told.conversation, record::encode(&told));
            async move {
                self.until_done("tell an inbox", || {
                    let pending = log.append(partition, key, bytes.clone());
                    async move { pending?.await.map_err(Trouble::from) }
                })
                .await
            }
        });
        futures_util::future::join_all(pending).await;
    }
}

impl Patience {
    /// The event at a place that is known to be stored, if this record caused it.
    pub async fn caused_event(
        &self,
        store: &dyn Store,
        conversation: ConversationId,
        seq: Seq,
        position: Position,
    ) -> Option<Arc<Event>> {
        let read = || store.events(conversation, seq.saturating_sub(1), seq, 1);
        let event = self.store("read an event again", read).await.pop()?;
        (event.position == position).then(|| Arc::new(event))
    }
}

struct Trouble {
    message: String,
    operator: bool,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let operator = matches!(error, StoreError::Stop(_));
        Self { message: error.to_string(), operator }
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        let operator = matches!(error, LogError::Stop(_));
        Self { message: error.to_string(), operator }
    }
}

/// Reads the store once; used where the asker can ask again.
pub async fn ordinal_at(
    store: &dyn Store,
    conversation: ConversationId,
    seq: Seq,
) -> Option<Ordinal> {
    let events = store.events(conversation, seq.saturating_sub(1), seq, 1).await.ok()?;
    events.first().map(|event| event.ordinal)
}
