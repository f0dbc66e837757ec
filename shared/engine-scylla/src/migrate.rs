//! Makes keyspace and tables, and writes which version and which log they are of. Runs before the
//! processes that use them, and again with each new build; finding all as it should be is a
//! success. One at a time: Cassandra mixes up tables that two make at the same moment.

use std::{collections::HashMap, fmt};

use harkara_domain::Generation;
use harkara_service_runtime::clock::SharedClock;
use scylla::{
    client::session::Session, deserialize::row::DeserializeRow, errors::ExecutionError,
    serialize::row::SerializeRow, statement::unprepared::Statement,
};

use crate::{
    config::Config,
    connect::{self, OpenError},
    schema,
};

/// Changes of the schema may take long on a large or busy cluster: all nodes must agree.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// What was done, one sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What is new.
    pub made: Vec<String>,
    /// What was there before, as it should be.
    pub found: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.iter().map(|line| ("found", line));
        for (word, line) in self.made.iter().map(|line| ("made ", line)).chain(found) {
            writeln!(f, "{word} {line}")?;
        }
        Ok(())
    }
}

/// Why nothing more was changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is no session, or the tables are of another version.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A quorum could not be had.
    #[error(
        "replication {wanted} needs as many nodes, and the datacenter `{datacenter}` has {nodes}: \
         add nodes, or set scylla.replication"
    )]
    TooFewNodes {
        /// Of the settings.
        wanted: u32,
        /// As the settings name it.
        datacenter: String,
        /// That it has.
        nodes: usize,
    },
    /// Lowering a replication gives up copies: an operator's own decision.
    #[error(
        "the keyspace `{keyspace}` has replication {found}, the settings say {wanted}: set \
         scylla.replication to {found}, or lower it with ALTER KEYSPACE first"
    )]
    LowerReplication {
        /// As the settings name it.
        keyspace: String,
        /// Of the keyspace.
        found: u32,
        /// Of the settings.
        wanted: u32,
    },
    /// The keyspace is not ours to use as it is.
    #[error("the keyspace `{keyspace}` {what}: name another one in scylla.keyspace, or change it")]
    Foreign {
        /// As the settings name it.
        keyspace: String,
        /// What about it.
        what: String,
    },
    /// Store and log do not belong together (soundness S2).
    #[error(
        "the keyspace `{keyspace}` belongs to the log of generation {found}, and this log is of \
         generation {given}: connect the log that belongs to it; if that one is lost and this one \
         was made in its place, migrate again and say so"
    )]
    Generation {
        /// As the settings name it.
        keyspace: String,
        /// Of the store.
        found: u64,
        /// Of the log.
        given: u64,
    },
    /// Positions of an older life would look like the past.
    #[error(
        "the log's generation {given} is older than {found}, which the keyspace `{keyspace}` \
         knows: make the log anew, with a later generation"
    )]
    OlderGeneration {
        /// As the settings name it.
        keyspace: String,
        /// Of the store.
        found: u64,
        /// Of the log.
        given: u64,
    },
    /// The nodes did not do it. May be half done; run it again.
    #[error("the store did not {what} ({why}): run it again")]
    Failed {
        /// What was asked.
        what: String,
        /// What they said.
        why: String,
    },
}

/// What to do about a store that knows another log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherLog {
    /// It is a mistake.
    Refuse,
    /// The log was lost and made anew, with a later generation: go on with that one.
    Adopt,
}

/// Makes what is missing and writes the log's generation.
///
/// # Errors
/// [`MigrateError`]: a sentence that says what to do. What was made before it stays.
pub async fn migrate(
    config: &Config,
    clock: &SharedClock,
    generation: Generation,
    other: OtherLog,
) -> Result<Report, MigrateError> {
    let session = connect::session(config, clock).await?;
    let mut migration = Migration { config, session, report: Report::default() };
    migration.keyspace().await?;
    let known = migration.tables().await?;
    migration.generation(generation, other).await?;
    if known.is_none() {
        // Last: it says that everything else is there.
        migration.set("schema", schema::VERSION).await?;
        migration.made(format!("version {} of the tables", schema::VERSION));
    } else {
        migration.found(format!("version {} of the tables", schema::VERSION));
    }
    Ok(migration.report)
}

struct Migration<'a> {
    config: &'a Config,
    session: Session,
    report: Report,
}

impl Migration<'_> {
    fn made(&mut self, what: String) {
        self.report.made.push(what);
    }

    fn found(&mut self, what: String) {
        self.report.found.push(what);
    }

    fn name(&self) -> String {
        self.config.keyspace.clone()
    }

    fn copies(&self, map: &HashMap<String, String>) -> Result<Option<u32>, MigrateError> {
        copies(map, &self.config.datacenter).map_err(|what| self.foreign(what))
    }

    fn foreign(&self, what: String) -> MigrateError {
        MigrateError::Foreign { keyspace: self.name(), what }
    }

    async fn run(
        &self,
        what: &str,
        text: String,
        values: impl SerializeRow,
    ) -> Result<scylla::response::query_result::QueryResult, MigrateError> {
        let mut statement = Statement::new(text);
        statement.set_is_idempotent(true);
        statement.set_request_timeout(Some(TIMEOUT));
        let failed = |error: ExecutionError| MigrateError::Failed {
            what: what.to_owned(),
            why: error.to_string(),
        };
        self.session.query_unpaged(statement, values).await.map_err(failed)
    }

    async fn rows<R>(
        &self,
        what: &str,
        text: String,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, MigrateError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let other = |why: String| MigrateError::Failed { what: what.to_owned(), why };
        let result = self.run(what, text, values).await?;
        let rows = result.into_rows_result().map_err(|error| other(error.to_string()))?;
        let rows = rows.rows::<R>().map_err(|error| other(error.to_string()))?;
        rows.collect::<Result<_, _>>().map_err(|error| other(error.to_string()))
    }

    async fn keyspace(&mut self) -> Result<(), MigrateError> {
        let Config { keyspace, datacenter, replication, .. } = self.config;
        let (keyspace, wanted) = (keyspace.clone(), *replication);
        let nodes = connect::nodes_of(self.config, &self.session);
        let text = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let found: Vec<(HashMap<String, String>,)> =
            self.rows("tell its keyspaces", text.to_owned(), (&keyspace,)).await?;
        let found = found.into_iter().next().map(|(map,)| map);
        let now = found.as_ref().map(|map| self.copies(map)).transpose()?.flatten();
        if let Some(found) = now
            && found > wanted
        {
            return Err(MigrateError::LowerReplication { keyspace, found, wanted });
        }
        let enough = nodes >= usize::try_from(wanted).unwrap_or(usize::MAX);
        if !enough && now != Some(wanted) {
            let datacenter = datacenter.clone();
            return Err(MigrateError::TooFewNodes { wanted, datacenter, nodes });
        }
        let line = format!("keyspace {keyspace}, replication {wanted} in {datacenter}");
        let mut map = found.clone().unwrap_or_default();
        match (found, now) {
            (Some(_), Some(now)) if now == wanted => self.found(line),
            (Some(_), None) => self.found(format!("keyspace {keyspace}, replicated its own way")),
            (Some(_), Some(now)) => {
                map.insert(datacenter.clone(), wanted.to_string());
                let text =
                    format!("ALTER KEYSPACE {keyspace} WITH replication = {}", literal(&map));
                self.run("raise the replication", text, ()).await?;
                self.made(format!(
                    "{line}, which was {now}: run `nodetool repair` on each node now"
                ));
            }
            (None, _) => {
                map.insert("class".to_owned(), "NetworkTopologyStrategy".to_owned());
                map.insert(datacenter.clone(), wanted.to_string());
                let map = literal(&map);
                let text =
                    format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {map}");
                self.run("make the keyspace", text, ()).await?;
                self.made(line);
            }
        }
        Ok(())
    }

    /// Makes tables that are missing; the version that was there before.
    async fn tables(&mut self) -> Result<Option<u64>, MigrateError> {
        let keyspace = self.name();
        let text = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
        let found: Vec<(String,)> =
            self.rows("tell its tables", text.to_owned(), (&keyspace,)).await?;
        let found: Vec<_> = found.into_iter().map(|(name,)| name).collect();
        let has = |name: &str| found.iter().any(|found| found == name);
        if !found.is_empty() && !has("meta") {
            return Err(self.foreign("has tables of something else".to_owned()));
        }
        let version = if has("meta") { self.get("schema").await? } else { None };
        if version.is_some() {
            connect::check_version(self.config, version)?;
        }
        for (name, statement) in schema::tables(&keyspace) {
            if has(name) {
                self.found(format!("table {name}"));
            } else {
                self.run(&format!("make the table {name}"), statement, ()).await?;
                self.made(format!("table {name}"));
            }
        }
        Ok(version)
    }

    async fn generation(
        &mut self,
        Generation(given): Generation,
        other: OtherLog,
    ) -> Result<(), MigrateError> {
        let keyspace = self.name();
        match self.get("generation").await? {
            Some(found) if found == given => self.found(format!("generation {given} of the log")),
            Some(found) if other == OtherLog::Refuse => {
                return Err(MigrateError::Generation { keyspace, found, given });
            }
            Some(found) if found > given => {
                return Err(MigrateError::OlderGeneration { keyspace, found, given });
            }
            Some(found) => {
                self.set("generation", given).await?;
                self.made(format!("generation {given} of the log, which was {found}"));
            }
            None => {
                self.set("generation", given).await?;
                self.made(format!("generation {given} of the log"));
            }
        }
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Option<u64>, MigrateError> {
        let text =
            format!("SELECT value FROM {}.meta WHERE name = ? LIMIT 1", self.config.keyspace);
        let rows: Vec<(i64,)> = self.rows("tell its version", text, (name,)).await?;
        Ok(rows.first().and_then(|(value,)| u64::try_from(*value).ok()))
    }

    /// Adds a value; the largest one counts.
    async fn set(&self, name: &str, value: u64) -> Result<(), MigrateError> {
        let text = format!(
            "INSERT INTO {}.meta (name, value) VALUES (?, ?) USING TIMESTAMP 1",
            self.config.keyspace
        );
        let value = i64::try_from(value).map_err(|_| MigrateError::Failed {
            what: format!("keep the {name} {value}"),
            why: "it is above 2^63".to_owned(),
        })?;
        self.run(&format!("write the {name}"), text, (name, value)).await.map(drop)
    }
}

/// Copies in the datacenter, none where they are not given as a number; or what is wrong.
fn copies(map: &HashMap<String, String>, datacenter: &str) -> Result<Option<u32>, String> {
    let class = map.get("class").map(String::as_str).unwrap_or_default();
    if !class.ends_with("NetworkTopologyStrategy") {
        return Err(format!("is replicated by {class}, not by NetworkTopologyStrategy"));
    }
    match map.get(datacenter) {
        Some(copies) => Ok(copies.parse().ok()),
        None => Err(format!("has no copies in the datacenter `{datacenter}`")),
    }
}

/// A map as CQL has it. Its texts come from the nodes, or from settings that were looked at.
fn literal(map: &HashMap<String, String>) -> String {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by_key(|(key, _)| (key.as_str() != "class", key.as_str()));
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let pair = |(key, value): &(&String, &String)| format!("{}: {}", quoted(key), quoted(value));
    format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn copies_are_those_of_the_datacenter() {
        let class = ("class", "org.apache.cassandra.locator.NetworkTopologyStrategy");
        let both = map(&[class, ("pune", "3"), ("delhi", "['r1', 'r2']")]);
        assert_eq!(copies(&both, "pune"), Ok(Some(3)));
        assert_eq!(copies(&both, "delhi"), Ok(None), "by racks: not ours to judge");
        let none = copies(&both, "agra");
        assert_eq!(none, Err("has no copies in the datacenter `agra`".to_owned()));
        let simple = copies(&map(&[("class", "SimpleStrategy"), ("pune", "3")]), "pune");
        assert!(simple.is_err_and(|what| what.starts_with("is replicated by SimpleStrategy")));
    }

    #[test]
    fn maps_are_written_as_cql() {
        let text = literal(&map(&[("pune", "3"), ("class", "N"), ("agra", "o'b")]));
        assert_eq!(text, "{'class': 'N', 'agra': 'o''b', 'pune': '3'}");
    }
}
