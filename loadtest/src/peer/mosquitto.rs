//! Mosquitto: MQTT 3.1.1 over TCP, quality of service 0, a topic for each room. The few packets that
//! this takes are written by hand.

use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::{
    link::{Dialect, Judged, Talk},
    process::{Place, Ready, Server, Want, find},
};

/// Its name, program and package.
pub const NAME: &str = "mosquitto";

/// What was set, for the report.
pub const SETTINGS: &str = "set_tcp_nodelay true; persistence false; quality of service 0; a \
    password of each user, hashed in a password_file (PBKDF2, the tool's default); keep alive 0";

/// Its programs.
pub const PROGRAMS: [&str; 2] = [NAME, HASHER];

const HASHER: &str = "mosquitto_passwd";

const PASSWORD: &str = "secret";

/// Kinds of packets, as the first byte has them.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

/// Clean session, with user name and password.
const FLAGS: u8 = 0b1100_0010;

/// Starts it.
///
/// # Errors
/// When it isn't installed or doesn't start.
pub async fn start(want: Want) -> anyhow::Result<Server> {
    let (program, hasher) = (find(NAME, NAME)?, find(HASHER, NAME)?);
    let place = Place::new(NAME, want.core)?;
    let lines: String = (0..want.users).map(|user| format!("u{user}:{PASSWORD}\n")).collect();
    let passwords = place.write("passwords", &lines)?;
    let hashed = Command::new(hasher).arg("-U").arg(&passwords).status()?;
    ensure!(hashed.success(), "mosquitto_passwd fails on {}", passwords.display());
    let settings = format!(
        "user root\nlistener {} 127.0.0.1\nset_tcp_nodelay true\npersistence false\n\
         allow_anonymous false\npassword_file {}\nconnection_messages false\nlog_dest stderr\n\
         log_type error\nlog_type warning\n",
        place.addr.port(),
        passwords.display(),
    );
    let mut command = Command::new(program);
    command.arg("-c").arg(place.write("mosquitto.conf", &settings)?);
    Server::start(place, command, Ready::Listens).await
}

/// MQTT.
#[derive(Debug, Clone, Copy)]
pub struct Mqtt;

impl Dialect for Mqtt {
    fn first(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        let mut len = 0;
        for (at, &byte) in bytes.iter().skip(1).take(4).enumerate() {
            len |= usize::from(byte & 127) << (7 * at);
            if byte & 128 == 0 {
                let whole = 2 + at + len;
                return Ok((bytes.len() >= whole).then_some(whole));
            }
        }
        ensure!(bytes.len() < 5, "a length of more than four bytes");
        Ok(None)
    }

    fn judge(&self, _user: usize, _frame: &[u8]) -> Judged {
        Judged::Frame // with keep alive 0 and quality of service 0 the broker asks nothing
    }

    async fn login(&self, talk: &mut Talk<Self>, user: usize) -> anyhow::Result<()> {
        let name = format!("u{user}");
        let keep_alive = [0, 0];
        let head = [&[0, 4], b"MQTT".as_slice(), &[4, FLAGS], &keep_alive].concat();
        let body = [head, text(&name), text(&name), text(PASSWORD)].concat();
        talk.send(packet(CONNECT, &body)).await?;
        let answer = talk.until(|frame| frame[0] == CONNACK).await?;
        ensure!(answer.get(3) == Some(&0), "the broker refuses user {name}: {answer:?}");
        Ok(())
    }

    async fn join(&self, talk: &mut Talk<Self>, _user: usize, room: usize) -> anyhow::Result<()> {
        let number = [0, 1];
        let body = [number.to_vec(), text(&topic(room)), vec![0]].concat();
        talk.send(packet(SUBSCRIBE, &body)).await?;
        let answer = talk.until(|frame| frame[0] == SUBACK).await?;
        match answer.last().context("an empty packet")? {
            0 => Ok(()),
            code => bail!("the broker refuses room {room} with code {code}"),
        }
    }

    fn publish(&self, room: usize, message: &str, out: &mut Vec<u8>) {
        let topic = text(&topic(room));
        out.push(PUBLISH);
        length(topic.len() + message.len(), out);
        out.extend(topic);
        out.extend(message.as_bytes());
    }
}

fn topic(room: usize) -> String {
    format!("room/{room}")
}

/// A text with its length before it. All of ours are short.
fn text(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    length(body.len(), &mut packet);
    packet.extend(body);
    packet
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn length(mut len: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(len & 127).unwrap_or_default();
        len >>= 7;
        if len == 0 {
            return out.push(low);
        }
        out.push(low | 128);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::link::assert_cuts;

    #[test]
    fn packets_are_cut_wherever_the_pieces_end() {
        let mut published = Vec::new();
        Mqtt.publish(7, "~a message~", &mut published);
        let long = packet(PUBLISH, &[b'x'; 300]);
        assert_eq!(long[..3], [PUBLISH, 0b1010_1100, 2]);
        let connack = packet(CONNACK, &[0, 0]);
        assert_cuts::<Mqtt>(&[&connack, &published, &long, &packet(0xd0, &[]), &published]);
        assert_eq!(published, b"\x30\x13\x00\x06room/7~a message~");
    }

    #[test]
    fn an_endless_length_is_an_error() {
        assert!(Mqtt::first(&[PUBLISH, 128, 128, 128]).unwrap().is_none());
        assert!(Mqtt::first(&[PUBLISH, 128, 128, 128, 128]).is_err());
    }
}
