//! The journal on disk: one file of lines for one user, appended and synced, rewritten when it
//! has grown. A torn last line (the machine died while writing) is cut off.
//!
//! ```text
//! harkara-journal 1
//! send <client id> <conversation> <floor> <reply_to, 0 for none> <content as JSON>
//! done <client id>
//! at <conversation> <seq>
//! gone <conversation>
//! ```
//!
//! Danger: two processes on one file would undo each other, so the file is locked while open.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use harkara_domain::ClientId;

use super::{Draft, Entry, Journal, Saved};
use crate::content::Content;

const HEADER: &str = "harkara-journal 1";

/// A file above this size is rewritten when it is also four times what it has to hold.
const REWRITE_BYTES_MIN: u64 = 1 << 20;

/// A journal in a file.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_after_rewrite: u64,
    saved: Saved,
    /// Held as long as the journal lives.
    _lock: File,
}

impl FileJournal {
    /// Opens or makes the journal at `path`.
    ///
    /// # Errors
    /// When another process has it open ([`io::ErrorKind::WouldBlock`]), when it is of a later
    /// version, or when the file system says no.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let lock = options().open(with_suffix(&path, ".lock"))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another client has the journal open")
            }
            TryLockError::Error(e) => e,
        })?;
        let saved = match File::open(&path) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                replay(&String::from_utf8_lossy(&bytes))?
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Saved::default(),
            Err(e) => return Err(e),
        };
        let (file, bytes) = rewrite(&path, &saved)?;
        Ok(Self { path, file, bytes, bytes_after_rewrite: bytes, saved, _lock: lock })
    }
}

impl Journal for FileJournal {
    fn load(&mut self) -> Saved {
        self.saved.clone()
    }

    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut lines = String::new();
        for entry in entries {
            push(&mut lines, entry);
        }
        if let Err(e) = self.write(&lines, entries) {
            // Half a line may stand there: cut it off, or it would swallow the next one.
            self.file.set_len(self.bytes)?;
            self.file.seek(io::SeekFrom::Start(self.bytes))?;
            return Err(e);
        }
        self.bytes += lines.len() as u64;
        for entry in entries {
            apply(&mut self.saved, entry.clone());
        }
        if self.bytes > REWRITE_BYTES_MIN && self.bytes > 4 * self.bytes_after_rewrite {
            match rewrite(&self.path, &self.saved) {
                Ok(made) => (self.file, self.bytes) = made,
                // The long file is as good as before.
                Err(error) => tracing::warn!(%error, "journal not rewritten, going on with it"),
            }
            self.bytes_after_rewrite = self.bytes;
        }
        Ok(())
    }
}

impl FileJournal {
    fn write(&mut self, lines: &str, entries: &[Entry]) -> io::Result<()> {
        self.file.write_all(lines.as_bytes())?;
        if entries.iter().any(|entry| matches!(entry, Entry::Taken(_))) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// Messages that were not sent yet are nobody else's business.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes what has to be held into a new file and puts it in the old one's place.
fn rewrite(path: &Path, saved: &Saved) -> io::Result<(File, u64)> {
    let mut lines = format!("{HEADER}\n");
    for (conversation, seq) in &saved.cursors {
        push(&mut lines, &Entry::Handled(*conversation, *seq));
    }
    for draft in &saved.sends {
        push(&mut lines, &Entry::Taken(draft.clone()));
    }
    let next = with_suffix(path, ".next");
    let mut file = options().open(&next)?;
    file.set_len(0)?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&next, path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok((file, lines.len() as u64))
}

fn push(out: &mut String, entry: &Entry) {
    let written = match entry {
        Entry::Taken(d) => {
            let (id, conversation, floor) = (d.client_id, d.conversation, d.floor);
            let (reply_to, content) = (d.reply_to.unwrap_or(0), d.content.as_json());
            writeln!(out, "send {id} {conversation} {floor} {reply_to} {content}")
        }
        Entry::Done(client_id) => writeln!(out, "done {client_id}"),
        Entry::Handled(conversation, seq) => writeln!(out, "at {conversation} {seq}"),
        Entry::Gone(conversation) => writeln!(out, "gone {conversation}"),
    };
    debug_assert!(written.is_ok(), "writing into a string does not fail");
}

fn replay(text: &str) -> io::Result<Saved> {
    let mut saved = Saved::default();
    // What follows the last newline is torn.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines();
    match lines.next() {
        None | Some("" | HEADER) => {}
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            let message = format!("not a journal of this version: it begins with {shown:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    for line in lines {
        match parse(line) {
            Some(entry) => apply(&mut saved, entry),
            None => tracing::warn!(line, "journal line makes no sense, left out"),
        }
    }
    Ok(saved)
}

fn parse(line: &str) -> Option<Entry> {
    let (word, rest) = line.split_once(' ')?;
    let mut parts = rest.splitn(5, ' ');
    match word {
        "send" => {
            let client_id = field(parts.next())?;
            let conversation = field(parts.next())?;
            let floor = field(parts.next())?;
            let reply_to = Some(field::<u64>(parts.next())?).filter(|seq| *seq > 0);
            let content = Content::kept(parts.next()?)?;
            Some(Entry::Taken(Draft { conversation, client_id, content, reply_to, floor }))
        }
        "done" => Some(Entry::Done(field(parts.next())?)),
        "at" => Some(Entry::Handled(field(parts.next())?, field(parts.next())?)),
        "gone" => Some(Entry::Gone(field(parts.next())?)),
        _ => None,
    }
}

fn field<T: FromStr>(part: Option<&str>) -> Option<T> {
    part?.parse().ok()
}

fn apply(saved: &mut Saved, entry: Entry) {
    let known = |sends: &[Draft], id: ClientId| sends.iter().position(|d| d.client_id == id);
    match entry {
        Entry::Taken(draft) => {
            if known(&saved.sends, draft.client_id).is_none() {
                saved.sends.push(draft);
            }
        }
        Entry::Done(client_id) => {
            if let Some(at) = known(&saved.sends, client_id) {
                saved.sends.remove(at);
            }
        }
        Entry::Handled(conversation, seq) => {
            saved.cursors.insert(conversation, seq);
        }
        Entry::Gone(conversation) => {
            saved.cursors.remove(&conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use harkara_domain::ConversationId;

    use super::*;

    fn draft(n: u8) -> Draft {
        Draft {
            conversation: ConversationId::from_bytes([9; 16]),
            client_id: ClientId::from_bytes([n; 16]),
            content: Content::text(&format!("line one\nline {n} \u{2028}")).unwrap(),
            reply_to: (n == 2).then_some(7),
            floor: u64::from(n),
        }
    }

    #[test]
    fn unsent_messages_and_cursors_come_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/asha.journal");
        let conversation = ConversationId::from_bytes([9; 16]);
        {
            let mut journal = FileJournal::open(&path).unwrap();
            let entries = [draft(1), draft(2), draft(3)].map(Entry::Taken);
            journal.append(&entries).unwrap();
            journal.append(&[Entry::Done(draft(1).client_id)]).unwrap();
            journal.append(&[Entry::Handled(conversation, 41)]).unwrap();
            assert_eq!(
                FileJournal::open(&path).unwrap_err().kind(),
                io::ErrorKind::WouldBlock,
                "two clients must not share a journal"
            );
        }
        for _ in 0..2 {
            let saved = FileJournal::open(&path).unwrap().load();
            assert_eq!(saved.sends, [draft(2), draft(3)]);
            assert_eq!(saved.cursors, BTreeMap::from([(conversation, 41)]));
        }
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_rest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        FileJournal::open(&path).unwrap().append(&[Entry::Taken(draft(1))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let header = HEADER.len() + 1;
        for cut in header..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(FileJournal::open(&path).unwrap().load().sends, [], "cut at {cut}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(FileJournal::open(&path).unwrap().load().sends, [draft(1)]);
    }

    #[test]
    fn another_versions_journal_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        std::fs::write(&path, "harkara-journal 2\nx\n").unwrap();
        assert_eq!(FileJournal::open(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "harkara-journal 2\nx\n");
    }

    #[test]
    fn a_long_journal_is_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = FileJournal::open(&path).unwrap();
        let conversation = ConversationId::from_bytes([9; 16]);
        journal.append(&[Entry::Taken(draft(1))]).unwrap();
        for round in 0..30_u64 {
            let entries: Vec<Entry> =
                (0..1_000).map(|n| Entry::Handled(conversation, round * 1_000 + n)).collect();
            journal.append(&entries).unwrap();
        }
        drop(journal);
        assert!(std::fs::metadata(&path).unwrap().len() < REWRITE_BYTES_MIN);
        let saved = FileJournal::open(&path).unwrap().load();
        assert_eq!((saved.sends, saved.cursors[&conversation]), (vec![draft(1)], 29_999));
    }
}
