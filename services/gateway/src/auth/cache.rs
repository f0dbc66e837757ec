//! Tokens that were verified, by their hash, so that a reconnect does not pay for the signature
//! again (a hash costs 1 µs, EdDSA 45, ES256 61).
//!
//! Sixteen shards, each behind a lock of its own that is held for one map operation. A full shard
//! is emptied: every token in it can be verified again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::Identity;

const SHARDS: usize = 16;

/// A token's hash.
pub(super) type TokenHash = [u8; 32];

struct Entry {
    generation: u64,
    identity: Identity,
}

type Shard = Mutex<HashMap<TokenHash, Entry>>;

/// Verified tokens.
pub(super) struct Cache {
    shards: [Shard; SHARDS],
    shard_tokens_max: usize,
}

impl Cache {
    pub(super) fn new(tokens_max: usize) -> Self {
        Self { shards: Default::default(), shard_tokens_max: tokens_max.div_ceil(SHARDS) }
    }

    fn shard(&self, hash: &TokenHash) -> Option<&Shard> {
        self.shards.get(usize::from(hash[0]) % SHARDS)
    }

    /// Whom the token speaks for, if this set of keys has verified it and it has not expired.
    pub(super) fn get(&self, hash: &TokenHash, generation: u64, now_ms: u64) -> Option<Identity> {
        let mut shard = self.shard(hash)?.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(hash)?;
        if entry.generation == generation && entry.identity.expires_at_ms > now_ms {
            return Some(entry.identity.clone());
        }
        shard.remove(hash);
        None
    }

    /// Remembers a verified token.
    pub(super) fn put(&self, hash: TokenHash, generation: u64, identity: Identity) {
        let Some(shard) = self.shard(&hash).filter(|_| self.shard_tokens_max > 0) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.shard_tokens_max && !shard.contains_key(&hash) {
            shard.clear();
        }
        shard.insert(hash, Entry { generation, identity });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}
