//! The floor: a process with one thread and a bare task per socket, which writes one ready-made
//! frame to every socket whenever it is told to. No WebSocket library, no actors, no queues: what
//! any server has to spend at least.
//!
//! It says `listening PORT` on its output, takes its sockets, and then writes once for every byte
//! on its input; it ends with its input.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStdin, Command, Stdio},
    rc::Rc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{Cost, PATIENCE, cost};
use crate::{
    out, process,
    raw::{self, Tally, frames},
    times,
};

/// Settings of `floor-server`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Args {
    /// Length of the frame with its header
    #[arg(long)]
    pub frame: usize,
}

/// Runs it.
///
/// # Errors
/// When there is no port.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    tokio::task::LocalSet::new().run_until(serve(args.frame)).await?;
    Ok(true)
}

async fn serve(length: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    out::line(format!("listening {}", listener.local_addr()?.port()));
    let frame: Rc<[u8]> = frame(length).into();
    let (go, gone) = watch::channel(0_u64);
    tokio::task::spawn_local(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::task::spawn_local(write(socket, Rc::clone(&frame), gone.clone()));
        }
    });
    let mut input = tokio::io::stdin();
    let mut byte = [0];
    while input.read(&mut byte).await? == 1 {
        go.send_modify(|round| *round += 1);
    }
    Ok(())
}

async fn write(mut socket: TcpStream, frame: Rc<[u8]>, mut go: watch::Receiver<u64>) {
    // A socket that was closed ends its task.
    while go.changed().await.is_ok() && socket.write_all(&frame).await.is_ok() {}
}

/// A text frame of this length with its header, which is at least that of an empty one.
fn frame(length: usize) -> Vec<u8> {
    let header_len = match length {
        0..128 => 2,
        128..65_540 => 4,
        _ => 10,
    };
    let payload = length.saturating_sub(header_len);
    let mut frame = frames::header(frames::TEXT, payload);
    frame.extend(std::iter::repeat_n(b'x', payload));
    frame
}

/// The child process and the readers of its sockets.
#[derive(Debug)]
pub struct Floor {
    child: Child,
    input: ChildStdin,
    tally: Rc<Tally>,
    sockets: u64,
    _readers: Vec<raw::Reader>,
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Floor {
    /// Starts this program once more, as the floor.
    ///
    /// # Errors
    /// When it doesn't start.
    pub async fn start(sockets: usize, frame: usize) -> anyhow::Result<Self> {
        Self::start_program(&std::env::current_exe()?, sockets, frame).await
    }

    /// Starts `program` as the floor.
    ///
    /// # Errors
    /// When it doesn't start.
    pub async fn start_program(
        program: &std::path::Path,
        sockets: usize,
        frame: usize,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["floor-server", "--frame", &frame.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the floor server doesn't start")?;
        let input = child.stdin.take().context("no input")?;
        // Its first line comes at once; nothing else has begun that could be kept waiting.
        let mut output = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = output.next().context("the floor server said nothing")??;
        let port =
            line.strip_prefix("listening ").context("the floor server said something else")?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse::<u16>()?));
        let tally = Rc::new(Tally::default());
        let mut readers = Vec::with_capacity(sockets);
        for number in 0..sockets {
            let socket = raw::connect(addr, number).await?;
            readers.push(raw::read(socket, frames::Frames::default(), &tally));
        }
        // The last of them may still be waiting to be accepted.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Self { child, input, tally, sockets: sockets as u64, _readers: readers })
    }

    /// The child's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it write so many frames to every socket, each when everybody has the one before.
    ///
    /// # Errors
    /// When they don't arrive.
    pub async fn send(&mut self, messages: u64) -> anyhow::Result<()> {
        for _ in 0..messages {
            let target = self.tally.frames.get() + self.sockets;
            self.input.write_all(b"g")?; // one byte never waits

            self.tally.wait(target, PATIENCE).await.context("floor")?;
        }
        Ok(())
    }

    /// Measures a round.
    ///
    /// # Errors
    /// When the frames don't arrive.
    pub async fn round(&mut self, messages: u64) -> anyhow::Result<Cost> {
        let pid = self.pid();
        let (cpu, start) = (process::cpu(pid)?, times::now());
        self.send(messages).await?;
        let (wall, cpu) = (start.elapsed(), process::cpu(pid)? - cpu);
        Ok(cost(cpu, wall, messages * self.sockets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_asked_length() {
        for length in [2, 100, 127, 130, 500, 65_539, 65_546, 70_000] {
            assert_eq!(frame(length).len(), length);
        }
    }
}
