//! Reads chat logs: the lines of one file become steps for `super::day`.
//!
//! ```text
//! [09:14] <crimsun> text             said
//! [13:56]  * genii sips a coffee     done (an action)
//! [01:09] (soundray/#ubuntu) text    said
//! [05:12] -nick:#ubuntu- text        said (a notice)
//! === nick [user@host] has joined #  came; "has left", "has quit": went
//! === a is now known as b            renamed
//! === nick was kicked off …          removed by the operator
//! === mode/#ubuntu [+o …]  by …      nothing that concerns us
//! === nick shrugs                    done, in logs before 2006
//! ```
//!
//! Bytes that are not UTF-8 become U+FFFD; other bytes, control characters among them, stay.

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A nick came.
    Join(String),
    /// A nick went.
    Leave(String),
    /// A nick was put out by somebody else.
    Kick(String),
    /// The first nick is the second one from now on.
    Rename(String, String),
    /// A nick said (or did) something.
    Say {
        /// Who.
        nick: String,
        /// What, never empty.
        text: String,
        /// Is it something done rather than said?
        action: bool,
    },
}

/// A step with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Minutes since the midnight before the file's first line; never less than the line before.
    pub minute: u32,
    /// What happened.
    pub step: Step,
}

/// One file: a channel's day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day {
    /// The file's name without its extension.
    pub name: String,
    /// Its steps in order.
    pub lines: Vec<Line>,
    /// Chat lines without a text: not sent, since an empty text is not a message.
    pub empty: u64,
    /// Lines that say nothing about members or messages.
    pub skipped: u64,
}

impl Day {
    /// How many messages it has.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.step, Step::Say { .. })).count()
    }
}

/// Reads a whole file; at most `limit` lines of it.
#[must_use]
pub fn day(name: &str, bytes: &[u8], limit: usize) -> Day {
    let mut day = Day { name: name.to_owned(), ..Day::default() };
    let mut minute = 0;
    for raw in bytes.split(|&b| b == b'\n').take(limit) {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(raw);
        let (stamp, rest) = stamp(&text);
        if let Some(stamp) = stamp {
            minute = later(minute, stamp);
        }
        let step = if stamp.is_some() { said(rest) } else { notice(rest) };
        match step {
            Some(Step::Say { text, .. }) if text.trim().is_empty() => day.empty += 1,
            Some(step) => day.lines.push(Line { minute, step }),
            None => day.skipped += 1,
        }
    }
    day
}

/// The next time with this minute of the day. A little backwards is a log that was merged badly,
/// a lot is midnight.
fn later(before: u32, of_day: u32) -> u32 {
    let same_day = before - before % 1440 + of_day;
    if same_day >= before {
        same_day
    } else if before - same_day > 720 {
        same_day + 1440
    } else {
        before
    }
}

/// `[HH:MM] ` and the rest, or no time and the whole line.
fn stamp(line: &str) -> (Option<u32>, &str) {
    let parse = || {
        let (hours, rest) = line.strip_prefix('[')?.split_once(':')?;
        let (minutes, rest) = rest.split_once(']')?;
        let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some((hours * 60 + minutes, rest))
    };
    match parse() {
        Some((minute, rest)) => (Some(minute), rest.strip_prefix(' ').unwrap_or(rest)),
        None => (None, line),
    }
}

fn say(nick: &str, text: &str, action: bool) -> Option<Step> {
    let nick = nick.trim();
    (!nick.is_empty()).then(|| Step::Say { nick: nick.to_owned(), text: text.to_owned(), action })
}

/// A line with a time.
fn said(rest: &str) -> Option<Step> {
    if let Some((nick, text)) = rest.strip_prefix('<').and_then(|r| r.split_once('>')) {
        return say(nick, text.strip_prefix(' ').unwrap_or(text), false);
    }
    if let Some(done) = rest.strip_prefix(" * ").or_else(|| rest.strip_prefix("* ")) {
        let (nick, text) = done.split_once(' ').unwrap_or((done, ""));
        return say(nick, text, true);
    }
    if let Some((nick, text)) = rest.strip_prefix('(').and_then(|r| r.split_once(") ")) {
        return say(nick.split('/').next()?, text, false);
    }
    let (nick, text) = rest.strip_prefix('-')?.split_once("- ")?;
    say(nick.split_once(':')?.0, text, false)
}

/// A line without a time: `=== …`.
fn notice(rest: &str) -> Option<Step> {
    let rest = rest.strip_prefix("=== ")?;
    if rest.starts_with("mode/") {
        return None;
    }
    if let Some((old, new)) = rest.split_once(" is now known as ") {
        return Some(Step::Rename(name(old)?, name(new)?));
    }
    if let Some((nick, tail)) = host(rest) {
        return match tail {
            t if t.starts_with("has joined") => Some(Step::Join(name(nick)?)),
            t if t.starts_with("has left") || t.starts_with("has quit") => {
                Some(Step::Leave(name(nick)?))
            }
            _ => None,
        };
    }
    if let Some((nick, _)) = rest.split_once(" was kicked off ") {
        return Some(Step::Kick(name(nick)?));
    }
    let (nick, text) = rest.split_once(' ')?;
    say(nick, text, true)
}

fn name(nick: &str) -> Option<String> {
    let nick = nick.trim();
    (!nick.is_empty()).then(|| nick.to_owned())
}

/// `nick [user@host]  tail`. The nick may have brackets of its own; the host never has a space.
fn host(rest: &str) -> Option<(&str, &str)> {
    let at = rest.match_indices("] ").map(|(i, _)| i);
    for end in at {
        let Some(start) = rest[..end].rfind(" [") else { continue };
        let inside = &rest[start + 2..end];
        if inside.contains('@') && !inside.contains(' ') {
            return Some((&rest[..start], rest[end + 2..].trim_start()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Option<Step> {
        let mut day = day("d", line.as_bytes(), usize::MAX);
        day.lines.pop().map(|line| line.step)
    }

    fn say(nick: &str, text: &str, action: bool) -> Option<Step> {
        Some(Step::Say { nick: nick.into(), text: text.into(), action })
    }

    #[test]
    fn every_form_of_line() {
        let join = |n: &str| Some(Step::Join(n.into()));
        for (line, step) in [
            ("[09:14] <crimsun> kleedrac: no", say("crimsun", "kleedrac: no", false)),
            ("[09:14] <a>  two spaces ", say("a", " two spaces ", false)),
            ("[01:09] <[ANF] MasterNinja> i > 1", say("[ANF] MasterNinja", "i > 1", false)),
            ("[13:56]  * genii sips a coffee", say("genii", "sips a coffee", true)),
            ("[01:09] (soundray/#ubuntu) thomas: hi", say("soundray", "thomas: hi", false)),
            ("[05:12] -fqlv:#ubuntu- all you", say("fqlv", "all you", false)),
            ("=== L0sT [~waa3@raptor.ukc.ac.uk]  has joined #ubuntu", join("L0sT")),
            ("=== [cro] smiley [n=s@83-131-75-237.net] has joined #ubuntu", join("[cro] smiley")),
            ("=== sivang [~s@80.179] has left #ubuntu [\"x\"]", Some(Step::Leave("sivang".into()))),
            ("=== rake [~l@A]  has quit [bye]", Some(Step::Leave("rake".into()))),
            ("=== a_ is now known as a", Some(Step::Rename("a_".into(), "a".into()))),
            ("=== x was kicked off #ubuntu by y (y)", Some(Step::Kick("x".into()))),
            ("=== mode/#ubuntu [+o Amaranth]  by ChanServ", None),
            ("=== Adrenal sighs", say("Adrenal", "sighs", true)),
            ("[05:10] <darknature>", None),
            ("[05:10] <darknature> ", None),
            ("[05:10] what is this", None),
            ("nonsense", None),
        ] {
            assert_eq!(one(line), step, "{line}");
        }
    }

    #[test]
    fn time_goes_on_over_midnight_and_never_back() {
        let text = "[23:58] <a> 1\n=== b shrugs\n[00:03] <a> 2\n[00:02] <a> 3\n[12:00] <a> 4\n";
        let day = day("d", text.as_bytes(), usize::MAX);
        let minutes: Vec<u32> = day.lines.iter().map(|l| l.minute).collect();
        assert_eq!(minutes, [1438, 1438, 1443, 1443, 2160]);
        assert_eq!(day.messages(), 5);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_as_replacement_characters() {
        let day = day("d", b"[01:00] <a> caf\xe9 \x02bold\x02\r\n[01:00] <b>\n", usize::MAX);
        assert_eq!(day.lines.len(), 1);
        assert_eq!(Some(day.lines[0].step.clone()), say("a", "caf\u{fffd} \u{2}bold\u{2}", false));
        assert_eq!(day.empty, 1);
    }

    #[test]
    fn limit_counts_lines() {
        assert_eq!(day("d", b"[01:00] <a> 1\n[01:00] <a> 2\n", 1).lines.len(), 1);
    }
}
