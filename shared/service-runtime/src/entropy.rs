//! Randomness, as an argument. Nobody else asks the generator.

use std::sync::Arc;

use uuid::Uuid;

/// A source of chance that can be replaced in tests.
pub trait Entropy: Send + Sync + 'static {
    /// 16 random bytes.
    fn bytes16(&self) -> [u8; 16];

    /// A number below `bound` (0 where that is 0).
    fn below(&self, bound: u64) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes16();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]).checked_rem(bound).unwrap_or(0)
    }

    /// A new id in order of `now_ms` (UUID version 7, RFC 9562).
    fn uuid_v7(&self, now_ms: u64) -> Uuid {
        let [_, _, _, _, _, _, rest @ ..] = self.bytes16();
        uuid::Builder::from_unix_timestamp_millis(now_ms, &rest).into_uuid()
    }
}

/// A shared source of chance.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The thread's cryptographically secure generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl SystemEntropy {
    /// The generator, shared.
    #[must_use]
    pub fn shared() -> SharedEntropy {
        Arc::new(Self)
    }
}

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
    fn bytes16(&self) -> [u8; 16] {
        rand::random()
    }
}
