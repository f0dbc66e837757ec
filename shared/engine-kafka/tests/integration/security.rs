//! TLS, passwords and certificates: what works, and one clear sentence for what does not.

use harkara_domain::Partition;
use harkara_engine::{Directory as _, LogError};
use harkara_engine_kafka::{Config, KafkaDirectory, KafkaLog, Mechanism, Sasl, Tls};
use harkara_service_runtime::clock::SystemClock;
use harkara_test_engines::{
    Kafka, KafkaOptions, Security, engines_or_skip,
    kafka::{PASSWORD, USER},
};

use crate::support::{append, config, log, read, reader};
use harkara_engine::Log as _;

async fn wrong(config: &Config, words: &str) {
    match KafkaLog::open(config.clone(), SystemClock::shared()).await {
        Err(LogError::Stop(why)) => assert!(why.contains(words), "{why:?} must say {words:?}"),
        Err(other) => panic!("{other} must be told as hopeless, with {words:?}"),
        Ok(_) => panic!("it must not open"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_ask_who_it_is() {
    engines_or_skip!();
    let kafka =
        Kafka::start(&KafkaOptions { security: Security::Mutual, ..KafkaOptions::default() });
    let files = kafka.tls();
    let tls = Tls { enabled: true, ca: Some(files.ca.clone()), ..Tls::default() };
    let sasl = Sasl {
        mechanism: Mechanism::ScramSha512,
        username: USER.to_owned(),
        password: PASSWORD.to_owned().into(),
    };
    let password =
        Config { tls: tls.clone(), sasl: sasl.clone(), ..config(&kafka.sasl_bootstrap()) };
    assert_eq!(password.problems("kafka"), []);
    let ours = Tls {
        certificate: Some(files.certificate.clone()),
        key: Some(files.key.clone()),
        ..tls.clone()
    };
    let certificate =
        Config { tls: ours, prefix: password.prefix.clone(), ..config(&kafka.tls_bootstrap()) };
    // Made by one way, read by the other.
    let first = log(&password).await;
    append(&*first, 0, "by password").await.expect("appended");
    let second = log(&certificate).await;
    append(&*second, 0, "by certificate").await.expect("appended");
    let mut given = second.consume().await.expect("consuming works");
    let mut readers = vec![reader(&mut *given).await];
    while readers.last().is_none_or(|reader| reader.partition() != Partition(0)) {
        readers.push(reader(&mut *given).await);
    }
    let last = readers.last_mut().expect("found");
    assert_eq!(read(&mut **last, 2).await.len(), 2);
    let directory = KafkaDirectory::open(password.clone(), SystemClock::shared()).await;
    directory.expect("it opens").claim(Partition(0), "a:1").await.expect("claimed");
    drop((readers, given));
    first.close().await;
    second.close().await;

    let bad = Sasl { password: "open sesame".to_owned().into(), ..sasl.clone() };
    wrong(&Config { sasl: bad, ..password.clone() }, "kafka refuses the user name or the password")
        .await;
    let other = Config {
        tls: Tls { ca: Some(files.certificate.clone()), ..tls.clone() },
        ..password.clone()
    };
    wrong(&other, "the broker's certificate is not to be trusted: check kafka.tls.ca").await;
    let none = Config { tls: tls.clone(), ..certificate.clone() };
    wrong(&none, "the broker asks for a certificate").await;
    let plain = Config { tls: Tls::default(), sasl: Sasl::default(), ..certificate.clone() };
    // A broker that is about to stop looks the same, so this is waited for.
    match KafkaLog::open(plain, SystemClock::shared()).await {
        Err(LogError::Unknown(why)) => {
            assert!(why.contains("it may speak TLS on this port"), "{why}")
        }
        other => panic!("{:?}", other.err()),
    }
    let tls_to_plain = Config { tls, ..config(kafka.bootstrap()) };
    wrong(&tls_to_plain, "the broker does not speak TLS on this port").await;
}
