//! `migrate`: twice the same, and everything that it refuses.

use harkara_domain::Generation;
use harkara_engine::Store;
use harkara_engine_scylla::{Config, MigrateError, OpenError, OtherLog};
use harkara_test_engines::{Cassandra, engines_or_skip};

use crate::support::{GENERATION, config, made, migrate_to, query, run, session, try_open};

async fn refused(config: &Config) -> MigrateError {
    let refused = migrate_to(config, GENERATION, OtherLog::Refuse).await;
    refused.expect_err("this must be refused")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_is_once() {
    engines_or_skip!();
    let config = config(Cassandra::shared().contact_points());
    let missing = try_open(&config).await.err().expect("there is nothing yet");
    assert!(matches!(missing, OpenError::Missing { .. }) && missing.passes(), "{missing}");
    let first = migrate_to(&config, GENERATION, OtherLog::Refuse).await.expect("all is made");
    assert_eq!((first.made.len(), first.found.len()), (12, 0), "{first}");
    let second = migrate_to(&config, GENERATION, OtherLog::Refuse).await.expect("all is there");
    assert_eq!((second.made.len(), second.found.len()), (0, 12), "{second}");
    assert!(first.to_string().contains("made  keyspace test_"), "{first}");
    assert!(second.to_string().contains("found generation 7 of the log"), "{second}");
    let store = made(&config).await;
    assert_eq!(store.generation().await, Ok(Some(GENERATION)));
    assert_eq!(store.ready().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_is_finished() {
    engines_or_skip!();
    let config = config(Cassandra::shared().contact_points());
    drop(made(&config).await);
    let (session, keyspace) = (session(&config).await, &config.keyspace);
    run(&session, &format!("DROP TABLE {keyspace}.cursors")).await;
    let schema = format!("DELETE FROM {keyspace}.meta WHERE name = 'schema'");
    run(&session, &schema).await;
    let missing = try_open(&config).await.err().expect("it is not complete");
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    // The version's row can't come back at its own timestamp, as any row that was deleted by hand.
    run(&session, &format!("DROP TABLE {keyspace}.meta")).await;
    let foreign = refused(&config).await;
    assert!(matches!(foreign, MigrateError::Foreign { .. }), "{foreign}");
    let empty = "CREATE TABLE IF NOT EXISTS";
    let meta = "(name text, value bigint, PRIMARY KEY ((name), value)) \
                WITH CLUSTERING ORDER BY (value DESC)";
    run(&session, &format!("{empty} {keyspace}.meta {meta}")).await;
    let report = migrate_to(&config, GENERATION, OtherLog::Refuse).await.expect("it is finished");
    let made = ["table cursors", "generation 7 of the log", "version 1 of the tables"];
    assert_eq!(report.made, made, "{report}");
    try_open(&config).await.expect("now it is complete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_refused() {
    engines_or_skip!();
    let config = config(Cassandra::shared().contact_points());
    drop(made(&config).await);
    let session = session(&config).await;
    let newer = "INSERT INTO {k}.meta (name, value) VALUES ('schema', 2) USING TIMESTAMP 1";
    run(&session, &newer.replace("{k}", &config.keyspace)).await;
    let open = try_open(&config).await.err().expect("it must not open");
    assert!(matches!(open, OpenError::Version { found: 2, known: 1, .. }), "{open}");
    assert!(!open.passes() && open.to_string().ends_with("run the newer build that made it"));
    let migrate = refused(&config).await;
    assert!(matches!(migrate, MigrateError::Open(OpenError::Version { .. })), "{migrate}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_log_is_refused_or_adopted() {
    engines_or_skip!();
    let config = config(Cassandra::shared().contact_points());
    let store = made(&config).await;
    for other in [Generation(6), Generation(9)] {
        let refused = migrate_to(&config, other, OtherLog::Refuse).await;
        let refused = refused.expect_err("another log").to_string();
        assert!(refused.contains("belongs to the log of generation 7"), "{refused}");
    }
    let older = migrate_to(&config, Generation(6), OtherLog::Adopt).await;
    let older = older.expect_err("the past must not come back");
    assert!(matches!(older, MigrateError::OlderGeneration { found: 7, given: 6, .. }), "{older}");
    assert_eq!(store.generation().await, Ok(Some(Generation(7))), "nothing changed");
    let report = migrate_to(&config, Generation(9), OtherLog::Adopt).await.expect("it is adopted");
    assert_eq!(report.made, ["generation 9 of the log, which was 7"]);
    assert_eq!(store.generation().await, Ok(Some(Generation(9))));
    migrate_to(&config, Generation(9), OtherLog::Refuse).await.expect("it is ours now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replication_is_not_lowered() {
    engines_or_skip!();
    let config = config(Cassandra::shared().contact_points());
    let few = refused(&Config { replication: 3, ..config.clone() }).await;
    assert!(matches!(few, MigrateError::TooFewNodes { wanted: 3, nodes: 1, .. }), "{few}");
    let (session, keyspace) = (session(&config).await, &config.keyspace);
    let map = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 2}";
    run(&session, &format!("CREATE KEYSPACE {keyspace} WITH replication = {map}")).await;
    let lower = refused(&config).await;
    assert!(matches!(lower, MigrateError::LowerReplication { found: 2, wanted: 1, .. }), "{lower}");
    let text =
        format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'");
    assert_eq!(query::<(String,)>(&session, &text).await, [], "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_keyspaces_and_datacenters_are_refused() {
    engines_or_skip!();
    let config = config(Cassandra::shared().contact_points());
    let nowhere = Config { datacenter: "pune".to_owned(), ..config.clone() };
    let refusal = refused(&nowhere).await.to_string();
    assert!(refusal.contains("`pune`: there is datacenter1"), "{refusal}");
    let (session, keyspace) = (session(&config).await, &config.keyspace);
    let simple = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    run(&session, &format!("CREATE KEYSPACE {keyspace} WITH replication = {simple}")).await;
    let refusal = refused(&config).await.to_string();
    assert!(refusal.contains("SimpleStrategy, not by NetworkTopologyStrategy"), "{refusal}");
    let here = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}";
    run(&session, &format!("ALTER KEYSPACE {keyspace} WITH replication = {here}")).await;
    run(&session, &format!("CREATE TABLE {keyspace}.orders (id int PRIMARY KEY)")).await;
    let refusal = refused(&config).await.to_string();
    assert!(refusal.contains("has tables of something else"), "{refusal}");
}
