//! The capacity model: arithmetic from the number of users to machines. Every formula stands in
//! `docs/capacity.md`, under the name that it has here.

use super::{grouped, inputs::Measured};
use crate::figures::short;

const DAY: f64 = 86_400.0;

/// Bytes of the text in the messages of which `stored-bytes` was measured.
const TEXT_BYTES: f64 = 200.0;

/// What a site decides or expects.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Assumptions {
    /// Part of the users who have a session at the busiest time
    #[arg(long, default_value_t = 0.4)]
    pub concurrent_share: f64,
    /// Messages that a user sends on a day
    #[arg(long, default_value_t = 50.0)]
    pub messages_per_user_day: f64,
    /// Messages at the busiest time through the mean
    #[arg(long, default_value_t = 5.0)]
    pub peak_factor: f64,
    /// Sessions that a message reaches, the sender's own with it
    #[arg(long, default_value_t = 10.0)]
    pub room: f64,
    /// Bytes of a message's text
    #[arg(long, default_value_t = TEXT_BYTES)]
    pub message_bytes: f64,
    /// Bytes of a delivery beside the text: names, ids, hash, frame
    #[arg(long, default_value_t = 460.0)]
    pub frame_bytes: f64,
    /// Bytes of the kernel's for a socket
    #[arg(long, default_value_t = 5120.0)]
    pub kernel_bytes: f64,
    /// Copies that log and store keep
    #[arg(long, default_value_t = 3.0)]
    pub copies: f64,
    /// Days that the log keeps records
    #[arg(long, default_value_t = 7.0)]
    pub log_days: f64,
    /// Years of history that the store is to hold
    #[arg(long, default_value_t = 1.0)]
    pub years: f64,
    /// Part of its processors that a machine may use at the busiest time
    #[arg(long, default_value_t = 0.5)]
    pub load: f64,
    /// Gateways and workers more than needed, as a part, but at least one: so many may be missing
    #[arg(long, default_value_t = 0.25)]
    pub spare: f64,
    /// Sessions that a gateway is to hold at most
    #[arg(long, default_value_t = 250_000.0)]
    pub gateway_sessions: f64,
    /// Cores of a gateway and of a worker
    #[arg(long, default_value_t = 4.0)]
    pub service_cores: f64,
    /// Cores of a broker and of a store node
    #[arg(long, default_value_t = 16.0)]
    pub node_cores: f64,
    /// Terabytes that a broker or a store node may fill, room for compaction apart
    #[arg(long, default_value_t = 20.0)]
    pub node_disk: f64,
}

/// A number of machines and what asks for so many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machines {
    /// How many.
    pub count: f64,
    /// `sessions`, `processor`, `disk`, `fewest` where less would not survive a loss.
    pub by: &'static str,
}

/// What so many users need.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "each name says what it is; times in seconds, sizes in bytes")]
pub struct Need {
    pub users: f64,
    pub sessions: f64,
    pub messages_per_second: f64,
    pub deliveries_per_second: f64,
    pub gateway_cores: f64,
    pub worker_cores: f64,
    pub broker_cores: f64,
    pub store_cores: f64,
    pub gateways: Machines,
    pub workers: Machines,
    pub brokers: Machines,
    pub store_nodes: Machines,
    pub session_memory: f64,
    pub kernel_memory: f64,
    pub log_disk: f64,
    pub store_disk_per_year: f64,
    pub network_out: f64,
    pub all_back: f64,
}

impl Machines {
    /// The most that any of these asks for, but not fewer than `fewest`.
    fn most(fewest: f64, wants: &[(f64, &'static str)]) -> Self {
        let start = Self { count: fewest, by: "fewest" };
        wants.iter().fold(start, |most, &(count, by)| {
            let count = count.ceil();
            if count > most.count { Self { count, by } } else { most }
        })
    }
}

impl Need {
    /// Calculates.
    #[must_use]
    pub fn of(users: f64, measured: &Measured, with: &Assumptions) -> Self {
        let sessions = users * with.concurrent_share;
        let messages_per_day = users * with.messages_per_user_day;
        let messages_per_second = messages_per_day / DAY * with.peak_factor;
        let deliveries_per_second = messages_per_second * with.room;
        let stored_bytes = measured.stored_bytes + with.message_bytes - TEXT_BYTES;
        let upkeep = sessions * measured.session_us / 1e6;
        let gateway_cores = upkeep + deliveries_per_second * measured.delivery_us / 1e6;
        let [worker_cores, broker_cores, store_cores] =
            [measured.worker_us, measured.broker_us * with.copies, measured.store_us * with.copies]
                .map(|us| messages_per_second * us / 1e6);
        let log_disk = messages_per_day * with.log_days * stored_bytes * with.copies;
        let store_disk_per_year = messages_per_day * 365.0 * stored_bytes * with.copies;

        let service = |cores: f64| cores / (with.service_cores * with.load);
        // However few they are, one of them may be missing.
        let spared = |need: f64| (need * (1.0 + with.spare)).max(need.ceil() + 1.0);
        let node = |cores: f64| cores / (with.node_cores * with.load);
        let disk = |bytes: f64| bytes / (with.node_disk * 1e12);
        let gateways = [
            (spared(sessions / with.gateway_sessions), "sessions"),
            (spared(service(gateway_cores)), "processor"),
        ];
        let gateways = Machines::most(2.0, &gateways);
        let nodes = |cores: f64, bytes: f64| {
            Machines::most(with.copies, &[(node(cores), "processor"), (disk(bytes), "disk")])
        };
        Self {
            users,
            sessions,
            messages_per_second,
            deliveries_per_second,
            gateway_cores,
            worker_cores,
            broker_cores,
            store_cores,
            gateways,
            workers: Machines::most(2.0, &[(spared(service(worker_cores)), "processor")]),
            brokers: nodes(broker_cores, log_disk),
            store_nodes: nodes(store_cores, store_disk_per_year * with.years),
            session_memory: sessions * measured.session_bytes,
            kernel_memory: sessions * with.kernel_bytes,
            log_disk,
            store_disk_per_year,
            network_out: deliveries_per_second * (with.message_bytes + with.frame_bytes),
            all_back: sessions * measured.connect_ms / 1e3 / (gateways.count * with.service_cores),
        }
    }

    /// For people: what, and how much of it.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let machines = |it: Machines| format!("{} ({})", grouped(it.count), it.by);
        vec![
            ("sessions at the busiest time", grouped(self.sessions)),
            ("messages a second then", grouped(self.messages_per_second)),
            ("deliveries a second then", grouped(self.deliveries_per_second)),
            ("gateways", machines(self.gateways)),
            ("workers", machines(self.workers)),
            ("brokers", machines(self.brokers)),
            ("store nodes", machines(self.store_nodes)),
            ("cores busy in gateways", short(self.gateway_cores)),
            ("cores busy in workers", short(self.worker_cores)),
            ("cores busy in brokers", short(self.broker_cores)),
            ("cores busy in store nodes", short(self.store_cores)),
            ("memory of sessions, in all gateways", bytes(self.session_memory)),
            ("memory of the kernel for their sockets", bytes(self.kernel_memory)),
            ("disk of all brokers", bytes(self.log_disk)),
            ("disk of all store nodes, each year", bytes(self.store_disk_per_year)),
            ("network out at the busiest time", format!("{}/s", bytes(self.network_out))),
            ("all sessions back after a loss of all", format!("{} s", short(self.all_back))),
        ]
    }
}

/// `12.3 GB`.
fn bytes(count: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let unit = units.into_iter().find(|(size, _)| count >= *size);
    let (size, name) = unit.unwrap_or((1.0, "B"));
    format!("{} {name}", short(count / size))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        assumptions: Assumptions,
    }

    fn assumptions(flags: &[&str]) -> Assumptions {
        let line = ["capacity"].iter().chain(flags);
        Line::try_parse_from(line).map(|it| it.assumptions).expect("flags")
    }

    const MEASURED: Measured = Measured {
        session_bytes: 4_000.0,
        session_us: 2.0,
        delivery_us: 10.0,
        connect_ms: 0.2,
        worker_us: 100.0,
        broker_us: 50.0,
        store_us: 200.0,
        stored_bytes: 300.0,
    };

    fn near(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-9, "{value} is not {expected}");
    }

    /// By hand: 1,728,000 users, half of them there, 50 messages a day each: 86.4 M messages a
    /// day, 1,000 a second, 5,000 at the peak, 50,000 deliveries.
    #[test]
    fn the_arithmetic_is_that_of_a_pencil() {
        let need = Need::of(1_728_000.0, &MEASURED, &assumptions(&["--concurrent-share", "0.5"]));
        near(need.sessions, 864_000.0);
        near(need.messages_per_second, 5_000.0);
        near(need.deliveries_per_second, 50_000.0);
        near(need.gateway_cores, 1.728 + 0.5);
        near(need.worker_cores, 0.5);
        near(need.broker_cores, 0.75);
        near(need.store_cores, 3.0);
        // 864,000 / 250,000 = 3.456, with a quarter more 4.32; 2.228 / (4 × 0.5) = 1.114, and one.
        assert_eq!(need.gateways, Machines { count: 5.0, by: "sessions" });
        assert_eq!(need.workers, Machines { count: 2.0, by: "fewest" });
        assert_eq!(need.brokers, Machines { count: 3.0, by: "fewest" });
        // 86.4 M × 365 × 300 × 3 = 28.38 TB, on nodes of 20 TB.
        near(need.store_disk_per_year, 28.3824e12);
        assert_eq!(need.store_nodes, Machines { count: 3.0, by: "fewest" });
        near(need.session_memory, 3.456e9);
        near(need.kernel_memory, 864_000.0 * 5_120.0);
        near(need.log_disk, 86.4e6 * 7.0 * 300.0 * 3.0);
        near(need.network_out, 33e6);
        near(need.all_back, 864_000.0 * 0.2e-3 / 20.0);
    }

    #[test]
    fn what_asks_for_the_most_decides_and_is_named() {
        let flags = ["--gateway-sessions", "1e9", "--years", "5", "--room", "200"];
        let need = Need::of(1_728_000.0, &MEASURED, &assumptions(&flags));
        // 691,200 × 2 µs + 1,000,000 × 10 µs = 11.38 cores; / 2 × 1.25 = 7.1.
        assert_eq!(need.gateways, Machines { count: 8.0, by: "processor" });
        assert_eq!(need.store_nodes, Machines { count: 8.0, by: "disk" });
        let twice = Need::of(1_728_000.0, &MEASURED, &assumptions(&["--message-bytes", "500"]));
        near(twice.store_disk_per_year, 2.0 * 28.3824e12);
    }
}
