//! Looks through fjall's journals before fjall opens them.
//!
//! fjall cuts a journal off at the first piece it can't read. After a crash that is right: the
//! end may be half written. But a damaged byte in the middle would quietly take everything behind
//! it away, acknowledged records among it. So: if whole batches follow behind an unreadable piece,
//! this is damage and the database is not opened. What is left of a batch that was never
//! finished, and so never acknowledged, is cut off here, since fjall trips over some of it.
//!
//! The format (fjall 3, journal/entry.rs): a batch is a start (tag 1, count u32, sequence u64),
//! items (tag 2, kind u8, compression u8, keyspace u64, key length u16, value length u32, length
//! on disk u32, key, value) or clears (tag 4, keyspace u64), and an end (tag 3, checksum u64,
//! `FJL` 3), numbers in little endian; a fresh file is filled with zeros.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

const TRAILER: &[u8] = b"FJL\x03";
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;

/// Bytes of a batch's end: tag, checksum, trailer.
const END_LEN: usize = 13;

/// Bytes looked at in one go behind the last whole batch.
const CHUNK: usize = 64 * 1024;

/// Where a journal is damaged.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) file: PathBuf,
    /// Bytes from its beginning.
    pub(crate) at: u64,
}

/// What stands behind the last whole batch of a journal.
enum End {
    /// Nothing but zeros.
    Clean,
    /// A batch that was not finished.
    Torn,
    /// More batches: what is between is damaged.
    Damaged,
}

/// Looks through all journals in a database's directory.
pub(crate) fn check(db: &Path) -> io::Result<Option<Damage>> {
    let mut journals = Vec::new();
    for entry in db.read_dir()? {
        let file = entry?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".jnl")).and_then(|n| n.parse().ok());
        if let Some(number) = number {
            journals.push((number, file));
        }
    }
    let newest: Option<u64> = journals.iter().map(|(number, _)| *number).max();
    let mut torn = None;
    for (number, file) in journals {
        match check_file(&file)? {
            (_, End::Clean) => {}
            // Only the newest is still written to; the others were forced to the disk whole.
            (at, End::Torn) if Some(number) == newest => torn = Some((file, at)),
            (at, End::Torn | End::Damaged) => return Ok(Some(Damage { file, at })),
        }
    }
    // Only now that nothing speaks against opening.
    torn.map_or(Ok(None), |(file, at)| cut(&file, at).map(|()| None))
}

fn cut(path: &Path, at: u64) -> io::Result<()> {
    tracing::warn!(file = %path.display(), at, "the last write was not finished: cut off");
    let file = File::options().write(true).open(path)?;
    file.set_len(at)?;
    file.sync_all()
}

/// Where the last whole batch ends, and what follows.
fn check_file(path: &Path) -> io::Result<(u64, End)> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(CHUNK, file);
    let (mut good, mut last) = (0, None);
    loop {
        match read_batch(&mut reader, len)? {
            // fjall has no checksum over the sequence; out of order, rows would seem older.
            Batch::Whole(sequence) if last.is_none_or(|last| sequence > last) => {
                last = Some(sequence);
                good = reader.stream_position()?;
            }
            Batch::Whole(_) | Batch::Damaged => return Ok((good, End::Damaged)),
            Batch::None => {
                reader.seek(SeekFrom::Start(good))?;
                return Ok((good, end(&mut reader)?));
            }
        }
    }
}

/// What stands where a batch should be.
enum Batch {
    /// One with this sequence.
    Whole(u64),
    /// None, or one that breaks off.
    None,
    /// One whose items are whole and whose end is neither that nor half written.
    Damaged,
}

fn read_batch(reader: &mut BufReader<File>, len: u64) -> io::Result<Batch> {
    match batch(reader, len) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(Batch::None),
        read => read,
    }
}

fn batch(reader: &mut BufReader<File>, len: u64) -> io::Result<Batch> {
    let [tag, a, b, c, d, sequence @ ..] = take::<13>(reader)?;
    if tag != TAG_START {
        return Ok(Batch::None);
    }
    for _ in 0..u32::from_le_bytes([a, b, c, d]) {
        let whole = match take::<1>(reader)? {
            [TAG_ITEM] => item(reader, len)?,
            [TAG_CLEAR] => take::<8>(reader).map(|_| true)?,
            _ => false,
        };
        if !whole {
            return Ok(Batch::None);
        }
    }
    let end = take::<END_LEN>(reader)?;
    let trailer = end.strip_prefix(&[TAG_END]).and_then(|rest| rest.get(8..));
    Ok(match trailer {
        Some(TRAILER) => Batch::Whole(u64::from_le_bytes(sequence)),
        Some(trailer) if half_written(trailer) => Batch::None,
        _ if end.iter().all(|byte| *byte == 0) => Batch::None,
        _ => Batch::Damaged,
    })
}

/// The beginning of a trailer, then zeros?
fn half_written(trailer: &[u8]) -> bool {
    let written = trailer.iter().zip(TRAILER).take_while(|(a, b)| a == b).count();
    trailer.iter().skip(written).all(|byte| *byte == 0)
}

fn item(reader: &mut BufReader<File>, len: u64) -> io::Result<bool> {
    let [kind, compression, rest @ ..] = take::<20>(reader)?;
    let [_, _, _, _, _, _, _, _, k0, k1, v0, v1, v2, v3, d0, d1, d2, d3] = rest;
    let key = u64::from(u16::from_le_bytes([k0, k1]));
    let value = u32::from_le_bytes([v0, v1, v2, v3]);
    let on_disk = u32::from_le_bytes([d0, d1, d2, d3]);
    if kind > 4 || compression > 1 || (compression == 0 && value != on_disk) {
        return Ok(false);
    }
    let skip = key + u64::from(on_disk);
    if skip > len.saturating_sub(reader.stream_position()?) {
        return Ok(false);
    }
    // Both numbers are below 2^33.
    reader.seek_relative(i64::try_from(skip).unwrap_or(i64::MAX))?;
    Ok(true)
}

fn take<const N: usize>(reader: &mut BufReader<File>) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What is behind here? It is damage if a batch's end stands anywhere in it, and behind that
/// nothing, zeros or another batch: a half-written batch has none of its own, and bytes of a row
/// that look like one are followed by the rest of the row.
fn end(reader: &mut BufReader<File>) -> io::Result<End> {
    let zeros = vec![0; CHUNK];
    let mut seen: Vec<u8> = Vec::new();
    let mut clean = true;
    loop {
        let chunk = reader.fill_buf()?;
        let read = chunk.len();
        // Mostly there are 64 MiB of zeros: compare them as memory, and look at a few of them.
        if zeros.get(..read) == Some(chunk) {
            seen.extend_from_slice(chunk.get(..END_LEN + AHEAD).unwrap_or(chunk));
        } else {
            clean = false;
            seen.extend_from_slice(chunk);
        }
        reader.consume(read);
        let last = read == 0;
        if has_end(&seen, last) {
            return Ok(End::Damaged);
        }
        if last {
            return Ok(if clean { End::Clean } else { End::Torn });
        }
        // What may continue in the next chunk.
        let keep = seen.len().saturating_sub(END_LEN + AHEAD);
        seen.drain(..keep);
    }
}

/// Bytes behind it that tell what it is: the start of the next batch and its first tag.
const AHEAD: usize = 14;

fn has_end(seen: &[u8], last: bool) -> bool {
    seen.windows(END_LEN).enumerate().any(|(at, window)| {
        let behind = seen.get(at + END_LEN..).unwrap_or_default();
        let ahead = behind.get(..AHEAD.min(behind.len())).unwrap_or_default();
        let next_batch = ahead.first() == Some(&TAG_START)
            && matches!(ahead.get(AHEAD - 1), Some(&(TAG_ITEM | TAG_CLEAR)));
        let end = (last || ahead.len() == AHEAD) && ahead.iter().all(|byte| *byte == 0);
        window.first() == Some(&TAG_END) && window.ends_with(TRAILER) && (next_batch || end)
    })
}
