//! Sends under way of one thread, counted: all of them, and the young ones by conversation and by
//! tenant. Pure and of a fixed size: a send costs some additions and no memory.

use harkara_domain::{ConversationId, TenantId};

/// Conversations and tenants are counted in so many slots each, by two bytes of their ids; who
/// shares a slot shares its room. Two generations × 2 × 1,024 × 4 B = 16 KiB a thread.
const SLOTS: usize = 1_024;

/// Sends of this and the last generation are young: 2^29 ns = 0.54 s each. What takes longer waits
/// for something that stands still, a worker that froze say, and is in nobody's way: what goes to
/// the others must not be refused for it.
const GENERATION_BITS: u32 = 29;

/// Whose send, and when it began.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Whose.
    pub tenant: TenantId,
    /// To where.
    pub conversation: ConversationId,
    /// On the clock that never goes back.
    pub since: u64,
}

#[derive(Debug)]
struct Generation {
    number: u64,
    young: usize,
    conversations: Box<[u32; SLOTS]>,
    tenants: Box<[u32; SLOTS]>,
}

impl Generation {
    fn new(number: u64) -> Self {
        let (conversations, tenants) = (Box::new([0; SLOTS]), Box::new([0; SLOTS]));
        Self { number, young: 0, conversations, tenants }
    }

    fn clear(&mut self, number: u64) {
        (self.number, self.young) = (number, 0);
        self.conversations.fill(0);
        self.tenants.fill(0);
    }
}

/// See the module.
#[derive(Debug)]
pub struct Books {
    all: usize,
    newest: Generation,
    older: Generation,
}

impl Default for Books {
    fn default() -> Self {
        Self { all: 0, newest: Generation::new(1), older: Generation::new(0) }
    }
}

impl Books {
    /// One more, which begins now.
    pub fn begin(&mut self, entry: Entry) {
        self.advance(entry.since);
        self.all += 1;
        self.newest.young += 1;
        self.newest.conversations[slot(entry.conversation.as_bytes())] += 1;
        self.newest.tenants[slot(entry.tenant.as_bytes())] += 1;
    }

    /// One less.
    pub fn end(&mut self, entry: Entry) {
        self.all -= 1;
        let number = generation(entry.since);
        let generations = [&mut self.newest, &mut self.older];
        let Some(own) = generations.into_iter().find(|it| it.number == number) else { return };
        own.young -= 1;
        own.conversations[slot(entry.conversation.as_bytes())] -= 1;
        own.tenants[slot(entry.tenant.as_bytes())] -= 1;
    }

    /// Forgets what is not young any more.
    pub fn advance(&mut self, now: u64) {
        let number = generation(now);
        if number <= self.newest.number {
            return;
        }
        std::mem::swap(&mut self.newest, &mut self.older);
        if self.older.number + 1 < number {
            self.older.clear(number - 1);
        }
        self.newest.clear(number);
    }

    /// All of them.
    #[must_use]
    pub const fn all(&self) -> usize {
        self.all
    }

    /// The young ones.
    #[must_use]
    pub const fn young(&self) -> usize {
        self.newest.young + self.older.young
    }

    /// The young ones of a conversation.
    #[must_use]
    pub fn of_conversation(&self, conversation: ConversationId) -> usize {
        let slot = slot(conversation.as_bytes());
        (self.newest.conversations[slot] + self.older.conversations[slot]) as usize
    }

    /// The young ones of a tenant.
    #[must_use]
    pub fn of_tenant(&self, tenant: TenantId) -> usize {
        let slot = slot(tenant.as_bytes());
        (self.newest.tenants[slot] + self.older.tenants[slot]) as usize
    }
}

/// From 1 on: the first one has one before it.
fn generation(at: u64) -> u64 {
    (at >> GENERATION_BITS) + 1
}

/// Ids are random or hashes, but for their first bytes, which may be a time.
fn slot(id: &[u8; 16]) -> usize {
    usize::from(u16::from_le_bytes([id[14], id[15]])) % SLOTS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(conversation: u8, tenant: u8, since: u64) -> Entry {
        let conversation = ConversationId::from_bytes([conversation; 16]);
        Entry { conversation, tenant: TenantId::from_bytes([tenant; 16]), since }
    }

    proptest! {
        /// The counts are those of a list of the same sends, of which those count that began in
        /// this generation or the last one.
        #[test]
        fn counts_are_right(
            ops in prop::collection::vec((0u8..3, 0u8..3, 0u64..400, any::<bool>()), 1..200),
        ) {
            let (mut books, mut list, mut now) = (Books::default(), Vec::<Entry>::new(), 0u64);
            for (conversation, tenant, passed_ms, begins) in ops {
                now += passed_ms * 1_000_000;
                if begins || list.is_empty() {
                    books.begin(entry(conversation, tenant, now));
                    list.push(entry(conversation, tenant, now));
                } else {
                    books.advance(now);
                    books.end(list.swap_remove(usize::from(conversation) % list.len()));
                }
                let young = |it: &&Entry| generation(it.since) + 1 >= generation(now);
                let young: Vec<_> = list.iter().filter(young).collect();
                prop_assert_eq!((books.all(), books.young()), (list.len(), young.len()));
                let id = entry(conversation, tenant, 0);
                let of = young.iter().filter(|it| it.conversation == id.conversation).count();
                prop_assert_eq!(books.of_conversation(id.conversation), of);
                let of = young.iter().filter(|it| it.tenant == id.tenant).count();
                prop_assert_eq!(books.of_tenant(id.tenant), of);
            }
        }
    }
}
