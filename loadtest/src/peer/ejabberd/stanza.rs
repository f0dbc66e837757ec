//! XMPP's stream (RFC 6120) cut into its parts: the stream's opening and closing tags, and whole
//! stanzas between them.

use anyhow::bail;

/// Length of the first whole part, if it is complete: a stanza, a tag of the stream itself, a
/// declaration, or spaces between them.
///
/// # Errors
/// When it can't be XMPP.
pub fn first(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'<') => {}
        Some(space) if space.is_ascii_whitespace() => {
            let len = bytes.iter().position(|byte| !byte.is_ascii_whitespace());
            return Ok(Some(len.unwrap_or(bytes.len())));
        }
        Some(_) => bail!("text between stanzas"),
    }
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(start) = find(bytes, at, b'<') {
        let Some(end) = tag_end(bytes, start + 1) else { return Ok(None) };
        at = end + 1;
        let tag = &bytes[start + 1..end];
        match tag {
            [b'!', ..] => bail!("a comment or a document type"),
            [b'?', ..] => {}
            [b'/', ..] => depth = depth.saturating_sub(1),
            [.., b'/'] => {}
            _ if depth == 0 && is_stream(tag) => {}
            _ => depth += 1,
        }
        if depth == 0 {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn is_stream(tag: &[u8]) -> bool {
    tag.strip_prefix(b"stream:stream").is_some_and(|rest| rest.first().is_none_or(|&b| b <= b' '))
}

/// Where the tag ends whose inside begins at `at`: a value in quotes may have a bracket.
fn tag_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let special =
            bytes.get(at..)?.iter().position(|byte| matches!(byte, b'>' | b'\'' | b'"'))?;
        at += special;
        match bytes[at] {
            b'>' => return Some(at),
            quote => at = find(bytes, at + 1, quote)? + 1,
        }
    }
}

fn find(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    Some(from + bytes.get(from..)?.iter().position(|&byte| byte == wanted)?)
}

/// The value of an attribute of the stanza's first tag, as it is written there.
#[must_use]
pub fn attribute<'a>(stanza: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let head = &stanza[..tag_end(stanza, 1)?];
    let mut at = 0;
    loop {
        let space = at + head.get(at..)?.iter().position(u8::is_ascii_whitespace)?;
        let open = space + head.get(space..)?.iter().position(|b| matches!(b, b'\'' | b'"'))?;
        let close = find(head, open + 1, head[open])?;
        let key = head.get(space..open)?.trim_ascii().strip_suffix(b"=")?;
        if key == name.as_bytes() {
            return Some(&head[open + 1..close]);
        }
        at = close + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_those_of_the_first_tag() {
        let stanza = b"<message xml:lang='en' to=\"a's\" from='r@c/u1'><x id='1'/></message>";
        assert_eq!(attribute(stanza, "from"), Some(b"r@c/u1".as_slice()));
        assert_eq!(attribute(stanza, "to"), Some(b"a's".as_slice()));
        assert_eq!(attribute(stanza, "id"), None);
        assert_eq!(attribute(b"<presence/>", "id"), None);
    }

    #[test]
    fn what_is_not_xmpp_is_an_error() {
        assert!(first(b"<!-- no -->").is_err());
        assert!(first(b"HTTP/1.1 400").is_err());
        assert!(first(b"<a>text").unwrap().is_none());
    }
}
