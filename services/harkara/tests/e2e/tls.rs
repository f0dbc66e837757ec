//! The binary with TLS on its client port: people chat over `wss://`, and a certificate is renewed
//! under a server that runs; files that are of no use stop it at its start.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{
    support::{Home, server::Launch, until},
    terminal::Terminal,
};

/// A new authority's file; what it signed for this machine replaces what was there.
fn certify(home: &Home, authority: &str) -> PathBuf {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, authority);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    home.file("server.crt", &params.signed_by(&key, &issuer).unwrap().pem());
    home.file("server.key", &key.serialize_pem());
    home.file(&format!("{authority}.crt"), &issuer.pem())
}

fn launch(home: &Home) -> Launch {
    home.launch()
        .env("HARKARA_GATEWAY__TLS__CERTIFICATE", "server.crt")
        .env("HARKARA_GATEWAY__TLS__KEY", "server.key")
}

fn chat(home: &Home, url: &str, name: &str, with: &str, ca: &Path) -> Terminal {
    let ca = ca.to_str().expect("UTF-8");
    Terminal::start(home.path(), url, &["--as", name, "--with", with, "--ca", ca])
}

#[test]
fn people_chat_over_tls_while_the_certificate_is_renewed() {
    let home = Home::new();
    let first = certify(&home, "first");
    let server = launch(&home).start();
    let url = server.url().replace("ws://", "wss://");
    let announced = format!("clients={url}");
    assert!(server.process.out().contains(&announced), "{announced} is said");
    let mut asha = chat(&home, &url, "asha", "bilal", &first);
    asha.sees("--- ");
    let second = certify(&home, "second");
    // Files are looked at once a second at most.
    let mut bilal = until("the renewed certificate", || {
        let bilal = chat(&home, &url, "bilal", "asha", &second);
        let seen = || bilal.0.out().contains("--- ");
        let lost = || bilal.0.out().contains("trying again") || !bilal.0.err().is_empty();
        until("it connects or does not", || (seen() || lost()).then_some(()));
        seen().then_some(bilal)
    });
    bilal.types("renewed");
    asha.sees("renewed");
    asha.types("the old session lives");
    bilal.sees("the old session lives");
    for mut terminal in [asha, bilal] {
        terminal.types("/quit");
        assert_eq!(terminal.0.wait(), 0, "{}", terminal.0.err());
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn files_of_no_use_are_named_at_the_start() {
    let home = Home::new();
    certify(&home, "first");
    let other = KeyPair::generate().unwrap();
    home.file("server.key", &other.serialize_pem());
    let mut process = launch(&home).spawn();
    assert_eq!(process.wait(), 2);
    let told = process.err();
    assert!(told.contains("server.key is not the key of the certificate in server.crt"), "{told}");
}
