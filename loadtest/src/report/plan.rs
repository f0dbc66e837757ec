//! Which measurements there are, with which arguments, at full size and small.
//!
//! In the arguments stand `URL` and `PID` for the server that was started (each as often as it has
//! gateways or processes, with the flag in front), `BROKERS` and `NODES` for its engines, `BINARY`
//! for its program, `LOGS` for the directory with chat logs, `DIR` for an empty one, and `EXAMPLES`
//! for where cargo puts examples.

use crate::pin::Pin;

/// What a measurement runs against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// One process with embedded engines.
    Standalone,
    /// Gateways, workers, Kafka and Cassandra.
    Cluster,
}

/// A measurement.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// What it runs against.
    pub against: Against,
    /// Settings of the server that are not the defaults, as its environment has them.
    pub settings: &'static [(&'static str, &'static str)],
    /// The mode and its arguments at full size.
    pub full: &'static str,
    /// The mode and its arguments when small.
    pub small: &'static str,
    /// When it is given up, minutes.
    pub minutes: u64,
}

const BASE: Step = Step {
    name: "",
    against: Against::Standalone,
    settings: &[],
    full: "",
    small: "",
    minutes: 20,
};

/// All of them, in the order in which they run and stand in the report.
pub const PLAN: &[Step] = &[
    Step {
        name: "idle",
        full: "idle --url URL --server-pid PID --sessions 5000 --settle 15 --rounds 3 --window 31",
        small: "idle --url URL --server-pid PID --sessions 200 --settle 1 --window 3",
        ..BASE
    },
    Step {
        name: "ramp",
        full: "ramp --url URL --server-pid PID --sessions 2000 --rounds 5 --pin 0:1",
        small: "ramp --url URL --server-pid PID --sessions 100 --rounds 2 --settle 1",
        ..BASE
    },
    Step {
        name: "broadcast",
        full: "broadcast --url URL --server-pid PID --sessions 10000 --rounds 7 --floor --pin 0:1",
        small: "broadcast --url URL --server-pid PID --sessions 200 --messages 5 --rounds 2 \
               --floor",
        ..BASE
    },
    Step {
        name: "steady",
        full: "steady --url URL --server-pid PID --sessions 1000 --room 10 --rate 1000 \
               --rounds 5 --pin 0:1",
        small: "steady --url URL --server-pid PID --sessions 100 --rate 50 --seconds 2 \
               --warm-up 1 --rounds 2",
        ..BASE
    },
    Step {
        name: "steady.push",
        full: "steady --url URL --server-pid PID --push --sessions 1200 --room 10 --rate 1110 \
               --rounds 5 --pin 0:1",
        small: "steady --url URL --server-pid PID --push --sessions 100 --rate 50 --seconds 2 \
               --warm-up 1 --rounds 2",
        ..BASE
    },
    // Memory is compared with servers that are as fresh as theirs.
    Step {
        name: "peer.idle",
        full: "peer --harkara-url URL --harkara-pid PID --parts idle --rounds 5 --pin 0:1",
        small: "peer --harkara-url URL --harkara-pid PID --parts idle --sessions 100 --rounds 2",
        minutes: 30,
        ..BASE
    },
    Step {
        name: "peer",
        full: "peer --harkara-url URL --harkara-pid PID --parts steady,search --sessions 1200 \
               --seconds 5 --rounds 5 --pin 0:1",
        small: "peer --harkara-url URL --harkara-pid PID --parts steady --sessions 100 --rate 50 \
                --seconds 2 --warm-up 1 --rounds 2",
        minutes: 90,
        ..BASE
    },
    Step {
        name: "floor",
        full: "floor --url URL --server-pid PID --engine embedded --floor-program \
               EXAMPLES/embedded-floor --dir DIR --rounds 5",
        small: "floor --url URL --server-pid PID --engine embedded --floor-program \
               EXAMPLES/embedded-floor --dir DIR --rounds 2 --seconds 2 --warm-up 1 --rate 50 \
               --sessions 100 --senders 4",
        ..BASE
    },
    Step {
        name: "sync",
        full: "sync --url URL --server-pid PID --users 200 --conversations 300 --members 300",
        small: "sync --url URL --server-pid PID --users 20 --conversations 10 --members 10 \
               --rounds 2 --settle 1",
        minutes: 40,
        ..BASE
    },
    Step {
        name: "growth.sessions",
        full: "growth --url URL --server-pid PID --axis sessions --sessions 1000,4000,19000 \
               --rounds 5",
        small: "growth --url URL --server-pid PID --axis sessions --sessions 20,100 --rate 20 \
               --seconds 2 --warm-up 1 --rounds 2",
        minutes: 60,
        ..BASE
    },
    Step {
        name: "growth.history",
        full: "growth --url URL --server-pid PID --axis history --history 1000,30000,1000000 \
               --history-rooms 2 --rounds 5",
        small: "growth --url URL --server-pid PID --axis history --history 100,1000 \
               --history-rooms 2 --rate 20 --seconds 2 --warm-up 1 --rounds 2",
        minutes: 90,
        ..BASE
    },
    Step {
        name: "growth.conversations",
        full: "growth --url URL --server-pid PID --axis conversations --conversations \
               100,3000,100000 --rounds 5",
        small: "growth --url URL --server-pid PID --axis conversations --conversations 5,20 \
               --rate 20 --seconds 2 --warm-up 1 --rounds 2",
        minutes: 60,
        ..BASE
    },
    // It starts servers of its own, one after the other on the same data.
    Step {
        name: "ready",
        full: "ready --binary BINARY --messages 1000000 --rounds 5",
        small: "ready --binary BINARY --messages 2000 --rooms 4 --rounds 2",
        ..BASE
    },
    Step {
        name: "replay",
        full: "replay LOGS --url URL --speed flat",
        small: "replay LOGS --url URL --speed flat --days 5",
        ..BASE
    },
    Step {
        name: "cluster.steady",
        against: Against::Cluster,
        full: "steady --url URL --server-pid PID --sessions 500 --room 10 --rate 500 --rounds \
               5",
        small: "steady --url URL --server-pid PID --sessions 100 --rate 50 --seconds 2 \
               --warm-up 1 --rounds 2",
        ..BASE
    },
    Step {
        name: "cluster.floor",
        against: Against::Cluster,
        full: "floor --url URL --server-pid PID --engine cluster --floor-program \
               EXAMPLES/kafka-floor --floor-program EXAMPLES/scylla-floor --brokers BROKERS \
               --nodes NODES --rounds 5",
        small: "floor --url URL --server-pid PID --engine cluster --floor-program \
               EXAMPLES/kafka-floor --floor-program EXAMPLES/scylla-floor --brokers BROKERS \
               --nodes NODES --rounds 2 --seconds 2 --warm-up 1 --rate 50 --sessions 100 \
               --senders 4",
        minutes: 30,
        ..BASE
    },
    Step {
        name: "cluster.replay",
        against: Against::Cluster,
        full: "replay LOGS --url URL --speed flat",
        small: "replay LOGS --url URL --speed flat --days 5",
        ..BASE
    },
];

/// What the arguments' words in capitals stand for.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// `ws://127.0.0.1:8080`, one for each gateway.
    pub urls: Vec<String>,
    /// Processes of the server, as many as there are.
    pub pids: Vec<String>,
    /// Brokers of the log, with commas.
    pub brokers: String,
    /// Nodes of the store, with commas.
    pub nodes: String,
    /// The directory with chat logs.
    pub logs: String,
    /// The server's program.
    pub binary: String,
    /// An empty directory.
    pub dir: String,
    /// Where cargo puts examples, beside the server's program.
    pub examples: String,
}

impl Step {
    /// Whether it plays logs.
    #[must_use]
    pub fn needs_logs(&self) -> bool {
        self.full.contains("LOGS")
    }

    /// Whether it needs a cluster.
    #[must_use]
    pub fn needs_cluster(&self) -> bool {
        self.against == Against::Cluster
    }

    /// The core that the server is kept on, if it is.
    #[must_use]
    pub fn core(&self, is_small: bool) -> Option<usize> {
        let mut words = (if is_small { self.small } else { self.full }).split_whitespace();
        words.find(|word| *word == "--pin")?;
        let pin: Option<Pin> = words.next()?.parse().ok();
        pin.map(|pin| pin.server)
    }

    /// The mode's arguments.
    #[must_use]
    pub fn arguments(&self, is_small: bool, words: &Words) -> Vec<String> {
        let line = if is_small { self.small } else { self.full };
        let mut arguments: Vec<String> = Vec::new();
        let all = |arguments: &mut Vec<String>, values: &[String]| {
            // The first follows its flag, each of the others brings the flag along.
            let flag = arguments.last().cloned().unwrap_or_default();
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    arguments.push(flag.clone());
                }
                arguments.push(value.clone());
            }
        };
        for word in line.split_whitespace() {
            match word {
                "URL" => all(&mut arguments, &words.urls),
                "PID" => all(&mut arguments, &words.pids),
                "BROKERS" => arguments.push(words.brokers.clone()),
                "NODES" => arguments.push(words.nodes.clone()),
                "LOGS" => arguments.push(words.logs.clone()),
                "BINARY" => arguments.push(words.binary.clone()),
                "DIR" => arguments.push(words.dir.clone()),
                word => arguments.push(word.replace("EXAMPLES", &words.examples)),
            }
        }
        arguments
    }

    /// As a reader would type it, against a server with the usual ports.
    #[must_use]
    pub fn command(&self, is_small: bool) -> String {
        let ports: &[u16] = if self.needs_cluster() { &[8100, 8101] } else { &[8080] };
        let words = Words {
            urls: ports.iter().map(|port| format!("ws://127.0.0.1:{port}")).collect(),
            pids: vec!["PID".to_owned()],
            brokers: "127.0.0.1:8120".to_owned(),
            nodes: "127.0.0.1:8140".to_owned(),
            logs: "LOGS".to_owned(),
            binary: "target/release/harkara".to_owned(),
            dir: "DIR".to_owned(),
            examples: "target/release/examples".to_owned(),
        };
        format!("harkara-loadtest {}", self.arguments(is_small, &words).join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_modes_are_the_same_at_both_sizes() {
        for (i, step) in PLAN.iter().enumerate() {
            assert!(PLAN[..i].iter().all(|other| other.name != step.name), "{}", step.name);
            let mode = |line: &str| line.split(' ').next().map(str::to_owned);
            assert_eq!(mode(step.full), mode(step.small), "{}", step.name);
        }
    }

    #[test]
    fn the_server_is_started_on_the_core_that_it_is_measured_on() {
        for step in PLAN {
            assert_eq!(step.core(false).is_some(), step.full.contains("--pin"), "{}", step.name);
            assert_eq!(step.core(true).is_some(), step.small.contains("--pin"), "{}", step.name);
        }
    }

    #[test]
    fn every_gateway_and_process_gets_its_flag() {
        let step = Step { full: "m --url URL --pid PID LOGS", ..BASE };
        let list = |values: [&str; 2]| values.map(str::to_owned).to_vec();
        let words = Words {
            urls: list(["ws://a", "ws://b"]),
            pids: list(["1", "2"]),
            logs: "d e".to_owned(),
            ..Words::default()
        };
        let arguments = step.arguments(false, &words);
        let expected =
            ["m", "--url", "ws://a", "--url", "ws://b", "--pid", "1", "--pid", "2", "d e"];
        assert_eq!(arguments, expected);
        let command = "harkara-loadtest m --url ws://127.0.0.1:8080 --pid PID LOGS";
        assert_eq!(step.command(false), command);
    }
}
