//! A wire between two ends that a test can cut and freeze.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Whole,
    /// Connections stay, but nothing passes.
    Frozen,
    /// Connections end, and new ones end at once.
    Cut,
}

pub struct Proxy {
    pub address: SocketAddr,
    wire: watch::Sender<Wire>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (wire, seen) = watch::channel(Wire::Whole);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, target, seen.clone()));
            }
        });
        Self { address, wire }
    }

    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut wire: watch::Receiver<Wire>) {
    let mut far = TcpStream::connect(target).await.expect("the target listens");
    let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
    loop {
        let now = *wire.borrow_and_update();
        let passed = tokio::select! {
            changed = wire.changed() => changed.is_ok(),
            () = std::future::ready(()), if now == Wire::Cut => false,
            read = near.read(&mut up), if now == Wire::Whole => write(&mut far, &up, read).await,
            read = far.read(&mut down), if now == Wire::Whole => write(&mut near, &down, read).await,
        };
        if !passed {
            return;
        }
    }
}

async fn write(to: &mut TcpStream, bytes: &[u8], read: std::io::Result<usize>) -> bool {
    match read {
        Ok(length) if length > 0 => to.write_all(&bytes[..length]).await.is_ok(),
        _ => false,
    }
}
