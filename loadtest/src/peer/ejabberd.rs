//! ejabberd: XMPP over TCP (RFC 6120) with SASL PLAIN, a multi-user chat room (XEP-0045) for each
//! room, with or without an archive (XEP-0313).
//!
//! It is started without Erlang's distribution, so that it needs no port mapper and no node name:
//! users are registered by an expression on the virtual machine's command line.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    link::{Dialect, Judged, Talk},
    process::{Place, Ready, Server, Want, find},
};

pub mod stanza;

/// Its name and package.
pub const NAME: &str = "ejabberd";

/// What was set, for the report.
pub const SETTINGS: &str = "TCP_NODELAY by the virtual machine's settings; no TLS, no shaper, of its modules only \
    mod_muc (history_size 0) and, for the archive, mod_mam (Mnesia, as Debian's package has it: \
    written behind the delivery, one copy, no flush for a message); passwords compared as text; \
    schedulers of the virtual machine don't spin (+sbwt none)";

const PASSWORD: &str = "secret";

/// The tools' script, which knows where the package's code is.
const SCRIPT: &str = "ejabberdctl";

/// The virtual machine, which comes along with the package.
const MACHINE: &str = "erl";

/// Its programs.
pub const PROGRAMS: [&str; 2] = [SCRIPT, MACHINE];

/// Whether rooms keep what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// Only pushed.
    Off,
    /// Pushed and kept.
    On,
}

/// Starts it.
///
/// # Errors
/// When it isn't installed or doesn't start.
pub async fn start(want: Want, archive: Archive) -> anyhow::Result<Server> {
    let users = want.users;
    let (erl, code) = (find(MACHINE, NAME)?, code()?);
    let place = Place::new(NAME, want.core)?;
    let settings = place.write("ejabberd.yml", &settings(place.addr.port(), users, archive))?;
    let register = format!(
        "[ok = ejabberd_auth:try_register(<<\"u\", (integer_to_binary(I))/binary>>, \
         <<\"localhost\">>, <<\"{PASSWORD}\">>) || I <- lists:seq(0, {users} - 1)], \
         [garbage_collect(P) || P <- processes()], ok = file:write_file(\"ready\", <<>>)."
    );
    let mut command = Command::new(erl);
    command
        .args(["+K", "true", "+P", "1000000", "+sbwt", "none", "+sbwtdcpu", "none"])
        .args(["+sbwtdio", "none", "-noinput"])
        .args(["-kernel", "inet_default_listen_options", "[{nodelay,true}]"])
        .args(["-mnesia", "dir"])
        .arg(format!("\"{}\"", place.path().join("spool").display()))
        .args(["-s", "ejabberd", "-eval", &register])
        .env("HOME", place.path())
        .env("EJABBERD_CONFIG_PATH", settings)
        .env("EJABBERD_LOG_PATH", place.path().join("ejabberd.log"))
        .env("ERL_LIBS", code)
        .env("ERL_MAX_PORTS", "1000000")
        .env("ERL_CRASH_DUMP_BYTES", "0");
    Server::start(place, command, Ready::Writes("ready")).await
}

/// Where the package's code is: it differs by processor, and the script says it.
fn code() -> anyhow::Result<PathBuf> {
    let script = find(SCRIPT, NAME)?;
    let text = std::fs::read_to_string(&script)?;
    let line = text.lines().find_map(|line| line.strip_prefix("ERL_LIBS="));
    let path = line.map(|line| PathBuf::from(line.trim_matches(['\'', '"'])));
    path.filter(|path| path.is_dir()).with_context(|| {
        format!("{} doesn't name the code: use Debian's package", script.display())
    })
}

/// What a room said stays when its last member leaves, so that no round clears up after another.
const MAM: &str = "  mod_mam:\n    db_type: mnesia\n    default: never\n    \
    clear_archive_on_room_destroy: false\n";

fn settings(port: u16, users: usize, archive: Archive) -> String {
    let archived = archive == Archive::On;
    let archive = if archived { MAM } else { "" };
    let cache = users.max(1_000) * 2;
    format!(
        "loglevel: warning\nhosts:\n  - localhost\nlisten:\n  -\n    port: {port}\n    \
         ip: \"127.0.0.1\"\n    module: ejabberd_c2s\n    access: all\n    shaper: none\n    \
         backlog: 4096\nauth_method: [internal]\nauth_password_format: plain\n\
         cache_size: {cache}\nmodules:\n{archive}  mod_muc:\n    access_create: all\n    \
         access_mam: all\n    history_size: 0\n    max_user_conferences: 1000\n    \
         default_room_options:\n      mam: {archived}\n"
    )
}

/// XMPP.
#[derive(Debug, Clone, Copy)]
pub struct Xmpp;

impl Dialect for Xmpp {
    fn first(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        stanza::first(bytes)
    }

    fn judge(&self, user: usize, frame: &[u8]) -> Judged {
        if frame.starts_with(b"<message") {
            match is_from(frame, user) {
                true => Judged::Own,
                false => Judged::Frame,
            }
        } else if frame.starts_with(b"<iq") && stanza::attribute(frame, "type") == Some(b"get") {
            Judged::Ask(result(frame))
        } else if frame.starts_with(b"<stream:error") || frame.starts_with(b"</stream:stream") {
            Judged::End(String::from_utf8_lossy(frame).into_owned())
        } else {
            Judged::Frame
        }
    }

    async fn login(&self, talk: &mut Talk<Self>, user: usize) -> anyhow::Result<()> {
        let features = |frame: &[u8]| frame.starts_with(b"<stream:features");
        talk.send(HEADER).await?;
        talk.until(features).await?;
        let plain = STANDARD.encode(format!("\0u{user}\0{PASSWORD}"));
        talk.send(format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        ))
        .await?;
        let done = |frame: &[u8]| frame.starts_with(b"<success") || frame.starts_with(b"<failure");
        let answer = talk.until(done).await?;
        ensure!(answer.starts_with(b"<success"), "u{user}: {}", String::from_utf8_lossy(&answer));
        talk.send(HEADER).await?;
        talk.until(features).await?;
        talk.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            .await?;
        let answer = talk.until(|frame| frame.starts_with(b"<iq")).await?;
        let bound = stanza::attribute(&answer, "type") == Some(b"result");
        ensure!(bound, "u{user} isn't bound: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }

    async fn join(&self, talk: &mut Talk<Self>, user: usize, room: usize) -> anyhow::Result<()> {
        let join = format!(
            "<presence to='r{room}@conference.localhost/u{user}'>\
             <x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
        );
        talk.send(join).await?;
        // The room's subject comes last, after everybody's presence.
        let (own, bare) = (
            format!("r{room}@conference.localhost/u{user}"),
            format!("r{room}@conference.localhost"),
        );
        let over = |frame: &[u8]| {
            let from = stanza::attribute(frame, "from");
            let refused = frame.starts_with(b"<presence")
                && from == Some(own.as_bytes())
                && stanza::attribute(frame, "type") == Some(b"error");
            refused || (frame.starts_with(b"<message") && from == Some(bare.as_bytes()))
        };
        let answer = talk.until(over).await?;
        let joined = answer.starts_with(b"<message");
        ensure!(joined, "u{user} isn't let in: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }

    fn publish(&self, room: usize, text: &str, out: &mut Vec<u8>) {
        let message = format!(
            "<message type='groupchat' to='r{room}@conference.localhost'>\
             <body>{text}</body></message>"
        );
        out.extend(message.bytes());
    }
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// Whether a room's message is this user's own, whose nick is their name.
fn is_from(message: &[u8], user: usize) -> bool {
    let nick = stanza::attribute(message, "from")
        .and_then(|from| from.rsplitn(2, |&b| b == b'/').next()?.strip_prefix(b"u"));
    nick.and_then(|nick| std::str::from_utf8(nick).ok()?.parse().ok()) == Some(user)
}

/// An answer to a question of the server, which pings at most.
fn result(question: &[u8]) -> Vec<u8> {
    let attribute = |name| stanza::attribute(question, name).unwrap_or_default();
    [b"<iq type='result' id='", attribute("id"), b"' to='", attribute("from"), b"'/>"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::link::assert_cuts;

    const MESSAGE: &[u8] = b"<message xml:lang='en' to='u0@localhost/x' \
        from='r1@conference.localhost/u17' type='groupchat'><archived by='r1' id='1'/>\
        <body a=\"'>\" b='\">'>~hello~ &lt;</body></message>";

    #[test]
    fn stanzas_are_cut_wherever_the_pieces_end() {
        assert_cuts::<Xmpp>(&[
            b"<?xml version='1.0'?>",
            b"<stream:stream id='1' xmlns='jabber:client'>",
            b"<stream:features><mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
            b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            MESSAGE,
            b"<presence from='a'><x><item/><status code='110'/></x></presence>",
            b"</stream:stream>",
        ]);
        let mut rest = crate::peer::link::Rest::default();
        let mut seen = 0;
        rest.feed::<Xmpp>(b" \n<iq/> <iq></iq>\n", |frame| seen += usize::from(frame.len() > 2))
            .unwrap();
        assert_eq!(seen, 2);
    }

    #[test]
    fn own_messages_are_confirmations() {
        assert_eq!(Xmpp.judge(17, MESSAGE), Judged::Own);
        assert_eq!(Xmpp.judge(1, MESSAGE), Judged::Frame);
        let ping = b"<iq from='localhost' id='7' type='get'><ping xmlns='urn:xmpp:ping'/></iq>";
        let pong = b"<iq type='result' id='7' to='localhost'/>".to_vec();
        assert_eq!(Xmpp.judge(1, ping), Judged::Ask(pong));
        assert!(matches!(Xmpp.judge(1, b"</stream:stream>"), Judged::End(_)));
    }
}
