//! The gateway's settings: limits and timeouts of sessions and their sockets. Plain data, filled
//! by the binary's settings (section `[gateway]`) and handed to the transport and the sessions.

mod network;

use std::{num::NonZeroUsize, thread};

use harkara_domain::limits::CONTENT_BYTES_MAX;
use harkara_service_runtime::{HumanDuration, settings::Problem, tls::ServerTls};
use serde::{Deserialize, Serialize};

pub use self::network::{Network, ParseNetworkError};

/// Settings of one gateway. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads that drive sockets and sessions; 0 is one per available core. A session lives on
    /// one of them from its upgrade to its end. Read it through [`Config::worker_threads`].
    pub workers: usize,
    /// Origins (`https://chat.example.org`) whose pages may connect, or `*` for all. Empty: pages
    /// of the same host, and pages on this machine for clients on this machine.
    pub origins: Vec<String>,
    /// Sockets at once. 100,000 × (4 KiB of ours + 5 KiB of the kernel's) = 0.9 GiB. Bounded by
    /// the limit on open files as well: each socket is one.
    pub connections_max: usize,
    /// Longest WebSocket message in bytes, all its fragments together: twice the longest content
    /// (32 KiB), which leaves half for JSON escapes. More closes the session with 1009.
    pub frame_bytes_max: usize,
    /// Requests of one session without an answer. 64 × 64 KiB = 4 MiB at the very worst; more
    /// are not read from the socket before one is answered.
    pub requests_in_flight_max: usize,
    /// Sends of one thread that are appended and whose outcome did not come back yet; more are
    /// answered `unavailable`. 16,384 × ~120 bytes = 2 MB; while a worker is away for
    /// `outcome_timeout`, room for 1,600 a second.
    pub undecided_sends_max: usize,
    /// From a send's appending to its outcome, on average: longer is overload, and load is given up
    /// (`load/overload.rs`). Twenty times what the embedded engines take (0.5 ms); where engines take
    /// more than half of it without load, twice what they take counts instead.
    pub outcome_target: HumanDuration,
    /// Bytes queued for one client from which on it gets no typing notices and read marks, and
    /// catching up pauses: about 1,000 events of 250 bytes.
    pub outbound_soft_bytes: usize,
    /// Bytes queued for one client at which its connection is reset: four soft limits, room for
    /// a page of history and a burst. A close frame could not get through; the client resumes.
    pub outbound_hard_bytes: usize,
    /// Sends a second of one session, over time; a whole number from 1 on or "unlimited". 50 is
    /// ten times what the fastest typist with five conversations does.
    #[serde(with = "harkara_service_runtime::settings::unlimited")]
    pub sends_per_second_max: Option<u32>,
    /// Sends of one session at once, before the rate applies: four seconds of it, what a phone
    /// wrote while it had no network.
    pub sends_burst: u32,
    /// Conversations in one answer to `session.start`: 500 × ~300 bytes = 150 kB.
    pub conversations_per_page_max: usize,
    /// Events that a session catches up per conversation before it is told to read history
    /// instead: 1,000 × ~300 bytes = 300 kB, just over the soft limit.
    pub catch_up_events_max: usize,
    /// From the upgrade to `session.start`; after it, 1008.
    pub session_start_timeout: HumanDuration,
    /// Between pings to a client that is silent; two without an answer end the session. Below the
    /// 60 seconds after which proxies drop quiet connections.
    pub heartbeat: HumanDuration,
    /// From a request that changes something to its outcome; after it, `unavailable`.
    pub outcome_timeout: HumanDuration,
    /// From asking a conversation's owner (state, events) to its answer; after it, `unavailable`.
    pub owner_timeout: HumanDuration,
    /// Between two typing notices of one device in one conversation that are passed on.
    pub typing_interval: HumanDuration,
    /// Time for sessions to end by themselves at shutdown before their sockets are closed.
    pub drain: HumanDuration,
    /// Size of the kernel's send buffer of one socket in bytes (it doubles the figure for its own
    /// books): as large as holds a burst of ~200 events, so that a slow client is noticed soon.
    pub send_buffer_bytes: usize,
    /// Time that sent bytes may go without acknowledgment before the kernel ends the connection
    /// (`TCP_USER_TIMEOUT`): finds half-open sockets that still have something to send.
    pub tcp_user_timeout: HumanDuration,
    /// From accept to a complete upgrade request; after it, the socket is closed. A PROXY header
    /// and a TLS handshake before it have as much time again.
    pub handshake_timeout: HumanDuration,
    /// Every connection begins with a PROXY header of version 2, which names the client.
    pub proxy_protocol: bool,
    /// The proxies that are believed; with `proxy_protocol`, nobody else may connect.
    pub trusted_proxies: Vec<Network>,
    /// TLS on the clients' port, off without a certificate.
    pub tls: ServerTls,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 0,
            origins: Vec::new(),
            connections_max: 100_000,
            frame_bytes_max: 64 * 1024,
            requests_in_flight_max: 64,
            undecided_sends_max: 16_384,
            outcome_target: HumanDuration::from_millis(10),
            outbound_soft_bytes: 256 * 1024,
            outbound_hard_bytes: 1024 * 1024,
            sends_per_second_max: Some(50),
            sends_burst: 200,
            conversations_per_page_max: 500,
            catch_up_events_max: 1_000,
            session_start_timeout: HumanDuration::from_secs(10),
            heartbeat: HumanDuration::from_secs(30),
            outcome_timeout: HumanDuration::from_secs(10),
            owner_timeout: HumanDuration::from_secs(3),
            typing_interval: HumanDuration::from_secs(2),
            drain: HumanDuration::from_secs(5),
            send_buffer_bytes: 48 * 1024,
            tcp_user_timeout: HumanDuration::from_secs(20),
            handshake_timeout: HumanDuration::from_secs(5),
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            tls: ServerTls::default(),
        }
    }
}

impl Config {
    /// Worker threads to start: the setting, or one per available core.
    #[must_use]
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            workers => workers,
        }
    }

    /// Sockets at once in a process that may open so many files: the setting, or what remains of
    /// the files after 512 for the engines, the listeners and the log.
    #[must_use]
    pub fn connections_allowed(&self, open_files: u64) -> usize {
        let sockets = usize::try_from(open_files).unwrap_or(usize::MAX).saturating_sub(512);
        self.connections_max.min(sockets.max(1))
    }

    /// What the gateway could not work with; keys below `gateway`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let frame_least = 2 * CONTENT_BYTES_MAX;
        let counts = [
            ("connections_max", self.connections_max, 1),
            ("frame_bytes_max", self.frame_bytes_max, frame_least),
            ("requests_in_flight_max", self.requests_in_flight_max, 1),
            ("undecided_sends_max", self.undecided_sends_max, 1),
            ("outbound_soft_bytes", self.outbound_soft_bytes, self.frame_bytes_max),
            ("conversations_per_page_max", self.conversations_per_page_max, 1),
            ("catch_up_events_max", self.catch_up_events_max, 1),
            ("send_buffer_bytes", self.send_buffer_bytes, 4_096),
        ];
        let durations = [
            ("session_start_timeout", self.session_start_timeout),
            ("heartbeat", self.heartbeat),
            ("outcome_target", self.outcome_target),
            ("outcome_timeout", self.outcome_timeout),
            ("owner_timeout", self.owner_timeout),
            ("tcp_user_timeout", self.tcp_user_timeout),
            ("handshake_timeout", self.handshake_timeout),
        ];
        let mut problems = Vec::new();
        let mut wrong = |key: &str, right: String| {
            problems.push(Problem::new(format!("gateway.{key}"), right));
        };
        for (key, value, least) in counts {
            if value < least {
                wrong(key, format!("must be {least} or more"));
            }
        }
        for (key, value) in durations {
            if value.as_millis() == 0 {
                wrong(key, "must be 1ms or more".into());
            }
        }
        if self.outbound_hard_bytes <= self.outbound_soft_bytes {
            let soft = self.outbound_soft_bytes;
            wrong("outbound_hard_bytes", format!("must be above outbound_soft_bytes, {soft}"));
        }
        if self.sends_burst == 0 {
            wrong("sends_burst", "must be 1 or more".into());
        }
        if self.proxy_protocol == self.trusted_proxies.is_empty() {
            let right = if self.proxy_protocol {
                "must name the proxies that are believed, where gateway.proxy_protocol is true"
            } else {
                "must be empty, or gateway.proxy_protocol true: nothing else looks at it"
            };
            wrong("trusted_proxies", right.into());
        }
        problems.extend(self.tls.problems("gateway.tls"));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fit_together_and_bad_ones_are_named() {
        assert_eq!(Config::default().problems(), []);
        let bad = Config {
            outbound_soft_bytes: 1,
            heartbeat: HumanDuration::from_millis(0),
            sends_burst: 0,
            proxy_protocol: true,
            ..Config::default()
        };
        let keys: Vec<_> = bad.problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(
            keys,
            [
                "gateway.outbound_soft_bytes",
                "gateway.heartbeat",
                "gateway.sends_burst",
                "gateway.trusted_proxies"
            ]
        );
    }

    #[test]
    fn open_files_bound_connections() {
        let config = Config::default();
        assert_eq!(config.connections_allowed(u64::MAX), 100_000);
        assert_eq!(config.connections_allowed(20_000), 19_488);
        assert_eq!(config.connections_allowed(10), 1);
    }
}
