//! What the readings of idle sessions yield.

use super::Args;
use crate::{
    effort::{Spent, share_note},
    figures::{Axis, Bound, Figure, Line, Measured, Plot},
    process,
    sample::{ms, number},
};

/// Resident memory of the server, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    /// All.
    pub all: u64,
    /// Of it not a file's.
    pub anonymous: u64,
}

impl Resident {
    /// Of this process.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let (all, anonymous) = process::resident(pid)?;
        Ok(Self { all, anonymous })
    }
}

/// All readings.
#[derive(Debug)]
pub struct Readings {
    /// Before the sessions come.
    pub before: Resident,
    /// When they are there.
    pub after: Resident,
    /// What their coming took.
    pub connecting: Spent,
    /// What each window took, and the memory at its end.
    pub windows: Vec<(Spent, Resident)>,
    /// After messages went through.
    pub traffic: Option<Resident>,
    /// Sessions that ended.
    pub ended: u64,
}

/// All of it.
pub fn measured(args: &Args, readings: &Readings) -> Measured {
    let Args { url, sessions, conversations, settle, window, rounds, traffic, .. } = args;
    let mib = |resident: Resident| resident.all >> 20;
    Measured {
        title: format!("idle: {sessions} sessions with {conversations} conversations each"),
        command: format!(
            "harkara-loadtest idle --url {url} --server-pid PID --sessions {sessions} \
             --conversations {conversations} --settle {settle} --window {window} \
             --rounds {rounds} --traffic {traffic}"
        ),
        figures: figures(args, readings),
        plots: vec![memory(args, readings)],
        notes: vec![
            format!(
                "resident memory of the server's process was {} MiB before the sessions came and \
                 {} MiB after; the kernel's sockets are not in it",
                mib(readings.before),
                mib(readings.after)
            ),
            "to be measured on a server that had fewer sessions before: those that come use freed \
             memory again"
                .to_owned(),
            "the memory after traffic has in it what the messages themselves left in the process: \
             the log's and the store's caches, the conversations' windows of known requests"
                .to_owned(),
            format!("{} sessions ended meanwhile", readings.ended),
            share_note("connecting", &[readings.connecting]),
        ],
    }
}

fn figures(args: &Args, readings: &Readings) -> Vec<Figure> {
    let sessions = number(args.sessions);
    let more = |now: u64, before: u64| signed(now, before) / sessions;
    let all = |now: &Resident| more(now.all, readings.before.all);
    let connecting = readings.connecting;
    let least = |must, stretch| (Bound::AtMost(must), Some(Bound::AtMost(stretch)));
    let (idle, used, cpu) = (least(4096.0, 2560.0), least(6144.0, 3584.0), least(2.0, 1.0));
    let windows = readings.windows.iter();
    let per_second = |spent: &Spent| ms(spent.server) * 1e3 / sessions / spent.wall.as_secs_f64();
    let mut figures = vec![
        Figure::new(
            "idle.bytes_per_session",
            "resident bytes per session",
            "B",
            vec![all(&readings.after)],
        )
        .must("R6", idle.0, idle.1),
        Figure::new(
            "idle.anonymous_bytes_per_session",
            "of them anonymous",
            "B",
            vec![more(readings.after.anonymous, readings.before.anonymous)],
        ),
        Figure::new(
            "idle.bytes_per_session_later",
            &format!("the same after each window of {} s", args.window),
            "B",
            windows.clone().map(|window| all(&window.1)).collect(),
        ),
    ];
    figures.extend(readings.traffic.as_ref().map(|traffic| {
        let name = "resident bytes per session after traffic";
        Figure::new("idle.bytes_per_session_after_traffic", name, "B", vec![all(traffic)])
            .must("R6", used.0, used.1)
    }));
    figures.extend([
        Figure::new(
            "idle.cpu_us_per_session_second",
            "processor time per session and second",
            "µs",
            windows.map(|window| per_second(&window.0)).collect(),
        )
        .must("R7", cpu.0, cpu.1),
        Figure::new(
            "idle.cpu_ms_per_connect",
            "processor time per connect",
            "ms",
            vec![ms(connecting.server) / sessions],
        ),
        Figure::new(
            "idle.connect_s",
            "connecting all of them",
            "s",
            vec![connecting.wall.as_secs_f64()],
        ),
    ]);
    figures
}

/// The readings in their order: 0 before the sessions, 1 with them, then each window's end, last
/// after the traffic.
fn memory(args: &Args, readings: &Readings) -> Plot {
    let axis = |name: &str, unit: &str| Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        logarithmic: false,
    };
    let windows = readings.windows.iter().map(|window| window.1);
    let all = [readings.before, readings.after].into_iter().chain(windows).chain(readings.traffic);
    let mib = |resident: Resident| signed(resident.all, 0) / f64::from(1 << 20);
    let points = (0..).map(number).zip(all.map(mib)).collect();
    Plot {
        title: format!("Resident memory before and with {} sessions", args.sessions),
        x: axis("reading (0 before, 1 all there, then after each window, last after traffic)", ""),
        y: axis("resident", "MiB"),
        lines: vec![Line { name: "harkara".to_owned(), points }],
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes below 2^53")]
fn signed(now: u64, before: u64) -> f64 {
    now as f64 - before as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn readings_become_figures() {
        let resident = |all| Resident { all, anonymous: all / 2 };
        let [second, cpu] = [1_000_000, 600].map(Duration::from_micros);
        let spent = |wall| Spent { server: cpu, own: cpu, wall };
        let readings = Readings {
            before: resident(1_000_000),
            after: resident(1_800_000),
            connecting: spent(second),
            windows: vec![(spent(second * 3), resident(1_600_000))],
            traffic: Some(resident(2_400_000)),
            ended: 0,
        };
        let args = Args {
            url: "ws://h:1".to_owned(),
            sessions: 200,
            conversations: 10,
            server_pid: 1,
            settle: 1,
            window: 3,
            rounds: 1,
            traffic: 1,
            out: None,
        };
        let measured = measured(&args, &readings);
        let figure = |key: &str| {
            let found = measured.figures.iter().find(|figure| figure.key == key);
            found.map(|figure| (figure.rounds[0], figure.holds()))
        };
        assert_eq!(figure("idle.bytes_per_session"), Some((4_000.0, Some(true))));
        assert_eq!(figure("idle.anonymous_bytes_per_session"), Some((2_000.0, None)));
        assert_eq!(figure("idle.bytes_per_session_later"), Some((3_000.0, None)));
        assert_eq!(figure("idle.bytes_per_session_after_traffic"), Some((7_000.0, Some(false))));
        assert_eq!(figure("idle.cpu_us_per_session_second"), Some((1.0, Some(true))));
        assert_eq!(figure("idle.cpu_ms_per_connect"), Some((0.003, None)));
        assert_eq!(measured.plots[0].lines[0].points.len(), 4);
    }
}
