//! Settings: what is wrong is named with its origin, and `config print` shows what holds.

use crate::support::{Home, server::Launch};

fn print(home: &Home) -> Launch {
    Launch::bare(home.path()).arg("config").arg("print")
}

#[test]
fn a_bad_setting_stops_the_start_with_a_sentence() {
    let home = Home::new();
    let unknown = home.file("unknown.toml", "[gateway]\nworker = 3\n");
    let bad = home.file("bad.toml", "[gateway]\nheartbeat = \"soon\"\n");
    let broken = home.file("broken.toml", "[gateway\n");
    let production = home.file("production.toml", "mode = \"production\"\n");
    let config = |path: &std::path::Path| ("--config", path.to_str().unwrap().to_owned());
    let none = ("", String::new());
    let var = |name: &'static str, value: &'static str| (name, value);
    let no = ("", "");
    for (flag, variable, parts) in [
        (
            config(&unknown),
            no,
            &["gateway.worker = 3", "unknown.toml", "unknown key", "gateway.workers"][..],
        ),
        (config(&bad), no, &["gateway.heartbeat", "soon", "file ", "bad.toml"]),
        (config(&broken), no, &["broken.toml", "not TOML"]),
        (config(&home.path().join("none.toml")), no, &["none.toml", "check --config"]),
        (config(&production), no, &["auth.keys", "production"]),
        (
            none.clone(),
            var("HARKARA_GATEWAY__HEARTBEET", "1s"),
            &["gateway.heartbeet", "variable HARKARA_GATEWAY__HEARTBEET", "gateway.heartbeat"],
        ),
        (
            none.clone(),
            var("HARKARA_LOG__PARTITIONS", "many"),
            &["log.partitions", "many", "variable HARKARA_LOG__PARTITIONS"],
        ),
        (
            none.clone(),
            var("HARKARA_LOG__PARTITIONS", "0"),
            &["log.partitions = 0", "variable HARKARA_LOG__PARTITIONS", "1 or more"],
        ),
        (
            none.clone(),
            var("HARKARA_GATEWAY__OUTBOUND_HARD_BYTES", "1"),
            &["gateway.outbound_hard_bytes = 1", "outbound_soft_bytes"],
        ),
        (
            ("--listen", "nowhere".into()),
            no,
            &["listen", "nowhere", "flag --listen", "127.0.0.1:8080"],
        ),
        (
            ("--listen", "0.0.0.0:0".into()),
            no,
            &["listen", "0.0.0.0:0", "flag --listen", "--dev-allow-non-loopback"],
        ),
        (("--log", "loud".into()), no, &["telemetry.log", "loud", "flag --log"]),
    ] {
        let mut launch = Launch::bare(home.path()).arg("standalone").arg("--data").arg(home.data());
        if !flag.0.is_empty() {
            launch = launch.arg(flag.0).arg(&flag.1);
        }
        if !variable.0.is_empty() {
            launch = launch.env(variable.0, variable.1);
        }
        let (code, out, err) = launch.run();
        assert_eq!((code, out.as_str()), (2, ""), "{flag:?} {variable:?}: {err}");
        for part in parts {
            assert!(err.contains(part), "{part:?} is not in: {err}");
        }
    }
    assert!(!home.data().exists(), "nothing was made");
    let (code, _, _) = Launch::bare(home.path()).arg("--no-such-flag").run();
    assert_eq!(code, 2);
}

#[test]
fn an_open_address_in_development_mode_must_be_meant() {
    let home = Home::new();
    let launch = home.launch().replacing("--listen", "0.0.0.0:0").arg("--dev-allow-non-loopback");
    let server = launch.start();
    assert!(server.clients.ip().is_loopback(), "told as this machine reaches it");
    assert_eq!(server.stop(), 0);
}

#[test]
fn config_print_shows_values_with_their_origins() {
    let home = Home::new();
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    let file = home.file(
        "harkara.toml",
        &format!(
            "[gateway]\nconnections_max = 5\nheartbeat = \"7s\"\n[[auth.keys]]\nalg = \"HS256\"\n\
             issuer = \"i\"\nsecret = \"{secret}\"\n"
        ),
    );
    let (code, out, err) = print(&home)
        .arg("--config")
        .arg(&file)
        .arg("--listen")
        .arg("127.0.0.1:1234")
        .env("HARKARA_GATEWAY__HEARTBEAT", "9s")
        .env("HARKARA_GATEWAY__ORIGINS", "https://a.example,https://b.example")
        .run();
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(!out.contains(secret), "{out}");
    let values: toml::Table = out.parse().unwrap();
    assert_eq!(values["listen"].as_str(), Some("127.0.0.1:1234"));
    let gateway = &values["gateway"];
    assert_eq!(gateway["connections_max"].as_integer(), Some(5));
    assert_eq!(gateway["heartbeat"].as_str(), Some("9s"));
    assert_eq!(gateway["origins"].as_array().map(Vec::len), Some(2));
    let line = |key: &str| out.lines().find(|line| line.trim_start().starts_with(key)).unwrap();
    for (key, origin) in [
        ("listen", "flag --listen"),
        ("connections_max", "file "),
        ("heartbeat", "variable HARKARA_GATEWAY__HEARTBEAT"),
        ("frame_bytes_max", "default"),
    ] {
        assert!(line(key).contains('#') && line(key).contains(origin), "{}", line(key));
    }
}

#[test]
fn what_config_print_shows_can_be_read_back() {
    let home = Home::new();
    let run = |launch: Launch| {
        let (code, out, err) = launch.run();
        assert_eq!((code, err.as_str()), (0, ""));
        (out.parse::<toml::Table>().unwrap(), out)
    };
    let (first, text) = run(print(&home).env("HARKARA_GATEWAY__WORKERS", "3"));
    let file = home.file("printed.toml", &text);
    let (second, _) = run(print(&home).arg("--config").arg(file));
    assert_eq!(first, second);
    // Every key that the page of settings names is there, and no other.
    let page = include_str!("../../../../docs/configuration.md");
    let told = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for key in told.filter(|key| !key.starts_with("auth.keys.")) {
        let mut at = Some(&toml::Value::Table(first.clone())).cloned();
        for part in key.split('.') {
            at = at.and_then(|value| value.get(part).cloned());
        }
        let named = text.contains(key.rsplit('.').next().unwrap_or(key));
        assert!(at.is_some() || named, "{key} is on the page and not in the settings");
    }
}
