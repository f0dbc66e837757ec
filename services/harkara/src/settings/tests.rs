//! What is loaded, what is refused, and that the page about it is true.

use std::collections::BTreeMap;

use harkara_service_runtime::settings::Flag;

use super::*;

fn sources(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn refused(pairs: &[(&str, &str)]) -> String {
    Settings::load(&sources(pairs)).unwrap_err().to_string()
}

#[test]
fn defaults_start_a_development_server_on_loopback() {
    let settings = Settings::load(&Sources::default()).unwrap().value;
    assert_eq!(settings.mode, Mode::Development);
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(settings.gateway.sends_per_second_max, None);
    assert!(!settings.auth.has_keys());
}

#[test]
fn file_environment_and_flags_rise() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("harkara.toml");
    let text = "listen = '127.0.0.1:1'\n[data]\ndir = 'file'\n[gateway]\nheartbeat = '1s'\n";
    std::fs::write(&file, text).unwrap();
    let mut sources =
        sources(&[("HARKARA_LISTEN", "127.0.0.1:2"), ("HARKARA_DATA__DIR", "variable")]);
    sources.file = Some(file.clone());
    sources.flags = vec![Flag { flag: "--listen", key: "listen", text: "127.0.0.1:3".into() }];
    let loaded = Settings::load(&sources).unwrap();
    assert_eq!(loaded.value.listen.port(), 3);
    assert_eq!(loaded.value.data.dir, PathBuf::from("variable"));
    assert_eq!(loaded.value.gateway.heartbeat, HumanDuration::from_secs(1));
    let printed = loaded.print();
    for line in [
        "listen = \"127.0.0.1:3\" # flag --listen\n".to_owned(),
        "dir = \"variable\" # variable HARKARA_DATA__DIR\n".into(),
        format!("heartbeat = \"1s\" # file {}\n", file.display()),
        "mode = \"development\" # default\n".into(),
        "# otlp_endpoint is not set\n".into(),
    ] {
        assert!(printed.contains(&line), "{line}{printed}");
    }
    assert!(toml_reads(&printed), "{printed}");
}

fn toml_reads(text: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("printed.toml");
    std::fs::write(&file, text).unwrap();
    Settings::load(&Sources { file: Some(file), ..Sources::default() }).is_ok()
}

#[test]
fn unknown_keys_and_bad_values_say_what_is_right() {
    for (variable, expected) in [
        (
            ("HARKARA_GATEWAY__HEARTBEET", "1s"),
            "gateway.heartbeet = \"1s\" (variable HARKARA_GATEWAY__HEARTBEET): unknown key, did \
             you mean gateway.heartbeat?",
        ),
        (
            ("HARKARA_LISTEN", "8080"),
            "listen = \"8080\" (variable HARKARA_LISTEN): expected an address and a port such as \
             \"127.0.0.1:8080\", \"[::]:8080\"",
        ),
        (
            ("HARKARA_MODE", "prod"),
            "mode = \"prod\" (variable HARKARA_MODE): expected one of development, production",
        ),
        (
            ("HARKARA_LOG__PARTITIONS", "70000"),
            "log.partitions = 70000 (variable HARKARA_LOG__PARTITIONS): expected a whole number \
             from 0 to 65535",
        ),
        (
            ("HARKARA_TELEMETRY__LOG", "yaml"),
            "telemetry.log = \"yaml\" (variable HARKARA_TELEMETRY__LOG): expected one of text, json",
        ),
        (
            ("HARKARA_GATEWAY__OUTBOUND_HARD_BYTES", "1000"),
            "gateway.outbound_hard_bytes = 1000 (variable HARKARA_GATEWAY__OUTBOUND_HARD_BYTES): \
             must be above outbound_soft_bytes, 262144",
        ),
        (
            ("HARKARA_ADMIN__LISTEN", "127.0.0.1:8080"),
            "admin.listen = \"127.0.0.1:8080\" (variable HARKARA_ADMIN__LISTEN): must be another \
             address than listen",
        ),
        (
            ("HARKARA_FANOUT__STORE_RETRY_MAX", "1ms"),
            "fanout.store_retry_max = \"1ms\" (variable HARKARA_FANOUT__STORE_RETRY_MAX): must be \
             store_retry_min, 50ms, or more",
        ),
    ] {
        assert_eq!(refused(&[variable]), expected);
    }
}

#[test]
fn development_tokens_stay_on_loopback_unless_asked_for() {
    let open = ("HARKARA_LISTEN", "0.0.0.0:8080");
    let message = refused(&[open]);
    assert!(
        message.starts_with(
            "listen = \"0.0.0.0:8080\" (variable HARKARA_LISTEN): development mode gives tokens to \
             whoever reaches this address; listen on 127.0.0.1"
        ),
        "{message}"
    );
    assert!(Settings::load(&sources(&[open, ("HARKARA_DEV__ALLOW_NON_LOOPBACK", "true")])).is_ok());
    assert!(Settings::load(&sources(&[("HARKARA_LISTEN", "[::1]:0")])).is_ok());
}

#[test]
fn production_needs_keys_and_limits_sends() {
    let production = ("HARKARA_MODE", "production");
    assert_eq!(
        refused(&[production]),
        "auth.keys = [] (default): production mode needs keys to verify tokens with; set \
         auth.issuer and auth.keys or auth.jwks_file"
    );
    let file = ("HARKARA_AUTH__JWKS_FILE", "/etc/harkara/jwks.json");
    assert_eq!(
        refused(&[production, file]),
        "auth.issuer = \"\" (default): must be set where auth.jwks_file is"
    );
    let issuer = ("HARKARA_AUTH__ISSUER", "https://id.example");
    let open = ("HARKARA_LISTEN", "0.0.0.0:8080");
    let loaded = Settings::load(&sources(&[production, file, issuer, open])).unwrap();
    assert_eq!(loaded.value.mode, Mode::Production);
    assert_eq!(loaded.value.gateway.sends_per_second_max, Some(50));
    assert_eq!(loaded.origin("mode"), "variable HARKARA_MODE");
}

#[test]
fn secrets_are_not_shown() {
    let secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let key = format!("[{{alg=HS256,kid=k,secret=\"{secret}\"}}]");
    let keys = ("HARKARA_AUTH__KEYS", key.as_str());
    let loaded = Settings::load(&sources(&[keys, ("HARKARA_AUTH__ISSUER", "i")])).unwrap();
    assert!(!loaded.print().contains(secret));
    assert!(!format!("{:?}", loaded.value).contains(secret));
    assert!(loaded.print().contains("secret = \"<hidden>\""), "{}", loaded.print());
    let message = refused(&[keys]);
    assert!(!message.contains(secret) && message.contains("auth.keys.0"), "{message}");
}

/// `docs/configuration.md`: key → default, from the rows of its tables.
fn page() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split(" | ").collect();
        let key = cells.first()?.trim_end_matches('`').to_owned();
        assert!(cells.len() == 4 && cells[3].len() > 10, "{line}");
        Some((key, cells[2].trim_matches('`').to_owned()))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn the_page_has_every_key_with_its_default() {
    let page = page();
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for leaf in Sources::default().load(&Settings::default()).unwrap().leaves() {
        expected.insert(leaf.key, leaf.value.unwrap_or_else(|| "not set".into()));
    }
    for name in ["kid", "alg", "issuer", "audience", "pem", "secret", "file"] {
        let default = if name == "alg" { "needed" } else { "not set" };
        expected.insert(format!("auth.keys.N.{name}"), default.into());
    }
    assert_eq!(page, expected);
}

#[test]
fn the_page_lists_every_key_of_a_key() {
    let message = refused(&[("HARKARA_AUTH__KEYS", "[{x=1}]")]);
    let listed = message.split_once("expected one of ").unwrap().1;
    assert_eq!(listed, "kid, alg, issuer, audience, pem, secret, file");
}
