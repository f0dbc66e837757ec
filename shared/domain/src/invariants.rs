//! The promises of the whole system, named once. Code asserts them, and tests, the simulator and
//! the load test's checker refer to them by these names.

/// An invariant's name and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// The name in code, metrics and reports.
    pub name: &'static str,
    /// What must always hold.
    pub says: &'static str,
}

/// Every send answered `accepted` appears in the timeline or was answered `rejected`.
pub const ACKNOWLEDGED_IS_DURABLE: Invariant = Invariant {
    name: "acknowledged_is_durable",
    says: "every send answered `accepted` appears in the timeline or was answered `rejected`",
};

/// A conversation's events are 1..n, each exactly once, the same for every reader.
pub const SEQUENCE_IS_GAPLESS: Invariant = Invariant {
    name: "sequence_is_gapless",
    says: "a conversation's events are 1..n, each exactly once, the same for every reader",
};

/// No client id appears twice.
pub const VISIBLE_ONCE: Invariant =
    Invariant { name: "visible_once", says: "no client id of a device appears twice" };

/// What a member's device shows is a contiguous piece of the one order.
pub const ORDER_IS_SHARED: Invariant = Invariant {
    name: "order_is_shared",
    says: "what a member's device shows is a contiguous piece of the one order",
};

/// Nobody receives an event sequenced after their removal or before their joining.
pub const MEMBERS_ONLY: Invariant = Invariant {
    name: "members_only",
    says: "nobody receives an event sequenced after their removal or before their joining",
};

/// Read cursors never go back; unread counts equal the truth at rest.
pub const CURSOR_IS_MONOTONIC: Invariant = Invariant {
    name: "cursor_is_monotonic",
    says: "read cursors never go back; unread counts equal the truth at rest",
};

/// Recomputing the hash chain from the store gives the head's hash.
pub const CHAIN_IS_UNBROKEN: Invariant = Invariant {
    name: "chain_is_unbroken",
    says: "recomputing the hash chain from the store gives the head's hash",
};

/// All of them, in the order of the architecture page.
pub const ALL: [Invariant; 7] = [
    ACKNOWLEDGED_IS_DURABLE,
    SEQUENCE_IS_GAPLESS,
    VISIBLE_ONCE,
    ORDER_IS_SHARED,
    MEMBERS_ONLY,
    CURSOR_IS_MONOTONIC,
    CHAIN_IS_UNBROKEN,
];
