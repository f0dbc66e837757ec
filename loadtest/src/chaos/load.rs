//! What is said while things break: made-up chats, played by `crate::replay` as if they had happened,
//! at a constant rate. People come, talk, answer each other, leave, are put out, and come back.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use super::{chance::Chance, plan::Load};
use crate::{
    journal::Journal,
    replay::{
        Args, Run, Speed,
        parse::{Day, Line, Step},
    },
    wire::{Metrics, Settings},
};

/// Longest that a client waits for a server that stays away: several times what any fault lasts,
/// with the slowest start behind it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends of one conversation without an outcome.
const WINDOW: usize = 32;

/// One message in so many is a long one, and its letters.
const LONG_ONE_IN: u64 = 100;
const LONG: usize = 8_000;

const WORDS: [&str; 12] = [
    "the",
    "courier",
    "runs",
    "नमस्ते",
    "at",
    "dawn",
    "செய்தி",
    "with",
    "a",
    "bell",
    "\u{1f4ee}",
    "over the hills",
];

/// Everything for a run: conversations enough for so many seconds, and half as many again.
#[must_use]
pub fn run(
    load: &Load,
    urls: &[String],
    seed: u64,
    seconds: u64,
    journal: Journal,
    metrics: Arc<Metrics>,
) -> Run {
    let settings = Settings {
        journal,
        metrics,
        sessions: Arc::new(AtomicU32::new(0)),
        patience: PATIENCE,
        device: "chaos".to_owned(),
        gateways: urls.to_vec(),
    };
    let messages = seconds.saturating_mul(load.rate.into()) / u64::from(load.length);
    let count = (messages * 3 / 2).max(1) + load.rooms as u64;
    let days = (0..count).map(|number| day(load, seed, number)).collect();
    Run::new(args(load, urls), settings, days)
}

fn args(load: &Load, urls: &[String]) -> Args {
    Args {
        dir: PathBuf::new(),
        url: urls.to_vec(),
        // A minute of a day is a second.
        speed: Speed::Times(60.0),
        readers: load.readers,
        days: usize::MAX,
        limit: usize::MAX,
        lanes: load.rooms,
        pool: load.speakers as usize,
        window: WINDOW,
        patience: PATIENCE.as_secs(),
        out: None,
        log_dir: None,
        no_check: true,
    }
}

/// A conversation: a pure function of its number and the seed.
fn day(load: &Load, seed: u64, number: u64) -> Day {
    let mut chance = Chance::new(seed, &format!("day {number}"));
    // As many a second as this conversation has to carry; parts of a message are left to chance.
    let rooms = load.rooms as u64;
    let mut nicks: Vec<u32> = (0..load.speakers).collect();
    chance.shuffle(&mut nicks);
    nicks.truncate(load.talkers);
    let mut lines = Vec::new();
    let (mut minute, mut said) = (0, 0);
    while said < load.length {
        let share = u64::from(load.rate) + chance.below(rooms);
        for _ in 0..share / rooms {
            let step = step(&nicks, &mut chance);
            said += u32::from(matches!(step, Step::Say { .. }));
            lines.push(Line { minute, step });
        }
        minute += 1;
    }
    Day { name: format!("chaos {number}"), lines, ..Day::default() }
}

fn step(nicks: &[u32], chance: &mut Chance) -> Step {
    let nick = nick(nicks, chance);
    match chance.below(60) {
        0 => Step::Join(nick),
        1 => Step::Leave(nick),
        2 => Step::Kick(nick),
        _ => Step::Say { text: text(nicks, chance), action: chance.below(20) == 0, nick },
    }
}

fn nick(nicks: &[u32], chance: &mut Chance) -> String {
    format!("person{}", chance.one(nicks).copied().unwrap_or(0))
}

fn text(nicks: &[u32], chance: &mut Chance) -> String {
    let mut text =
        if chance.below(8) == 0 { format!("{}: ", nick(nicks, chance)) } else { String::new() };
    for _ in 0..=chance.below(12) {
        text.push_str(chance.one(&WORDS).copied().unwrap_or_default());
        text.push(' ');
    }
    if chance.below(LONG_ONE_IN) == 0 {
        text.push_str(&"x".repeat(LONG));
    }
    // Two that say the same are two messages all the same; this tells them apart for people.
    text.push_str(&format!("{:x}", chance.any()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_what_its_seed_says_and_lasts_as_planned() {
        let load = Load::default();
        let one = day(&load, 7, 3);
        assert_eq!(one, day(&load, 7, 3));
        assert_ne!(one, day(&load, 8, 3));
        assert!(one.messages() >= 400, "{}", one.messages());
        let last = one.lines.last().expect("lines").minute;
        // 400 messages and some coming and going, ten a second.
        assert!((35..=50).contains(&last), "{last}");
        for step in ["Join", "Leave", "Kick", "Say"] {
            let named = |line: &Line| format!("{:?}", line.step).starts_with(step);
            let days = (0..20).map(|number| day(&load, 1, number));
            assert!(days.flat_map(|day| day.lines).any(|line| named(&line)), "{step}");
        }
    }

    #[test]
    fn a_slow_conversation_says_less_than_one_a_second() {
        let load = Load { rooms: 10, rate: 5, length: 20, ..Load::default() };
        let day = day(&load, 1, 1);
        let last = day.lines.last().expect("lines").minute;
        assert!((20..=80).contains(&last), "{last}");
    }
}
