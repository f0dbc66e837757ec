//! nats-server: its text protocol over TCP, a subject for each room.

use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::{
    link::{Dialect, Judged, Talk},
    process::{Place, Ready, Server, Want, find},
};

/// Its name, program and package.
pub const NAME: &str = "nats-server";

/// What was set, for the report.
pub const SETTINGS: &str = "TCP_NODELAY as Go sets it; core NATS, nothing stored; a password of \
    each user, compared as text; its pings answered";

const PASSWORD: &str = "secret";

/// Longest line of the protocol before a payload; the greeting is one too.
const LINE_MAX: usize = 64 * 1024;

/// Starts it.
///
/// # Errors
/// When it isn't installed or doesn't start.
pub async fn start(want: Want) -> anyhow::Result<Server> {
    let program = find(NAME, NAME)?;
    let place = Place::new(NAME, want.core)?;
    let users: String = (0..want.users)
        .map(|user| format!("    {{user: \"u{user}\", password: {PASSWORD}}}\n"))
        .collect();
    let settings = format!(
        "listen: \"{}\"\nmax_connections: 1000000\nauthorization {{\n  users: [\n{users}  ]\n}}\n",
        place.addr
    );
    let mut command = Command::new(program);
    command.arg("-c").arg(place.write("nats.conf", &settings)?);
    Server::start(place, command, Ready::Listens).await
}

/// The protocol of NATS.
#[derive(Debug, Clone, Copy)]
pub struct Nats;

impl Dialect for Nats {
    fn first(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
            ensure!(bytes.len() <= LINE_MAX, "a line of more than {LINE_MAX} bytes");
            return Ok(None);
        };
        let line = &bytes[..end];
        if !line.starts_with(b"MSG ") {
            return Ok(Some(end + 2));
        }
        let size = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
        let size: usize = std::str::from_utf8(size)?.parse().context("a message without a size")?;
        let whole = end + 2 + size + 2;
        Ok((bytes.len() >= whole).then_some(whole))
    }

    fn judge(&self, _user: usize, frame: &[u8]) -> Judged {
        if frame.starts_with(b"MSG ") {
            Judged::Frame
        } else if frame.starts_with(b"PING") {
            Judged::Ask(b"PONG\r\n".to_vec())
        } else if frame.starts_with(b"-ERR") {
            Judged::End(String::from_utf8_lossy(frame).trim().to_owned())
        } else {
            Judged::Frame
        }
    }

    async fn login(&self, talk: &mut Talk<Self>, user: usize) -> anyhow::Result<()> {
        talk.until(|frame| frame.starts_with(b"INFO ")).await?;
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"user\":\"u{user}\",\
             \"pass\":\"{PASSWORD}\"}}\r\n"
        );
        talk.send(connect).await?;
        in_effect(talk).await
    }

    async fn join(&self, talk: &mut Talk<Self>, _user: usize, room: usize) -> anyhow::Result<()> {
        talk.send(format!("SUB room.{room} {room}\r\n")).await?;
        in_effect(talk).await
    }

    fn publish(&self, room: usize, text: &str, out: &mut Vec<u8>) {
        out.extend(format!("PUB room.{room} {}\r\n{text}\r\n", text.len()).bytes());
    }
}

/// Requests have no answers, but a ping is answered when all before it is done.
async fn in_effect(talk: &mut Talk<Nats>) -> anyhow::Result<()> {
    talk.send("PING\r\n").await?;
    let answer = talk.until(|frame| frame.starts_with(b"PONG") || frame[0] == b'-').await?;
    if !answer.starts_with(b"PONG") {
        bail!("the server says {}", String::from_utf8_lossy(&answer).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::link::assert_cuts;

    #[test]
    fn lines_and_messages_are_cut_wherever_the_pieces_end() {
        assert_cuts::<Nats>(&[
            b"INFO {\"server_id\":\"x\"}\r\n",
            b"PING\r\n",
            b"MSG room.7 7 10\r\n~a\r\nMSG~\r\n\r\n",
            b"MSG room.7 7 reply 0\r\n\r\n",
            b"+OK\r\n",
        ]);
    }

    #[test]
    fn what_is_asked_is_answered() {
        assert_eq!(Nats.judge(0, b"PING\r\n"), Judged::Ask(b"PONG\r\n".to_vec()));
        assert_eq!(Nats.judge(0, b"MSG a 1 1\r\nx\r\n"), Judged::Frame);
        let end = Judged::End("-ERR 'Stale Connection'".to_owned());
        assert_eq!(Nats.judge(0, b"-ERR 'Stale Connection'\r\n"), end);
        assert!(Nats::first(b"MSG a 1 x\r\n").is_err());
    }

    #[test]
    fn a_message_names_its_length() {
        let mut out = Vec::new();
        Nats.publish(3, "hello", &mut out);
        assert_eq!(out, b"PUB room.3 5\r\nhello\r\n");
    }
}
