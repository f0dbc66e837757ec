//! Chance from one seed: a stream of numbers for each purpose, so that a fault that is left out
//! does not change what devices do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use harkara_client::chance::Chance;
use harkara_service_runtime::entropy::{Entropy, SharedEntropy};

use crate::world::World;

/// A stream of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream of this purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in purpose.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut rng = Self(state);
        rng.number();
        rng
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times in a thousand.
    pub fn permille(&mut self, of: u64) -> bool {
        self.below(1_000) < of
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.index(of.len()))
    }

    /// 16 bytes.
    pub fn bytes16(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.number().to_be_bytes());
        bytes
    }
}

/// A stream that several hold.
#[derive(Debug, Clone)]
pub struct Dice(Arc<Mutex<Rng>>);

impl Dice {
    /// The stream of this purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(Arc::new(Mutex::new(Rng::new(seed, purpose))))
    }

    /// The stream.
    pub fn roll(&self) -> MutexGuard<'_, Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As processes take their chance.
    #[must_use]
    pub fn entropy(&self) -> SharedEntropy {
        Arc::new(self.clone())
    }
}

impl Entropy for Dice {
    fn bytes16(&self) -> [u8; 16] {
        self.roll().bytes16()
    }
}

/// Time and chance of a device.
pub struct DeviceChance {
    /// Its stream.
    pub dice: Dice,
    /// Whose time it is.
    pub world: Arc<World>,
}

impl Chance for DeviceChance {
    fn now_ms(&self) -> u64 {
        self.world.wall_ms()
    }

    fn elapsed_ms(&self) -> u64 {
        self.world.now_ms()
    }

    fn bytes16(&self) -> [u8; 16] {
        self.dice.roll().bytes16()
    }
}
