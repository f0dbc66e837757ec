//! A typed line as a command. Pure; `chat` carries it out.

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Nothing was typed.
    Nothing,
    /// Text for the open conversation.
    Say(String),
    /// `/list`
    List,
    /// `/open N|name`
    Open(String),
    /// `/new NAME [NAME…]`
    New(Vec<String>),
    /// `/group TITLE NAME…`
    Group(String, Vec<String>),
    /// `/history [n]`
    History(u32),
    /// `/who`
    Who,
    /// `/leave`
    Leave,
    /// `/help`
    Help,
    /// `/quit`
    Quit,
    /// No command: what is wrong with it.
    Wrong(String),
}

/// Events that `/open` and `/history` show without a number.
pub const HISTORY: u32 = 20;

/// What `/help` prints.
pub const HELP: &str = "\
/list               your conversations
/open N|NAME        open one of them
/new NAME [NAME…]   talk to somebody, or to several
/group TITLE NAME…  make a group (\"quote a title of several words\")
/history [N]        earlier messages of the open conversation
/who                its members
/leave              leave it for good
/quit               end (messages not sent yet are kept for the next time)
Anything else is sent to the open conversation; //… sends a line that begins with /.";

impl Command {
    /// Reads a line.
    pub fn parse(line: &str) -> Self {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            return Self::Nothing;
        }
        let Some(rest) = line.strip_prefix('/') else { return Self::Say(line.to_owned()) };
        if rest.starts_with('/') {
            return Self::Say(rest.to_owned());
        }
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let rest = rest.trim();
        let mut words = split(rest);
        match word {
            "list" | "l" => Self::List,
            "open" | "o" if !rest.is_empty() => Self::Open(unquote(rest).to_owned()),
            "open" | "o" => Self::Wrong("which one? /open N or /open NAME".to_owned()),
            "new" | "n" if !words.is_empty() => Self::New(words),
            "new" | "n" => Self::Wrong("with whom? /new NAME".to_owned()),
            "group" | "g" if words.len() >= 2 => {
                let title = words.remove(0);
                Self::Group(title, words)
            }
            "group" | "g" => Self::Wrong("write /group TITLE NAME…".to_owned()),
            "history" | "h" => match rest {
                "" => Self::History(HISTORY),
                n => match n.parse::<u32>() {
                    Ok(n) if (1..=500).contains(&n) => Self::History(n),
                    _ => Self::Wrong("/history takes a number from 1 to 500".to_owned()),
                },
            },
            "who" | "w" => Self::Who,
            "leave" => Self::Leave,
            "help" | "?" => Self::Help,
            "quit" | "q" | "exit" => Self::Quit,
            _ => Self::Wrong(format!("there is no /{word}; /help lists what there is")),
        }
    }
}

fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Words, where "several in quotes" are one.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        if !word.is_empty() {
            words.push(word.to_owned());
        }
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn lines_are_commands_or_text() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (line, command) in [
            ("  ", Command::Nothing),
            ("hello /list", Command::Say("hello /list".into())),
            ("  indented\r", Command::Say("  indented".into())),
            ("//etc/passwd", Command::Say("/etc/passwd".into())),
            ("/list", Command::List),
            ("/open Control room", Command::Open("Control room".into())),
            ("/open \"Control room\"", Command::Open("Control room".into())),
            ("/new bilal  chitra", Command::New(names(&["bilal", "chitra"]))),
            (
                "/group \"Control room\" bilal",
                Command::Group("Control room".into(), names(&["bilal"])),
            ),
            ("/history", Command::History(20)),
            ("/history 5", Command::History(5)),
            ("/quit", Command::Quit),
        ] {
            assert_eq!(Command::parse(line), command, "{line:?}");
        }
        for wrong in ["/open", "/new", "/group x", "/history 0", "/history x", "/nonsense"] {
            assert!(matches!(Command::parse(wrong), Command::Wrong(_)), "{wrong:?}");
        }
    }
}
