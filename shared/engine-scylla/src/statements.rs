//! Every statement of the store, prepared once: which table, which page size, which timestamp.
//!
//! Every one is idempotent, so the driver may send it twice. Every write ends in
//! `USING TIMESTAMP ?`, or in a fixed one where rows never differ (soundness S6); the tests look
//! at this file for it.

use std::time::Duration;

use scylla::{
    client::session::Session,
    errors::{DbError, PrepareError, RequestAttemptError},
    statement::{prepared::PreparedStatement, unprepared::Statement},
};

use crate::{
    config::Config,
    connect::{self, OpenError},
};

/// Events in one page: 256 × ~400 bytes = 100 kB, 256 × 33 KiB = 8.4 MB at the very worst.
const EVENTS_PAGE: i32 = 256;

/// Small rows in one page: 1,024 × ~100 bytes = 100 kB.
const SMALL_PAGE: i32 = 1_024;

/// A piece of a whole table may take as long as nodes give it (10 seconds by default), and then
/// some.
const SCAN_TIMEOUT: Duration = Duration::from_secs(15);

/// All of them.
pub(crate) struct Statements {
    pub(crate) meta: PreparedStatement,
    pub(crate) put_event: PreparedStatement,
    pub(crate) events: PreparedStatement,
    pub(crate) put_rejection: PreparedStatement,
    pub(crate) rejections: PreparedStatement,
    pub(crate) rejections_after: PreparedStatement,
    pub(crate) forget_rejections: PreparedStatement,
    pub(crate) put_snapshot: PreparedStatement,
    pub(crate) snapshot: PreparedStatement,
    pub(crate) put_membership: PreparedStatement,
    pub(crate) memberships: PreparedStatement,
    pub(crate) membership: PreparedStatement,
    pub(crate) put_cursor: PreparedStatement,
    pub(crate) cursors: PreparedStatement,
    pub(crate) put_profile: PreparedStatement,
    pub(crate) profile: PreparedStatement,
    pub(crate) put_name: PreparedStatement,
    pub(crate) forget_name: PreparedStatement,
    pub(crate) names: PreparedStatement,
    pub(crate) put_prefix: PreparedStatement,
    pub(crate) prefixes: PreparedStatement,
    pub(crate) all_conversations: PreparedStatement,
    pub(crate) all_memberships: PreparedStatement,
    pub(crate) all_profiles: PreparedStatement,
}

struct Preparing<'a> {
    session: &'a Session,
    config: &'a Config,
}

impl Preparing<'_> {
    async fn paged(&self, text: &str, page: i32) -> Result<PreparedStatement, OpenError> {
        let Self { session, config } = self;
        let text = text.replace("{k}", &config.keyspace);
        let mut prepared =
            session.prepare(text).await.map_err(|error| explained(config, &error))?;
        // Before it is cloned: each clone carries it from here.
        prepared.set_is_idempotent(true);
        prepared.set_page_size(page);
        Ok(prepared)
    }

    async fn one(&self, text: &str) -> Result<PreparedStatement, OpenError> {
        self.paged(text, SMALL_PAGE).await
    }

    /// `page` is set by each call.
    async fn scan(&self, text: &str) -> Result<PreparedStatement, OpenError> {
        let mut prepared = self.one(text).await?;
        prepared.set_request_timeout(Some(SCAN_TIMEOUT));
        Ok(prepared)
    }
}

impl Statements {
    pub(crate) async fn prepare(session: &Session, config: &Config) -> Result<Self, OpenError> {
        let p = Preparing { session, config };
        Ok(Self {
            meta: p.one(META).await?,
            put_event: p.one(PUT_EVENT).await?,
            events: p.paged(EVENTS, EVENTS_PAGE).await?,
            put_rejection: p.one(PUT_REJECTION).await?,
            rejections: p.one(REJECTIONS).await?,
            rejections_after: p.one(REJECTIONS_AFTER).await?,
            forget_rejections: p.one(FORGET_REJECTIONS).await?,
            put_snapshot: p.one(PUT_SNAPSHOT).await?,
            snapshot: p.one(SNAPSHOT).await?,
            put_membership: p.one(PUT_MEMBERSHIP).await?,
            memberships: p.one(MEMBERSHIPS).await?,
            membership: p.one(MEMBERSHIP).await?,
            put_cursor: p.one(PUT_CURSOR).await?,
            cursors: p.one(CURSORS).await?,
            put_profile: p.one(PUT_PROFILE).await?,
            profile: p.one(PROFILE).await?,
            put_name: p.one(PUT_NAME).await?,
            forget_name: p.one(FORGET_NAME).await?,
            names: p.one(NAMES).await?,
            put_prefix: p.one(PUT_PREFIX).await?,
            prefixes: p.one(PREFIXES).await?,
            all_conversations: p.scan(ALL_CONVERSATIONS).await?,
            all_memberships: p.scan(ALL_MEMBERSHIPS).await?,
            all_profiles: p.scan(ALL_PROFILES).await?,
        })
    }
}

const META: &str = "SELECT value FROM {k}.meta WHERE name = ? LIMIT 1";

/// One event; `{k}` is the keyspace.
pub const PUT_EVENT: &str = "INSERT INTO {k}.events (conversation, bucket, seq, event) \
     VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const EVENTS: &str = "SELECT seq, event FROM {k}.events \
     WHERE conversation = ? AND bucket = ? AND seq >= ? AND seq <= ? LIMIT ?";

const PUT_REJECTION: &str = "INSERT INTO {k}.rejections \
     (conversation, generation, log_offset, rejection) VALUES (?, ?, ?, ?) USING TIMESTAMP 1";
const REJECTIONS: &str = "SELECT rejection FROM {k}.rejections WHERE conversation = ?";
const REJECTIONS_AFTER: &str = "SELECT rejection FROM {k}.rejections \
     WHERE conversation = ? AND (generation, log_offset) > (?, ?)";
const FORGET_REJECTIONS: &str = "DELETE FROM {k}.rejections USING TIMESTAMP 2 \
     WHERE conversation = ? AND (generation, log_offset) < (?, ?)";

const PUT_SNAPSHOT: &str =
    "INSERT INTO {k}.snapshots (conversation, state) VALUES (?, ?) USING TIMESTAMP ?";
const SNAPSHOT: &str = "SELECT state FROM {k}.snapshots WHERE conversation = ?";

const PUT_MEMBERSHIP: &str = "INSERT INTO {k}.memberships \
     (tenant, owner, conversation, present, cause) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
const MEMBERSHIPS: &str = "SELECT conversation, present, cause FROM {k}.memberships \
     WHERE tenant = ? AND owner = ? AND conversation > ?";
const MEMBERSHIP: &str = "SELECT conversation, present, cause FROM {k}.memberships \
     WHERE tenant = ? AND owner = ? AND conversation = ?";

const PUT_CURSOR: &str = "INSERT INTO {k}.cursors (conversation, member, seq, ordinal) \
     VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const CURSORS: &str = "SELECT member, seq, ordinal FROM {k}.cursors WHERE conversation = ?";

const PUT_PROFILE: &str = "INSERT INTO {k}.profiles (tenant, person, name, at) \
     VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const PROFILE: &str = "SELECT person, name, at FROM {k}.profiles WHERE tenant = ? AND person = ?";
const PUT_NAME: &str = "INSERT INTO {k}.names (tenant, prefix, name, person) \
     VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const FORGET_NAME: &str = "DELETE FROM {k}.names USING TIMESTAMP ? \
     WHERE tenant = ? AND prefix = ? AND name = ? AND person = ?";
const NAMES: &str = "SELECT name, person FROM {k}.names \
     WHERE tenant = ? AND prefix = ? AND name >= ?";
const PUT_PREFIX: &str =
    "INSERT INTO {k}.prefixes (tenant, prefix) VALUES (?, ?) USING TIMESTAMP 1";
const PREFIXES: &str = "SELECT prefix FROM {k}.prefixes WHERE tenant = ? AND prefix >= ?";

const ALL_CONVERSATIONS: &str = "SELECT DISTINCT conversation, bucket FROM {k}.events";
const ALL_MEMBERSHIPS: &str = "SELECT tenant, owner, conversation, present, cause \
     FROM {k}.memberships";
const ALL_PROFILES: &str = "SELECT tenant, person, name, at FROM {k}.profiles";

/// The query whose failure tells whether the tables are there.
pub(crate) fn version_query(config: &Config) -> Statement {
    let text = "SELECT value FROM {k}.meta WHERE name = 'schema' LIMIT 1";
    let mut statement = Statement::new(text.replace("{k}", &config.keyspace));
    statement.set_is_idempotent(true);
    statement
}

fn explained(config: &Config, error: &PrepareError) -> OpenError {
    if let PrepareError::AllAttemptsFailed {
        first_attempt: RequestAttemptError::DbError(kind, why),
    } = error
    {
        match kind {
            DbError::Invalid => return OpenError::Missing { keyspace: config.keyspace.clone() },
            DbError::SyntaxError | DbError::Unauthorized => {
                return OpenError::Unusable(why.clone());
            }
            _ => {}
        }
    }
    connect::away(config, &error.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_write_names_its_timestamp() {
        let text = include_str!("statements.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let writes = ["INSERT ", "DELETE ", "UPDATE "];
        let mut seen = 0;
        for statement in text.split("const ").filter(|part| writes.iter().any(|w| part.contains(w)))
        {
            assert!(statement.contains("USING TIMESTAMP "), "no timestamp: {statement}");
            seen += 1;
        }
        assert_eq!(seen, 10, "statements that write");
    }
}
