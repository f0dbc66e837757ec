//! Nodes that ask for TLS, a password, a certificate: it works with the right ones, and anything
//! else is told in one sentence.

use std::path::{Path, PathBuf};

use harkara_engine::Store;
use harkara_engine_scylla::{Config, OpenError};
use harkara_service_runtime::tls::ClientTls;
use harkara_test_engines::{
    Cassandra, CassandraOptions, Security, TlsFiles,
    cassandra::{PASSWORD, USER},
    engines_or_skip,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use secrecy::SecretString;

use crate::support::{config, events, made, read, try_open, write};

fn started(security: Security) -> Cassandra {
    Cassandra::start(&CassandraOptions { security, ..CassandraOptions::default() })
}

/// With TLS and the password, without a certificate.
fn with_password(cassandra: &Cassandra) -> Config {
    let tls = ClientTls { enabled: true, ca: Some(cassandra.tls().ca), ..ClientTls::default() };
    Config {
        user: Some(USER.to_owned()),
        password: SecretString::from(PASSWORD),
        tls,
        ..config(cassandra.contact_points())
    }
}

/// An authority that signed nothing here.
fn stranger(dir: &Path) -> PathBuf {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = authority.self_signed(&key).expect("a certificate").pem();
    let path = dir.join("stranger.pem");
    std::fs::write(&path, pem).expect("the file can be written");
    path
}

async fn refused(config: &Config) -> OpenError {
    let refused = try_open(config).await.err().expect("this must be refused");
    assert!(!refused.to_string().contains('\n'), "one sentence: {refused}");
    refused
}

async fn works(config: &Config) {
    let store = made(config).await;
    write(&store, 1, events(1..=3)).await.expect("a write");
    assert_eq!(read(&store, 1).await, Ok(vec![1, 2, 3]));
    assert_eq!(store.ready().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_over_tls() {
    engines_or_skip!();
    let cassandra = started(Security::Password);
    let right = with_password(&cassandra);
    works(&right).await;
    let password = SecretString::from("guess");
    let wrong = refused(&Config { password, ..right.clone() }).await;
    assert!(matches!(wrong, OpenError::Credentials(_)), "{wrong}");
    assert!(!wrong.to_string().contains("guess"), "{wrong}");
    let none =
        refused(&Config { user: None, password: SecretString::default(), ..right.clone() }).await;
    assert!(matches!(none, OpenError::Credentials(_)), "{none}");
    let dir = tempfile::tempdir().expect("a directory for the test");
    let ca = Some(stranger(dir.path()));
    let tls = ClientTls { ca, ..right.tls.clone() };
    let untrusted = refused(&Config { tls, ..right.clone() }).await;
    assert!(matches!(untrusted, OpenError::Untrusted(_)), "{untrusted}");
    assert!(untrusted.to_string().contains("authority"), "{untrusted}");
    let name = Some("somebody.test".to_owned());
    let tls = ClientTls { server_name: name, ..right.tls.clone() };
    let other_name = refused(&Config { tls, ..right.clone() }).await;
    assert!(matches!(other_name, OpenError::Untrusted(_)), "{other_name}");
    let ca = Some("/nowhere/ca.pem".into());
    let tls = ClientTls { ca, ..right.tls.clone() };
    let missing = refused(&Config { tls, ..right.clone() }).await;
    assert!(
        missing.to_string().starts_with("scylla.tls: cannot read /nowhere/ca.pem"),
        "{missing}"
    );
    let plain = refused(&Config { tls: ClientTls::default(), ..right.clone() }).await;
    println!("plain: {plain}");
    assert!(!matches!(plain, OpenError::Credentials(_)), "{plain}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate() {
    engines_or_skip!();
    let cassandra = started(Security::Mutual);
    let without = with_password(&cassandra);
    let TlsFiles { certificate, key, .. } = cassandra.tls();
    let (certificate, key) = (Some(certificate), Some(key));
    let tls = ClientTls { certificate, key, ..without.tls.clone() };
    works(&Config { tls, ..without.clone() }).await;
    let refused = refused(&without).await;
    println!("no certificate: {refused}");
    assert!(matches!(refused, OpenError::Untrusted(_)), "{refused}");
    assert!(refused.to_string().contains("certificate"), "{refused}");
}
