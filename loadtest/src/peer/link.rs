//! A connection to one of the compared servers: bytes become whole frames (packets, stanzas) as the
//! server's [`Dialect`] cuts them. First it is a [`Talk`], in which requests wait for their answers;
//! then a [`Link`] that a task reads for the [`Sink`] while messages are sent.

use std::{collections::VecDeque, io, net::SocketAddr, rc::Rc};

use anyhow::bail;
use tokio::{net::tcp::OwnedReadHalf, task::JoinHandle};

use crate::{
    raw::{self, outlet::Outlet},
    system::{Session, Sink},
};

/// Longest frame that a server may send.
const FRAME_MAX: usize = 1 << 20;

/// What a server says on the wire and is told there.
pub trait Dialect: Sized + 'static {
    /// Length of the first whole frame in `bytes`, if it is complete.
    ///
    /// # Errors
    /// When no such frame can follow.
    fn first(bytes: &[u8]) -> anyhow::Result<Option<usize>>;

    /// What a frame is to a session of this user.
    fn judge(&self, user: usize, frame: &[u8]) -> Judged;

    /// Authenticates a fresh connection.
    fn login(&self, talk: &mut Talk<Self>, user: usize)
    -> impl Future<Output = anyhow::Result<()>>;

    /// Joins a room, and returns once its messages come.
    fn join(
        &self,
        talk: &mut Talk<Self>,
        user: usize,
        room: usize,
    ) -> impl Future<Output = anyhow::Result<()>>;

    /// Appends the frame that sends a text to a room.
    fn publish(&self, room: usize, text: &str, out: &mut Vec<u8>);
}

/// What a frame is.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// Perhaps a message.
    Frame,
    /// A message that this session sent, back again: that is its confirmation.
    Own,
    /// Something to be answered, with the answer.
    Ask(Vec<u8>),
    /// The server ends the session, and why.
    End(String),
}

/// Bytes that are no whole frame yet.
#[derive(Debug, Default)]
pub struct Rest(Vec<u8>);

impl Rest {
    /// Takes bytes; `seen` gets every whole frame.
    ///
    /// # Errors
    /// When they are none, or one gets too long.
    pub fn feed<D: Dialect>(
        &mut self,
        bytes: &[u8],
        seen: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        if self.0.is_empty() {
            let used = cut::<D>(bytes, seen)?;
            self.0.extend_from_slice(&bytes[used..]);
        } else {
            self.0.extend_from_slice(bytes);
            let used = cut::<D>(&self.0, seen)?;
            self.0.drain(..used);
        }
        if self.0.len() > FRAME_MAX {
            bail!("a frame of more than {FRAME_MAX} bytes");
        }
        Ok(())
    }
}

fn cut<D: Dialect>(bytes: &[u8], mut seen: impl FnMut(&[u8])) -> anyhow::Result<usize> {
    let mut used = 0;
    while let Some(len) = D::first(&bytes[used..])? {
        seen(&bytes[used..used + len]);
        used += len;
    }
    Ok(used)
}

/// A connection on which requests wait for answers.
#[derive(Debug)]
pub struct Talk<D> {
    dialect: Rc<D>,
    user: usize,
    half: OwnedReadHalf,
    outlet: Outlet,
    rest: Rest,
    frames: VecDeque<Vec<u8>>,
}

impl<D: Dialect> Talk<D> {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// When the server doesn't let it.
    pub async fn login(dialect: &Rc<D>, addr: SocketAddr, user: usize) -> anyhow::Result<Self> {
        let (half, out) = raw::connect(addr, user).await?.into_split();
        let (dialect, outlet) = (Rc::clone(dialect), Outlet::new(out));
        let (rest, frames) = (Rest::default(), VecDeque::new());
        let mut talk = Self { dialect, user, half, outlet, rest, frames };
        Rc::clone(&talk.dialect).login(&mut talk, user).await?;
        Ok(talk)
    }

    /// Joins a room.
    ///
    /// # Errors
    /// When the server doesn't let it.
    pub async fn join(&mut self, room: usize) -> anyhow::Result<()> {
        Rc::clone(&self.dialect).join(self, self.user, room).await
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// The connection's.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.outlet.write(bytes.as_ref()).await
    }

    /// The first frame from now on that is asked for; others are dropped, questions answered.
    ///
    /// # Errors
    /// When the server ends the connection.
    pub async fn until(&mut self, wanted: impl Fn(&[u8]) -> bool) -> anyhow::Result<Vec<u8>> {
        loop {
            while let Some(frame) = self.frames.pop_front() {
                match self.dialect.judge(self.user, &frame) {
                    Judged::End(why) => bail!("the server says {why}"),
                    Judged::Ask(answer) => self.outlet.write(&answer).await?,
                    _ if wanted(&frame) => return Ok(frame),
                    _ => {}
                }
            }
            let (rest, frames) = (&mut self.rest, &mut self.frames);
            let mut fed = Ok(());
            let feed = |bytes: &[u8]| fed = rest.feed::<D>(bytes, |f| frames.push_back(f.to_vec()));
            let read = raw::piece(&mut self.half, feed).await?;
            fed?;
            if read == 0 {
                bail!("the server closed the connection");
            }
        }
    }

    /// Begins to be read; sends go to this room. What has come already is left out.
    #[must_use]
    pub fn read(self, room: usize, sink: Rc<dyn Sink>) -> Link<D> {
        let Self { dialect, user, mut half, outlet, mut rest, .. } = self;
        let outlet = Rc::new(outlet);
        let (judge, answers) = (Rc::clone(&dialect), Rc::clone(&outlet));
        let reader = tokio::task::spawn_local(async move {
            let read = read_on(&*judge, user, &mut half, &answers, &mut rest, &*sink);
            let why = read.await.unwrap_or_else(|error| format!("{error:#}"));
            sink.ended(user, &why);
        });
        Link { dialect, room, outlet, reader, out: Vec::new() }
    }
}

/// Reads until the session ends, and tells why it did.
async fn read_on<D: Dialect>(
    dialect: &D,
    user: usize,
    half: &mut OwnedReadHalf,
    outlet: &Outlet,
    rest: &mut Rest,
    sink: &dyn Sink,
) -> anyhow::Result<String> {
    let mut answers = Vec::new();
    let mut end = None;
    loop {
        let mut fed = Ok(());
        let mut seen = |frame: &[u8]| match dialect.judge(user, frame) {
            Judged::Frame => sink.frame(user, frame),
            Judged::Own => {
                sink.frame(user, frame);
                sink.confirmed(user);
            }
            Judged::Ask(answer) => answers.extend(answer),
            Judged::End(why) => end = Some(why),
        };
        let read = raw::piece(half, |bytes| fed = rest.feed::<D>(bytes, &mut seen)).await?;
        fed?;
        if let Some(why) = end {
            return Ok(why);
        }
        if read == 0 {
            return Ok("closed by the server".to_owned());
        }
        if !answers.is_empty() {
            outlet.write(&answers).await?;
            answers.clear();
        }
    }
}

/// A session that is being read and can send.
#[derive(Debug)]
pub struct Link<D> {
    dialect: Rc<D>,
    room: usize,
    outlet: Rc<Outlet>,
    reader: JoinHandle<()>,
    out: Vec<u8>,
}

impl<D> Drop for Link<D> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl<D: Dialect> Session for Link<D> {
    async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        self.out.clear();
        self.dialect.publish(self.room, text, &mut self.out);
        Ok(self.outlet.write(&self.out).await?)
    }
}

/// Feeds a stream in pieces: cut once at each byte, and byte by byte. For tests of dialects.
#[cfg(test)]
pub fn assert_cuts<D: Dialect>(frames: &[&[u8]]) {
    let stream = frames.concat();
    let parts = |pieces: &[&[u8]]| {
        let (mut rest, mut seen) = (Rest::default(), Vec::new());
        for piece in pieces {
            rest.feed::<D>(piece, |frame| seen.push(frame.to_vec())).unwrap();
        }
        assert!(rest.0.is_empty());
        seen
    };
    for at in 0..=stream.len() {
        assert_eq!(parts(&[&stream[..at], &stream[at..]]), frames, "cut at {at}");
    }
    assert_eq!(parts(&stream.chunks(1).collect::<Vec<_>>()), frames);
}
