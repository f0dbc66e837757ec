//! `harkara chat`: a terminal client on top of the SDK, for people at a terminal and for pipes.
//!
//! - [`command`]: a typed line as a command.  [`view`]: what is shown, and in which order.
//! - [`work`]: what the server is asked for.  [`rooms`]: conversations, names, unread counts.
//! - [`screen`]: the only place that prints; other people's text passes through it.
//!
//! One loop joins them: it never waits for the server while messages could be shown.

mod command;
mod rooms;
mod screen;
mod view;
mod work;

use std::{
    future::Future,
    io::{BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use harkara_client::{
    Client, Content, FileJournal, Options, Stopped, Tls, TokenSource, Update, Updates, WireRole,
};
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use self::{
    command::{Command, HELP, HISTORY},
    screen::Screen,
    view::{Line, View},
    work::Directory,
};

/// Typed lines that wait for their turn.
const LINES_MAX: usize = 64;

/// Seconds that unsent messages get at `/quit`, and at the end of a pipe.
const QUIT_SECONDS: u32 = 2;
const END_SECONDS: u32 = 15;

/// What `harkara chat` was called with.
#[derive(Debug, Clone)]
pub struct ChatArgs {
    /// The user's name; in development the server makes a user of it.
    pub name: String,
    /// The server, `ws://host:port` or `wss://host:port`.
    pub url: String,
    /// PEM file of authorities to believe, instead of the system's.
    pub ca: Option<PathBuf>,
    /// A token, where the server is not in development mode.
    pub token: Option<String>,
    /// The device's name, in development.
    pub device: Option<String>,
    /// Somebody to talk to at once.
    pub with: Option<String>,
    /// Where unsent messages are kept; by default `$XDG_STATE_HOME/harkara` or
    /// `~/.local/state/harkara`.
    pub state_dir: Option<PathBuf>,
}

/// A role, in words.
fn role_word(role: WireRole) -> &'static str {
    match role {
        WireRole::Member => "member",
        WireRole::Admin => "admin",
        WireRole::Owner => "owner",
    }
}

/// Chats until the user has enough.
///
/// # Errors
/// When the server refuses the user for good, or the terminal is gone.
pub async fn run(args: ChatArgs) -> anyhow::Result<()> {
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut screen = Screen::new(std::io::stdout(), interactive, TimeZone::system());
    let (options, kept) = options(&args, &mut screen)?;
    let (url, tls, development) = (args.url.clone(), options.tls.clone(), args.token.is_none());
    let directory = Directory { url, tls, development };
    let (client, updates) = Client::connect(options);
    let view = View::new(screen, client.clone(), directory);
    let mut chat = Chat { view, updates, lines: read_lines()?, with: args.with, leaving: None };
    chat.view.note(format!(
        "{} at {}; /help lists the commands",
        screen::shown(&args.name),
        args.url
    ));
    let ended = chat.run().await;
    client.close().await;
    let unsettled = client.status().unsettled;
    if unsettled > 0 {
        let what = if kept { "sent the next time" } else { "lost" };
        chat.view
            .screen
            .note(&format!("{unsettled} messages were not sent yet: they are {what}"))?;
    }
    match ended {
        // Whoever read our output has gone: nothing is left to do.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The client's options; the second part says whether unsent messages outlive the process.
fn options<W: Write>(args: &ChatArgs, screen: &mut Screen<W>) -> anyhow::Result<(Options, bool)> {
    let device = args.device.clone().unwrap_or_else(|| "terminal".to_owned());
    let token = match &args.token {
        Some(token) => TokenSource::Fixed(token.clone()),
        None => TokenSource::Dev { user: args.name.clone(), device: Some(device.clone()) },
    };
    let mut options = Options::new(args.url.clone(), token);
    options.tls = args.ca.as_deref().map(Tls::trusting).transpose().context("--ca")?;
    // A person's messages keep their order whatever happens.
    options.tuning.sends_in_flight_max = 1;
    let Some(dir) = args.state_dir.clone().or_else(default_state_dir) else {
        screen
            .note("no home directory: unsent messages are not kept; --state-dir names a place")?;
        return Ok((options, false));
    };
    let path = journal_path(&dir, &args.name, &device, &args.url);
    match FileJournal::open(&path) {
        Ok(journal) => {
            options.journal = Box::new(journal);
            Ok((options, true))
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            let name = screen::shown(&args.name);
            let note =
                format!("{name} chats in another terminal too: unsent messages are not kept");
            screen.note(&note)?;
            Ok((options, false))
        }
        Err(error) => Err(error).with_context(|| {
            format!(
                "can't keep unsent messages in {}; --state-dir names another place",
                path.display()
            )
        }),
    }
}

fn default_state_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = set("XDG_STATE_HOME").map(PathBuf::from);
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(state.or_else(home)?.join("harkara"))
}

/// One file for each user, device and server; whatever they are called.
fn journal_path(dir: &Path, name: &str, device: &str, url: &str) -> PathBuf {
    let mut file = String::new();
    for (i, part) in [name, device, url.split("://").last().unwrap_or(url)].iter().enumerate() {
        if i > 0 {
            file.push('@');
        }
        for byte in part.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => file.push(char::from(byte)),
                other => file.push_str(&format!("%{other:02x}")),
            }
        }
    }
    // File names end at 255 bytes on every file system that matters.
    file.truncate(200);
    dir.join(format!("{file}.journal"))
}

/// Typed lines. On a thread of its own, because a read of standard input can't be called off.
fn read_lines() -> anyhow::Result<mpsc::Receiver<String>> {
    let (sender, lines) = mpsc::channel(LINES_MAX);
    let read = move || {
        let mut input = std::io::stdin().lock();
        let mut bytes = Vec::new();
        while matches!(input.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            if sender.blocking_send(line).is_err() {
                return;
            }
            bytes.clear();
        }
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read)
        .context("no thread for reading what is typed")?;
    Ok(lines)
}

struct Chat<W> {
    view: View<W>,
    updates: Updates,
    lines: mpsc::Receiver<String>,
    /// Somebody to talk to as soon as there is a connection.
    with: Option<String>,
    /// Seconds left for what is under way.
    leaving: Option<u32>,
}

impl<W: Write> Chat<W> {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut reading = None;
        loop {
            self.view.print()?;
            if reading.is_none() {
                reading = self.view.read.take().map(|(id, seq)| {
                    let client = self.view.client.clone();
                    Box::pin(async move { client.read_advance(id, seq).await })
                });
            }
            let settled = self.view.is_idle() && self.view.client.status().unsettled == 0;
            match self.leaving {
                Some(_) if settled && reading.is_none() => return Ok(()),
                Some(0) => return Ok(()),
                _ => {}
            }
            // A line is taken up when the one before is done with.
            let ready = self.leaving.is_none() && self.view.work.is_none() && self.view.ever;
            tokio::select! {
                update = self.updates.next() => match update {
                    Some(Update::Stopped(Stopped::Closed)) | None => return Ok(()),
                    Some(Update::Stopped(stopped)) => return Err(stopped.into()),
                    Some(update) => self.updated(update),
                },
                found = maybe(self.view.work.as_mut()) => self.view.found(found),
                learned = maybe(self.view.asking.as_mut()) => self.view.learned(learned),
                line = self.lines.recv(), if ready => match line {
                    Some(line) => self.typed(&line).await?,
                    None => self.leaving = Some(END_SECONDS),
                },
                result = maybe(reading.as_mut()) => {
                    reading = None;
                    if let Err(error) = result {
                        tracing::debug!(%error, "read cursor not moved");
                    }
                }
                _ = seconds.tick() => {
                    self.view.second();
                    self.leaving = self.leaving.map(|left| left.saturating_sub(1));
                }
                _ = tokio::signal::ctrl_c() => {
                    // The second time means it.
                    let left = if self.leaving.is_some() { 0 } else { QUIT_SECONDS };
                    self.leaving = Some(left);
                }
            }
        }
    }

    fn updated(&mut self, update: Update) {
        let first = matches!(update, Update::Connected { .. }) && !self.view.ever;
        self.view.update(update);
        let kept = self.view.client.status().unsettled;
        if first && kept > 0 {
            self.view.note(format!("{kept} messages from before are sent now"));
        }
        if let Some(name) = self.with.take_if(|_| first) {
            self.begin(None, vec![name]);
        } else if first {
            self.view.open_only();
        }
    }

    fn begin(&mut self, title: Option<String>, names: Vec<String>) {
        let (client, directory) = (self.view.client.clone(), self.view.directory.clone());
        let me = self.view.me();
        self.view.work = Some(work::begin(client, directory, title, names, me, HISTORY));
    }

    async fn typed(&mut self, line: &str) -> anyhow::Result<()> {
        let command = Command::parse(line);
        let (client, me) = (self.view.client.clone(), self.view.me());
        let open = self.view.open;
        match command {
            Command::Nothing => {}
            Command::Say(text) => self.say(text).await?,
            Command::List => self.view.show(Line::List),
            Command::Open(what) => match self.view.rooms.find(&what) {
                Ok(id) => self.view.work = Some(work::open(client, id, me, HISTORY)),
                Err(problem) => self.view.note(screen::shown(&problem)),
            },
            Command::New(names) => self.begin(None, names),
            Command::Group(title, names) => self.begin(Some(title), names),
            Command::Help => self.view.screen.line(HELP)?,
            Command::Quit => self.leaving = Some(QUIT_SECONDS),
            Command::Wrong(problem) => self.view.note(screen::shown(&problem)),
            Command::History(_) | Command::Who | Command::Leave if open.is_none() => {
                self.view.note("no conversation is open; /list shows them, /open N opens one");
            }
            Command::History(n) => {
                self.view.work = open.map(|open| work::earlier(client, open.id, open.first, n));
            }
            Command::Who => self.view.work = open.map(|open| work::members(client, open.id)),
            Command::Leave => self.view.work = open.map(|open| work::leave(client, open.id)),
        }
        Ok(())
    }

    async fn say(&mut self, text: String) -> anyhow::Result<()> {
        let Some(open) = self.view.open else {
            self.view.note("no conversation is open; /open N opens one, /new NAME begins one");
            return Ok(());
        };
        let content = match Content::text(&text) {
            Ok(content) => content,
            Err(problem) => {
                self.view.note(format!("not sent: {problem}"));
                return Ok(());
            }
        };
        match self.view.client.send(open.id, content, None).await {
            Ok(client_id) => {
                self.view.screen.erase_typed()?;
                self.view.sent(open.id, client_id, text);
            }
            Err(problem) => self.view.note(format!("not sent: {problem}")),
        }
        Ok(())
    }
}

/// Waits for a future that may not be there: then for ever.
async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn journals_have_names_that_file_systems_take() {
        let path = super::journal_path(Path::new("/s"), "a/../b", "T", "ws://h:80");
        assert_eq!(path, Path::new("/s/a%2f%2e%2e%2fb@%54@h%3a80.journal"));
        let long = super::journal_path(Path::new("/s"), &"x".repeat(1_000), "t", "ws://h");
        assert!(long.file_name().is_some_and(|name| name.len() < 255));
    }
}
