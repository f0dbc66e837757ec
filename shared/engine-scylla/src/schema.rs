//! The tables, as `schema.cql` beside `src` defines them: each with its keys, the arithmetic of
//! its partitions, the query it serves and what makes a row newer. Read that file first.
//!
//! Evolution: a change that an older build could misread raises [`VERSION`], and `migrate` then
//! has a step for it. A column more, written by new builds and not needed by old ones, does not.

/// The version of the tables that this build reads and writes.
pub const VERSION: u64 = 1;

/// The statements, one table each, without a keyspace.
pub const TEXT: &str = include_str!("../schema.cql");

/// In front of each table's name.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS ";

/// A table's name, and the statement that makes it in a keyspace.
#[must_use]
pub fn tables(keyspace: &str) -> Vec<(&'static str, String)> {
    let statement = |start: usize| {
        let text = &TEXT[start + CREATE.len()..];
        let text = text.split(';').next().unwrap_or_default();
        let name = text.split_whitespace().next().unwrap_or_default();
        (name, format!("{CREATE}{keyspace}.{text}"))
    };
    TEXT.match_indices(CREATE).map(|(start, _)| statement(start)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_found() {
        let tables = tables("ks");
        let names: Vec<_> = tables.iter().map(|(name, _)| *name).collect();
        let expected = [
            "meta",
            "events",
            "rejections",
            "snapshots",
            "memberships",
            "cursors",
            "profiles",
            "names",
            "prefixes",
        ];
        assert_eq!(names, expected, "meta first: it marks the keyspace as ours");
        for (name, statement) in tables {
            assert!(statement.starts_with(&format!("{CREATE}ks.{name} (\n")), "{statement}");
            assert!(statement.contains("PRIMARY KEY ((") && !statement.contains("--"));
        }
    }
}
