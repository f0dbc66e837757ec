//! Time and chance, as arguments: the one module of the SDK that asks the machine for them. The
//! state machine in `session` gets both as plain numbers from the task.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use harkara_domain::ClientId;

/// A clock and a source of randomness that tests can replace.
pub trait Chance: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z; only goes into ids.
    fn now_ms(&self) -> u64;

    /// Milliseconds since some fixed moment of this process; never goes back.
    fn elapsed_ms(&self) -> u64;

    /// 16 random bytes.
    fn bytes16(&self) -> [u8; 16];

    /// A random number.
    fn roll(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes16();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// A new id for a request: UUID version 7 (RFC 9562).
    fn client_id(&self) -> ClientId {
        let [_, _, _, _, _, _, rest @ ..] = self.bytes16();
        let uuid = uuid::Builder::from_unix_timestamp_millis(self.now_ms(), &rest).into_uuid();
        ClientId::from_uuid(uuid)
    }
}

/// The machine's clock and generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemChance {
    start: Instant,
}

impl SystemChance {
    /// The machine's clock and generator, shared.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the SDK's one place that reads the clock")]
    pub fn shared() -> Arc<dyn Chance> {
        Arc::new(Self { start: Instant::now() })
    }
}

impl Chance for SystemChance {
    #[expect(clippy::disallowed_methods, reason = "the SDK's one place that reads the clock")]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "the SDK's one place that asks for randomness")]
    fn bytes16(&self) -> [u8; 16] {
        rand::random()
    }
}
