//! What the standalone server says on standard output once it serves: where, and how to chat.

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
    let scheme = if settings.gateway.tls.is_on() { "wss" } else { "ws" };
    let url = format!("{scheme}://{}/v1/ws", reachable(clients));
    let mut out = io::stdout().lock();
    if settings.telemetry.log == LogFormat::Json {
        let line = serde_json::json!({
            "event": "listening", "clients": url, "admin": format!("http://{}", reachable(admin)),
            "data": data, "pid": std::process::id(),
        });
        writeln!(out, "{line}")?;
        return out.flush();
    }
    writeln!(out, "listening clients={url}")?;
    writeln!(out, "listening admin=http://{}", reachable(admin))?;
    writeln!(out, "data      {}", data.display())?;
    if let Some(issuer) = issuer {
        demo(&mut out, issuer, clients, &url)?;
    }
    out.flush()
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
    let url = if at.port() == 8080 { String::new() } else { format!(" --url {url}") };
    writeln!(out, "\nto chat, paste one line into each of two other terminals:")?;
    writeln!(out, "  {program} chat --as asha --with bilal{url}")?;
    writeln!(out, "  {program} chat --as bilal{url}")?;
    writeln!(out, "\nCtrl-C ends the server.")
}
