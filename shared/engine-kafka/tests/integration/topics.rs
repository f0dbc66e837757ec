//! Making and checking topics: what `migrate` does, corrects and refuses, and what keeps a log from
//! being opened.

use harkara_domain::{Generation, Partition};
use harkara_engine::{Log, LogError, LogScan};
use harkara_engine_kafka::{Config, KafkaLog, Migrated, migrate};
use harkara_service_runtime::{HumanDuration, clock::SystemClock};
use harkara_test_engines::engines_or_skip;
use rdkafka::{
    ClientConfig,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
};

use crate::support::{append, eventually, log, make, open, read, reader, shared_config};

fn admin(config: &Config) -> AdminClient<DefaultClientContext> {
    let client = ClientConfig::new().set("bootstrap.servers", config.brokers.join(",")).create();
    client.expect("an admin client")
}

fn topic(config: &Config, generation: Generation) -> String {
    format!("{}.log.{}", config.prefix, generation.0)
}

/// Replaces all settings of a topic: these, and otherwise what `migrate` makes.
async fn set(config: &Config, topic: &str, settings: &[(&str, &str)]) {
    let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let made = [("message.timestamp.type", "LogAppendTime"), ("retention.ms", "604800000")];
    let kept = made.iter().filter(|(name, _)| settings.iter().all(|(other, _)| other != name));
    for (name, value) in kept.chain(settings) {
        alter = alter.set(name, value);
    }
    let altered = admin(config).alter_configs([&alter], &AdminOptions::new()).await;
    altered.expect("asked").into_iter().for_each(|one| drop(one.expect("altered")));
}

async fn create(config: &Config, topic: &str, partitions: i32) {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
        .set("message.timestamp.type", "LogAppendTime");
    let options = AdminOptions::new();
    let made = admin(config).create_topics([&new], &options).await.expect("asked");
    made.into_iter().for_each(|one| drop(one.expect("made")));
}

async fn delete(config: &Config, topic: &str) {
    let deleted = admin(config).delete_topics(&[topic], &AdminOptions::new()).await;
    deleted.expect("asked").into_iter().for_each(|one| drop(one.expect("deleted")));
}

async fn migrated(config: &Config) -> Result<Migrated, LogError> {
    migrate(config, &SystemClock::shared(), false).await
}

async fn stopped(config: &Config) -> String {
    match KafkaLog::open(config.clone(), SystemClock::shared()).await {
        Err(LogError::Stop(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it must not open"),
    }
}

fn says(why: &str, words: &str) {
    assert!(why.contains(words), "{why:?} must say {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_again_changes_nothing() {
    engines_or_skip!();
    let config = shared_config();
    let first = migrated(&config).await.expect("made");
    says(&first.lines.join("\n"), "made, 4 partitions, 1 copies");
    says(&first.lines.join("\n"), "markers written to 4 partitions");
    let log = open(&config).await;
    assert_eq!(Log::generation(&*log), first.generation);
    append(&*log, 0, "kept").await.expect("appended");
    let second = migrated(&config).await.expect("found");
    assert_eq!(second.generation, first.generation);
    let lines = second.lines.join("\n");
    assert!(!lines.contains("made") && !lines.contains("corrected"), "{lines}");
    let kept = LogScan::read(&*log, Partition(0), 0, 10).await.expect("read");
    assert_eq!(kept.len(), 1, "and the record is still the only one");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partition_count_is_refused() {
    engines_or_skip!();
    let config = shared_config();
    make(&config).await;
    let other = Config { partitions: 5, ..config.clone() };
    says(&stopped(&other).await, "has 4 partitions and kafka.partitions says 5");
    let refused = migrated(&other).await.expect_err("the number is fixed").to_string();
    says(&refused, "set kafka.partitions = 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_promises_hang_on_are_checked_and_corrected() {
    engines_or_skip!();
    let config = shared_config();
    let made = migrated(&config).await.expect("made");
    let topic = topic(&config, made.generation);
    let wrong = [
        ("message.timestamp.type", "CreateTime"),
        ("cleanup.policy", "compact"),
        ("unclean.leader.election.enable", "true"),
    ];
    for (name, value) in wrong {
        set(&config, &topic, &[(name, value)]).await;
        says(&stopped(&config).await, &format!("{name}={value}"));
        let lines = migrated(&config).await.expect("corrected").lines.join("\n");
        says(&lines, &format!("{name} corrected from {value}"));
        open(&config).await.close().await;
    }
    // What somebody set besides stays as it is.
    let retention = HumanDuration::from_secs(3_600);
    set(&config, &topic, &[("segment.bytes", "20971520")]).await;
    let shorter = Config { retention, ..config.clone() };
    let lines = migrated(&shorter).await.expect("corrected").lines.join("\n");
    says(&lines, "retention.ms corrected from 604800000 to 3600000");
    let again = Config { retention: HumanDuration::from_secs(7_200), ..config.clone() };
    migrated(&again).await.expect("corrected");
    let asked = [ResourceSpecifier::Topic(&topic)];
    let found = admin(&config).describe_configs(&asked, &AdminOptions::new()).await.expect("asked");
    let found = found.into_iter().next().expect("one topic").expect("described");
    let segment = found.get("segment.bytes").and_then(|entry| entry.value.clone());
    assert_eq!(segment.as_deref(), Some("20971520"), "other settings must be left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn less_durable_is_refused() {
    engines_or_skip!();
    let config = shared_config();
    let made = migrated(&config).await.expect("made");
    let more = Config { replication: 3, min_insync: 2, ..config.clone() };
    let refused = migrated(&more).await.expect_err("copies are not made here").to_string();
    says(&refused, "has 1 copies and kafka.replication says 3");
    let topic = topic(&config, made.generation);
    set(
        &config,
        &topic,
        &[("min.insync.replicas", "2"), ("message.timestamp.type", "LogAppendTime")],
    )
    .await;
    let refused = migrated(&config).await.expect_err("never fewer").to_string();
    says(&refused, "set kafka.min_insync = 2");
    let few = Config { replication: 3, min_insync: 2, ..shared_config() };
    let refused = migrated(&few).await.expect_err("one broker has no three copies").to_string();
    says(&refused, "fewer brokers than the 3 copies");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_made_anew_by_somebody_else_is_refused() {
    engines_or_skip!();
    let config = shared_config();
    let made = migrated(&config).await.expect("made");
    let topic = topic(&config, made.generation);
    let log = open(&config).await;
    let mut assignments = log.consume().await.expect("consuming works");
    let mut first = reader(&mut *assignments).await;
    for n in 0..10 {
        append(&*log, first.partition().0, &format!("r {n}")).await.expect("appended");
    }
    read(&mut *first, 10).await;
    delete(&config, &topic).await;
    eventually("the topic is gone", async || {
        matches!(
            KafkaLog::open(config.clone(), SystemClock::shared()).await,
            Err(LogError::Unknown(_))
        )
    })
    .await;
    let gone = migrated(&config).await.expect_err("it must not begin again silently").to_string();
    says(&gone, "is in use and is gone");
    create(&config, &topic, 4).await;
    says(&stopped(&config).await, "is not the one that was made");
    says(
        &migrated(&config).await.expect_err("nor here").to_string(),
        "is not the one that was made",
    );
    // Whoever was reading it stops as soon as it sees something else than what it knew.
    let restarted = tokio::time::timeout(crate::support::DEADLINE, first.next(1)).await;
    assert!(matches!(restarted, Ok(Err(LogError::Stop(_)))), "{restarted:?}");
    assert!(matches!(log.ready().await, Err(LogError::Stop(_))));
    let refused = log.append(Partition(0), crate::support::KEY, "x".into()).err();
    assert!(matches!(refused, Some(LogError::Stop(_))), "{refused:?}");
    assert!(!first.lease().holds(), "nobody speaks for it any more");
    drop((first, assignments));
    log.close().await;
    let anew = migrate(&config, &SystemClock::shared(), true).await.expect("on purpose it works");
    assert!(anew.generation > made.generation, "a new life is later");
    let log = open(&config).await;
    assert_eq!(Log::generation(&*log), anew.generation);
    let told = append(&*log, 0, "new").await.expect("appended");
    assert_eq!(told.offset, 1, "behind the marker");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_migration_is_finished() {
    engines_or_skip!();
    let config = shared_config();
    // As it is left by a run that ended between making the topic and its markers.
    let generation = Generation(1_234_567);
    create(&config, &topic(&config, generation), 4).await;
    let waits = KafkaLog::open(config.clone(), SystemClock::shared()).await.err();
    let waits = waits.expect("nothing is put to use yet");
    assert!(matches!(&waits, LogError::Unknown(why) if why.contains("harkara migrate")), "{waits}");
    let made = migrated(&config).await.expect("finished");
    assert_eq!(made.generation, generation);
    says(&made.lines.join("\n"), "markers written to 4 partitions");
    let log = log(&config).await;
    append(&*log, 3, "works").await.expect("appended");
    log.close().await;
}
