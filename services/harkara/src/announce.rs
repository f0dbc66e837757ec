//! What a server says on standard output once it serves: where, and how to chat.

use std::{
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
};

use harkara_gateway::auth::DevIssuer;
use harkara_service_runtime::telemetry::LogFormat;

use crate::settings::Settings;

/// Names of the demo users.
const DEMO: [&str; 3] = ["asha", "bilal", "chitra"];

/// Prints it. The two `listening` lines (or the one JSON line) are for scripts; their form stays.
///
/// # Errors
/// When standard output is closed.
pub fn tell(
    settings: &Settings,
    clients: SocketAddr,
    admin: SocketAddr,
    issuer: Option<&DevIssuer>,
) -> io::Result<()> {
    let data = std::path::absolute(&settings.data.dir)?;
    let url = client_url(clients, settings.gateway.tls.is_on());
    let admin = admin_url(admin);
    let mut out = io::stdout().lock();
    if settings.telemetry.log == LogFormat::Json {
        let line = serde_json::json!({
            "event": "listening", "clients": url, "admin": admin,
            "data": data, "pid": std::process::id(),
        });
        writeln!(out, "{line}")?;
        return out.flush();
    }
    writeln!(out, "listening clients={url}")?;
    writeln!(out, "listening admin={admin}")?;
    writeln!(out, "data      {}", data.display())?;
    if let Some(issuer) = issuer {
        demo(&mut out, issuer, clients, &url)?;
    }
    out.flush()
}

/// Prints where a role of a cluster listens: a line each, or one JSON line.
///
/// # Errors
/// When standard output is closed.
#[cfg(feature = "cluster")]
pub fn listening(form: LogFormat, about: &[(&str, String)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if form == LogFormat::Json {
        let mut line = serde_json::json!({"event": "listening", "pid": std::process::id()});
        about.iter().for_each(|(what, at)| line[*what] = at.as_str().into());
        writeln!(out, "{line}")?;
    } else {
        about.iter().try_for_each(|(what, at)| writeln!(out, "listening {what}={at}"))?;
    }
    out.flush()
}

/// Prints the demo users of a gateway in development mode, for people.
///
/// # Errors
/// When standard output is closed.
#[cfg(feature = "cluster")]
pub fn demo_users(
    form: LogFormat,
    issuer: Option<&DevIssuer>,
    at: SocketAddr,
    url: &str,
) -> io::Result<()> {
    match issuer {
        Some(issuer) if form == LogFormat::Text => demo(&mut io::stdout().lock(), issuer, at, url),
        _ => Ok(()),
    }
}

/// Nobody may read standard output: serving goes on.
pub fn or_warn(told: io::Result<()>) {
    if let Err(error) = told {
        tracing::warn!(%error, "could not say on standard output where it listens");
    }
}

/// Where clients connect.
pub fn client_url(clients: SocketAddr, tls: bool) -> String {
    format!("{}://{}/v1/ws", if tls { "wss" } else { "ws" }, reachable(clients))
}

/// Where operators look.
pub fn admin_url(admin: SocketAddr) -> String {
    format!("http://{}", reachable(admin))
}

/// Where somebody on this machine reaches an address that may mean "everywhere".
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn demo(out: &mut impl io::Write, issuer: &DevIssuer, at: SocketAddr, url: &str) -> io::Result<()> {
    writeln!(out, "\ndevelopment mode: anybody who reaches this port gets a token. Demo users:")?;
    for name in DEMO {
        let token = issuer.issue(name, None).map_err(io::Error::other)?;
        writeln!(out, "  {name:<7} {}  {}", token.user, token.token)?;
    }
    let program = std::env::args().next().unwrap_or_else(|| "harkara".to_owned());
    let usual = at.port() == 8080 && url.starts_with("ws:");
    let url = if usual { String::new() } else { format!(" --url {url}") };
    writeln!(out, "\nto chat, paste one line into each of two other terminals:")?;
    writeln!(out, "  {program} chat --as asha --with bilal{url}")?;
    writeln!(out, "  {program} chat --as bilal{url}")?;
    writeln!(out, "\nCtrl-C ends the server.")
}
