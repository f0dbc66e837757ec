//! The limits that belong to the data itself, each with its arithmetic. Limits of a process
//! (queues, rates, timeouts) are settings and stand with the component that enforces them.

/// Longest content of a message in canonical bytes. Half a frame: the other half leaves room for
/// JSON escapes (a control character takes six bytes where it stood as one).
pub const CONTENT_BYTES_MAX: usize = 32 * 1024;

/// Longest title in bytes: 256 characters of any Indic script (3 bytes each) and some to spare.
pub const TITLE_BYTES_MAX: usize = 1024;

/// Longest user name in bytes, same arithmetic at a quarter.
pub const NAME_BYTES_MAX: usize = 256;

/// Users named in one request: 1,000 × 39 bytes of JSON = 39 kB, inside one 64 KiB frame.
pub const USERS_PER_REQUEST_MAX: usize = 1_000;

/// Members of one conversation. 20,000 × ~80 bytes = 1.6 MB of owner memory while it is hot;
/// anything larger is a conversation of another kind, whose readers are not in the state.
pub const MEMBERS_MAX: usize = 20_000;

/// Members up to which read marks and typing are told live. In a room of n members one message
/// causes up to n marks to n members each: a million notices at 1,000, and nobody looks at them
/// in larger ones.
pub const LIVE_NOTICES_MEMBERS_MAX: usize = 1_000;

/// Requests a conversation remembers to recognize repeats (architecture D3).
pub const WINDOW_SENDS: usize = 8_192;

/// Rejections a conversation remembers, so that a repeat gets the same answer (soundness S1).
/// A device has at most a few dozen sends without an outcome; 256 outlasts several at once.
pub const REJECTIONS_KEPT: usize = 256;

/// Events in one partition of the stored timeline: bucket = sequence >> 12 (architecture D6).
/// 4,096 × ≤ 33 KiB stays below 140 MB at the very worst, and near 1.5 MB in practice.
pub const TIMELINE_BUCKET_BITS: u32 = 12;

/// Events in one `timeline.read` answer.
pub const TIMELINE_PAGE_MAX: usize = 500;

/// Largest sequence that can be asked for: 2^53 − 1, what a JSON number holds exactly.
pub const SEQ_MAX: u64 = (1 << 53) - 1;
