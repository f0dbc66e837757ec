//! A second decoder, written from RFC 6455 and the limits of `docs/protocol.md` alone, byte by
//! byte and without a thought for speed. [`super::frames`] holds the gateway's against it.

use harkara_gateway::transport::Limits;

/// What a client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// What it said, and the close code of the breach that ended it.
pub type Heard = (Vec<Said>, Option<u16>);

/// No more bytes, or a breach.
enum Stop {
    End,
    Breach(u16),
}

/// A message whose last fragment has not come.
struct Open {
    text: bool,
    bytes: Vec<u8>,
    fragments: u32,
    empty: u32,
}

/// Reads all of it.
pub fn hear(bytes: &[u8], limits: &Limits) -> Heard {
    let (mut bytes, mut open, mut said) = (bytes, None, Vec::new());
    loop {
        match frame(&mut bytes, &mut open, limits) {
            Ok(Some(close @ Said::Close(_))) => {
                said.push(close);
                return (said, None);
            }
            Ok(message) => said.extend(message),
            Err(Stop::End) => return (said, None),
            Err(Stop::Breach(code)) => return (said, Some(code)),
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Stop> {
    let (now, later) = bytes.split_at_checked(count).ok_or(Stop::End)?;
    *bytes = later;
    Ok(now)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn must(holds: bool, code: u16) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Breach(code)) }
}

/// Section 5.2, in the order of the bytes.
fn frame(
    bytes: &mut &[u8],
    open: &mut Option<Open>,
    limits: &Limits,
) -> Result<Option<Said>, Stop> {
    let first = number(take(bytes, 1)?);
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    must(first & 0x70 == 0, 1002)?;
    must([0, 1, 2, 8, 9, 10].contains(&opcode), 1002)?;
    let control = opcode >= 8;
    must(last || !control, 1002)?;
    must(control || (opcode == 0) == open.is_some(), 1002)?;
    let second = number(take(bytes, 1)?);
    must(second & 0x80 != 0, 1002)?;
    let short = second & 0x7f;
    must(!control || short <= 125, 1002)?;
    let length = match short {
        126 => number(take(bytes, 2)?),
        127 => number(take(bytes, 8)?),
        short => short,
    };
    must(length >> 63 == 0, 1002)?;
    must(short != 126 || length > 125, 1002)?;
    must(short != 127 || length > 0xffff, 1002)?;
    if !control {
        let before = open.as_ref().map_or(0, |open| open.bytes.len() as u64);
        must(length <= limits.frame_bytes_max as u64, 1009)?;
        must(before + length <= limits.message_bytes_max as u64, 1009)?;
    }
    let mask = take(bytes, 4)?;
    let masked = take(bytes, usize::try_from(length).map_err(|_| Stop::Breach(1009))?)?;
    let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
    match opcode {
        8 => close(&payload).map(Some),
        9 => Ok(Some(Said::Ping(payload))),
        10 => Ok(Some(Said::Pong(payload))),
        _ if last && opcode > 0 => whole(opcode == 1, payload).map(Some),
        _ => fragment(open, opcode == 1, &payload, last, limits),
    }
}

fn whole(text: bool, bytes: Vec<u8>) -> Result<Said, Stop> {
    if !text {
        return Ok(Said::Binary(bytes));
    }
    String::from_utf8(bytes).map(Said::Text).map_err(|_| Stop::Breach(1007))
}

/// Section 5.4, and the limits on how many.
fn fragment(
    open: &mut Option<Open>,
    text: bool,
    payload: &[u8],
    last: bool,
    limits: &Limits,
) -> Result<Option<Said>, Stop> {
    let message =
        open.get_or_insert_with(|| Open { text, bytes: Vec::new(), fragments: 0, empty: 0 });
    message.fragments += 1;
    message.empty += u32::from(payload.is_empty());
    must(message.fragments <= limits.fragments_max, 1008)?;
    must(message.empty <= limits.empty_fragments_max, 1008)?;
    message.bytes.extend_from_slice(payload);
    must(!message.text || may_become_text(&message.bytes), 1007)?;
    match open.take_if(|_| last) {
        Some(message) => whole(message.text, message.bytes).map(Some),
        None => Ok(None),
    }
}

/// Section 8.1, as early as it can be known: all of it, but for the head of one last character.
fn may_become_text(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(|_| true)
        || str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Sections 5.5.1 and 7.4: no body, or a code that may be sent and a reason.
fn close(payload: &[u8]) -> Result<Said, Stop> {
    if payload.is_empty() {
        return Ok(Said::Close(None));
    }
    let (code, reason) = payload.split_at_checked(2).ok_or(Stop::Breach(1002))?;
    let reason = str::from_utf8(reason).map_err(|_| Stop::Breach(1007))?;
    let code = u16::try_from(number(code)).map_err(|_| Stop::Breach(1002))?;
    // 1004, 1005, 1006 and 1015 are not for the wire; 1012 to 1014 came to IANA's registry later.
    let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    must(may_be_sent, 1002)?;
    Ok(Said::Close(Some((code, reason.to_owned()))))
}
