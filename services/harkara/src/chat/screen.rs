//! What goes to the terminal, line by line. Danger: names, titles and texts are other people's:
//! control characters among them would drive the terminal, bidi controls would reorder what is
//! not theirs, and line breaks would let a message look like somebody else's.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use harkara_client::{Event, What};
use jiff::{Timestamp, tz::TimeZone};

/// Starts the further lines of a message, so that none of them looks like a message.
const CONTINUED: &str = "    | ";

/// A place to print to.
pub struct Screen<W> {
    out: W,
    /// Input and output are a terminal: what was typed may be replaced by what was sent.
    interactive: bool,
    zone: TimeZone,
}

impl<W: Write> Screen<W> {
    pub fn new(out: W, interactive: bool, zone: TimeZone) -> Self {
        Self { out, interactive, zone }
    }

    /// Takes away the line that was just typed: it comes back with its sequence.
    pub fn erase_typed(&mut self) -> io::Result<()> {
        if self.interactive {
            self.out.write_all(b"\x1b[1A\x1b[2K")?;
        }
        self.out.flush()
    }

    /// Is somebody typing here?
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// A line of ours, made of pieces that are safe already.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// Something to know.
    pub fn note(&mut self, note: &str) -> io::Result<()> {
        self.line(&format!("* {note}"))
    }

    /// `#seq HH:MM name: text`; `name` gives a user's name, safe already.
    pub fn event<'a>(
        &mut self,
        event: &Event,
        own: bool,
        name: impl Fn(harkara_client::UserId) -> Cow<'a, str>,
    ) -> io::Result<()> {
        let (seq, time) = (event.seq, self.time(event.at));
        let sender = name(event.sender);
        let line = match &event.what {
            What::Message { content, reply_to } => {
                let reply = reply_to.map_or_else(String::new, |seq| format!("(to #{seq}) "));
                let text = match content.as_text() {
                    Some(text) => shown_text(&text),
                    None => format!("[{}]", shown(&content.kind().unwrap_or_default())),
                };
                let mark = if own { " ✓" } else { "" };
                format!("#{seq} {time} {sender}: {reply}{text}{mark}")
            }
            What::Member { action, users, role, successor } => {
                let users: Vec<_> = users.iter().map(|user| name(*user)).collect();
                let users = users.join(", ");
                let what = match action.as_str() {
                    "added" => format!("{sender} added {users}"),
                    "removed" => format!("{sender} removed {users}"),
                    "left" => format!("{sender} left"),
                    "role" => {
                        let role = role.map_or("another role", crate::chat::role_word);
                        format!("{sender} made {users} {role}")
                    }
                    other => format!("{sender}: {} {users}", shown(other)),
                };
                let heir = successor.map(|user| format!(", {} is owner now", name(user)));
                format!("#{seq} {time} * {what}{}", heir.unwrap_or_default())
            }
            What::Conversation { title, members, .. } => {
                let what = if members.is_empty() { "changed" } else { "began" };
                let title = title.as_deref().map(|title| format!(" \"{}\"", shown(title)));
                let title = title.unwrap_or_else(|| " the conversation".to_owned());
                format!("#{seq} {time} * {sender} {what}{title}")
            }
            What::Other { kind } => {
                format!("#{seq} {time} * {sender}: something happened ({})", shown(kind))
            }
        };
        self.line(&line)
    }

    fn time(&self, at_ms: u64) -> String {
        let stamp = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let stamp = stamp.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone());
        format!("{:02}:{:02}", stamp.hour(), stamp.minute())
    }
}

/// Somebody's text, safe to print; further lines are marked as such.
pub fn shown_text(text: &str) -> String {
    let breaks = ['\n', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    let text = text.replace("\r\n", "\n");
    let lines: Vec<String> = text.split(breaks).map(shown).collect();
    lines.join(&format!("\n{CONTINUED}"))
}

/// Somebody's words on one line, safe to print: control characters as pictures, bidi isolated.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open = 0_usize;
    for c in text.chars() {
        match c {
            '\t' => out.push(' '),
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('?')),
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            '\u{2066}'..='\u{2068}' => {
                open += 1;
                out.push(c);
            }
            // One too many would end the isolation that is put around it.
            '\u{2069}' if open == 0 => {}
            '\u{2069}' => {
                open -= 1;
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out.extend(std::iter::repeat_n('\u{2069}', open));
    if out.chars().any(may_reorder) { format!("\u{2068}{out}\u{2069}") } else { out }
}

/// Right-to-left letters and everything that controls direction.
fn may_reorder(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::{shown, shown_text};

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\u{7}\u{7f}\u{9b}1m\0"), "a␛[2Jb␇␡\\u{9b}1m␀");
        for text in ["\r", "\u{1b}", "\u{85}", "\u{9d}", "\u{8}"] {
            let shown = shown_text(&format!("x{text}y"));
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        }
    }

    #[test]
    fn a_line_break_does_not_fake_a_message() {
        assert_eq!(
            shown_text("hi\n#9 10:00 chief: pay\r\nnow\u{2029}!"),
            "hi\n    | #9 10:00 chief: pay\n    | now\n    | !"
        );
    }

    #[test]
    fn bidi_stays_inside_its_message() {
        assert_eq!(shown("plain नमस्ते 👩‍🚒"), "plain नमस्ते 👩‍🚒");
        assert_eq!(shown("\u{202e}abc"), "\u{2068}\u{202e}abc\u{2069}");
        assert_eq!(shown("\u{2069}\u{202e}abc"), "\u{2068}\u{202e}abc\u{2069}");
        assert_eq!(shown("\u{2067}abc"), "\u{2068}\u{2067}abc\u{2069}\u{2069}");
        assert_eq!(shown("שלום"), "\u{2068}שלום\u{2069}");
    }
}
